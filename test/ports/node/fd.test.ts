import { execFileSync, spawn, spawnSync } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import test from "ava";
import type { ExecutionContext } from "ava";
import { openInheritedTap, tapLauncher } from "../../../ports/node/index.js";
import { need } from "../../support/need.js";
import { namespace } from "./namespace.js";
import type { Namespace } from "./namespace.js";

const LAUNCHER = tapLauncher();
const PROGRAM = fileURLToPath(new URL("inherited.ts", import.meta.url));

class Started {
  private readonly lines: AsyncIterator<string>;
  constructor(readonly child: ChildProcessByStdio<Writable, Readable, null>) {
    this.lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }
  async line(): Promise<Record<string, unknown>> {
    return JSON.parse((await this.lines.next()).value as string) as Record<string, unknown>;
  }
}

/** Starts the responder program behind the launcher, in the namespace. */
function start(t: ExecutionContext, ns: Namespace, options: string[], parameters: string[]): Started {
  const program = [process.execPath, "--import=tsx", PROGRAM, ...parameters];
  const command = ["netns", "exec", ns.name, "perl", LAUNCHER, ...options, "tap0", "--", ...program];
  const child = spawn("ip", command, { stdio: ["pipe", "pipe", "inherit"] });
  t.teardown(() => child.kill("SIGKILL"));
  return new Started(child);
}

/** Waits until nobody holds the device any more: neither the program nor the process that waits for it. */
async function gone(ns: Namespace): Promise<void> {
  while (/tap0/.test(ns.ip("link show"))) await sleep(5);
}

for (const mode of ["tap", "tun"]) {
  for (const [offloads, fd] of [
    [false, 3],
    [true, 7],
  ]) {
    test.serial(
      `the kernel pings us over an inherited ${mode}${offloads ? " with virtio-net headers" : ""}`,
      async (t) => {
        const ns = namespace(t, ["perl", "ping"]);
        if (!ns) return;
        const options = [
          ...(mode === "tun" ? ["--tun"] : []),
          ...(offloads ? ["--offloads"] : []),
          "--fd",
          String(fd),
        ];
        const started = start(t, ns, options, [mode, String(offloads), String(fd)]);
        t.deepEqual(await started.line(), { name: "tap0", mtu: 1500, carriers: [false] });
        ns.ip("address add 10.99.0.1/24 dev tap0");
        ns.ip("link set tap0 up");
        t.regex(
          await ns.run("ping", "-q", "-n", "-f", "-c", "300", "-w", "60", "10.99.0.2"),
          / 300 received/,
        );
        started.child.stdin.end();
        const { echoes, ...rest } = (await started.line()) as { echoes: number };
        t.true(echoes >= 300);
        t.deepEqual(rest as object, { carriers: [false, true], errors: 0 });
        t.deepEqual(await once(started.child, "close"), [0, null]);
        await gone(ns);
        t.pass();
      },
    );
  }
}

test.serial("a program that is killed leaves nothing behind", async (t) => {
  const ns = namespace(t, ["perl"]);
  if (!ns) return;
  const started = start(t, ns, [], ["tap", "false", "3"]);
  await started.line();
  started.child.kill("SIGKILL");
  await gone(ns);
  t.pass();
});

/** The process that waits for the device: it has the launcher's command line. */
function waitingProcess(): number {
  const found = readdirSync("/proc").filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) &&
        readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(`${LAUNCHER}\0--fd\x0041\0`)
      );
    } catch {
      return false;
    }
  });
  return Number(found[0]);
}

test.serial("without the waiting process the link says that it is lost", async (t) => {
  const ns = namespace(t, ["perl"]);
  if (!ns) return;
  const started = start(t, ns, ["--fd", "41"], ["tap", "false", "41"]);
  await started.line();
  process.kill(waitingProcess(), "SIGKILL");
  t.deepEqual(await started.line(), { failure: "EPIPE" });
  started.child.stdin.end();
  t.deepEqual(await started.line(), { echoes: 0, carriers: [false], errors: 0 });
  t.deepEqual(await once(started.child, "close"), [0, null]);
});

test.serial("the launcher gives up its rights before it starts the program", (t) => {
  const ns = namespace(t, ["perl"]);
  if (!ns) return;
  const command = ["netns", "exec", ns.name, "perl", LAUNCHER, "--user", "nobody", "tap0", "--", "sh", "-c"];
  const output = execFileSync("ip", [...command, "id -un; id -G; cat /proc/self/fdinfo/3"], {
    encoding: "utf8",
  });
  t.regex(output, /^nobody\n\d+\n[^]*iff:\ttap0/);
});

test("what the launcher refuses, it explains", (t) => {
  if (!need(t, { programs: ["perl"] })) return;
  for (const [parameters, message] of [
    [[], /which device\?\nusage:/],
    [["--fd", "2", "tap0", "--", "true"], /--fd needs a number from 3/],
    [["--what", "tap0", "--", "true"], /unknown option --what/],
    [["a/b", "--", "true"], /"a\/b" is no name/],
    [["tap0", "true"], /-- and a program must follow/],
    [["tap0", "--"], /-- and a program must follow/],
  ] as const) {
    const { status, stderr } = spawnSync("perl", [LAUNCHER, ...parameters], { encoding: "utf8" });
    t.not(status, 0);
    t.regex(stderr, message);
  }
});

test("a descriptor that is no device is refused", (t) => {
  t.throws(() => openInheritedTap({ fd: 0 }), { code: "EBADF", message: /tap-launcher\.pl/ });
  t.throws(() => openInheritedTap({ fd: 9999 }), { code: "EBADF" });
});

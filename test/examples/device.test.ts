/** `npm start`: the page comes through two stacks, the counters move, the capture is sound, bad options are refused. */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { UsageError, readOptions } from "../../examples/device/options.js";
import { need } from "../support/need.js";

const START = fileURLToPath(new URL("../../examples/start.js", import.meta.url));

/** Starts the program; resolves with what it has printed once that contains `until`, or when it has ended. */
function start(
  words: string[],
  until: RegExp,
): Promise<{ child: ChildProcess; output: string; code: number | null }> {
  const child = spawn(process.execPath, [START, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  return new Promise((resolve) => {
    const take = (bytes: Buffer) => {
      output += bytes;
      if (until.test(output)) resolve({ child, output, code: null });
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("exit", (code) => resolve({ child, output, code }));
  });
}

async function finish(child: ChildProcess): Promise<number | null> {
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  return ended;
}

test("the page, its live state and ten megabytes come through two of our TCP ends", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "device-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "frames.pcapng");
  const words = ["--port", "0", "--capture", file, "--delay", "1", "--rate", "1000", "--loss", "0.1"];
  const { child, output } = await start(words, /Ctrl-C/);
  t.teardown(() => child.kill("SIGKILL"));
  const base = /http:\/\/127\.0\.0\.1:\d+\//.exec(output)![0];

  const page = await fetch(base);
  t.is(page.status, 200);
  t.regex(await page.text(), /anystack device/);

  const state = async () => (await (await fetch(base + "state.json")).json()) as any;
  const before = await state();
  const bytes = Buffer.from(await (await fetch(base + "bytes?n=10000000")).arrayBuffer());
  const expected = Buffer.alloc(10_000_000, Buffer.alloc(65536, "anystack "));
  t.is(createHash("sha256").update(bytes).digest("hex"), createHash("sha256").update(expected).digest("hex"));
  const after = await state();
  t.true(after.device.counters.tcp.sent > before.device.counters.tcp.sent + 6000);
  t.true(after.device.sockets.some((socket: any) => socket.state === "ESTABLISHED" && socket.roundTrip > 0));
  t.true(after.device.frames.length > 10);
  t.is((await fetch(base + "bytes?n=-1")).status, 400);
  t.is((await fetch(base + "nothing")).status, 404);

  t.is(await finish(child), 0);
  if (!need(t, { programs: ["capinfos"] })) return;
  t.regex(execFileSync("capinfos", ["-c", file], { encoding: "utf8" }), /Number of packets/);
});

test("a port in use is a clear error", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as { port: number };
  const { code, output } = await start(["--port", String(port), "--no-capture"], /^\b$/);
  t.is(code, 1);
  t.regex(output, new RegExp(`port ${port} is in use`));
});

test("bad options get the usage, a reason, and exit code 2; --help gets the usage", async (t) => {
  const bad = await start(["--port", "http"], /^\b$/);
  t.is(bad.code, 2);
  t.regex(bad.output, /Usage:[\s\S]*--port http: a number from 0 to 65535/);
  const help = await start(["--help"], /^\b$/);
  t.is(help.code, 0);
  t.regex(help.output, /Usage:/);
});

test("what the command line may say", (t) => {
  t.is(readOptions(["--help"]), null);
  t.is(readOptions([])!.port, 8080);
  t.is(readOptions(["--tap", "tap0", "--dhcp"])!.dhcp, true);
  t.is(readOptions(["--no-capture"])!.capture, "");
  for (const words of [
    ["--port", "70000"],
    ["--port", "80.5"],
    ["--loss", "101"],
    ["--delay", ""],
    ["--tap", "tap0"],
    ["--address", "10.0.0.1/24"],
    ["--tap", "tap0", "--address", "10.0.0.1"],
    ["--tap", "tap0", "--address", "10.0.0.1/24", "--dhcp"],
    ["--tap", "tap0", "--dhcp", "--gateway", "10.0.0.1"],
    ["--nonsense"],
    ["word"],
  ]) {
    t.throws(() => readOptions(words), { instanceOf: UsageError }, words.join(" "));
  }
});

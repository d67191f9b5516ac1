import { spawnSync } from "node:child_process";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { checkHost } from "../../../hypercall/conformance.js";
import { HYPERCALL_VERSION } from "../../../hypercall/index.js";
import { nodeHost } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import { ROOT } from "../../support/files.js";

/** Something to drive, which counts its polls. */
function counter() {
  return {
    polls: 0,
    poll() {
      this.polls++;
    },
  };
}

/** Runs `source` as a program of its own, for what ends a process. */
function run(source: string) {
  const program = `import { nodeHost, openTap } from "./ports/node/index.ts";\n${source}`;
  const options = { cwd: ROOT, encoding: "utf8", timeout: 60_000 } as const;
  return spawnSync(process.execPath, ["--import=tsx", "--input-type=module", "-e", program], options);
}

test("the clock counts milliseconds and never goes back", async (t) => {
  const host = nodeHost();
  t.is(host.version, HYPERCALL_VERSION);
  let last = host.now();
  const start = last;
  for (let i = 0; i < 10_000; i++) {
    const now = host.now();
    if (now < last) t.fail("went back");
    last = now;
  }
  await sleep(20);
  t.true(host.now() - start >= 15);
});

test("random bytes: all of the target, never the same, none kept", (t) => {
  const host = nodeHost();
  for (const size of [0, 1, 16, 64, 255, 256, 257, 4096, 5000, 65536]) {
    const seen = new Uint8Array(size);
    // Each byte is nonzero at least once in 40 tries, but for a chance of 65536 / 256^40.
    for (let i = 0; i < 40; i++) {
      const target = new Uint8Array(size + 2);
      t.true(host.random(target.subarray(1, size + 1)));
      t.is(target[0] + target[size + 1], 0);
      for (let j = 0; j < size; j++) seen[j] |= target[j + 1];
    }
    t.true(
      seen.every((byte) => byte !== 0),
      `${size}`,
    );
  }
  const values = new Set<string>();
  for (let i = 0; i < 10_000; i++) {
    const target = new Uint8Array(16);
    host.random(target);
    values.add(target.join());
  }
  t.is(values.size, 10_000);
});

test("a wake-up comes once, the last one asked for, or none", async (t) => {
  const host = nodeHost();
  const stack = host.drive(counter());
  for (const delay of [0, 1, 2, 20]) {
    stack.polls = 0;
    host.wake(delay);
    t.is(stack.polls, 0, "never within the call");
    while (stack.polls === 0) await sleep(1);
    await sleep(5);
    t.is(stack.polls, 1, `${delay}`);
  }
  stack.polls = 0;
  host.wake(0);
  host.wake(3);
  host.wake(60_000);
  await sleep(20);
  t.is(stack.polls, 0, "replaced by a later one");
  host.wake(0);
  while (stack.polls === 0) await turn();
  host.wake(0);
  host.wake(5);
  host.wake(-1);
  await sleep(20);
  t.is(stack.polls, 1, "cancelled");
});

test("a delay beyond what setTimeout takes does not come at once", async (t) => {
  const host = nodeHost();
  const stack = host.drive(counter());
  host.wake(2 ** 31 + 5);
  await sleep(20);
  t.is(stack.polls, 0);
  host.wake(-1);
});

test("what is due comes with the next turn; for a millisecond the process sleeps instead of turning", async (t) => {
  const host = nodeHost();
  const stack = host.drive(counter());
  const waits = () => process.getActiveResourcesInfo().filter((name) => name === "Immediate").length;
  const before = waits();
  host.wake(1);
  t.is(waits(), before);
  host.wake(0);
  t.is(waits(), before + 1);
  await turn();
  await turn();
  t.is(stack.polls, 1);
});

test("a host drives one stack, whose timers run", async (t) => {
  const host = nodeHost();
  const stack = host.drive(createStack(host, []));
  t.is(host.drive(stack), stack);
  t.throws(() => host.drive(counter()), { code: "EBUSY" });
  const fired = new Promise((resolve) => {
    stack.timers.set({ at: 0, key: 0, slot: -1, fire: resolve, owner: "timer" }, (stack.now() + 5) | 0);
  });
  t.is(await fired, "timer");
  stack.close();
});

test("log and panic go where the application wants them", (t) => {
  const lines: unknown[] = [];
  const host = nodeHost({
    log: (message) => lines.push(message),
    panic: (message, error) => lines.push(message, error),
    random: () => false,
  });
  host.log("line");
  host.panic("what", 7);
  t.false(host.random(new Uint8Array(4)));
  t.deepEqual(lines, ["line", "what", 7]);
});

test("an application's error ends the process, as it does elsewhere in Node", (t) => {
  const { status, stderr, stdout } = run(`
    const host = nodeHost();
    host.panic("callback threw", new TypeError("a bug"));
    console.log("the stack goes on");`);
  t.is(status, 1);
  t.regex(stderr, /TypeError: a bug/);
  t.is(stdout, "the stack goes on\n");
});

test("a host that drives nobody says so", (t) => {
  const { status, stderr } = run(`nodeHost().wake(3600000);`);
  t.is(status, 1);
  t.regex(stderr, /host\.drive\(stack\)/);
});

test("a pending wake-up keeps the process alive unless told otherwise", (t) => {
  const poll = (word: string) => `{ poll() { console.log("${word}"); } }`;
  const { status, stdout } = run(`
    const quiet = nodeHost().unref();
    quiet.drive(${poll("unseen")});
    quiet.wake(3600000);
    const host = nodeHost().unref().ref();
    host.drive(${poll("seen")});
    host.wake(50);`);
  t.is(status, 0);
  t.is(stdout, "seen\n");
});

test("koffi is loaded by openTap alone", (t) => {
  const { status, stdout } = run(`
    import { createRequire } from "node:module";
    const loaded = () => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes("koffi"));
    console.log(loaded());
    try {
      openTap({ name: "tap0", netns: "/nowhere" });
    } catch {
      console.log(loaded());
    }`);
  t.is(status, 0);
  t.is(stdout, "false\ntrue\n");
});

test("the host passes the checks for ports", async (t) => {
  const found: string[] = [];
  const host = nodeHost();
  const check = host.drive(checkHost(host, (code, message) => found.push(`${code}: ${message}`)));
  while (!check.finished) await sleep(10);
  await sleep(150);
  check.finish();
  t.deepEqual(found, []);
});

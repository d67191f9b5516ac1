/** The port to browsers on what Node has in common with them; Chromium itself is in test/interop/browser. */
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { checkHost } from "../../../hypercall/conformance.js";
import { browserHost, openPortLink } from "../../../ports/browser/index.js";

function counter() {
  return {
    polls: 0,
    poll() {
      this.polls++;
    },
  };
}

test("the host and its cables pass the checks for ports", async (t) => {
  const found: string[] = [];
  const { port1, port2 } = new MessageChannel();
  const host = browserHost();
  const links = [openPortLink(port1 as never), openPortLink(port2 as never)];
  const check = host.drive(checkHost(host, (code, message) => found.push(`${code}: ${message}`), links));
  while (!check.finished) await sleep(10);
  await sleep(150);
  check.finish();
  host.close();
  t.deepEqual(found, []);
});

test("a wake-up comes once, the last one asked for, or none", async (t) => {
  const host = browserHost();
  const stack = host.drive(counter());
  for (const delay of [0, 1, 3, 4, 20]) {
    stack.polls = 0;
    host.wake(60_000);
    host.wake(delay);
    t.is(stack.polls, 0, "never within the call");
    while (stack.polls === 0) await sleep(1);
    await sleep(10);
    t.is(stack.polls, 1, `${delay}`);
  }
  stack.polls = 0;
  host.wake(0);
  host.wake(5);
  host.wake(-1);
  await sleep(20);
  t.is(stack.polls, 0, "cancelled");
  host.wake(2 ** 31 + 5);
  await sleep(20);
  t.is(stack.polls, 0, "beyond what setTimeout takes");
  t.throws(() => host.drive(counter()), { code: "EBUSY" });
  host.close();
  host.close();
});

test("random bytes: all of the target, whatever its size; the caller's own source", (t) => {
  const host = browserHost();
  for (const size of [0, 1, 256, 257, 65536, 65537, 200_000]) {
    const seen = new Uint8Array(size);
    // Each byte is nonzero at least once in 12 tries, but for a chance of 200,000 / 256^12.
    for (let i = 0; i < 12; i++) {
      const target = new Uint8Array(size);
      t.true(host.random(target));
      for (let j = 0; j < size; j++) seen[j] |= target[j];
    }
    t.true(
      seen.every((byte) => byte !== 0),
      `${size}`,
    );
  }
  host.close();
  const none = browserHost({ random: () => false });
  t.false(none.random(new Uint8Array(4)));
  none.close();
});

test("log and panic go where the application wants them", async (t) => {
  const lines: unknown[] = [];
  const host = browserHost({
    log: (message) => lines.push(message),
    panic: (message, error) => lines.push(message, error),
    accelerate: false,
  });
  host.log("line");
  host.panic("what", 7);
  t.deepEqual(lines, ["line", "what", 7]);
  t.is(host.checksum(new Uint8Array([1, 2]), 0, 2, 0), 0x102);
  host.close();
});

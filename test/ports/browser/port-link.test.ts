import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { openPortLink } from "../../../ports/browser/index.js";
import { until } from "../../support/until.js";

/** Two ends of a channel, and what the second hears. */
function pair() {
  const { port1, port2 } = new MessageChannel();
  const heard = { frames: [] as Uint8Array[], writables: 0 };
  const receiver = {
    receive: (frame: Uint8Array, start: number, end: number) =>
      void heard.frames.push(frame.slice(start, end)),
    carrier() {},
    writable: () => void heard.writables++,
    lost() {},
  };
  return { port1: port1 as never as MessagePort, port2: port2 as never as MessagePort, heard, receiver };
}

test("frames keep their bytes and their order", async (t) => {
  const { port1, port2, heard, receiver } = pair();
  const a = openPortLink(port1);
  const b = openPortLink(port2);
  a.open(receiver);
  b.open(receiver);
  const memory = new Uint8Array(100);
  for (let i = 0; i < 5; i++) {
    memory.fill(i, 10, 20 + i);
    t.is(a.transmit(memory, 10, 20 + i), 0);
    memory.fill(255);
  }
  await until("five frames", () => heard.frames.length >= 5);
  t.deepEqual(
    heard.frames,
    [0, 1, 2, 3, 4].map((i) => new Uint8Array(10 + i).fill(i)),
  );
  t.throws(() => a.open(receiver), { code: "EALREADY" });
  a.close();
  a.close();
  b.close();
  t.throws(() => a.open(receiver), { code: "EBADF" });
  t.is(a.transmit(memory, 0, 60), 0);
  t.is(a.transmitErrors, 1);
});

test("a receiver that is busy stops the sender, and the sender is told when it goes on", async (t) => {
  const { port1, port2, heard, receiver } = pair();
  const a = openPortLink(port1);
  a.open(receiver);
  let sent = 0;
  while (a.transmit(new Uint8Array(60), 0, 60) === 0) if (++sent > 10_000) break;
  t.is(sent, 256);
  await sleep(20);
  t.is(heard.writables, 0);
  const b = openPortLink(port2);
  b.open(receiver);
  await until("there is room", () => heard.writables > 0);
  t.is(heard.frames.length, 256);
  t.is(a.transmit(new Uint8Array(60), 0, 60), 0);
  a.close();
  b.close();
});

test("messages that are no frames are counted, and open no window", async (t) => {
  const { port1, port2, receiver, heard } = pair();
  const a = openPortLink(port1);
  a.open(receiver);
  t.teardown(() => a.close());
  const junk: unknown[] = [null, "text", {}, -1, 0, 1, 1e9, NaN, [1, "x", {}]];
  for (const message of junk) port2.postMessage(message);
  // The last of them is a list with three.
  await until("all are counted", () => a.receiveErrors >= junk.length - 1 + 3);
  t.is(a.receiveErrors, junk.length - 1 + 3);
  t.deepEqual(heard.frames, []);
  a.close();
  port2.close();
});

test("hardware addresses: random and local, or the caller's", (t) => {
  const { port1, port2 } = pair();
  const random = openPortLink(port1);
  t.is(random.mac![0] & 3, 2);
  random.close();
  for (const mac of [
    [1, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0],
    [2, 0, 0],
  ]) {
    t.throws(() => openPortLink(port2, { mac: Uint8Array.from(mac) }), { code: "EINVAL" });
  }
  const bare = openPortLink(port2, { medium: "ip", mtu: 1280 });
  t.deepEqual([bare.mac, bare.medium, bare.mtu], [undefined, "ip", 1280]);
  bare.close();
});

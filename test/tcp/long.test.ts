/**
 * Cases that take long, or that measure time: `ANYSTACK_LONG=1 npx ava test/tcp/long.test.ts`. The usual run leaves them out.
 */
import anyTest from "ava";
import { LONG } from "../support/long.js";
import { WITH_SACK, accepted, patternFrom } from "./support.js";

const test = LONG ? anyTest.serial : anyTest.skip;

test("TCP-14: single bytes in the worst order cost no more than 20 times as much as in order", (t) => {
  const time = (order: (i: number) => number) => {
    const { peer, socket } = accepted(t, { syn: WITH_SACK });
    const frames = [];
    for (let i = 0; i < 8000; i++)
      frames.push(peer.build("A", { seq: 1 + order(i) }, patternFrom(order(i), 1)));
    const start = process.hrtime.bigint();
    for (const frame of frames) peer.lab.probe.send(frame);
    const spent = Number(process.hrtime.bigint() - start);
    peer.take();
    socket.abort();
    return spent;
  };
  time((i) => i);
  const inOrder = Math.min(
    time((i) => i),
    time((i) => i),
  );
  for (const order of [
    (i: number) => 60_000 - 2 * i,
    (i: number) => 1 + ((i * 7919) % 60_000),
    (i: number) => 2 + 2 * i,
  ]) {
    const spent = Math.min(time(order), time(order));
    t.true(spent < 20 * inOrder, `${spent / inOrder} times`);
  }
});

/** F-RTO (RFC 5682): spurious timeouts are found out and undone, real ones are repaired as ever. */
import test from "ava";
import { frto } from "../../stack/tcp/frto.js";
import { sackRecovery } from "../../stack/tcp/recovery.js";
import { ALL_OPTIONS, accepted, patternFrom } from "./support.js";
import type { Met } from "./support.js";

const MSS = 1000;

/** Ten segments in flight, more to send, and the timer has fired: the first has gone again. */
function timedOut(t: Parameters<typeof accepted>[0], more = 20): Met {
  const met = accepted(t, {
    syn: { ...ALL_OPTIONS, mss: MSS + 12 },
    tcp: { sendBuffer: 131_072, recovery: frto(sackRecovery()) },
  });
  met.c.cwnd = 10 * MSS;
  met.c.rto = 1000;
  met.socket.write(patternFrom(0, (10 + more) * MSS));
  t.is(sent(met).length, 10);
  met.lab.run(met.c.rto + 100);
  t.is(met.lab.tcp.counters.timeouts, 1);
  t.deepEqual(sent(met), [0]);
  t.is(met.c.cwnd, MSS);
  return met;
}

function sent({ peer }: Met): number[] {
  const ack = peer.ack;
  const list = peer.take().filter((seen) => seen.length > 0);
  peer.ack = ack;
  return list.map((seen) => (seen.seq - 1) / MSS);
}

function ack({ peer }: Met, next: number): void {
  peer.send("A", { ack: 1 + next * MSS });
}

test("the acknowledgements were only late: two new segments find it out, and the window is as it was", (t) => {
  const met = timedOut(t);
  ack(met, 1);
  t.deepEqual(sent(met), [10, 11], "new data instead of retransmissions");
  ack(met, 2);
  t.is(met.lab.tcp.counters.spuriousTimeouts, 1);
  t.true(met.c.cwnd >= 10 * MSS);
  ack(met, 10);
  t.true(sent(met).every((segment) => segment >= 12));
  t.is(met.lab.tcp.counters.retransmitted, 1);
});

test("a real loss: a duplicate tells, and all goes again", (t) => {
  const met = timedOut(t);
  ack(met, 1);
  t.deepEqual(sent(met), [10, 11]);
  ack(met, 1);
  t.deepEqual(sent(met), [1], "three segments in flight with the two new ones");
  ack(met, 2);
  t.deepEqual(sent(met).slice(0, 2), [2, 3]);
  t.is(met.lab.tcp.counters.spuriousTimeouts, 0);
});

test("a duplicate is the first answer: the conventional recovery", (t) => {
  const met = timedOut(t);
  ack(met, 0);
  ack(met, 1);
  t.deepEqual(sent(met).slice(0, 2), [1, 2]);
  t.is(met.lab.tcp.counters.spuriousTimeouts, 0);
});

test("all that was in flight is acknowledged at once: nothing is left to undo", (t) => {
  const met = timedOut(t);
  ack(met, 10);
  t.true(sent(met).every((segment) => segment >= 10));
  t.is(met.c.timeoutState, null);
});

test("nothing new to send, or a second timeout: as without it", (t) => {
  const met = timedOut(t, 0);
  ack(met, 1);
  t.deepEqual(sent(met), [1, 2]);
  const again = timedOut(t);
  again.lab.run(again.c.rto + 100);
  t.deepEqual(sent(again), [0]);
  ack(again, 1);
  t.deepEqual(sent(again), [1, 2]);
});

/** Explicit congestion notification (RFC 3168): negotiation, marks on the way here, echoes of ours, and what it spares a queue. */
import test from "ava";
import { newReno } from "../../stack/tcp/congestion.js";
import { ecn } from "../../stack/tcp/ecn.js";
import { race } from "../sim/dumbbell.js";
import { PROBE_IP } from "../support/packets.js";
import { Peer, WITH_SACK, connectionOf, lab, listening, patternFrom } from "./support.js";
import type { Lab } from "./support.js";

const MSS = 1000;
const CE = 3;
const SYN: { mss: number } = { ...WITH_SACK, mss: MSS };

/** The segments that the stack has sent: flags, first byte (stream offset) and ECN bits of those with data. */
function sent(home: Lab, peer: Peer): string[] {
  return home.probe.takeParsed().map(({ tcp, ip4, payload }) => {
    const bits = ip4!.tos & 3;
    return payload.length > 0
      ? `${tcp!.flags} ${(tcp!.seq - peer.irs - 1) / MSS} ${bits}`
      : `${tcp!.flags} ${bits}`;
  });
}

function accepting(t: Parameters<typeof lab>[0], flags: string) {
  const home = lab(t, { tcp: { ecn: ecn(), sendBuffer: 131_072 } });
  listening(home);
  const peer = new Peer(home, 40000, 80);
  peer.send(flags, SYN);
  return { home, peer };
}

test("a SYN that offers ECN is answered with ECE, others are not", (t) => {
  const { peer } = accepting(t, "SEC");
  peer.expect("SAE", { ack: 1 });
  for (const flags of ["S", "SE", "SC"]) accepting(t, flags).peer.expect("SA", { ack: 1 });
});

test("our SYN offers ECN; agreed upon with ECE alone; a repeated SYN offers nothing", (t) => {
  for (const [answer, agreed] of [
    ["SAE", true],
    ["SA", false],
    ["SAEC", false],
  ] as const) {
    const home = lab(t, { tcp: { ecn: ecn() } });
    const socket = home.tcp.connect({ address: PROBE_IP, port: 7000 });
    const peer = new Peer(home, 7000, socket.localPort());
    peer.expect("SEC");
    peer.send(answer, SYN);
    peer.expect("A");
    socket.write(patternFrom(0, MSS));
    t.deepEqual(sent(home, peer), [agreed ? "PA 0 2" : "PA 0 0"]);
  }
  const home = lab(t, { tcp: { ecn: ecn() } });
  const socket = home.tcp.connect({ address: PROBE_IP, port: 7000 });
  const peer = new Peer(home, 7000, socket.localPort());
  peer.expect("SEC");
  home.run(1100);
  peer.expect("S");
  peer.send("SAE", SYN);
  peer.expect("A");
  socket.write(patternFrom(0, MSS));
  t.deepEqual(sent(home, peer), ["PA 0 0"]);
});

/** An established connection that the peer has opened with ECN. */
function meeting(t: Parameters<typeof lab>[0]) {
  const { home, peer } = accepting(t, "SEC");
  peer.expect("SAE", { ack: 1 });
  peer.send("A");
  let socket = null as ReturnType<typeof connectionOf>["socket"];
  home.tcp.connections.each((c) => (socket = c.socket));
  return { home, peer, socket: socket!, c: connectionOf(socket!) };
}

test("a mark is echoed at once and in every segment, until the peer has reduced its window", (t) => {
  const { home, peer } = meeting(t);
  peer.data(0, 100, { tos: 2 });
  home.run(50);
  t.deepEqual(sent(home, peer), ["A 0"]);
  peer.data(100, 100, { tos: CE });
  t.deepEqual(sent(home, peer), ["AE 0"]);
  peer.data(200, 100, { tos: 2 });
  home.run(50);
  t.deepEqual(sent(home, peer), ["AE 0"]);
  peer.data(300, 100, { tos: 2 }, "AC");
  home.run(50);
  t.deepEqual(sent(home, peer), ["A 0"]);
  peer.data(400, 100, { tos: CE }, "AC");
  t.deepEqual(sent(home, peer), ["AE 0"], "CWR and a new mark in one segment");
  t.is(home.tcp.counters.congestionMarks, 2);
});

test("an echo halves the window once a round trip, and the next new segment says so", (t) => {
  const { home, peer, socket, c } = meeting(t);
  c.cwnd = 10 * MSS;
  socket.write(patternFrom(0, 40 * MSS));
  t.deepEqual(
    sent(home, peer),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => `A ${i} 2`),
  );
  peer.send("AE", { ack: 1 + MSS });
  t.is(c.ssthresh, 5 * MSS);
  t.is(Math.floor(c.cwnd / MSS), 5);
  peer.send("AE", { ack: 1 + 2 * MSS });
  t.is(c.ssthresh, 5 * MSS, "the same congestion");
  peer.send("AE", { ack: 1 + 6 * MSS });
  t.deepEqual(sent(home, peer), ["AC 10 2", "A 11 2"]);
  peer.send("A", { ack: 1 + 8 * MSS });
  t.true(sent(home, peer).every((text) => text.startsWith("A 1")));
  peer.send("AE", { ack: 1 + 11 * MSS });
  t.true(c.ssthresh < 5 * MSS, "another one");
  t.is(home.tcp.counters.congestionEchoes, 2);
});

test("TCP-22: an echo counts however many bytes have passed since the last one", (t) => {
  for (const passed of [0, 0x7fffffff, 0x80000001, 0xc0000000, 0xfff00000]) {
    const { home, peer, socket, c } = meeting(t);
    socket.write(patternFrom(0, 4 * MSS));
    t.is(sent(home, peer).length, 4);
    // As if so many had been sent without a mark.
    const state = c.ecnState as { recover: number };
    state.recover = (state.recover - passed) | 0;
    peer.send("AE", { ack: 1 + MSS });
    t.is(home.tcp.counters.congestionEchoes, 1, `after ${passed} bytes`);
    peer.send("AE", { ack: 1 + 2 * MSS });
    t.is(home.tcp.counters.congestionEchoes, 1, "the same congestion");
  }
});

test("retransmissions and bare acknowledgements are not marked as ECN-capable", (t) => {
  const { home, peer, socket, c } = meeting(t);
  socket.write(patternFrom(0, MSS));
  t.deepEqual(sent(home, peer), ["PA 0 2"]);
  home.run(c.rto + 50);
  t.deepEqual(sent(home, peer), ["PA 0 0"]);
});

test("without agreement marks and echoes mean nothing", (t) => {
  const { home, peer } = accepting(t, "S");
  peer.expect("SA");
  peer.send("A");
  peer.data(0, 100, { tos: CE }, "AE");
  home.run(50);
  t.deepEqual(sent(home, peer), ["A 0"]);
});

test("a queue that marks instead of dropping: no segment is sent twice, and the queue is half as long", (t) => {
  const parts = () => ({ congestion: newReno() });
  const dropping = race([{ tcp: parts() }], { bandwidth: 1e7, delay: 10, queueFrames: 100 }, 8000, 2000);
  const line = { bandwidth: 1e7, delay: 10, queueFrames: 100, markFrames: 20 };
  const marking = race([{ tcp: { ...parts(), ecn: ecn() } }], line, 8000, 2000, 1, { ecn: ecn() });
  const [without, having] = [dropping.outcomes[0]!, marking.outcomes[0]!];
  t.log(
    `round trip ${without.rtt} and ${having.rtt} ms, of the line ${dropping.utilisation} and ${marking.utilisation}`,
  );
  t.is(having.retransmitted, 0);
  t.true(having.rtt * 2 < without.rtt);
  t.true(marking.utilisation > 0.9);
});

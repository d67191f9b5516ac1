/** Who cannot see the segments of a connection cannot harm it: RFC 5961 (RST, SYN, ACK), RFC 5927 (ICMP), RFC 7323 (PAWS). */
import test from "ava";
import { ECONNREFUSED, ECONNRESET, ENETUNREACH } from "../../stack/core/errors.js";
import { ESTABLISHED } from "../../stack/tcp/connection.js";
import { eth, frame, icmp, ip4 } from "../support/packets.js";
import { ALL_OPTIONS, Peer, accepted, connected, drain, lab, logger, patternFrom, show } from "./support.js";
import type { Met } from "./support.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";

/** An ICMP error of the network about a segment with relative sequence number `seq`. */
function icmpError(
  { peer, lab: home }: Met,
  seq: number,
  code: number,
  options: { type?: number; mtu?: number; sport?: number; bytes?: number } = {},
): void {
  const quoted = new Uint8Array(20);
  const view = new DataView(quoted.buffer);
  view.setUint16(0, options.sport ?? peer.stackPort);
  view.setUint16(2, peer.port);
  view.setUint32(4, (peer.irs + seq) >>> 0);
  const inner = frame(ip4({ src: "10.0.0.1", dst: "10.0.0.2", protocol: 6, totalLength: 1500 }), quoted);
  home.probe.send(
    frame(
      eth(),
      ip4({ src: "10.0.0.2" }),
      icmp({ type: options.type ?? 3, code, rest: options.mtu ?? 0 }),
      inner.slice(0, options.bytes ?? 28),
    ),
  );
}

/** Days pass in which other things keep the stack's clock going. */
function idle({ lab: home, run }: Met, days: number): void {
  for (let quarter = 0; quarter < days * 4; quarter++) {
    run(86_400_000 / 4);
    home.stack.now();
  }
}

test("TCP-09: RST exactly next aborts, inside the window is challenged, outside dropped", (t) => {
  const { peer, run, events, lab: home } = accepted(t, { tcp: { receiveBuffer: 10_000 } });
  for (const seq of [0, -1, -100_000, 10_001, 100_000, 0x7fffffff]) peer.send("R", { seq });
  for (const seq of [0, 10_001]) peer.send("RA", { seq });
  peer.silent();
  t.is(home.tcp.counters.badReset, 8);
  for (const seq of [2, 5000, 10_000]) {
    run(600);
    peer.send("R", { seq });
    peer.expect("A", { seq: 1, ack: 1 });
  }
  t.deepEqual(events, []);
  peer.send("R", { seq: 1 });
  run(1);
  t.deepEqual(events, ["close " + ECONNRESET]);
});

test("a challenge is answered by a peer that has forgotten the connection, and that ends it (RFC 5961 section 3.2)", (t) => {
  const { peer, run, events } = accepted(t);
  peer.send("S", { seq: 777_777, mss: 1460 });
  const challenge = peer.expect("A", { seq: 1, ack: 1 });
  peer.send("R", { seq: challenge.ack });
  run(1);
  t.deepEqual(events, ["close " + ECONNRESET]);
});

test("SYN in a synchronised state is challenged, whatever its number and its options (RFC 5961 section 4)", (t) => {
  for (const syn of [{ mss: 1460 }, ALL_OPTIONS]) {
    const { peer, run, socket } = accepted(t, { syn });
    for (const seq of [0, 1, 2, 5000, 1_000_000, -1_000_000]) {
      for (const timestamps of [null, [1, 2]] as (null | [number, number])[]) {
        for (const flags of ["S", "SA", "SF", "SPU"]) {
          run(600);
          peer.send(flags, { seq, timestamps });
          peer.expect("A", { seq: 1, ack: 1 });
          peer.silent();
        }
      }
    }
    t.is(socket.state(), ESTABLISHED);
  }
});

test("TCP-12: challenges are limited for each connection, to two a second, and for none together", (t) => {
  const home = lab(t);
  const one = accepted(t, { lab: home });
  const others = Array.from({ length: 20 }, (_, i) => accepted(t, { lab: home, port: 41_000 + i }));
  for (let i = 0; i < 1000; i++) {
    one.peer.send(["R", "S", "SA", "A"][i % 4], { seq: i % 4 === 3 ? 90_000 : 5, ack: 1 });
    one.run(1);
  }
  const answers = one.peer.take();
  t.true(answers.length >= 2 && answers.length <= 3, answers.length + " in a second");
  for (const other of others) {
    other.peer.send("S", { seq: 5 });
    other.peer.expect("A", { seq: 1, ack: 1 });
  }
});

test("TCP-12: the limit works again after months of silence", (t) => {
  const met = accepted(t);
  const { peer, lab: home } = met;
  peer.send("S", { seq: 5 });
  peer.expect("A");
  idle(met, 30);
  peer.send("S", { seq: 5 });
  peer.expect("A");
  t.is(home.tcp.counters.challengesLimited, 0);
});

test("an acknowledgement from the past or the future is challenged, a recent one is not (RFC 5961 section 5)", (t) => {
  const { peer, socket, run, c } = accepted(t);
  socket.write(patternFrom(0, 100));
  peer.expect("PA");
  peer.send("A", { ack: 101 });
  for (const ack of [102, 70_000, 1_000_000, 101 - 65_536, 101 - 1_000_000]) {
    run(600);
    peer.data(0, 10, { ack });
    peer.expect("A", { seq: 101, ack: 1 });
    t.is(socket.readable(), 0, "its data are not taken");
  }
  run(600);
  peer.data(0, 10, { ack: 1 });
  t.is(socket.readable(), 10);
  t.is(c.sndUna, (c.iss + 101) | 0);
  drain(t, socket, 0);
});

test("data of a blind attacker are not taken: no ACK flag, or outside the window", (t) => {
  const { peer, socket, run } = accepted(t, { tcp: { receiveBuffer: 10_000 } });
  for (const flags of ["", "P", "U", "F", "FPU"]) peer.send(flags, { seq: 1 }, "evil");
  peer.silent();
  peer.send("A", { seq: 1 - 4 }, "evil");
  peer.expect("A", { ack: 1 });
  peer.send("A", { seq: 10_001 }, "evil");
  peer.expect("A", { ack: 1 });
  run(100);
  t.is(socket.readable(), 0);
  t.is(socket.state(), ESTABLISHED);
});

test("segments out of the window are answered once each when they have data, else twice a second", (t) => {
  const { peer } = accepted(t);
  for (let i = 0; i < 10; i++) peer.send("A", { seq: 500_000 });
  t.is(peer.take().length, 1);
  for (let i = 0; i < 10; i++) peer.send("A", { seq: 500_000 }, "x");
  t.is(peer.take().length, 10);
});

test("PAWS: old timestamps make a segment old, whatever its number (RFC 7323 section 5); RST is not judged", (t) => {
  const { peer, socket, run, events, lab: home } = accepted(t, { syn: ALL_OPTIONS });
  peer.data(0, 10);
  t.is(drain(t, socket, 0), 10);
  run(100);
  peer.take();
  peer.data(10, 10, { timestamps: [4000, 0] });
  peer.expect("A", { ack: 11, timestamps: (stamps) => stamps[0] > 0 });
  t.is(socket.readable(), 0);
  t.is(home.tcp.counters.paws, 1);
  peer.data(10, 10, { timestamps: null });
  peer.silent("without the option: dropped");
  t.is(home.tcp.counters.noTimestamp, 1);
  peer.data(10, 10);
  t.is(drain(t, socket, 10), 20);
  peer.send("R", { timestamps: [1, 0] });
  run(1);
  t.is(events.pop(), "close " + ECONNRESET);
});

test("PAWS: RST without timestamps is taken", (t) => {
  const { peer, run, events } = accepted(t, { syn: ALL_OPTIONS });
  peer.send("R", { timestamps: null });
  run(1);
  t.deepEqual(events, ["close " + ECONNRESET]);
});

test("PAWS: after 24 days of silence timestamps no longer count, however long the silence (RFC 7323 section 5.5)", (t) => {
  for (const days of [23, 24.5, 26, 40, 48]) {
    const met = accepted(t, { syn: ALL_OPTIONS });
    const { peer, socket, run } = met;
    idle(met, days);
    peer.data(0, 10, { timestamps: [4000, 0] });
    t.is(socket.readable() > 0, days > 24, days + " days");
    if (days > 24) {
      drain(t, socket, 0);
      run(50);
      peer.take();
      peer.data(10, 10, { timestamps: [4001, 0] });
      t.is(drain(t, socket, 10), 20);
    }
  }
});

test("the timestamp to echo is that of the segment which the last acknowledgement awaited (RFC 7323 section 4.3)", (t) => {
  const { peer, run } = accepted(t, { syn: ALL_OPTIONS });
  const echoed = () => peer.expect("A").tcp.timestamps?.[1];
  peer.data(0, 10, { timestamps: [6000, 0] });
  peer.data(10, 10, { timestamps: [6010, 0] });
  run(50);
  t.is(echoed(), 6000, "of a delayed acknowledgement: the first");
  peer.data(30, 10, { timestamps: [6100, 0] });
  t.is(echoed(), 6000, "of a segment behind a hole: none");
  peer.data(20, 10, { timestamps: [6090, 0] });
  t.is(echoed(), 6090);
});

test("an attacker's timestamp does not stay when its acknowledgement is refused", (t) => {
  const { peer, socket, run } = accepted(t, { syn: ALL_OPTIONS });
  peer.send("A", { seq: 1, ack: 1_000_000, timestamps: [0x7000_0000, 0] });
  run(100);
  peer.take();
  peer.data(0, 10);
  t.is(drain(t, socket, 0), 10);
});

test("ICM-02: ICMP errors end no established connection, whatever they quote", (t) => {
  const met = accepted(t);
  const { socket, peer, events, run, c } = met;
  socket.write(patternFrom(0, 1000));
  peer.take();
  for (let i = 0; i < 2000; i++) {
    const seq = [1, 500, 1000, 1001, 0, -1, 5000, 0x7fffffff][i % 8];
    icmpError(met, seq, [2, 3, 1, 0, 10, 13][i % 6]);
  }
  for (let i = 0; i < 100; i++) icmpError(met, 1, 0, { type: 4 });
  run(1);
  t.deepEqual(events, []);
  t.is(socket.state(), ESTABLISHED);
  t.not(c.softError, 0);
  peer.send("A", { ack: 1001 });
  t.is(c.softError, 0);
  const before = c.softError;
  icmpError(met, 1001, 3);
  icmpError(met, 500, 3);
  t.is(c.softError, before, "nothing of that is in flight");
});

test("ICM-02: SYN-SENT believes an error that quotes its SYN, and only that", (t) => {
  for (const [code, error] of [
    [3, ECONNREFUSED],
    [0, ENETUNREACH],
  ]) {
    const home = lab(t);
    const events: string[] = [];
    const socket = home.tcp.connect({ address: "10.0.0.2", port: 7000, ...logger(events) });
    const peer = new Peer(home, 7000, socket.localPort());
    peer.expect("S");
    const met = { peer, lab: home } as Met;
    for (const seq of [-1, 1, 2, 12_345]) icmpError(met, seq, code);
    icmpError(met, 0, code, { sport: (socket.localPort() % 60_000) + 1 });
    for (let bytes = 0; bytes < 28; bytes++) icmpError(met, 0, code, { bytes });
    home.run(1);
    t.deepEqual(events, []);
    icmpError(met, 0, code);
    home.run(1);
    t.deepEqual(events, ["close " + error]);
  }
});

test("path MTU: the report about a segment in flight makes smaller ones at once, and no loss of it", (t) => {
  const met = connected(t, { components: () => [pmtu()], syn: { mss: 1460 } });
  const { socket, peer, c } = met;
  socket.write(patternFrom(0, 5000));
  t.is(peer.take().length, 4);
  const cwnd = c.cwnd;
  icmpError(met, 1461, 4, { mtu: 1000 });
  met.run(1);
  const again = peer.take();
  t.is(c.mss, 960);
  t.is(again[0].seq, 1);
  t.true(again.every((seen) => seen.length <= 960));
  t.is(Math.max(...again.map((seen) => seen.seq + seen.length)), 5001);
  t.is(c.cwnd, cwnd);
  t.is(met.lab.tcp.counters.timeouts, 0);
  peer.send("A", { ack: 5001 });
});

test("path MTU: the SYN still offers what the link takes", (t) => {
  const met = connected(t, { components: () => [pmtu()], syn: { mss: 1460 } });
  met.socket.write(patternFrom(0, 5000));
  met.peer.take();
  icmpError(met, 1, 4, { mtu: 600 });
  met.run(1);
  t.is(met.c.mss, 560);
  met.socket.abort();
  met.peer.take();
  const again = connected(t, { lab: met.lab, port: 7001 });
  t.is(again.c.mss, 560);
  const home = met.lab;
  home.tcp.connect({ address: "10.0.0.2", port: 7002 });
  t.is(home.probe.takeParsed()[0].tcp?.mss, 1460);
});

test("path MTU: forged reports change nothing: not in flight, larger than the path, or below the floor (RFC 5927 section 7)", (t) => {
  const met = connected(t, { components: () => [pmtu()], syn: { mss: 1460 } });
  const { socket, peer, c } = met;
  socket.write(patternFrom(0, 5000));
  t.is(peer.take().length, 4);
  for (const seq of [0, 5001, 70_000, -5000]) icmpError(met, seq, 4, { mtu: 600 });
  for (const mtu of [1500, 9000, 65_535, 0, 1, 67]) icmpError(met, 1, 4, { mtu });
  met.run(1);
  t.is(c.mss, 1460);
  peer.silent();
  icmpError(met, 1, 4, { mtu: 68 });
  met.run(1);
  t.is(c.mss, 552 - 40);
  peer.take();
});

test("path MTU: without a component that remembers it, a report makes no storm of retransmissions", (t) => {
  const met = connected(t, { syn: { mss: 1460 } });
  const { socket, peer, run } = met;
  socket.write(patternFrom(0, 5000));
  t.is(peer.take().length, 4);
  for (let i = 0; i < 10; i++) {
    icmpError(met, 1, 4, { mtu: 1000 });
    run(1);
  }
  t.deepEqual(peer.take().map(show), []);
});

test("an MTU that is lowered on the interface counts at once", (t) => {
  const { socket, peer, run, lab: home } = connected(t, { syn: { mss: 1460 } });
  socket.write(patternFrom(0, 5000));
  t.is(peer.take().length, 4);
  home.stack.setInterface(home.nif, { mtu: 600 });
  peer.send("A", { ack: 1461 });
  run(1);
  const again = peer.take();
  t.true(again.length > 0 && again.every((seen) => seen.length <= 560));
});

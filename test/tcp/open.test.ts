/** Opening (RFC 9293 section 3.5): handshakes from both sides, their options, and everything that may go wrong. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { CLOSE_WAIT, ESTABLISHED, SYN_RCVD } from "../../stack/tcp/connection.js";
import { ECONNREFUSED, ECONNRESET, ETIMEDOUT } from "../../stack/core/errors.js";
import { get16, get32 } from "../../stack/core/bytes.js";
import { hashOf } from "../../stack/core/hash.js";
import { PROBE_IP } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { CHI_SQUARE, chiSquare, compressed, minEntropy, spectralPeak, steps } from "../support/randomness.js";
import {
  ALL_OPTIONS,
  Peer,
  accepted,
  connected,
  connectionOf,
  drain,
  lab,
  listening,
  logger,
  patternFrom,
  show,
} from "./support.js";
import type { Fields, Lab, LabOptions } from "./support.js";

/** A connection that is being opened by the stack; the peer has the SYN. */
function opening(t: Parameters<typeof lab>[0], options: LabOptions = {}) {
  const home = lab(t, options);
  const events: string[] = [];
  const socket = home.tcp.connect({ address: PROBE_IP, port: 7000, ...logger(events) });
  const peer = new Peer(home, 7000, socket.localPort());
  const syn = peer.expect("S", { seq: 0 });
  return { lab: home, events, socket, peer, syn, c: connectionOf(socket) };
}

/** A connection that is being opened by the peer; it has the SYN-ACK. */
function answering(t: Parameters<typeof lab>[0], options: LabOptions = {}) {
  const home = lab(t, options);
  const listener = listening(home);
  const peer = new Peer(home, 40000, 80);
  peer.send("S", { mss: 1460 });
  const reply = peer.expect("SA", { seq: 0, ack: 1 });
  return { lab: home, listener, peer, reply };
}

test("a SYN has all options, and a window that is not scaled", (t) => {
  const { syn, socket } = opening(t, { tcp: { receiveBuffer: 200_000 } });
  t.is(syn.tcp.mss, 1460);
  t.true(syn.tcp.sackPermitted);
  t.is(syn.tcp.timestamps?.[1], 0);
  t.is(syn.tcp.windowScale, 3);
  t.is(syn.window, 65535);
  t.is(syn.length, 0);
  t.true(socket.localPort() >= 49152);
});

test("options can be switched off", (t) => {
  const { syn } = opening(t, { tcp: { timestamps: false, windowScaling: false, sack: false } });
  t.deepEqual(
    [syn.tcp.mss, syn.tcp.timestamps, syn.tcp.windowScale, syn.tcp.sackPermitted],
    [1460, undefined, undefined, undefined],
  );
});

test("a SYN-ACK repeats no option that the SYN did not have", (t) => {
  const home = lab(t);
  listening(home);
  const bare = new Peer(home, 40000, 80);
  bare.send("S");
  const reply = bare.expect("SA", { ack: 1 });
  t.deepEqual(
    [reply.tcp.mss, reply.tcp.timestamps, reply.tcp.windowScale, reply.tcp.sackPermitted],
    [1460, undefined, undefined, undefined],
  );
  const full = new Peer(home, 40001, 80);
  full.send("S", { ...ALL_OPTIONS, timestamps: [0xfffffff0, 77] });
  const whole = full.expect("SA", { ack: 1 });
  t.is(whole.tcp.timestamps?.[1], 0xfffffff0);
  t.true(whole.tcp.sackPermitted);
  t.true(whole.tcp.windowScale !== undefined);
});

test("SYN in vain: 1, 2, 4, 8 ... seconds, for three minutes at least (RFC 9293, MUST-23), then ETIMEDOUT", (t) => {
  const { lab: home, peer, events } = opening(t);
  const times: number[] = [];
  home.probe.onFrame = () => {
    times.push(home.world.time / 1000);
    return true;
  };
  home.run(400_000);
  t.deepEqual(times, [1, 3, 7, 15, 31, 63, 123]);
  t.deepEqual(events, ["close " + ETIMEDOUT]);
  t.is(home.tcp.connections.size, 0);
  peer.silent();
});

test("SYN-ACK in vain: twice more, then the half-open connection is gone (TCP-13: at most three in all)", (t) => {
  const { lab: home, peer, listener } = answering(t);
  home.run(60_000);
  t.deepEqual(peer.take().map(show), ["SA 0 ack 1", "SA 0 ack 1"]);
  t.is(home.tcp.connections.size, 0);
  t.is(listener.halfOpen, 0);
});

test("RST in answer to a SYN: ECONNREFUSED, but only with the right acknowledgement (TCP-09)", (t) => {
  const { lab: home, peer, events } = opening(t);
  peer.send("R", { seq: 0 });
  peer.send("RA", { seq: 0, ack: 0 });
  peer.send("RA", { seq: 0, ack: 2 });
  home.run(1);
  t.deepEqual(events, []);
  peer.silent();
  peer.send("RA", { seq: 0, ack: 1 });
  home.run(1);
  t.deepEqual(events, ["close " + ECONNREFUSED]);
  peer.silent();
});

test("SYN-SENT: a wrong acknowledgement is answered by a RST of its number, and changes nothing", (t) => {
  const { peer, events, lab: home } = opening(t);
  for (const flags of ["A", "SA", "FA", "SFA"]) {
    for (const ack of [0, 2, 12345]) {
      peer.send(flags, { seq: 0, ack, mss: 1460 });
      peer.expect("R", { seq: ack });
    }
  }
  peer.send("A", { seq: 0, ack: 1 });
  peer.send("F", { seq: 0 });
  peer.send("", { seq: 0 });
  peer.silent("neither SYN nor RST: dropped");
  peer.send("SA", { mss: 1460 });
  peer.expect("A", { seq: 1, ack: 1 });
  home.run(1);
  t.deepEqual(events, ["connect", "writable 65536"]);
});

test("a SYN-ACK from another address opens nothing (TCP-25)", (t) => {
  const { peer, events, lab: home } = opening(t);
  peer.send("SA", { ack: 1, src: "10.0.0.3" });
  home.run(1);
  t.deepEqual(events, []);
  t.is(home.tcp.counters.noPort, 1);
});

test("data and FIN with a SYN-ACK are taken (TCP-20)", (t) => {
  const { peer, events, socket, lab: home } = opening(t);
  peer.send("SFA", { mss: 1460, ack: 1 }, patternFrom(0, 10));
  peer.expect("A", { seq: 1, ack: 12 });
  home.run(1);
  t.deepEqual(events, ["connect", "readable 10", "writable 65536"]);
  t.is(drain(t, socket, 0), 10);
  home.run(1);
  t.is(events.pop(), "end");
  t.is(socket.state(), CLOSE_WAIT);
});

test("data with a SYN are not lost: they come again (TCP-20)", (t) => {
  const home = lab(t);
  listening(home);
  const peer = new Peer(home, 40000, 80);
  peer.send("S", { seq: 0, mss: 1460 }, patternFrom(0, 10));
  peer.expect("SA", { seq: 0, ack: 1 });
  home.run(600);
  peer.send("S", { seq: 0, mss: 1460 }, patternFrom(0, 10));
  peer.expect("SA", { seq: 0, ack: 1 });
  peer.send("A", { seq: 1 }, patternFrom(0, 10));
  home.run(100);
  peer.expect("A", { ack: 11 });
});

test("simultaneous open (RFC 9293, figure 8; TCP-20)", (t) => {
  const { peer, events, socket, lab: home } = opening(t);
  peer.send("S", { mss: 1460, windowScale: 7 });
  peer.expect("SA", { seq: 0, ack: 1 });
  t.is(socket.state(), SYN_RCVD);
  peer.send("SA", { seq: 0, ack: 1, window: 1000, mss: 1460, windowScale: 7 });
  home.run(1);
  t.is(socket.state(), ESTABLISHED);
  t.deepEqual(events, ["connect", "writable 65536"]);
  t.is(connectionOf(socket).sndWnd, 1000, "the window of a segment with SYN is not scaled");
});

test("simultaneous open: our SYN-ACK is repeated, and a plain ACK ends it as well", (t) => {
  const { peer, socket, lab: home } = opening(t);
  peer.send("S", { mss: 1460 });
  peer.expect("SA", { seq: 0, ack: 1 });
  home.run(1000);
  peer.expect("SA", { seq: 0, ack: 1 });
  peer.send("S", { seq: 0, mss: 1460 });
  peer.send("A");
  t.is(socket.state(), ESTABLISHED);
});

test("simultaneous open refused: RST of the right number ends it with ECONNREFUSED", (t) => {
  const { peer, events, lab: home } = opening(t);
  peer.send("S", { mss: 1460 });
  peer.expect("SA", { seq: 0, ack: 1 });
  peer.send("R");
  home.run(1);
  t.deepEqual(events, ["close " + ECONNREFUSED]);
});

test("SYN-RECEIVED: a wrong acknowledgement is answered by a RST of its number (TCP-25)", (t) => {
  const { peer, lab: home } = answering(t);
  for (const ack of [0, 2, 70000]) {
    peer.send("A", { ack });
    peer.expect("R", { seq: ack });
  }
  t.is(home.tcp.connections.size, 1);
  peer.send("A", {}, "");
  t.is(home.tcp.counters.accepts, 1);
  peer.silent();
});

test("SYN-RECEIVED: the same SYN again makes the SYN-ACK come again, but not faster than twice a second (TCP-25)", (t) => {
  const { peer, lab: home } = answering(t);
  for (let i = 0; i < 10; i++) peer.send("S", { seq: 0, mss: 1460 });
  peer.silent();
  home.run(600);
  for (let i = 0; i < 10; i++) peer.send("S", { seq: 0, mss: 1460 });
  peer.expect("SA", { seq: 0, ack: 1 });
  peer.silent();
});

test("SYN-RECEIVED: a SYN of another number is challenged, and the RST that follows ends the half-open connection (TCP-25)", (t) => {
  for (const seq of [5, 100_000, -100_000]) {
    const { peer, lab: home, listener } = answering(t);
    peer.send("S", { seq, mss: 1460 });
    peer.expect("A", { seq: 1, ack: 1 });
    peer.send("R", { seq: 1 });
    t.is(home.tcp.connections.size, 0);
    t.is(listener.halfOpen, 0);
    peer.send("S", { seq, mss: 1460 });
    peer.expect("SA", { ack: seq + 1 });
  }
});

test("SYN-RECEIVED: RST inside the window is challenged, outside it is dropped; with data it is no better (TCP-25)", (t) => {
  const { peer, lab: home, listener } = answering(t);
  peer.send("R", { seq: 2 });
  peer.expect("A", { seq: 1, ack: 1 });
  peer.send("R", { seq: 100_000 });
  peer.send("R", { seq: 0 });
  peer.silent();
  t.is(home.tcp.connections.size, 1);
  peer.send("RA", { seq: 1 }, "bye");
  t.is(home.tcp.connections.size, 0);
  t.is(listener.halfOpen, 0);
});

test("the last segment of the handshake may carry data and FIN", (t) => {
  const { peer, lab: home, listener } = answering(t);
  peer.send("FA", {}, patternFrom(0, 7));
  peer.expect("A", { seq: 1, ack: 9 });
  home.run(1);
  t.is(listener.halfOpen, 0);
  t.is(home.tcp.counters.accepts, 1);
});

test("LISTEN: RST is ignored, ACK gets a RST of its number, all else but a SYN is dropped (TCP-09, TCP-10)", (t) => {
  const home = lab(t);
  listening(home);
  const peer = new Peer(home, 40000, 80);
  for (const flags of ["R", "RA", "RS", "RSA", "F", "SF", "", "P", "U", "FPU", "SFPU"]) {
    peer.send(flags, { seq: 5, ack: 9 });
    peer.silent(flags);
  }
  for (const flags of ["A", "SA", "FA", "SFA", "FPUA"]) {
    peer.send(flags, { seq: 5, ack: 9 });
    peer.expect("R", { seq: 9 });
  }
  t.is(home.tcp.connections.size, 0);
});

test("a SYN with PSH, URG, ECE and CWR is a SYN", (t) => {
  const home = lab(t);
  listening(home);
  const peer = new Peer(home, 40000, 80);
  peer.send("SPUEC", { mss: 1460 });
  peer.expect("SA", { ack: 1 });
});

test("the round trip of the handshake makes the first retransmission timeout; a repeated SYN does not (Karn)", (t) => {
  const quick = opening(t);
  quick.lab.run(50);
  quick.peer.send("SA", { mss: 1460 });
  t.is(quick.c.srtt >> 3, 50);
  t.is(quick.c.rto, 250);

  const slow = opening(t);
  slow.lab.run(3010);
  slow.peer.take();
  slow.peer.send("SA", { mss: 1460 });
  t.is(slow.c.srtt, 0);
  t.is(slow.c.rto, 3000, "RFC 6298 section 5.7");
});

test("the initial window is one segment when the SYN was lost more than once (RFC 6928 section 2)", (t) => {
  const once = opening(t);
  once.lab.run(1500);
  once.peer.take();
  once.peer.send("SA", { mss: 1000 });
  t.is(once.c.cwnd, 10_000);
  const twice = opening(t);
  twice.lab.run(3500);
  twice.peer.take();
  twice.peer.send("SA", { mss: 1000 });
  t.is(twice.c.cwnd, 1000);
});

test("an application that closes while it connects leaves nothing", (t) => {
  const { peer, socket, events, lab: home } = opening(t);
  socket.close();
  t.is(home.tcp.connections.size, 0);
  peer.send("SA", { mss: 1460, ack: 1 });
  peer.expect("R", { seq: 1 });
  t.deepEqual(events, []);
});

test("a shutdown while connecting sends the FIN with the handshake's end", (t) => {
  const { peer, socket, events, lab: home } = opening(t);
  socket.shutdown();
  peer.send("SA", { mss: 1460, ack: 1 });
  peer.expect("FPA", { seq: 1, ack: 1 });
  peer.send("FA", { ack: 2 });
  peer.expect("A", { seq: 2, ack: 2 });
  home.run(1);
  t.deepEqual(events, ["connect", "end", "close 0"]);
});

test("what was received before the end stays readable until close, and a stack that closes takes it back", (t) => {
  const { peer, socket, events, lab: home } = accepted(t);
  peer.send("PA", {}, "hello");
  peer.send("RA");
  home.run(1);
  t.deepEqual(events, ["readable 5", "close " + ECONNRESET]);
  t.is(socket.readable(), 5);
  t.is(home.stack.pool.used, 1);
  const target = new Uint8Array(9);
  t.is(socket.read(target), 5);
  t.is(home.stack.pool.used, 0);
  socket.close();
});

test("an established connection writes and reads", (t) => {
  const { peer, socket, events } = connected(t);
  t.deepEqual(events, ["connect", "writable 65536"]);
  socket.write(patternFrom(0, 10));
  peer.expect("PA", { seq: 1, ack: 1, payload: patternFrom(0, 10) });
  peer.data(0, 20);
  t.is(drain(t, socket, 0), 20);
});

/** Sends a SYN from the stack, and gives up; returns its initial sequence number. */
function numberOf({ tcp: part, probe }: Lab, port: number, localPort = 0, address = PROBE_IP): number {
  part.connect({ address, port, localPort }).abort();
  return get32(probe.next()!, 38);
}

/** Nothing is known of one word by the others. */
function random(t: ExecutionContext, words: Int32Array, what: string): void {
  const apart = steps(words);
  t.true(minEntropy(words) >= 20, `${what}: ${minEntropy(words)} bits`);
  t.true(minEntropy(apart) >= 20, `${what}, differences: ${minEntropy(apart)} bits`);
  t.true(compressed(words) > 0.999, `${what}: compressed to ${compressed(words)}`);
  t.true(spectralPeak(words) < 25, `${what}: a line of ${spectralPeak(words)}`);
  t.true(spectralPeak(apart) < 25, `${what}, differences: a line of ${spectralPeak(apart)}`);
  // Birthdays: of n words n^2 / 2^33 pairs are alike.
  const alike = words.length - new Set(words).size;
  t.true(alike <= 4 + words.length ** 2 / 2 ** 32, `${what}: ${alike} alike`);
}

test("TCP-06: 100,000 initial sequence numbers of different flows: no bit of one tells of another's", (t) => {
  const home = lab(t);
  const numbers = new Int32Array(100_000);
  const early = new Int32Array(1000);
  for (let i = 0; i < numbers.length; i++) {
    if (i % 16 === 0) home.run(1);
    const address = i % 4 ? PROBE_IP : `192.0.2.${1 + (i % 200)}`;
    numbers[i] = numberOf(home, 1 + (i % 60_000), 1 + ((i * 7) % 60_000), address);
    if (i < early.length) early[i] = numbers[i];
  }
  random(t, numbers, "numbers");
  // After a reboot: under the same secret the same function of flow and clock, under another nothing that was.
  for (const seed of [1, 2]) {
    const again = lab(t, { worldOptions: { seed } });
    const alike = early.filter((number, i) => {
      if (i % 16 === 0) again.run(1);
      const address = i % 4 ? PROBE_IP : `192.0.2.${1 + (i % 200)}`;
      return numberOf(again, 1 + (i % 60_000), 1 + ((i * 7) % 60_000), address) === number;
    });
    t.is(alike.length, seed === 1 ? early.length : 0, `seed ${seed}`);
  }
});

test("TCP-06: the numbers of one flow follow a clock of 4 us (RFC 6528), whatever has come in between", (t) => {
  const home = lab(t);
  const first = numberOf(home, 7000, 5000);
  let elapsed = 0;
  for (let i = 0; i < 2000; i++) {
    // From an instant to a quarter of an hour: the number goes round thirty times.
    const pause = (i * i * 7919) % (i % 10 ? 1000 : 900_000);
    home.run(pause);
    elapsed += pause;
    home.probe.take();
    t.is(numberOf(home, 7000, 5000), (first + elapsed * 250) | 0);
  }
  const passive = (fields: Fields, iss: number) => {
    const peer = new Peer(home, 40000, 80, iss);
    peer.send("S", fields);
    peer.expect("SA");
    peer.send("R", { seq: 1 });
    return peer.irs;
  };
  listening(home);
  const before = passive({ mss: 1460 }, 1);
  for (const iss of [0, 1, 0x7fffffff, 0xffffffff]) {
    for (const fields of [
      {},
      ALL_OPTIONS,
      { mss: 100, window: 0 },
      { options: new Uint8Array(40).fill(0xee) },
    ]) {
      t.is(passive(fields, iss), before, "no word of the SYN's goes into it");
      const other = new Peer(home, 41_000, 80, iss);
      other.send("S", fields, patternFrom(0, 100));
      other.send("R", { seq: 1 });
      other.take();
    }
  }
});

test("TCP-06: each of 128 bits of the secret counts", (t) => {
  const home = lab(t);
  const key = new Uint8Array(16);
  const number = () => connectionOf(home.tcp.connect({ address: PROBE_IP, port: 7000, localPort: 5000 }));
  const numbers = new Int32Array(129);
  for (let bit = -1; bit < 128; bit++) {
    if (bit >= 0) key[bit >> 3] ^= 1 << (bit & 7);
    hashOf(home.stack).key(key);
    if (bit >= 0) key[bit >> 3] ^= 1 << (bit & 7);
    const c = number();
    numbers[bit + 1] = c.iss;
    c.socket!.abort();
  }
  t.is(new Set(numbers).size, 129);
  const flipped = numbers.slice(1).reduce((sum, number) => sum + ones(number ^ numbers[0]), 0);
  t.true(Math.abs(flipped / 128 - 16) < 1, `${flipped / 128} of 32 bits change with one`);
});

function ones(word: number): number {
  let count = 0;
  for (; word !== 0; word &= word - 1) count++;
  return count;
}

test("TCP-08: ports and timestamps of 10,000 connections: no other flow's tell of them", (t) => {
  // RFC 6056 algorithm 2: there is no counter and no table of counters that one destination could learn of another by.
  const NEAR = PROBE_IP;
  const FAR = "192.0.2.1";
  const COUNT = 10_000;
  const open = (seed: number, count: number) => {
    const home = lab(t, { tcp: { limit: COUNT }, worldOptions: { seed } });
    home.run(1000);
    const now = home.stack.now();
    const ports: number[] = [];
    const offsets = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      home.tcp.connect({ address: i & 1 ? FAR : NEAR, port: 7000 });
      const bytes = home.probe.next()!;
      ports.push(get16(bytes, 34));
      offsets[i] = parseFrame(bytes).tcp!.timestamps![0] - now;
    }
    return { ports, offsets };
  };
  const { ports, offsets } = open(1, COUNT);
  const high = (port: number) => (port & 16383) >> 6;
  for (const parity of [0, 1]) {
    const own = ports.filter((_, i) => (i & 1) === parity);
    t.is(new Set(own).size, own.length, "one flow each");
    t.true(own.every((port) => port >= 49152));
    t.true(chiSquare(own.map(high)) < CHI_SQUARE);
    t.true(chiSquare(own.slice(1).map((port, i) => high(port - own[i]))) < CHI_SQUARE);
  }
  t.true(chiSquare(ports.slice(1).map((port, i) => high(port - ports[i]))) < CHI_SQUARE);
  random(t, offsets, "offsets");
  t.true(chiSquare(ports.map((port, i) => (port ^ offsets[i]) & 255)) < CHI_SQUARE);
  const other = open(2, 1000);
  t.true(other.ports.filter((port, i) => port === ports[i]).length < 5);
  t.is(other.offsets.filter((offset, i) => offset === offsets[i]).length, 0);
});

/** Opening (RFC 9293 section 3.5): handshakes from both sides, their options, and everything that may go wrong. */
import test from "ava";
import { CLOSE_WAIT, ESTABLISHED, SYN_RCVD } from "../../stack/tcp/connection.js";
import { ECONNREFUSED, ECONNRESET, ETIMEDOUT } from "../../stack/core/errors.js";
import { PROBE_IP } from "../support/packets.js";
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
import type { LabOptions } from "./support.js";

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

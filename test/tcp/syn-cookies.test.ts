/** SYN cookies (RFC 4987 section 3.6): connections while a flood of forged SYNs fills the SYN queue, and forged cookies. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import type { Ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { abort } from "../../stack/tcp/close.js";
import { synCookies } from "../../stack/tcp/syn-cookies.js";
import type { CookieCounters } from "../../stack/tcp/syn-cookies.js";
import { macText } from "../support/bytes.js";
import { pair } from "../support/network.js";
import { eth, frame, ip4, ip6, tcp, tcpOptions } from "../support/packets.js";
import { Peer, accepted, drain, lab, listening } from "./support.js";
import type { Fields, Lab, LabOptions } from "./support.js";

const BACKLOG = 8;

/** A lab whose listener at port 80 has a full SYN queue. */
function flooded(t: ExecutionContext, options: LabOptions = {}): Lab {
  const home = lab(t, { ...options, tcp: { cookies: synCookies(), ...options.tcp } });
  listening(home, 80, { backlog: BACKLOG });
  for (let i = 0; i < BACKLOG; i++) new Peer(home, 50_000 + i, 80).send("S");
  home.probe.take();
  return home;
}

const counters = (home: Lab) => home.stack.counters.cookies as unknown as CookieCounters;
const random = (i: number) => Math.imul(i ^ 0x5bd1e995, 0x9e3779b1) >>> 0;

test("while there is room, no cookie is sent, and none is believed (TCP-24)", (t) => {
  const home = lab(t, { tcp: { cookies: synCookies() } });
  const { c } = accepted(t, { lab: home });
  t.is(counters(home).sent, 0);
  for (let i = 0; i < 1000; i++) new Peer(home, 41_000 + i, 80).send("A", { ack: random(i) });
  t.is(home.tcp.connections.size, 1);
  t.deepEqual({ ...counters(home) }, { sent: 0, accepted: 0, invalid: 0 });
  abort(c, 0);
});

for (const [name, syn, scale, sack, mss] of [
  ["all options", { mss: 1460, windowScale: 7, sackPermitted: true, timestamps: [5000, 0] }, 7, true, 1448],
  ["no SACK", { mss: 1400, windowScale: 14, timestamps: [5000, 0] }, 14, false, 1348],
  ["no window scale", { mss: 9000, sackPermitted: true, timestamps: [5000, 0] }, -1, true, 1448],
  [
    "no timestamps: window scale and SACK are lost",
    { mss: 1220, windowScale: 7, sackPermitted: true },
    -1,
    false,
    1220,
  ],
  ["nothing", {}, -1, false, 536],
  ["an MSS that is a lie", { mss: 1 }, -1, false, 64],
] as [string, Fields, number, boolean, number][]) {
  test(`a connection by cookie, ${name}`, (t) => {
    const home = flooded(t);
    const held = home.stack.pool.used;
    const { socket, peer, c } = accepted(t, { lab: home, syn, port: 40_001 });
    t.deepEqual([counters(home).sent, counters(home).accepted], [1, 1]);
    t.is(home.stack.pool.used, held);
    t.deepEqual(
      [c.scaling ? c.sndScale : -1, c.sackPermitted, c.timestamps],
      [scale, sack, "timestamps" in syn],
    );
    t.is(c.mss, Math.min(mss, 1460));
    peer.data(0, 3000);
    t.is(drain(t, socket, 0), 3000);
    home.run(100);
    peer.take();
    t.is(socket.write(new Uint8Array(100)), 100);
    home.run(1);
    t.is(
      peer.take().reduce((sum, { length }) => sum + length, 0),
      100,
    );
    peer.send("A");
    home.run(200);
    t.is(c.sndUna, c.sndNxt);
    socket.abort();
  });
}

test("timestamps do not go back from the cookie to what follows, whatever the clock", (t) => {
  for (let ms = 0; ms < 70; ms++) {
    const home = flooded(t);
    home.run(ms);
    const syn: Fields = { windowScale: 3, sackPermitted: true, timestamps: [1, 0] };
    const peer = new Peer(home, 40_001, 80);
    peer.send("S", syn);
    const stamp = peer.expect("SA").tcp.timestamps![0];
    peer.stamped = true;
    peer.data(0, 1);
    home.run(50);
    const [answer] = peer.take();
    t.true(((answer.tcp.timestamps![0] - stamp) | 0) >= 0);
    t.true(((answer.tcp.timestamps![0] - stamp) | 0) < 32 + 50);
    home.tcp.connections.each((c) => abort(c, 0));
  }
});

test("the ACK may be lost: data end the handshake as well; a SYN that comes again gets the same cookie", (t) => {
  const home = flooded(t);
  const peer = new Peer(home, 40_001, 80);
  peer.send("S", { mss: 1460 });
  peer.expect("SA", { seq: 0 });
  peer.send("S", { seq: 0, mss: 1460 });
  peer.expect("SA", { seq: 0 });
  peer.data(0, 10, {}, "PA");
  t.is(counters(home).accepted, 1);
  home.tcp.connections.each((c) => abort(c, 0));
});

test("a backlog that is full lets an ACK wait, and sends no cookies", (t) => {
  const home = lab(t, { tcp: { cookies: synCookies() } });
  const listener = home.tcp.listen({ port: 80, backlog: 1 });
  const [first, second, third] = [0, 1, 2].map((i) => new Peer(home, 40_000 + i, 80));
  first.send("S");
  first.expect("SA");
  second.send("S");
  second.expect("SA");
  first.send("A");
  second.send("A");
  second.silent("no room in the backlog: not a word");
  third.send("S");
  third.silent();
  t.is(counters(home).accepted, 0);
  const socket = listener.accept()!;
  second.send("A");
  t.is(counters(home).accepted, 1);
  listener.close();
  socket.abort();
});

test("TCP-24 200,000 guesses at a cookie: none is right, RSTs are few; a cookie ends with its period", (t) => {
  const home = flooded(t);
  const peer = new Peer(home, 40_001, 80);
  peer.send("S");
  const { tcp: reply } = peer.expect("SA");
  for (let i = 0; i < 200_000; i++) {
    const guess = frame(
      eth(),
      ip4(),
      tcp({ sport: 40_001, dport: 80, flags: "A", seq: 1001, ack: random(i) }),
    );
    home.probe.send(guess);
  }
  t.is(counters(home).accepted, 0);
  t.is(counters(home).invalid, 200_000);
  t.true(home.probe.take().length <= 100);
  // Bits of the right one, changed one by one; another peer's number; another port.
  for (let bit = 0; bit < 32; bit++) {
    const ack = ((reply.seq ^ (1 << bit)) + 1) >>> 0;
    home.probe.send(frame(eth(), ip4(), tcp({ sport: 40_001, dport: 80, flags: "A", seq: 1001, ack })));
  }
  const ack = (reply.seq + 1) >>> 0;
  home.probe.send(frame(eth(), ip4(), tcp({ sport: 40_001, dport: 80, flags: "A", seq: 1002, ack })));
  home.probe.send(frame(eth(), ip4(), tcp({ sport: 40_002, dport: 80, flags: "A", seq: 1001, ack })));
  t.is(counters(home).accepted, 0);
  // Another flood goes on meanwhile: cookies are out all the time.
  for (let s = 0; s < 14; s++) {
    home.run(10_000);
    for (let i = 0; i < BACKLOG + 1; i++) new Peer(home, 51_000 + i, 80).send("S");
  }
  peer.send("A");
  t.is(counters(home).accepted, 0, "two periods later");
});

test("any SYN: the cookie comes back as a connection of the same settings, at any time within a period", (t) => {
  const option = fc.record(
    {
      mss: fc.integer({ min: 64, max: 65535 }),
      windowScale: fc.nat(20),
      sackPermitted: fc.constant(true),
      timestamps: fc.tuple(fc.nat(0xffffffff), fc.constant(0)) as fc.Arbitrary<[number, number]>,
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(option, fc.nat(0xffffffff), fc.nat(60_000), fc.nat(200_000), (syn, iss, wait, before) => {
      const home = flooded(t);
      home.run(before);
      for (let i = 0; i < BACKLOG; i++) new Peer(home, 52_000 + i, 80).send("S");
      home.probe.take();
      const peer = new Peer(home, 40_001, 80, iss);
      peer.send("S", syn);
      const reply = peer.expect("SA", { ack: 1 });
      peer.stamped = Boolean(syn.timestamps && reply.tcp.timestamps);
      if (syn.timestamps) peer.clock = syn.timestamps[0];
      home.run(wait);
      home.probe.take();
      peer.send("A");
      t.is(counters(home).accepted, 1);
      home.run(0);
      home.tcp.connections.each((c) => {
        if (c.remotePort !== 40_001) return;
        t.is(c.timestamps, Boolean(syn.timestamps));
        t.is(c.scaling, Boolean(syn.timestamps) && syn.windowScale !== undefined);
        if (c.scaling) t.is(c.sndScale, Math.min(14, syn.windowScale!));
        t.is(c.sackPermitted, Boolean(syn.timestamps && syn.sackPermitted));
        t.true(c.peerMss <= Math.max(64, syn.mss ?? 536));
      });
      home.tcp.connections.each((c) => abort(c, 0));
      home.run(200_000);
    }),
    { numRuns: 60 },
  );
});

/** 100 connections while 1,500 forged SYNs come a second; how many there were after three SYNs at most. */
function underFlood(t: ExecutionContext, cookies: boolean, family: 4 | 6) {
  const { a, b, world } = pair(t, {
    tcp: { cookies: cookies ? synCookies() : undefined, synRetries: 2 },
    components: () => [ipv6({ linkLocal: false }), icmpv6(), nd()],
  });
  [a, b].forEach(({ stack, nif }, i) => (stack.network(6) as Ipv6).addAddress(nif, `2001:db8::${i + 1}/64`));
  const address = family === 4 ? b.address : "2001:db8::2";
  let accepts = 0;
  let connected = 0;
  let sent = 0;
  let halfOpen = 0;
  const listener = b.tcp.listen({
    port: 80,
    backlog: BACKLOG,
    onConnection(socket) {
      accepts++;
      socket.handle({ onEnd: () => socket.close() });
    },
  });
  const mac = b.link.mac!;
  const flood = () => {
    for (let i = 0; i < 15; i++) {
      const n = random(sent++);
      const src = family === 4 ? `10.0.0.${3 + (n % 250)}` : "2001:db8::" + ((n & 0xffff) + 3).toString(16);
      const header = family === 4 ? ip4({ src, dst: address }) : ip6({ src, dst: address });
      const syn = tcp({
        sport: 1024 + (n >>> 17),
        dport: 80,
        flags: "S",
        seq: n,
        options: tcpOptions({ mss: 1460 }),
      });
      const bytes = frame(eth({ dst: macText(mac), src: "02:00:00:00:77:77" }), header, syn);
      b.nif.receive(bytes, 0, bytes.length);
    }
    halfOpen = Math.max(halfOpen, listener.halfOpen);
    if (world.time < 10_000) world.at(10, flood);
  };
  flood();
  for (let i = 0; i < 100; i++) {
    world.at(i * 50, () =>
      a.tcp.connect({
        address,
        port: 80,
        onConnect() {
          connected++;
          this.close();
        },
        onClose() {
          this.close();
        },
      }),
    );
  }
  world.run(30_000);
  t.true(halfOpen <= BACKLOG + 1);
  t.is(connected, accepts);
  t.log(`IPv${family}, ${sent} forged SYNs${cookies ? ", cookies" : ""}: ${connected} of 100 connected`);
  listener.close();
  return connected;
}

for (const family of [4, 6] as const) {
  test(`TCP-13 under a flood of forged SYNs over IPv${family}, 95 of 100 connect by cookies; without, few do`, (t) => {
    t.true(underFlood(t, true, family) >= 95);
    t.true(underFlood(t, false, family) < 50);
  });
}

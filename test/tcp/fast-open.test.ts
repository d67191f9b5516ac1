/** TCP Fast Open (RFC 7413): both roles, cookies and their keys, what is refused, and hostile SYNs. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { ESTABLISHED } from "../../stack/tcp/connection.js";
import { fastOpen } from "../../stack/tcp/fast-open.js";
import type { FastOpen, FastOpenCounters, FastOpenOptions } from "../../stack/tcp/fast-open.js";
import type { TcpConfiguration } from "../../stack/tcp/tcp.js";
import { rack } from "../../stack/tcp/rack.js";
import { bbr } from "../../stack/tcp/bbr.js";
import { pair } from "../support/network.js";
import { PROBE_IP } from "../support/packets.js";
import { ALL_OPTIONS, Peer, connectionOf, drain, lab, listening, logger, patternFrom } from "./support.js";
import type { Fields, Lab } from "./support.js";

const COOKIE = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const ASK = new Uint8Array(0);

interface Early extends Lab {
  part: FastOpen;
  counters: FastOpenCounters;
}

function early(t: ExecutionContext, options: FastOpenOptions = {}, tcp: TcpConfiguration = {}): Early {
  const part = fastOpen(options);
  const home = lab(t, { tcp, components: () => [part] });
  return { ...home, part, counters: home.stack.counters.fastOpen as unknown as FastOpenCounters };
}

/** The stack connects with `length` bytes of the pattern; its SYN. */
function opens(home: Early, length: number, port = 7000) {
  const events: string[] = [];
  const socket = home.part.connect({ address: PROBE_IP, port, ...logger(events) }, patternFrom(0, length));
  const peer = new Peer(home, port, socket.localPort());
  return { socket, events, peer, syn: peer.expect("S") };
}

/** The stack has the probe's cookie. */
function acquainted(home: Early, cookie = COOKIE, reply: Fields = { mss: 1460 }): void {
  const { peer, socket, syn } = opens(home, 1, 7999);
  home.t.deepEqual(syn.tcp.fastOpen, ASK);
  peer.send("SA", { ...reply, fastOpen: cookie });
  peer.take();
  socket.abort();
  home.run(0);
  home.probe.take();
}

/** A SYN to the stack with a cookie and data; what the stack answers. */
function knocks(home: Lab, port: number, fastOpen: Uint8Array, length: number, more: Fields = {}) {
  const peer = new Peer(home, port, 80);
  peer.send("S", { ...ALL_OPTIONS, fastOpen, ...more }, patternFrom(0, length));
  peer.seq = 1;
  peer.stamped = true;
  return peer;
}

/** The cookie that the stack gives to the probe. */
function ask(home: Lab, port = 39_999): Uint8Array {
  const peer = knocks(home, port, ASK, 0);
  const { tcp } = peer.expect("SA", { ack: 1 });
  peer.send("R", { seq: 1 });
  home.run(0);
  return tcp.fastOpen!;
}

test("client: asks for a cookie, and sends the data after the handshake; the next SYN carries both", (t) => {
  const home = early(t);
  const first = opens(home, 100);
  t.deepEqual([first.syn.tcp.fastOpen, first.syn.length], [ASK, 0]);
  first.peer.send("SA", { mss: 1460, fastOpen: COOKIE });
  t.is(first.peer.expect("PA", { seq: 1, payload: patternFrom(0, 100) }).length, 100);
  const second = opens(home, 3000, 7001);
  t.deepEqual(second.syn.tcp.fastOpen, COOKIE);
  const inSyn = second.syn.length;
  t.true(inSyn > 1400 && inSyn <= 1460, String(inSyn));
  t.deepEqual(second.syn.payload, patternFrom(0, inSyn));
  second.peer.send("SA", { mss: 1460, ack: 1 + inSyn });
  const rest = second.peer.take();
  t.is(rest[0]!.seq, 1 + inSyn);
  t.is(
    rest.reduce((sum, { length }) => sum + length, 0),
    3000 - inSyn,
  );
  second.peer.send("A");
  home.run(0);
  t.deepEqual(second.events.slice(0, 1), ["connect"]);
  t.is(connectionOf(second.socket).sndBuf.length, 0);
  t.deepEqual({ ...home.counters }, { ...home.counters, asked: 1, sent: 1, taken: 1, refused: 0 });
});

test("client: a server that takes part of the data, or none, gets the rest at once; its new cookie is the next one's", (t) => {
  const home = early(t);
  acquainted(home);
  const { peer } = opens(home, 500);
  peer.send("SA", { mss: 1460, ack: 201 });
  t.is(peer.expect("PA", { seq: 201 }).length, 300);
  const none = opens(home, 500, 7001);
  const fresh = Uint8Array.of(9, 9, 9, 9);
  none.peer.send("SA", { mss: 1460, ack: 1, fastOpen: fresh });
  none.peer.expect("PA", { seq: 1, payload: patternFrom(0, 500) });
  t.deepEqual(opens(home, 5, 7002).syn.tcp.fastOpen, fresh);
  t.deepEqual([home.counters.taken, home.counters.refused], [1, 1]);
  t.is(home.stack.counters.tcp!.retransmitted, 0);
});

test("client: a SYN that is lost goes again without option and data, and the server is spared for a while", (t) => {
  const home = early(t, { refusal: 60_000 });
  acquainted(home);
  const { peer, syn } = opens(home, 500);
  t.is(syn.length, 500);
  home.run(1000);
  const again = peer.expect("S", { seq: 0 });
  t.deepEqual([again.tcp.fastOpen, again.length], [undefined, 0]);
  peer.send("SA", { mss: 1460, ack: 1 });
  peer.expect("PA", { seq: 1, payload: patternFrom(0, 500) });
  const plain = opens(home, 10, 7001);
  t.deepEqual([plain.syn.tcp.fastOpen, plain.syn.length], [undefined, 0]);
  plain.peer.send("SA", { mss: 1460 });
  plain.peer.expect("PA", { seq: 1, payload: patternFrom(0, 10) });
  home.run(61_000);
  home.probe.take();
  t.deepEqual(opens(home, 10, 7002).syn.tcp.fastOpen, COOKIE);
});

test("client: only the SYN-ACK was lost: what it acknowledges later was taken", (t) => {
  const home = early(t);
  acquainted(home);
  const { peer, events } = opens(home, 500);
  home.run(1000);
  peer.expect("S");
  peer.send("SA", { mss: 1460, ack: 501 });
  peer.expect("A", { seq: 501 });
  home.run(0);
  t.is(events[0], "connect");
});

test("client: who gives no cookie is not asked again for a while; cookies that are no cookies are none", (t) => {
  const home = early(t);
  const answers: Fields[] = [{}, { fastOpen: Uint8Array.of(1, 2, 3) }, { fastOpen: new Uint8Array(16) }];
  answers.forEach((answer, i) => {
    const { peer, syn } = opens(home, 10, 7000 + i);
    t.deepEqual(syn.tcp.fastOpen, ASK);
    peer.send("SA", { mss: 1460, ...answer });
    peer.expect("PA", { seq: 1, payload: patternFrom(0, 10) });
    t.is(opens(home, 10, 7100 + i).syn.tcp.fastOpen, undefined);
    home.run(600_000);
    home.probe.take();
  });
});

test("client: acknowledgements of what was not sent are refused by a reset (RFC 9293 section 3.10.7.3)", (t) => {
  const home = early(t);
  acquainted(home);
  const { peer, events } = opens(home, 500);
  for (const ack of [0, -1, 502, 0x7fffffff]) {
    peer.send("SA", { mss: 1460, seq: 0, ack });
    peer.expect("R");
  }
  t.deepEqual(events, []);
});

test("client: a small MSS and a small cache", (t) => {
  const home = early(t, { cache: 1 });
  acquainted(home, COOKIE, { mss: 100 });
  const { syn } = opens(home, 500);
  t.true(syn.length > 40 && syn.length <= 100, String(syn.length));
  t.throws(() => home.part.connect({ address: PROBE_IP, port: 1 }, new Uint8Array(1 << 20)), {
    code: "EINVAL",
  });
  t.throws(() => home.part.connect({ address: PROBE_IP, port: 0 }, new Uint8Array(1)), { code: "EINVAL" });
  t.throws(() => home.part.connect({ address: PROBE_IP, port: 1 }, "data" as never), { code: "EINVAL" });
  t.throws(() => fastOpen({ pending: -1 }), { code: "EINVAL" });
  // What was refused above must not go with another's SYN.
  const socket = home.tcp.connect({ address: PROBE_IP, port: 7001 });
  t.is(new Peer(home, 7001, socket.localPort()).expect("S").tcp.fastOpen, undefined);
  const other = opens(home, 1, 7002);
  t.deepEqual(other.syn.tcp.fastOpen, COOKIE);
});

test("server: data with a good cookie are delivered, and answered, before the handshake ends", (t) => {
  const home = early(t);
  const sockets = listening(home, 80, {
    fastOpen: true,
    onConnection(socket) {
      socket.handle({
        onReadable() {
          got = drain(t, socket, 0);
          t.is(socket.write(patternFrom(0, 2000)), 2000);
        },
      });
    },
  });
  let got = 0;
  const cookie = ask(home);
  t.is(cookie.length, 8);
  const peer = knocks(home, 40_000, cookie, 300);
  peer.expect("SA", { ack: 301 });
  home.run(0);
  t.is(got, 300);
  peer.seq = 301;
  const answer = peer.take();
  t.deepEqual(
    answer.map(({ seq, ack }) => [seq, ack]),
    [
      [1, 301],
      [1449, 301],
    ],
  );
  peer.send("A");
  home.run(300);
  peer.silent();
  t.deepEqual({ ...home.counters }, { ...home.counters, granted: 1, accepted: 1, invalid: 0 });
  t.is(sockets.halfOpen, 0);
  const c = home.tcp.connections.first(home.tcp.last!.hash)!;
  t.deepEqual([c.state, c.sndUna === c.sndNxt], [ESTABLISHED, true]);
});

test("server: without fastOpen of the listener, without cookie, with a wrong one or another's the data wait for the handshake", (t) => {
  const home = early(t);
  listening(home, 80, { fastOpen: true });
  listening(home, 81);
  const cookie = ask(home);
  const wrong = cookie.slice();
  wrong[7]! ^= 1;
  const plain = new Peer(home, 41_000, 81);
  plain.send("S", { mss: 1460, fastOpen: cookie }, "hello");
  t.is(plain.expect("SA", { ack: 1 }).tcp.fastOpen, undefined);
  for (const [i, bytes] of [ASK, wrong, cookie.subarray(0, 4), new Uint8Array(8)].entries()) {
    const peer = knocks(home, 42_000 + i, bytes, 10);
    t.deepEqual(peer.expect("SA", { ack: 1 }).tcp.fastOpen, cookie, String(i));
    peer.data(0, 10);
    home.run(100);
    t.is(peer.take().at(-1)!.ack, 11);
  }
  const other = knocks(home, 43_000, cookie, 10, { src: "10.0.0.77" });
  t.is(home.counters.accepted, 0);
  t.is(home.counters.invalid, 4);
  home.run(0);
  other.take();
});

test("server: keys change; the last one's cookies hold for one period more, and are replaced", (t) => {
  const home = early(t, { rotation: 10_000 });
  listening(home, 80, { fastOpen: true });
  const cookie = ask(home);
  home.run(9_000);
  t.is(knocks(home, 40_000, cookie, 5).expect("SA", { ack: 6 }).tcp.fastOpen, undefined);
  home.run(2_000);
  home.probe.take();
  const fresh = knocks(home, 40_001, cookie, 5).expect("SA", { ack: 6 }).tcp.fastOpen!;
  t.notDeepEqual(fresh, cookie);
  home.run(11_000);
  home.probe.take();
  knocks(home, 40_002, cookie, 5).expect("SA", { ack: 1 });
  knocks(home, 40_003, fresh, 5).expect("SA", { ack: 6 });
  home.run(25_000);
  home.probe.take();
  knocks(home, 40_004, fresh, 5).expect("SA", { ack: 1 });
  t.is(home.counters.invalid, 2);
});

test("server: a flood with a stolen cookie takes no more than `pending`, and resets do not hide it (RFC 7413 section 5.1)", (t) => {
  const home = early(t, { pending: 4 });
  listening(home, 80, { fastOpen: true, backlog: 100 });
  const cookie = ask(home);
  for (let i = 0; i < 4; i++) knocks(home, 40_000 + i, cookie, 100).expect("SA", { ack: 101 });
  for (let i = 0; i < 50; i++) {
    const peer = knocks(home, 41_000 + i, cookie, 100);
    peer.expect("SA", { ack: 1 });
    peer.send("R", { seq: 1 });
  }
  t.deepEqual([home.counters.accepted, home.counters.full], [4, 50]);
  for (let i = 0; i < 4; i++) new Peer(home, 40_000 + i, 80).send("R", { seq: 101 });
  home.run(0);
  t.is(home.tcp.connections.size, 0);
  home.probe.take();
  knocks(home, 42_000, cookie, 100).expect("SA", { ack: 1 });
  home.run(61_000);
  home.probe.take();
  knocks(home, 42_001, cookie, 100).expect("SA", { ack: 101 });
});

test("server: one that ends its handshake makes room for the next", (t) => {
  const home = early(t, { pending: 1 });
  listening(home, 80, { fastOpen: true, backlog: 100 });
  const cookie = ask(home);
  for (let i = 0; i < 5; i++) {
    const peer = knocks(home, 40_000 + i, cookie, 100);
    peer.expect("SA", { ack: 101 });
    peer.seq = 101;
    peer.send("A");
  }
  t.deepEqual([home.counters.accepted, home.counters.full], [5, 0]);
});

test("server: the SYN-ACK is sent until it is acknowledged, for its timer and for the SYN that comes again; then the answer that was lost", (t) => {
  const home = early(t);
  let answered: ReturnType<typeof connectionOf> | null = null;
  listening(home, 80, {
    fastOpen: true,
    onConnection(socket) {
      socket.write(patternFrom(0, 50));
      answered = connectionOf(socket);
    },
  });
  const cookie = ask(home);
  const peer = knocks(home, 40_000, cookie, 10);
  peer.expect("SA", { ack: 11 });
  peer.expect("PA", { seq: 1 });
  home.run(600);
  peer.send("S", { ...ALL_OPTIONS, seq: 0 });
  peer.expect("SA", { seq: 0, ack: 11 });
  home.run(5000);
  const repeated = peer.take();
  t.true(repeated.length >= 1 && repeated.every(({ flags, ack }) => flags === "SA" && ack === 11));
  peer.seq = 11;
  peer.send("A", { ack: 1 });
  home.run(10_000);
  t.is(peer.take()[0]!.length, 50, "lost with the first SYN-ACK");
  peer.send("A");
  home.run(0);
  t.is(answered!.sndUna, answered!.sndNxt);
});

test("server: who never acknowledges is given up, and the application is told", (t) => {
  const home = early(t);
  const events: string[] = [];
  listening(home, 80, { fastOpen: true, onConnection: (socket) => socket.handle(logger(events)) });
  knocks(home, 40_000, ask(home), 10);
  home.run(400_000);
  t.is(home.tcp.connections.size, 0);
  t.is(events[0], "readable 10");
  t.regex(events[1]!, /^close -/);
});

test("both ends: a request and its answer take one round trip instead of two", (t) => {
  const times: number[] = [];
  const parts: FastOpen[] = [];
  const { b, world } = pair(t, {
    delay: 50,
    components() {
      parts.push(fastOpen());
      return [parts.at(-1)!];
    },
  });
  b.tcp.listen({
    port: 80,
    fastOpen: true,
    onConnection(socket) {
      socket.handle({
        onReadable: (count) => void (drain(t, socket, 0), socket.write(patternFrom(0, count))),
        onEnd: () => socket.close(),
      });
    },
  });
  for (let i = 0; i < 3; i++) {
    const start = world.time;
    parts[0]!.connect(
      {
        address: b.address,
        port: 80,
        onReadable() {
          times.push(world.time - start);
          drain(t, this, 0);
          this.close();
        },
      },
      patternFrom(0, 1000),
    );
    world.run(5000);
  }
  t.true(times[0]! >= 200 && times[1]! >= 100 && times[1]! < 110 && times[2]! < 110, times.join());
  world.run(120_000);
});

test("whatever comes while a handshake with data is open, nothing is thrown, and the flow ends or goes on", (t) => {
  const segment = fc.record({
    flags: fc.constantFrom("A", "S", "SA", "R", "F", "AF", "AP", ""),
    seq: fc.integer({ min: -3, max: 400 }),
    ack: fc.integer({ min: -3, max: 400 }),
    window: fc.constantFrom(0, 1, 100, 65535),
    length: fc.constantFrom(0, 1, 100, 1400),
    sack: fc.array(fc.tuple(fc.integer({ min: -5, max: 300 }), fc.integer({ min: -5, max: 300 })), {
      maxLength: 3,
    }),
    wait: fc.constantFrom(0, 0, 1, 50, 1000, 20_000),
  });
  fc.assert(
    fc.property(
      fc.array(segment, { maxLength: 12 }),
      fc.boolean(),
      fc.boolean(),
      (segments, modern, server) => {
        const home = early(t, {}, modern ? { recovery: rack(), congestion: bbr() } : {});
        let peer: Peer;
        if (server) {
          listening(home, 80, {
            fastOpen: true,
            onConnection: (socket) => void socket.write(patternFrom(0, 5000)),
          });
          peer = knocks(home, 40_000, ask(home), 100);
          peer.expect("SA", { ack: 101 });
        } else {
          acquainted(home);
          peer = opens(home, 300).peer;
        }
        for (const { flags, seq, ack, window, length, sack, wait } of segments) {
          peer.send(
            flags,
            { seq, ack, window, sack: sack.length > 0 ? sack : undefined },
            patternFrom(0, length),
          );
          home.run(wait);
          home.tcp.connections.each((c) => {
            if (!(c.sndBuf.length >= 0 && c.cwnd >= 0 && ((c.sndNxt - c.sndUna) | 0) >= 0)) t.fail();
          });
        }
        home.tcp.connections.each((c) => void c.socket?.abort());
        home.stack.close();
        return true;
      },
    ),
    { numRuns: 150 },
  );
  t.pass();
});

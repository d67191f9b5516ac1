/** What strangers send, and what time does: SEC-01 to SEC-10 of the hostile cases; the replay window and selectors by property. */
import test from "ava";
import fc from "fast-check";
import { CIPHER_DONE, CIPHER_FAILED } from "../../hypercall/crypto.js";
import type { Cipher, CipherJob } from "../../hypercall/crypto.js";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { EACCES, EAGAIN } from "../../stack/core/errors.js";
import { POLICY_TAKEN } from "../../stack/core/network.js";
import type { Table } from "../../stack/core/table.js";
import { Flow } from "../../stack/ipsec/flow.js";
import { mergeEcn } from "../../stack/ipsec/header.js";
import type { IpsecEvent, Sa } from "../../stack/ipsec/ipsec.js";
import { ipsecLink } from "../../stack/ipsec/ipsec-link.js";
import { protect } from "../../stack/ipsec/output.js";
import { Policy, Spd } from "../../stack/ipsec/policy.js";
import { policyIndex } from "../../stack/ipsec/policy-index.js";
import { ReplayWindow } from "../../stack/ipsec/replay.js";
import { Selector } from "../../stack/ipsec/selector.js";
import { textOf } from "../udp/support.js";
import { build, join, key, SUITES } from "./support.js";
import type { Built } from "./support.js";

const HELLO = Uint8Array.from("hello", (c) => c.charCodeAt(0));
const GCM = SUITES[0]!;
const CBC = SUITES[3]!;
const AH = SUITES[7]!;
const NULL = SUITES[6]!;

function firstOf(table: Table<Sa>): Sa {
  const list: Sa[] = [];
  table.each((sa) => void list.push(sa));
  return list[0]!;
}

/** Where ESP or AH begins in a frame of Ethernet and IPv4. */
const AT = 34;

/** A datagram of a to b, as it was on the wire, and what b heard of it. */
function exchange(net: Built, message = HELLO): { frame: Uint8Array; heard: string | undefined } {
  const { a, b } = net;
  const server = b.udp.open({ port: 7 });
  const client = a.udp.open({ port: 9 });
  net.sent[0].length = 0;
  client.sendTo("10.0.0.2", 7, message);
  net.run(300);
  let heard = textOf(server);
  if (heard === undefined) {
    client.sendTo("10.0.0.2", 7, message);
    net.run(300);
    heard = textOf(server);
  }
  const frames = net.sent[0].filter((frame) => frame[12] === 8 && frame[13] === 0);
  server.close();
  client.close();
  return { frame: frames[frames.length - 1]!, heard };
}

/** Gives b a frame with another length, the IPv4 header corrected. */
function give({ b }: Built, frame: Uint8Array, length = frame.length): void {
  const copy = new Uint8Array(length);
  copy.set(frame.subarray(0, length));
  copy[16] = (length - 14) >> 8;
  copy[17] = (length - 14) & 255;
  copy[24] = copy[25] = 0;
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += (copy[i]! << 8) | copy[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  copy[24] = (~sum >> 8) & 255;
  copy[25] = ~sum & 255;
  b.nif.receive(copy, 0, length);
}

test("SEC-01 SEC-02: every length, every flipped bit, SPI 0 to 255: dropped, counted once, the window stays", (t) => {
  for (const suite of [GCM, CBC, AH]) {
    const net = build(t, { delay: 1 });
    const { sas } = join(net, suite, { mode: "transport" });
    const { frame, heard } = exchange(net);
    t.is(heard, "hello", suite.name);
    const { b } = net;
    const handler = suite === AH ? b.ah.counters : b.esp.counters;
    const window = sas[3].window;
    const low = window.low;
    const refused = (what: string, run: () => void): void => {
      const before = { ...handler };
      const delivered = b.udp.counters.received;
      run();
      const bad = (c: typeof before): number => c.malformed + c.noSa + c.auth + c.replay;
      t.is(bad(handler) - bad(before), 1, `${suite.name}: ${what}`);
      t.deepEqual([b.udp.counters.received, window.low], [delivered, low], what);
    };
    for (let length = AT; length < frame.length; length++)
      refused(`length ${length}`, () => give(net, frame, length));
    // A number that would be new: what is wrong is the ICV alone.
    const fresh = frame.slice();
    fresh[AT + (suite === AH ? 11 : 7)]! += 5;
    refused("number", () => give(net, fresh));
    for (let bit = AT * 8; bit < frame.length * 8; bit++) {
      const forged = fresh.slice();
      forged[bit >> 3]! ^= 1 << (bit & 7);
      refused(`bit ${bit}`, () => give(net, forged));
    }
    for (let spi = 0; spi < 256; spi++) {
      const forged = fresh.slice();
      forged.set([0, 0, 0, spi], AT + (suite === AH ? 4 : 0));
      refused(`SPI ${spi}`, () => give(net, forged));
    }
    refused("again", () => give(net, frame));
    // AH's length field, with options before it.
    if (suite === AH) {
      for (const words of [0, 1, 255]) {
        const forged = fresh.slice();
        forged[AT + 1] = words;
        refused(`AH length ${words}`, () => give(net, forged));
      }
    }
    t.is(exchange(net).heard, "hello", "goes on");
  }
});

/** A sender whose ESP trailer is what it likes: a peer with the key that lies. */
function lying(net: Built, trailer: (data: Uint8Array, end: number) => void): void {
  const crypto = nodeCrypto();
  net.a.host.crypto = {
    ...crypto,
    cipher: (name, secret, immediate) => {
      const cipher = crypto.cipher(name, secret, immediate)!;
      const wrapped: Cipher = {
        ...{
          nonceSize: cipher.nonceSize,
          tagSize: cipher.tagSize,
          blockSize: cipher.blockSize,
          deferred: false,
        },
        seal(job: CipherJob) {
          trailer(job.data, job.end);
          return cipher.seal(job);
        },
        open: (job) => cipher.open(job),
        close: () => cipher.close(),
      };
      return wrapped;
    },
  };
  // The stack asks through its host, which hands the calls on.
  (net.a.stack.host.calls as { crypto: unknown }).crypto = net.a.host.crypto;
}

test("SEC-01: authentic packets whose trailer lies, and dummies (next header 59)", (t) => {
  for (const [what, counter, trailer] of [
    ["pad length 255", "malformed", (data: Uint8Array, end: number) => void (data[end - 2] = 255)],
    [
      "padding bytes",
      "malformed",
      (data: Uint8Array, end: number) => void ((data[end - 2] = 2), (data[end - 3] = 9)),
    ],
    ["next header 59", "dummy", (data: Uint8Array, end: number) => void (data[end - 1] = 59)],
  ] as const) {
    const net = build(t, { delay: 1 });
    lying(net, trailer);
    join(net, GCM, { mode: "transport" });
    t.is(exchange(net).heard, undefined, what);
    t.true(net.b.esp.counters[counter] > 0, what);
    t.is(net.b.udp.counters.received, 0);
  }
});

test("SEC-01: authentic packets with any next header: what it is not is delivered to nobody, and the next one is", (t) => {
  for (const mode of ["tunnel", "transport"] as const) {
    const net = build(t, { delay: 1 });
    let next = -1;
    lying(net, (data, end) => void (next >= 0 && (data[end - 1] = next)));
    join(net, GCM, { mode });
    const { b } = net;
    for (let garbage = 0; garbage < 256; garbage++) {
      if (garbage === (mode === "tunnel" ? 4 : 17)) continue;
      next = garbage;
      const delivered = b.udp.counters.received;
      const refused = b.security.counters.badInner;
      t.is(exchange(net).heard, undefined, `${mode} ${garbage}`);
      t.is(b.udp.counters.received, delivered);
      if (mode === "tunnel" && garbage !== 59) t.true(b.security.counters.badInner > refused, `${garbage}`);
    }
    next = -1;
    t.is(exchange(net).heard, "hello");
  }
});

test("SEC-02 SEC-10: a host whose cipher refuses sends nothing; keys are erased with the SA, nothing goes by it then", (t) => {
  const net = build(t, { delay: 1 });
  const { a, b } = net;
  const { sas, policies } = join(net, GCM, { mode: "tunnel" });
  const { frame, heard } = exchange(net);
  t.is(heard, "hello");
  a.security.remove(sas[0]);
  a.security.remove(sas[0]);
  const job = (sas[0].transform as unknown as { job: CipherJob; cipher: unknown }).job;
  t.true(job.nonce.every((byte) => byte === 0));
  t.is((sas[0].transform as unknown as { cipher: unknown }).cipher, null);
  const socket = a.udp.open();
  net.sent[0].length = 0;
  t.is(socket.sendTo("10.0.0.2", 7, HELLO), EAGAIN);
  net.run(100);
  t.is(net.sent[0].length, 0);
  t.true(a.security.counters.noSa > 0);
  // Overlap while rekeying: the old inbound SA goes on beside the new one until it is removed.
  const common = {
    mode: "tunnel",
    local: "10.0.0.2",
    remote: "10.0.0.1",
    policy: policies[1],
    key: key(20, 9),
  } as const;
  b.security.addSa({ ...common, direction: "in", spi: 0x7001 });
  t.throws(() => b.security.addSa({ ...common, direction: "in", spi: 0x7001 }), { message: /EEXIST/ });
  a.security.addSa({
    ...common,
    local: "10.0.0.1",
    remote: "10.0.0.2",
    policy: policies[0],
    direction: "out",
    spi: 0x7001,
  });
  t.is(exchange(net).heard, "hello");
  b.security.remove(sas[3]);
  const before = b.esp.counters.noSa;
  give(net, frame);
  t.is(b.esp.counters.noSa, before + 1);
  t.is(sas[3].transform.open(new Uint8Array(64), 0, 16, 32, 0, false), CIPHER_FAILED);
  socket.close();
});

test("SEC-04: extended numbers across 2^32, loss, and an attacker far ahead; numbers that run out end the SA", (t) => {
  const net = build(t, { delay: 1 });
  const { sas } = join(net, CBC, { mode: "transport", esn: true });
  t.is(exchange(net).heard, "hello");
  const [out, , , into] = sas;
  out.low = -3;
  into.window.low = -3;
  for (let i = 0; i < 6; i++) t.is(exchange(net).heard, "hello", `packet ${i}`);
  t.is(out.high, 1);
  t.is(into.window.high, 1);
  const { frame } = exchange(net);
  const low = into.window.low;
  for (const jump of [0x7f, 0x80, 0xff]) {
    const forged = frame.slice();
    forged[AT + 4] = jump;
    give(net, forged);
    t.deepEqual([into.window.low, into.window.high], [low, 1]);
  }
  t.is(exchange(net).heard, "hello");
  const short = build(t, { delay: 1 });
  const pair = join(short, GCM, { mode: "transport" });
  t.is(exchange(short).heard, "hello");
  const events: IpsecEvent[] = [];
  short.a.security.onEvent = (event) => void events.push(event);
  pair.sas[0].low = -2;
  pair.sas[3].window.low = -2;
  exchange(short);
  exchange(short);
  t.true(pair.sas[0].closed);
  t.true(events.some(({ type, sa }) => type === "hard" && sa === pair.sas[0]));
});

test("SEC-04: the window against a set of all numbers that came, by property", (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(32, 64, 128, 1024),
      fc.boolean(),
      fc.integer({ min: 1, max: 400 }),
      fc.array(fc.oneof(fc.integer({ min: -200, max: 40 }), fc.integer({ min: -2000, max: 2000 })), {
        maxLength: 120,
      }),
      (size, extended, start, steps) => {
        const window = new ReplayWindow(size, extended);
        const seen = new Set<number>();
        // Around the wrap of the lower half, or from the beginning.
        const base = extended && start % 2 ? 0x100000000 - start : start;
        let top = 0;
        const come = (n: number): void => {
          const wanted = n > top || (n > top - size && !seen.has(n));
          const low = n | 0;
          const got =
            window.check(low) &&
            (!extended || window.candidate === Math.floor(n / 0x100000000)) &&
            window.accept(low);
          if (got !== wanted) throw new Error(`${n} of ${top}: ${got}`);
          if (got) seen.add(n);
          if (got && n > top) top = n;
        };
        if (extended && base > 0x7fffffff) {
          window.low = (base - 1) | 0;
          top = base - 1;
          for (let i = 0; i < size; i++) seen.add(top - i);
          for (let i = 0; i < size; i++) (window as unknown as { bits: Int32Array }).bits[i >> 5] = -1;
        }
        come(Math.max(base, 1));
        for (const step of steps) {
          const n = top + step;
          if (n >= 1) come(n);
        }
      },
    ),
    { numRuns: 400 },
  );
  t.pass();
});

test("SEC-05: clear packets that policy protects, inner ones outside of their SA, order, bypass, default", (t) => {
  const net = build(t, { delay: 1 });
  const { a, b } = net;
  const { policies } = join(net, GCM, { mode: "tunnel", selector: { protocol: 17, remotePort: undefined } });
  t.is(exchange(net).heard, "hello");
  // In the clear: a forgets its policy and lets everything through.
  const clear = a.security.addPolicy({ action: "bypass", at: 0 });
  let before = b.security.counters.policy;
  t.is(exchange(net).heard, undefined);
  t.true(b.security.counters.policy > before);
  a.security.removePolicy(clear);
  // The SA is for UDP alone: TCP inside of it is dropped behind the tunnel.
  before = b.security.counters.policy;
  const wide = firstOf(a.security.outbound) as unknown as { selector: unknown };
  wide.selector = null;
  const dialled = a.tcp.connect({ address: "10.0.0.2", port: 80 });
  net.run(500);
  t.true(b.security.counters.policy > before);
  t.is(b.tcp.counters.received, 0);
  dialled.abort();
  // Only IKE is let through.
  a.security.addPolicy({ action: "bypass", protocol: 17, localPort: 9, at: 0 });
  b.security.addPolicy({ action: "bypass", protocol: 17, remotePort: 9, at: 0 });
  net.sent[0].length = 0;
  t.is(exchange(net).heard, "hello");
  t.true(net.sent[0].some((frame) => frame[23] === 17));
  // The first that fits decides.
  a.security.addPolicy({ action: "discard", protocol: 17, localPort: [1, 100], at: 0 });
  const socket = a.udp.open({ port: 10 });
  t.is(socket.sendTo("10.0.0.2", 7, HELLO), EACCES);
  // What fits none is discarded, but for neighbour discovery.
  t.is(socket.sendTo("10.0.0.77", 7, HELLO), EACCES);
  t.is(a.security.counters.discarded, 2);
  const own = a.security.addSocketPolicy(socket, 17, "bypass");
  t.is(socket.sendTo("10.0.0.77", 7, HELLO), 5);
  t.true(a.security.removePolicy(own));
  t.false(a.security.removePolicy(own));
  t.is(policies[0].outbound.length, 1);
  for (const bad of [
    { local: "10.0.0.1/8" },
    { local: "10.0.0.9-10.0.0.1" },
    { localPort: 5 },
    { remote: "x" },
    { protocol: 256 },
    { action: "maybe" },
    { local: [] },
    { at: 99 },
  ])
    t.throws(
      () => a.security.addPolicy({ action: "bypass", ...bad } as never),
      { message: /EINVAL/ },
      JSON.stringify(bad),
    );
  socket.close();
});

test("SEC-05: fragments: clear ones do not mix with protected ones", (t) => {
  const net = build(t, { delay: 1 });
  join(net, NULL, { mode: "tunnel" });
  t.is(exchange(net, new Uint8Array(3000).fill(65)).heard, "A".repeat(3000));
  const { b } = net;
  const before = b.udp.counters.received;
  // The first fragment of a datagram to port 7, in the clear; then the rest.
  const piece = (offset: number, more: boolean, payload: Uint8Array): void => {
    const frame = new Uint8Array(34 + payload.length);
    frame.set(net.links[1].mac!, 0);
    frame.set(net.links[0].mac!, 6);
    frame.set(
      [8, 0, 0x45, 0, 0, 0, 7, 7, (more ? 0x20 : 0) | (offset >> 11), (offset >> 3) & 255, 64, 17],
      12,
    );
    frame.set([10, 0, 0, 1, 10, 0, 0, 2], 26);
    frame.set(payload, 34);
    give(net, frame);
  };
  piece(0, true, Uint8Array.from([0, 9, 0, 7, 0, 24, 0, 0, ...new Uint8Array(8)]));
  piece(16, false, new Uint8Array(8));
  t.is(b.udp.counters.received, before);
  t.true(b.security.counters.policy > 0);
});

test("SEC-06: layers within layers are taken off up to the bound, and no further", (t) => {
  for (const depth of [1, 2, 4]) {
    const net = build(t, { delay: 1, depth });
    const { a, b } = net;
    const { policies } = join(net, NULL, { mode: "transport" });
    t.is(exchange(net).heard, "hello");
    const { frame } = exchange(net);
    const sa = b.security.lookup(0x1001, false)!;
    // Each layer is ESP of the same SA (the null cipher): the inside of one is the next.
    let inner = frame.slice(AT);
    const maker = a.security.addSa({
      ...{ direction: "out", spi: 0x1001, mode: "transport", local: "10.0.0.1", remote: "10.0.0.2" },
      ...NULL.options,
      policy: policies[0],
    });
    maker.low = sa.window.low + 100;
    for (let i = 0; i < 64; i++) {
      const packet = a.stack.prepare(inner.length + 64)!;
      packet.end = packet.start + inner.length;
      packet.data.set(inner, packet.start);
      maker.low++;
      t.is(a.esp.seal(maker, packet, 50), CIPHER_DONE);
      inner = packet.data.slice(packet.start, packet.end);
    }
    const whole = new Uint8Array(AT + inner.length);
    whole.set(frame.subarray(0, AT));
    whole.set(inner, AT);
    give(net, whole);
    t.is(b.security.counters.nested, 1, `depth ${depth}`);
    t.true(b.security.layers <= depth + 1);
    t.is(exchange(net).heard, "hello");
  }
});

test("SEC-08: DF, DSCP and ECN outside; marks come inside or the packet goes; PTB only for living SAs", (t) => {
  const net = build(t, { delay: 1 });
  const { a } = net;
  const { sas } = join(net, GCM, { mode: "tunnel" });
  exchange(net);
  const packet = a.stack.prepare(40)!;
  packet.data[packet.start] = 0x45;
  t.is(protect(a.security, packet, sas[0], 4, 0xb9, true, null), POLICY_TAKEN);
  const outer = net.sent[0].at(-1)!;
  t.deepEqual([outer[23], outer[20]! & 0x40], [50, 0x40]);
  t.is(outer[15], 0xb9);
  for (const [inner, mark, after] of [
    [0, 3, -1],
    [1, 3, 3],
    [2, 3, 3],
    [2, 1, 1],
    [0, 1, 0],
    [3, 0, 3],
    [0, 0, 0],
  ] as const) {
    const data = new Uint8Array(20);
    data[0] = 0x45;
    data[1] = 0xb8 | inner;
    t.is(mergeEcn(data, 0, mark) ? data[1] & 3 : -1, after, `${inner} ${mark}`);
  }
  // "Fragmentation needed" about our ESP: believed for the SPI of an SA, for no other.
  const quote = (spi: number): void => {
    const inside = new Uint8Array(36);
    inside.set([0x03, 4, 0, 0, 0, 0, 1100 >> 8, 1100 & 255], 0);
    inside.set([0x45, 0, 5, 0, 0, 1, 0x40, 0, 64, 50, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], 8);
    inside.set([spi >> 24, spi >> 16, spi >> 8, spi], 28);
    let sum = 0;
    for (let i = 0; i < 36; i += 2) sum += (inside[i]! << 8) | inside[i + 1]!;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    inside.set([(~sum >> 8) & 255, ~sum & 255], 2);
    const frame = new Uint8Array(34 + 36);
    frame.set(net.links[0].mac!, 0);
    frame.set(net.links[1].mac!, 6);
    frame.set([8, 0, 0x45, 0, 0, 0, 0, 9, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1], 12);
    frame.set(inside, 34);
    give({ ...net, b: a } as Built, frame);
  };
  // ICMP of the routers between is let through by policy, or nothing is learned.
  a.security.addPolicy({ action: "bypass", protocol: 1, at: 0 });
  const mtu = (): number => {
    a.stack.changed();
    a.security.sending = true;
    sas[0].net.route(sas[0].path);
    a.security.sending = false;
    return sas[0].path.mtu;
  };
  t.is(mtu(), 1500);
  quote(0x4444);
  t.is(mtu(), 1500);
  quote(0x1001);
  t.is(mtu(), 1100);
});

test("SEC-09: ESP in UDP: markers, keepalives, short datagrams; the address follows authentic packets alone", (t) => {
  const net = build(t, { delay: 1 });
  const { a, b } = net;
  const { sas } = join(net, GCM, { mode: "tunnel", encapsulation: { localPort: 4500, remotePort: 4500 } });
  t.is(exchange(net).heard, "hello");
  const { frame } = exchange(net);
  t.is(frame[23], 17);
  const ike = b.security.addPolicy({ action: "bypass", protocol: 17, localPort: 4500, at: 0 });
  const socket = b.udp.open({ port: 4500 });
  const udp = (payload: Uint8Array, length = payload.length + 8): void => {
    const made = new Uint8Array(42 + payload.length);
    made.set(frame.subarray(0, 38));
    made.set([length >> 8, length & 255, 0, 0], 38);
    made.set(payload, 42);
    give(net, made);
  };
  udp(new Uint8Array(0));
  for (let n = 1; n < 8; n++) udp(new Uint8Array(n).fill(7));
  t.is(b.natt.counters.malformed, 4);
  t.is(b.natt.counters.keepalivesReceived, 0);
  for (let i = 0; i < 1000; i++) udp(Uint8Array.of(0xff));
  t.is(b.natt.counters.keepalivesReceived, 1000);
  udp(Uint8Array.of(0, 0, 0, 0, 1, 2, 3));
  t.is(textOf(socket), "\0\0\0\0\x01\x02\x03");
  for (let length = 0; length < 12; length++) udp(new Uint8Array(4), length);
  const noSa = b.esp.counters.noSa;
  udp(Uint8Array.of(1, 2, 3, 4, 0, 0, 0, 1));
  t.is(b.esp.counters.noSa, noSa + 1);
  // From another port: forged first, then authentic.
  const pair = firstOf(b.security.outbound);
  (sas[3] as unknown as { pair: unknown }).pair = pair;
  const moved = frame.slice();
  moved.set([0x11, 0x22], AT);
  moved[AT + 8 + 7]! += 9;
  give(net, moved);
  t.is(pair.remotePort, 4500);
  (firstOf(a.security.outbound) as unknown as { localPort: number }).localPort = 4501;
  t.is(exchange(net).heard, "hello");
  t.is(pair.remotePort, 4501);
  socket.close();
  b.security.removePolicy(ike);
  const kept = a.natt.counters.keepalivesSent;
  net.run(60000);
  t.true(a.natt.counters.keepalivesSent - kept >= 2);
});

test("SEC-10: soft and hard ends by packets, bytes and time, each told once", (t) => {
  for (const lifetime of [
    { softPackets: 3, hardPackets: 5 },
    { softBytes: 60, hardBytes: 150 },
    { softSeconds: 2, hardSeconds: 4 },
  ]) {
    const net = build(t, { delay: 1 });
    const events: string[] = [];
    net.a.security.onEvent = ({ type, sa }) => void events.push(`${type} ${sa ? sa.spi : ""}`);
    const { sas } = join(net, GCM, { mode: "transport" });
    net.a.security.remove(sas[0]);
    const mine = net.a.security.addSa({
      ...{ direction: "out", spi: 0x1001, mode: "transport", local: "10.0.0.1", remote: "10.0.0.2" },
      ...{ policy: sas[0].policy!, ...GCM.options, lifetime },
    });
    for (let i = 0; i < 12; i++) {
      exchange(net);
      net.run(400);
    }
    t.true(mine.closed, JSON.stringify(lifetime));
    t.deepEqual(events.slice(0, 2), ["soft 4097", "hard 4097"]);
    t.true(events.slice(2).every((event) => event === "acquire "));
    t.is(events.filter((event) => event.startsWith("hard")).length, 1);
  }
});

test("an interface for routes: what is routed to it is protected, what its SAs bring comes in on it, nothing else does", (t) => {
  const net = build(t, { delay: 1, otherwise: "bypass" });
  const { a, b } = net;
  for (const [end, own, far, local, remote, spi] of [
    [a, "172.16.0.1", 0x21, "10.0.0.1", "10.0.0.2", 0x22],
    [b, "172.16.0.2", 0x22, "10.0.0.2", "10.0.0.1", 0x21],
  ] as const) {
    const nif = end.stack.addInterface(ipsecLink(end.security), "vti0");
    end.ip.addAddress(nif, own + "/24");
    const common = { interface: nif, local, remote, key: key(20) };
    end.security.addSa({ ...common, direction: "in", spi: 0x100 + far });
    end.security.addSa({ ...common, direction: "out", spi: 0x100 + spi });
  }
  const server = b.udp.open({ port: 7 });
  const client = a.udp.open();
  client.sendTo("172.16.0.2", 7, new Uint8Array(2500).fill(66));
  net.run(300);
  t.is(textOf(server), "B".repeat(2500));
  t.true(net.sent[0].some((frame) => frame[23] === 50));
  t.false(net.sent[0].some((frame) => frame[23] === 17));
  a.stack.removeInterface(a.stack.findInterface("vti0")!);
  t.is(a.security.outbound.size, 0);
  client.close();
  server.close();
});

test("selectors and flows by property: no bytes throw, ranges are what they say", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      const data = new Uint8Array(160);
      data.set(bytes);
      new Flow().parse(data, 0, bytes.length);
    }),
    { numRuns: 2000 },
  );
  const address = (n: number): string => [n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255].join(".");
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer(),
      fc.integer(),
      fc.integer({ min: 0, max: 32 }),
      (a, b, x, bits) => {
        const [low, high] = a >>> 0 < b >>> 0 ? [a, b] : [b, a];
        const flow = new Flow();
        flow.source[0] = x;
        const inside = x >>> 0 >= low >>> 0 && x >>> 0 <= high >>> 0;
        if (new Selector({ local: `${address(low)}-${address(high)}` }).matches(flow, true) !== inside)
          throw new Error("range");
        const mask = bits === 0 ? 0 : -1 << (32 - bits);
        const same = ((x ^ a) & mask) === 0;
        if (new Selector({ local: `${address(a & mask)}/${bits}` }).matches(flow, true) !== same)
          throw new Error("prefix");
      },
    ),
  );
  t.pass();
});

test("ESP in UDP over IPv6 has a checksum, in transport mode of the packet's own way", (t) => {
  for (const mode of ["transport", "tunnel"] as const) {
    const net = build(t, { delay: 1 });
    const { a, b } = net;
    join(net, GCM, { family: 6, mode, encapsulation: { localPort: 4500, remotePort: 4500 } });
    net.run(2000);
    const client = a.udp.open();
    for (let i = 0; i < 2; i++) {
      client.sendTo(b.address6, 7, HELLO);
      net.run(300);
    }
    const frame = net.sent[0].filter((each) => each[12] === 0x86 && each[20] === 17).at(-1)!;
    // Pseudo-header and datagram sum up to ones (RFC 8200 section 8.1).
    let sum = 17 + frame.length - 54;
    for (let i = 22; i < frame.length; i += 2) sum += (frame[i]! << 8) | (frame[i + 1] ?? 0);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    t.is(sum, 0xffff, mode);
    client.close();
  }
});

/** Addresses of a small world, so that policies meet. */
const place = fc.oneof(
  fc.nat(15).map((n) => `10.0.0.${n}`),
  fc.nat(3).map((n) => `10.0.0.${n * 4}/30`),
  fc.tuple(fc.nat(15), fc.nat(15)).map(([a, b]) => `10.0.0.${Math.min(a, b)}-10.0.0.${Math.max(a, b)}`),
  fc.nat(15).map((n) => `fd00::${n.toString(16)}`),
  fc.nat(3).map((n) => `fd00::${(n * 4).toString(16)}/126`),
  fc.constantFrom("0.0.0.0/0", "::/0", "10.0.0.0/28"),
);
const side = fc.option(fc.oneof(place, fc.array(place, { minLength: 1, maxLength: 10 })), { nil: undefined });
const range = fc.option(
  fc.oneof(
    fc.nat(3),
    fc.tuple(fc.nat(3), fc.nat(3)).map((pair): [number, number] => [Math.min(...pair), Math.max(...pair)]),
    fc.constant<[number, number]>([0, 65535]),
  ),
  { nil: undefined },
);
const policies = fc.record({
  action: fc.constantFrom("protect", "bypass", "discard"),
  direction: fc.constantFrom("in", "out", "both"),
  local: side,
  remote: side,
  protocol: fc.constantFrom(6, 17),
  localPort: range,
  remotePort: range,
  /** Where it is put, of where it could be; or that the one there is taken away. */
  where: fc.integer({ min: 0, max: 1000 }),
  without: fc.boolean(),
  portless: fc.boolean(),
});

test("an index finds the policy that the list finds, by property: insertions anywhere, removals, ports that are not to be seen", (t) => {
  const flows: Flow[] = [];
  for (const family of [4, 6]) {
    for (let i = 0; i < 256; i++) {
      const flow = new Flow();
      flow.family = family;
      const at = family === 4 ? 0 : 3;
      flow.source[0] = flow.destination[0] = family === 4 ? 0x0a000000 : 0xfd000000 | 0;
      flow.source[at]! |= i & 15;
      flow.destination[at]! |= i >> 4;
      flow.protocol = i % 3 ? 6 : 17;
      flow.sourcePort = i % 7 === 0 ? -1 : i % 5;
      flow.destinationPort = i % 7 === 0 ? -1 : (i >> 3) % 4;
      flows.push(flow);
    }
  }
  fc.assert(
    fc.property(fc.array(policies, { maxLength: 40 }), (list) => {
      const plain = new Spd(100, 0, null);
      const indexed = new Spd(100, 0, policyIndex());
      for (const { where, without, portless, localPort, remotePort, ...options } of list) {
        const at = Math.floor((where / 1001) * (plain.policies.length + (without ? 0 : 1)));
        if (without && plain.policies.length > 0) {
          const policy = plain.policies[at]!;
          if (!plain.remove(policy) || !indexed.remove(policy) || indexed.remove(policy)) return false;
          continue;
        }
        const ports = portless ? { protocol: 0 } : { localPort, remotePort };
        const policy = new Policy({ ...options, ...ports });
        plain.insert(policy, at);
        indexed.insert(policy, at);
      }
      for (const flow of flows) {
        for (const out of [true, false])
          if (plain.lookup(flow, out) !== indexed.lookup(flow, out)) return false;
        const found = [plain, indexed].map((spd) => {
          const set = new Set<Policy>();
          spd.protecting(flow, (policy) => void set.add(policy));
          return set;
        });
        if (found[0]!.size !== found[1]!.size || ![...found[0]!].every((policy) => found[1]!.has(policy)))
          return false;
      }
      return true;
    }),
    { numRuns: 200 },
  );
  // Numbers between two policies run out: they are given anew.
  const spd = new Spd(200, 0, policyIndex());
  const made = [0, 1].map((n) => new Policy({ action: "bypass", remote: `10.0.0.${n}` }));
  for (const policy of made) spd.insert(policy, undefined);
  for (let i = 0; i < 120; i++) spd.insert(new Policy({ action: "discard", remote: "10.0.0.1" }), 1);
  t.true(spd.policies.every((policy, i) => i === 0 || spd.policies[i - 1]!.place < policy.place));
  t.is(spd.lookup(flows[0x10]!, true), spd.policies[1]!);
  t.is(spd.lookup(flows[0]!, true), made[0]!);
});

/** IKE between two stacks of ours in virtual time: floods, replays, bad shares, bad fragments, bad networks, rekeys that collide. */
import test from "ava";
import fc from "fast-check";
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { nodeCrypto } from "../../ports/node/crypto.js";
import type { DatagramInfo } from "../../stack/core/datagrams.js";
import type { Ike } from "../../stack/ike/ike.js";
import type { IkeSa } from "../../stack/ike/ike-sa.js";
import { ikeFragmentation } from "../../stack/ike/ike-fragmentation.js";
import { DeleteChild, rekeyIke } from "../../stack/ike/exchanges.js";
import { ikeResponder } from "../../stack/ike/ike-responder.js";
import { mobike } from "../../stack/ike/mobike.js";
import { Writer, emitPlain } from "../../stack/ike/message.js";
import { emitProposals } from "../../stack/ike/proposals.js";
import * as wire from "../../stack/wire/ike.js";
import { A, B, PSK, ends, same } from "./ends.js";

/** A request to begin, as a stranger makes it. */
function init(
  number: number,
  options: { group?: number; share?: Uint8Array; nonce?: number; cookie?: Uint8Array } = {},
) {
  const spi = new Uint8Array(8);
  new DataView(spi.buffer).setUint32(0, number + 1);
  const out = new Writer();
  if (options.cookie) out.notify(wire.COOKIE, options.cookie);
  const group = options.group ?? 31;
  emitProposals(out, wire.PROTOCOL_IKE, new Uint8Array(0), [
    [(1 << 26) | (256 << 16) | 20, (2 << 26) | 5, (4 << 26) | group],
  ]);
  out
    .begin(wire.PAYLOAD_KE)
    .put16(group)
    .put16(0)
    .bytes(options.share ?? new Uint8Array(32).fill(9));
  out.payload(wire.PAYLOAD_NONCE, new Uint8Array(options.nonce ?? 32).fill(number));
  return emitPlain(spi, new Uint8Array(8), wire.IKE_SA_INIT, wire.FLAG_INITIATOR, 0, out);
}

test("{ remote, psk } is enough; goodbye ends both", (t) => {
  const site = ends(t);
  const peer = site.connect(0, { remote: B });
  site.connect(1);
  site.run(500);
  t.deepEqual(site.told, [["established"], ["established"]]);
  same(t, site);
  t.true(peer.established());
  peer.close();
  site.run(500);
  t.deepEqual(site.told, [
    ["established", "closed -125 0"],
    ["established", "closed -104 0"],
  ]);
  t.deepEqual([site.vpn[0]!.sas.size, site.vpn[1]!.sas.size], [0, 0]);
});

test("several children; rekeys of either side; what a day does to them", (t) => {
  const site = ends(t);
  const children = [
    { local: ["10.1.0.0/16"], rekey: 600 },
    { local: ["10.2.0.0/16"], remote: ["10.3.0.0/16"], rekey: 900 },
  ];
  site.connect(0, { remote: B, children, rekey: 7200 });
  site.connect(1, {
    children: [{ remote: ["10.1.0.0/16"] }, { local: ["10.3.0.0/16"], remote: ["10.2.0.0/16"], rekey: 900 }],
    rekey: 7200,
  });
  site.run(1000);
  same(t, site, 2);
  const before = site.vpn[0]!.counters.children;
  site.run(3 * 3600 * 1000);
  same(t, site, 2);
  t.true(site.vpn[0]!.counters.children > before + 25);
  t.true(site.vpn[0]!.counters.established >= 2);
  t.deepEqual(site.told, [["established"], ["established"]]);
  t.is(site.vpn[0]!.sas.size, 1);
});

test("rekeys at once, with loss, copies and reordering: one child, one IKE SA, no tunnel down", (t) => {
  fc.assert(
    fc.property(
      fc.nat(10000),
      fc.array(fc.constantFrom(0, 1, 2, 3, 4), { minLength: 3, maxLength: 8 }),
      (seed, plan) => {
        const bad = { loss: 0.15, duplicate: 0.2, reorder: 0.2, reorderDelay: 30, delay: 5 };
        const site = ends(t, { wire: { a: bad, b: bad }, seed });
        const peers = [
          site.connect(0, { remote: B, retransmit: 100, attempts: 12 }),
          site.connect(1, { retransmit: 100, attempts: 12 }),
        ];
        site.run(20000);
        for (const step of plan) {
          for (const end of [0, 1] as const) {
            if (step === 4 || step >> 1 !== end)
              peers[end]!.rekey(step & 1 ? site.children[end]![0] : undefined);
          }
          if (step === 4) site.run(3);
          if (step === 4) peers[1]!.rekey(site.children[1]![0]);
          site.run(15000);
        }
        // What the peer was to delete, and has not, we delete.
        site.run(400000);
        t.deepEqual(site.told, [["established"], ["established"]]);
        same(t, site);
        t.is(site.vpn[0]!.sas.size, 1);
        t.is(site.vpn[1]!.sas.size, 1);
      },
    ),
    { numRuns: 10 },
  );
});

test("IKE-02 a flood: cookies without state or key exchange, no amplification, few half-open", (t) => {
  let exchanges = 0;
  const crypto = nodeCrypto();
  const counted: CryptoHypercalls = {
    ...crypto,
    respond: (group, peer, done) => {
      exchanges++;
      crypto.respond!(group, peer, done);
    },
  };
  const site = ends(t, { crypto: counted });
  site.connect(1);
  let bytes = 0;
  for (let i = 0; i < 10000; i++) {
    const request = init(i);
    const before = site.sent[1]!.length;
    site.give(1, request, `198.51.${(i >> 8) & 255}.${i & 255}`);
    for (const answer of site.sent[1]!.slice(before)) {
      t.true(answer.length <= request.length);
      bytes += answer.length;
    }
  }
  t.is(exchanges, 4);
  t.is(site.vpn[1]!.sas.size, 4);
  t.is(site.vpn[1]!.counters.cookies, 9996);
  t.true(bytes < 10000 * 150);
  // Who shows its cookie is let in; another's, an old one, or a made-up one is not.
  site.give(1, init(20000), "203.0.113.1");
  const cookie = site.sent[1]!.at(-1)!.slice(28 + 8);
  site.give(1, init(20000, { cookie }), "203.0.113.2");
  site.give(1, init(20001, { cookie }), "203.0.113.1");
  site.give(1, init(20000, { cookie: new Uint8Array(33) }), "203.0.113.1");
  t.is(exchanges, 4);
  t.is(site.vpn[1]!.counters.badCookies, 3);
  site.give(1, init(20000, { cookie }), "203.0.113.1");
  t.is(exchanges, 5);
  site.run(25000);
  t.is(site.vpn[1]!.sas.size, 0);
  // Beyond the bound the oldest goes.
  for (let i = 0; i < 100; i++) {
    const from = `203.0.113.${i}`;
    site.give(1, init(30000 + i), from);
    site.give(1, init(30000 + i, { cookie: site.sent[1]!.at(-1)!.slice(28 + 8) }), from);
  }
  t.is(site.vpn[1]!.sas.size, 32);
});

test("IKE-04 IKE-10 shares that are none: zero, one, p - 1, wrong lengths, points off the curve; nonces too short", (t) => {
  const site = ends(t, { responder: { cookies: 32 } });
  site.connect(1);
  const bad: [number, Uint8Array][] = [
    [31, new Uint8Array(32)],
    [31, Uint8Array.of(1, ...new Uint8Array(31))],
    [31, new Uint8Array(31).fill(9)],
    [31, new Uint8Array(33).fill(9)],
    [31, new Uint8Array(0)],
    [19, new Uint8Array(64).fill(1)],
    [19, new Uint8Array(65).fill(4)],
    [14, new Uint8Array(256)],
    [14, Uint8Array.from({ length: 256 }, (_, i) => (i === 255 ? 1 : 0))],
    [14, new Uint8Array(256).fill(255)],
    [14, new Uint8Array(8).fill(2)],
  ];
  bad.forEach(([group, share], i) => {
    site.give(1, init(i, { group, share }));
    t.is(site.vpn[1]!.sas.size, 0, `${group} ${share.length}`);
  });
  t.is(site.sent[1]!.length, 0);
  site.give(1, init(50, { nonce: 15 }));
  site.give(1, init(51, { nonce: 257 }));
  // A group of nobody's.
  site.give(1, init(52, { group: 1025 }));
  t.is(site.vpn[1]!.sas.size, 0);
  site.give(1, init(53));
  t.is(site.vpn[1]!.sas.size, 1);
});

test("IKE-05 copies are answered as before, and nothing happens twice; old, far and altered ones are dropped", (t) => {
  const site = ends(t);
  site.connect(0, { remote: B });
  site.connect(1);
  site.run(500);
  const [ours, theirs] = [site.sent[0]!.slice(), site.sent[1]!.slice()];
  const auth = ours.at(-1)!;
  const counters = site.vpn[1]!.counters;
  const count = site.sent[1]!.length;
  site.give(1, auth, A);
  t.is(counters.repeated, 1);
  t.deepEqual(site.sent[1]!.slice(count), [theirs.at(-1)!]);
  const { established, children } = { ...counters };
  for (let at = 0; at < auth.length; at++) {
    const altered = auth.slice();
    altered[at]! ^= 1;
    site.give(1, altered, A);
  }
  for (const id of [0, 2, 3, 0x7fffffff, 0xffffffff]) {
    const other = auth.slice();
    new DataView(other.buffer).setUint32(20, id);
    site.give(1, other, A);
    site.give(0, other, B);
  }
  // Answers to nothing, from the right SPIs.
  for (const answer of theirs) site.give(0, answer, B);
  t.is(counters.established, established);
  t.is(counters.children, children);
  t.is(site.vpn[1]!.sas.size, 1);
  same(t, site);
  t.deepEqual(site.told, [["established"], ["established"]]);
});

test("IKE-01 anything at all, to a living SA: nothing throws, nothing changes", (t) => {
  const site = ends(t, { ike: () => ({ fragmentation: ikeFragmentation() }) });
  site.connect(0, { remote: B });
  site.connect(1);
  site.run(500);
  const samples = site.sent[0]!.concat(site.sent[1]!);
  fc.assert(
    fc.property(
      fc.nat(samples.length - 1),
      fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 }),
      fc.nat(500),
      (which, edits, cut) => {
        const data = samples[which]!.slice(0, 500 - cut);
        for (const [at, value] of edits) if (at < data.length) data[at] = value;
        if (data.length >= 28) new DataView(data.buffer).setUint32(24, data.length);
        site.give(0, data, B);
        site.give(1, data, A);
      },
    ),
    { numRuns: 1000 },
  );
  t.deepEqual(site.told, [["established"], ["established"]]);
  same(t, site);
});

test("IKE-01 to whom we are nobody: another version, an SPI of before a restart: a word in the clear, ten a second, never larger", (t) => {
  const site = ends(t);
  site.connect(0, { remote: B });
  site.connect(1);
  site.run(500);
  const request = site.sent[0]!.at(-1)!;
  const counters = site.vpn[1]!.counters;
  const answers = (data: Uint8Array, times = 1): Uint8Array[] => {
    const before = site.sent[1]!.length;
    for (let i = 0; i < times; i++) site.give(1, data, A);
    return site.sent[1]!.slice(before);
  };
  const change = (at: number, value: number): Uint8Array => {
    const data = request.slice();
    data[at] = value;
    return data;
  };
  for (const [data, code] of [
    [change(17, 0x30), wire.INVALID_MAJOR_VERSION],
    [change(8, request[8]! ^ 1), wire.INVALID_IKE_SPI],
    [change(0, request[0]! ^ 1), wire.INVALID_IKE_SPI],
  ] as const) {
    site.run(2000);
    const [answer, ...more] = answers(data);
    t.is(more.length, 0);
    // SPIs, exchange and number of the request, a response by the responder, one notification (sections 1.5, 2.21.4).
    t.deepEqual(answer!.slice(0, 16), data.slice(0, 16));
    t.deepEqual([...answer!.slice(16, 20)], [wire.PAYLOAD_NOTIFY, 0x20, wire.IKE_AUTH, wire.FLAG_RESPONSE]);
    t.deepEqual(answer!.slice(20, 24), request.slice(20, 24));
    t.deepEqual([...answer!.slice(28)], [0, 0, 0, 8, 0, 0, 0, code]);
    // Nor is that answered in turn, by anybody.
    t.deepEqual(answers(answer!), []);
    const before = site.sent[0]!.length;
    site.give(0, answer!, B);
    t.is(site.sent[0]!.length, before);
    t.is(answers(data, 1000).length, 9);
  }
  t.is(counters.version, 1 + 1000);
  // A header alone is smaller than what would be said of it; the other version of old (1) is none of ours.
  site.run(2000);
  const header = change(8, request[8]! ^ 1).slice(0, 28);
  header.set([0, 0, 0, 28], 24);
  header[16] = 0;
  t.deepEqual(answers(header), []);
  t.deepEqual(answers(change(17, 0x10)), []);
  same(t, site);
});

test("IKE-01 authentic nonsense from a peer: answered or the end of its IKE SA, and no more", (t) => {
  const types = fc.constantFrom(33, 34, 40, 41, 42, 43, 44, 45, 46, 47, 53, 200);
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    // Notifications and deletions that begin as such do.
    fc
      .tuple(
        fc.constantFrom(0, 1, 2, 3),
        fc.nat(8),
        fc.constantFrom(1, 4, 14, 16384, 16388, 16393, 16394),
        fc.uint8Array({ maxLength: 20 }),
      )
      .map(([protocol, size, type, rest]) => Uint8Array.of(protocol, size, type >> 8, type & 255, ...rest)),
  );
  const exchanges = fc.constantFrom(wire.INFORMATIONAL, wire.CREATE_CHILD_SA, wire.IKE_AUTH, 39, 240);
  const requests = fc.array(fc.tuple(exchanges, fc.array(fc.tuple(types, body), { maxLength: 6 })), {
    minLength: 1,
    maxLength: 4,
  });
  let ended = 0;
  fc.assert(
    fc.property(requests, (list) => {
      const site = ends(t, { ike: () => ({ fragmentation: ikeFragmentation(), mobility: mobike() }) });
      const peer = site.connect(0, { remote: B, attempts: 1 });
      site.connect(1);
      site.run(500);
      const sa = peer.sa!;
      const counters = site.vpn[1]!.counters;
      for (const [i, [exchange, payloads]] of list.entries()) {
        const out = new Writer();
        for (const [type, bytes] of payloads) out.payload(type, bytes);
        out.end();
        const id = sa.sendId + i;
        const flags = wire.FLAG_INITIATOR;
        const { spiI, spiR } = sa;
        const data = sa.outbound!.seal(
          spiI,
          spiR,
          exchange,
          flags,
          id,
          out.first,
          out.data,
          0,
          out.length,
          0,
        )!;
        const before = site.sent[1]!.length;
        const gone = site.vpn[1]!.sas.size === 0;
        site.give(1, data, A);
        site.run(50);
        // One answer to each: the requests are not lost among others of ours.
        const said = site.sent[1]!.slice(before).filter((each) => each[19]! & wire.FLAG_RESPONSE);
        if (!gone) t.is(said.length, 1);
      }
      t.is(counters.host, 0);
      t.true(site.vpn[1]!.sas.size <= 2);
      t.true(site.children[1]!.length <= 1 + list.length);
      if (site.vpn[1]!.sas.size === 0) ended++;
      site.vpn[1]!.connections.slice().forEach((each) => each.close());
      peer.close();
      site.run(400_000);
      t.deepEqual([site.vpn[0]!.sas.size, site.vpn[1]!.sas.size], [0, 0]);
    }),
    { numRuns: 60 },
  );
  t.true(ended > 0);
});

test("IKE-08 fragments: bad numbers, forged ones, copies; a large message arrives in pieces", (t) => {
  const site = ends(t, { ike: () => ({ fragmentation: ikeFragmentation({ size: 576 }) }) });
  const many = Array.from({ length: 16 }, (_, i) => `10.${i}.0.0/16`);
  site.connect(0, { remote: B, children: [{ local: many, remote: many }] });
  site.connect(1, { children: [{ local: many, remote: many }] });
  site.run(500);
  same(t, site);
  const fragments = site.sent[0]!.filter((packet) => packet[16] === wire.PAYLOAD_SKF);
  t.true(fragments.length >= 2);
  t.true(fragments.every((packet) => packet.length <= 576 - 28));
  const { malformed, unauthentic } = site.vpn[1]!.counters;
  for (const [number, total] of [
    [0, 2],
    [3, 2],
    [1, 0],
    [1, 65535],
    [1, 17],
  ] as const) {
    const forged = fragments[0]!.slice();
    forged[23] = 2;
    forged.set([number >> 8, number, total >> 8, total], 32);
    site.give(1, forged, A);
  }
  t.is(site.vpn[1]!.counters.malformed, malformed + 5);
  for (let total = 2; total <= 16; total++) {
    const forged = fragments[0]!.slice();
    forged[23] = 2;
    forged[35] = total;
    site.give(1, forged, A);
  }
  t.is(site.vpn[1]!.counters.unauthentic, unauthentic + 15);
  site.vpn[1]!.sas.each((sa) => t.is(sa.partial, null));
  // Authentic ones whose total changes: larger ones begin anew, smaller ones are late; copies and more bytes than a message has are not kept.
  const [sa] = [site.vpn[0]!.connections[0]!.sa!];
  let held: { total: number; count: number; bytes: number } | null = null;
  const piece = (number: number, total: number, bytes = 100): void => {
    const part = (number << 16) | total;
    const data = new Uint8Array(bytes);
    const { spiI, spiR, sendId } = sa;
    const flags = wire.FLAG_INITIATOR;
    const packet = sa.outbound!.seal(spiI, spiR, wire.INFORMATIONAL, flags, sendId, 0, data, 0, bytes, part)!;
    site.give(1, packet, A);
    site.vpn[1]!.sas.each((each) => (held = each.partial as typeof held));
  };
  const state = () => held && [held.total, held.count, held.bytes];
  piece(1, 3);
  t.deepEqual(state(), [3, 1, 100]);
  piece(1, 3);
  piece(2, 2);
  t.deepEqual(state(), [3, 1, 100]);
  for (let total = 4; total <= 16; total++) piece(1, total);
  t.deepEqual(state(), [16, 1, 100]);
  piece(2, 17);
  t.deepEqual(state(), [16, 1, 100]);
  const before = site.vpn[1]!.counters.malformed;
  for (let number = 2; number <= 16; number++) piece(number, 16, 9000);
  t.true(site.vpn[1]!.counters.malformed > before);
  t.true((state()?.[2] ?? 0) <= 32768);
});

test("wrong secret, nobody there, and misuse", (t) => {
  const site = ends(t);
  site.connect(0, { remote: B, psk: "other" });
  site.connect(1);
  site.run(900);
  t.deepEqual(site.told[0], ["closed -13 24"]);
  t.is(site.vpn[1]!.counters.failed, 1);
  const lonely = site.connect(0, { remote: "10.0.0.77", attempts: 2, retransmit: 100 });
  site.run(1000);
  t.is(site.told[0]!.at(-1), "closed -110 0");
  lonely.close();
  const [vpn] = site.vpn;
  for (const options of [
    {},
    { remote: "nowhere", psk: PSK },
    { remote: B },
    { remote: B, psk: "" },
    { remote: B, psk: PSK, dpd: -1 },
    { remote: B, psk: PSK, rekey: 5 },
    { remote: B, psk: PSK, proposals: [] },
    { remote: B, psk: PSK, proposals: ["rot13"] },
    { remote: B, psk: PSK, children: [{ local: [] }] },
    { remote: B, psk: PSK, children: [{ mode: "beet" as never }] },
    { psk: PSK, start: true },
  ]) {
    t.throws(() => vpn!.connect(options), { code: "EINVAL" });
  }
  t.throws(() => ikeResponder({ halfOpen: 0 }), { code: "EINVAL" });
  t.throws(() => ikeFragmentation({ size: 1 }), { code: "EINVAL" });
});

test("IKE-10 a host without random bytes begins nothing; SPIs and nonces are never twice the same", (t) => {
  const site = ends(t, { responder: { cookies: 0 } });
  site.vpn[0]!.stack.host.calls.random = () => false;
  site.connect(0, { remote: B });
  site.run(100);
  t.deepEqual(site.told[0], ["closed -5 0"]);
  t.is(site.sent[0]!.length, 0);
  const seen = new Set<string>();
  const peer = site.connect(1, { remote: A, attempts: 1, retransmit: 10, start: false });
  for (let i = 0; i < 500; i++) {
    peer.start();
    const first = site.sent[1]!.pop()!;
    seen.add(Buffer.from(first.subarray(0, 8)).toString("hex"));
    peer.sa!.end(0, 0);
  }
  t.is(seen.size, 500);
});

test("a NAT between: found by both, port 4500 from then on, and followed when it binds anew", (t) => {
  const site = ends(t);
  const [a, b] = site.vpn as [Ike, Ike];
  let outer = "203.0.113.5";
  let shift = 1000;
  const queue: (() => void)[] = [];
  const input = (
    vpn: Ike,
    data: Uint8Array,
    address: string,
    port: number,
    localAddress: string,
    local: number,
  ) => {
    const info: DatagramInfo = { address, port, localAddress, length: 0, truncated: false, interface: null };
    (vpn as unknown as { input(d: Uint8Array, i: DatagramInfo, p: number): void }).input(
      data.slice(),
      info,
      local,
    );
  };
  a.ports.send = (_local, port, remote, remotePort, packet) => {
    if (remote !== B) return;
    const [address, mapped] = [outer, port + shift];
    queue.push(() => input(b, packet, address, mapped, B, remotePort));
  };
  b.ports.send = (_local, port, remote, remotePort, packet) => {
    // The NAT lets in what it has a binding for.
    if (remote !== outer || (remotePort !== 500 + shift && remotePort !== 4500 + shift)) return;
    queue.push(() => input(a, packet, B, port, A, remotePort - shift));
  };
  const turn = (time: number) => {
    for (let i = 0; i < time; i += 100) {
      while (queue.length > 0) queue.shift()!();
      site.run(100);
    }
  };
  // Who is behind a NAT is known by its own address inside.
  const peer = site.connect(0, { remote: B, dpd: 10 });
  site.connect(1, { children: [{ remote: [A] }] });
  turn(1000);
  t.deepEqual(site.told, [["established"], ["established"]]);
  const [ours, theirs] = [site.children[0]![0]!, site.children[1]![0]!];
  t.true(peer.sa!.natLocal && !peer.sa!.natRemote);
  t.true(theirs.sa.natRemote && !theirs.sa.natLocal);
  t.deepEqual([ours.localPort, ours.remotePort], [4500, 4500]);
  t.deepEqual([theirs.remote, theirs.localPort, theirs.remotePort], ["203.0.113.5", 4500, 5500]);
  outer = "203.0.113.6";
  shift = 2000;
  turn(15000);
  t.deepEqual([theirs.remote, theirs.remotePort], ["203.0.113.6", 6500]);
  peer.rekey(site.children[0]![0]);
  turn(3000);
  t.deepEqual(site.told, [["established"], ["established"]]);
});

test("both prove anew who they are: asked for by the peer (4478) or the application; the old IKE SA ends when the new one is there, or stays", (t) => {
  const site = ends(t);
  const peer = site.connect(0, { remote: B });
  site.connect(1);
  t.false(peer.reauthenticate());
  site.run(500);
  const spis = () => [peer.sa!.spiI.join(), site.children[0]![0]!.spiIn];
  const [ikeBefore, childBefore] = spis();
  t.true(peer.reauthenticate());
  t.false(peer.reauthenticate());
  site.run(500);
  const [ikeAfter, childAfter] = spis();
  t.not(ikeAfter, ikeBefore);
  t.not(childAfter, childBefore);
  same(t, site);
  t.deepEqual([site.vpn[0]!.sas.size, site.vpn[1]!.sas.size], [1, 1]);
  t.deepEqual(site.told[0], ["established"]);
  // The peer asks: in a message of its own, and with seconds that are none.
  const responder = () => {
    let found: IkeSa | null = null;
    site.vpn[1]!.sas.each((sa) => (found = sa));
    return found! as IkeSa;
  };
  const lifetime = (data: Uint8Array): void => {
    responder().request({
      start: (sa) => sa.send(wire.INFORMATIONAL, new Writer().notify(wire.AUTH_LIFETIME, data)),
      answer: (sa) => sa.next(),
    });
    site.run(200);
  };
  lifetime(Uint8Array.of(0, 0, 1));
  lifetime(Uint8Array.of(0, 0, 0, 100));
  // A rekey of the IKE SA proves nothing, and puts nothing off.
  peer.rekey();
  site.run(1000);
  const rekeyed = peer.sa!;
  site.run(75_000);
  t.is(peer.sa, rekeyed);
  site.run(25_000);
  t.not(peer.sa, rekeyed);
  t.true(rekeyed.dead);
  same(t, site);
  t.deepEqual([site.vpn[0]!.sas.size, site.vpn[1]!.sas.size], [1, 1]);
  // Asked to do it at once it takes its time; where it fails the old one goes on.
  lifetime(Uint8Array.of(0, 0, 0, 0));
  const old = peer.sa!;
  site.run(2500);
  t.is(peer.sa, old);
  site.vpn[1]!.connections[0]!.settings.psk![0]! ^= 1;
  site.run(3000);
  t.is(site.vpn[1]!.counters.failed + site.vpn[0]!.counters.failed > 0, true);
  t.is(peer.sa, old);
  t.false(old.dead);
  same(t, site);
  t.deepEqual(site.told[0], ["established"]);
  peer.close();
  site.run(30_000);
  t.deepEqual([site.vpn[0]!.sas.size, site.vpn[1]!.sas.size], [0, 0]);
});

test("a child's end whose answer is lost, while the peer replaces the IKE SA: the child ends at both", (t) => {
  let lose = 0;
  const net = ends(t, { wire: { delay: 1, b: { filter: (frame) => !(frame[23] === 17 && lose-- > 0) } } });
  const connection = net.connect(0, { remote: B });
  net.connect(1);
  net.run(2000);
  same(t, net);
  const old = connection.sa!;
  lose = 1;
  old.request(new DeleteChild(net.children[0]![0]!));
  net.run(10);
  t.deepEqual([net.children[0]!.length, net.children[1]!.length], [1, 0]);
  rekeyIke(net.vpn[1]!.find(old.spiR)!);
  net.run(500);
  t.true(old.dead && connection.sa !== old && connection.established());
  t.is(net.children[0]!.length, 0);
  connection.close();
  net.run(1000);
});

/** NAT64 and CLAT: headers, checksums, fragments, ICMP with what it quotes; what is hostile; addresses that run out. */
import test from "ava";
import fc from "fast-check";
import type { ExecutionContext } from "ava";
import { embed64, extract64, parsePrefix64, within64 } from "../../stack/core/prefix64.js";
import { hashOf } from "../../stack/core/hash.js";
import { firewall } from "../../stack/filter/firewall.js";
import { napt } from "../../stack/filter/napt.js";
import { message4, message6, pointer4, pointer6 } from "../../stack/translator/icmp.js";
import { Hosts } from "../../stack/translator/hosts.js";
import { nat64 } from "../../stack/translator/nat64.js";
import type { Nat64Options } from "../../stack/translator/nat64.js";
import { clat } from "../../stack/translator/clat.js";
import { LAN6_HOST, WAN_HOST, WAN_MAC, FAR, FAR6, router } from "../router/support.js";
import { OUTER } from "../filter/support.js";
import { ip6Bytes, ip6Text } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { STACK_MAC, eth, frame, icmp, ip4, ip6, tcp, udp } from "../support/packets.js";
import type { Layer, Payload } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";

const PREFIX = "fd64::/96";
const SERVER = "fd64::c633:6407"; // 198.51.100.7

const full = (text: string) => ip6Text(ip6Bytes(text));

function translated(t: ExecutionContext | null, options: Nat64Options = {}) {
  const xlat = nat64({ prefix: PREFIX, ...options });
  const wall = firewall({ rules: [{ action: "accept", from: "lan" }], nat: napt() });
  const node = router(t, { more: [wall, xlat], gateway: "" });
  wall.assign(node.lanNif, "lan");
  wall.assign(xlat.nif, "lan");
  wall.assign(node.wanNif, "wan");
  const out = (fields: Parameters<typeof ip6>[0], ...parts: (Layer | Payload)[]) =>
    node.lan.send(frame(eth({ dst: STACK_MAC }), ip6({ src: LAN6_HOST, dst: SERVER, ...fields }), ...parts));
  const back = (fields: Parameters<typeof ip4>[0], ...parts: (Layer | Payload)[]) =>
    node.wan.send(frame(eth({ dst: WAN_MAC }), ip4({ src: FAR, dst: OUTER, ...fields }), ...parts));
  return { ...node, xlat, wall, out, back, seen: xlat.counters };
}

test("UDP, TCP and echoes leave by the outer IPv4 address and come back; a hop is counted once", (t) => {
  const w = translated(t);
  w.out({ hops: 64, trafficClass: 0xb8 }, udp({ sport: 1000, dport: 53 }), "question");
  const port = expectFrame(t, w.wan.next(), {
    ip4: { src: OUTER, dst: FAR, ttl: 63, tos: 0xb8, df: false },
    udp: { dport: 53 },
    payload: "question",
  }).udp!.sport;
  w.back({ ttl: 50 }, udp({ sport: 53, dport: port }), "answer");
  expectFrame(t, w.lan.next(), {
    ip6: { src: full(SERVER), dst: full(LAN6_HOST), hops: 49 },
    udp: { sport: 53, dport: 1000 },
    payload: "answer",
  });
  w.out({}, tcp({ flags: "S", sport: 2000, dport: 80, seq: 7 }));
  const syn = expectFrame(t, w.wan.next(), { ip4: { src: OUTER }, tcp: { dport: 80, flags: "S" } }).tcp!;
  w.back({}, tcp({ flags: "SA", sport: 80, dport: syn.sport, seq: 5, ack: 8 }));
  expectFrame(t, w.lan.next(), {
    ip6: { dst: full(LAN6_HOST) },
    tcp: { sport: 80, dport: 2000, flags: "SA" },
  });
  w.out({}, icmp({ type: 128, id: 77, seq: 3 }), 20);
  const echo = expectFrame(t, w.wan.next(), {
    ip4: { src: OUTER },
    icmp: { type: 8, seq: 3 },
    payload: 20,
  }).icmp!;
  w.back({}, icmp({ type: 0, id: echo.id, seq: 3 }), 20);
  expectFrame(t, w.lan.next(), { ip6: { dst: full(LAN6_HOST) }, icmp: { type: 129, id: 77, seq: 3 } });
  w.out({ hops: 1 }, udp({ sport: 1000, dport: 53 }), 1);
  expectFrame(t, w.lan.next(), { ip6: { src: full("2001:db8:1::1") }, icmp: { type: 3 } });
  w.back({ ttl: 1 }, udp({ sport: 53, dport: port }), 1);
  expectFrame(t, w.wan.next(), { ip4: { src: OUTER }, icmp: { type: 11 } });
  t.deepEqual([w.seen.toIpv4, w.seen.toIpv6], [3, 3]);
});

test("checksums stay right whatever the payload; large packets are not to be fragmented, small ones may be", (t) => {
  const w = translated(t);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 65535 }),
      fc.uint8Array({ maxLength: 1400 }),
      fc.constantFrom("udp", "tcp", "icmp"),
      (sport, bytes, kind) => {
        w.wall.forget(() => true);
        const layer =
          kind === "tcp"
            ? tcp({ flags: "S", sport })
            : kind === "udp"
              ? udp({ sport })
              : icmp({ type: 128, id: sport });
        w.out({}, layer, bytes);
        const there = parseFrame(w.wan.next()!);
        t.deepEqual(there.faults, []);
        t.deepEqual(there.payload, bytes);
        t.is(there.ip4!.df, there.ip4!.totalLength > 1260);
        const reply =
          kind === "tcp"
            ? tcp({ flags: "SA", dport: there.tcp!.sport, ack: 1 })
            : kind === "udp"
              ? udp({ sport: 80, dport: there.udp!.sport, checksum: sport & 1 ? 0 : undefined })
              : icmp({ type: 0, id: there.icmp!.id });
        if (kind === "udp" && there.udp!.dport !== 80) return;
        w.back({ df: true }, reply, bytes);
        const again = w.lan.next();
        if (!again) return;
        const here = parseFrame(again);
        t.deepEqual(here.faults, []);
        t.deepEqual(here.payload, bytes);
      },
    ),
  );
});

test("what may be fragmented fits 1280 bytes; fragments stay fragments; ICMP in fragments is dropped", (t) => {
  const w = translated(t);
  w.out({}, udp({ sport: 1000, dport: 53 }), 1);
  const port = parseFrame(w.wan.next()!).udp!.sport;
  w.back({ id: 99 }, udp({ sport: 53, dport: port }), 1400);
  const pieces = w.lan.take();
  t.is(pieces.length, 2);
  for (const piece of pieces) {
    t.true(piece.length - 14 <= 1280);
    t.is(piece[20], 44);
    t.is(piece[61], 99);
  }
  t.is((pieces[0][56] << 8) | pieces[0][57], 1);
  t.is((pieces[1][56] << 8) | pieces[1][57], 1232);
  t.is(pieces[0].length + pieces[1].length, 2 * (14 + 48) + 1408);
  t.is(w.seen.fragments, 2);
  const bytes = frame(
    ip6({ src: LAN6_HOST, dst: SERVER, next: 44 }),
    Uint8Array.of(58, 0, 0, 1, 0, 0, 0, 1),
    icmp({ type: 128 }),
    32,
  );
  w.lan.send(frame(eth({ dst: STACK_MAC, type: 0x86dd }), bytes));
  t.is(w.wan.next(), undefined);
  t.is(w.seen.untranslatable, 1);
});

test("errors are translated with what they quote, both ways; MTUs grow and shrink by 20", (t) => {
  const w = translated(t);
  w.out({}, udp({ sport: 1000, dport: 53 }), 1300);
  const sent = w.wan.next()!;
  const quote = sent.slice(14, 14 + 28);
  const port = parseFrame(sent).udp!.sport;
  w.back({ src: "10.1.0.9" }, icmp({ type: 3, code: 4, rest: 1400 }), quote);
  const big = expectFrame(t, w.lan.next(), {
    ip6: { src: full("fd64::a01:9"), dst: full(LAN6_HOST) },
    icmp: { type: 2, rest: 1420 },
  });
  t.deepEqual([...big.payload.subarray(8, 24)], [...ip6Bytes(LAN6_HOST)]);
  t.deepEqual([...big.payload.subarray(24, 40)], [...ip6Bytes(SERVER)]);
  t.is((big.payload[40] << 8) | big.payload[41], 1000);
  w.back({ src: "10.1.0.9" }, icmp({ type: 11, code: 0 }), quote);
  expectFrame(t, w.lan.next(), { icmp: { type: 3, code: 0 } });
  w.back({}, icmp({ type: 3, code: 3 }), quote);
  expectFrame(t, w.lan.next(), { ip6: { src: full(SERVER) }, icmp: { type: 1, code: 4 } });
  // The other way: a packet that is too large for the LAN.
  w.stack.setInterface(w.lanNif, { mtu: 1300 });
  w.back({ df: true }, udp({ sport: 53, dport: port }), 1300);
  const needed = expectFrame(t, w.wan.next(), {
    ip4: { src: OUTER, dst: FAR },
    icmp: { type: 3, code: 4, rest: 1280 },
  });
  t.is((needed.payload[22] << 8) | needed.payload[23], port);
  t.is(w.seen.malformed, 0);
  // What lies about its checksum is nothing.
  w.back({}, icmp({ type: 3, code: 3, checksum: 1 }), quote);
  t.is(w.lan.next(), undefined);
});

test("NAT-06, RES-05: hostile packets raise one counter, or come out well-formed; nothing throws", (t) => {
  const w = translated(null);
  const t6 = w.xlat.translator;
  const count = () => Object.values(w.seen).reduce((sum, n) => sum + n, 0);
  const head6 = frame(ip6({ src: LAN6_HOST, dst: SERVER, next: 17 }), udp(), 40);
  const head4 = frame(ip4({ src: FAR, dst: "192.168.255.3" }), udp(), 40);
  const error6 = frame(ip6({ src: LAN6_HOST, dst: SERVER }), icmp({ type: 1 }), head6);
  const error4 = frame(ip4({ src: FAR, dst: "192.168.255.3" }), icmp({ type: 3 }), head4);
  fc.assert(
    fc.property(
      fc.constantFrom(head6, head4, error6, error4),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }),
      fc.nat(140),
      (base, changes, cut) => {
        const bytes = base.slice(0, base.length - Math.min(cut, base.length - 1));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        const before = count();
        t6.transmit(bytes, 0, bytes.length);
        w.stack.runDeferred();
        const group = bytes.length >= 40 && bytes[0] >> 4 === 6 && bytes[24] === 0xff;
        t.true(group || count() > before, Buffer.from(bytes).toString("hex"));
      },
    ),
    { numRuns: 3000 },
  );
  w.world.run(20_000);
  t.is(w.stack.pool.used, 0);
  w.stack.close();
});

test("private addresses have no place in the well-known prefix (RFC 6052); others' do", (t) => {
  const w = translated(t, { prefix: "64:ff9b::/96" });
  for (const dst of [
    "64:ff9b::a01:2",
    "64:ff9b::c0a8:102",
    "64:ff9b::ac10:1",
    "64:ff9b::e000:1",
    "64:ff9b::7f00:1",
  ]) {
    w.out({ dst }, udp(), 1);
    t.is(w.wan.next(), undefined, dst);
  }
  t.is(w.seen.address, 5);
  w.out({ dst: "64:ff9b::c633:6407" }, udp(), 1);
  expectFrame(t, w.wan.next(), { ip4: { dst: FAR } });
});

test("NAT-02: who makes up addresses takes none from those who were answered; a pool that is used up refuses", (t) => {
  const { stack } = translated(t);
  const hosts = new Hosts(100, 4, hashOf(stack));
  const six = (n: number) => ip6Bytes(`2001:db8::${n.toString(16)}`);
  t.true(hosts.fix(six(1), 0, 101));
  t.false(hosts.fix(six(1), 0, 102));
  t.false(hosts.fix(six(9), 0, 101));
  t.false(hosts.fix(six(9), 0, 104));
  const talker = hosts.obtain(six(2), 0, 0);
  t.is(hosts.answer(hosts.address(talker), 1), talker);
  for (let i = 0; i < 1000; i++) t.true(hosts.obtain(six(1000 + i), 0, 2) >= 0);
  t.is(hosts.find(six(2), 0), talker);
  t.is(hosts.address(hosts.find(six(1), 0)), 101);
  t.is(hosts.size, 4);
  for (const n of [1998, 1999]) hosts.answer(hosts.address(hosts.find(six(n), 0)), 3);
  t.is(hosts.obtain(six(5000), 0, 4), -1);
  t.true(hosts.obtain(six(5000), 0, 7440001) >= 0);
  t.is(hosts.find(six(2), 0), -1);
});

test("prefixes of all lengths embed and extract; types, codes and pointers go there and back", (t) => {
  fc.assert(
    fc.property(fc.constantFrom(32, 40, 48, 56, 64, 96), fc.integer(), (length, word) => {
      const prefix = parsePrefix64(`2001:db8::/${length}`);
      const bytes = new Uint8Array(20);
      embed64(prefix, word, bytes, 2);
      t.true(within64(prefix, bytes, 2));
      t.is(extract64(prefix, bytes, 2), word);
    }),
  );
  for (const [type, code] of [
    [128, 0],
    [129, 0],
    [1, 4],
    [2, 0],
    [3, 0],
    [3, 1],
  ] as const)
    t.is(message6(message4(type, code) >> 8, message4(type, code) & 255), (type << 8) | code);
  for (let type = 0; type < 256; type++)
    for (let code = 0; code < 256; code += 5) {
      t.true(message4(type, code) < 0x1400);
      t.true(message6(type, code) <= 0x8100);
    }
  for (let i = 0; i < 300; i++) {
    t.true(pointer4(i) < 20);
    t.true(pointer6(i) < 40);
  }
});

test("CLAT: this host's IPv4 goes out as IPv6 from the one address, and comes back", (t) => {
  const xlat = clat();
  const node = router(t, { more: [xlat] });
  const nif = xlat.open({ prefix: "2001:db8:f:64::/96", address: "2001:db8:c::1" });
  t.throws(() => xlat.open({ prefix: PREFIX, address: "::1" }), { code: "EBUSY" });
  const socket = node.udp.open({});
  socket.connect("203.0.113.5", 7);
  t.is(socket.send(new Uint8Array(10)), 10);
  node.world.run(1);
  const port = expectFrame(t, node.wan.next(), {
    ip6: { src: full("2001:db8:c::1"), dst: full("2001:db8:f:64::cb00:7105") },
    payload: new Uint8Array(10),
  }).udp!.sport;
  const reply = (src: string, ...parts: (Layer | Payload)[]) =>
    node.wan.send(frame(eth({ dst: WAN_MAC }), ip6({ src, dst: "2001:db8:c::1" }), ...parts));
  reply("2001:db8:f:64::cb00:7105", udp({ sport: 7, dport: port }), 33);
  t.is(socket.readable() > 0, true);
  // Who is not of the prefix has no address in IPv4.
  reply(FAR6, udp({ sport: 7, dport: port }), 1);
  t.is(xlat.counters.address, 1);
  xlat.close();
  xlat.close();
  t.true(nif.removed);
  t.throws(() => xlat.open({ prefix: "::/1", address: "::1" }), { code: "EINVAL" });
});

test("bad options throw", (t) => {
  for (const bad of [
    { prefix: "fd64::/95" },
    { pool: "10.0.0.0" },
    { pool: "10.0.0.0/8" },
    { pool: "10.0.0.1/24" },
    { mtu: 68 },
    { hosts: [{ address: "::1", ipv4: "10.0.0.1" }] },
  ]) {
    t.throws(() => translated(null, bad), { code: "EINVAL" }, JSON.stringify(bad));
  }
  t.is(WAN_HOST, "10.1.0.2");
});

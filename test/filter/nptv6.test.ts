/** NPTv6: one address for one, checksums as they were; and the rules of a home, against packets. */
import test from "ava";
import fc from "fast-check";
import { firewall } from "../../stack/filter/firewall.js";
import { homeRules } from "../../stack/filter/home-rules.js";
import { nptv6, translate } from "../../stack/filter/nptv6.js";
import { sum6 } from "../../stack/wire/ipv6.js";
import { LAN6_HOST, WAN6_HOST, WAN_MAC, router } from "../router/support.js";
import { ip6Bytes, ip6Text } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { STACK_MAC, eth, frame, icmp, ip4, ip6, tcp, udp } from "../support/packets.js";
import type { Layer, Payload } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import type { ExecutionContext } from "ava";

const full = (text: string) => ip6Text(ip6Bytes(text));

function nat66(t: ExecutionContext | null, first = false) {
  const npt = nptv6();
  const wall = firewall({
    rules: [
      { action: "accept", from: "lan" },
      { action: "accept", to: "self" },
    ],
  });
  const node = router(t, { more: first ? [npt, wall] : [wall, npt] });
  wall.assign(node.lanNif, "lan");
  wall.assign(node.wanNif, "wan");
  npt.add({ inside: "2001:db8:1::/64", outside: "2001:db8:7::/64", interface: node.wanNif });
  const out = (fields: Parameters<typeof ip6>[0], ...parts: (Layer | Payload)[]) =>
    node.lan.send(
      frame(eth({ dst: STACK_MAC }), ip6({ src: LAN6_HOST, dst: WAN6_HOST, ...fields }), ...parts),
    );
  const back = (fields: Parameters<typeof ip6>[0], ...parts: (Layer | Payload)[]) =>
    node.wan.send(frame(eth({ dst: WAN_MAC }), ip6({ src: WAN6_HOST, ...fields }), ...parts));
  return { ...node, npt, wall, out, back };
}

test("RFC 6296's own example, and any: there and back is where it was, and the sum stays", (t) => {
  const address = ip6Bytes("fd01:203:405:1::1234");
  const inside = ip6Bytes("fd01:203:405::");
  const outside = ip6Bytes("2001:db8:1::");
  const sum = (bytes: Uint8Array) => sum6(bytes, 0) % 0xffff;
  const adjust = (a: Uint8Array, b: Uint8Array) => (sum(a) + 0xffff - sum(b)) % 0xffff;
  t.true(translate(address, 0, outside, 48, adjust(inside, outside)));
  t.is(ip6Text(address), full("2001:db8:1:d550::1234"));
  t.true(translate(address, 0, inside, 48, adjust(outside, inside)));
  t.is(ip6Text(address), full("fd01:203:405:1::1234"));
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.integer({ min: 1, max: 64 }),
      (a, b, length) => {
        const cut = (bytes: Uint8Array) =>
          bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))));
        const [from, to] = [cut(a), cut(b)];
        const bytes = a.slice();
        if (!translate(bytes, 0, to, length, adjust(from, to))) return;
        t.is(sum(bytes), sum(a));
        t.true(translate(bytes, 0, from, length, adjust(to, from)));
        t.deepEqual(bytes, a);
      },
    ),
  );
  const ones = ip6Bytes("fd01:203:405:ffff::1");
  t.false(translate(ones, 0, outside, 48, 5));
});

for (const first of [false, true]) {
  const where = first ? "before" : "behind";
  test(`out by the outer prefix, in by it; errors with what they quote; nothing of the inside shows (${where} the firewall)`, (t) => {
    const w = nat66(t, first);
    w.out({}, udp({ sport: 1000, dport: 53 }), "question");
    const sent = w.wan.next()!;
    const { ip6: header, faults } = parseFrame(sent);
    t.deepEqual(faults, []);
    t.true(header!.src.startsWith("2001:db8:7:0:"), header!.src);
    const outer = header!.src;
    w.back({ dst: outer }, udp({ sport: 53, dport: 1000 }), "answer");
    expectFrame(t, w.lan.next(), { ip6: { src: full(WAN6_HOST), dst: full(LAN6_HOST) }, payload: "answer" });
    w.back({ dst: outer }, icmp({ type: 1, code: 4 }), sent.slice(14));
    const error = expectFrame(t, w.lan.next(), { ip6: { dst: full(LAN6_HOST) }, icmp: { type: 1, code: 4 } });
    t.is(ip6Text(error.payload.subarray(8, 24)), full(LAN6_HOST));
    w.back({ dst: outer, hops: 1 }, udp({ sport: 53, dport: 1000 }), 8);
    const own = expectFrame(t, w.wan.next(), { icmp: { type: 3 } });
    t.is(ip6Text(own.payload.subarray(24, 40)), outer);
    // Hosts inside reach each other by outer addresses.
    w.out({ dst: outer }, udp({ sport: 5, dport: 6 }), 1);
    const hairpin = w.lan.take().find((bytes) => parseFrame(bytes).udp);
    expectFrame(t, hairpin, { ip6: { src: outer, dst: full(LAN6_HOST) }, udp: { dport: 6 } });
    // Unasked for, nothing comes in; no counterpart: its sender is told.
    w.back({ dst: outer }, udp({ sport: 99, dport: 1000 }), 1);
    t.is(w.lan.next(), undefined);
    w.out({ src: "2001:db8:1:0:ffff:ffff:ffff:ffff" }, udp(), 1);
    t.is(w.wan.next(), undefined);
    t.is(w.npt.counters.unmappable, 1);
    t.true(w.npt.remove("2001:db8:7::/64"));
    t.false(w.npt.remove("2001:db8:7::/64"));
  });
}

test("RES-05: hostile packets do not throw; bad prefixes do", (t) => {
  const w = nat66(null);
  const base = frame(
    eth({ dst: WAN_MAC }),
    ip6({ src: WAN6_HOST, dst: "2001:db8:7::1" }),
    icmp({ type: 1 }),
    frame(ip6(), udp(), 9),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 14, max: 110 }), fc.nat(255)), { maxLength: 5 }),
      fc.nat(80),
      (changes, cut) => {
        const bytes = base.slice(0, base.length - cut);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        w.wan.send(bytes);
        t.pass();
      },
    ),
  );
  const outside = "2001:db8:9::/48";
  for (const inside of ["fd00::/49", "fd00::1/48", "fd00::", "x/48", "fd00::/65", "::/0"])
    t.throws(() => w.npt.add({ inside, outside, interface: w.wanNif }), { code: "EINVAL" }, inside);
  t.throws(() => w.npt.add({ inside: "2001:db8:1::/48", outside, interface: w.wanNif }), { code: "EEXIST" });
  w.stack.close();
});

test("homeRules: inside out, outside not in, guests outside alone", (t) => {
  const wall = firewall({
    rules: homeRules({ guests: ["guest"], services: [{ protocol: "tcp", port: 443 }], ping: 2, log: "no" }),
  });
  router(t, { more: [wall] });
  const says = (from: string, to: string, ...parts: [Layer, Layer]) =>
    wall.test(frame(...parts), from, to).action;
  const syn = (dport: number) => tcp({ flags: "S", dport });
  t.is(says("lan", "wan", ip4(), syn(80)), "accept");
  t.is(says("lan", "self", ip6(), syn(80)), "accept");
  t.is(says("wan", "lan", ip4(), syn(80)), "drop");
  t.is(says("wan", "lan", ip6(), syn(443)), "drop");
  t.is(says("wan", "self", ip4(), syn(22)), "drop");
  t.is(says("wan", "self", ip6(), syn(443)), "accept");
  t.is(says("wan", "self", ip4(), udp({ sport: 67, dport: 68 })), "accept");
  t.is(says("wan", "self", ip6({ src: "fe80::9" }), udp({ sport: 547, dport: 546 })), "accept");
  t.is(says("wan", "self", ip6({ src: WAN6_HOST }), udp({ sport: 547, dport: 546 })), "drop");
  t.is(says("guest", "wan", ip4(), syn(80)), "accept");
  t.is(says("guest", "lan", ip4(), syn(80)), "reject");
  t.is(says("guest", "self", ip4(), udp({ dport: 53 })), "accept");
  t.is(says("guest", "self", ip4(), syn(22)), "reject");
  t.deepEqual(
    [1, 2, 3].map(() => says("wan", "self", ip4(), icmp({ type: 8 }))),
    ["accept", "accept", "drop"],
  );
  t.is(says("wan", "lan", ip4(), icmp({ type: 8 })), "drop");
  wall.load({ rules: homeRules({ ping: 0 }) });
  t.is(says("wan", "self", ip4(), icmp({ type: 8 })), "drop");
});

/** Several tables: rules, VRFs, several next hops, routes that lead nowhere, events; in both families. */
import test from "ava";
import type { ExecutionContext } from "ava";
import type { Interface } from "../../stack/core/interface.js";
import { routeTables } from "../../stack/router/route-tables.js";
import { routeTables6 } from "../../stack/router/route-tables6.js";
import { expectFrame } from "../support/expect.js";
import { STACK_MAC, eth, frame, ip4, ip6, udp } from "../support/packets.js";
import { Probe } from "../support/probe.js";
import { LAN6_HOST, LAN_HOST, router } from "./support.js";

const ALT_MAC = "02:00:00:00:00:21";

/** The router of support.ts with a third interface, 10.2.0.0/24 and 2001:db8:3::/64, and routers .9 and .8 there and at the WAN. */
function setup(t: ExecutionContext) {
  const four = routeTables();
  const six = routeTables6();
  const node = router(t, { ipv4: { fib: four }, ipv6: { fib: six }, more: [four, six] });
  const alt = new Probe(node.world, { mac: ALT_MAC });
  const altNif = node.stack.addInterface(alt);
  node.ip.addAddress(altNif, "10.2.0.1/24");
  node.ip6.addAddress(altNif, "2001:db8:3::1/64");
  for (const [nif, net, net6] of [
    [node.wanNif, "10.1.0", "2001:db8:2::"],
    [altNif, "10.2.0", "2001:db8:3::"],
  ] as [Interface, string, string][]) {
    for (const host of ["8", "9"]) {
      node.knows(nif, `${net}.${host}`);
      node.knows(nif, net6 + host);
    }
  }
  const probes = { lan: node.lan, wan: node.wan, alt };
  const take = () =>
    Object.entries(probes)
      .filter(([, probe]) => probe.take().length > 0)
      .map(([name]) => name)
      .join();
  /** Where a packet from the LAN to `dst` comes out. */
  const out = (dst: string, sport = 1, src?: string) => {
    const six = dst.includes(":");
    const outer = six ? ip6({ src: src ?? LAN6_HOST, dst }) : ip4({ src: src ?? LAN_HOST, dst });
    node.lan.send(frame(eth({ dst: STACK_MAC }), outer, udp({ sport }), 10));
    return take();
  };
  return { ...node, tables: four, tables6: six, alt, altNif, out };
}

test("rules by source, interface and mark, in order; what a table does not know, the next may", (t) => {
  const { tables, tables6, ip, ip6: six, lanNif, out, four, six: forward6 } = setup(t);
  four.configure(lanNif, { reversePath: "off" });
  forward6.configure(lanNif, { reversePath: "off" });
  tables.addRoute("192.0.2.0/24", { hops: [{ gateway: "10.1.0.9" }] });
  tables.addRoute("192.0.2.0/24", { hops: [{ gateway: "10.2.0.9" }], table: 7 });
  tables6.addRoute("2001:db8:e::/48", { hops: [{ gateway: "2001:db8:2::9" }] });
  tables6.addRoute("2001:db8:e::/48", { hops: [{ gateway: "2001:db8:3::9" }], table: 7 });
  t.is(out("192.0.2.1"), "wan");
  t.is(out("2001:db8:e::1"), "wan");
  const rule = tables.addRule({ from: "10.0.0.0/24", table: 7 });
  tables6.addRule({ from: "2001:db8:1::/64", table: 7 });
  t.is(out("192.0.2.1"), "alt");
  t.is(out("2001:db8:e::1"), "alt");
  t.is(out("192.0.2.1", 1, "203.0.113.1"), "wan");
  t.is(out("2001:db8:e::1", 1, "2001:db8:99::1"), "wan");
  t.is(out("10.1.0.8"), "wan", "not in table 7");
  t.true(tables.removeRule(rule));
  t.false(tables.removeRule(rule));
  t.is(out("192.0.2.1"), "wan");
  tables.addRule({ mark: 5, mask: 7, table: 7, priority: 1 });
  t.is(out("192.0.2.1"), "wan");
  for (const net of [ip, six]) {
    net.hook = (packet) => {
      packet.mark = 13;
      return true;
    };
  }
  t.is(out("192.0.2.1"), "alt");
  ip.hook = null;
  t.is(out("192.0.2.1"), "wan", "a mark is gone with its packet");
  ip.hook = six.hook;
  tables.addRule({ interface: lanNif, table: 9, priority: 0 });
  tables.addRoute("192.0.2.0/24", { hops: [{ gateway: "10.1.0.8" }], table: 9 });
  t.is(out("192.0.2.1"), "wan");
});

test("a rule that suppresses short prefixes: what main knows but by default goes by main, the rest by the other table", (t) => {
  const { tables, tables6, out } = setup(t);
  for (const [each, all, some, via, other] of [
    [tables, "0.0.0.0/0", "203.0.113.0/24", "10.1.0.9", "10.2.0.9"],
    [tables6, "::/0", "2001:db8:f::/48", "2001:db8:2::9", "2001:db8:3::9"],
  ] as const) {
    each.addRoute(all, { hops: [{ gateway: via }] });
    each.addRoute(some, { hops: [{ gateway: via }] });
    each.addRoute(all, { hops: [{ gateway: other }], table: 7 });
    each.addRule({ table: 254, suppress: 0, priority: 1 });
    each.addRule({ table: 7, priority: 2 });
  }
  t.deepEqual(
    ["203.0.113.1", "2001:db8:f::1", "192.0.2.1", "2001:db8:e::1"].map((to) => out(to)),
    ["wan", "wan", "alt", "alt"],
  );
  tables.addRule({ table: 254, suppress: 24, priority: 0 });
  t.is(out("203.0.113.1"), "wan", "the next rule has it");
  for (const suppress of [-2, 129, 0.5])
    t.throws(() => tables.addRule({ table: 7, suppress }), { code: "EINVAL" });
});

test("the check of sources asks no rule of a mark or an interface: what only the way there has", (t) => {
  const { tables, ip, wanNif, lanNif, out, counters } = setup(t);
  tables.addRoute("0.0.0.0/0", { hops: [{ gateway: "10.1.0.9" }] });
  tables.addRoute("0.0.0.0/0", { hops: [{ gateway: "10.2.0.9" }], table: 7 });
  tables.addRule({ interface: wanNif, table: 7 });
  t.is(out("192.0.2.1"), "wan");
  ip.hook = (packet) => {
    packet.mark = 5;
    return true;
  };
  tables.addRule({ mark: 5, table: 7 });
  t.is(out("192.0.2.1"), "alt");
  tables.addRule({ interface: lanNif, table: 7, priority: 1 });
  t.is(out("192.0.2.1"), "alt");
  t.is(counters.reversePath, 0);
});

test("routes that lead nowhere: nobody is told of a black hole, and of the others each its own", (t) => {
  const { tables, tables6, lan, ip, out, counters, counters6 } = setup(t);
  const to = (dst: string) =>
    frame(eth({ dst: STACK_MAC }), dst.includes(":") ? ip6({ src: LAN6_HOST, dst }) : ip4({ dst }), udp());
  tables.addRoute("192.0.2.0/24", { type: "blackhole" });
  tables6.addRoute("2001:db8:e::/48", { type: "blackhole" });
  t.is(out("192.0.2.1") + out("2001:db8:e::1"), "");
  for (const [type, code4, code6] of [
    ["unreachable", 1, 3],
    ["prohibit", 13, 1],
  ] as const) {
    tables.addRoute("192.0.2.128/25", { type, metric: 0 });
    tables6.addRoute("2001:db8:e:1::/64", { type });
    lan.send(to("192.0.2.200"));
    expectFrame(t, lan.next(), { icmp: { type: 3, code: code4 } });
    lan.send(to("2001:db8:e:1::1"));
    expectFrame(t, lan.next(), { icmp: { type: 1, code: code6 } });
    t.is(ip.removeRoute("192.0.2.128/25"), 1);
    tables6.remove((route) => route.length === 64 && route.prefix[5] === 14);
  }
  t.is(counters.refused, 3);
  t.is(counters6.refused, 3);
  const path = ip.createPath();
  ip.setRemote(path, "192.0.2.1");
  t.true(ip.route(path) < 0, "this host is refused as well");
});

test("several next hops: a flow keeps its way, flows spread by weight, and another takes over", (t) => {
  const { tables, tables6, stack, altNif, out } = setup(t);
  for (const [own, dst, hops] of [
    [tables, "192.0.2.1", ["10.1.0.9", "10.2.0.9"]],
    [tables6, "2001:db8:e::1", ["2001:db8:2::9", "2001:db8:3::9"]],
  ] as const) {
    const route = own.addRoute(own === tables ? "192.0.2.0/24" : "2001:db8:e::/48", {
      hops: [{ gateway: hops[0] }, { gateway: hops[1], weight: 3 }],
    });
    const ways = Array.from({ length: 400 }, (_, port) => out(dst, port + 1));
    t.deepEqual([...new Set(ways)].sort(), ["alt", "wan"]);
    const share = ways.filter((way) => way === "alt").length / 400;
    t.true(share > 0.65 && share < 0.85, `${share}`);
    for (let port = 0; port < 20; port++) t.is(out(dst, port + 1), ways[port]);
    stack.setInterface(altNif, { enabled: false });
    for (let port = 0; port < 20; port++) t.is(out(dst, port + 1), "wan");
    stack.setInterface(altNif, { enabled: true });
    t.is(out(dst, 1), ways[0]);
    if (own === tables) t.true(tables.removeRoute(route as never));
    else t.true(tables6.removeRoute(route as never));
    t.is(out(dst), "lan", "unreachable is told");
  }
  stack.removeInterface(altNif);
});

test("a VRF has the routes of its interfaces, and no others", (t) => {
  const { tables, tables6, lanNif, wanNif, altNif, out } = setup(t);
  t.is(out("10.1.0.9"), "wan");
  tables.setVrf(lanNif, 5);
  tables.setVrf(altNif, 5);
  tables6.setVrf(lanNif, 5);
  tables6.setVrf(altNif, 5);
  t.is(out("10.1.0.9"), "");
  t.is(out("10.2.0.9"), "alt");
  t.is(out("2001:db8:2::9"), "");
  t.is(out("2001:db8:3::9"), "alt");
  tables.setVrf(lanNif, null);
  tables6.setVrf(lanNif, null);
  t.is(out("10.1.0.9"), "wan");
  t.is(out("2001:db8:2::9"), "wan");
  t.is(tables.lookup(0x0a020009, null), null);
  t.not(tables.lookup(0x0a020009, altNif), null);
  t.is(tables.lookup(0x0a010009, wanNif)!.nif, wanNif);
});

test("events, and misuse", (t) => {
  const { tables, ip } = setup(t);
  const seen: string[] = [];
  tables.onChange((route, table, added) => seen.push(`${added ? "+" : "-"}${route.length} ${table}`));
  const route = tables.addRoute("192.0.2.0/24", { hops: [{ gateway: "10.1.0.9" }], table: 3 });
  ip.addRoute("0.0.0.0/0", { gateway: "10.1.0.9" });
  t.true(tables.removeRoute(route));
  t.false(tables.removeRoute(route));
  ip.removeRoute("0.0.0.0/0");
  t.deepEqual(seen, ["+24 3", "+0 254", "-24 3", "-0 254"]);
  const bad = [
    () => tables.addRoute("192.0.2.1/24", { type: "blackhole" }),
    () => tables.addRoute("192.0.2.0/24", {}),
    () => tables.addRoute("192.0.2.0/24", { type: "no" as never }),
    () => tables.addRoute("x", { type: "blackhole" }),
    () => tables.addRoute("192.0.2.0/24", { hops: [{ gateway: "10.1.0.9", weight: 300 }] }),
    () => tables.addRoute("192.0.2.0/24", { type: "blackhole", table: 0 }),
    () => tables.addRule({ from: "10.0.0.0/33", table: 1 }),
    () => tables.addRule({ table: -1 }),
  ];
  for (const each of bad) t.throws(each, { code: "EINVAL" });
  t.throws(() => tables.addRoute("192.0.2.0/24", { hops: [{ gateway: "203.0.113.1" }] }), {
    code: "ENETUNREACH",
  });
});

/** Multicast of a router: who listens is asked and remembered, what they want is forwarded and joined upstream, and nothing else. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { createSwitch, createWorld, wire } from "../../ports/sim/index.js";
import type { SimLink, World } from "../../ports/sim/index.js";
import { put16 } from "../../stack/core/bytes.js";
import { sum } from "../../stack/core/checksum.js";
import { createStack } from "../../stack/core/stack.js";
import type { Component } from "../../stack/core/stack.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { mld } from "../../stack/ipv6/mld.js";
import { nd } from "../../stack/ipv6/nd.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { raw } from "../../stack/raw/raw.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { forwarding6 } from "../../stack/router/forwarding6.js";
import { multicast } from "../../stack/routing/multicast.js";
import type { Multicast, MulticastOptions } from "../../stack/routing/multicast.js";
import type { DatagramInfo } from "../../stack/udp/udp.js";
import { udp } from "../../stack/udp/udp.js";
import { closeAll } from "../support/leaks.js";

function machine(world: World, links: SimLink[], network: number, host: number, more: Component[] = []) {
  const parts = { ip: ipv4(), ip6: ipv6(), udp: udp(), raw: raw() };
  const simHost = world.host();
  const stack = simHost.drive(
    createStack(simHost, [
      ...more,
      ethernet(),
      arp(),
      icmp(),
      igmp(),
      icmpv6(),
      nd(),
      mld(),
      ...[parts.ip, parts.ip6, parts.udp, parts.raw],
    ]),
  );
  const nifs = links.map((link, i) => {
    const nif = stack.addInterface(link);
    parts.ip.addAddress(nif, `10.${network + i}.0.${host}/24`);
    parts.ip6.addAddress(nif, `fd0${network + i}::${host}/64`);
    return nif;
  });
  if (host !== 1) {
    parts.ip.addRoute("0.0.0.0/0", { gateway: `10.${network}.0.1` });
    parts.ip6.addRoute("::/0", { gateway: `fd0${network}::1` });
  }
  const heard: string[] = [];
  const info = {} as DatagramInfo;
  const listen = (group: string, sources?: string[]) => {
    const socket = parts.udp.open({
      port: 5000,
      reuse: true,
      onReadable() {
        const data = new Uint8Array(100);
        while (this.receive(data, info) >= 0) heard.push(`${String.fromCharCode(data[0]!)}${info.ttl}`);
      },
    });
    socket.join(group, nifs[0], sources && { exclude: false, sources });
    return socket;
  };
  const sender = parts.udp.open({ port: 5001, multicastTtl: 9, interface: nifs[0]! });
  const say = (group: string, text: string) => {
    sender.sendTo(group, 5000, new Uint8Array([text.charCodeAt(0)]));
    world.run(20);
  };
  return { stack, nifs, heard, listen, say, ...parts };
}

/** lan1 (10.1, hosts a and b) and lan2 (10.2, host c) behind the router, and the world (10.3, host w). */
function site(t: ExecutionContext, options?: MulticastOptions) {
  const world = createWorld({ seed: 5, scribble: true });
  const groups: Multicast = multicast(options);
  const lan1 = createSwitch(world);
  const two = wire(world);
  const up = wire(world);
  const router = machine(world, [lan1.link(), two[0], up[0]], 1, 1, [groups, forwarding(), forwarding6()]);
  const hosts = {
    a: machine(world, [lan1.link()], 1, 2),
    b: machine(world, [lan1.link()], 1, 3),
    c: machine(world, [two[1]], 2, 2),
    w: machine(world, [up[1]], 3, 2),
  };
  t.teardown(() => {
    const leaks = closeAll(
      world,
      [router, ...Object.values(hosts)].map(({ stack }) => stack),
    );
    if (leaks.length > 0 && t.passed) throw new Error(leaks.join("; "));
  });
  groups.enable(router.nifs[0]!);
  groups.enable(router.nifs[1]!);
  groups.setUpstream(router.nifs[2]!);
  world.run(3000);
  return { world, groups, router, ...hosts, counters: groups.counters };
}

for (const [group, other, site5] of [
  ["239.1.2.3", "239.1.2.4", "239.255.0.7"],
  ["ff0e::1:3", "ff0e::1:4", "ff05::7"],
] as const) {
  test(`${group}: what is listened to comes in from the world and from other LANs, one hop less, until it is left`, (t) => {
    const { world, groups, router, a, b, c, w, counters } = site(t);
    w.say(group, "x");
    const socket = a.listen(group);
    world.run(2000);
    t.deepEqual(groups.groups(), [{ group, listeners: [{ interface: "eth0", sources: null }] }]);
    w.say(group, "1");
    w.say(other, "2");
    c.say(group, "3");
    t.deepEqual(a.heard, ["18", "38"]);
    t.deepEqual([b.heard, c.heard], [[], []]);
    // From a LAN it goes up, and to those who listen elsewhere; within the LAN nobody hears it twice.
    w.listen(group);
    c.listen(group);
    world.run(2000);
    a.say(group, "4");
    t.deepEqual(w.heard.at(-1), "48");
    t.deepEqual(c.heard, ["48"]);
    b.say(group, "5");
    t.deepEqual(
      a.heard.slice(2).filter((text) => text.startsWith("5")),
      ["59"],
    );
    // Two listen, one leaves, the other is asked and stays.
    const second = b.listen(group);
    world.run(2000);
    socket.close();
    world.run(5000);
    w.say(group, "6");
    t.is(b.heard.at(-1), "68");
    second.close();
    world.run(5000);
    t.deepEqual(
      groups.groups().map(({ listeners }) => listeners.map((each) => each.interface)),
      [["eth1"]],
    );
    t.is(counters.malformed, 0);
    t.true(counters.queriesSent >= 4);
    t.true(router.nifs[0]!.allGroups);
  });

  test(`${group}: what is of the site stays there; what comes by the wrong way, or at its last hop, ends here`, (t) => {
    const { world, a, c, w, counters, router } = site(t);
    a.listen(site5);
    a.listen(group);
    world.run(2000);
    w.say(site5, "1");
    c.say(site5, "2");
    t.deepEqual(a.heard, ["28"]);
    const scoped = counters.scope;
    const last = w.udp.open({ port: 5002, multicastTtl: 1, interface: w.nifs[0]! });
    last.sendTo(group, 5000, new Uint8Array([51]));
    world.run(20);
    t.is(counters.scope, scoped + 1);
    // w pretends to be of lan2.
    w.ip.addAddress(w.nifs[0]!, "10.2.0.9/32", { route: false });
    w.ip6.addAddress(w.nifs[0]!, "fd02::9/128", { route: false });
    const forged = w.udp.open({
      port: 5003,
      multicastTtl: 9,
      interface: w.nifs[0]!,
      address: group.includes(":") ? "fd02::9" : "10.2.0.9",
    });
    forged.sendTo(group, 5000, new Uint8Array([52]));
    world.run(20);
    t.is(counters.wrongWay, 1);
    t.deepEqual(a.heard, ["28"]);
    t.is(router.ip.counters.martian, 0);
  });
}

test("sources: only those that somebody named come, and only they are joined upstream", (t) => {
  const { world, groups, router, a, b, c, w } = site(t);
  const us = router.nifs[2]!;
  a.listen("239.1.1.1", ["10.3.0.2"]);
  world.run(2000);
  t.deepEqual(groups.groups()[0]!.listeners[0]!.sources, ["10.3.0.2"]);
  const group = (239 << 24) | (1 << 16) | (1 << 8) | 1;
  const from = (n: number) => (10 << 24) | (3 << 16) | n;
  t.true(router.ip.igmp!.accepts(us, group, from(2)));
  t.false(router.ip.igmp!.accepts(us, group, from(3)));
  w.say("239.1.1.1", "1");
  c.say("239.1.1.1", "2");
  t.deepEqual(a.heard, ["18"]);
  const all = b.listen("239.1.1.1");
  world.run(2000);
  t.true(router.ip.igmp!.accepts(us, group, from(3)));
  all.close();
  world.run(5000);
  t.false(router.ip.igmp!.accepts(us, group, from(3)));
  t.true(router.ip.igmp!.accepts(us, group, from(2)));
});

test("of two routers on a link the one with the lower address asks and serves; the other takes its place when it is gone", (t) => {
  const world = createWorld({ seed: 2, scribble: true });
  const lan = createSwitch(world);
  const [m1, m2] = [multicast({ interval: 10 }), multicast({ interval: 10 })];
  const first = machine(world, [lan.link()], 1, 1, [m1]);
  const second = machine(world, [lan.link()], 1, 4, [m2]);
  const host = machine(world, [lan.link()], 1, 2);
  t.teardown(() => closeAll(world, [first.stack, second.stack, host.stack]));
  m2.enable(second.nifs[0]!);
  world.run(2000);
  m1.enable(first.nifs[0]!);
  world.run(30_000);
  const asked = m2.counters.queriesSent;
  host.listen("239.1.1.1").close();
  world.run(20_000);
  t.is(m2.counters.queriesSent - asked <= 6, true);
  t.true(m2.counters.queriesHeard > 2);
  t.deepEqual(m2.groups(), []);
  first.stack.setInterface(first.nifs[0]!, { enabled: false });
  world.run(60_000);
  t.true(m2.counters.queriesSent > asked + 3);
});

test("whatever is reported, tables are bounded, the rest is counted", (t) => {
  const { world, groups, a, router, counters } = site(t, { groups: 8 });
  const socket = a.raw.open({ protocol: 2, ttl: 1 });
  const say = (data: Uint8Array) => {
    if (data.length >= 4) {
      data[2] = data[3] = 0;
      put16(data, 2, ~sum(data, 0, data.length, 0));
    }
    socket.sendTo("224.0.0.22", data);
    world.run(1);
  };
  const record = fc
    .tuple(fc.nat(8), fc.nat(3), fc.nat(60), fc.nat(255))
    .map(([type, aux, count, n]) => [
      type,
      fc.sample(fc.constant(aux), 1)[0]! & 1,
      0,
      count,
      239,
      9,
      9,
      n,
      ...new Array<number>(count * 4).fill(n),
    ]);
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 64 }),
        fc
          .array(record, { maxLength: 12 })
          .map((list) => new Uint8Array([0x22, 0, 0, 0, 0, 0, 0, list.length, ...list.flat()])),
        fc
          .tuple(fc.constantFrom(0x11, 0x12, 0x16, 0x17), fc.nat(255))
          .map(([type, n]) => new Uint8Array([type, 0, 0, 0, 239, 8, 8, n])),
      ),
      (data) => {
        say(data.length > 1400 ? data.slice(0, 1400) : data);
        return groups.groups().length <= 16;
      },
    ),
    { numRuns: 400 },
  );
  t.true(counters.malformed > 0 && counters.reports > 0 && counters.full > 0);
  for (const { listeners } of groups.groups())
    for (const { sources } of listeners) t.true(sources === null || sources.length <= 32);
  t.true(groups.disable(router.nifs[0]!));
  t.false(groups.disable(router.nifs[0]!));
  t.deepEqual(groups.groups(), []);
  t.throws(() => groups.enable(router.nifs[2]!), { code: "EINVAL" });
  t.throws(() => groups.enable(router.nifs[1]!), { code: "EEXIST" });
  t.throws(() => groups.setUpstream(router.nifs[1]!), { code: "EINVAL" });
  t.throws(() => multicast({ groups: 0.5 }), { code: "EINVAL" });
});

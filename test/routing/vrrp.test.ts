/** VRRP version 3 (RFC 5798): one of several has the addresses, another takes over, and nobody believes what is not of the link. */
import test from "ava";
import fc from "fast-check";
import { createWorld } from "../../ports/sim/index.js";
import type { World } from "../../ports/sim/index.js";
import { get16, put16 } from "../../stack/core/bytes.js";
import { sum } from "../../stack/core/checksum.js";
import { acd } from "../../stack/ipv4/acd.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { dad } from "../../stack/ipv6/dad.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { raw } from "../../stack/raw/raw.js";
import { vrrp } from "../../stack/routing/vrrp.js";
import type { VrrpRouterOptions } from "../../stack/routing/vrrp.js";
import { network } from "../support/network.js";

function gateways(t: Parameters<typeof network>[0], n: number) {
  const world: World = createWorld({ seed: 3, scribble: true });
  const parts = Array.from({ length: n }, () => ({ vrrp: vrrp(), ip6: ipv6(), raw: raw() }));
  let next = 0;
  const net = network(t, n, {
    world,
    components: () => {
      const part = parts[next++]!;
      return [igmp(), part.ip6, icmpv6(), nd(), dad(), acd(), part.vrrp, part.raw];
    },
  });
  world.run(10_000);
  return { ...net, each: net.nodes.map((node, i) => ({ ...node, ...parts[i]! })) };
}

const V4: VrrpRouterOptions = { id: 7, addresses: ["10.0.0.254"] };
const V6: VrrpRouterOptions = { id: 7, addresses: ["fe80::254", "fd00::fe"] };

test("the highest priority is active, the next one follows when it is cut off, equals go by address", (t) => {
  const { world, each, links } = gateways(t, 3);
  const states: string[] = [];
  const fours = each.map(({ vrrp: v, nif }, i) =>
    v.add(nif, {
      ...V4,
      priority: [100, 200, 100][i],
      onState: (active) => states.push(`${i}${active ? "+" : "-"}`),
    }),
  );
  const sixes = each.map(({ vrrp: v, nif }, i) => v.add(nif, { ...V6, priority: [100, 200, 100][i] }));
  const active = (list: typeof fours) => list.map((router) => Number(router.active())).join("");
  world.run(5000);
  t.is(active(fours), "010");
  t.is(active(sixes), "010");
  t.deepEqual(states, ["1+"]);
  // Its addresses, beyond doubt at once though others are tried first.
  t.true(each[1]!.ip.isLocal((10 << 24) | 254));
  t.true(each[1]!.ip6.addresses.some(({ origin, state }) => origin === "vrrp" && state === 1));
  links[1]!.cut(true);
  world.run(3700);
  // Equal priorities: the one with the higher address.
  t.is(active(fours), "011");
  t.is(active(sixes).slice(1, 2), "1");
  t.is(active(sixes).match(/1/g)!.length, 2);
  links[1]!.restore(true);
  world.run(3000);
  t.is(active(fours), "010");
  t.is(active(sixes), "010");
  t.is(states.at(-1), "2-");
  // It goes politely: the others wait for no more than their skew.
  fours[1]!.remove();
  fours[1]!.remove();
  world.run(700);
  t.is(active(fours), "001");
  fours[0]!.setPriority(250);
  world.run(4000);
  t.is(active(fours), "100");
  each[0]!.stack.setInterface(each[0]!.nif, { enabled: false });
  t.is(active(fours), "000");
  t.false(each[0]!.ip.isLocal((10 << 24) | 254));
  world.run(4000);
  t.is(active(fours), "001");
});

test("without preemption the active one stays; an owner keeps its own address; the interval is learnt", (t) => {
  const { world, each } = gateways(t, 2);
  const first = each[0]!.vrrp.add(each[0]!.nif, { ...V4, interval: 0.2 });
  world.run(1000);
  t.true(first.active());
  const second = each[1]!.vrrp.add(each[1]!.nif, { ...V4, priority: 200, preempt: false, interval: 2 });
  world.run(20_000);
  t.true(first.active() && !second.active());
  t.is(second.activeInterval, 20);
  const owner = each[1]!.vrrp.add(each[1]!.nif, { id: 9, priority: 255, addresses: [each[1]!.address] });
  t.true(owner.active());
  t.is(each[1]!.ip.addresses.length, 1);
  t.throws(() => owner.setPriority(3), { code: "EINVAL" });
  owner.remove();
  t.is(each[1]!.ip.addresses.length, 1);
  t.is(owner.active(), false);
});

test("advertisements from afar, without sum, sense or group are counted and change nothing", (t) => {
  const { world, each } = gateways(t, 2);
  const [us, them] = each as [(typeof each)[0], (typeof each)[0]];
  const router = us.vrrp.add(us.nif, { ...V4, priority: 10, interval: 1 });
  world.run(10_000);
  t.true(router.active());
  const { counters } = us.vrrp;
  const near = them.raw.open({ protocol: 112, ttl: 255, tos: 0xc0 });
  const far = them.raw.open({ protocol: 112, ttl: 254 });
  const message = (priority: number, change: (data: Uint8Array) => void = () => {}, length = 12) => {
    const data = new Uint8Array(Math.max(length, 12));
    data.set([0x31, 7, priority, 1, 0, 100, 0, 0, 10, 0, 0, 254]);
    change(data);
    put16(data, 6, ~sum(data, 0, length, 0));
    return data.slice(0, length);
  };
  const say = (data: Uint8Array, by = near) => {
    by.sendTo("224.0.0.18", data);
    world.run(2);
  };
  say(message(255), far);
  t.is(counters.badTtl, 1);
  say(message(255).map((byte, i) => (i === 7 ? byte ^ 1 : byte)));
  t.is(counters.badsum, 1);
  say(message(255, (data) => (data[1] = 8)));
  t.is(counters.unknown, 1);
  for (const bad of [
    message(255, (data) => (data[0] = 0x21)),
    message(255, (data) => (data[0] = 0x32)),
    message(255, (data) => (data[3] = 0)),
    message(255, (data) => (data[3] = 2)),
    message(255, (data) => put16(data, 4, 0xf000)),
    message(255, () => {}, 8),
  ])
    say(bad);
  t.is(counters.malformed, 6);
  t.true(router.active());
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 60 }), (data) => {
      if (data.length >= 8) {
        data[6] = data[7] = 0;
        put16(data, 6, ~sum(data, 0, data.length, 0));
      }
      say(data);
      return us.ip.addresses.length <= 2 && get16(data, 0) >= 0;
    }),
    { numRuns: 200 },
  );
  say(message(250, (data) => (data[11] = 253)));
  t.is(counters.addresses, 1);
  t.false(router.active());
  world.run(5000);
  t.true(router.active());
});

test("the virtual hardware address: neighbours learn it, it is taken while active; without accept nothing answers but ARP", (t) => {
  for (const virtualMac of [true, false]) {
    const { world, each } = gateways(t, 2);
    const [us, them] = each as [(typeof each)[0], (typeof each)[0]];
    const frames: string[] = [];
    for (const { ip6, nif, vrrp: v } of [us, them]) ip6.addAddress(nif, `fd00::${v === us.vrrp ? 1 : 2}/64`);
    world.onFrame = (frame, start) => {
      frames.push(Buffer.from(frame.subarray(start, start + 12)).toString("hex"));
    };
    const four = us.vrrp.add(us.nif, { ...V4, virtualMac, accept: false });
    const six = us.vrrp.add(us.nif, { ...V6, virtualMac, accept: false });
    world.run(6_000);
    t.true(four.active() && six.active());
    const own = Buffer.from(us.nif.link.mac!).toString("hex");
    const mac4 = virtualMac ? "00005e000107" : own;
    const mac6 = virtualMac ? "00005e000207" : own;
    // From there it speaks, to 224.0.0.18 and ff02::12, and announces itself.
    for (const frame of [
      `01005e000012${mac4}`,
      `333300000012${mac6}`,
      `ffffffffffff${mac4}`,
      `333300000001${mac6}`,
    ])
      t.true(frames.includes(frame), frame);
    const ping = them.raw.open({ protocol: 1 });
    const ask = () => {
      const echo = Uint8Array.of(8, 0, 0, 0, 0, 1, 0, 1);
      put16(echo, 2, ~sum(echo, 0, 8, 0));
      t.true(ping.sendTo("10.0.0.254", echo) > 0);
      world.run(50);
      return ping.receive(new Uint8Array(100)) > 0;
    };
    t.false(ask());
    t.is(us.vrrp.counters.refused, 1);
    const known = them.arp.cache.find(them.nif, 0, 0, 0, (10 << 24) | 254)!;
    t.is(known.low >>> 0, virtualMac ? 0x5e000107 : us.nif.low >>> 0);
    t.is(us.nif.groups.includes(0x5e000107), virtualMac);
    t.not(us.nif.low, 0x5e000107);
    const socket = them.raw.open({ protocol: 58 });
    const echo6 = Uint8Array.of(128, 0, 0, 0, 0, 1, 0, 1);
    socket.sendTo("fd00::fe", echo6);
    world.run(50);
    // Whoever is asked is answered, pings are not.
    t.true(frames.includes(Buffer.from(them.nif.link.mac!).toString("hex") + mac6));
    t.is(us.vrrp.counters.refused, 2);
    four.remove();
    six.remove();
    t.false(us.nif.groups.includes(0x5e000107) || us.nif.groups.includes(0x5e000207));
    const again = us.vrrp.add(us.nif, { ...V4, virtualMac });
    world.run(6_000);
    t.true(ask(), "accepted by default");
    again.remove();
  }
});

test("misuse throws", (t) => {
  const { each } = gateways(t, 1);
  const [{ vrrp: v, nif }] = each as [(typeof each)[0]];
  for (const options of [
    { ...V4, id: 0 },
    { ...V4, priority: 256 },
    { ...V4, interval: 41 },
    { id: 1, addresses: [] },
    { id: 1, addresses: ["fd00::1"] },
    { id: 1, addresses: ["10.0.0.1", "fe80::1"] },
    { id: 1, addresses: ["224.0.0.1"] },
    { id: 1, addresses: ["fe80::1", "ff02::1"] },
  ])
    t.throws(() => v.add(nif, options), { code: "EINVAL" });
  v.add(nif, V4);
  t.throws(() => v.add(nif, V4), { code: "EEXIST" });
  v.add(nif, V6);
});

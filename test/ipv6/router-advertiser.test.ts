/** Router advertisements as sent: contents, times, solicitations, and hosts of our own that take them (RFC 4861 section 6.2). */
import test from "ava";
import type { ExecutionContext } from "ava";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { routerAdvertiser } from "../../stack/ipv6/router-advertiser.js";
import type { AdvertisementOptions } from "../../stack/ipv6/router-advertiser.js";
import { Slaac, slaac } from "../../stack/ipv6/slaac.js";
import { dad } from "../../stack/ipv6/dad.js";
import { format6 } from "../../stack/core/text6.js";
import { forwarding6 } from "../../stack/router/forwarding6.js";
import { network } from "../support/network.js";
import { eth, frame, icmp, ip6 } from "../support/packets.js";
import { probed } from "../support/probe.js";
import { toHex } from "../support/bytes.js";

interface Ra {
  time: number;
  hopLimit: number;
  flags: number;
  lifetime: number;
  options: [type: number, bytes: Uint8Array][];
}

function routerTest(t: ExecutionContext, options: Partial<AdvertisementOptions> = {}, forwards = true) {
  const ip = ipv6();
  const routers = routerAdvertiser();
  const node = probed(t, {
    components: () => [ip, icmpv6(), nd(), routers, ...(forwards ? [forwarding6()] : [])],
    leaks: { chunks: 8 },
  });
  const advertisement = routers.advertise({ interface: node.nif, ...options });
  const take = (): Ra[] =>
    node.probe.sent.splice(0).flatMap(({ time, bytes }) => {
      if (bytes[12] !== 0x86 || bytes[54] !== 134) return [];
      t.is(bytes[21], 255);
      const found: Ra["options"] = [];
      for (let at = 70; at < bytes.length; at += bytes[at + 1]! * 8) {
        t.true(bytes[at + 1]! > 0);
        found.push([bytes[at]!, bytes.slice(at + 2, at + bytes[at + 1]! * 8)]);
      }
      const lifetime = bytes[60]! * 256 + bytes[61]!;
      return [{ time, hopLimit: bytes[58]!, flags: bytes[59]!, lifetime, options: found }];
    });
  const solicit = (fields = {}, source = "fe80::2") =>
    node.probe.send(
      frame(
        eth({ dst: "33:33:00:00:00:02" }),
        ip6({ src: source, dst: "ff02::2", hops: 255 }),
        icmp({ type: 133, ...fields }),
      ),
    );
  return { ...node, ip6: ip, routers, advertisement, take, solicit };
}

test("the contents: each option as its RFC has it", (t) => {
  const r = routerTest(t, {
    prefixes: [
      { prefix: "2001:db8:1::/64", valid: Infinity, preferred: 600 },
      { prefix: "2001:db8:2::/60", autonomous: false },
    ],
    routes: [{ prefix: "2001:db8:5::/48", preference: "high", lifetime: 60 }, { prefix: "::/0" }],
    nameServers: ["2001:db8::53"],
    search: ["home.arpa"],
    nat64: "64:ff9b::/96",
    preference: "low",
    other: true,
    mtu: 1400,
  });
  r.world.run(600);
  const [ra] = r.take();
  t.like(ra, { hopLimit: 64, flags: 0x58, lifetime: 1800 });
  t.deepEqual(
    ra!.options.map(([type, bytes]) => `${type}: ${toHex(bytes)}`),
    [
      "1: 02 00 00 00 00 01",
      "3: 40 c0 ff ff ff ff 00 00 02 58 00 00 00 00 20 01 0d b8 00 01 00 00 00 00 00 00 00 00 00 00",
      "3: 3c 80 00 00 15 18 00 00 0a 8c 00 00 00 00 20 01 0d b8 00 02 00 00 00 00 00 00 00 00 00 00",
      "5: 00 00 00 00 05 78",
      "24: 30 08 00 00 00 3c 20 01 0d b8 00 05 00 00",
      "24: 00 00 00 00 07 08",
      "25: 00 00 00 00 07 08 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 53",
      "31: 00 00 00 00 07 08 04 68 6f 6d 65 04 61 72 70 61 00 00 00 00 00 00",
      "38: 07 08 00 64 ff 9b 00 00 00 00 00 00 00 00",
    ],
  );
});

test("times: three quickly, then between a third and the whole of the interval; nothing while the link is down", (t) => {
  const r = routerTest(t);
  r.world.run(3_600_000);
  const times = r.take().map(({ time }) => time);
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  t.true(times[0]! <= 500);
  t.true(gaps.slice(0, 2).every((gap) => gap <= 16000));
  t.true(
    gaps.slice(2).every((gap) => gap >= 199_000 && gap <= 600_000),
    gaps.join(),
  );
  t.true(new Set(gaps).size > 4);
  r.nif.carrier(false);
  r.world.run(3_600_000);
  t.deepEqual(r.take(), []);
  r.nif.carrier(true);
  r.world.run(30_000);
  t.true(r.take().length >= 2);
});

test("solicitations are answered within half a second, but not more often than every three; what is invalid is not", (t) => {
  const r = routerTest(t);
  r.world.run(60_000);
  r.take();
  for (let i = 0; i < 1000; i++) {
    r.solicit();
    r.world.run(10);
  }
  const answers = r.take().map(({ time }) => time);
  t.true(answers.length >= 3 && answers.length <= 4, answers.join());
  t.true(answers[0]! <= 60_500);
  for (let i = 1; i < answers.length; i++) t.true(answers[i]! - answers[i - 1]! >= 3000);
  t.is(r.routers.counters.solicitations, 1000);
  r.world.run(4000);
  r.take();
  // ND-01, ND-02: code, an option that lies, a hardware address of nobody's.
  r.solicit({ code: 1 });
  const options: [Uint8Array, string][] = [
    [Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), "fe80::2"],
    [Uint8Array.of(1, 9, 0, 0, 0, 0, 0, 0), "fe80::2"],
    [Uint8Array.of(1, 1, 2, 0, 0, 0, 0, 2), "::"],
  ];
  for (const [option, source] of options) {
    r.probe.send(
      frame(
        eth({ dst: "33:33:00:00:00:02" }),
        ip6({ src: source, dst: "ff02::2", hops: 255 }),
        icmp({ type: 133 }),
        option,
      ),
    );
  }
  r.probe.send(
    frame(
      eth({ dst: "33:33:00:00:00:02" }),
      ip6({ src: "fe80::2", dst: "ff02::2", hops: 254 }),
      icmp({ type: 133 }),
    ),
  );
  r.world.run(3000);
  t.is(r.routers.counters.invalid, 5);
  t.deepEqual(r.take(), []);
});

test("prefixes follow the addresses; what is gone is told to be over for 90 minutes; the end is told", (t) => {
  const r = routerTest(t, { nameServers: ["fd00::1"], interval: 60 });
  /** Prefix, valid and preferred lifetime of each. */
  const prefixes = (ra: Ra) =>
    ra.options.flatMap(([type, bytes]) => {
      const view = new DataView(bytes.buffer);
      return type === 3 ? [`${format6(bytes, 14)} ${view.getUint32(2)} ${view.getUint32(6)}`] : [];
    });
  const last = () => prefixes(r.take().at(-1)!);
  r.world.run(60_000);
  t.deepEqual(last(), []);
  r.ip6.addAddress(r.nif, "2001:db8:1::1/64");
  const soon = r.ip6.addAddress(r.nif, "2001:db8:2::1/64", { valid: 1000, preferred: 500 });
  r.world.run(4000);
  const [first, second] = last();
  t.is(first, "2001:db8:1:: 5400 2700");
  t.regex(second!, /^2001:db8:2:: 99\d 49\d$/);
  r.ip6.dropAddress(soon);
  r.world.run(4000);
  t.deepEqual(last(), ["2001:db8:1:: 5400 2700", "2001:db8:2:: 0 0"]);
  r.world.run(5_300_000);
  t.deepEqual(last(), ["2001:db8:1:: 5400 2700", "2001:db8:2:: 0 0"]);
  r.world.run(300_000);
  t.deepEqual(last(), ["2001:db8:1:: 5400 2700"]);
  r.advertisement.update({
    interface: r.nif,
    prefixes: [{ prefix: "2001:db8:3::/64" }],
    search: ["a.test"],
    interval: 60,
  });
  const [changed] = r.take();
  t.deepEqual(prefixes(changed!), ["2001:db8:3:: 5400 2700", "2001:db8:1:: 0 0"]);
  t.deepEqual(
    changed!.options.slice(3).map(([type, bytes]) => [type, bytes[5]]),
    [
      [31, 180],
      [25, 0],
    ],
  );
  r.advertisement.close();
  r.advertisement.close();
  const [farewell] = r.take();
  t.is(farewell!.lifetime, 0);
  t.deepEqual(farewell!.options.at(-1)![1][5], 0);
  r.world.run(600_000);
  t.deepEqual(r.take(), []);
});

test("a host that does not forward is no default router unless it says so", (t) => {
  const r = routerTest(t, { preference: "high" }, false);
  r.world.run(600);
  t.like(r.take()[0], { lifetime: 0, flags: 0 });
});

test("hosts of our own make addresses, find the router, and lose both", (t) => {
  const routers = routerAdvertiser();
  const ips = [ipv6(), ipv6()];
  let made = 0;
  const { world, nodes } = network(t, 2, {
    components: () =>
      made === 0
        ? [ips[made++]!, icmpv6(), nd(), dad(), forwarding6(), routers]
        : [ips[made++]!, icmpv6(), nd(), dad(), slaac({})],
    leaks: { chunks: 16, timers: 16 },
  });
  const [router, host] = nodes;
  ips[0]!.addAddress(router!.nif, "2001:db8:1::1/64");
  const advertisement = routers.advertise({
    interface: router!.nif,
    nat64: "64:ff9b::/96",
    nameServers: ["2001:db8:1::1"],
  });
  world.run(10_000);
  t.true(ips[1]!.addresses.some(({ bytes }) => format6(bytes, 0).startsWith("2001:db8:1:")));
  const known = () => host!.stack.component(Slaac)!.inspect(host!.nif);
  t.like(known(), { prefixes: ["2001:db8:1::/64"], nat64: "64:ff9b::/96" });
  t.is(known().routers.length, 1);
  t.is(host!.stack.nameServers!.list().length, 1);
  advertisement.close();
  world.run(100);
  t.deepEqual(known().routers, []);
  t.is(host!.stack.nameServers!.list().length, 0);
});

test("misuse", (t) => {
  const r = routerTest(t);
  t.throws(() => r.routers.advertise({ interface: r.nif }), { code: "EBUSY" });
  const bad: Partial<AdvertisementOptions>[] = [
    { interval: 3 },
    { lifetime: 9001 },
    { hopLimit: 256 },
    { mtu: 1279 },
    { nat64: "64:ff9b::/95" },
    { preference: "best" as never },
    { nameServers: ["10.0.0.1"] },
    { search: ["a b..c"] },
    { prefixes: [{ prefix: "fe80::/64" }] },
    { prefixes: [{ prefix: "2001:db8::1/64" }] },
    { prefixes: [{ prefix: "2001:db8::/63" }] },
    { prefixes: [{ prefix: "2001:db8::/64", valid: 1, preferred: 2 }] },
    { prefixes: [{ prefix: "2001:db8::/64", valid: -1 }] },
    { routes: [{ prefix: "2001:db8::/129" }] },
    { routes: [{ prefix: "2001:db8::/32", lifetime: 2 ** 33 }] },
  ];
  for (const options of bad) {
    t.throws(
      () => r.advertisement.update({ interface: r.nif, ...options }),
      { code: "EINVAL" },
      JSON.stringify(options),
    );
  }
});

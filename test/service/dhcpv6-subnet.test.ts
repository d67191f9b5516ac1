/** Numbering networks with delegated prefixes. */
import test from "ava";
import { format6 } from "../../stack/core/text6.js";
import { DEPRECATED } from "../../stack/ipv6/address.js";
import { numberInterface, subnet } from "../../stack/service/dhcpv6.js";
import { client6, iaPd, iaPrefix } from "./dhcpv6-support.js";

test("subnets of a prefix number the interfaces behind; they follow the lease, and go with it", (t) => {
  t.is(subnet("2001:db8:1::/48", 5), "2001:db8:1:5::/64");
  t.is(subnet("2001:db8:1:f0::/60", 15), "2001:db8:1:ff::/64");
  t.is(subnet("2001:db8:1:2::/64", 0), "2001:db8:1:2::/64");
  t.is(subnet("fd00::/32", 0xffffffff), "fd00:0:ffff:ffff::/64");
  t.is(subnet("fd00::/48", 1, 56), "fd00:0:0:100::/56");
  for (const [prefix, number] of [
    ["2001:db8:1:f0::/60", 16],
    ["2001:db8:1:2::/64", 1],
    ["2001:db8::/65", 0],
    ["x/64", 0],
    ["fd00::/48", -1],
  ] as const) {
    t.throws(() => subnet(prefix, number), { code: "EINVAL" } as never);
  }
  const c = client6(t, {
    client: { addresses: false, prefix: {} },
    prepare: (server) => (server.given = [iaPd(iaPrefix("fd00:1::", 56), iaPrefix("fd00:2::", 64))]),
  });
  const texts = () =>
    c.ip6.addresses.filter(({ origin }) => origin === "delegated").map(({ bytes }) => format6(bytes, 0));
  c.world.run(3000);
  t.deepEqual(numberInterface(c.ip6, c.nif, c.client.lease, 3), ["fd00:1:0:3::/64"]);
  t.deepEqual(texts(), ["fd00:1:0:3::1"]);
  t.deepEqual(numberInterface(c.ip6, c.nif, c.client.lease, 0, "::5:1"), ["fd00:1::/64", "fd00:2::/64"]);
  t.deepEqual(texts(), ["fd00:1::5:1", "fd00:2::5:1"]);
  const [kept] = c.ip6.addresses.filter(({ origin }) => origin === "delegated");
  c.server.given = [iaPd(iaPrefix("fd00:1::", 56, 0, 300), iaPrefix("fd00:2::", 64, 0, 0))];
  c.client.renew();
  c.world.run(100);
  numberInterface(c.ip6, c.nif, c.client.lease, 0, "::5:1");
  t.deepEqual(texts(), ["fd00:1::5:1"]);
  t.is(kept.state, DEPRECATED);
  numberInterface(c.ip6, c.nif, null, 0);
  t.deepEqual(texts(), []);
});

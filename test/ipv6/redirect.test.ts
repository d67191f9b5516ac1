/** Redirects against a probe that plays routers (RFC 4861 section 8). */
import test from "ava";
import type { ExecutionContext } from "ava";
import { redirect } from "../../stack/ipv6/redirect.js";
import { hex, ip6Text } from "../support/bytes.js";
import { STACK_IP6 } from "../support/packets.js";
import { REDIRECT, long, nd6, option, probed6, targetLink } from "../support/packets6.js";
import type { NdFields, NdMessage, Probed6 } from "../support/packets6.js";

const A = "fe80::a";
const B = "fe80::b";
const FAR = "2001:db8:ffff::1";

function host(t: ExecutionContext) {
  const redirects = redirect();
  const node = probed6(t, { addresses: [STACK_IP6 + "/64", "2001:db8:1::1/64"], more6: () => [redirects] });
  node.ip6.addRoute("::/0", { gateway: A + "%eth0" });
  return { ...node, redirects };
}

function hop(node: Probed6, destination = FAR): string {
  const path = node.ip6.createPath();
  node.ip6.setRemote(path, destination);
  if (node.ip6.route(path) < 0 || !path.neighbour) return "";
  const { a0, a1, a2, a3 } = path.neighbour;
  const bytes = [a0, a1, a2, a3].flatMap((word) => [word >>> 24, word >>> 16, word >>> 8, word]);
  return ip6Text(Uint8Array.from(bytes));
}

const from = (src: string): NdFields => ({ src, dst: STACK_IP6 });

test("a router redirects a destination to another, which redirects it on", (t) => {
  const node = host(t);
  node.probe.send(nd6(REDIRECT(B, FAR), from(A), targetLink("02:00:00:00:00:0b")));
  t.is(hop(node), long(B));
  t.is(hop(node, "2001:db8:ffff::2"), long(A));
  t.is(node.nd.cache.entries.find(({ a3 }) => a3 === 0xb)!.low, 0xb);
  node.probe.send(nd6(REDIRECT("fe80::c", FAR), from(A)));
  t.is(hop(node), long(B), "A has no more to say about it");
  node.probe.send(nd6(REDIRECT("fe80::c", FAR), from(B)));
  t.is(hop(node), long("fe80::c"));
  t.is(node.redirects.count(), 1);
});

test("a destination may be on the link", (t) => {
  const node = host(t);
  node.probe.send(nd6(REDIRECT(FAR, FAR), from(A)));
  t.is(hop(node), long(FAR));
});

for (const [what, message, fields, ...options] of [
  ["hop limit 254", REDIRECT(B, FAR), { ...from(A), hops: 254 }],
  ["code 1", { ...REDIRECT(B, FAR), code: 1 }, from(A)],
  ["39 bytes", { ...REDIRECT(B, FAR), body: REDIRECT(B, FAR).body.subarray(0, 31) }, from(A)],
  ["a global source", REDIRECT(B, FAR), from("2001:db8:1::a")],
  ["a group as destination", REDIRECT(B, "ff0e::1"), from(A)],
  ["a global target that is not the destination", REDIRECT("2001:db8:1::b", FAR), from(A)],
  ["an option of length 0", REDIRECT(B, FAR), from(A), hex("0200")],
  ["an option past the end", REDIRECT(B, FAR), from(A), hex("0202 000000000000")],
  ["a source that is not the first hop", REDIRECT(B, FAR), from("fe80::66")],
  ["our own address as target", REDIRECT(STACK_IP6, FAR), from(A)],
  ["a destination that is on the link", REDIRECT(B, "2001:db8:1::9"), from(A)],
] as [string, NdMessage, NdFields, ...Uint8Array[]][]) {
  test(`ND-01 ND-08 a redirect with ${what} is dropped, and counted once`, (t) => {
    const node = host(t);
    node.probe.send(nd6(message, fields, ...options));
    const { accepted, invalid, badopt, stranger } = node.redirects.counters;
    t.is(accepted, 0);
    t.is(invalid + badopt + stranger, 1);
    t.is(node.redirects.count(), 0);
  });
}

test("ND-08 a truncated quotation and a lying hardware address do no harm", (t) => {
  const node = host(t);
  node.probe.send(
    nd6(
      REDIRECT(B, FAR),
      from(A),
      hex("0202 020000000099 0000000000000000"),
      option(4, hex("0000 00000000 60")),
    ),
  );
  t.is(hop(node), long(B));
  t.is(node.nd.cache.entries.find(({ a3 }) => a3 === 0xb)!.low, 0);
});

test("ND-08 ten thousand destinations: 32 are kept", (t) => {
  const node = host(t);
  for (let i = 0; i < 10000; i++)
    node.probe.send(nd6(REDIRECT(B, `2001:db8:ffff::${i.toString(16)}`), from(A)));
  t.is(node.redirects.count(), 32);
  t.is(hop(node, "2001:db8:ffff::270f"), long(B));
  t.is(hop(node, "2001:db8:ffff::1"), long(A));
});

test("a target that does not answer is forgotten, and all when the cable is pulled", (t) => {
  const node = host(t);
  node.probe.send(nd6(REDIRECT(B, FAR), from(A)));
  const path = node.ip6.createPath();
  node.ip6.setRemote(path, FAR);
  const tx = node.stack.prepare(8)!;
  tx.data.fill(0, tx.start, tx.end);
  node.ip6.output(tx, path, 253);
  node.world.run(5000);
  t.is(hop(node), long(A));
  node.probe.send(nd6(REDIRECT(B, FAR), from(A)));
  node.nif.carrier(false);
  t.is(node.redirects.count(), 0);
  t.is(node.redirects.counters.accepted, 2);
});

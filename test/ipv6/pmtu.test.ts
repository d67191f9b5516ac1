/** The path MTU cache of IPv6: what routers say, as far as it may be believed. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { fragments6 } from "../../stack/ipv6/fragments.js";
import { pmtu6 } from "../../stack/ipv6/pmtu.js";
import type { PathMtuOptions6 } from "../../stack/ipv6/pmtu.js";
import { frame, icmp, ip6 } from "../support/packets.js";
import { FAR, bare } from "./bare.js";

function setUp(t: ExecutionContext, options: PathMtuOptions6 = {}) {
  const cache = pmtu6(options);
  const node = bare(t, { components: () => [fragments6(), cache] });
  const { ip6: ip, probe } = node;
  const socket = node.udp.open({ port: 9 });
  const mtu = (address = FAR) => {
    const path = ip.createPath();
    ip.setRemote(path, address);
    t.is(ip.route(path), 0);
    return path.mtu;
  };
  /** Sends a datagram, and lets a router say that it was too big. */
  const report = (next: number, address = FAR) => {
    t.is(socket.sendTo(address, 99, new Uint8Array(1400)), 1400);
    const packet = probe.take()[0].slice(0, 300);
    probe.send(frame(ip6(), icmp({ type: 2, rest: next }), packet));
  };
  return { ...node, cache, socket, mtu, report };
}

test("what a router says is believed when a socket knows the packet", (t) => {
  const { mtu, report, cache, socket, take } = setUp(t);
  t.is(mtu(), 1500);
  report(1400);
  t.is(mtu(), 1400);
  t.is(mtu("2001:db8:f::2"), 1500);
  t.deepEqual(cache.list(), [FAR, 1400]);
  // What fits goes whole, what does not in fragments.
  socket.sendTo(FAR, 99, new Uint8Array(1352));
  socket.sendTo(FAR, 99, new Uint8Array(1353));
  const sent = take();
  t.deepEqual(
    sent.map(({ ip6: header }) => [header?.next, header?.payloadLength]),
    [
      [17, 1360],
      [44, 1360],
      [44, 17],
    ],
  );
});

test("FRG-10 nothing takes the path below 1280, and no atomic fragment is ever sent", (t) => {
  const { mtu, report, socket, take } = setUp(t);
  for (const lie of [0, 68, 1279]) report(lie);
  t.is(mtu(), 1500);
  report(1280);
  t.is(mtu(), 1280);
  socket.sendTo(FAR, 99, new Uint8Array(1232));
  t.deepEqual(
    take().map(({ ip6: header }) => header?.next),
    [17],
  );
});

test("a report never raises the path MTU", (t) => {
  const { mtu, cache, ip6: ip } = setUp(t);
  const path = ip.createPath();
  ip.setRemote(path, FAR);
  for (const next of [1300, 1400, 1300, 1299]) cache.tooBig(path.ends, 16, next);
  t.is(mtu(), 1299);
  t.is(cache.counters.lowered, 2);
  t.is(cache.counters.ignored, 2);
});

test("IC6-02 what was learned is forgotten after ten minutes", (t) => {
  const { mtu, report, world, stack } = setUp(t);
  report(1300);
  world.run(300000);
  report(1290, "2001:db8:f::2");
  world.run(299000);
  t.is(mtu(), 1300);
  world.run(2000);
  t.is(mtu(), 1500);
  t.is(mtu("2001:db8:f::2"), 1290);
  world.run(300000);
  t.is(mtu("2001:db8:f::2"), 1500);
  t.is(stack.timers.count(), 0);
});

test("IC6-02 the table is bounded: the oldest goes", (t) => {
  const { mtu, report, cache } = setUp(t, { limit: 3 });
  for (let i = 1; i <= 5; i++) report(1300 + i, "2001:db8:f::" + i);
  t.is(cache.counters.evicted, 2);
  t.deepEqual(cache.list(), ["2001:db8:f::3", 1303, "2001:db8:f::4", 1304, "2001:db8:f::5", 1305]);
  t.is(mtu("2001:db8:f::1"), 1500);
  report(1290, "2001:db8:f::3");
  t.is(cache.list().length, 6);
  cache.clear();
  t.is(mtu("2001:db8:f::5"), 1500);
});

test("options out of their range are refused", (t) => {
  t.throws(() => pmtu6({ limit: 5000 }));
  t.throws(() => pmtu6({ lifetime: -1 }));
});

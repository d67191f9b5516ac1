/** The path MTU cache: what routers say, as far as it may be believed. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { fragments } from "../../stack/ipv4/fragments.js";
import type { Path4 } from "../../stack/ipv4/path.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import type { PathMtuOptions } from "../../stack/ipv4/pmtu.js";
import { findLeaks } from "../support/leaks.js";
import { eth, frame, icmp, ip4 } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { probed } from "../support/probe.js";

const FAR = "192.0.2.1";

function setUp(t: ExecutionContext, options: PathMtuOptions = {}) {
  const cache = pmtu(options);
  const node = probed(t, { components: () => [fragments(), cache] });
  const { ip, probe } = node;
  const socket = node.udp.open({ port: 9 });
  const mtu = (address = FAR) => {
    const path = ip.createPath() as Path4;
    ip.setRemote(path, address);
    t.is(ip.route(path), 0);
    return path.mtu;
  };
  /** Sends a datagram, and lets a router say that it was too big. */
  const report = (next: number, address = FAR, size = 1400) => {
    t.is(socket.sendTo(address, 99, new Uint8Array(size)), size);
    const packet = probe.take()[0].slice(14, 14 + 28);
    probe.send(frame(eth(), ip4({ src: "10.0.0.254" }), icmp({ type: 3, code: 4, rest: next }), packet));
  };
  return { ...node, cache, socket, mtu, report };
}

test("what a router says is believed when a socket knows the packet", (t) => {
  const { mtu, report, cache, socket, probe } = setUp(t);
  t.is(mtu(), 1500);
  report(1300);
  t.is(mtu(), 1300);
  t.is(mtu("192.0.2.2"), 1500);
  t.deepEqual(cache.list(), [0xc0000201 | 0, 1300]);
  // What fits goes whole and unfragmented, what does not in fragments.
  socket.sendTo(FAR, 99, new Uint8Array(1272));
  socket.sendTo(FAR, 99, new Uint8Array(1273));
  const [whole, first, second] = probe.takeParsed();
  t.like(whole.ip4, { df: true, mf: false, totalLength: 1300 });
  t.like(first.ip4, { df: false, mf: true, totalLength: 1300 });
  t.like(second.ip4, { df: false, mf: false, totalLength: 21 });
});

test("FRG-10 what nobody sent is not believed", (t) => {
  const { mtu, probe, icmp: counted } = setUp(t);
  const stranger = frame(
    ip4({ src: "10.0.0.1", dst: FAR, protocol: 17, totalLength: 1400 }),
    new Uint8Array(8),
  );
  probe.send(frame(eth(), ip4(), icmp({ type: 3, code: 4, rest: 1300 }), stranger));
  t.is(mtu(), 1500);
  t.is(counted.counters.unsolicited, 1);
});

test("FRG-10 no report takes the path below the floor, and lies are ignored", (t) => {
  for (const lie of [0, 1, 40, 67]) {
    const { mtu, report, cache } = setUp(t);
    report(lie);
    t.is(mtu(), 1500);
    t.is(cache.counters.ignored, 1);
  }
  for (const low of [68, 296, 551, 552]) {
    const { mtu, report } = setUp(t);
    report(low);
    t.is(mtu(), 552);
  }
  const { mtu, report } = setUp(t, { floor: 68 });
  report(100);
  t.is(mtu(), 100);
});

test("a report never raises the path MTU", (t) => {
  const { mtu, report, cache } = setUp(t);
  report(1000);
  report(1200, FAR, 900);
  report(1000, FAR, 900);
  t.is(mtu(), 1000);
  t.is(cache.counters.lowered, 1);
  t.is(cache.counters.ignored, 2);
});

test("a router that does not say: the next plateau, where that is asked for", (t) => {
  const { mtu, report } = setUp(t, { plateaus: true });
  report(0);
  t.is(mtu(), 1006);
  report(0, FAR, 900);
  t.is(mtu(), 552);
});

test("reports are forgotten after ten minutes, and larger packets are tried again", (t) => {
  const { mtu, report, world, stack } = setUp(t);
  report(1300);
  world.run(300000);
  report(1000, "192.0.2.2");
  world.run(299000);
  t.is(mtu(), 1300);
  world.run(2000);
  t.is(mtu(), 1500);
  t.is(mtu("192.0.2.2"), 1000);
  world.run(300000);
  t.is(mtu("192.0.2.2"), 1500);
  t.deepEqual(findLeaks(stack), []);
});

test("the table is bounded: the oldest report goes", (t) => {
  const { mtu, report, cache } = setUp(t, { limit: 3 });
  for (let i = 1; i <= 5; i++) report(1300, "192.0.2." + i);
  t.is(cache.list().length, 6);
  t.is(cache.counters.evicted, 2);
  t.is(mtu("192.0.2.2"), 1500);
  t.is(mtu("192.0.2.3"), 1300);
});

test("a flow that is under way learns of it", (t) => {
  const { report, socket, probe } = setUp(t);
  t.is(socket.connect(FAR, 99), 0);
  socket.send(new Uint8Array(1400));
  t.is(parseFrame(probe.take()[0]).ip4?.totalLength, 1428);
  report(1300);
  socket.send(new Uint8Array(1400));
  t.is(parseFrame(probe.take()[0]).ip4?.totalLength, 1300);
});

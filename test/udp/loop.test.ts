/** Multicast loop-back: sockets of one stack hear each other by their group (RFC 1112 section 6.1, IP_MULTICAST_LOOP). */
import test from "ava";
import type { ExecutionContext } from "ava";
import { fragments } from "../../stack/ipv4/fragments.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { mld } from "../../stack/ipv6/mld.js";
import { nd } from "../../stack/ipv6/nd.js";
import { pair } from "../support/network.js";
import { eth, frame, ip4, udp } from "../support/packets.js";
import { probed } from "../support/probe.js";
import { info, textOf } from "./support.js";

const HELLO = Uint8Array.from("hello", (c) => c.charCodeAt(0));
const GROUPS = { 4: "239.1.2.3", 6: "ff02::1234" };

function setUp(t: ExecutionContext) {
  const { a, b, world } = pair(t, {
    components: () => [igmp(), fragments(), ipv6(), icmpv6(), nd(), mld()],
  });
  world.run(1000);
  return { a, b, run: (ms = 10) => world.run(ms) };
}

for (const family of [4, 6] as const) {
  const group = GROUPS[family];

  test(`IPv${family}: members in the same stack, the sender among them, and on the wire`, (t) => {
    const { a, b, run } = setUp(t);
    const own = a.udp.open({ port: 7, reuse: true });
    const neighbour = a.udp.open({ port: 7, reuse: true });
    const stranger = a.udp.open({ port: 7, reuse: true });
    const far = b.udp.open({ port: 7 });
    for (const socket of [own, neighbour, far]) t.is(socket.join(group), 0);
    run();
    t.is(own.sendTo(group, 7, HELLO), 5);
    t.is(own.readable(), 0, "not within the call");
    run();
    const from = info();
    for (const socket of [own, neighbour, far]) {
      t.is(textOf(socket, from), "hello");
      t.is(textOf(socket), undefined, "once");
      t.is(from.port, 7);
      t.is(from.localAddress.split("%")[0], group);
    }
    t.is(stranger.readable(), 0);
  });

  test(`IPv${family}: multicastLoop false, groups that nobody here has joined, and sources that are not wanted`, (t) => {
    const { a, b, run } = setUp(t);
    const silent = a.udp.open({ port: 7, multicastLoop: false });
    const far = b.udp.open({ port: 7 });
    far.join(group);
    silent.join(group);
    run();
    silent.sendTo(group, 7, HELLO);
    run();
    t.deepEqual([textOf(silent), textOf(far)], [undefined, "hello"]);
    silent.leave(group);
    const picky = a.udp.open({ port: 8 });
    picky.join(group, undefined, { exclude: false, sources: [family === 4 ? b.address : "fe80::99"] });
    a.udp.open().sendTo(group, 8, HELLO);
    run();
    t.is(textOf(picky), undefined);
    t.is(a.udp.counters.noPort, 0);
  });

  test(`IPv${family}: a flood into a group is bounded, a closed stack keeps nothing`, (t) => {
    const { a, run } = setUp(t);
    const own = a.udp.open({ port: 7, receiveBuffer: 1 << 19 });
    own.join(group);
    for (let i = 0; i < 1000; i++) own.sendTo(group, 7, new Uint8Array(1000));
    t.true(a.stack.pool.used <= a.stack.pool.limit / 8 + 2);
    run();
    t.true(own.readable() > 50 && own.readable() < 200);
    own.sendTo(group, 7, HELLO);
  });
}

test("a datagram that goes in fragments comes back whole", (t) => {
  const { a, run } = setUp(t);
  const own = a.udp.open({ port: 7 });
  own.join(GROUPS[4]);
  t.is(own.sendTo(GROUPS[4], 7, new Uint8Array(20_000)), 20_000);
  run();
  t.is(own.receive(new Uint8Array(30_000)), 20_000);
});

test("what is broadcast comes back to sockets that take it", (t) => {
  const { a, b, run } = setUp(t);
  const [near, far] = [a, b].map(({ udp }) => udp.open({ port: 7, broadcast: true }));
  const deaf = a.udp.open({ port: 9 });
  near.sendTo("10.0.0.255", 7, HELLO);
  near.sendTo("255.255.255.255", 9, HELLO);
  run();
  t.deepEqual([textOf(near), textOf(far), textOf(deaf)], ["hello", "hello", undefined]);
});

test("a group of interface-local scope stays in the host (RFC 4291 section 2.7)", (t) => {
  const { a, b, run } = setUp(t);
  const [near, far] = [a, b].map(({ udp }) => udp.open({ port: 7 }));
  for (const socket of [near, far]) t.is(socket.join("ff01::77"), 0);
  run(5000);
  const before = a.nif.counters.txFrames;
  near.sendTo("ff01::77", 7, HELLO);
  run();
  t.is(a.nif.counters.txFrames, before);
  t.deepEqual([textOf(near), textOf(far)], ["hello", undefined]);
});

test("what is looped does not take the place of a frame that has not been read yet", (t) => {
  const { udp: sockets, probe } = probed(t, { components: () => [igmp()] });
  const heard: string[] = [];
  const member = sockets.open({ port: 7 });
  member.join(GROUPS[4]);
  sockets.open({
    port: 9,
    onReadable() {
      heard.push(textOf(this)!);
    },
  });
  member.sendTo(GROUPS[4], 7, HELLO);
  probe.send(frame(eth(), ip4(), udp({ sport: 1, dport: 9 }), "unicast"));
  t.deepEqual(heard, ["unicast"]);
  t.is(textOf(member), "hello");
});

/** UDP over both families at once. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { abort } from "../../stack/tcp/close.js";
import { createWorld } from "../../ports/sim/index.js";
import { createStack } from "../../stack/core/stack.js";
import { EAFNOSUPPORT, EMSGSIZE } from "../../stack/core/errors.js";
import { fragments6 } from "../../stack/ipv6/fragments.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { Udp, udp as udpComponent } from "../../stack/udp/udp.js";
import { expectPacket } from "../support/expect.js";
import { pair } from "../support/network.js";
import { PROBE_IP, STACK_IP, frame, ip4, ip6, udp } from "../support/packets.js";
import { probed } from "../support/probe.js";
import { info, textOf } from "./support.js";

const HERE = "2001:db8::1";
const THERE = "2001:db8::2";
const HELLO = Uint8Array.from("hello", (c) => c.charCodeAt(0));

/** A stack with IPv4 and IPv6 on a link of bare IP packets. */
function dual(t: ExecutionContext) {
  const six = ipv6();
  const node = probed(t, { probe: { medium: "ip" }, components: () => [six] });
  six.addAddress(node.nif, HERE + "/64");
  const packet6 = (data: string, fields = {}) => frame(ip6({ src: THERE, dst: HERE }), udp(fields), data);
  const packet4 = (data: string, fields = {}) => frame(ip4(), udp(fields), data);
  return { ...node, six, packet4, packet6 };
}

test("a socket without a family hears and speaks both", (t) => {
  const { udp: sockets, probe, packet4, packet6 } = dual(t);
  const socket = sockets.open({ port: 7 });
  t.is(socket.address(), "::");
  const from = info();
  probe.send(packet4("four"));
  probe.send(packet6("six"));
  probe.send(packet4("four again"));
  t.is(textOf(socket, from), "four");
  t.is(from.address, PROBE_IP);
  t.is(textOf(socket, from), "six");
  t.deepEqual([from.address, from.localAddress, from.port], [THERE, HERE, 40000]);
  t.is(textOf(socket, from), "four again");
  t.is(from.address, PROBE_IP);
  t.is(socket.sendTo(THERE, 9, HELLO), 5);
  t.is(socket.sendTo(PROBE_IP, 9, HELLO), 5);
  t.is(socket.sendTo(THERE, 9, HELLO), 5);
  for (const layer of [{ ip6: {} }, { ip4: {} }, { ip6: {} }]) {
    expectPacket(t, probe.next()!, { ...layer, udp: { sport: 7, dport: 9 }, payload: "hello" });
  }
});

test("sockets of one family each share a port", (t) => {
  const { udp: sockets, probe, packet4, packet6 } = dual(t);
  const four = sockets.open({ port: 7, family: 4 });
  const six = sockets.open({ port: 7, family: 6 });
  t.deepEqual([four.address(), six.address()], ["0.0.0.0", "::"]);
  t.throws(() => sockets.open({ port: 7 }), { code: "EADDRINUSE" });
  probe.send(packet4("four"));
  probe.send(packet6("six"));
  t.deepEqual([textOf(four), textOf(four)], ["four", undefined]);
  t.deepEqual([textOf(six), textOf(six)], ["six", undefined]);
  t.is(four.sendTo(THERE, 9, HELLO), EAFNOSUPPORT);
  t.is(six.sendTo(PROBE_IP, 9, HELLO), EAFNOSUPPORT);
  t.is(four.connect(THERE, 9), EAFNOSUPPORT);
});

const MAPPED = "::ffff:" + PROBE_IP;
const MAPPED_HERE = "::FFFF:0a00:0001";

test("an IPv4-mapped address is IPv4's in every call, and comes back in IPv4's own form (RFC 4038)", (t) => {
  const { udp: sockets, probe, packet4 } = dual(t);
  const socket = sockets.open({ port: 7, address: MAPPED_HERE });
  t.is(socket.sendTo(MAPPED, 9, HELLO), 5);
  t.is(socket.sendTo("0::ffff:a00:2", 9, HELLO), 5);
  for (let i = 0; i < 2; i++) {
    expectPacket(t, probe.next()!, {
      ip4: { src: STACK_IP, dst: PROBE_IP },
      udp: { dport: 9 },
      payload: "hello",
    });
  }
  t.is(socket.sendTo(THERE, 9, HELLO), EAFNOSUPPORT, "it is bound to IPv4");
  t.is(socket.connect(MAPPED, 40000), 0);
  t.is(socket.address(), STACK_IP);
  const from = info();
  probe.send(packet4("four"));
  t.is(textOf(socket, from), "four");
  t.is(from.address, PROBE_IP);
  t.throws(() => sockets.open({ address: "::ffff:10.9.9.9" }), { code: "EADDRNOTAVAIL" });
  t.throws(() => sockets.open({ address: "::ffff:10.9.9" }), { code: "EAFNOSUPPORT" });
  t.throws(() => sockets.open({ port: 7, address: STACK_IP }), { code: "EADDRINUSE" });
});

test("family 6 is IPV6_V6ONLY: no mapped address, and the port is free for IPv4 (RFC 3493 section 5.3)", (t) => {
  const { udp: sockets, probe, packet4, packet6 } = dual(t);
  const six = sockets.open({ port: 7, address: "::", family: 6 });
  const four = sockets.open({ port: 7, address: "0.0.0.0" });
  t.is(six.sendTo(MAPPED, 9, HELLO), EAFNOSUPPORT);
  t.is(six.connect(MAPPED, 9), EAFNOSUPPORT);
  t.throws(() => sockets.open({ address: MAPPED_HERE, family: 6 }), { code: "EADDRNOTAVAIL" });
  probe.send(packet4("four"));
  probe.send(packet6("six"));
  t.deepEqual([textOf(four), textOf(four), textOf(six), textOf(six)], ["four", undefined, "six", undefined]);
});

test("a socket that is bound to :: serves both families", (t) => {
  const { udp: sockets, probe, packet4, packet6 } = dual(t);
  const both = sockets.open({ port: 7, address: "::" });
  probe.send(packet4("four"));
  probe.send(packet6("six"));
  t.deepEqual([textOf(both), textOf(both)], ["four", "six"]);
  t.throws(() => sockets.open({ port: 7, address: "0.0.0.0" }), { code: "EADDRINUSE" });
});

test("without IPv4 a mapped address is nobody's; without IPv6 it is no address", (t) => {
  const alone = createStack(createWorld({ seed: 1 }).host(), [ethernet(), ipv6(), udpComponent()]);
  const udp6 = alone.component(Udp)!;
  t.is(udp6.open({}).sendTo(MAPPED, 9, HELLO), EAFNOSUPPORT);
  t.throws(() => udp6.open({ address: MAPPED }), { code: "EADDRNOTAVAIL" });
  alone.close();
  t.is(probed(t).udp.open().sendTo(MAPPED, 9, HELLO), EAFNOSUPPORT);
});

test("TCP listens on ::, and connects to mapped addresses", (t) => {
  const { a, b, world } = pair(t, { components: () => [ipv6()] });
  const accepted: string[] = [];
  b.tcp.listen({
    port: 80,
    address: "::",
    onConnection: (socket) => void accepted.push(socket.remoteAddress()),
  });
  t.throws(() => b.tcp.listen({ port: 80, address: b.address }), { code: "EADDRINUSE" });
  const only = b.tcp.listen({ port: 81, address: "::", family: 6 });
  const four = b.tcp.listen({ port: 81, address: "::ffff:" + b.address });
  const errors: number[] = [];
  const socket = a.tcp.connect({
    address: "::ffff:" + b.address,
    port: 80,
    localAddress: "::ffff:" + a.address,
  });
  world.run(100);
  t.deepEqual(accepted, [a.address]);
  t.deepEqual([socket.remoteAddress(), socket.localAddress()], [b.address, a.address]);
  a.tcp.connect({ address: b.address, port: 81 });
  world.run(100);
  t.deepEqual([only.waiting.length, four.waiting.length, errors.length], [0, 1, 0]);
  for (const node of [a, b]) node.tcp.connections.each((c) => abort(c, 0));
});

test("UDP-05 a socket that is connected over one family does not hear the other", (t) => {
  const { udp: sockets, probe, packet4, packet6 } = dual(t);
  const socket = sockets.open({ port: 7 });
  t.is(socket.connect(THERE, 40000), 0);
  probe.send(packet4("four"));
  t.is(sockets.counters.notPeer, 1);
  probe.send(packet6("six"));
  t.is(textOf(socket), "six");
  t.is(socket.address(), HERE);
});

test("UDP-02 over IPv6 there is no datagram without a checksum", (t) => {
  const { udp: sockets, probe, packet6 } = dual(t);
  const socket = sockets.open({ port: 7 });
  probe.send(packet6("none", { checksum: 0 }));
  probe.send(packet6("wrong", { checksum: 0x1234 }));
  t.is(socket.readable(), 0);
  t.is(sockets.counters.badsum, 2);
  probe.send(packet6("right"));
  t.is(textOf(socket), "right");
});

test("a group of IPv6 is joined by any of its texts", (t) => {
  const { udp: sockets, probe, six } = dual(t);
  const socket = sockets.open({ port: 7 });
  t.is(socket.join("FF02:0::00FB"), 0);
  const packet = (dst: string) => frame(ip6({ src: "fe80::2", dst }), udp(), "to all");
  probe.send(packet("ff02::fc"));
  probe.send(packet("ff02::fb"));
  t.deepEqual([textOf(socket), textOf(socket)], ["to all", undefined]);
  const groups = six.groups.length;
  const picky = sockets.open({ port: 8 });
  t.is(picky.join("ff02::fb", undefined, { exclude: false, sources: ["2001:DB8:0::3"] }), 0);
  for (const src of ["2001:db8::2", "2001:db8::3"]) {
    probe.send(frame(ip6({ src, dst: "ff02::fb" }), udp({ dport: 8 }), src));
  }
  t.deepEqual([textOf(picky), textOf(picky)], ["2001:db8::3", undefined]);
  picky.close();
  t.is(socket.leave("ff02::fb"), 0);
  t.is(six.groups.length, groups - 1);
  probe.send(packet("ff02::fb"));
  t.is(textOf(socket), undefined);
});

test("the largest datagram is 65,507 bytes over IPv4, 65,527 over IPv6, which does not count its header in", (t) => {
  const six = ipv6();
  const node = probed(t, { probe: { medium: "ip" }, components: () => [six, fragments6()] });
  six.addAddress(node.nif, HERE + "/64");
  const socket = node.udp.open();
  t.is(socket.sendTo(THERE, 9, new Uint8Array(65527)), 65527);
  t.is(socket.sendTo(THERE, 9, new Uint8Array(65528)), EMSGSIZE);
  t.is(socket.sendTo(PROBE_IP, 9, new Uint8Array(65508)), EMSGSIZE);
});

/** Tunnels over IP, byte by byte: headers, marks, errors from the way, loops, and what hostile peers send. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { fragments } from "../../stack/ipv4/fragments.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import type { PathMtuCache } from "../../stack/ipv4/pmtu.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { gre as greTunnels } from "../../stack/tunnel/gre.js";
import { ipTunnel } from "../../stack/tunnel/ip-tunnel.js";
import { GreHeader, greLength, parseGre } from "../../stack/wire/gre.js";
import { concat, internetChecksum } from "../support/bytes.js";
import { expectFrame, expectPacket } from "../support/expect.js";
import { PROBE_IP, STACK_IP, be16, be32, eth, frame, icmp, ip4, ip6, udp } from "../support/packets.js";
import { parsePacket } from "../support/parse.js";
import type { Probe } from "../support/probe.js";
import { long, probed6 } from "../support/packets6.js";

const HOUSE = "10.8.0.1";
const FAR = "10.8.0.2";

/** A stack with one tunnel to the probe: 10.8.0.1 and fd08::1 at our end. */
function setUp(
  t: ExecutionContext,
  options: { forward?: boolean; ttl?: number | "inherit"; tos?: number } = {},
) {
  const tunnels = ipTunnel();
  const gres = greTunnels();
  const node = probed6(t, {
    acquainted: true,
    more6: () => [
      tunnels,
      gres,
      pmtu(),
      fragments(),
      ...(options.forward ? [forwarding({ reversePath: "off" })] : []),
    ],
  });
  const nif = tunnels.add({ remote: PROBE_IP, ttl: options.ttl, tos: options.tos }, "tun0");
  node.ip.addAddress(nif, `${HOUSE}/24`);
  node.ip6.addAddress(nif, "fd08::1/64");
  const socket = node.udp.open({ port: 7 });
  return { ...node, tunnels, gres, tun: nif, socket, counters: tunnels.counters };
}

const wrapped = (inner: Uint8Array, fields: Parameters<typeof ip4>[0] = {}) =>
  frame(eth(), ip4({ protocol: inner[0] >> 4 === 6 ? 41 : 4, ...fields }), inner);
const hello = (tos = 0) => frame(ip4({ src: FAR, dst: HOUSE, tos }), udp({ sport: 9, dport: 7 }), "hello");
const sum = (counters: object) => Object.values(counters).reduce((a: number, b: number) => a + b, 0);
/** A GRE header by hand. */
function greBytes(flags: number, type: number, payload: Uint8Array, key = 0, sequence = 0): Uint8Array {
  const fields = [be16(flags), be16(type)];
  if (flags & 0x8000) fields.push(be32(0));
  if (flags & 0x2000) fields.push(be32(key));
  if (flags & 0x1000) fields.push(be32(sequence));
  const whole = concat(...fields, payload);
  if (flags & 0x8000) whole.set(be16(internetChecksum(whole)), 4);
  return whole;
}

test("the outer header is the path's, the inner one stays as it was", (t) => {
  const { socket, probe, tun, stack } = setUp(t);
  t.is(tun.mtu, 1480);
  socket.sendTo(FAR, 9, new Uint8Array(100));
  const outer = expectFrame(t, probe.next(), {
    ip4: { src: STACK_IP, dst: PROBE_IP, protocol: 4, ttl: 64, tos: 0, df: true },
  });
  expectPacket(t, outer.payload, { ip4: { src: HOUSE, dst: FAR }, udp: { sport: 7, dport: 9 }, length: 100 });
  socket.sendTo("fd08::2", 9, new Uint8Array(100));
  const outer6 = expectFrame(t, probe.next(), { ip4: { dst: PROBE_IP, protocol: 41 } });
  expectPacket(t, outer6.payload, { ip6: { src: long("fd08::1"), dst: long("fd08::2") }, udp: { dport: 9 } });
  stack.removeInterface(tun);
  probe.send(wrapped(hello()));
  t.is(stack.counters.iptunnel.unknown, 1, "gone");
  expectFrame(t, probe.next(), { icmp: { type: 3, code: 3 } });
});

test("hop limit and traffic class: fixed, or the inner packet's; marks go in with either", (t) => {
  const { stack, probe, tun, ip } = setUp(t, { ttl: "inherit" });
  const send = (tos: number, ttl: number) => {
    const inner = frame(ip4({ src: HOUSE, dst: FAR, tos, ttl }), udp(), 10);
    const room = new Uint8Array(200 + inner.length);
    room.set(inner, 200);
    tun.transmit(room, 200, room.length, null);
    return probe.next();
  };
  expectFrame(t, send(0xb9, 17), { ip4: { tos: 0xb9, ttl: 17 } });
  stack.removeInterface(tun);
  const other = (
    stack.components.find((each) => each.name === "iptunnel") as ReturnType<typeof ipTunnel>
  ).add({
    remote: PROBE_IP,
    ttl: 3,
    tos: 0x20,
  });
  ip.addAddress(other, `${HOUSE}/24`);
  const inner = frame(ip4({ src: HOUSE, dst: FAR, tos: 0xba }), udp(), 10);
  // Without the room before it, as ARP's packets are: it is copied.
  other.transmit(inner, 0, inner.length, null);
  expectFrame(t, probe.next(), { ip4: { tos: 0x22, ttl: 3 } });
});

test("marks come out by RFC 6040, figure 4", (t) => {
  // Inner mark, then outer: what the application's packet has in the end; -1: dropped.
  const table = [
    [0, 0, 0, -1],
    [1, 1, 1, 3],
    [2, 2, 1, 3],
    [3, 3, 3, 3],
  ];
  for (const six of [false, true]) {
    const { probe, stack, ip, ip6: net6, counters } = setUp(t);
    const seen: number[] = [];
    ip.taps.push((packet) => packet.protocol === 17 && seen.push(packet.tos & 3) < 0);
    net6.taps.push((packet) => packet.protocol === 17 && seen.push(packet.tos & 3) < 0);
    for (let inner = 0; inner < 4; inner++) {
      for (let outer = 0; outer < 4; outer++) {
        const packet = six
          ? frame(ip6({ src: "fd08::2", dst: "fd08::1", trafficClass: 0xb8 | inner }), udp({ dport: 7 }), "x")
          : hello(0xb8 | inner);
        probe.send(wrapped(packet, { tos: outer }));
        // Order of the RFC's table: Not-ECT, ECT(0), ECT(1), CE outside.
        const expected = table[inner][[0, 2, 1, 3][outer]];
        t.is(seen.pop() ?? -1, expected, `${inner} in ${outer}`);
      }
    }
    t.is(counters.congested, 1);
    t.is(stack.counters.ip4.badsum, 0, "the checksum followed");
  }
});

test("from the peer alone, and what it says it is", (t) => {
  const { probe, socket, counters } = setUp(t);
  probe.send(wrapped(hello()));
  t.is(socket.readable(), 1);
  probe.send(wrapped(hello(), { src: "10.0.0.3" }));
  probe.send(wrapped(hello(), { protocol: 41 }));
  probe.send(wrapped(hello().subarray(0, 19)));
  t.is(socket.readable(), 1);
  t.deepEqual([counters.received, counters.unknown, counters.unsupported, counters.malformed], [1, 1, 1, 1]);
});

test("fragments outside: what was in them is delivered", (t) => {
  const { probe, socket } = setUp(t, { forward: true });
  const packet = frame(ip4({ src: FAR, dst: HOUSE }), udp({ sport: 9, dport: 7 }), 600);
  probe.send(frame(eth(), ip4({ protocol: 4, mf: true, id: 5 }), packet.subarray(0, 400)));
  probe.send(frame(eth(), ip4({ protocol: 4, offset: 400, id: 5 }), packet.subarray(400)));
  t.is(socket.readable(), 1);
  // The same for another host: it is passed on, though the datagram was put together without room before it.
  const through = frame(ip4({ src: FAR, dst: PROBE_IP }), udp({ sport: 9, dport: 7 }), 600);
  probe.send(frame(eth(), ip4({ protocol: 4, mf: true, id: 6 }), through.subarray(0, 400)));
  probe.send(frame(eth(), ip4({ protocol: 4, offset: 400, id: 6 }), through.subarray(400)));
  expectFrame(t, probe.next(), { ip4: { src: FAR, dst: PROBE_IP, ttl: 63 }, udp: { dport: 7 }, length: 600 });
});

/** The path's router says that the probe's network takes `mtu`; `quote`: the packet of ours. */
function narrow(probe: Probe, quote: Uint8Array, mtu: number): void {
  probe.send(
    frame(eth(), ip4({ src: "10.0.0.9" }), icmp({ type: 3, code: 4, rest: mtu }), quote.subarray(14, 562)),
  );
}

test("a narrower path: the interface follows, and who sent too much is told", (t) => {
  const node = setUp(t, { forward: true });
  const { probe, tun, socket, stack, counters, world } = node;
  socket.sendTo(FAR, 9, new Uint8Array(1400));
  narrow(probe, probe.next()!, 1400);
  world.run(1);
  t.is(counters.errors, 1);
  t.is(stack.counters.icmp.errorsDelivered, 2, "the tunnel's, and the socket's in it");
  t.is(tun.mtu, 1380);
  socket.sendTo(FAR, 9, new Uint8Array(1400));
  t.is(probe.take().length, 2, "cut inside the tunnel");
  // What is forwarded, and too large: the router tells its sender. What is in the tunnel already is told from the quotation.
  probe.answersArp = null;
  const { ip } = node;
  const pmtu = ip.pathMtu as PathMtuCache;
  pmtu.clear();
  socket.sendTo(FAR, 9, new Uint8Array(1));
  world.run(1);
  t.is(tun.mtu, 1480, "what was learnt has gone: with the next packet the interface follows");
  probe.take();
  const big = frame(ip4({ src: "10.0.0.44", dst: FAR, df: true }), udp({ sport: 1000, dport: 2000 }), 1400);
  probe.send(frame(eth({ type: 0x800 }), big));
  const outer = probe.next()!;
  t.is(parsePacket(outer.subarray(14)).ip4!.protocol, 4);
  narrow(probe, outer, 1400);
  world.run(10);
  for (let i = 0; i < 2; i++) {
    const told = probe.next();
    const { payload } = expectFrame(t, told, {
      ip4: { dst: "10.0.0.44" },
      icmp: { type: 3, code: 4, rest: 1380 },
    });
    t.is(payload.subarray(12, 16).join("."), "10.0.0.44", "it quotes the inner packet");
    probe.send(frame(eth({ type: 0x800 }), big));
  }
  t.is(tun.mtu, 1380);
});

test("a tunnel through itself sends nothing; two through each other end", (t) => {
  const { tunnels, ip, probe, tun, socket, counters, stack } = setUp(t);
  ip.addRoute(`${PROBE_IP}/32`, { interface: tun });
  socket.sendTo(FAR, 9, new Uint8Array(10));
  t.is(counters.loop, 1);
  ip.removeRoute(`${PROBE_IP}/32`);
  const one = tunnels.add({ remote: "192.0.2.1" }, "one");
  const two = tunnels.add({ remote: "192.0.2.2" }, "two");
  ip.addAddress(one, "10.7.1.1/24");
  ip.addAddress(two, "10.7.2.1/24");
  ip.addRoute("192.0.2.1/32", { interface: two });
  ip.addRoute("192.0.2.2/32", { interface: one });
  socket.sendTo("10.7.1.2", 9, new Uint8Array(10));
  t.true(counters.nested + counters.loop + counters.failed >= 2, JSON.stringify(counters));
  t.is(probe.take().length, 0);
  t.is(stack.wrapping, 0);
});

test("tunnels in tunnels: four deep goes in and out, the fifth is refused, and no packet makes the stack recurse", (t) => {
  const { tunnels, ip, probe, socket, counters, stack } = setUp(t);
  const packet = (level: number) =>
    frame(ip4({ src: `10.2.${level}.2`, dst: `10.2.${level}.1` }), udp({ dport: 7 }), "x");
  const levels = 6;
  for (let i = 0; i < levels; i++) {
    const nif = tunnels.add({ remote: i === 0 ? FAR : `10.2.${i - 1}.2` });
    ip.addAddress(nif, `10.2.${i}.1/24`);
  }
  const nest = (depth: number) => {
    let inner = packet(depth);
    for (let i = depth - 1; i >= 0; i--)
      inner = frame(ip4({ src: `10.2.${i}.2`, dst: `10.2.${i}.1`, protocol: 4 }), inner);
    return wrapped(frame(ip4({ src: FAR, dst: HOUSE, protocol: 4 }), inner));
  };
  // The first tunnel, and two in it.
  probe.send(nest(1));
  probe.send(nest(2));
  t.is(socket.readable(), 2);
  probe.send(nest(3));
  t.is(socket.readable(), 2);
  t.is(counters.nested, 1);
  socket.sendTo("10.2.2.2", 9, new Uint8Array(4));
  t.is(probe.take().length, 1);
  socket.sendTo("10.2.3.2", 9, new Uint8Array(4));
  t.is(probe.take().length, 0);
  t.is(counters.nested, 2);
  // A thousand headers of the tunnel's own ends, each within the next.
  let deep = packet(0);
  while (deep.length < 40000) deep = frame(ip4({ protocol: 4 }), deep);
  probe.send(frame(eth(), deep));
  t.is(stack.unwrapping, 0);
});

test("GRE: key, checksum and sequence number on the wire, each wanted where it was asked for", (t) => {
  const { gres, ip, probe, socket } = setUp(t);
  const nif = gres.add({ remote: PROBE_IP, key: 0xfedcba98, checksum: true, sequence: true }, "gre1");
  ip.addAddress(nif, "10.6.0.1/24");
  t.is(nif.mtu, 1500 - 20 - 16);
  const counters = gres.counters;
  for (let i = 0; i < 2; i++) {
    socket.sendTo("10.6.0.2", 9, new Uint8Array(5));
    const { payload } = expectFrame(t, probe.next(), { ip4: { protocol: 47, dst: PROBE_IP } });
    t.is(internetChecksum(payload), 0);
    t.deepEqual(payload.subarray(0, 4), concat(be16(0xb000), be16(0x800)));
    t.deepEqual(payload.subarray(8, 16), concat(be32(0xfedcba98), be32(i)));
  }
  const inner = frame(ip4({ src: "10.6.0.2", dst: "10.6.0.1" }), udp({ dport: 7 }), "x");
  const send = (flags: number, type = 0x800, key = 0xfedcba98, sequence = 0, spoil = false) => {
    const bytes = greBytes(flags, type, inner, key, sequence);
    if (spoil) bytes[bytes.length - 1] ^= 1;
    probe.send(frame(eth(), ip4({ protocol: 47 }), bytes));
  };
  send(0xb000, 0x800, 0xfedcba98, 5);
  t.is(counters.received, 1);
  send(0xb000, 0x800, 0xfedcba98, 4);
  send(0xb000, 0x800, 0xfedcba98, 5);
  send(0xa000);
  t.is(counters.outOfOrder, 3);
  send(0x3000, 0x800, 0xfedcba98, 6);
  send(0xb000, 0x800, 0xfedcba98, 6, true);
  t.is(counters.badsum, 2);
  send(0x9000, 0x800, 0, 6);
  send(0xb000, 0x800, 7, 6);
  t.is(counters.unknown, 2);
  send(0xb000, 0x6558, 0xfedcba98, 6);
  send(0xb000, 0x86dd, 0xfedcba98, 6);
  send(0xb000, 0x880b, 0xfedcba98, 6);
  t.is(counters.unsupported, 3);
  send(0xb001, 0x880b, 0xfedcba98, 6);
  send(0xf000, 0x800, 0xfedcba98, 6);
  t.is(counters.malformed, 2);
  send(0xb000, 0x800, 0xfedcba98, 6);
  t.is(counters.received, 2);
  t.is(socket.readable(), 2);
});

test("misuse is told at once", (t) => {
  const { tunnels, gres } = setUp(t);
  const code = (run: () => unknown) => (t.throws(run) as Error & { code: string }).code;
  t.is(
    code(() => tunnels.add({ remote: "nowhere" })),
    "EINVAL",
  );
  t.is(
    code(() => tunnels.add({ remote: "224.0.0.1" })),
    "EINVAL",
  );
  t.is(
    code(() => tunnels.add({ remote: PROBE_IP })),
    "EEXIST",
  );
  t.is(
    code(() => tunnels.add({ remote: "10.0.0.9", local: "10.0.0.10" })),
    "EADDRNOTAVAIL",
  );
  t.is(
    code(() => tunnels.add({ remote: "10.0.0.9", local: "fd08::1" })),
    "EAFNOSUPPORT",
  );
  t.is(
    code(() => tunnels.add({ remote: "10.0.0.9", ttl: 256 })),
    "EINVAL",
  );
  t.is(
    code(() => gres.add({ remote: PROBE_IP, key: -1 })),
    "EINVAL",
  );
  t.is(
    code(() => gres.add({ remote: PROBE_IP, mac: Uint8Array.of(1, 0, 0, 0, 0, 0) })),
    "EINVAL",
  );
  gres.add({ remote: PROBE_IP });
  t.is(
    code(() => gres.add({ remote: PROBE_IP })),
    "EEXIST",
  );
  gres.add({ remote: PROBE_IP, key: 0 });
});

test("property: a GRE header is read as it was written, and never beyond its end", (t) => {
  const header = new GreHeader();
  t.notThrows(() => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(8), (bytes, cut) => {
        const length = parseGre(bytes, 0, Math.max(0, bytes.length - cut), header);
        return length === -1 || (length <= bytes.length - cut && length === greLength(header.flags));
      }),
      { numRuns: 5000 },
    );
    fc.assert(
      fc.property(
        fc.constantFrom(0, 0x8000, 0x2000, 0x1000, 0xb000, 0xa000, 0x3000),
        fc.nat(0xffff),
        fc.integer(),
        fc.integer(),
        (flags, type, key, sequence) => {
          const bytes = greBytes(flags, type, new Uint8Array(3), key, sequence);
          return (
            parseGre(bytes, 0, bytes.length, header) === bytes.length - 3 &&
            header.type === type &&
            header.key === (flags & 0x2000 ? key : 0) &&
            header.sequence === (flags & 0x1000 ? sequence : 0)
          );
        },
      ),
    );
  });
});

test("property: whatever a peer sends raises one counter of the tunnel's, and nothing else happens", (t) => {
  const { gres, probe, counters, stack } = setUp(t);
  gres.add({ remote: PROBE_IP, key: 1 });
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.constantFrom(4, 41, 47),
        fc.uint8Array({ maxLength: 90 }),
        fc.nat(3),
        (protocol, bytes, kind) => {
          const body =
            kind === 0
              ? bytes
              : protocol === 47
                ? greBytes(0x2000, kind === 1 ? 0x800 : 0x86dd, bytes, 1)
                : concat(Uint8Array.of(protocol === 4 ? 0x45 : 0x60), bytes);
          const mine = protocol === 47 ? gres.counters : counters;
          const before = sum(mine);
          probe.send(frame(eth(), ip4({ protocol, tos: kind }), body));
          probe.take();
          return sum(mine) === before + 1 && stack.unwrapping === 0 && !stack.busy;
        },
      ),
      { numRuns: 3000 },
    ),
  );
});

/** UDP against what strangers send: lengths, checksums, floods, and who may talk to a connected socket. */
import test from "ava";
import fc from "fast-check";
import type { DatagramInfo } from "../../stack/udp/socket.js";
import { EAGAIN } from "../../stack/core/errors.js";
import { pattern } from "../support/bytes.js";
import { PROBE_IP, STACK_IP, eth, frame, icmp, ip4, udp } from "../support/packets.js";
import { expectFrame } from "../support/expect.js";
import { Probe, probed } from "../support/probe.js";
import { info, textOf } from "./support.js";

test("UDP-01 a length below the header or beyond the packet is dropped and counted", (t) => {
  const { udp: sockets, probe } = probed(t);
  const socket = sockets.open({ port: 7 });
  let bad = 0;
  for (const length of [0, 1, 2, 3, 4, 5, 6, 7, 14, 100, 65535]) {
    probe.send(frame(eth(), ip4(), udp({ length, checksum: 0 }), "hello"));
    t.is(sockets.counters.badlen, ++bad, "length " + length);
  }
  for (let size = 0; size < 8; size++) {
    probe.send(frame(eth(), ip4({ protocol: 17 }), new Uint8Array(size)));
    t.is(sockets.counters.badlen, ++bad, "packet of " + size);
  }
  t.is(socket.readable(), 0);
  t.is(probe.take().length, 0);
});

test("UDP-01 what lies behind the datagram in its packet is never delivered", (t) => {
  const { udp: sockets, probe } = probed(t);
  const socket = sockets.open({ port: 7 });
  const whole = frame(eth(), ip4({ totalLength: 36 }), udp({ length: 11 }), "abc", "SECRT");
  // The checksum is of the datagram alone.
  whole.set(frame(eth(), ip4(), udp(), "abc").subarray(40, 42), 40);
  probe.send(whole);
  t.is(textOf(socket), "abc");
});

test("UDP-02 no checksum is accepted over IPv4, a wrong one dropped without an answer", (t) => {
  const { udp: sockets, probe } = probed(t);
  const socket = sockets.open({ port: 7 });
  probe.send(frame(eth(), ip4(), udp({ checksum: 0 }), "none"));
  t.is(textOf(socket), "none");
  probe.send(frame(eth(), ip4(), udp({ checksum: 0x1234 }), "wrong"));
  t.is(socket.readable(), 0);
  t.is(sockets.counters.badsum, 1);
  t.is(probe.take().length, 0);
});

test("UDP-02 a sum that comes out as 0 is sent as 0xffff", (t) => {
  const { udp: sockets, probe } = probed(t);
  const socket = sockets.open({ port: 7 });
  const data = new Uint8Array(2);
  socket.sendTo(PROBE_IP, 9, data);
  const { udp: header } = expectFrame(t, probe.next(), {});
  // With the first checksum as data, the sum of everything is zero.
  data.set([header!.checksum >> 8, header!.checksum & 255]);
  socket.sendTo(PROBE_IP, 9, data);
  expectFrame(t, probe.next(), { udp: { checksum: 0xffff } });
});

test("UDP-04 a socket that nobody reads keeps its first datagrams and counts the others", (t) => {
  const { udp: sockets, probe, stack } = probed(t);
  const socket = sockets.open({ port: 7, receiveBuffer: 1000 });
  const other = sockets.open({ port: 8 });
  const bytes = frame(eth(), ip4(), udp(), 84);
  for (let i = 0; i < 10000; i++) probe.send(bytes);
  t.is(socket.readable(), 10);
  t.is(sockets.counters.rxfull, 9990);
  t.true(stack.pool.used <= 1);
  probe.send(frame(eth(), ip4(), udp({ dport: 8 }), "still here"));
  t.is(textOf(other), "still here");
  for (let i = 0; i < 10; i++) t.is(socket.receive(new Uint8Array(84)), 84);
  t.is(stack.pool.used, 0);
});

test("UDP-04 empty datagrams take room as well", (t) => {
  const { udp: sockets, probe } = probed(t);
  const socket = sockets.open({ port: 7, receiveBuffer: 1600 });
  for (let i = 0; i < 1000; i++) probe.send(frame(eth(), ip4(), udp()));
  t.is(socket.readable(), 100);
});

test("UDP-04 a flood to a hundred sockets leaves a quarter of all memory to others", (t) => {
  const { udp: sockets, probe, stack } = probed(t, { stack: { packetMemory: 1 << 18 } });
  for (let i = 0; i < 100; i++) sockets.open({ port: 1000 + i });
  const count = 100;
  for (let i = 0; i < count; i++) {
    for (let port = 1000; port < 1100; port++) probe.send(frame(eth(), ip4(), udp({ dport: port }), 1000));
  }
  t.true(stack.pool.used <= (stack.pool.limit * 3) / 4, stack.pool.used + " of " + stack.pool.limit);
  const kept = sockets.counters.received - sockets.counters.rxfull;
  t.is(sockets.counters.received, count * 100);
  t.true(kept >= 100);
});

test("UDP-04 a flood to closed ports is answered within the rate limit", (t) => {
  const { udp: sockets, icmp: errors, probe } = probed(t);
  for (let i = 0; i < 1000; i++) probe.send(frame(eth(), ip4(), udp({ dport: 2000 + i })));
  t.is(sockets.counters.noPort, 1000);
  t.is(probe.take().length, 20);
  t.is(errors.counters.limited, 980);
});

test("UDP-05 a connected socket hears its peer alone", (t) => {
  const { udp: sockets, probe, ip, nif } = probed(t);
  ip.addAddress(nif, "10.0.0.9/24");
  const socket = sockets.open({ port: 7 });
  t.is(socket.connect(PROBE_IP, 40000), 0);
  probe.send(frame(eth(), ip4({ src: "10.0.0.3" }), udp(), "other address"));
  probe.send(frame(eth(), ip4(), udp({ sport: 40001 }), "other port"));
  t.is(socket.readable(), 0);
  t.is(sockets.counters.notPeer, 2);
  probe.send(frame(eth(), ip4({ dst: "255.255.255.255" }), udp(), "broadcast"));
  t.is(sockets.counters.noPort, 1);
  t.is(probe.take().length, 0);
  probe.send(frame(eth(), ip4(), udp(), "peer"));
  t.is(textOf(socket), "peer");
});

test("UDP-05 a socket of an interface hears that interface alone", (t) => {
  const { udp: sockets, probe, stack, nif, ip, world } = probed(t);
  const second = new Probe(world, { mac: "02:00:00:00:00:09" });
  const eth1 = stack.addInterface(second);
  ip.addAddress(eth1, "10.1.0.1/24");
  const socket = sockets.open({ port: 7, interface: eth1 });
  probe.send(frame(eth(), ip4(), udp(), "wrong"));
  t.is(socket.readable(), 0);
  second.send(
    frame(eth({ dst: "02:00:00:00:00:09" }), ip4({ src: "10.1.0.2", dst: "10.1.0.1" }), udp(), "right"),
  );
  const from = info();
  t.is(textOf(socket, from), "right");
  t.is(from.interface, eth1);
  t.not(from.interface, nif);
});

test("UDP-05 port 0 talks to nobody and broadcasts come to those who asked", (t) => {
  const { udp: sockets, probe } = probed(t);
  const quiet = sockets.open({ port: 7, reuse: true });
  const loud = sockets.open({ port: 7, reuse: true, broadcast: true });
  probe.send(frame(eth(), ip4(), udp({ sport: 0 }), "from port 0"));
  probe.send(frame(eth(), ip4(), udp({ dport: 0 }), "to port 0"));
  t.is(sockets.counters.badPort, 2);
  t.is(probe.take().length, 0);
  for (const dst of ["255.255.255.255", "10.0.0.255"]) {
    probe.send(frame(eth({ dst: "ff:ff:ff:ff:ff:ff" }), ip4({ dst }), udp(), "all"));
    const from = info();
    t.is(textOf(loud, from), "all");
    t.is(from.localAddress, dst);
  }
  t.is(quiet.readable(), 0);
});

test("UDP-06 an empty datagram is one, and a short target loses the rest and no more", (t) => {
  const { udp: sockets, probe } = probed(t);
  const seen: number[] = [];
  const socket = sockets.open({ port: 7, onReadable: (count) => seen.push(count) });
  const from: DatagramInfo = info();
  const target = new Uint8Array(10).fill(0xcc);

  probe.send(frame(eth(), ip4({ ttl: 3 }), udp()));
  t.deepEqual(seen, [1]);
  t.is(socket.receive(target, from), 0);
  t.deepEqual(from, {
    address: PROBE_IP,
    port: 40000,
    length: 0,
    truncated: false,
    localAddress: STACK_IP,
    interface: from.interface,
    ttl: 3,
  });
  t.true(target.every((byte) => byte === 0xcc));

  probe.send(frame(eth(), ip4(), udp(), "0123456789abcdef"));
  probe.send(frame(eth(), ip4(), udp(), "next"));
  t.is(socket.receive(target, from, 2, 6), 4);
  t.deepEqual([from.length, from.truncated], [16, true]);
  t.is(String.fromCharCode(...target), "\xcc\xcc0123\xcc\xcc\xcc\xcc");
  t.is(textOf(socket, from), "next");
  t.false(from.truncated);
  t.is(socket.receive(target), EAGAIN);
});

test("UDP-06 datagrams of any sizes come out as they went in", (t) => {
  const { udp: sockets, probe, stack } = probed(t);
  const socket = sockets.open({ port: 7, receiveBuffer: 20000 });
  const target = new Uint8Array(2000);
  const sizes = fc.array(fc.tuple(fc.nat(1472), fc.boolean()), { maxLength: 12 });
  const check = fc.property(sizes, (steps) => {
    const waiting: number[] = [];
    const drain = () => {
      for (let size = waiting.shift(); size !== undefined; size = waiting.shift()) {
        target.fill(0xcc);
        if (socket.receive(target) !== size || target[size] !== 0xcc) return false;
        if (pattern(size).some((byte, i) => target[i] !== byte)) return false;
      }
      return true;
    };
    for (const [size, read] of steps) {
      probe.send(frame(eth(), ip4(), udp(), size));
      waiting.push(size);
      if (read && !drain()) return false;
    }
    return drain() && socket.readable() === 0 && stack.pool.used === 0;
  });
  t.notThrows(() => fc.assert(check));
});

test("an error is believed of flows that there are, and names the remote", (t) => {
  const { udp: sockets, ip, probe } = probed(t);
  const errors: unknown[] = [];
  const learned: unknown[] = [];
  ip.pathMtu = { lookup: (_, mtu) => mtu, tooBig: (remote, mtu) => learned.push(remote, mtu) };
  const socket = sockets.open({ port: 7, onError: (...what) => errors.push(...what) });
  t.is(socket.connect(PROBE_IP, 9), 0);
  const quoted = (fields: { sport?: number; dport?: number; dst?: string }) =>
    frame(ip4({ src: STACK_IP, dst: fields.dst ?? PROBE_IP }), udp({ sport: 7, dport: 9, ...fields }), "x");
  const report = (code: number, rest: number, packet: Uint8Array) =>
    probe.send(frame(eth(), ip4(), icmp({ type: 3, code, rest }), packet));
  report(3, 0, quoted({ dport: 10 }));
  report(3, 0, quoted({ sport: 8 }));
  report(3, 0, quoted({ dst: "10.0.0.3" }));
  report(4, 600, quoted({ dst: "10.0.0.3" }));
  t.deepEqual([errors, learned], [[], []]);
  report(3, 0, quoted({}));
  t.deepEqual(errors, [-111, PROBE_IP, 9]);
  report(4, 600, quoted({}));
  // The path to the remote has become narrow, not the one to ourselves.
  t.deepEqual(learned, [0x0a000002, 600]);
});

/** ICMPv6: echo, errors under a rate limit, and errors of others that must not be believed. */
import test from "ava";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { pmtu6 } from "../../stack/ipv6/pmtu.js";
import { concat, ip6Bytes, pattern } from "../support/bytes.js";
import { PROBE_IP6, be16, frame, icmp, ip6, tcp, udp } from "../support/packets.js";
import { FAR, GLOBAL, bare, extension, fragmentHeader } from "./bare.js";
import { igmp } from "../../stack/ipv4/igmp.js";

const ERRORS = [1, 2, 3, 4];

test("IC6-01 messages shorter than their header", (t) => {
  const { probe, icmp6, take } = bare(t);
  let short = 0;
  for (const type of [1, 2, 3, 4, 128, 129, 130, 133, 134, 135, 136, 137, 143, 200]) {
    for (let length = 0; length < 8; length++) {
      probe.send(frame(ip6({ next: 58 }), Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0).slice(0, length)));
      t.is(icmp6.counters.short, ++short);
    }
  }
  t.deepEqual(take(), []);
});

test("IC6-01 errors that quote too little, or chains that lie", (t) => {
  const { probe, icmp6, udp: sockets, take } = bare(t);
  const errors: number[] = [];
  sockets.open({ port: 9, onError: (code: number) => errors.push(code) } as never).connect(FAR, 99);
  const quoted = frame(ip6({ src: GLOBAL, dst: FAR }), udp({ sport: 9, dport: 99 }), "abc");
  let short = 0;
  for (const type of ERRORS) {
    for (let length = 0; length < 48; length++) {
      probe.send(frame(ip6(), icmp({ type, rest: 1300 }), quoted.slice(0, length)));
      t.is(icmp6.counters.short, ++short, `${type} ${length}`);
    }
    const chains = [
      concat(extension(17, new Uint8Array(6), 200), quoted.slice(40)),
      concat(...Array.from({ length: 20 }, () => extension(60, new Uint8Array(6)))),
      concat(fragmentHeader(17, 8, true, 1), quoted.slice(40)),
      extension(17, new Uint8Array(6)),
    ];
    for (const chain of chains) {
      const next = chain === chains[2] ? 44 : 60;
      probe.send(
        frame(ip6(), icmp({ type, rest: 1300 }), frame(ip6({ src: GLOBAL, dst: FAR, next }), chain)),
      );
      t.is(icmp6.counters.short, ++short, `${type} ${chains.indexOf(chain)}`);
    }
  }
  t.deepEqual(errors, []);
  t.deepEqual(take(), []);
});

test("errors about packets of ours reach their socket, also behind extension headers", (t) => {
  const { probe, icmp6, udp: sockets } = bare(t);
  sockets.open({ port: 9 }).connect(FAR, 99);
  const datagram = frame(ip6({ src: GLOBAL, dst: FAR }), udp({ sport: 9, dport: 99 }), "abc");
  const report = (quoted: Uint8Array) => probe.send(frame(ip6(), icmp({ type: 1, code: 4 }), quoted));
  report(datagram);
  t.is(icmp6.counters.errorsDelivered, 1);
  report(
    frame(
      ip6({ src: GLOBAL, dst: FAR, next: 60 }),
      concat(extension(17, new Uint8Array(6)), datagram.slice(40)),
    ),
  );
  t.is(icmp6.counters.errorsDelivered, 2);
  // Another port, another host, not from here.
  report(frame(ip6({ src: GLOBAL, dst: FAR }), udp({ sport: 10, dport: 99 }), "abc"));
  report(frame(ip6({ src: "2001:db8::5", dst: FAR }), udp({ sport: 9, dport: 99 }), "abc"));
  t.is(icmp6.counters.errorsDelivered, 2);
  t.is(icmp6.counters.unsolicited, 2);
});

test("IC6-04 errors under a rate limit, and none larger than 1280 bytes", (t) => {
  const { probe, world, icmp6, take } = bare(t);
  const packet = frame(ip6({ next: 253 }), pattern(1400));
  let sent = 0;
  for (let second = 0; second < 10; second++) {
    for (let i = 0; i < 10000; i++) probe.send(packet);
    for (const { icmp: header, payload } of take()) {
      sent++;
      t.is(header?.type, 4);
      t.is(payload.length, 1280 - 48);
      t.deepEqual(payload, packet.slice(0, 1280 - 48));
    }
    world.run(1000);
  }
  t.true(sent >= 100 && sent <= 20 + 100, String(sent));
  t.is(icmp6.counters.limited, 100000 - sent);
  t.is(icmp6.counters.errorsSent, sent);
});

test("no error about errors, groups, redirects, or packets from nobody (RFC 4443 section 2.4)", (t) => {
  const { probe, take } = bare(t);
  const unknown = Uint8Array.of(1, 0, 0x9e, 0);
  const bad = extension(58, concat(unknown, Uint8Array.of(1, 0)));
  const behind = (type: number, src = PROBE_IP6, dst = "fe80::1") =>
    frame(
      ip6({ next: 60, src, dst }),
      concat(bad, frame(ip6({ src, dst }), icmp({ type }), "abc").slice(40)),
    );
  for (const type of [1, 2, 3, 4, 100, 127, 137]) probe.send(behind(type));
  probe.send(behind(128, "::"));
  probe.send(behind(128, "ff02::5"));
  probe.send(frame(ip6({ dst: "ff02::1" }), udp({ dport: 9999 }), "abc"));
  t.deepEqual(take(), []);
  probe.send(behind(128));
  probe.send(behind(128, PROBE_IP6, "ff02::1"));
  probe.send(frame(ip6(), udp({ dport: 9999 }), "abc"));
  t.deepEqual(
    take().map(({ icmp: header }) => [header?.type, header?.code]),
    [
      [4, 2],
      [4, 2],
      [1, 4],
    ],
  );
});

test("IC6-05 what is not known: informational is discarded, errors are nobody's, node information is not told", (t) => {
  const { probe, icmp6, take } = bare(t);
  for (const type of [138, 139, 140, 141, 142, 144, 146, 200, 255]) {
    probe.send(frame(ip6(), icmp({ type }), pattern(32)));
    probe.send(frame(ip6({ dst: "ff02::1" }), icmp({ type }), pattern(32)));
  }
  t.is(icmp6.counters.unhandled, 18);
  const quoted = frame(ip6({ src: "fe80::1", dst: PROBE_IP6 }), udp({ sport: 4 }), "abc");
  probe.send(frame(ip6(), icmp({ type: 100 }), quoted));
  t.is(icmp6.counters.unsolicited, 1);
  t.deepEqual(take(), []);
});

test("IC6-06 a wrong checksum, and none, of every type", (t) => {
  const { probe, icmp6, take, udp: sockets } = bare(t);
  sockets.open({ port: 9 }).connect(FAR, 99);
  const quoted = frame(ip6({ src: GLOBAL, dst: FAR }), udp({ sport: 9, dport: 99 }), "abc");
  for (let type = 0; type < 256; type++) {
    for (const checksum of [0, 0xffff, 0x1234])
      probe.send(frame(ip6({ hops: 255 }), icmp({ type, checksum, rest: 1300 }), quoted));
  }
  t.is(icmp6.counters.badsum, 768);
  t.is(icmp6.counters.errorsDelivered, 0);
  t.deepEqual(take(), []);
});

test("IC6-06 the addresses are part of the checksum", (t) => {
  const { probe, icmp6 } = bare(t);
  const echo = frame(ip6(), icmp({ type: 128 }), "hello");
  echo.set(ip6Bytes(GLOBAL), 24);
  probe.send(echo);
  t.is(icmp6.counters.badsum, 1);
});

test("ICM-09 ICMPv6 in IPv4, and its types in ICMP", (t) => {
  const {
    probe,
    icmp: icmp4,
    icmp6,
    stack,
  } = bare(t, { probe: { medium: "ip" }, components: () => [igmp()] });
  const before = stack.counters.ip4.delivered;
  probe.send(frame(ipv4Packet(58, Uint8Array.of(128, 0, 0x7f, 0xff, 0, 0, 0, 0))));
  t.is(icmp6.counters.echoRequests, 0);
  t.is(icmp6.counters.unhandled, 1);
  for (const type of [128, 133, 134, 135, 136]) {
    probe.send(frame(ipv4Packet(1, Uint8Array.of(type, 0, 255 - type, 255, 0, 0, 0, 0))));
  }
  t.is(stack.counters.ip4.delivered - before, 6);
  t.is(icmp6.counters.received, 1);
  t.is(icmp4.counters.echoRequests, 0);
  t.deepEqual(
    probe.take().filter((bytes) => bytes[0] >> 4 === 6),
    [],
  );
});

function ipv4Packet(protocol: number, body: Uint8Array): Uint8Array {
  const header = concat(
    Uint8Array.of(0x45, 0),
    be16(20 + body.length),
    Uint8Array.of(0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1),
  );
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += (header[i] << 8) | header[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  header.set(be16(~sum & 0xffff), 10);
  return concat(header, body);
}

test("IC6-02 FRG-10 path MTUs that are too small, too large, or of nobody's packets", (t) => {
  const cache = pmtu6();
  const { probe, ip6: ip, icmp6, udp: sockets } = bare(t, { components: () => [cache] });
  sockets.open({ port: 9 }).connect(FAR, 99);
  const quoted = frame(ip6({ src: GLOBAL, dst: FAR }), udp({ sport: 9, dport: 99 }), "abc");
  const mtu = () => {
    const path = ip.createPath();
    ip.setRemote(path, FAR);
    ip.route(path);
    return path.mtu;
  };
  const report = (rest: number, about = quoted) => probe.send(frame(ip6(), icmp({ type: 2, rest }), about));
  for (const low of [0, 1, 68, 576, 1279, 65536, 0x7fffffff, -1]) report(low);
  t.is(icmp6.counters.unsolicited, 8);
  t.is(mtu(), 1500);
  report(9000);
  t.is(mtu(), 1500);
  report(1300, frame(ip6({ src: GLOBAL, dst: FAR }), udp({ sport: 8, dport: 99 }), "abc"));
  report(1300, frame(ip6({ src: GLOBAL, dst: FAR }), tcp({ sport: 9, dport: 99 }), "abc"));
  t.is(mtu(), 1500);
  report(1300);
  t.is(mtu(), 1300);
});

test("an echo request is answered byte by byte, unless that is off", (t) => {
  const { probe, take } = bare(t);
  for (const size of [0, 1, 8, 1400]) {
    probe.send(frame(ip6({ src: FAR, dst: GLOBAL }), icmp({ type: 128, id: 7, seq: size }), pattern(size)));
    const [answer] = take();
    t.deepEqual(answer.faults, []);
    t.like(answer.icmp, { type: 129, code: 0, id: 7, seq: size });
    t.deepEqual(answer.payload, pattern(size));
  }
  const silent = bare(t, { icmpv6: { echo: false } });
  silent.probe.send(frame(ip6(), icmp({ type: 128 }), "abc"));
  t.deepEqual(silent.take(), []);
  t.is(silent.icmp6.counters.unhandled, 1);
  t.is(icmpv6().counters.received, 0);
});

/**
 * RES-10, the amplification audit: what a stranger's packets make us send to the address that they claim to come from, in bytes
 * of IP. The victim is beyond our router, or on the link where only those get answers.
 */
import test from "ava";
import type { ExecutionContext } from "ava";
import { nodeCrypto } from "../ports/node/crypto.js";
import { ikeResponder } from "../stack/ike/ike-responder.js";
import { ike } from "../stack/ike/ike.js";
import { Writer, emitPlain } from "../stack/ike/message.js";
import { emitProposals } from "../stack/ike/proposals.js";
import { dhcpServer } from "../stack/service/dhcp-server.js";
import { dnsForwarder } from "../stack/service/dns-forwarder.js";
import { dns } from "../stack/service/dns.js";
import { mdns } from "../stack/service/mdns.js";
import { ntpServer } from "../stack/service/ntp-server.js";
import * as wire from "../stack/wire/ike.js";
import { eth, frame, icmp, ip4, ip6, tcp, udp, STACK_IP } from "./support/packets.js";
import type { Layer, Payload } from "./support/packets.js";
import { NS, long, nd6, probed6, sourceLink } from "./support/packets6.js";
import { concat } from "./support/bytes.js";
import { requestFrame } from "./service/dhcp-server-support.js";
import { query, question } from "./service/mdns-support.js";

const FAR = "192.0.2.77";
const NEAR = "10.0.0.77";
const FAR6 = "2001:db8:9::77";
const OURS6 = "fd00::1";

/** A host with everything that listens to strangers; the probe is its router, whose name is looked up for nobody. */
function host(t: ExecutionContext) {
  const names = dnsForwarder({ servers: ["10.0.0.53"] });
  const time = ntpServer({ source: () => ({ time: 1.7e12, error: 1, stratum: 1 }) });
  const leases = dhcpServer();
  const vpn = ike({ responder: ikeResponder() });
  const node = probed6(t, {
    addresses: ["fe80::1/64", `${OURS6}/64`],
    acquainted: true,
    crypto: nodeCrypto(),
    more6: () => [dns(), names, time, leases, vpn, mdns({ host: "lamp" })],
    leaks: false,
  });
  const { nif, tcp: sockets, udp: datagrams, probe, world, ip6: six } = node;
  six.addRoute("::/0", { gateway: "fe80::2", interface: nif });
  names.serve(nif);
  time.serve(nif);
  leases.serve({ interface: nif, network: "10.0.0.0/24", pools: ["10.0.0.100-10.0.0.200"] });
  vpn.connect({ psk: "secret" });
  sockets.listen({ port: 80 });
  datagrams.open({ port: 7 });
  probe.answersArp = null;
  world.run(5000);
  probe.send(nd6(NS(OURS6), { dst: OURS6 }, sourceLink()));
  world.run(5000);
  probe.take();
  return node;
}

interface Row {
  readonly name: string;
  /** Bytes to the victim for each that the stranger sent, at most. Default 1. */
  readonly limit?: number;
  readonly frames: Uint8Array[];
}

const four = (src: string, dst: string, ...rest: (Layer | Payload)[]) =>
  frame(eth(dst.startsWith("224.") ? { dst: "01:00:5e:00:00:fb" } : {}), ip4({ src, dst }), ...rest);
const six = (...rest: (Layer | Payload)[]) => frame(eth(), ip6({ src: FAR6, dst: OURS6 }), ...rest);
const flood = (count: number, make: (i: number) => Uint8Array) =>
  Array.from({ length: count }, (_, i) => make(i));

/** A request to begin, with the share that ECDH takes; with a cookie that nobody has given. */
function initial(cookie?: Uint8Array): Uint8Array {
  const out = new Writer();
  if (cookie) out.notify(wire.COOKIE, cookie);
  const transforms = [(1 << 26) | (256 << 16) | 20, (2 << 26) | 5, (4 << 26) | 31];
  emitProposals(out, wire.PROTOCOL_IKE, new Uint8Array(0), [transforms]);
  out.begin(wire.PAYLOAD_KE).put16(31).put16(0).bytes(new Uint8Array(32).fill(9));
  out.payload(wire.PAYLOAD_NONCE, new Uint8Array(32).fill(3));
  return emitPlain(
    new Uint8Array(8).fill(5),
    new Uint8Array(8),
    wire.IKE_SA_INIT,
    wire.FLAG_INITIATOR,
    0,
    out,
  );
}

const NAME = query(question("lamp.local", "A"));
const ntpRequest = Uint8Array.from({ length: 48 }, (_, i) => (i === 0 ? 0x23 : 0));
const unknownIke = concat(
  new Uint8Array(16).fill(7),
  Uint8Array.of(46, 0x20, 37, 8),
  new Uint8Array(4),
  Uint8Array.of(0, 0, 0, 28),
);

const ROWS: Row[] = [
  { name: "ICMP echo", frames: [four(FAR, STACK_IP, icmp(), "x".repeat(56))] },
  { name: "ICMP echo to all", frames: [four(FAR, "10.0.0.255", icmp(), "x")] },
  {
    name: "ICMP timestamp, address mask",
    frames: [13, 17].map((type) => four(FAR, STACK_IP, icmp({ type }), new Uint8Array(12))),
  },
  { name: "ICMPv6 echo", frames: [six(icmp({ type: 128 }), "x".repeat(56))] },
  // RFC 792 and RFC 4443 want the error, which quotes the datagram; how many there are is limited.
  { name: "UDP to a closed port", limit: 2, frames: [four(FAR, STACK_IP, udp({ dport: 9 }))] },
  { name: "UDP to a closed port, 1000", frames: flood(1000, () => four(FAR, STACK_IP, udp({ dport: 9 }))) },
  { name: "UDP to a closed port, IPv6", limit: 2, frames: [six(udp({ dport: 9 }))] },
  { name: "UDP to a closed port, IPv6, 1000", frames: flood(1000, () => six(udp({ dport: 9 }))) },
  {
    name: "IPv4, unknown protocol, 1000",
    frames: flood(1000, () => frame(eth(), ip4({ src: FAR, dst: STACK_IP, protocol: 99 }), "x")),
  },
  {
    name: "IPv4, bad option, 1000",
    frames: flood(1000, () =>
      frame(
        eth(),
        ip4({ src: FAR, dst: STACK_IP, options: Uint8Array.of(0x44, 3, 9, 0) }),
        udp({ dport: 7 }),
      ),
    ),
  },
  {
    name: "IPv6, unknown header, 1000",
    frames: flood(1000, () => frame(eth(), ip6({ src: FAR6, dst: OURS6, next: 99 }), "x")),
  },
  {
    name: "fragments without end, 100",
    frames: flood(100, (i) =>
      frame(eth(), ip4({ src: FAR, dst: STACK_IP, id: i, mf: true, protocol: 17 }), new Uint8Array(64)),
    ),
  },
  { name: "TCP SYN to a listener", limit: 3, frames: [four(FAR, STACK_IP, tcp({ dport: 80, flags: "S" }))] },
  { name: "TCP SYN to a listener, IPv6", limit: 3, frames: [six(tcp({ dport: 80, flags: "S" }))] },
  {
    name: "TCP SYN to a listener, 1000",
    limit: 3,
    frames: flood(1000, (i) => four(FAR, STACK_IP, tcp({ sport: 1024 + i, dport: 80, flags: "S" }))),
  },
  { name: "TCP SYN to a closed port", frames: [four(FAR, STACK_IP, tcp({ dport: 81, flags: "S" }))] },
  {
    name: "TCP ACK, data, FIN out of the blue",
    frames: ["A", "PA", "FA"].map((flags) => four(FAR, STACK_IP, tcp({ dport: 80, flags }), "x")),
  },
  {
    name: "TCP, the same SYN 1000 times",
    limit: 3,
    frames: flood(1000, () => four(FAR, STACK_IP, tcp({ dport: 80, flags: "S" }))),
  },
  {
    name: "DNS question from far",
    frames: [four(FAR, STACK_IP, udp({ sport: 4000, dport: 53 }), query(question("a.test", "A")))],
  },
  {
    name: "DNS question from near, refused",
    frames: flood(100, (i) =>
      four(NEAR, STACK_IP, udp({ sport: 4000 + i, dport: 53 }), query(question(`n${i}.test`, "A"))),
    ),
  },
  {
    name: "mDNS question from far",
    frames: [
      four(FAR, STACK_IP, udp({ sport: 4000, dport: 5353 }), NAME),
      four(FAR, "224.0.0.251", udp({ sport: 5353, dport: 5353 }), NAME),
    ],
  },
  // On the link the forger could reach the victim himself: one answer is as long as RFC 6762 section 6.7 has it.
  {
    name: "mDNS question from near, unicast",
    limit: 3,
    frames: [four(NEAR, STACK_IP, udp({ sport: 4000, dport: 5353 }), NAME)],
  },
  {
    name: "mDNS question from near, unicast, 1000",
    frames: flood(1000, () => four(NEAR, STACK_IP, udp({ sport: 4000, dport: 5353 }), NAME)),
  },
  {
    name: "mDNS question from near, multicast",
    frames: [four(NEAR, "224.0.0.251", udp({ sport: 4000, dport: 5353 }), NAME)],
  },
  {
    name: "NTP",
    frames: flood(1000, () => four(FAR, STACK_IP, udp({ sport: 4000, dport: 123 }), ntpRequest)),
  },
  // A reply has BOOTP's least length; so have clients' requests, but this one is shorter.
  {
    name: "DHCP by a relay agent's address",
    limit: 1.25,
    frames: flood(100, (i) => requestFrame({ type: 1, xid: i, giaddr: NEAR, from: NEAR })),
  },
  {
    name: "DHCP by a far relay agent's address",
    frames: flood(100, (i) => requestFrame({ type: 1, xid: i, giaddr: FAR, from: FAR })),
  },
  { name: "IKE_SA_INIT", frames: [four(FAR, STACK_IP, udp({ sport: 500, dport: 500 }), initial())] },
  {
    name: "IKE_SA_INIT, 1000",
    frames: flood(1000, (i) => four(FAR, STACK_IP, udp({ sport: 1024 + i, dport: 500 }), initial())),
  },
  {
    name: "IKE_SA_INIT with a forged cookie",
    frames: flood(1000, (i) =>
      four(FAR, STACK_IP, udp({ sport: 1024 + i, dport: 500 }), initial(new Uint8Array(32))),
    ),
  },
  {
    name: "IKE, unknown SPIs, 1000",
    frames: flood(1000, () => four(FAR, STACK_IP, udp({ sport: 500, dport: 500 }), unknownIke)),
  },
];

test("RES-10: nobody makes us send more to another than he sent himself, but for an error's quote and a SYN-ACK's retransmissions", (t) => {
  for (const { name, limit = 1, frames } of ROWS) {
    const { probe, world } = host(t);
    let sent = 0;
    for (const each of frames) {
      sent += each.length - 14;
      probe.send(each);
    }
    world.run(200_000);
    let received = 0;
    for (const { ip4: v4, ip6: v6 } of probe.takeParsed()) {
      if ([FAR, NEAR].includes(v4?.dst ?? "")) received += v4!.totalLength;
      if (v6?.dst === long(FAR6)) received += 40 + v6.payloadLength;
    }
    const ratio = received / sent;
    t.log(`${ratio.toFixed(2).padStart(6)} of ${limit}  ${name}`);
    t.true(ratio <= limit, `${name}: ${received} bytes for ${sent}`);
  }
});

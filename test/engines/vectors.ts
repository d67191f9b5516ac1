/**
 * The unit vectors of the parsers: inputs made by the tests' own builders, and what must come of them in every engine.
 *
 * Of stacks ("4", "6") the counters that matter and the number of frames that they sent are written down here; the bytes of those frames
 * must be the same in all engines, and V8's are what the unit tests look at. Names tell the case of the list of hostile inputs.
 */
import { address, domains, message, seconds } from "../service/dhcp-messages.js";
import { iaAddress, iaNa, iaPd, iaPrefix, message as dhcp6, opt, status } from "../service/dhcpv6-support.js";
import { parseQuery, record, reply, soa, wireName } from "../service/dns-support.js";
import type { Reply } from "../service/dns-support.js";
import { mdnsRecord, message as multicast, question, srv } from "../service/mdns-support.js";
import { ascii, concat, hex, ip6Bytes } from "../support/bytes.js";
import {
  NS,
  RA,
  REDIRECT,
  nd6,
  option,
  prefixOption,
  searchOption,
  serverOption,
  sourceLink,
} from "../support/packets6.js";
import {
  BROADCAST_MAC,
  arp,
  be16,
  be32,
  eth,
  fragments,
  frame,
  icmp,
  igmp,
  ip4,
  ip6,
  tcp,
  tcpOptions,
  udp,
} from "../support/packets.js";

export interface Vector {
  readonly name: string;
  /** See program/vectors.ts. */
  readonly kind: string;
  readonly inputs: readonly Uint8Array[];
  readonly expect: string;
}

const list: Vector[] = [];

function add(kind: string, name: string, expect: string, ...inputs: Uint8Array[]): void {
  list.push({ kind, name, expect, inputs });
}

/** The order of counters is the chain's business: it declares fields as is shortest. */
const inOrder = (expected: string) => {
  const [counters = "", ...more] = expected.split("|");
  return [counters.split(" ").sort().join(" "), ...more].join("|");
};
/** `frames` to a stack: counters as `stack.counters` has them, and how many frames it sends. */
const four = (name: string, counters: string, sent: number, ...frames: Uint8Array[]) =>
  add("4", name, `${inOrder(counters)}|${sent}`, ...frames);
const six = (name: string, counters: string, sent: number, ...frames: Uint8Array[]) =>
  add("6", name, `${inOrder(counters)}|${sent}`, ...frames);

/* Ethernet, VLAN */

four(
  "ETH-01 shorter than a header",
  "eth.short=1",
  0,
  eth().build(new Uint8Array(0), null, null).subarray(0, 13),
);
four(
  "ETH-02 a tag that is cut off",
  "eth.short=1",
  0,
  frame(eth({ vlans: [0], type: 0x0800 })).subarray(0, 16),
);
four(
  "ETH-05 for another host",
  "eth.otherHost=1",
  0,
  frame(eth({ dst: "02:00:00:00:00:09" }), ip4(), icmp()),
);
four("ETH-05 from a group", "eth.badSource=1", 0, frame(eth({ src: "03:00:00:00:00:02" }), ip4(), icmp()));
four("ETH-05 from ourselves", "eth.ownSource=1", 0, frame(eth({ src: "02:00:00:00:00:01" }), ip4(), icmp()));
four("an ethertype that nobody takes", "eth.unknownType=1", 0, frame(eth({ type: 0x88b5 }), "x"));
four(
  "a priority tag",
  "icmp.echoRequests=1",
  2,
  frame(eth(), arp()),
  frame(eth({ vlans: [0xe000] }), ip4(), icmp(), "x"),
);

/* ARP */

const ASK = frame(eth({ dst: BROADCAST_MAC }), arp());
four("ARP request", "", 1, ASK);
four("ARP-01 cut off", "arp.malformed=1", 0, ASK.subarray(0, 41));
four("ARP-01 hardware length", "arp.malformed=1", 0, frame(eth(), arp({ hardwareLength: 5 })));
four("ARP-01 protocol", "arp.malformed=1", 0, frame(eth(), arp({ protocolType: 0x86dd })));
four(
  "ARP-04 a sender with a group's address",
  "arp.badSender=1",
  0,
  frame(eth(), arp({ senderMac: "03:00:00:00:00:02" })),
);
four("ARP-04 somebody has our address", "arp.conflict=1", 0, frame(eth(), arp({ senderIp: "10.0.0.1" })));
four("ARP-05 operation", "arp.badOperation=1", 0, frame(eth(), arp({ op: 4 })));

/* IPv4 */

const PING = frame(eth(), ip4(), icmp({ id: 1, seq: 2 }), "hello");
four("echo", "icmp.echoRequests=1", 2, ASK, PING);
four("IPv4 version", "ip4.version=1", 0, frame(eth(), ip4({ version: 5 }), icmp()));
four("IPv4 header length below 5 words", "ip4.badhdr=1", 0, frame(eth(), ip4({ ihl: 4 }), icmp()));
four("IPv4 header length beyond the packet", "ip4.badhdr=1", 0, frame(eth(), ip4({ ihl: 15 }), "x"));
four(
  "IPv4 total length beyond the frame",
  "ip4.badlen=1",
  0,
  frame(eth(), ip4({ totalLength: 1500 }), icmp()),
);
four(
  "IPv4 total length within the header",
  "ip4.badlen=1",
  0,
  frame(eth(), ip4({ totalLength: 19 }), icmp()),
);
four("IPv4 checksum", "ip4.badsum=1", 0, frame(eth(), ip4({ checksum: 0x1234 }), icmp()));
four("IPv4 from loopback", "ip4.martian=1", 0, frame(eth(), ip4({ src: "127.0.0.1" }), icmp()));
four("IPv4 to somebody else", "ip4.notOurs=1", 0, frame(eth(), ip4({ dst: "10.0.0.9" }), icmp()));
four(
  "IPv4 source route",
  "ip4.srcroute=1",
  0,
  frame(eth(), ip4({ options: hex("83 07 04 0a000009") }), icmp()),
);
four("IPv4 option that lies", "ip4.badopt=1", 0, frame(eth(), ip4({ options: hex("07 28 04 00") }), icmp()));
four(
  "IPv4 protocol that nobody takes",
  "ip4.unknownProtocol=1 icmp.errorsSent=1",
  2,
  ASK,
  frame(eth(), ip4({ protocol: 253 }), "x"),
);
const PIECES = fragments(frame(ip4(), icmp({ id: 3 }), 100), 40, {}).map((piece) => frame(eth(), piece));
const typed = (piece: Uint8Array) => frame(eth({ type: 0x0800 }), piece.subarray(14));
four(
  "fragments in any order",
  "icmp.echoRequests=1 frag.reassembled=1",
  2,
  ASK,
  ...[2, 0, 1].map((i) => typed(PIECES[i]!)),
);
four(
  "fragments that overlap",
  "frag.overlap=1",
  0,
  typed(PIECES[0]!),
  frame(eth(), ip4({ protocol: 1, offset: 32, mf: true }), 40),
);
four("a fragment beyond 65535", "frag.toobig=1", 0, frame(eth(), ip4({ protocol: 1, offset: 65528 }), 100));

/* ICMP, IGMP */

four(
  "ICMP shorter than its header",
  "icmp.short=1",
  0,
  frame(eth(), ip4({ protocol: 1 }), hex("08 00 f7 ff 00")),
);
four("ICMP checksum", "icmp.badsum=1", 0, frame(eth(), ip4(), icmp({ checksum: 1 })));
four(
  "echo to a broadcast address",
  "icmp.broadcast=1",
  0,
  frame(eth({ dst: BROADCAST_MAC }), ip4({ dst: "10.0.0.255" }), icmp()),
);
four(
  "an error about nothing of ours",
  "icmp.unsolicited=1",
  0,
  frame(eth(), ip4(), icmp({ type: 3, code: 3 }), ip4().build(new Uint8Array(8), null, null)),
);
four(
  "an error with too little of the packet",
  "icmp.short=1",
  0,
  frame(eth(), ip4(), icmp({ type: 3, code: 4 }), hex("45 00")),
);
four(
  "IGMP checksum",
  "igmp.badsum=1",
  0,
  frame(
    eth({ dst: "01:00:5e:00:00:01" }),
    ip4({ dst: "224.0.0.1", ttl: 1, options: hex("94 04 00 00") }),
    igmp({ checksum: 1 }),
  ),
);
four(
  "IGMP query",
  "igmp.queries=1",
  0,
  frame(
    eth({ dst: "01:00:5e:00:00:01" }),
    ip4({ dst: "224.0.0.1", ttl: 1, options: hex("94 04 00 00") }),
    igmp(),
    hex("00 00 00 00"),
  ),
);

/* UDP, TCP */

four("UDP", "", 0, frame(eth(), ip4(), udp(), "x"));
four(
  "UDP shorter than its header",
  "udp.badlen=1",
  0,
  frame(eth(), ip4({ protocol: 17 }), hex("9c40 0007 0008 00")),
);
four("UDP length below 8", "udp.badlen=1", 0, frame(eth(), ip4(), udp({ length: 7 }), "x"));
four("UDP length beyond the packet", "udp.badlen=1", 0, frame(eth(), ip4(), udp({ length: 100 }), "x"));
four("UDP checksum", "udp.badsum=1", 0, frame(eth(), ip4(), udp({ checksum: 1 }), "x"));
four("UDP without a checksum", "", 0, frame(eth(), ip4(), udp({ checksum: 0 }), "x"));
four("UDP from port 0", "udp.badPort=1", 0, frame(eth(), ip4(), udp({ sport: 0 }), "x"));
four(
  "UDP to a closed port",
  "udp.noPort=1 icmp.errorsSent=1",
  2,
  ASK,
  frame(eth(), ip4(), udp({ dport: 9 }), "x"),
);
four(
  "TCP SYN",
  "",
  2,
  ASK,
  frame(
    eth(),
    ip4(),
    tcp({
      flags: "S",
      options: tcpOptions({ mss: 1460, windowScale: 7, sackPermitted: true, timestamps: [1, 0] }),
    }),
  ),
);
four(
  "TCP SYN to a closed port",
  "tcp.noPort=1 tcp.resetsSent=1",
  2,
  ASK,
  frame(eth(), ip4(), tcp({ flags: "S", dport: 81 })),
);
four("TCP ACK to a listener", "tcp.noPort=1 tcp.resetsSent=1", 2, ASK, frame(eth(), ip4(), tcp({ ack: 77 })));
four("TCP data offset below 5", "tcp.badoff=1", 0, frame(eth(), ip4(), tcp({ flags: "S", offset: 4 })));
four(
  "TCP data offset beyond the segment",
  "tcp.badoff=1",
  0,
  frame(eth(), ip4(), tcp({ flags: "S", offset: 6 })),
);
four("TCP checksum", "tcp.badsum=1", 0, frame(eth(), ip4(), tcp({ flags: "S", checksum: 1 })));
four("TCP SYN and FIN", "tcp.badFlags=1", 0, frame(eth(), ip4(), tcp({ flags: "SF" })));
four(
  "TCP SYN to a broadcast address",
  "tcp.notUnicast=1",
  0,
  frame(eth({ dst: BROADCAST_MAC }), ip4({ dst: "10.0.0.255" }), tcp({ flags: "S" })),
);

const options = (bytes: Uint8Array) =>
  tcp({ seq: 1, ack: 2, flags: "SA", window: 3, options: bytes, checksum: 0 }).build(
    new Uint8Array(1),
    null,
    null,
  );
add(
  "tcp",
  "TCP options all at once",
  "1,2,18,3,40,1|mss 1460|scale 7|sack permitted |ts 5,6",
  options(tcpOptions({ mss: 1460, windowScale: 7, sackPermitted: true, timestamps: [5, 6] })),
);
add(
  "tcp",
  "TCP options of an ACK",
  "1,2,18,3,56,1|mss 0|scale -1|sack 1,2,3,4,-1,-2147483648|ts 5,6",
  options(
    tcpOptions({
      timestamps: [5, 6],
      sack: [
        [1, 2],
        [3, 4],
        [0xffffffff, 0x80000000],
      ],
    }),
  ),
);
add(
  "tcp",
  "TCP window scale above 14",
  "1,2,18,3,24,1|mss 0|scale 14|sack |ts ",
  options(hex("03 03 ff 00")),
);
add("tcp", "TCP option of length 0", "1,2,18,3,24,1|mss 0|scale -1|sack |ts ", options(hex("02 00 05 b4")));
add(
  "tcp",
  "TCP option beyond the header",
  "1,2,18,3,24,1|mss 0|scale -1|sack |ts ",
  options(hex("01 01 02 04")),
);
add(
  "tcp",
  "TCP MSS of a wrong length",
  "1,2,18,3,28,1|mss 0|scale 2|sack |ts ",
  options(hex("02 03 05 03 03 02")),
);
add("tcp", "TCP segment shorter than its header", "no", new Uint8Array(19));

/* IPv6 */

const PING6 = frame(eth(), ip6({ hops: 64 }), icmp({ type: 128, id: 1, seq: 2 }), "hello");
const ASK6 = nd6(NS("fe80::1"), { dst: "ff02::1:ff00:1" }, sourceLink());
six("neighbour solicitation", "", 1, ASK6);
six("echo", "icmp6.echoRequests=1", 2, ASK6, PING6);
six("IPv6 shorter than its header", "ip6.badlen=1", 0, PING6.subarray(0, 53));
six("IPv6 version", "ip6.version=1", 0, frame(eth(), ip6({ version: 4 }), icmp({ type: 128 })));
six(
  "IPv6 payload length beyond the frame",
  "ip6.badlen=1",
  0,
  frame(eth(), ip6({ payloadLength: 1400 }), icmp({ type: 128 })),
);
six("IPv6 from a group", "ip6.martian=1", 0, frame(eth(), ip6({ src: "ff02::2" }), icmp({ type: 128 })));
six(
  "IPv6 next header that nobody takes",
  "ip6.unknownProtocol=1 icmp6.errorsSent=1",
  2,
  ASK6,
  frame(eth(), ip6({ next: 253 }), "x"),
);
six(
  "hop-by-hop options of a wrong length",
  "ext.malformed=1",
  0,
  frame(eth(), ip6({ next: 0 }), hex("3a ff 01 04 00 00 00 00")),
);
six(
  "an option that must be known",
  "ext.unknown=1 icmp6.errorsSent=1",
  2,
  ASK6,
  frame(eth(), ip6({ next: 60 }), hex("3b 00 85 00 01 02 00 00")),
);
six(
  "a routing header",
  "ext.unknown=1 icmp6.errorsSent=1",
  2,
  ASK6,
  frame(eth(), ip6({ next: 43 }), hex("3b 02 00 01"), new Uint8Array(20)),
);
six(
  "a fragment that is alone",
  "ext.empty=1",
  1,
  ASK6,
  frame(eth(), ip6({ next: 44 }), hex("3b 00 00 00 00 00 00 07")),
);
six(
  "a first fragment of an odd length",
  "frag6.malformed=1",
  1,
  ASK6,
  frame(eth(), ip6({ next: 44 }), hex("3a 00 00 01 00 00 00 07"), "abc"),
);
six("ICMPv6 checksum", "icmp6.badsum=1", 0, frame(eth(), ip6(), icmp({ type: 128, checksum: 1 })));
six("UDP without a checksum", "udp.badsum=1", 0, frame(eth(), ip6(), udp({ checksum: 0 }), "x"));
six(
  "UDP to a closed port",
  "udp.noPort=1 icmp6.errorsSent=1",
  2,
  ASK6,
  frame(eth(), ip6(), udp({ dport: 9 }), "x"),
);
six("TCP SYN", "", 2, ASK6, frame(eth(), ip6(), tcp({ flags: "S", options: tcpOptions({ mss: 1440 }) })));
six(
  "ND-01 hop limit below 255",
  "nd.invalid=1",
  0,
  nd6(NS("fe80::1"), { dst: "ff02::1:ff00:1", hops: 254 }, sourceLink()),
);
six(
  "a solicitation for a group",
  "nd.invalid=1",
  0,
  nd6(NS("ff02::1"), { dst: "ff02::1:ff00:1" }, sourceLink()),
);
six(
  "an ND option of length 0",
  "nd.badopt=1",
  0,
  nd6(NS("fe80::1"), { dst: "ff02::1:ff00:1" }, hex("01 00 02 00 00 00 00 02")),
);
const ADVICE = nd6(
  RA(),
  {},
  sourceLink(),
  prefixOption("2001:db8:1::"),
  serverOption(600, "2001:db8::53"),
  searchOption(600, "example"),
);
six(
  "router advertisement",
  "slaac.advertisements=1 slaac.addressesMade=1|2001:db8:1:0:9e8f:905f:b828:815b/64|2001:db8::53",
  1,
  ADVICE,
);
six(
  "router advertisement from a global address",
  "slaac.invalid=1",
  0,
  nd6(RA(), { src: "2001:db8::9" }, prefixOption("2001:db8:1::")),
);
six(
  "a prefix that is preferred longer than valid",
  "slaac.advertisements=1 slaac.badOptions=1",
  0,
  nd6(RA(), {}, prefixOption("2001:db8:1::", 10, 20)),
);
six(
  "an ND option of an unknown type",
  "slaac.advertisements=1 slaac.addressesMade=1|2001:db8:1:0:9e8f:905f:b828:815b/64",
  1,
  nd6(RA(), {}, option(200, new Uint8Array(6)), prefixOption("2001:db8:1::")),
);
six(
  "redirect from a stranger",
  "icmp6.unhandled=1",
  0,
  nd6(REDIRECT("fe80::9", "2001:db8::9"), { dst: "fe80::1" }),
);

/* DHCP */

const OFFER = { type: 2, options: [address(1, "255.255.255.0"), address(3, "10.0.0.2"), seconds(51, 3600)] };
add("dhcp", "DHCP offer", "1=ffffff00 3=0a000002 51=00000e10 53=02 54=0a000002", message(OFFER));
add(
  "dhcp",
  "DHCP option in pieces (RFC 3396)",
  "53=02 54=0a000002 119=0161c002",
  message({
    options: [
      [119, hex("01 61")],
      [119, hex("c0 02")],
    ],
  }),
);
add(
  "dhcp",
  "DHCP domains",
  "53=02 54=0a000002 119=0161000162016300",
  message({ options: [[119, domains("a", "b.c")]] }),
);
add(
  "dhcp",
  "DHCP options in the file field",
  "12=78 52=01 53=02 54=0a000002",
  message({ options: [[52, hex("01")]], file: hex("0c 01 78 ff") }),
);
add(
  "dhcp",
  "DHCP overload without an end",
  "no",
  message({ options: [[52, hex("02")]], sname: hex("0c ff 78") }),
);
add("dhcp", "DHCP option that lies", "no", message({ options: [hex("0c ff 78")], end: false }));
add("dhcp", "DHCP without an end option", "no", message({ end: false }));
add("dhcp", "DHCP cookie", "no", message({ cookie: 1 }));
add("dhcp", "DHCP from a client", "no", message({ op: 1 }));
add("dhcp", "DHCP that is cut off", "no", message({ length: 200 }));

/* DNS */

const query = (type: number) =>
  parseQuery(
    concat(
      be16(7),
      be16(0x100),
      be16(1),
      hex("0000 0000 0000"),
      wireName("host.example"),
      be16(type),
      be16(1),
    ),
  );
const dns = (name: string, expect: string, type: number, fields: Reply) =>
  add(`dns${type}`, name, expect, reply(query(type), fields));
dns("DNS address", "0 60 |host.example 1 60 10.0.0.9", 1, {
  answers: [record("host.example", "A", 60, "10.0.0.9")],
});
dns("DNS IPv6 address", "0 60 |host.example 28 60 2001:db8::9", 28, {
  answers: [record(hex("c00c"), "AAAA", 60, "2001:db8::9")],
});
dns(
  "DNS aliases",
  "0 5 c.example|host.example CNAME 9 b.example|b.example CNAME 8 c.example|c.example 1 5 1.2.3.4",
  1,
  {
    answers: [
      record("host.example", "CNAME", 9, "b.example"),
      record("b.example", "CNAME", 8, "c.example"),
      record("c.example", "A", 5, "1.2.3.4"),
    ],
  },
);
const RING = "|host.example CNAME 9 b.example|b.example CNAME 9 host.example";
dns("DNS aliases in a ring", `-40 0 b.example${RING.repeat(4)}|host.example CNAME 9 b.example`, 1, {
  answers: [record("host.example", "CNAME", 9, "b.example"), record("b.example", "CNAME", 9, "host.example")],
});
dns("DNS address of a wrong length", "no", 1, { answers: [record("host.example", "A", 60, hex("0a0000"))] });
dns("DNS record beyond the message", "no", 1, {
  answers: [record("host.example", "A", 60, "10.0.0.9", 400)],
});
dns("DNS pointer to itself", "no", 1, { answers: [record(hex("c01e"), "A", 60, "10.0.0.9")] });
dns("DNS pointer forwards", "no", 1, { answers: [record(hex("c0ff"), "A", 60, "10.0.0.9")] });
dns("DNS label of a forbidden type", "no", 1, { answers: [record(hex("40 61 00"), "A", 60, "10.0.0.9")] });
dns("DNS other answers", "-61 0 ", 1, { answers: [record("other.example", "A", 60, "10.0.0.9")] });
dns("DNS name that is not there", "-3008 60 ", 1, { rcode: 3, authorities: [soa("example", 300, 60)] });
dns("DNS mail", "0 60 |host.example 15 60 10,m.example", 15, {
  answers: [record("host.example", "MX", 60, concat(be16(10), wireName("m.example")))],
});
dns("DNS service", "0 60 |host.example 33 60 1,2,3,s.example", 33, {
  answers: [record("host.example", "SRV", 60, concat(be16(1), be16(2), be16(3), wireName("s.example")))],
});
dns("DNS text", "0 60 |host.example 16 60 a text", 16, {
  answers: [record("host.example", "TXT", 60, "a text")],
});
dns("DNS time to live with its highest bit set", "0 0 |host.example 1 0 10.0.0.9", 1, {
  answers: [record("host.example", "A", 0x80000000, "10.0.0.9")],
});

/* DHCPv6 */

const XID = hex("000001");
const SERVER6 = "00030001020000000002";
const six6 = (name: string, expect: string, ...options: Uint8Array[]) =>
  add("dhcp6", `DHCPv6 ${name}`, expect, dhcp6(7, XID, ...options));
const NOTHING = "0,0,-1,-1,-1||";
six6(
  "reply",
  `${SERVER6} 0 0|fd00::100/128 1000 2000|0,0,-1,-1,-1|fd00::53|a,b.c`,
  iaNa(iaAddress("fd00::100")),
  opt(23, ip6Bytes("fd00::53")),
  opt(24, domains("a", "b.c")),
);
six6(
  "prefix, its bits behind the length cleared",
  `${SERVER6} 0 0|fd00:1::/32 1000 Infinity|${NOTHING}`,
  iaPd(iaPrefix("fd00:1:2::", 32, 1000, 0xffffffff)),
);
six6(
  "times, preference, rapid commit, limits",
  `${SERVER6} 0 9 rapid|100,160,600,60,61||`,
  opt(3, be32(1), be32(100), be32(160)),
  opt(7, hex("09")),
  opt(14),
  opt(32, be32(600)),
  opt(82, be32(60)),
  opt(83, be32(61)),
);
six6("status", `${SERVER6} 2 0|${NOTHING}`, status(2));
six6("status of an association", `${SERVER6} 0 0 no binding|${NOTHING}`, iaNa(status(3)));
six6(
  "another association",
  `${SERVER6} 0 0|${NOTHING}`,
  opt(3, be32(2), be32(0), be32(0), iaAddress("fd00::1")),
);
six6("preferred beyond valid", `${SERVER6} 0 0|${NOTHING}`, iaNa(iaAddress("fd00::1", 2000, 1000)));
six6("T1 beyond T2", `${SERVER6} 0 0|${NOTHING}`, opt(3, be32(1), be32(9), be32(8), iaAddress("fd00::1")));
six6("address of a group", `${SERVER6} 0 0|${NOTHING}`, iaNa(iaAddress("ff02::1")));
six6("prefix of 129 bits", `${SERVER6} 0 0|${NOTHING}`, iaPd(iaPrefix("fd00::", 129)));
six6(
  "option within an address that lies",
  `${SERVER6} 0 0|${NOTHING}`,
  iaNa(iaAddress("fd00::1", 1, 2, hex("00"))),
);
six6("server twice", ` 0 0|${NOTHING}`, opt(2, hex("000102")));
six6("name that does not end", `${SERVER6} 0 0|${NOTHING}`, opt(24, hex("01 61")));
six6("servers of a wrong length", `${SERVER6} 0 0|${NOTHING}`, opt(23, new Uint8Array(17)));
add("dhcp6", "DHCPv6 option that lies", "no", concat(dhcp6(7, XID), hex("000d 0002 00")));
add("dhcp6", "DHCPv6 half an option", "no", concat(dhcp6(7, XID), hex("000d 00")));
add("dhcp6", "DHCPv6 without a server", `none 0 0|${NOTHING}`, hex("07 000001"));
add("dhcp6", "DHCPv6 that is cut off", "no", hex("07 0000"));

/* NTP */

interface NtpFields {
  flags?: number;
  stratum?: number;
  delay?: number;
  dispersion?: number;
  id?: string;
  origin?: string;
  receive?: string;
  transmit?: string;
}
const ntp = (name: string, expect: string, fields: NtpFields, length = 48) =>
  add(
    "ntp",
    `NTP ${name}`,
    expect,
    concat(
      Uint8Array.of(fields.flags ?? 0x24, fields.stratum ?? 2, 6, 236),
      be32(fields.delay ?? 0),
      be32(fields.dispersion ?? 0),
      ascii(fields.id ?? "GPS\0"),
      new Uint8Array(8),
      hex(fields.origin ?? "01020304 05060708"),
      hex(fields.receive ?? "83aa7e80 80000000"),
      hex(fields.transmit ?? "83aa7e80 90000000"),
    ).subarray(0, length),
  );
ntp("time", "time 500", {});
ntp("time of the next era", "time 2085978496000", {
  receive: "00000000 00000001",
  transmit: "00000001 00000000",
});
ntp("that is cut off", "no 2", {}, 47);
ntp("of another question", "no 2", { origin: "01020304 05060709" });
ntp("from a client", "no 2", { flags: 0x23 });
ntp("version 5", "no 2", { flags: 0x2c });
ntp("kiss", "kiss RATE", { stratum: 0, id: "RATE" });
ntp("kiss that nobody knows", "no 3", { stratum: 0, id: "INIT" });
ntp("clock that is not set", "no 3", { flags: 0xe4 });
ntp("stratum 16", "no 3", { stratum: 16 });
ntp("far from its source", "no 3", { delay: 0x20000, dispersion: 0x8001 });
ntp("negative delay", "no 3", { delay: 0x80000000 });
ntp("no time of sending", "no 3", { transmit: "00000000 00000000" });
ntp("sent before it was received", "no 3", { transmit: "83aa7e80 70000000" });

/* Multicast DNS */

const mdns = (name: string, expect: string, bytes: Uint8Array) => add("mdns", `mDNS ${name}`, expect, bytes);
const answer = (...answers: Uint8Array[]) => multicast({ flags: 0x8400, answers });
mdns("question", "0|? a.local 1 32769|", multicast({ questions: [question("A.local", "A", true)] }));
mdns(
  "address",
  "8400|a.local 1 120 unique 10.0.0.9|0161056c6f63616c0000010001000000780004" + "0a000009",
  answer(mdnsRecord("a.local", "A", 120, "10.0.0.9", true)),
);
mdns(
  "name in its data, written short",
  "8400|_x._udp.local 12 4500 shared s._x._udp.local|025f78045f756470056c6f63616c00000c00010000119400040173c00c",
  answer(mdnsRecord("_x._udp.local", "PTR", 4500, "s._x._udp.local")),
);
mdns(
  "service",
  "8400|s.local 33 120 unique 0,0,80,h.local|0173056c6f63616c00002100010000007800" +
    "0f000000000050" +
    "0168056c6f63616c00",
  answer(mdnsRecord("s.local", "SRV", 120, srv(80, "h.local"), true)),
);
mdns(
  "probe",
  "0|? a.local 255 1|a.local 1 120 shared 10.0.0.9|0161056c6f63616c00000100010000007800040a000009",
  multicast({
    questions: [question("a.local", 255)],
    authorities: [mdnsRecord("a.local", "A", 120, "10.0.0.9")],
  }),
);
mdns(
  "that there is no other record",
  "8400|a.local 47 120 unique 0161056c6f63616c00000140|0161056c6f63616c00002f0001000000780003000140",
  answer(mdnsRecord("a.local", 47, 120, hex("0161056c6f63616c00 00 01 40"), true)),
);
mdns(
  "class of others",
  "8400|",
  answer(concat(wireName("a.local"), hex("0001 0003 00000078 0004 0a000009"))),
);
mdns("address of a wrong length", "no 10", answer(mdnsRecord("a.local", "A", 120, hex("0a0000"))));
mdns("pointer to itself", "no 10", answer(hex("c00c 0001 0001 00000078 0004 0a000009")));
mdns("record that is missing", "no 10", multicast({ flags: 0x8400, counts: [0, 1, 0, 0] }));
mdns("questions beyond all measure", "no 01", multicast({ counts: [129, 0, 0, 0] }));
mdns("that is cut off", "no 10", hex("0000 8400 0000 0000 0000 00"));

/* Texts and sums */

for (const [text, expect] of [
  ["10.0.0.1", "10.0.0.1"],
  ["255.255.255.255", "255.255.255.255"],
  ["1.2.3", "no"],
  ["1.2.3.256", "no"],
  ["01.2.3.4", "no"],
  ["1.2.3.4 ", "no"],
] as const) {
  add("text4", `IPv4 text ${text}`, expect, ascii(text));
}
for (const [text, expect] of [
  ["::", "00000000000000000000000000000000 ::"],
  ["2001:db8::1", "20010db8000000000000000000000001 2001:db8::1"],
  ["1:0:0:2:0:0:0:3", "00010000000000020000000000000003 1:0:0:2::3"],
  ["::ffff:1.2.3.4", "00000000000000000000ffff01020304 ::ffff:1.2.3.4"],
  ["1::2::3", "no"],
  [":::", "no"],
  ["12345::", "no"],
  ["1:2:3:4:5:6:7", "no"],
] as const) {
  add("text6", `IPv6 text ${text}`, expect, ascii(text));
}
for (const [text, expect] of [
  ["a.bc", "016102626300"],
  ["a.bc.", "016102626300"],
  [".", "00"],
  ["a..b", "no"],
  ["a\\.b", "03612e6200"],
  ["\\255", "01ff00"],
  ["\\256", "no"],
  ["x".repeat(64), "no"],
] as const) {
  add("name", `DNS name ${text}`, expect, ascii(text));
}
add("sum", "checksum of nothing", "0,65534", new Uint8Array(1));
add("sum", "checksum of RFC 1071", "56818,62172", hex("0001 f203 f4f5 f6f7"));
add("sum", "checksum with carries", "65535,65279", hex("ffff ffff ffff ffff"));
add("sum", "checksum of an odd length", "770,513", hex("0102 0000 02"));

export const VECTORS: readonly Vector[] = list;

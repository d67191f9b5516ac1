/** Reads frames for tests: every field of every header, and whether lengths and checksums are right. */
import { internetChecksum, ip4Text, ip6Text, macText } from "./bytes.js";
import { be32 } from "./packets.js";
import type { TcpOptionFields } from "./packets.js";

export interface ParsedEth {
  dst: string;
  src: string;
  type: number;
  vlans: number[];
}

export interface ParsedArp {
  op: number;
  senderMac: string;
  senderIp: string;
  targetMac: string;
  targetIp: string;
}

export interface ParsedIp4 {
  src: string;
  dst: string;
  protocol: number;
  ttl: number;
  tos: number;
  id: number;
  df: boolean;
  mf: boolean;
  /** In bytes. */
  offset: number;
  totalLength: number;
  options: Uint8Array;
}

export interface ParsedIp6 {
  src: string;
  dst: string;
  next: number;
  hops: number;
  trafficClass: number;
  flow: number;
  payloadLength: number;
}

export interface ParsedIcmp {
  type: number;
  code: number;
  id: number;
  seq: number;
  rest: number;
}

export interface ParsedIgmp {
  type: number;
  maxResponse: number;
  group: string;
}

export interface ParsedUdp {
  sport: number;
  dport: number;
  length: number;
  checksum: number;
}

export interface ParsedTcp extends TcpOptionFields {
  sport: number;
  dport: number;
  seq: number;
  ack: number;
  /** Letters in the order FSRPAUEC. */
  flags: string;
  window: number;
  urgent: number;
}

export interface Parsed {
  eth?: ParsedEth;
  arp?: ParsedArp;
  ip4?: ParsedIp4;
  ip6?: ParsedIp6;
  icmp?: ParsedIcmp;
  igmp?: ParsedIgmp;
  udp?: ParsedUdp;
  tcp?: ParsedTcp;
  /** What the innermost header carries. */
  payload: Uint8Array;
  /** What is wrong with the frame: checksums, lengths, padding that is not zero. */
  faults: string[];
}

/** Reads an Ethernet frame. */
export function parseFrame(bytes: Uint8Array): Parsed {
  const parsed: Parsed = { payload: bytes, faults: [] };
  const read = reader(bytes, parsed);
  if (!read.need(14, "Ethernet header")) return parsed;
  const vlans: number[] = [];
  let at = 12;
  while ((read.u16(at) === 0x8100 || read.u16(at) === 0x88a8) && read.need(at + 6, "VLAN tag")) {
    vlans.push(read.u16(at + 2));
    at += 4;
  }
  const type = read.u16(at);
  parsed.eth = { dst: macText(bytes.subarray(0, 6)), src: macText(bytes.subarray(6, 12)), type, vlans };
  parsed.payload = bytes.subarray(at + 2);
  if (type === 0x0806) parseArp(parsed.payload, parsed);
  else if (type === 0x0800 || type === 0x86dd) parsePacket(parsed.payload, parsed);
  return parsed;
}

/** Reads an IP packet into `parsed`. */
export function parsePacket(bytes: Uint8Array, parsed: Parsed = { payload: bytes, faults: [] }): Parsed {
  const six = bytes.length > 0 && bytes[0] >> 4 === 6;
  const read = reader(bytes, parsed);
  if (!read.need(six ? 40 : 20, "IP header")) return parsed;
  let protocol: number;
  let pseudo: Uint8Array;
  let whole = true;
  if (six) {
    const length = read.u16(4);
    protocol = bytes[6];
    parsed.ip6 = {
      src: ip6Text(bytes.subarray(8, 24)),
      dst: ip6Text(bytes.subarray(24, 40)),
      next: protocol,
      hops: bytes[7],
      trafficClass: (read.u16(0) >> 4) & 255,
      flow: read.u32(0) & 0xfffff,
      payloadLength: length,
    };
    if (!read.need(40 + length, "IPv6 payload")) return parsed;
    pseudo = bytes.subarray(8, 40);
    parsed.payload = bytes.subarray(40, 40 + length);
    read.padding(40 + length);
  } else {
    const header = (bytes[0] & 15) * 4;
    const length = read.u16(2);
    if (bytes[0] >> 4 !== 4 || header < 20 || length < header) parsed.faults.push("IPv4 header");
    if (!read.need(Math.max(length, header), "IPv4 packet")) return parsed;
    if (internetChecksum(bytes.subarray(0, header)) !== 0) parsed.faults.push("IPv4 checksum");
    const word = read.u16(6);
    protocol = bytes[9];
    parsed.ip4 = {
      src: ip4Text(bytes.subarray(12, 16)),
      dst: ip4Text(bytes.subarray(16, 20)),
      protocol,
      ttl: bytes[8],
      tos: bytes[1],
      id: read.u16(4),
      df: (word & 0x4000) !== 0,
      mf: (word & 0x2000) !== 0,
      offset: (word & 0x1fff) * 8,
      totalLength: length,
      options: bytes.subarray(20, header),
    };
    whole = (word & 0x3fff) === 0;
    pseudo = bytes.subarray(12, 20);
    parsed.payload = bytes.subarray(header, length);
    read.padding(length);
  }
  // Only a whole datagram has a transport header that can be judged.
  if (whole) parseTransport(parsed.payload, protocol, pseudo, parsed);
  return parsed;
}

function parseTransport(bytes: Uint8Array, protocol: number, addresses: Uint8Array, parsed: Parsed): void {
  const read = reader(bytes, parsed);
  const verify = (name: string) => {
    const pseudo = [addresses, be32(bytes.length), be32(protocol)];
    if (internetChecksum(...pseudo, bytes) !== 0) parsed.faults.push(name + " checksum");
  };
  if (protocol === 17 && read.need(8, "UDP header")) {
    parsed.udp = { sport: read.u16(0), dport: read.u16(2), length: read.u16(4), checksum: read.u16(6) };
    if (parsed.udp.length !== bytes.length) parsed.faults.push("UDP length");
    if (parsed.udp.checksum !== 0) verify("UDP");
    parsed.payload = bytes.subarray(8);
  } else if (protocol === 6 && read.need(20, "TCP header")) {
    const header = (bytes[12] >> 4) * 4;
    if (header < 20 || header > bytes.length) parsed.faults.push("TCP offset");
    verify("TCP");
    parsed.tcp = {
      sport: read.u16(0),
      dport: read.u16(2),
      seq: read.u32(4),
      ack: read.u32(8),
      flags: Array.from("FSRPAUECN")
        .filter((_, bit) => (((bytes[12] & 1) << 8) | bytes[13]) & (1 << bit))
        .join(""),
      window: read.u16(14),
      urgent: read.u16(18),
      ...parseTcpOptions(bytes.subarray(20, header), parsed),
    };
    parsed.payload = bytes.subarray(header);
  } else if ((protocol === 1 || protocol === 58) && read.need(8, "ICMP header")) {
    if (protocol === 58) verify("ICMPv6");
    else if (internetChecksum(bytes) !== 0) parsed.faults.push("ICMP checksum");
    parsed.icmp = { type: bytes[0], code: bytes[1], id: read.u16(4), seq: read.u16(6), rest: read.u32(4) };
    parsed.payload = bytes.subarray(8);
  } else if (protocol === 2 && read.need(8, "IGMP header")) {
    if (internetChecksum(bytes) !== 0) parsed.faults.push("IGMP checksum");
    parsed.igmp = { type: bytes[0], maxResponse: bytes[1], group: ip4Text(bytes.subarray(4, 8)) };
    parsed.payload = bytes.subarray(8);
  }
}

function parseTcpOptions(bytes: Uint8Array, parsed: Parsed): TcpOptionFields {
  const read = reader(bytes, parsed);
  const fields: TcpOptionFields = {};
  for (let at = 0; at < bytes.length && bytes[at] !== 0;) {
    if (bytes[at] === 1) {
      at++;
      continue;
    }
    const length = bytes[at + 1];
    if (!(length >= 2) || at + length > bytes.length) {
      parsed.faults.push("TCP options");
      break;
    }
    if (bytes[at] === 2) fields.mss = read.u16(at + 2);
    else if (bytes[at] === 3) fields.windowScale = bytes[at + 2];
    else if (bytes[at] === 4) fields.sackPermitted = true;
    else if (bytes[at] === 8) fields.timestamps = [read.u32(at + 2), read.u32(at + 6)];
    else if (bytes[at] === 5) {
      fields.sack = [];
      for (let edge = at + 2; edge + 8 <= at + length; edge += 8) {
        fields.sack.push([read.u32(edge), read.u32(edge + 4)]);
      }
    } else if (bytes[at] === 34) fields.fastOpen = bytes.slice(at + 2, at + length);
    at += length;
  }
  return fields;
}

function parseArp(bytes: Uint8Array, parsed: Parsed): void {
  const read = reader(bytes, parsed);
  if (!read.need(28, "ARP packet")) return;
  if (read.u32(0) !== 0x10800 || read.u16(4) !== 0x0604) parsed.faults.push("ARP types");
  parsed.arp = {
    op: read.u16(6),
    senderMac: macText(bytes.subarray(8, 14)),
    senderIp: ip4Text(bytes.subarray(14, 18)),
    targetMac: macText(bytes.subarray(18, 24)),
    targetIp: ip4Text(bytes.subarray(24, 28)),
  };
  parsed.payload = bytes.subarray(28, 28);
  read.padding(28);
}

function reader(bytes: Uint8Array, parsed: Parsed) {
  return {
    u16: (at: number) => bytes[at] * 256 + bytes[at + 1],
    u32: (at: number) =>
      bytes[at] * 0x1000000 + bytes[at + 1] * 0x10000 + bytes[at + 2] * 256 + bytes[at + 3],
    need(length: number, what: string): boolean {
      if (bytes.length >= length) return true;
      parsed.faults.push(what + " is cut short");
      return false;
    },
    /** Whatever lies behind the packet in its frame must be zero: old memory must not leak (RFC 1042). */
    padding(from: number): void {
      if (bytes.subarray(from).some((byte) => byte !== 0)) parsed.faults.push("padding is not zero");
    },
  };
}

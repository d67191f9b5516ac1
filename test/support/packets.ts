/**
 * Packets by hand: `frame(eth(), ip4({ ttl: 1 }), udp({ sport: 9, dport: 7 }), "hello")`.
 *
 * Layers go from the outside in. Lengths, types and checksums come out right unless a field says otherwise, so that a test
 * names only what is special about its packet. The defaults are a packet from the probe to the stack under test: see probe.ts.
 */
import { ascii, concat, internetChecksum, ip4Bytes, ip6Bytes, macBytes, pattern } from "./bytes.js";

export const STACK_MAC = "02:00:00:00:00:01";
export const STACK_IP = "10.0.0.1";
export const STACK_IP6 = "fe80::1";
export const PROBE_MAC = "02:00:00:00:00:02";
export const PROBE_IP = "10.0.0.2";
export const PROBE_IP6 = "fe80::2";
export const BROADCAST_MAC = "ff:ff:ff:ff:ff:ff";

/** A header that knows how to put itself before what it carries. */
export interface Layer {
  readonly kind: string;
  /** Ethertype under Ethernet, protocol number under IP. */
  readonly type?: number;
  /** @param outer the layer around this one, or null */
  build(payload: Uint8Array, inner: Layer | null, outer: Layer | null): Uint8Array;
  /** Of IP layers: the pseudo-header's addresses. */
  readonly addresses?: Uint8Array;
}

/** What may stand at the end: bytes, Latin-1 text, or a number of patterned bytes. */
export type Payload = Uint8Array | string | number;

/** Puts layers and payload together. */
export function frame(...parts: (Layer | Payload)[]): Uint8Array {
  let bytes: Uint8Array = new Uint8Array(0);
  let inner: Layer | null = null;
  for (let i = parts.length - 1; i >= 0; i--) {
    const part = parts[i];
    if (typeof part === "string") bytes = concat(ascii(part), bytes);
    else if (typeof part === "number") bytes = concat(pattern(part), bytes);
    else if (part instanceof Uint8Array) bytes = concat(part, bytes);
    else {
      const outer = i > 0 ? parts[i - 1] : null;
      bytes = part.build(
        bytes,
        inner,
        outer !== null && typeof outer === "object" && "build" in outer ? outer : null,
      );
      inner = part;
    }
  }
  return bytes;
}

export interface EthFields {
  dst?: string;
  src?: string;
  type?: number;
  /** 802.1Q tags, outermost first: VLAN id and priority bits as 16 bits. */
  vlans?: number[];
  /** Bytes are added until the frame has this many. Default 0; 60 is what real frames have. */
  pad?: number;
}

export function eth(fields: EthFields = {}): Layer {
  return {
    kind: "eth",
    build(payload, inner) {
      const type = fields.type ?? inner?.type ?? 0x88b5;
      const tags = (fields.vlans ?? []).flatMap((vlan) => [0x81, 0, vlan >> 8, vlan & 255]);
      const head = [
        macBytes(fields.dst ?? STACK_MAC),
        macBytes(fields.src ?? PROBE_MAC),
        Uint8Array.from(tags),
      ];
      const whole = concat(...head, be16(type), payload);
      return concat(whole, new Uint8Array(Math.max(0, (fields.pad ?? 0) - whole.length)));
    },
  };
}

export interface ArpFields {
  /** 1 request (default), 2 reply. */
  op?: number;
  senderMac?: string;
  senderIp?: string;
  targetMac?: string;
  targetIp?: string;
  hardwareType?: number;
  protocolType?: number;
  hardwareLength?: number;
  protocolLength?: number;
}

export function arp(fields: ArpFields = {}): Layer {
  return {
    kind: "arp",
    type: 0x0806,
    build: (payload) =>
      concat(
        be16(fields.hardwareType ?? 1),
        be16(fields.protocolType ?? 0x0800),
        Uint8Array.of(fields.hardwareLength ?? 6, fields.protocolLength ?? 4),
        be16(fields.op ?? 1),
        macBytes(fields.senderMac ?? PROBE_MAC),
        ip4Bytes(fields.senderIp ?? PROBE_IP),
        macBytes(fields.targetMac ?? "00:00:00:00:00:00"),
        ip4Bytes(fields.targetIp ?? STACK_IP),
        payload,
      ),
  };
}

export interface Ip4Fields {
  src?: string;
  dst?: string;
  protocol?: number;
  ttl?: number;
  tos?: number;
  id?: number;
  /** Don't fragment. */
  df?: boolean;
  /** More fragments. */
  mf?: boolean;
  /** The reserved bit ("evil", RFC 3514). */
  evil?: boolean;
  /** Of a fragment, in bytes. */
  offset?: number;
  /** Padded with zeros to a multiple of 4. */
  options?: Uint8Array;
  version?: number;
  /** Header length in words. */
  ihl?: number;
  totalLength?: number;
  checksum?: number;
}

export function ip4(fields: Ip4Fields = {}): Layer {
  const addresses = concat(ip4Bytes(fields.src ?? PROBE_IP), ip4Bytes(fields.dst ?? STACK_IP));
  return {
    kind: "ip4",
    type: 0x0800,
    addresses,
    build(payload, inner) {
      const options = concat(fields.options ?? new Uint8Array(0));
      const header = new Uint8Array(20 + ((options.length + 3) & ~3));
      header[0] = ((fields.version ?? 4) << 4) | (fields.ihl ?? header.length / 4);
      header[1] = fields.tos ?? 0;
      header.set(be16(fields.totalLength ?? header.length + payload.length), 2);
      header.set(be16(fields.id ?? 0x1234), 4);
      const flags = (fields.evil ? 0x8000 : 0) | (fields.df ? 0x4000 : 0) | (fields.mf ? 0x2000 : 0);
      header.set(be16(flags | ((fields.offset ?? 0) >> 3)), 6);
      header[8] = fields.ttl ?? 64;
      header[9] = fields.protocol ?? inner?.type ?? 253;
      header.set(addresses, 12);
      header.set(options, 20);
      header.set(be16(fields.checksum ?? internetChecksum(header)), 10);
      return concat(header, payload);
    },
  };
}

export interface Ip6Fields {
  src?: string;
  dst?: string;
  next?: number;
  hops?: number;
  trafficClass?: number;
  flow?: number;
  version?: number;
  payloadLength?: number;
}

export function ip6(fields: Ip6Fields = {}): Layer {
  const addresses = concat(ip6Bytes(fields.src ?? PROBE_IP6), ip6Bytes(fields.dst ?? STACK_IP6));
  return {
    kind: "ip6",
    type: 0x86dd,
    addresses,
    build(payload, inner) {
      const next = fields.next ?? (inner?.kind === "icmp" ? 58 : (inner?.type ?? 59));
      const first = ((fields.version ?? 6) << 28) | ((fields.trafficClass ?? 0) << 20) | (fields.flow ?? 0);
      const length = fields.payloadLength ?? payload.length;
      return concat(be32(first), be16(length), Uint8Array.of(next, fields.hops ?? 64), addresses, payload);
    },
  };
}

export interface IcmpFields {
  /** Default 8, echo request. */
  type?: number;
  code?: number;
  /** Of echo messages. */
  id?: number;
  seq?: number;
  /** Next-hop MTU of "fragmentation needed"; gateway of redirects: bytes 4..8 as a whole. */
  rest?: number;
  checksum?: number;
}

/** ICMP; under `ip6` it is ICMPv6. */
export function icmp(fields: IcmpFields = {}): Layer {
  return {
    kind: "icmp",
    type: 1,
    build(payload, _inner, outer) {
      const rest = fields.rest ?? ((fields.id ?? 0) << 16) | (fields.seq ?? 0);
      const message = concat(Uint8Array.of(fields.type ?? 8, fields.code ?? 0, 0, 0), be32(rest), payload);
      const sum = outer?.kind === "ip6" ? transportChecksum(outer, 58, message) : internetChecksum(message);
      message.set(be16(fields.checksum ?? sum), 2);
      return message;
    },
  };
}

export interface IgmpFields {
  /** 0x11 query (default), 0x16 version 2 report, 0x17 leave, 0x22 version 3 report. */
  type?: number;
  maxResponse?: number;
  group?: string;

  checksum?: number;
}

export function igmp(fields: IgmpFields = {}): Layer {
  return {
    kind: "igmp",
    type: 2,
    build(payload) {
      const group = ip4Bytes(fields.group ?? "0.0.0.0");
      const message = concat(
        Uint8Array.of(fields.type ?? 0x11, fields.maxResponse ?? 100, 0, 0),
        group,
        payload,
      );
      message.set(be16(fields.checksum ?? internetChecksum(message)), 2);
      return message;
    },
  };
}

export interface UdpFields {
  sport?: number;
  dport?: number;
  length?: number;
  checksum?: number;
}

export function udp(fields: UdpFields = {}): Layer {
  return {
    kind: "udp",
    type: 17,
    build(payload, _inner, outer) {
      const header = concat(
        be16(fields.sport ?? 40000),
        be16(fields.dport ?? 7),
        be16(fields.length ?? payload.length + 8),
      );
      const datagram = concat(header, be16(0), payload);
      const checksum = fields.checksum ?? (transportChecksum(outer, 17, datagram) || 0xffff);
      datagram.set(be16(checksum), 6);
      return datagram;
    },
  };
}

export interface TcpFields {
  sport?: number;
  dport?: number;
  seq?: number;
  ack?: number;
  /** Letters of FIN SYN RST PSH ACK URG ECE CWR and N for AE, once NS ("SA"), or the 9 bits. Default "A". */
  flags?: string | number;
  window?: number;
  urgent?: number;
  /** Option bytes, padded with zeros to a multiple of 4: see `tcpOptions`. */
  options?: Uint8Array;
  /** Header length in words. */
  offset?: number;
  checksum?: number;
}

export function tcp(fields: TcpFields = {}): Layer {
  return {
    kind: "tcp",
    type: 6,
    build(payload, _inner, outer) {
      const options = fields.options ?? new Uint8Array(0);
      const header = new Uint8Array(20 + ((options.length + 3) & ~3));
      header.set(be16(fields.sport ?? 40000), 0);
      header.set(be16(fields.dport ?? 80), 2);
      header.set(be32(fields.seq ?? 0), 4);
      header.set(be32(fields.ack ?? 0), 8);
      const flags = tcpFlags(fields.flags ?? "A");
      header[12] = ((fields.offset ?? header.length / 4) << 4) | (flags >> 8);
      header[13] = flags;
      header.set(be16(fields.window ?? 65535), 14);
      header.set(be16(fields.urgent ?? 0), 18);
      header.set(options, 20);
      const segment = concat(header, payload);
      segment.set(be16(fields.checksum ?? transportChecksum(outer, 6, segment)), 16);
      return segment;
    },
  };
}

const FLAGS = "FSRPAUECN";

/** `"SA"` as the bits it is. */
export function tcpFlags(flags: string | number): number {
  if (typeof flags === "number") return flags;
  let bits = 0;
  for (const letter of flags) {
    const bit = FLAGS.indexOf(letter);
    if (bit < 0) throw new Error("TCP flag " + letter);
    bits |= 1 << bit;
  }
  return bits;
}

export interface TcpOptionFields {
  mss?: number;
  windowScale?: number;
  sackPermitted?: boolean;
  /** TSval and TSecr. */
  timestamps?: [number, number];
  /** Left and right edges. */
  sack?: [number, number][];
  /** Cookie of TCP Fast Open; empty: asked for. */
  fastOpen?: Uint8Array;
}

/** The bytes of TCP options, padded with NOPs in front. */
export function tcpOptions(fields: TcpOptionFields): Uint8Array {
  const parts: Uint8Array[] = [];
  if (fields.mss !== undefined) parts.push(Uint8Array.of(2, 4), be16(fields.mss));
  if (fields.sackPermitted) parts.push(Uint8Array.of(4, 2));
  if (fields.timestamps)
    parts.push(Uint8Array.of(8, 10), be32(fields.timestamps[0]), be32(fields.timestamps[1]));
  if (fields.windowScale !== undefined) parts.push(Uint8Array.of(3, 3, fields.windowScale));
  if (fields.sack) {
    parts.push(Uint8Array.of(5, 2 + 8 * fields.sack.length));
    for (const [left, right] of fields.sack) parts.push(be32(left), be32(right));
  }
  if (fields.fastOpen) parts.push(Uint8Array.of(34, 2 + fields.fastOpen.length), fields.fastOpen);
  const bytes = concat(...parts);
  return concat(new Uint8Array(-bytes.length & 3).fill(1), bytes);
}

/** The checksum of a transport's bytes (its checksum field zero) under the IP layer `outer`. */
export function transportChecksum(outer: Layer | null, protocol: number, bytes: Uint8Array): number {
  const addresses = outer?.addresses ?? new Uint8Array(0);
  return internetChecksum(addresses, be32(bytes.length), be32(protocol), bytes);
}

/** Cuts an IPv4 packet (header without options first, no Ethernet) into fragments of at most `size` bytes of payload each. */
export function fragments(packet: Uint8Array, size: number, layer: Ip4Fields): Uint8Array[] {
  if (size % 8 !== 0) throw new Error("fragments of " + size);
  const body = packet.subarray(20);
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < body.length; offset += size) {
    const mf = offset + size < body.length;
    pieces.push(frame(ip4({ ...layer, protocol: packet[9], offset, mf }), body.slice(offset, offset + size)));
  }
  return pieces;
}

export function be16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value);
}

export function be32(value: number): Uint8Array {
  return Uint8Array.of(value >> 24, value >> 16, value >> 8, value);
}

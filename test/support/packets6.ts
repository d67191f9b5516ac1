/**
 * Neighbour discovery by hand (RFC 4861), on top of packets.ts: `nd6(ND.ra({ lifetime: 1800 }), prefixOption(...))` is a frame
 * from the probe, and `probed6` a stack that takes it.
 */
import type { ExecutionContext } from "ava";
import type { Component } from "../../stack/core/stack.js";
import type { DuplicateAddressDetection } from "../../stack/ipv6/dad.js";
import { dad } from "../../stack/ipv6/dad.js";
import type { Icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import type { Ipv6 } from "../../stack/ipv6/ipv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import type { NeighbourDiscovery } from "../../stack/ipv6/nd.js";
import { nd } from "../../stack/ipv6/nd.js";
import { slaac } from "../../stack/ipv6/slaac.js";
import type { SlaacOptions, Slaac } from "../../stack/ipv6/slaac.js";
import { ascii, concat, ip6Bytes, ip6Text, macBytes, macText } from "./bytes.js";
import type { NetworkOptions } from "./network.js";
import { PROBE_IP6, PROBE_MAC, be16, be32, eth, frame, icmp, ip6 } from "./packets.js";
import type { Ip6Fields } from "./packets.js";
import type { Parsed } from "./parse.js";
import { probed } from "./probe.js";
import type { ProbeOptions, Probed } from "./probe.js";

export const ALL_NODES = "ff02::1";

/** A message without its options. */
export interface NdMessage {
  type: number;
  code?: number;
  /** The four bytes behind the checksum. */
  word: number;
  body: Uint8Array;
}

export const NS = (target: string): NdMessage => ({ type: 135, word: 0, body: ip6Bytes(target) });

/** @param flags letters of R, S, O */
export const NA = (target: string, flags = ""): NdMessage => ({
  type: 136,
  word:
    (flags.includes("R") ? 2 ** 31 : 0) +
    (flags.includes("S") ? 2 ** 30 : 0) +
    (flags.includes("O") ? 2 ** 29 : 0),
  body: ip6Bytes(target),
});

export interface RaFields {
  hops?: number;
  managed?: boolean;
  other?: boolean;
  preference?: "high" | "medium" | "low";
  /** s; default 1800 */
  lifetime?: number;
  /** ms */
  reachable?: number;
  retrans?: number;
}

const PREFERENCES = { high: 1, medium: 0, low: 3 };

export const RA = (fields: RaFields = {}): NdMessage => ({
  type: 134,
  word:
    (fields.hops ?? 64) * 2 ** 24 +
    (((fields.managed ? 0x80 : 0) |
      (fields.other ? 0x40 : 0) |
      (PREFERENCES[fields.preference ?? "medium"] << 3)) <<
      16) +
    (fields.lifetime ?? 1800),
  body: concat(be32(fields.reachable ?? 0), be32(fields.retrans ?? 0)),
});

export const REDIRECT = (target: string, destination: string): NdMessage => ({
  type: 137,
  word: 0,
  body: concat(ip6Bytes(target), ip6Bytes(destination)),
});

/* Options */

/** An option of any type; its bytes are padded to a multiple of 8. */
export function option(type: number, body: Uint8Array): Uint8Array {
  const length = (body.length + 2 + 7) & ~7;
  return concat(Uint8Array.of(type, length / 8), body, new Uint8Array(length - body.length - 2));
}

export const sourceLink = (mac = PROBE_MAC) => option(1, macBytes(mac));
export const targetLink = (mac = PROBE_MAC) => option(2, macBytes(mac));
export const mtuOption = (mtu: number) => option(5, concat(be16(0), be32(mtu)));
export const nonce = (bytes: Uint8Array) => option(14, bytes);

/** @param flags letters of L, A; default both. Lifetimes in s. */
export function prefixOption(
  prefix: string,
  valid = 86400,
  preferred = 14400,
  flags = "LA",
  length = 64,
): Uint8Array {
  const bits = (flags.includes("L") ? 0x80 : 0) | (flags.includes("A") ? 0x40 : 0);
  return option(
    3,
    concat(Uint8Array.of(length, bits), be32(valid), be32(preferred), be32(0), ip6Bytes(prefix)),
  );
}

export function routeOption(
  prefix: string,
  length: number,
  lifetime = 1800,
  preference: RaFields["preference"] = "medium",
) {
  const bytes = ip6Bytes(prefix).subarray(0, length > 64 ? 16 : length > 0 ? 8 : 0);
  return option(24, concat(Uint8Array.of(length, PREFERENCES[preference!] << 3), be32(lifetime), bytes));
}

export const serverOption = (lifetime: number, ...servers: string[]) =>
  option(25, concat(be16(0), be32(lifetime), ...servers.map(ip6Bytes)));

export function searchOption(lifetime: number, ...domains: string[]): Uint8Array {
  const names = domains.map((domain) =>
    concat(
      ...domain.split(".").map((label) => concat(Uint8Array.of(label.length), ascii(label))),
      Uint8Array.of(0),
    ),
  );
  return option(31, concat(be16(0), be32(lifetime), ...names));
}

/** @param lifetime in s, a multiple of 8; `code`: 0 is /96 */
export const nat64Option = (prefix: string, lifetime: number, code = 0) =>
  option(38, concat(be16(lifetime | code), ip6Bytes(prefix).subarray(0, 12)));

/* Frames */

export interface NdFields extends Ip6Fields {
  mac?: string;
  /** Destination of the frame; default: the stack's address, or the group's. */
  to?: string;
}

/** The frame of a message from the probe, hop limit 255, to all nodes unless `dst` says otherwise. */
export function nd6(message: NdMessage, fields: NdFields = {}, ...options: Uint8Array[]): Uint8Array {
  const dst = fields.dst ?? ALL_NODES;
  const bytes = ip6Bytes(dst);
  const group =
    bytes[0] === 0xff ? macText(concat(Uint8Array.of(0x33, 0x33), bytes.subarray(12))) : undefined;
  return frame(
    eth({ src: fields.mac, dst: fields.to ?? group }),
    ip6({ hops: 255, src: PROBE_IP6, ...fields, dst, next: 58 }),
    icmp({ type: message.type, code: message.code ?? 0, rest: message.word }),
    concat(message.body, ...options),
  );
}

/** The solicited-node group of an address. */
export function solicited(address: string): string {
  return (
    "ff02::1:ff" +
    ip6Text(concat(new Uint8Array(13), ip6Bytes(address).subarray(13)))
      .slice(-7)
      .replace(
        /^.*?([0-9a-f]+):([0-9a-f]+)$/,
        (_, high: string, low: string) => high.padStart(2, "0").slice(-2) + ":" + low,
      )
  );
}

/** The target of a parsed NS or NA. */
export const targetOf = (parsed: Parsed): string => ip6Text(parsed.payload.subarray(0, 16));

/** Canonical long text of an address, as the parsed frames have it. */
export const long = (address: string): string => ip6Text(ip6Bytes(address));

/* A stack */

export interface Probed6 extends Probed {
  ip6: Ipv6;
  icmp6: Icmpv6;
  nd: NeighbourDiscovery;
  slaac: Slaac | null;
  dad: DuplicateAddressDetection | null;
}

export interface Probed6Options extends NetworkOptions {
  probe?: ProbeOptions;
  /** Addresses of the stack with prefixes, usable at once. Default `fe80::1/64`. */
  addresses?: string[];
  /** With router discovery. */
  slaac?: SlaacOptions | true;
  /** With duplicate address detection: probes for each address. */
  dad?: number;
  more6?: () => Component[];
}

/** A stack with IPv6 beside the standard list over a probe. */
export function probed6(t: ExecutionContext | null, options: Probed6Options = {}): Probed6 {
  const ip = ipv6({
    linkLocal:
      options.addresses === undefined ? options.slaac !== undefined || options.dad !== undefined : false,
  });
  const control = icmpv6();
  const neighbours = nd();
  const routers = options.slaac
    ? slaac(options.slaac === true ? { secret: new Uint8Array(16) } : options.slaac)
    : null;
  const detection = options.dad === undefined ? null : dad({ transmits: options.dad });
  const components = () => {
    const list: (Component | null)[] = [
      ip,
      control,
      neighbours,
      detection,
      routers,
      ...(options.more6?.() ?? []),
    ];
    return list.filter((component) => component !== null);
  };
  const node = probed(t, { acquainted: false, ...options, components });
  const addresses = options.addresses ?? (options.slaac || options.dad !== undefined ? [] : ["fe80::1/64"]);
  for (const address of addresses) ip.addAddress(node.nif, address);
  return { ...node, ip6: ip, icmp6: control, nd: neighbours, slaac: routers, dad: detection };
}

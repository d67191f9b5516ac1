/**
 * RIP version 2 (RFC 2453). The machine is distance-vector.ts; here are its messages.
 *
 * ```ts
 * const routing = rip({ redistribute: ["address", "manual"] });
 * const stack = createStack(host, [..., igmp(), udp(), forwarding(), routing]);
 * routing.enable(lan);
 * routing.enable(wan, { cost: 2, password: "plain" });
 * ```
 * Cryptographic authentication (RFC 4822) is an import, rip-authentication.ts. Version 1 is not there.
 */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { isLinkLocal4, isMartian4, mask4 } from "../wire/ipv4.js";
import * as wire from "../wire/rip.js";
import { DistanceVector } from "./distance-vector.js";
import type { RipOptions } from "./distance-vector.js";
import { ENTRY_ALL, ENTRY_BAD, ENTRY_ROUTE, ENTRY_SKIP } from "./rip-codec.js";
import type { RipCodec } from "./rip-codec.js";
import { MAPPED, mapTo } from "./prefix.js";

const FAMILY_IPV4 = 2;
/** Entries of a message (RFC 2453 section 4). */
const ENTRIES = 25;

/** Exported for the tests. */
export const CODEC_V2: RipCodec = {
  name: "rip",
  family: 4,
  port: 520,
  group: "224.0.0.9",
  version: 2,
  hops: 1,
  onlyHops: 0,
  distance: 120,

  attach(stack, counters) {
    stack.counters.rip = counters as never;
  },

  room: () => wire.RIP_HEADER + ENTRIES * wire.RIP_ENTRY,

  begin(port, data, at) {
    const password = port.password;
    if (port.authentication) return port.authentication.begin(data, at);
    if (!password) return at;
    put16(data, at, wire.RIP_AUTHENTICATION);
    put16(data, at + wire.RIP_TAG, wire.RIP_PASSWORD);
    for (let i = 0; i < 16; i++) data[at + 4 + i] = i < password.length ? password.charCodeAt(i) : 0;
    return at + wire.RIP_ENTRY;
  },

  authenticate(port, data) {
    const at = wire.RIP_HEADER;
    const password = port.password;
    // It has been checked before its length was.
    if (port.authentication) return at + wire.RIP_ENTRY;
    if (get16(data, at) !== wire.RIP_AUTHENTICATION) return password ? -1 : at;
    if (!password || get16(data, at + wire.RIP_TAG) !== wire.RIP_PASSWORD) return -1;
    let differ = 0;
    for (let i = 0; i < 16; i++)
      differ |= data[at + 4 + i] ^ (i < password.length ? password.charCodeAt(i) & 255 : 0);
    return differ ? -1 : at + wire.RIP_ENTRY;
  },

  emit(data, at, entry) {
    const all = entry.length < 0;
    put16(data, at, all ? 0 : FAMILY_IPV4);
    put16(data, at + wire.RIP_TAG, entry.tag);
    put32(data, at + wire.RIP_ADDRESS, get32(entry.prefix, 12));
    put32(data, at + wire.RIP_MASK, all ? 0 : mask4(entry.length - MAPPED));
    put32(data, at + wire.RIP_NEXT_HOP, 0);
    put32(data, at + wire.RIP_METRIC, entry.metric);
  },

  parse(data, at, entry) {
    const family = get16(data, at);
    const metric = get32(data, at + wire.RIP_METRIC);
    if (family === 0 && metric === wire.RIP_INFINITY) return ENTRY_ALL;
    if (family !== FAMILY_IPV4) return ENTRY_SKIP;
    const mask = get32(data, at + wire.RIP_MASK);
    const address = get32(data, at + wire.RIP_ADDRESS);
    const hop = get32(data, at + wire.RIP_NEXT_HOP);
    let length = 0;
    while (length < 32 && mask << length < 0) length++;
    if (mask !== mask4(length) || address & ~mask || metric < 1 || metric > wire.RIP_INFINITY)
      return ENTRY_BAD;
    mapTo(entry.prefix, address);
    entry.length = MAPPED + length;
    entry.tag = get16(data, at + wire.RIP_TAG);
    entry.metric = metric;
    entry.hop = hop !== 0;
    mapTo(entry.gateway, hop);
    return ENTRY_ROUTE;
  },

  isNeighbour(fib, nif, from) {
    const address = get32(from, 12);
    return fib.ip4 !== null && fib.ip4.isOnLink(nif, address) && !fib.ip4.isLocal(address);
  },

  isGateway(fib, nif, gateway) {
    const address = get32(gateway, 12);
    const ip = fib.ip4;
    return (
      ip !== null &&
      !isMartian4(address) &&
      !isLinkLocal4(address) &&
      ip.isOnLink(nif, address) &&
      !ip.isLocal(address) &&
      !ip.isBroadcast(nif, address)
    );
  },
};

/** RIP version 2. Needs `ipv4`, `igmp`, `udp`. Counters: `rip`. Throws `EINVAL`. */
export function rip(options: RipOptions = {}): DistanceVector {
  return new DistanceVector(CODEC_V2, options);
}

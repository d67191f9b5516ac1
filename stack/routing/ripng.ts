/** RIPng (RFC 2080): RIP for IPv6. The machine is distance-vector.ts; here are its messages. */
import { get16, put16 } from "../core/bytes.js";
import { isLinkLocal6, isMapped6, isUnspecified6 } from "../wire/ipv6.js";
import * as wire from "../wire/rip.js";
import { DistanceVector } from "./distance-vector.js";
import type { RipOptions } from "./distance-vector.js";
import { ENTRY_ALL, ENTRY_BAD, ENTRY_ROUTE, ENTRY_SKIP } from "./rip-codec.js";
import type { RipCodec } from "./rip-codec.js";
import { mask } from "./prefix.js";

/** IPv6's header and UDP's. */
const HEADERS = 48;

/** Exported for the tests. */
export const CODEC_NG: RipCodec = {
  name: "ripng",
  family: 6,
  port: 521,
  group: "ff02::9",
  version: wire.RIP_VERSION,
  // No router has seen it (RFC 2080 section 2.4.2).
  hops: 255,
  onlyHops: 255,
  distance: 120,

  attach(stack, counters) {
    stack.counters.ripng = counters as never;
  },

  room: (mtu) => mtu - HEADERS,

  begin: (_port, _data, at) => at,

  authenticate: () => wire.RIP_HEADER,

  emit(data, at, entry) {
    data.set(entry.prefix, at);
    put16(data, at + wire.RIPNG_TAG, entry.tag);
    data[at + wire.RIPNG_LENGTH] = entry.length < 0 ? 0 : entry.length;
    data[at + wire.RIPNG_METRIC] = entry.metric;
  },

  parse(data, at, entry) {
    const metric = data[at + wire.RIPNG_METRIC];
    const length = data[at + wire.RIPNG_LENGTH];
    const address = data.subarray(at, at + 16);
    if (metric === wire.RIPNG_NEXT_HOP) {
      // Of the entries behind it; what is none, or ::, is the sender (section 2.1.1).
      entry.gateway.set(address);
      entry.hop = isLinkLocal6(address, 0);
      return ENTRY_SKIP;
    }
    if (
      metric === wire.RIP_INFINITY &&
      length === 0 &&
      isUnspecified6(address, 0) &&
      get16(data, at + 16) === 0
    ) {
      // A request for all; a response that takes ::/0 back looks the same, and is told apart by its command.
      if (data[0] === wire.RIP_REQUEST) return ENTRY_ALL;
    }
    if (length > 128 || metric < 1 || metric > wire.RIP_INFINITY) return ENTRY_BAD;
    entry.prefix.set(address);
    mask(entry.prefix, length);
    if (isMapped6(entry.prefix, 0)) return ENTRY_BAD;
    entry.length = length;
    entry.tag = get16(data, at + wire.RIPNG_TAG);
    entry.metric = metric;
    return ENTRY_ROUTE;
  },

  isNeighbour(fib, nif, from) {
    return fib.ip6 !== null && isLinkLocal6(from, 0) && fib.ip6.findAddress(from, 0, nif) === null;
  },

  isGateway(fib, nif, gateway) {
    return fib.ip6 !== null && isLinkLocal6(gateway, 0) && fib.ip6.findAddress(gateway, 0, nif) === null;
  },
};

/** RIPng. Needs `ipv6`, `udp`. Counters: `ripng`. Throws `EINVAL`. */
export function ripng(options: RipOptions = {}): DistanceVector {
  return new DistanceVector(CODEC_NG, options);
}

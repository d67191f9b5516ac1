/** The two ends of an IPv6 flow and the way between them; and how a way is found (RFC 4861 section 5.2). */
import { get32 } from "../core/bytes.js";
import { EADDRNOTAVAIL, EHOSTUNREACH, ENETUNREACH, ENOBUFS } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Path } from "../core/network.js";
import { NET_MULTICAST } from "../core/packet.js";
import type { Neighbour } from "../link/neighbour.js";
import { isLinkLocal6, isLoopback6, isMulticast6, isUnspecified6, sum6 } from "../wire/ipv6.js";
import type { Ipv6 } from "./ipv6.js";

/** Offsets of the addresses in `Path6.ends`: source and remote stand as in the header. */
export const SOURCE = 0;
export const REMOTE = 16;
/** The local end as it was asked for, ::: any. */
export const LOCAL = 32;

export class Path6 implements Path {
  bound: Interface | null = null;
  nif: Interface | null = null;
  mtu = 1280;
  pseudo = 0;
  anonymous = false;
  ttl = 0;
  tos = 0;
  kind = 0;
  loop = false;
  onLink = false;
  overhead = 0;
  readonly ends = new Uint8Array(48);
  /** There is a local end. */
  fixed = false;
  /** The interface that the remote's zone names (`fe80::1%eth0`), or null. */
  zone: Interface | null = null;
  generation = 0;
  neighbour: Neighbour | null = null;
  /** Destination's hardware address where there is no neighbour to resolve. */
  high = 0;
  low = 0;
  /** Flow label (RFC 6437), 20 bits. */
  label = 0;

  constructor(
    readonly net: Ipv6,
    /** Tells flows between the same hosts apart: each has a path of its own. */
    readonly flow: number,
  ) {}
}

/** Finds the way again; see `Network.route`. */
export function route(ip: Ipv6, path: Path6): number {
  const ends = path.ends;
  const bound = path.zone || path.bound;
  path.generation = 0;
  path.neighbour = null;
  path.onLink = true;
  path.kind = isMulticast6(ends, REMOTE) ? NET_MULTICAST : 0;
  // :: is nobody's (RFC 4291 section 2.5.2).
  if (isUnspecified6(ends, REMOTE)) return ENETUNREACH;
  let nif: Interface | null = bound;
  let hop: Uint8Array = ends;
  let hopAt = REMOTE;
  const own = path.kind ? null : ip.findAddress(ends, REMOTE, bound);
  if (own || isLoopback6(ends, REMOTE)) {
    nif = ip.loopback;
    if (!nif) return EHOSTUNREACH;
  } else if (path.kind || isLinkLocal6(ends, REMOTE)) {
    if (!nif) nif = ip.defaultInterface();
  } else {
    ip.source = path.fixed && ip.advertisedBy ? ip.findAddress(ends, LOCAL, null) : null;
    const entry = ip.fib.lookup(ends, REMOTE, bound, ip.avoidRoute);
    if (!entry) return ENETUNREACH;
    nif = entry.nif;
    if (entry.gateway) {
      hop = entry.gateway;
      hopAt = 0;
      path.onLink = false;
    }
  }
  if (!nif || !nif.up()) return ENETUNREACH;
  path.nif = nif;
  if (path.fixed) {
    ends.set(ends.subarray(LOCAL, LOCAL + 16), SOURCE);
    if (!isLoopback6(ends, LOCAL) && !ip.findAddress(ends, LOCAL, null)) return EADDRNOTAVAIL;
  } else if (own || isLoopback6(ends, REMOTE)) ends.set(ends.subarray(REMOTE, REMOTE + 16), SOURCE);
  else if (!path.anonymous) {
    ip.gateway = path.onLink ? null : hop;
    const source = ip.selectSource(nif, ends, REMOTE);
    ip.gateway = null;
    if (!source) return EADDRNOTAVAIL;
    ends.set(source.bytes, SOURCE);
  } else for (let i = 0; i < 16; i++) ends[SOURCE + i] = 0;
  path.pseudo = sum6(ends, SOURCE) + sum6(ends, REMOTE);
  const advertised = ip.advertisedMtu ? ip.advertisedMtu(nif) : 0;
  const mtu = advertised > 0 && advertised < nif.mtu ? advertised : nif.mtu;
  path.mtu = ip.pathMtu ? ip.pathMtu.lookup(ends, REMOTE, mtu) : mtu;
  path.overhead = 0;
  if (ip.policy) ip.policy.routed(path);
  if (path.kind) {
    // RFC 2464 section 7: 33-33 and the low 32 bits.
    path.high = 0x3333;
    path.low = get32(ends, REMOTE + 12);
  } else if (nif.medium.resolves) {
    if (!ip.nd) return EHOSTUNREACH;
    const redirected = path.onLink ? null : ip.redirect ? ip.redirect(nif, ends, REMOTE) : null;
    if (redirected) {
      hop = redirected;
      hopAt = 0;
    }
    path.neighbour = ip.nd.cache.obtain(
      nif,
      get32(hop, hopAt),
      get32(hop, hopAt + 4),
      get32(hop, hopAt + 8),
      get32(hop, hopAt + 12),
    );
    if (!path.neighbour) return ENOBUFS;
    if (!path.onLink && !redirected) path.neighbour.router = true;
  }
  path.label = isUnspecified6(ends, SOURCE) ? 0 : ip.flowLabel(path);
  path.generation = ip.stack.generation;
  return 0;
}

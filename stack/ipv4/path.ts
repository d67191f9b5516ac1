/** The two ends of an IPv4 flow and the way between them; and how a way is found (RFC 1122 section 3.3.1). */
import { EADDRNOTAVAIL, EHOSTUNREACH, ENETUNREACH, ENOBUFS } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Path } from "../core/network.js";
import { NET_BROADCAST, NET_MULTICAST } from "../core/packet.js";
import type { Neighbour } from "../link/neighbour.js";
import { BROADCAST, isLinkLocal4, isLoopback4, isMulticast4 } from "../wire/ipv4.js";
import type { Ipv4 } from "./ipv4.js";

export class Path4 implements Path {
  bound: Interface | null = null;
  nif: Interface | null = null;
  mtu = 576;
  pseudo = 0;
  anonymous = false;
  ttl = 0;
  tos = 0;
  kind = 0;
  loop = false;
  onLink = false;
  overhead = 0;
  /** The local end as it was asked for, 0: any. */
  local = 0;
  /** The source address in use. */
  source = 0;
  remote = 0;
  /** Options to go with each packet (IGMP's router alert), as words, or 0. */
  option = 0;
  generation = 0;
  /** Keys of its identifications for `idProtocol`; see id.ts. */
  idProtocol = -1;
  idLow = 0;
  idHigh = 0;
  neighbour: Neighbour | null = null;
  /** Destination's hardware address where there is no neighbour to resolve. */
  high = 0;
  low = 0;

  constructor(readonly net: Ipv4) {}
}

/** Finds the way again; see `Network.route`. */
export function route(ip: Ipv4, path: Path4): number {
  const stack = ip.stack;
  const remote = path.remote;
  path.generation = 0;
  path.idProtocol = -1;
  path.neighbour = null;
  path.onLink = true;
  let nif: Interface | null = null;
  let hop = remote;
  let preferred = 0;
  path.kind = 0;
  if (ip.isLocal(remote) || isLoopback4(remote)) {
    nif = ip.loopback;
    if (!nif) return EHOSTUNREACH;
    preferred = remote;
  } else {
    const entry = ip.fib.lookup(remote, path.bound);
    if (isMulticast4(remote)) path.kind = NET_MULTICAST;
    else if (remote === BROADCAST) path.kind = NET_BROADCAST;
    nif = path.kind ? path.bound || (entry ? entry.nif : ip.firstInterface()) : entry ? entry.nif : null;
    if (!nif || !nif.up()) return ENETUNREACH;
    if (ip.isBroadcast(nif, remote)) path.kind = NET_BROADCAST;
    if (entry) {
      preferred = entry.source;
      // Link-local destinations are on the link, whatever the routes say (RFC 3927 section 2.6.2).
      if (entry.gateway && !path.kind && !isLinkLocal4(remote)) {
        hop = entry.gateway;
        path.onLink = false;
      }
    }
  }
  path.nif = nif;
  // A route's own source may still be in conflict detection while the interface has others.
  if (nif !== ip.loopback && !ip.isLocal(preferred)) preferred = 0;
  const source =
    path.anonymous && remote === BROADCAST ? 0 : path.local || preferred || ip.sourceFor(nif, hop);
  if (source === 0 && remote !== BROADCAST) return EADDRNOTAVAIL;
  // 127.0.0.0/8 never appears outside a host (RFC 1122 section 3.2.1.3).
  if (isLoopback4(source) ? nif !== ip.loopback : source !== 0 && !ip.isLocal(source)) return EADDRNOTAVAIL;
  path.source = source;
  path.pseudo = (source >>> 16) + (source & 0xffff) + (remote >>> 16) + (remote & 0xffff);
  path.mtu = ip.pathMtu ? ip.pathMtu.lookup(remote, nif.mtu) : nif.mtu;
  path.overhead = 0;
  if (ip.policy) ip.policy.routed(path);
  if (path.kind === NET_BROADCAST) {
    path.high = 0xffff;
    path.low = -1;
  } else if (path.kind) {
    // RFC 1112 section 6.4: 01-00-5e and the low 23 bits.
    path.high = 0x0100;
    path.low = 0x5e000000 | (remote & 0x7fffff);
  } else if (nif.medium.resolves) {
    if (!ip.arp) return EHOSTUNREACH;
    path.neighbour = ip.arp.cache.obtain(nif, 0, 0, 0, hop);
    if (!path.neighbour) return ENOBUFS;
    if (!path.onLink) path.neighbour.router = true;
  }
  path.generation = stack.generation;
  return 0;
}

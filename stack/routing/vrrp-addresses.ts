/** The addresses of a virtual router (RFC 5798): taken, given back, announced; and which of this host's own it speaks from. */
import type { Interface } from "../core/interface.js";
import type { Packet } from "../core/packet.js";
import type { Address4 } from "../ipv4/address.js";
import { PREFERRED } from "../ipv4/address.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import { isUsable } from "../ipv6/address.js";
import type { Address6 } from "../ipv6/address.js";
import { assign } from "../ipv6/configure.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { useGroup } from "../link/groups.js";
import { ARP_REQUEST } from "../wire/arp.js";
import { NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION } from "../wire/icmpv6.js";
import {
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  PROTOCOL_ICMPV6,
  isLinkLocal6,
} from "../wire/ipv6.js";
import type { Vrrp } from "./vrrp.js";
import type { VrrpRouter } from "./vrrp-router.js";

/** Milliseconds between announcements. */
const ANNOUNCE_EVERY = 1000;

/** The addresses become this host's: they have been another's until now, so nobody is asked for conflicts. */
export function take(own: Vrrp, router: VrrpRouter): void {
  const nif = router.nif;
  const ip4 = own.ip4 as Ipv4;
  for (let i = 0; i < router.addresses4.length; i++) {
    const address = router.addresses4[i];
    if (ip4.hasAddress(nif, address, true) || ip4.isLocal(address)) continue;
    const entry = ip4.assign(nif, address, 32, { origin: "vrrp", route: false });
    if (entry.state !== PREFERRED) {
      if (ip4.trial) ip4.trial.end(entry);
      entry.state = PREFERRED;
      ip4.addressChanged(entry, true);
    }
    router.held4.push(entry);
  }
  const ip6 = own.ip6 as Ipv6;
  for (let i = 0; i < router.addresses6.length; i++) {
    const bytes = router.addresses6[i];
    if (ip6.entryOf(bytes, 0, nif)) continue;
    const entry = assign(ip6, nif, bytes, 128, { origin: "vrrp", route: false });
    if (!isUsable(entry)) {
      if (ip6.trial) ip6.trial.end(entry);
      entry.state = PREFERRED;
      ip6.addressChanged(entry, true);
    }
    router.held6.push(entry);
  }
}

/** What was taken is this host's no more. */
export function giveBack(own: Vrrp, router: VrrpRouter): void {
  if (router.low !== 0) useGroup(router.nif, 0, router.low, -1);
  while (router.held4.length > 0) (own.ip4 as Ipv4).dropAddress(router.held4.pop() as Address4);
  while (router.held6.length > 0) (own.ip6 as Ipv6).dropAddress(router.held6.pop() as Address6);
}

/** Tells all on the link whose hardware address the addresses have now. */
export function announce(own: Vrrp, router: VrrpRouter): void {
  router.announceLeft--;
  router.announceAt = (own.stack.now() + ANNOUNCE_EVERY) | 0;
  const arp = router.four ? (own.ip4 as Ipv4).arp : null;
  for (let i = 0; arp && i < router.addresses4.length; i++) {
    const address = router.addresses4[i];
    arp.send(router.nif, ARP_REQUEST, address, 0, 0, address, 0xffff, -1);
  }
  const nd = router.four ? null : (own.ip6 as Ipv6).nd;
  for (let i = 0; nd && i < router.addresses6.length; i++) {
    const entry = (own.ip6 as Ipv6).entryOf(router.addresses6[i], 0, router.nif);
    if (entry) nd.announce(entry);
  }
}

/** Has the sender the higher address? */
export function isHigher(own: Vrrp, router: VrrpRouter, packet: Packet): boolean {
  if (router.four) return packet.source >>> 0 > primary4(own, router) >>> 0;
  const ours = primary6(own, router);
  const at = packet.network + IPV6_SOURCE;
  for (let i = 0; ours && i < 16; i++)
    if (packet.data[at + i] !== ours[i]) return packet.data[at + i] > ours[i];
  return false;
}

/** This host's own address on the link, as opposed to the virtual router's; 0: none. */
export function primary4(own: Vrrp, router: VrrpRouter): number {
  const list = (own.ip4 as Ipv4).addresses;
  for (let i = 0; i < list.length; i++)
    if (list[i].nif === router.nif && list[i].state === PREFERRED && list[i].origin !== "vrrp")
      return list[i].address;
  return 0;
}

export function primary6(own: Vrrp, router: VrrpRouter): Uint8Array | null {
  const list = (own.ip6 as Ipv6).addresses;
  for (let i = 0; i < list.length; i++) {
    const each = list[i];
    if (each.nif === router.nif && isUsable(each) && isLinkLocal6(each.bytes, 0) && each.origin !== "vrrp")
      return each.bytes;
  }
  return null;
}

export function virtual4(own: Vrrp, nif: Interface, address: number): number {
  for (let i = 0; i < own.routers.length; i++) {
    const each = own.routers[i];
    if (each.active() && each.nif === nif && each.low !== 0 && each.addresses4.indexOf(address) >= 0)
      return each.low;
  }
  return 0;
}

export function virtual6(own: Vrrp, nif: Interface, address: Uint8Array): number {
  for (let i = 0; i < own.routers.length; i++) {
    const each = own.routers[i];
    if (each.active() && each.nif === nif && each.low !== 0 && each.has6(address, 0)) return each.low;
  }
  return 0;
}

/** Is a packet for an address that is here to be forwarded by, not spoken to? Neighbours may ask for it (section 6.4.3). */
export function refuses(own: Vrrp, packet: Packet): boolean {
  const data = packet.data;
  const at = packet.network;
  const four = packet.net === own.ip4;
  for (let i = 0; i < own.routers.length; i++) {
    const each = own.routers[i];
    if (each.accept || each.four !== four || !each.active() || each.nif !== packet.nif) continue;
    if (four ? each.addresses4.indexOf(packet.destination) < 0 : !each.has6(data, at + IPV6_DESTINATION))
      continue;
    if (!four && data[at + IPV6_NEXT_HEADER] === PROTOCOL_ICMPV6 && packet.end - at > IPV6_HEADER) {
      const type = data[at + IPV6_HEADER];
      if (type === NEIGHBOUR_SOLICITATION || type === NEIGHBOUR_ADVERTISEMENT) continue;
    }
    own.counters.refused++;
    return true;
  }
  return false;
}

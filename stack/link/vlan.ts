/**
 * VLANs (IEEE 802.1Q): an interface for each VLAN on an Ethernet interface. Tags are put in and taken out in place.
 *
 * ```ts
 * const vlans = vlan(), stack = createStack(host, [ethernet(), vlans, ...]);
 * const office = vlans.add(stack.addInterface(link), 20);
 * ```
 */
import type { Link, LinkOffloads, LinkReceiver, TransmitOffload } from "../../hypercall/link.js";
import { put16 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { CHECKSUM_OK, CHECKSUM_UNFINISHED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { ETHERNET_TYPE, TYPE_VLAN, VLAN_TAG } from "../wire/ethernet.js";
import type { Ethernet, VlanDemux } from "./ethernet.js";
import { useGroup } from "./groups.js";

/** A VLAN as a link over its parent interface. */
class VlanLink implements Link {
  readonly medium = "ethernet";
  readonly mac: Uint8Array;
  readonly offloads?: LinkOffloads;
  readonly mtu: number;
  readonly headroom: number;
  nif: Interface = null as never;
  /** Groups that are in use on the parent for this link, [high, low] pairs end to end. */
  private groups: number[] = [];

  constructor(
    readonly parent: Interface,
    readonly id: number,
  ) {
    this.mtu = parent.mtu;
    this.headroom = VLAN_TAG + (parent.link.headroom || 0);
    this.mac = parent.link.mac as Uint8Array;
    this.offloads = parent.link.offloads;
  }

  open(receiver: LinkReceiver): void {
    this.nif = receiver as Interface;
  }

  close(): void {
    this.multicast(new Uint8Array(0), 0);
  }

  transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    const at = start - VLAN_TAG;
    if (at < 0) return -1;
    for (let i = start; i < start + ETHERNET_TYPE; i++) frame[i - VLAN_TAG] = frame[i];
    put16(frame, at + ETHERNET_TYPE, TYPE_VLAN);
    put16(frame, at + ETHERNET_TYPE + 2, this.id);
    if (offload) {
      offload.checksumStart += VLAN_TAG;
      offload.headerLength += VLAN_TAG;
    }
    return this.parent.transmit(frame, at, end, offload);
  }

  multicast(groups: Uint8Array, count: number): void {
    const old = this.groups;
    this.groups = [];
    for (let i = 0; i < count * 6; i += 6) {
      const high = (groups[i] << 8) | groups[i + 1];
      const low = (groups[i + 2] << 24) | (groups[i + 3] << 16) | (groups[i + 4] << 8) | groups[i + 5];
      this.groups.push(high, low);
      useGroup(this.parent, high, low, 1);
    }
    for (let i = 0; i < old.length; i += 2) useGroup(this.parent, old[i], old[i + 1], -1);
  }
}

export class Vlan implements Component, VlanDemux {
  readonly name = "vlan";
  private stack: Stack = null as never;
  private readonly links: VlanLink[] = [];

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "vlan");
    this.stack = stack;
  }

  start(): void {
    const media = this.stack.media;
    for (let i = 0; i < media.length; i++) {
      if (media[i].medium === "ethernet") (media[i] as Ethernet).vlans = this;
    }
  }

  /**
   * Adds the interface of VLAN `id` (1..4094) on `parent`. It has the parent's hardware address, MTU and offloads, is up while
   * the parent is, and goes with it.
   *
   * @param name default the parent's name and id: `eth0.20`
   * Errors: `EINVAL` no Ethernet interface, or id; `EEXIST` name or VLAN taken.
   */
  add(parent: Interface, id: number, name?: string): Interface {
    requireInteger(id, 1, 4094, "vlan");
    if (parent.link.medium !== "ethernet" || parent.removed) fail("EINVAL", "parent");
    if (this.find(parent, id)) fail("EEXIST", "vlan " + id);
    const link = new VlanLink(parent, id);
    const nif = this.stack.addInterface(link, name || parent.name + "." + id);
    this.links.push(link);
    nif.carrier(parent.up());
    return nif;
  }

  interfaceChanged(nif: Interface): void {
    for (let i = 0; i < this.links.length; i++) {
      const link = this.links[i];
      if (link.parent !== nif) continue;
      if (link.nif.mtu > nif.mtu) this.stack.setInterface(link.nif, { mtu: nif.mtu });
      link.nif.carrier(nif.up());
    }
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.links.length - 1; i >= 0; i--) {
      const link = this.links[i];
      if (link && link.parent === nif) this.stack.removeInterface(link.nif);
      else if (link && link.nif === nif) this.links.splice(i, 1);
    }
  }

  input(packet: Packet, id: number): boolean {
    const link = this.find(packet.nif as Interface, id);
    if (!link) return false;
    const nif = link.nif;
    const data = packet.data;
    const start = packet.start;
    if (!nif.enabled) {
      nif.counters.rxDropped++;
      return true;
    }
    // Both addresses move up to the ethertype: the tag is gone.
    for (let i = start + ETHERNET_TYPE - 1; i >= start; i--) data[i + VLAN_TAG] = data[i];
    packet.start = start + VLAN_TAG;
    packet.nif = nif;
    packet.flags &= CHECKSUM_OK | CHECKSUM_UNFINISHED;
    nif.counters.rxFrames++;
    nif.counters.rxBytes += packet.end - packet.start;
    nif.medium.input(packet);
    return true;
  }

  private find(parent: Interface, id: number): VlanLink | null {
    for (let i = 0; i < this.links.length; i++) {
      if (this.links[i].parent === parent && this.links[i].id === id) return this.links[i];
    }
    return null;
  }
}

/** VLAN interfaces. Needs `ethernet`. Counters: those of each interface. */
export function vlan(): Vlan {
  return new Vlan();
}

/** Ethernet II framing (IEEE 802.3) with 802.1Q tags: the medium of Ethernet links. */
import { get16, get32, put16, put32, zeroBytes } from "../core/bytes.js";
import { ENOBUFS } from "../core/errors.js";
import type { Interface, Medium } from "../core/interface.js";
import { LINK_BROADCAST, LINK_MULTICAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { finishOffload } from "./offload.js";
import {
  ETHERNET_HEADER,
  ETHERNET_MINIMUM,
  ETHERNET_SOURCE,
  ETHERNET_TYPE,
  TYPE_QINQ,
  TYPE_VLAN,
  VLAN_TAG,
} from "../wire/ethernet.js";

/** Why frames were dropped. */
export class EthernetCounters {
  /** Shorter than its header, or than its tag. */
  short = 0;
  /** Unicast for another station. */
  otherHost = 0;
  /** A group that nobody here has joined. */
  otherGroup = 0;
  /** Source is a group address. */
  badSource = 0;
  /** Source is this interface's own address: a loop, or a forgery. */
  ownSource = 0;
  /** Tagged for a VLAN that is not configured. */
  unknownVlan = 0;
  /** No component for its ethertype. */
  unknownType = 0;
}

/** What takes the frames of a VLAN; see vlan.ts. */
export interface VlanDemux {
  /** Takes a frame whose `start` is at the Ethernet header and that carries a tag; false: the VLAN is not configured. */
  input(packet: Packet, id: number): boolean;
}

export class Ethernet implements Component, Medium {
  readonly name = "eth";
  readonly medium = "ethernet";
  readonly headerSize = ETHERNET_HEADER;
  readonly resolves = true;
  readonly counters = new EthernetCounters();
  vlans: VlanDemux | null = null;
  protected stack: Stack = null as never;

  attach(stack: Stack): void {
    this.stack = stack;
    stack.media.push(this);
    stack.counters.eth = this.counters as never;
  }

  input(packet: Packet): void {
    const data = packet.data;
    const start = packet.start;
    const nif = packet.nif as Interface;
    const counters = this.counters;
    if (packet.end - start < ETHERNET_HEADER) {
      counters.short++;
      return;
    }
    const high = get16(data, start);
    const low = get32(data, start + 2);
    if (high & 0x100) {
      if (high === 0xffff && low === -1) packet.flags |= LINK_BROADCAST;
      else if (nif.promiscuous || nif.allGroups || hasGroup(nif, high, low)) packet.flags |= LINK_MULTICAST;
      else {
        counters.otherGroup++;
        return;
      }
    } else if ((low !== nif.low || high !== nif.high) && !nif.promiscuous && !hasGroup(nif, high, low)) {
      counters.otherHost++;
      return;
    }
    if (data[start + ETHERNET_SOURCE] & 1) {
      counters.badSource++;
      return;
    }
    // The last byte tells most apart.
    if (
      data[start + ETHERNET_TYPE - 1] === (nif.low & 255) &&
      get32(data, start + ETHERNET_SOURCE + 2) === nif.low &&
      get16(data, start + ETHERNET_SOURCE) === nif.high
    ) {
      counters.ownSource++;
      return;
    }
    let header = ETHERNET_HEADER;
    let type = get16(data, start + ETHERNET_TYPE);
    if (type === TYPE_VLAN || type === TYPE_QINQ) {
      header += VLAN_TAG;
      if (packet.end - start < header) {
        counters.short++;
        return;
      }
      const id = get16(data, start + ETHERNET_HEADER) & 0xfff;
      if (id !== 0 || type === TYPE_QINQ) {
        if (type === TYPE_QINQ || !this.vlans || !this.vlans.input(packet, id)) counters.unknownVlan++;
        return;
      }
      // VLAN 0 is a priority alone: the frame is untagged otherwise (802.1Q section 6.9).
      type = get16(data, start + header - 2);
    }
    const protocols = this.stack.linkProtocols;
    for (let i = 0; i < protocols.length; i++) {
      if (protocols[i].ethertype === type) {
        packet.start = start + header;
        protocols[i].input(packet);
        return;
      }
    }
    counters.unknownType++;
  }

  output(nif: Interface, packet: Packet, high: number, low: number, ethertype: number): number {
    const data = packet.data;
    const start = packet.start - ETHERNET_HEADER;
    let end = packet.end;
    put32(data, start, (high << 16) | (low >>> 16));
    const sender = packet.sender;
    put32(data, start + 4, (low << 16) | (sender ? 0 : nif.high));
    put32(data, start + ETHERNET_SOURCE + 2, sender || nif.low);
    put16(data, start + ETHERNET_TYPE, ethertype);
    if (end - start < ETHERNET_MINIMUM) {
      const padded = start + ETHERNET_MINIMUM;
      if (padded > data.length) return ENOBUFS;
      zeroBytes(data, end, padded);
      end = padded;
    }
    return nif.transmit(data, start, end, packet.checksumField < 0 ? null : finishOffload(packet, start));
  }
}

function hasGroup(nif: Interface, high: number, low: number): boolean {
  const groups = nif.groups;
  for (let i = 0; i < groups.length; i += 3) {
    if (groups[i + 1] === low && groups[i] === high) return true;
  }
  return false;
}

/** The Ethernet component. Counters: `eth`. */
export function ethernet(): Ethernet {
  return new Ethernet();
}

/** Links that carry bare IP packets (TUN, PPP): the medium that frames with nothing. */
import { EAFNOSUPPORT } from "../core/errors.js";
import type { Interface, Medium } from "../core/interface.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { TYPE_IPV4, TYPE_IPV6 } from "../wire/ethernet.js";
import { finishOffload } from "./offload.js";

export class IpLinkCounters {
  /** Empty frames. */
  short = 0;
  /** Neither IPv4 nor IPv6, or no component for it. */
  unknownVersion = 0;
}

export class IpLink implements Component, Medium {
  readonly name = "iplink";
  readonly medium = "ip";
  readonly headerSize = 0;
  readonly resolves = false;
  readonly counters = new IpLinkCounters();
  private stack: Stack = null as never;

  attach(stack: Stack): void {
    this.stack = stack;
    stack.media.push(this);
    stack.counters.iplink = this.counters as never;
  }

  input(packet: Packet): void {
    if (packet.end <= packet.start) {
      this.counters.short++;
      return;
    }
    const version = packet.data[packet.start] >> 4;
    const type = version === 4 ? TYPE_IPV4 : version === 6 ? TYPE_IPV6 : -1;
    const protocols = this.stack.linkProtocols;
    for (let i = 0; i < protocols.length; i++) {
      if (protocols[i].ethertype === type) {
        protocols[i].input(packet);
        return;
      }
    }
    this.counters.unknownVersion++;
  }

  output(nif: Interface, packet: Packet, _high: number, _low: number, ethertype: number): number {
    if (ethertype !== TYPE_IPV4 && ethertype !== TYPE_IPV6) return EAFNOSUPPORT;
    const offload = packet.checksumField < 0 ? null : finishOffload(packet, packet.start);
    return nif.transmit(packet.data, packet.start, packet.end, offload);
  }
}

/** Gives the stack the medium of bare IP packets where it has none as yet: for interfaces that are no device's. */
export function requireIpLink(stack: Stack): void {
  for (let i = 0; i < stack.media.length; i++) if (stack.media[i].medium === "ip") return;
  new IpLink().attach(stack);
}

/** The component for TUN-like links. Counters: `iplink`. */
export function ipLink(): IpLink {
  return new IpLink();
}

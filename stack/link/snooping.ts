/**
 * IGMP and MLD snooping for `bridge` (RFC 4541): frames to a group go to the ports where somebody listens and where a router asks.
 *
 * ```ts
 * const lan = bridge({ mac, snooping: snooping() });
 * ```
 * Groups are told apart by their hardware addresses. While nobody asks on a VLAN (`multicast` on this bridge is somebody) all is
 * flooded, as is always what is of the link alone: 224.0.0.0/24 and IPv6 scopes up to 2. Reports go to routers alone. Bounds: `limit`
 * groups; for want of room groups are flooded.
 */
import { get16, get32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import { requireInteger } from "../core/errors.js";
import { hashOf } from "../core/hash.js";
import type { Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { ETHERNET_HEADER, ETHERNET_TYPE, TYPE_IPV4, TYPE_IPV6, VLAN_TAG } from "../wire/ethernet.js";
import * as mld from "../wire/icmpv6.js";
import * as igmp from "../wire/igmp.js";
import {
  IPV4_DESTINATION,
  IPV4_HEADER,
  IPV4_PROTOCOL,
  IPV4_TOTAL_LENGTH,
  PROTOCOL_IGMP,
  isMulticast4,
} from "../wire/ipv4.js";
import {
  HOP_BY_HOP,
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  PROTOCOL_ICMPV6,
  isMulticast6,
  sum6,
} from "../wire/ipv6.js";

export class SnoopingCounters {
  /** Frames that did not go to all ports. */
  pruned = 0;
  queries = 0;
  reports = 0;
  /** Messages that do not hold together: flooded, and not believed. */
  malformed = 0;
  /** Groups that there was no room for. */
  full = 0;
}

export interface SnoopingOptions {
  /** Groups that are remembered, over all VLANs, 1..65536. Default 512. */
  limit?: number;
}

/** Seconds for which a listener, and a router, is believed in (RFC 3376 sections 8.4 and 8.5), and after a question for a group. */
const LISTENER = 260000;
const QUERIER = 255000;
const LAST_MEMBER = 2000;
const PORTS = 64;
const RECORD4 = 8;
const RECORD6 = 20;

/** Ports, each until a time. */
class Places<Port> {
  readonly ports: Port[] = [];
  readonly until: number[] = [];

  put(port: Port, until: number): void {
    const at = this.ports.indexOf(port);
    if (at >= 0) this.until[at] = until;
    else if (this.ports.length < PORTS) {
      this.ports.push(port);
      this.until.push(until);
    }
  }

  has(port: Port, now: number): boolean {
    const at = this.ports.indexOf(port);
    return at >= 0 && ((this.until[at] - now) | 0) > 0;
  }

  drop(port: Port): void {
    const at = this.ports.indexOf(port);
    if (at < 0) return;
    this.ports.splice(at, 1);
    this.until.splice(at, 1);
  }

  any(now: number): boolean {
    for (let i = 0; i < this.until.length; i++) if (((this.until[i] - now) | 0) > 0) return true;
    return false;
  }

  /** Whoever does not say otherwise is gone by then. */
  lower(until: number): void {
    for (let i = 0; i < this.until.length; i++) if (((this.until[i] - until) | 0) > 0) this.until[i] = until;
  }
}

class Group<Port> implements TableEntry {
  hash = 0;
  nextInBucket: this | null = null;
  readonly places = new Places<Port>();

  constructor(
    readonly vlan: number,
    readonly high: number,
    readonly low: number,
  ) {}
}

/** Where routers are on a VLAN, for one family. */
class Routers<Port> {
  readonly places = new Places<Port>();

  constructor(
    readonly vlan: number,
    readonly type: number,
  ) {}
}

/** `Port`: what the bridge calls one. */
export class Snooping<Port = unknown> {
  readonly counters = new SnoopingCounters();
  private stack: Stack = null as never;
  private readonly table = new Table<Group<Port>>();
  private readonly routers: Routers<Port>[] = [];
  /** Of the frame that is being looked at. */
  private group: Group<Port> | null = null;
  private asked: Routers<Port> | null = null;
  private now = 0;
  private sweepAt = 0;

  constructor(private readonly limit: number) {}

  attach(stack: Stack): void {
    this.stack = stack;
    stack.counters.snooping = this.counters as never;
  }

  /** Forgets a port, or (null) everything: the tables' key is another. */
  forget(port: Port | null): void {
    this.table.each((group) => {
      if (port) group.places.drop(port);
      else this.table.remove(group);
    });
    for (let i = 0; i < this.routers.length && port; i++) this.routers[i].places.drop(port);
  }

  /** Looks at a frame to a group. False: it goes to all ports; true: to those that `wants` names. */
  look(port: Port, frame: Uint8Array, start: number, end: number, vlan: number, tagged: boolean): boolean {
    const at = start + ETHERNET_HEADER + (tagged ? VLAN_TAG : 0);
    const type = at <= end ? get16(frame, start + ETHERNET_TYPE + (tagged ? VLAN_TAG : 0)) : 0;
    this.now = this.stack.now();
    this.group = null;
    this.asked = null;
    let link: boolean;
    if (type === TYPE_IPV4) {
      const stop = at + IPV4_HEADER <= end ? at + get16(frame, at + IPV4_TOTAL_LENGTH) : end + 1;
      const header = (frame[at] & 15) << 2;
      if (stop > end || header < IPV4_HEADER || at + header > stop) return false;
      if (frame[at + IPV4_PROTOCOL] === PROTOCOL_IGMP)
        return this.igmp(port, vlan, frame, at + header, stop, get32(frame, at + 12));
      link =
        get32(frame, at + IPV4_DESTINATION) >>> 8 === 0xe00000 ||
        !isMulticast4(get32(frame, at + IPV4_DESTINATION));
    } else if (type === TYPE_IPV6) {
      const stop =
        at + IPV6_HEADER <= end ? at + IPV6_HEADER + get16(frame, at + IPV6_PAYLOAD_LENGTH) : end + 1;
      if (stop > end) return false;
      const told = this.mld(port, vlan, frame, at, stop);
      if (told >= 0) return told > 0;
      link = !isMulticast6(frame, at + IPV6_DESTINATION) || (frame[at + IPV6_DESTINATION + 1] & 15) <= 2;
    } else return false;
    if (link) return false;
    const routers = this.router(vlan, type);
    // Nobody asks, so nobody answers: what is not known says nothing.
    if (!routers || !routers.places.any(this.now)) return false;
    this.group = this.find(vlan, get16(frame, start), get32(frame, start + 2));
    if (!this.group && this.table.size >= this.limit) return false;
    this.asked = routers;
    this.counters.pruned++;
    return true;
  }

  /** Does the frame that has been looked at go to `port`? */
  wants(port: Port): boolean {
    return (
      (this.asked !== null && this.asked.places.has(port, this.now)) ||
      (this.group !== null && this.group.places.has(port, this.now))
    );
  }

  private igmp(port: Port, vlan: number, data: Uint8Array, at: number, end: number, source: number): boolean {
    const type = at < end ? data[at] : 0;
    if (end - at < igmp.IGMP_LENGTH || this.stack.host.sum(data, at, end, 0) !== 0xffff)
      return this.malformed();
    const address = get32(data, at + igmp.IGMP_GROUP);
    if (type === igmp.IGMP_QUERY) {
      // A bridge that asks from 0.0.0.0 is no router (RFC 4541 section 2.1.1).
      return this.query(port, vlan, TYPE_IPV4, source !== 0, address !== 0, 0x0100, mac4(address));
    }
    if (type === igmp.IGMP_REPORT_V3) {
      let next = at + igmp.IGMP_LENGTH;
      for (let left = get16(data, at + igmp.REPORT_COUNT); left > 0; left--) {
        const count = next + RECORD4 <= end ? get16(data, next + 2) : 0xffff;
        const group = next + RECORD4 <= end ? get32(data, next + 4) : 0;
        const behind = next + RECORD4 + 4 * (count + (next + 1 < end ? data[next + 1] : 0));
        if (behind > end || !isMulticast4(group)) return this.malformed();
        if (joins(data[next], count)) this.join(port, vlan, 0x0100, mac4(group));
        next = behind;
      }
    } else if (type === igmp.IGMP_REPORT_V1 || type === igmp.IGMP_REPORT_V2) {
      if (!isMulticast4(address)) return this.malformed();
      this.join(port, vlan, 0x0100, mac4(address));
    } else if (type !== igmp.IGMP_LEAVE) return false;
    return this.report(vlan, TYPE_IPV4);
  }

  /** -1: no message of MLD; 0: it goes to all, 1: to routers. */
  private mld(port: Port, vlan: number, data: Uint8Array, network: number, end: number): number {
    const header = network + IPV6_HEADER;
    if (
      data[network + IPV6_NEXT_HEADER] !== HOP_BY_HOP ||
      header + 16 > end ||
      data[header] !== PROTOCOL_ICMPV6
    )
      return -1;
    const at = header + ((data[header + 1] + 1) << 3);
    const type = at < end ? data[at] : 0;
    if (
      type !== mld.MLD_QUERY &&
      type !== mld.MLD_REPORT &&
      type !== mld.MLD_DONE &&
      type !== mld.MLD2_REPORT
    )
      return -1;
    const length = end - at;
    const seed = fold(
      sum6(data, network + IPV6_SOURCE) + sum6(data, network + IPV6_DESTINATION) + PROTOCOL_ICMPV6 + length,
    );
    if (length < (type === mld.MLD2_REPORT ? 8 : 24) || this.stack.host.sum(data, at, end, seed) !== 0xffff) {
      this.malformed();
      return 0;
    }
    if (type === mld.MLD_QUERY) {
      const low = get32(data, at + 20);
      this.query(port, vlan, TYPE_IPV6, true, isMulticast6(data, at + 8), 0x3333, low);
      return 0;
    }
    if (type === mld.MLD2_REPORT) {
      let next = at + 8;
      for (let left = get16(data, at + 6); left > 0; left--) {
        const count = next + RECORD6 <= end ? get16(data, next + 2) : 0xffff;
        const behind = next + RECORD6 + 16 * count + 4 * (next + 1 < end ? data[next + 1] : 0);
        if (behind > end || !isMulticast6(data, next + 4)) {
          this.malformed();
          return 0;
        }
        if (joins(data[next], count)) this.join(port, vlan, 0x3333, get32(data, next + 16));
        next = behind;
      }
    } else if (type === mld.MLD_REPORT && isMulticast6(data, at + 8))
      this.join(port, vlan, 0x3333, get32(data, at + 20));
    return this.report(vlan, TYPE_IPV6) ? 1 : 0;
  }

  private malformed(): boolean {
    this.counters.malformed++;
    return false;
  }

  /** Reports are for routers: hosts that heard each other's would not make theirs (RFC 4541 section 2.1.1). */
  private report(vlan: number, type: number): boolean {
    this.counters.reports++;
    const routers = this.router(vlan, type);
    if (!routers || !routers.places.any(this.now)) return false;
    this.asked = routers;
    return true;
  }

  private query(
    port: Port,
    vlan: number,
    type: number,
    router: boolean,
    specific: boolean,
    high: number,
    low: number,
  ): boolean {
    this.counters.queries++;
    let routers = this.router(vlan, type);
    if (!routers && router && this.routers.length < 256) {
      routers = new Routers<Port>(vlan, type);
      this.routers.push(routers);
    }
    if (routers && router) routers.places.put(port, (this.now + QUERIER) | 0);
    const group = specific ? this.find(vlan, high, low) : null;
    if (group) group.places.lower((this.now + LAST_MEMBER) | 0);
    return false;
  }

  private router(vlan: number, type: number): Routers<Port> | null {
    for (let i = 0; i < this.routers.length; i++)
      if (this.routers[i].vlan === vlan && this.routers[i].type === type) return this.routers[i];
    return null;
  }

  private join(port: Port, vlan: number, high: number, low: number): void {
    let group = this.find(vlan, high, low);
    if (!group) {
      if (this.table.size >= this.limit) this.sweep();
      if (this.table.size >= this.limit) {
        this.counters.full++;
        return;
      }
      group = new Group<Port>(vlan, high, low);
      group.hash = this.hash(vlan, high, low);
      this.table.insert(group);
    }
    group.places.put(port, (this.now + LISTENER) | 0);
  }

  /** Forgets groups without listeners, once in ten seconds at most. */
  private sweep(): void {
    if (((this.now - this.sweepAt) | 0) < 0) return;
    this.sweepAt = (this.now + 10000) | 0;
    this.table.each((group) => {
      if (!group.places.any(this.now)) this.table.remove(group);
    });
  }

  private find(vlan: number, high: number, low: number): Group<Port> | null {
    let group = this.table.first(this.hash(vlan, high, low));
    while (group && (group.low !== low || group.high !== high || group.vlan !== vlan))
      group = group.nextInBucket;
    return group;
  }

  private hash(vlan: number, high: number, low: number): number {
    const hash = hashOf(this.stack);
    hash.begin(1);
    hash.word((vlan << 16) | high);
    hash.word(low);
    return hash.end();
  }
}

/** The last four bytes of the hardware address of a group (RFC 1112 section 6.4). */
function mac4(group: number): number {
  return 0x5e000000 | (group & 0x7fffff);
}

/** Does a group record say that somebody listens? */
function joins(type: number, count: number): boolean {
  return (
    type === igmp.IS_EXCLUDE ||
    type === igmp.TO_EXCLUDE ||
    ((type === igmp.IS_INCLUDE || type === igmp.TO_INCLUDE || type === igmp.ALLOW_NEW) && count > 0)
  );
}

/** Snooping, an argument of `bridge`. Counters: `snooping`. Throws `EINVAL`. */
export function snooping(options: SnoopingOptions = {}): Snooping {
  return new Snooping(requireInteger(options.limit || 512, 1, 65536, "limit"));
}

/**
 * IGMP, the host's side (RFC 3376, with RFC 2236 and RFC 1112 where the querier is older): joins and leaves of groups with source
 * filters, reports of changes, answers to queries.
 *
 * Bounds: `groups` memberships, 16 different filters each, `sources` sources a filter and a membership. A query never makes more
 * than one answer wait for a group, and one for all groups of an interface.
 */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL, ENOBUFS, fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { memberships } from "../core/membership.js";
import type { MulticastLoop } from "../core/multicast-loop.js";
import {
  Filter,
  Group,
  accepts,
  ask,
  countDown,
  findFilter,
  forgetChanges,
  isPending,
  merge,
} from "../core/group.js";
import type { GroupFilter } from "../core/network.js";
import { REASSEMBLED, ROUTER_ALERT } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import { Timer } from "../core/timers.js";
import { useGroup } from "../link/groups.js";
import * as wire from "../wire/igmp.js";
import { PROTOCOL_IGMP, isMulticast4 } from "../wire/ipv4.js";
import type { Address4 } from "./address.js";
import { TENTATIVE } from "./address.js";
import type { IgmpHooks, Ipv4 } from "./ipv4.js";
import { loopMulticast4 } from "./multicast-loop.js";
import type { Path4 } from "./path.js";

export class IgmpCounters {
  received = 0;
  /** Too short, more sources than bytes, fragmented, or about no group. */
  malformed = 0;
  badsum = 0;
  /** Not of this link: time to live other than 1. */
  badTtl = 0;
  /** Queries of version 2 or 3 without router alert (RFC 3376 section 9.1). */
  noAlert = 0;
  /** Not from a neighbour. */
  badSource = 0;
  /** Other types, and reports that nobody here has use for. */
  ignored = 0;
  queries = 0;
  /** Reports of others that made ours superfluous. */
  suppressed = 0;
  sent = 0;
  sendFailed = 0;
}

export interface IgmpOptions {
  /** Memberships, over all interfaces, 1..1024. Default 32. */
  groups?: number;
  /** Sources of a filter, and of all filters of a group together, 1..256. Default 64. */
  sources?: number;
}

/** Different filters of one membership. */
const FILTERS = 16;
/** RFC 3376 section 8, ms. */
const QUERY_INTERVAL = 125000;
const UNSOLICITED = 1000;
const UNSOLICITED_OLD = 10000;
const ROBUSTNESS = 2;
/** Router alert (RFC 2113): kind, length, value 0. */
const ALERT = 0x94040000 | 0;
/** Internetwork control. */
const TOS = 0xc0;

/** What is known of the queriers on an interface. */
class Querier {
  up = true;
  robustness = ROBUSTNESS;
  /** Until when queriers of version 1 and 2 count as present; only while these are true. */
  v1 = false;
  v1Until = 0;
  v2 = false;
  v2Until = 0;
  /** A general query waits for its answer, due at `responseAt`. */
  responding = false;
  responseAt = 0;

  constructor(readonly nif: Interface) {}
}

export class Igmp implements Component, IgmpHooks {
  readonly name = "igmp";
  readonly protocol = PROTOCOL_IGMP;
  readonly counters = new IgmpCounters();
  private stack: Stack = null as never;
  private loop: MulticastLoop = null as never;
  private ip: Ipv4 = null as never;
  private path: Path4 = null as never;
  private readonly groups: Group<number>[] = [];
  private readonly queriers: Querier[] = [];
  private readonly timer = new Timer(tick, this);
  /** Group records that wait for their report, as words. */
  private records: number[] = [];
  private recordCount = 0;

  constructor(
    private readonly groupLimit: number,
    private readonly sourceLimit: number,
  ) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "igmp");
    this.stack = stack;
    stack.transports.push(this);
    stack.memberships = memberships;
    stack.counters.igmp = this.counters as never;
  }

  start(): void {
    const ip = (this.ip = this.stack.network(4) as Ipv4);
    if (!ip) fail("ENOPROTOOPT", "igmp needs ipv4");
    ip.igmp = this;
    ip.join = (group, nif, sources) => this.membership(group, nif, sources, true);
    ip.leave = (group, nif, sources) => this.membership(group, nif, sources, false);
    this.loop = loopMulticast4(ip);
    this.path = ip.createPath();
    this.path.ttl = 1;
    this.path.tos = TOS;
    this.path.option = ALERT;
    ip.onAddressChange.push((address: Address4, present: boolean) => {
      // The first address: what could not be reported before can be now.
      if (present && address.state !== TENTATIVE) this.announce(address.nif);
    });
  }

  interfaceAdded(nif: Interface): void {
    this.queriers.push(new Querier(nif));
    hardware(nif, wire.ALL_HOSTS, 1);
  }

  interfaceChanged(nif: Interface): void {
    const querier = this.querier(nif);
    if (!querier || querier.up === nif.up()) return;
    querier.up = nif.up();
    // Another network, perhaps: nothing is known of its queriers, and they know nothing of us.
    querier.v1 = querier.v2 = false;
    querier.robustness = ROBUSTNESS;
    this.cancel(querier);
    this.announce(nif);
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.groups.length - 1; i >= 0; i--) {
      if (this.groups[i].nif === nif) this.groups.splice(i, 1);
    }
    for (let i = this.queriers.length - 1; i >= 0; i--) {
      if (this.queriers[i].nif === nif) this.queriers.splice(i, 1);
    }
    this.schedule();
  }

  close(): void {
    this.loop.close();
    while (this.groups.length > 0) this.groups.pop();
    this.schedule();
  }

  /* From IPv4 */

  accepts(nif: Interface, group: number, source: number): boolean {
    if (group === wire.ALL_HOSTS) return true;
    const found = this.find(nif, group);
    // A router's queries about the group go to the group itself, whatever the sockets want of it: see input.ts.
    return found !== null && (source === -1 || accepts(found, source));
  }

  /** For the sockets: `nif` null joins where the route to the group leads, and leaves wherever it was joined. */
  private membership(
    text: string,
    nif: Interface | null,
    sources: GroupFilter | null,
    join: boolean,
  ): number {
    const group = parse4(text);
    if (group === null) return EAFNOSUPPORT;
    if (!isMulticast4(group)) fail("EINVAL", "group " + text);
    if (!join) return this.leave(nif, group, sources);
    if (!nif) {
      const entry = this.ip.fib.lookup(group, null);
      nif = entry ? entry.nif : this.ip.firstInterface();
    }
    return nif ? this.join(nif, group, sources) : EADDRNOTAVAIL;
  }

  private join(nif: Interface, address: number, filter: GroupFilter | null): number {
    const exclude = !filter || filter.exclude === true;
    const sources = this.sources(filter);
    if (!sources) return EINVAL;
    if (nif.removed) return EADDRNOTAVAIL;
    // Every host is a member of this one, and reports it to nobody.
    if (address === wire.ALL_HOSTS) return 0;
    let group = this.find(nif, address);
    const known = group && findFilter(group, exclude, sources);
    if (known) {
      known.users++;
      return 0;
    }
    if (!group) {
      if (this.groups.length >= this.groupLimit) return ENOBUFS;
      group = new Group(nif, address);
      this.groups.push(group);
    }
    let count = sources.length;
    for (let i = 0; i < group.filters.length; i++) count += group.filters[i].sources.length;
    if (group.filters.length >= FILTERS || count > this.sourceLimit) return ENOBUFS;
    group.filters.push(new Filter(exclude, sources));
    if (group.filters.length === 1) hardware(nif, address, 1);
    this.update(group);
    return 0;
  }

  private leave(nif: Interface | null, address: number, filter: GroupFilter | null): number {
    const exclude = !filter || filter.exclude === true;
    const sources = this.sources(filter);
    if (!sources) return EINVAL;
    if (address === wire.ALL_HOSTS) return 0;
    for (let i = 0; i < this.groups.length; i++) {
      const group = this.groups[i];
      if (group.address !== address || (nif && group.nif !== nif)) continue;
      const known = findFilter(group, exclude, sources);
      if (!known) continue;
      if (--known.users > 0) return 0;
      group.filters.splice(group.filters.indexOf(known), 1);
      if (group.filters.length === 0) hardware(group.nif, address, -1);
      this.update(group);
      return 0;
    }
    return EADDRNOTAVAIL;
  }

  input(packet: Packet): void {
    const counters = this.counters;
    const data = packet.data;
    const at = packet.start;
    const length = packet.end - at;
    counters.received++;
    if (packet.net !== this.ip || packet.flags & REASSEMBLED || length < wire.IGMP_LENGTH)
      counters.malformed++;
    else if (this.stack.host.sum(data, at, packet.end, 0) !== 0xffff) counters.badsum++;
    else if (packet.ttl !== 1) counters.badTtl++;
    else if (!this.ip.isOnLink(packet.nif as Interface, packet.source)) counters.badSource++;
    else {
      const type = data[at];
      const querier = this.querier(packet.nif as Interface) as Querier;
      if (type === wire.IGMP_QUERY) this.query(packet, querier, length);
      else if ((type === wire.IGMP_REPORT_V1 || type === wire.IGMP_REPORT_V2) && version(querier) < 3) {
        const group = this.find(querier.nif, get32(data, at + wire.IGMP_GROUP));
        if (group && group.responding) {
          group.responding = false;
          counters.suppressed++;
        } else counters.ignored++;
      } else counters.ignored++;
    }
  }

  /** RFC 3376 section 5.2; sections 7.2.1 and 9.1 for what is refused and who is older. */
  private query(packet: Packet, querier: Querier, length: number): void {
    const counters = this.counters;
    const data = packet.data;
    const at = packet.start;
    const address = get32(data, at + wire.IGMP_GROUP);
    const code = data[at + wire.IGMP_MAX_RESPONSE];
    const of = length > wire.IGMP_LENGTH ? 3 : code === 0 ? 1 : 2;
    const count = of === 3 && length >= wire.QUERY_V3_LENGTH ? get16(data, at + wire.QUERY_COUNT) : 0;
    if (
      (of === 3 && length < wire.QUERY_V3_LENGTH + 4 * count) ||
      (address === 0 ? count > 0 : !isMulticast4(address)) ||
      (address === 0 && isMulticast4(packet.destination) && packet.destination !== wire.ALL_HOSTS)
    ) {
      counters.malformed++;
      return;
    }
    if (of > 1 && (packet.flags & ROUTER_ALERT) === 0) {
      counters.noAlert++;
      return;
    }
    counters.queries++;
    const now = this.stack.now();
    // Tenths of a second; above 127 in version 3 a float of 3 bits exponent, 4 bits mantissa.
    const tenths =
      of === 1 ? 100 : of === 3 && code > 127 ? (0x10 | (code & 15)) << (((code >> 4) & 7) + 3) : code || 1;
    const before = version(querier);
    const present = (now + querier.robustness * QUERY_INTERVAL + tenths * 100) | 0;
    if (of === 1) {
      querier.v1 = true;
      querier.v1Until = present;
    } else if (of === 2 && address === 0) {
      querier.v2 = true;
      querier.v2Until = present;
    } else if (of === 3) querier.robustness = data[at + wire.QUERY_ROBUSTNESS] & 7 || ROBUSTNESS;
    if (version(querier) !== before) this.cancel(querier);
    const due = this.later(tenths * 100);
    if (!querier.responding || ((querier.responseAt - due) | 0) > 0) {
      if (address !== 0) this.ask(querier, address, due, data, at + wire.QUERY_SOURCES, count);
      else if (version(querier) === 3) {
        querier.responding = true;
        querier.responseAt = due;
      } else {
        for (let i = 0; i < this.groups.length; i++) {
          const group = this.groups[i];
          if (group.nif === querier.nif)
            this.ask(querier, group.address, this.later(tenths * 100), data, 0, 0);
        }
      }
    }
    this.schedule();
  }

  /** A group is asked for, or `count` of its sources. */
  private ask(
    querier: Querier,
    address: number,
    due: number,
    data: Uint8Array,
    at: number,
    count: number,
  ): void {
    const group = this.find(querier.nif, address);
    if (!group || group.filters.length === 0) return;
    const sources: number[] = [];
    for (let i = 0; i < count; i++) sources.push(get32(data, at + 4 * i));
    ask(group, sources, due, this.sourceLimit);
  }

  /* Reports */

  /** Merges a group's filters again, and reports what has changed. */
  private update(group: Group<number>): void {
    const querier = this.querier(group.nif);
    if (!merge(group, querier ? querier.robustness : ROBUSTNESS)) return;
    this.change(group);
    this.schedule();
  }

  /** Reports all groups of an interface as if they had just been joined. */
  private announce(nif: Interface): void {
    const querier = this.querier(nif);
    for (let i = 0; i < this.groups.length; i++) {
      const group = this.groups[i];
      if (group.nif !== nif || group.filters.length === 0 || !querier) continue;
      group.modeLeft = querier.robustness;
      forgetChanges(group);
      group.reportAt = this.later(UNSOLICITED);
    }
    this.schedule();
  }

  /** Reports a group's change once (section 5.1). The group goes when nothing is left of it. */
  private change(group: Group<number>): void {
    const querier = this.querier(group.nif);
    const of = querier ? version(querier) : 3;
    const member = group.filters.length > 0;
    if (of === 3) {
      const changed = group.changed;
      if (group.modeLeft > 0) {
        this.record(group, group.exclude ? wire.TO_EXCLUDE : wire.TO_INCLUDE, group.sources);
      } else {
        const allow: number[] = [];
        const block: number[] = [];
        for (let i = 0; i < changed.length; i++) {
          if (accepts(group, changed[i])) allow.push(changed[i]);
          else block.push(changed[i]);
        }
        if (allow.length > 0) this.record(group, wire.ALLOW_NEW, allow);
        if (block.length > 0) this.record(group, wire.BLOCK_OLD, block);
      }
      this.flush(group.nif);
    } else if (member) this.old(group, of);
    else if (of === 2) this.send(group.nif, wire.ALL_ROUTERS, wire.IGMP_LEAVE, group.address, 0);
    countDown(group);
    // The older versions say goodbye once.
    if (of < 3 && !member) {
      group.modeLeft = 0;
      forgetChanges(group);
    }
    group.reportAt = this.later(of === 3 ? UNSOLICITED : UNSOLICITED_OLD);
    this.tidy(group);
  }

  /** Answers a query for a group. */
  private respond(group: Group<number>): void {
    const querier = this.querier(group.nif) as Querier;
    const of = version(querier);
    const asked = group.asked;
    group.responding = false;
    if (of < 3) this.old(group, of);
    else if (asked.length === 0) this.state(group);
    else {
      const sources: number[] = [];
      for (let i = 0; i < asked.length; i++) if (accepts(group, asked[i])) sources.push(asked[i]);
      if (sources.length > 0) this.record(group, wire.IS_INCLUDE, sources);
    }
    group.asked = [];
  }

  private state(group: Group<number>): void {
    this.record(group, group.exclude ? wire.IS_EXCLUDE : wire.IS_INCLUDE, group.sources);
  }

  /** A report of version 1 or 2, to the group itself. */
  private old(group: Group<number>, of: number): void {
    const type = of === 2 ? wire.IGMP_REPORT_V2 : wire.IGMP_REPORT_V1;
    this.send(group.nif, group.address, type, group.address, 0);
  }

  /** Adds a group record to the report; full reports go at once. */
  private record(group: Group<number>, type: number, sources: number[]): void {
    const records = this.records;
    const words = records.length + 2 + sources.length;
    if (records.length > 0 && 24 + wire.IGMP_LENGTH + 4 * words > group.nif.mtu) this.flush(group.nif);
    this.records.push((type << 24) | sources.length, group.address);
    for (let i = 0; i < sources.length; i++) this.records.push(sources[i]);
    this.recordCount++;
  }

  private flush(nif: Interface): void {
    if (this.recordCount > 0) {
      this.send(nif, wire.ALL_REPORTS, wire.IGMP_REPORT_V3, this.recordCount, this.records.length);
    }
    this.records = [];
    this.recordCount = 0;
  }

  /** Sends a message: its type, a word, and the first `count` words of the records. */
  private send(nif: Interface, to: number, type: number, word: number, count: number): void {
    if (nif === this.ip.loopback || !nif.up()) return;
    const packet = this.stack.prepare(wire.IGMP_LENGTH + 4 * count);
    const path = this.path;
    path.bound = nif;
    path.remote = to;
    path.generation = 0;
    let code = -1;
    if (packet) {
      const data = packet.data;
      const at = packet.start;
      put32(data, at, type << 24);
      put32(data, at + wire.IGMP_GROUP, word);
      for (let i = 0; i < count; i++) put32(data, at + wire.IGMP_LENGTH + 4 * i, this.records[i]);
      put16(data, at + wire.IGMP_CHECKSUM, ~this.stack.host.sum(data, at, packet.end, 0));
      code = this.ip.output(packet, path, PROTOCOL_IGMP);
    }
    if (code < 0) this.counters.sendFailed++;
    else this.counters.sent++;
  }

  /* Time */

  /** Does what is due. */
  run(): void {
    const now = this.stack.now();
    for (let q = 0; q < this.queriers.length; q++) {
      const querier = this.queriers[q];
      const before = version(querier);
      if (querier.v1 && ((querier.v1Until - now) | 0) <= 0) querier.v1 = false;
      if (querier.v2 && ((querier.v2Until - now) | 0) <= 0) querier.v2 = false;
      if (version(querier) !== before) this.cancel(querier);
      const all = querier.responding && ((querier.responseAt - now) | 0) <= 0;
      if (all) querier.responding = false;
      for (let i = this.groups.length - 1; i >= 0; i--) {
        const group = this.groups[i];
        if (group.nif !== querier.nif) continue;
        if (all && group.filters.length > 0) {
          group.responding = false;
          this.state(group);
        } else if (group.responding && ((group.responseAt - now) | 0) <= 0) this.respond(group);
      }
      this.flush(querier.nif);
      for (let i = this.groups.length - 1; i >= 0; i--) {
        const group = this.groups[i];
        if (group.nif === querier.nif && isPending(group) && ((group.reportAt - now) | 0) <= 0)
          this.change(group);
      }
    }
    this.schedule();
  }

  /** Arms the timer for what is due next. */
  private schedule(): void {
    const now = this.stack.now();
    let next = -1;
    const due = (on: boolean, at: number) => {
      const left = (at - now) | 0;
      if (on && (next < 0 || left < next)) next = left > 0 ? left : 0;
    };
    for (let i = 0; i < this.queriers.length; i++) {
      const querier = this.queriers[i];
      due(querier.v1, querier.v1Until);
      due(querier.v2, querier.v2Until);
      due(querier.responding, querier.responseAt);
    }
    for (let i = 0; i < this.groups.length; i++) {
      const group = this.groups[i];
      due(group.responding, group.responseAt);
      due(isPending(group), group.reportAt);
    }
    this.stack.timers.clear(this.timer);
    if (next >= 0) this.stack.timers.set(this.timer, (now + next) | 0);
  }

  /** A random time within `range` ms from now. */
  private later(range: number): number {
    return (this.stack.now() + 1 + this.stack.host.randomBelow(range)) | 0;
  }

  /** Forgets what waits to be sent on an interface: its version has changed (section 7.2.1). */
  private cancel(querier: Querier): void {
    querier.responding = false;
    for (let i = this.groups.length - 1; i >= 0; i--) {
      const group = this.groups[i];
      if (group.nif !== querier.nif) continue;
      group.responding = false;
      group.modeLeft = 0;
      forgetChanges(group);
      this.tidy(group);
    }
  }

  /** Forgets a group that nobody has joined and of which nothing is left to be reported. */
  private tidy(group: Group<number>): void {
    if (group.filters.length > 0) return;
    group.responding = false;
    if (!isPending(group)) this.groups.splice(this.groups.indexOf(group), 1);
  }

  private find(nif: Interface, address: number): Group<number> | null {
    for (let i = 0; i < this.groups.length; i++) {
      if (this.groups[i].address === address && this.groups[i].nif === nif) return this.groups[i];
    }
    return null;
  }

  private querier(nif: Interface): Querier | null {
    for (let i = 0; i < this.queriers.length; i++) {
      if (this.queriers[i].nif === nif) return this.queriers[i];
    }
    return null;
  }

  /** A filter's sources as numbers, in order and each once; null: bad text, or too many. */
  private sources(filter: GroupFilter | null): number[] | null {
    const list: number[] = [];
    if (!filter) return list;
    if (!filter.sources || filter.sources.length > this.sourceLimit) return null;
    for (let i = 0; i < filter.sources.length; i++) {
      const source = parse4(filter.sources[i]);
      if (source === null) return null;
      let at = 0;
      while (at < list.length && list[at] < source) at++;
      if (list[at] !== source) list.splice(at, 0, source);
    }
    return list;
  }
}

/** The version of IGMP to speak (section 7.2.1). */
function version(querier: Querier): number {
  return querier.v1 ? 1 : querier.v2 ? 2 : 3;
}

/** Tells the link of a group (RFC 1112 section 6.4). */
function hardware(nif: Interface, group: number, by: number): void {
  if (nif.medium.resolves) useGroup(nif, 0x0100, 0x5e000000 | (group & 0x7fffff), by);
}

function tick(igmp: Igmp): void {
  igmp.run();
}

/** The IGMP component. Needs `ipv4`. Counters: `igmp`. */
export function igmp(options: IgmpOptions = {}): Igmp {
  return new Igmp(
    requireInteger(options.groups || 32, 1, 1024, "groups"),
    requireInteger(options.sources || 64, 1, 256, "sources"),
  );
}

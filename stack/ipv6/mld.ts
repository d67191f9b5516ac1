/**
 * Multicast listener discovery, the host's side (RFC 3810 and RFC 9777, with RFC 2710 where the querier is older): reports of the
 * groups that ipv6.ts has joined, with their source filters, and answers to queries.
 *
 * Bounds: `groups` groups, those left that are still to be reported among them; `sources` sources a group, beyond which it takes
 * what comes from anyone. A query never makes more than one answer wait for a group, and one for all groups of an interface.
 */
import { get16, put16 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import { fail, requireInteger } from "../core/errors.js";
import { Filter, Group, accepts, ask, countDown, forgetChanges, isPending, merge } from "../core/group.js";
import type { Interface } from "../core/interface.js";
import type { MulticastLoop } from "../core/multicast-loop.js";
import { REASSEMBLED, ROUTER_ALERT } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { format6, parse6 } from "../core/text6.js";
import { Timer } from "../core/timers.js";
import * as wire from "../wire/icmpv6.js";
import {
  HOP_BY_HOP,
  IPV6_DESTINATION,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  PROTOCOL_ICMPV6,
  isLinkLocal6,
  isMulticast6,
  isUnspecified6,
  scopeOf,
} from "../wire/ipv6.js";
import { isUsable } from "./address.js";
import { Icmpv6 } from "./icmpv6.js";
import type { MessageHandler } from "./icmpv6.js";
import type { Membership } from "./groups.js";
import type { MldHooks } from "./hooks.js";
import type { Ipv6 } from "./ipv6.js";
import { loopMulticast6 } from "./multicast-loop.js";
import { LOCAL, REMOTE } from "./path.js";
import type { Path6 } from "./path.js";

export class MldCounters {
  received = 0;
  /** Too short, more sources than bytes, fragmented, or about no group. */
  malformed = 0;
  /** Hop limit other than 1. */
  badHopLimit = 0;
  /** Without router alert. */
  noAlert = 0;
  /** Not from a link-local address. */
  badSource = 0;
  /** Reports that nobody here has use for. */
  ignored = 0;
  queries = 0;
  /** Reports of others that made ours superfluous. */
  suppressed = 0;
  sent = 0;
  sendFailed = 0;
  /** Groups that could not be reported, or not with all their sources. */
  overflow = 0;
}

export interface MldOptions {
  /** Groups, over all interfaces, 1..1024. Default 128. */
  groups?: number;
  /** Sources of all filters of a group together, 1..64. Default 64. */
  sources?: number;
}

/** Lengths and offsets of messages (RFC 3810 section 5.1). */
const MESSAGE = 24;
const QUERY_V2 = 28;
const GROUP = 8;
const ROBUSTNESS_AT = 24;
const COUNT = 26;
/** Types of group records (section 5.2.12). */
const IS_INCLUDE = 1;
const IS_EXCLUDE = 2;
const TO_INCLUDE = 3;
const TO_EXCLUDE = 4;
const ALLOW_NEW = 5;
const BLOCK_OLD = 6;
/** Section 9, ms. */
const QUERY_INTERVAL = 125000;
const UNSOLICITED = 1000;
const UNSOLICITED_OLD = 10000;
const ROBUSTNESS = 2;
/** The hop-by-hop header with router alert, value 0 (RFC 2711), and padding. */
const ALERT = 8;
/** Bytes before the records: IPv6 header, hop-by-hop header, ICMPv6 header. */
const BEFORE = 40 + ALERT + wire.ICMPV6_HEADER;

/** What is known of the queriers on an interface. */
class Querier {
  up = true;
  robustness = ROBUSTNESS;
  /** A querier of version 1 is present until `oldUntil`. */
  old = false;
  oldUntil = 0;
  /** A general query waits for its answer, due at `responseAt`. */
  responding = false;
  responseAt = 0;

  constructor(readonly nif: Interface) {}
}

/** A group record that waits for its report. */
interface Report {
  type: number;
  group: string;
  sources: string[];
}

export class Mld implements Component, MldHooks, MessageHandler {
  readonly name = "mld";
  readonly counters = new MldCounters();
  private stack: Stack = null as never;
  private loop: MulticastLoop = null as never;
  private ip: Ipv6 = null as never;
  private path: Path6 = null as never;
  private readonly groups: Group<string>[] = [];
  private readonly queriers: Querier[] = [];
  private readonly timer = new Timer(tick, this);
  private records: Report[] = [];
  private bytes = 0;

  constructor(
    private readonly groupLimit: number,
    private readonly sourceLimit: number,
  ) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "mld");
    this.stack = stack;
    stack.counters.mld = this.counters as never;
  }

  start(): void {
    const ip = this.stack.network(6) as Ipv6;
    const icmp = this.stack.component(Icmpv6);
    if (!ip || !icmp) return fail("ENOPROTOOPT", "mld needs ipv6 and icmpv6");
    this.ip = ip;
    ip.mld = this;
    this.loop = loopMulticast6(ip);
    icmp.handlers.push(this);
    this.path = ip.createPath();
    this.path.ttl = 1;
    ip.onAddressChange.push((address, present) => {
      // Snooping switches believe only what comes from a link-local address: tell them again (RFC 3590).
      if (present && isUsable(address) && isLinkLocal6(address.bytes, 0)) this.announce(address.nif);
    });
  }

  interfaceAdded(nif: Interface): void {
    this.querier(nif);
  }

  interfaceChanged(nif: Interface): void {
    const querier = this.querier(nif);
    if (querier.up === nif.up()) return;
    querier.up = nif.up();
    // Another network, perhaps: nothing is known of its queriers, and they know nothing of us.
    querier.old = false;
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
    while (this.queriers.length > 0) this.queriers.pop();
    this.schedule();
  }

  /* From IPv6 */

  accepts(entry: Membership, packet: Packet): boolean {
    if (entry.users > entry.filters.length) return true;
    const data = packet.data;
    const source = packet.network + IPV6_SOURCE;
    // A router's queries about the group go to the group itself, whatever the sockets want of it.
    if (
      packet.ttl === 1 &&
      data[packet.network + IPV6_NEXT_HEADER] === HOP_BY_HOP &&
      isLinkLocal6(data, source)
    ) {
      return true;
    }
    const group = this.find(entry.nif, format6(entry.group, 0));
    return !group || accepts(group, format6(data, source));
  }

  changed(entry: Membership): void {
    const address = format6(entry.group, 0);
    // All nodes, and what does not leave the interface, is not reported (section 6).
    if (entry.nif === this.ip.loopback || scopeOf(entry.group, 0) < 2) return;
    if (address === "ff02::1") return;
    let group = this.find(entry.nif, address);
    if (!group) {
      if (entry.users <= 0) return;
      if (this.groups.length >= this.groupLimit) {
        this.counters.overflow++;
        return;
      }
      group = new Group<string>(entry.nif, address);
      this.groups.push(group);
    }
    const filters = group.filters;
    let count = 0;
    while (filters.length > 0) filters.pop();
    for (let i = 0; i < entry.filters.length && entry.users > 0; i++) {
      const sources = canonical(entry.filters[i].sources);
      count += sources.length;
      filters.push(new Filter(entry.filters[i].exclude === true, sources));
    }
    if (count > this.sourceLimit) this.counters.overflow++;
    if (count > this.sourceLimit || entry.users > entry.filters.length)
      filters.push(new Filter<string>(true, []));
    if (!merge(group, this.querier(group.nif).robustness)) return;
    this.report(group);
    this.schedule();
  }

  /* From ICMPv6 */

  message(packet: Packet, type: number): boolean {
    if (
      type !== wire.MLD_QUERY &&
      type !== wire.MLD_REPORT &&
      type !== wire.MLD_DONE &&
      type !== wire.MLD2_REPORT
    ) {
      return false;
    }
    const counters = this.counters;
    const data = packet.data;
    const at = packet.start;
    const length = packet.end - at;
    counters.received++;
    if (packet.ttl !== 1) counters.badHopLimit++;
    else if ((packet.flags & ROUTER_ALERT) === 0) counters.noAlert++;
    else if (!isLinkLocal6(data, packet.network + IPV6_SOURCE)) counters.badSource++;
    else if (type === wire.MLD2_REPORT || type === wire.MLD_DONE) counters.ignored++;
    else if (packet.flags & REASSEMBLED || length < MESSAGE) counters.malformed++;
    else {
      const querier = this.querier(packet.nif as Interface);
      if (type === wire.MLD_QUERY) this.query(packet, querier, length);
      else {
        const group = querier.old ? this.find(querier.nif, format6(data, at + GROUP)) : null;
        if (group && group.responding) {
          group.responding = false;
          counters.suppressed++;
        } else counters.ignored++;
      }
    }
    return true;
  }

  /** Section 6.2; section 8.2.1 for who is older. */
  private query(packet: Packet, querier: Querier, length: number): void {
    const data = packet.data;
    const at = packet.start;
    const old = length === MESSAGE;
    const general = isUnspecified6(data, at + GROUP);
    const count = length >= QUERY_V2 ? get16(data, at + COUNT) : 0;
    const to = packet.network + IPV6_DESTINATION;
    if (
      (!old && length < QUERY_V2 + 16 * count) ||
      (general
        ? count > 0 || (isMulticast6(data, to) && format6(data, to) !== "ff02::1")
        : !isMulticast6(data, at + GROUP))
    ) {
      this.counters.malformed++;
      return;
    }
    this.counters.queries++;
    const code = get16(data, at + wire.ICMPV6_WORD);
    // Milliseconds; above 32767 in version 2 a float of 3 bits exponent, 12 bits mantissa.
    const delay = old || code < 0x8000 ? code || 1 : ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3);
    if (old) {
      if (!querier.old) this.cancel(querier);
      querier.old = true;
      querier.oldUntil = (this.stack.now() + querier.robustness * QUERY_INTERVAL + delay) | 0;
    } else querier.robustness = data[at + ROBUSTNESS_AT] & 7 || ROBUSTNESS;
    const due = this.later(delay);
    if (!querier.responding || ((querier.responseAt - due) | 0) > 0) {
      if (!general) {
        const sources: string[] = [];
        // More than is remembered need not be read.
        for (let i = 0; i < count && i <= this.sourceLimit; i++)
          sources.push(format6(data, at + QUERY_V2 + 16 * i));
        const group = this.find(querier.nif, format6(data, at + GROUP));
        if (group && group.filters.length > 0) ask(group, sources, due, this.sourceLimit);
      } else if (!querier.old) {
        querier.responding = true;
        querier.responseAt = due;
      } else {
        for (let i = 0; i < this.groups.length; i++) {
          const group = this.groups[i];
          if (group.nif === querier.nif && group.filters.length > 0) ask(group, [], this.later(delay), 0);
        }
      }
    }
    this.schedule();
  }

  /* Reports */

  /** Reports all groups of an interface as if they had just been joined. */
  private announce(nif: Interface): void {
    const querier = this.querier(nif);
    for (let i = 0; i < this.groups.length; i++) {
      const group = this.groups[i];
      if (group.nif !== nif || group.filters.length === 0) continue;
      group.modeLeft = querier.robustness;
      forgetChanges(group);
      group.reportAt = this.later(UNSOLICITED);
    }
    this.schedule();
  }

  /** Reports a group's change once (section 6.1). The group goes when nothing is left of it. */
  private report(group: Group<string>): void {
    const old = this.querier(group.nif).old;
    const member = group.filters.length > 0;
    if (!old) {
      const changed = group.changed;
      if (group.modeLeft > 0) this.record(group, group.exclude ? TO_EXCLUDE : TO_INCLUDE, group.sources);
      else {
        const allow: string[] = [];
        const block: string[] = [];
        for (let i = 0; i < changed.length; i++)
          (accepts(group, changed[i]) ? allow : block).push(changed[i]);
        if (allow.length > 0) this.record(group, ALLOW_NEW, allow);
        if (block.length > 0) this.record(group, BLOCK_OLD, block);
      }
      this.flush(group.nif);
    } else if (member) this.send(group.nif, group.address, wire.MLD_REPORT, group.address);
    else this.send(group.nif, "ff02::2", wire.MLD_DONE, group.address);
    countDown(group);
    // The older version says goodbye once.
    if (old && !member) {
      group.modeLeft = 0;
      forgetChanges(group);
    }
    group.reportAt = this.later(old ? UNSOLICITED_OLD : UNSOLICITED);
    this.tidy(group);
  }

  /** Answers a query for a group. */
  private respond(group: Group<string>): void {
    const asked = group.asked;
    group.responding = false;
    group.asked = [];
    if (this.querier(group.nif).old) this.send(group.nif, group.address, wire.MLD_REPORT, group.address);
    else if (asked.length === 0) this.state(group);
    else {
      const sources: string[] = [];
      for (let i = 0; i < asked.length; i++) if (accepts(group, asked[i])) sources.push(asked[i]);
      if (sources.length > 0) this.record(group, IS_INCLUDE, sources);
    }
  }

  private state(group: Group<string>): void {
    this.record(group, group.exclude ? IS_EXCLUDE : IS_INCLUDE, group.sources);
  }

  /** Adds a group record to the report; full reports go at once. */
  private record(group: Group<string>, type: number, sources: string[]): void {
    const bytes = 20 + 16 * sources.length;
    if (BEFORE + this.bytes + bytes > group.nif.mtu) this.flush(group.nif);
    this.records.push({ type, group: group.address, sources });
    this.bytes += bytes;
  }

  private flush(nif: Interface): void {
    if (this.records.length > 0) this.send(nif, "ff02::16", wire.MLD2_REPORT, "");
    this.records = [];
    this.bytes = 0;
  }

  /** Sends a message of version 1 about `group`, or the records. */
  private send(nif: Interface, to: string, type: number, group: string): void {
    if (nif === this.ip.loopback || !nif.up()) return;
    const ip = this.ip;
    const path = this.path;
    const length = wire.ICMPV6_HEADER + (group ? 16 : this.bytes);
    const packet = this.stack.prepare(ALERT + length);
    path.bound = nif;
    path.ends.set(parse6(to) as Uint8Array, REMOTE);
    path.generation = 0;
    path.fixed = false;
    for (let i = 0; i < ip.addresses.length && !path.fixed; i++) {
      const entry = ip.addresses[i];
      if (entry.nif !== nif || !isUsable(entry) || !isLinkLocal6(entry.bytes, 0)) continue;
      path.fixed = true;
      path.ends.set(entry.bytes, LOCAL);
    }
    path.anonymous = !path.fixed;
    let code = packet ? ip.route(path) : -1;
    if (packet && code >= 0) {
      const data = packet.data;
      const start = packet.start;
      const at = start + ALERT;
      put16(data, start, PROTOCOL_ICMPV6 << 8);
      put16(data, start + 2, 0x0502);
      put16(data, start + 4, 0);
      put16(data, start + 6, 0x0100);
      put16(data, at, type << 8);
      put16(data, at + wire.ICMPV6_CHECKSUM, 0);
      put16(data, at + 4, 0);
      put16(data, at + 6, group ? 0 : this.records.length);
      if (group) data.set(parse6(group) as Uint8Array, at + GROUP);
      else this.emitRecords(data, at + wire.ICMPV6_HEADER);
      const seed = fold(path.pseudo + PROTOCOL_ICMPV6 + length);
      put16(data, at + wire.ICMPV6_CHECKSUM, ~this.stack.host.sum(data, at, packet.end, seed));
      code = ip.output(packet, path, HOP_BY_HOP);
    }
    if (code < 0) this.counters.sendFailed++;
    else this.counters.sent++;
  }

  private emitRecords(data: Uint8Array, at: number): void {
    for (let i = 0; i < this.records.length; i++) {
      const record = this.records[i];
      const sources = record.sources;
      put16(data, at, record.type << 8);
      put16(data, at + 2, sources.length);
      data.set(parse6(record.group) as Uint8Array, at + 4);
      at += 20;
      for (let k = 0; k < sources.length; k++, at += 16) data.set(parse6(sources[k]) as Uint8Array, at);
    }
  }

  /* Time */

  /** Does what is due. */
  run(): void {
    const now = this.stack.now();
    for (let q = 0; q < this.queriers.length; q++) {
      const querier = this.queriers[q];
      if (querier.old && ((querier.oldUntil - now) | 0) <= 0) {
        querier.old = false;
        this.cancel(querier);
      }
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
          this.report(group);
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
      due(querier.old, querier.oldUntil);
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

  /** Forgets what waits to be sent on an interface: its version has changed (section 8.2.1). */
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
  private tidy(group: Group<string>): void {
    if (group.filters.length > 0) return;
    group.responding = false;
    if (!isPending(group)) this.groups.splice(this.groups.indexOf(group), 1);
  }

  private find(nif: Interface, address: string): Group<string> | null {
    for (let i = 0; i < this.groups.length; i++) {
      if (this.groups[i].address === address && this.groups[i].nif === nif) return this.groups[i];
    }
    return null;
  }

  /** What is known of an interface's queriers: ipv6.ts may join groups before this component has heard of the interface. */
  private querier(nif: Interface): Querier {
    for (let i = 0; i < this.queriers.length; i++) {
      if (this.queriers[i].nif === nif) return this.queriers[i];
    }
    const made = new Querier(nif);
    if (!nif.removed) this.queriers.push(made);
    return made;
  }
}

/** Addresses in their one form, each once; what is none is left out. */
function canonical(texts: string[]): string[] {
  const list: string[] = [];
  for (let i = 0; texts && i < texts.length; i++) {
    const bytes = parse6(texts[i]);
    const text = bytes ? format6(bytes, 0) : "";
    if (bytes && list.indexOf(text) < 0) list.push(text);
  }
  return list;
}

function tick(mld: Mld): void {
  mld.run();
}

/** The MLD component. Needs `ipv6` and `icmpv6`. Counters: `mld`. */
export function mld(options: MldOptions = {}): Mld {
  return new Mld(
    requireInteger(options.groups || 128, 1, 1024, "groups"),
    requireInteger(options.sources || 64, 1, 64, "sources"),
  );
}

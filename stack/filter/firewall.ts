/**
 * A stateful firewall for IPv4 and IPv6, and the place where addresses are translated (napt.ts).
 *
 * What begins a flow is judged by rules; what belongs to one, or is an ICMP error about one, passes. Rules name zones, to which
 * interfaces are assigned; without rules everything that this host has not asked for is refused. Judged are packets at the points of
 * core/network.ts: PREROUTING finds the flow and gives the packet its inner destination, INPUT and FORWARD judge, POSTROUTING gives
 * it its outer source and remembers the flow, OUTPUT remembers what this host itself begins.
 */
import { get32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import type { Sum } from "../core/checksum.js";
import { fail, requireInteger } from "../core/errors.js";
import { hashOf, secure } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import { FORWARD, INPUT, OUTPUT, PREROUTING } from "../core/network.js";
import type { Network } from "../core/network.js";
import { LINK_BROADCAST, LINK_MULTICAST, NET_BROADCAST, PROTECTED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { Address4 } from "../ipv4/address.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Address6 } from "../ipv6/address.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { PORT_UNREACHABLE, REDIRECT, UNREACHABLE } from "../wire/icmp.js";
import { PORT_UNREACHABLE6, UNREACHABLE6 } from "../wire/icmpv6.js";
import { BROADCAST, PROTOCOL_ICMP, PROTOCOL_TCP, isMulticast4 } from "../wire/ipv4.js";
import { PROTOCOL_ICMPV6, commonPrefix } from "../wire/ipv6.js";
import { describeFlow } from "./flow-info.js";
import type { FlowInfo } from "./flow-info.js";
import {
  ANSWERED,
  Flows,
  ORIGINAL,
  QUERY,
  REPLY,
  TCP_OPENING,
  UNANSWERED,
  TCP_CLOSING,
  TRACK_WORDS,
} from "./flows.js";
import { FragmentMemory } from "./fragment-memory.js";
import { FirewallCounters } from "./counters.js";
import type { PortForward } from "./napt.js";
import { ACCEPT, DROP, actionName, compile, parsePolicy } from "./rules.js";
import type { Action, CompiledRule, Rule } from "./rules.js";
import { trackTcp } from "./tcp-track.js";
import {
  CONTROL,
  DESTINATION,
  ERROR,
  FLOW,
  KEY_WORDS,
  LATER,
  MALFORMED,
  PROTOCOL,
  SINGLE,
  SOURCE,
  Tuple,
  reverse,
} from "./tuple.js";
import { NO_BINDING, NO_PORT } from "./translation.js";
import type { Translation } from "./translation.js";
import { Way } from "./way.js";

export type { FlowInfo } from "./flow-info.js";
export { FirewallCounters } from "./counters.js";

/** What `onLog` is told. */
export interface FirewallEvent {
  /** The rule's `log`. */
  text: string;
  action: Action;
  from: string;
  to: string;
  flow: FlowInfo;
}

export interface FirewallOptions {
  rules?: readonly Rule[];
  /** When no rule fits. Default `"drop"`. What this host sends is accepted unless a rule from `"self"` fits. */
  policy?: Action;
  /** Flows at most. Default 4096; each takes about 160 bytes. */
  flows?: number;
  /** Flows that one source (an IPv6 source is its /64) may begin. Default a quarter of `flows`. */
  perSource?: number;
  /** Translation of addresses: `napt({ ... })`. */
  nat?: Translation;
  /** Told of what rules with `log` decide. `logRate` times a second at most, default 10. */
  onLog?(event: FirewallEvent): void;
  logRate?: number;
}

/** Kinds of packets beside those of tuple.ts: to a group or to all. */
const GROUP = 6;

/** Flows, and whatever else is counted, at most. */
const MOST = 1048576;
/** Flows removed at once. */
const SWEEP = 256;
/** Time between two sweeps, ms. */
const SWEEP_PAUSE = 1000;

export class Firewall implements Component {
  readonly name = "firewall";
  readonly counters = new FirewallCounters();
  flows: Flows = null as never;
  private stack: Stack = null as never;
  private ip4: Ipv4 | null = null;
  private ip6: Ipv6 | null = null;
  private rules: CompiledRule[];
  private selfRules = false;
  private policy: number;
  private readonly nat: Translation | null;
  private readonly capacity: number;
  private readonly perSource: number;
  private readonly zones: { nif: Interface; zone: string }[] = [];
  private fragments: FragmentMemory = null as never;
  private readonly timer: Timer;
  private readonly logLimit: RateLimit;
  private readonly way = new Way();
  private readonly other = new Tuple();
  private readonly reply = new Int32Array(KEY_WORDS);

  constructor(private readonly options: FirewallOptions) {
    this.rules = compile(options.rules || []);
    this.policy = parsePolicy(options.policy);
    this.nat = options.nat || null;
    this.capacity = requireInteger(options.flows || 4096, 1, MOST, "flows");
    this.perSource = requireInteger(options.perSource || (this.capacity + 3) >> 2, 1, MOST, "perSource");
    const logRate = requireInteger(options.logRate || 10, 1, MOST, "logRate");
    this.logLimit = new RateLimit(logRate, logRate);
    this.selfRules = anyFromSelf(this.rules);
    this.timer = new Timer((wall: Firewall) => wall.sweep(), this);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "firewall");
    this.stack = stack;
    stack.counters.firewall = this.counters as never;
  }

  start(): void {
    const stack = this.stack;
    if (!secure(stack)) fail("EIO", "random");
    this.ip4 = stack.network(4) as Ipv4 | null;
    this.ip6 = stack.network(6) as Ipv6 | null;
    if (!this.ip4 && !this.ip6) fail("ENOPROTOOPT", "firewall needs ipv4 or ipv6");
    const hash = hashOf(stack);
    this.flows = new Flows(this.capacity, this.perSource, hash);
    this.fragments = new FragmentMemory(this.flows, hash);
    const hook = (packet: Packet, point: number, out: Interface | null) => this.see(packet, point, out);
    if (this.ip6) this.ip6.hook = hook;
    if (this.ip4) this.ip4.hook = hook;
    const nat = this.nat;
    if (!nat) return;
    nat.start(this, stack);
    this.flows.onRemove = (flow) => {
      const row = this.flows.owned[flow];
      if (row >= 0) nat.release(row);
    };
  }

  close(): void {
    this.stack.timers.clear(this.timer);
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.zones.length - 1; i >= 0; i--) if (this.zones[i].nif === nif) this.zones.splice(i, 1);
  }

  /** Puts an interface into a zone; until then it is in the zone of its own name. Throws `EINVAL` for `"self"`. */
  assign(nif: Interface, zone: string): void {
    if (typeof zone !== "string" || zone === "" || zone === "self" || nif.removed) fail("EINVAL", "zone");
    this.interfaceRemoved(nif);
    this.zones.push({ nif, zone });
  }

  /** The zone of an interface. */
  zone(nif: Interface): string {
    for (let i = 0; i < this.zones.length; i++) if (this.zones[i].nif === nif) return this.zones[i].zone;
    return nif.name;
  }

  /**
   * Puts other rules, and forwarded ports, in the place of those in force, all or (`EINVAL`, `EADDRINUSE`) none. Flows go on; what is
   * undefined stays.
   */
  load(next: { rules?: readonly Rule[]; policy?: Action; forward?: readonly PortForward[] }): void {
    const rules = next.rules ? compile(next.rules) : this.rules;
    const policy = next.policy === undefined ? this.policy : parsePolicy(next.policy);
    if (next.forward) {
      if (!this.nat) fail("EINVAL", "forward needs nat");
      this.nat!.load(next.forward);
    }
    this.rules = rules;
    this.policy = policy;
    this.selfRules = anyFromSelf(rules);
  }

  /** How often each rule has fitted, in their order. */
  hits(): number[] {
    return this.rules.map((rule) => rule.packets);
  }

  /** What is remembered. */
  list(): FlowInfo[] {
    const list: FlowInfo[] = [];
    this.flows.each((flow) => list.push(this.info(flow)));
    return list;
  }

  /** Forgets the flows for which `match` says so; returns how many. */
  forget(match: (flow: FlowInfo) => boolean): number {
    const before = this.flows.size;
    this.flows.each((flow) => {
      if (match(this.info(flow))) this.flows.remove(flow);
    });
    return before - this.flows.size;
  }

  /**
   * What would be done with a packet that begins a flow, and by which rule (-1: none fits); a test of rules. `packet` is a whole IP packet
   * without link header. Limits are taken from, as by a packet.
   */
  test(packet: Uint8Array, from: string, to: string): { action: Action; rule: number } {
    const tuple = this.other;
    const view = { data: packet, start: 0, end: packet.length, network: 0 } as Packet;
    const kind = packet.length < 20 ? MALFORMED : tuple.parse(view, 0);
    if (kind !== FLOW && kind !== SINGLE) return { action: kind === CONTROL ? "accept" : "drop", rule: -1 };
    const rule = this.first(tuple, from, to);
    return { action: rule < 0 ? actionName(this.policy) : this.rules[rule].rule.action, rule };
  }

  private see(packet: Packet, point: number, out: Interface | null): boolean {
    const loopback = (packet.net as Ipv4).loopback;
    if (point === OUTPUT) return out === loopback || this.output(packet, out as Interface);
    if (packet.nif === loopback) return true;
    if (point === PREROUTING) return this.prerouting(packet);
    if (point === INPUT) return this.deliver(packet);
    return point === FORWARD
      ? this.forward(packet, out as Interface)
      : this.postrouting(packet, out as Interface);
  }

  private prerouting(packet: Packet): boolean {
    const tuple = this.way.tuple;
    const counters = this.counters;
    const now = this.stack.now();
    this.way.entry = -1;
    this.way.forwarded = false;
    this.way.kind = tuple.parse(packet, packet.network);
    this.way.offset = tuple.at - packet.network;
    if (this.way.kind === MALFORMED) {
      counters.malformed++;
      return false;
    }
    if (this.way.kind === CONTROL) return true;
    if (isGroup(packet, tuple)) {
      if (this.way.kind === LATER || this.way.kind === ERROR) {
        counters.fragments++;
        return false;
      }
      this.way.kind = GROUP;
      return true;
    }
    if (this.way.kind === ERROR) return this.related(packet);
    if (this.way.kind === SINGLE) return true;
    if (this.way.kind === LATER) {
      this.way.entry = this.fragments.find(tuple, now);
      this.way.offset = -1;
      if (this.way.entry < 0) {
        counters.fragments++;
        return false;
      }
      this.turnDestination(packet);
      return true;
    }
    this.way.entry = this.find(tuple, now);
    if (this.way.entry >= 0) {
      if (!this.follow(this.way.entry, packet, tuple, now)) {
        counters.invalid++;
        return false;
      }
      if (tuple.fragment) this.fragments.remember(tuple, this.way.entry, now);
      this.turnDestination(packet);
      return true;
    }
    if (!begins(packet.data, tuple)) {
      counters.invalid++;
      return false;
    }
    if (this.isSpoofed(packet)) {
      counters.spoofed++;
      return false;
    }
    if (this.nat && packet.source !== 0) this.nat.enter(this.way, packet);
    return true;
  }

  private deliver(packet: Packet): boolean {
    if (this.way.kind === CONTROL || this.way.entry >= 0) return true;
    if (!this.judge(this.way.tuple, this.zone(packet.nif as Interface), "self", packet)) return false;
    return this.way.kind !== FLOW || this.begin(packet, null);
  }

  private forward(packet: Packet, out: Interface): boolean {
    if (this.way.entry >= 0) return true;
    if (this.way.kind !== FLOW && this.way.kind !== SINGLE) {
      this.counters.dropped++;
      return false;
    }
    return (
      this.way.forwarded ||
      this.judge(this.way.tuple, this.zone(packet.nif as Interface), this.zone(out), packet)
    );
  }

  private postrouting(packet: Packet, out: Interface): boolean {
    const tunnelled = (packet.flags & PROTECTED) !== 0;
    // A flow that began before its policy was there has an outer end: it begins anew, without one.
    if (tunnelled && this.way.kind === FLOW && this.way.entry >= 0 && this.isTranslated(this.way.entry)) {
      this.flows.remove(this.way.entry >> 1);
      this.way.entry = -1;
    }
    if (this.way.entry < 0) {
      if (this.way.kind === SINGLE) {
        // It has nothing by which its answer would be known: it does not leave by an outer address.
        if (tunnelled || !this.nat || packet.source === 0 || !this.nat.leaves(out)) return true;
        this.counters.dropped++;
        return false;
      }
      if (!this.begin(packet, out)) return false;
    }
    if (this.nat && packet.source !== 0) this.nat.turnSource(this.way, packet);
    return true;
  }

  /** Has who began the flow, and sends, another address outside? */
  private isTranslated(entry: number): boolean {
    const keys = this.flows.keys;
    const answered = keys[(entry ^ 1) * KEY_WORDS + DESTINATION];
    return (entry & 1) === ORIGINAL && answered !== keys[entry * KEY_WORDS + SOURCE];
  }

  /** What this host sends. */
  private output(packet: Packet, out: Interface): boolean {
    const tuple = this.other;
    const now = this.stack.now();
    const kind = tuple.parse(packet, packet.network);
    if (kind === ERROR) {
      if (this.nat && tuple.key[PROTOCOL] >> 16 === 4) this.nat.restoreQuote(this.way, packet, tuple);
      return true;
    }
    if (kind !== FLOW && kind !== SINGLE) return true;
    // Of a destination that was translated there is no shorter way to tell.
    if (
      this.nat &&
      kind === SINGLE &&
      tuple.icmpType === REDIRECT &&
      (this.way.forwarded || this.way.entry >= 0)
    )
      return false;
    const entry = this.find(tuple, now);
    if (entry >= 0) {
      this.follow(entry, packet, tuple, now);
      return true;
    }
    if (this.selfRules) {
      const rule = this.first(tuple, "self", this.zone(out));
      if (rule >= 0 && this.rules[rule].action !== ACCEPT) {
        this.rules[rule].packets++;
        this.counters.dropped++;
        return false;
      }
    }
    if (kind === SINGLE || isGroup(packet, tuple) || !begins(packet.data, tuple)) return true;
    reverse(tuple.key, this.reply, 0);
    return this.add(tuple, packet, tuple.at, -1, now) >= 0;
  }

  private find(tuple: Tuple, now: number): number {
    const entry = this.flows.find(tuple.key);
    if (entry < 0 || !this.flows.isOver(entry >> 1, now)) return entry;
    this.flows.remove(entry >> 1);
    return -1;
  }

  /** A packet of the flow: false if it does not fit. */
  private follow(entry: number, packet: Packet, tuple: Tuple, now: number): boolean {
    const flows = this.flows;
    const flow = entry >> 1;
    let kind = flows.classes[flow];
    if (kind <= TCP_CLOSING) {
      // Of a segment in fragments the end is not known; its window is the ends' business.
      if (!tuple.fragment) kind = trackTcp(flows, flow, entry & 1, packet.data, tuple.at, packet.end);
      if (kind < 0) return false;
    } else if (kind === UNANSWERED && (entry & 1) === REPLY) kind = ANSWERED;
    flows.touch(flow, kind, now);
    return true;
  }

  /** Accepts a new flow and, where it leaves by the outside, gives it an outer end. */
  private begin(packet: Packet, out: Interface | null): boolean {
    const tuple = this.way.tuple;
    const key = tuple.key;
    const reply = this.reply;
    const nat = this.nat;
    reverse(key, reply, 0);
    const row = nat && out && packet.source !== 0 ? nat.begin(this.way, packet, out, reply) : NO_BINDING;
    if (row === NO_PORT) {
      this.counters.noPort++;
      return false;
    }
    const now = this.stack.now();
    const flow = this.add(tuple, packet, packet.network + this.way.offset, row, now);
    if (flow < 0) {
      if (row >= 0) nat!.release(row);
      return false;
    }
    this.way.entry = flow * 2;
    if (tuple.fragment) this.fragments.remember(tuple, this.way.entry, now);
    return true;
  }

  /** @param at the transport header in `packet` */
  private add(tuple: Tuple, packet: Packet, at: number, row: number, now: number): number {
    const protocol = tuple.key[PROTOCOL] & 255;
    const tcp = protocol === PROTOCOL_TCP;
    const query = protocol === PROTOCOL_ICMP || protocol === PROTOCOL_ICMPV6;
    const counters = this.counters;
    const flow = this.flows.add(tuple.key, this.reply, tcp ? TCP_OPENING : query ? QUERY : UNANSWERED, now);
    if (flow < 0) {
      if (flow === -1) counters.full++;
      else if (flow === -2) counters.perSource++;
      else counters.invalid++;
      return -1;
    }
    counters.flows++;
    this.flows.owned[flow] = row;
    if (tcp) trackTcp(this.flows, flow, ORIGINAL, packet.data, at, packet.end);
    if (this.timer.slot < 0) this.stack.timers.set(this.timer, (now + SWEEP_PAUSE) | 0);
    return flow;
  }

  /** An ICMP error passes if it is about a packet of a flow; its quote gets the ends that its receiver knows. */
  private related(packet: Packet): boolean {
    const data = packet.data;
    const at = this.way.tuple.at;
    const quote = at + 8;
    const inner = this.other;
    const flows = this.flows;
    const six = this.way.tuple.key[PROTOCOL] >> 16 === 6;
    const initial = six ? packet.pseudo + (packet.end - at) + PROTOCOL_ICMPV6 : 0;
    if (
      this.stack.host.sum(data, at, packet.end, fold(initial)) !== 0xffff ||
      inner.parseQuote(data, quote, packet.end) !== FLOW ||
      inner.key[PROTOCOL] >> 16 !== this.way.tuple.key[PROTOCOL] >> 16
    ) {
      this.counters.malformed++;
      return false;
    }
    reverse(inner.key, this.reply, 0);
    const entry = flows.find(this.reply);
    if (entry < 0 || flows.isOver(entry >> 1, this.stack.now()) || !this.wasSent(entry, data, inner)) {
      this.counters.invalid++;
      return false;
    }
    this.way.entry = entry;
    if (!six && this.nat) this.nat.turnQuote(this.way, packet, at, inner);
    this.way.offset = -1;
    this.turnDestination(packet);
    return true;
  }

  private turnDestination(packet: Packet): void {
    if (this.nat && packet.source !== 0) this.nat.turnDestination(this.way, packet);
  }

  /** @internal The checksum of the host. */
  sum(): Sum {
    return this.stack.host.sum;
  }

  /** Has the quoted segment been sent a short while ago? (RFC 5927 section 4.1) */
  private wasSent(entry: number, data: Uint8Array, inner: Tuple): boolean {
    if ((inner.key[PROTOCOL] & 255) !== PROTOCOL_TCP) return true;
    const sender = (entry ^ 1) * TRACK_WORDS;
    const behind = (this.flows.track[sender] - get32(data, inner.at + 4)) | 0;
    return behind >= 0 && behind < 0x1000000;
  }

  /** Does the source belong to the network of another interface? (RFC 2827) */
  private isSpoofed(packet: Packet): boolean {
    const nif = packet.nif;
    if (this.way.tuple.key[PROTOCOL] >> 16 === 4) {
      const list: readonly Address4[] = this.ip4!.addresses;
      let spoofed = false;
      for (let i = 0; i < list.length; i++) {
        if (((packet.source ^ list[i].address) & list[i].mask) !== 0) continue;
        if (list[i].nif === nif) return false;
        spoofed = true;
      }
      return spoofed;
    }
    const list: readonly Address6[] = this.ip6!.addresses;
    let spoofed = false;
    for (let i = 0; i < list.length; i++) {
      if (commonPrefix(packet.data, packet.network + 8, list[i].bytes, 0) < list[i].length) continue;
      if (list[i].nif === nif) return false;
      spoofed = true;
    }
    return spoofed;
  }

  /** Index of the first rule that fits, or -1. */
  private first(tuple: Tuple, from: string, to: string): number {
    const rules = this.rules;
    const now = this.stack.recent();
    for (let i = 0; i < rules.length; i++) if (rules[i].fits(tuple, from, to, now)) return i;
    return -1;
  }

  /** True: accepted. */
  private judge(tuple: Tuple, from: string, to: string, packet: Packet): boolean {
    const index = this.first(tuple, from, to);
    const rule = index < 0 ? null : this.rules[index];
    const action = rule ? rule.action : this.policy;
    if (rule) {
      rule.packets++;
      if (rule.rule.log !== undefined) this.log(rule, tuple, from, to);
    }
    if (action === ACCEPT) return true;
    if (action === DROP) this.counters.dropped++;
    else {
      this.counters.rejected++;
      if (tuple.key[PROTOCOL] >> 16 === 4) {
        if (this.ip4!.icmp) this.ip4!.icmp.sendError(packet, UNREACHABLE, PORT_UNREACHABLE, 0);
      } else if (this.ip6!.icmp) this.ip6!.icmp.sendError(packet, UNREACHABLE6, PORT_UNREACHABLE6, 0);
    }
    return false;
  }

  private log(rule: CompiledRule, tuple: Tuple, from: string, to: string): void {
    const onLog = this.options.onLog;
    if (!onLog || !this.logLimit.take(this.stack.recent())) return;
    reverse(tuple.key, this.reply, 0);
    const flow = describeFlow(this.network(tuple.key, 0), tuple.key, 0, this.reply, 0, 0);
    try {
      onLog({ text: rule.rule.log as string, action: rule.rule.action, from, to, flow });
    } catch (error) {
      this.stack.host.panic(error);
    }
  }

  private info(flow: number): FlowInfo {
    const keys = this.flows.keys;
    const at = flow * 2 * KEY_WORDS;
    const left = this.flows.left(flow, this.stack.recent());
    return describeFlow(this.network(keys, at), keys, at, keys, at + KEY_WORDS, left);
  }

  private network(key: Int32Array, at: number): Network {
    return (key[at + PROTOCOL] >> 16 === 4 ? this.ip4 : this.ip6)!;
  }

  /** @internal */
  sweep(): void {
    const now = this.stack.now();
    const wait = this.flows.expire(now, SWEEP);
    if (wait >= 0) this.stack.timers.set(this.timer, (now + (wait < SWEEP_PAUSE ? SWEEP_PAUSE : wait)) | 0);
  }
}

/** May the packet begin a flow? Of TCP a SYN alone does, of ICMP a question. */
function begins(data: Uint8Array, tuple: Tuple): boolean {
  const protocol = tuple.key[PROTOCOL] & 255;
  if (protocol === PROTOCOL_TCP) return (data[tuple.at + 13] & 0x17) === 2;
  if (protocol === PROTOCOL_ICMP) return tuple.icmpType === 8 || tuple.icmpType === 13;
  return protocol !== PROTOCOL_ICMPV6 || tuple.icmpType === 128;
}

function isGroup(packet: Packet, tuple: Tuple): boolean {
  if (packet.flags & (LINK_BROADCAST | LINK_MULTICAST | NET_BROADCAST)) return true;
  const word = tuple.key[DESTINATION];
  if (tuple.key[PROTOCOL] >> 16 === 6) return word >>> 24 === 0xff;
  return word === BROADCAST || isMulticast4(word);
}

function anyFromSelf(rules: CompiledRule[]): boolean {
  for (let i = 0; i < rules.length; i++) if (rules[i].rule.from === "self") return true;
  return false;
}

/** A firewall. Needs `ipv4` or `ipv6`; `napt` needs `forwarding` to be of use. Throws `EINVAL` for a bad rule. Counters: `firewall`. */
export function firewall(options: FirewallOptions = {}): Firewall {
  return new Firewall(options);
}

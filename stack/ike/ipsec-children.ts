/** Child SAs for IPsec (stack/ipsec): what IKE agrees upon becomes a policy and two associations. */
import { ENOBUFS, fail } from "../core/errors.js";
import { format4 } from "../core/text4.js";
import { format6 } from "../core/text6.js";
import { get32 } from "../core/bytes.js";
import { hashOf } from "../core/hash.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { Timer } from "../core/timers.js";
import type { Ipsec, IpsecEvent } from "../ipsec/ipsec.js";
import type { Policy } from "../ipsec/policy.js";
import type { Sa, SaOptions } from "../ipsec/sa.js";
import * as wire from "../wire/ike.js";
import type { ChildSa, ChildSink } from "./child-sa.js";
import type { Connection } from "./connection.js";
import { rekeyChild } from "./exchanges.js";
import type { Selector } from "./selectors.js";

export interface IpsecChildrenOptions {
  /** Takes what IPsec tells (`Ipsec.onEvent`), after IKE has seen it. */
  onEvent?(event: IpsecEvent): void;
}

/** A policy, and whose it is: it outlives its child SAs, so that nothing leaves unprotected while there is none. */
class Held implements TableEntry {
  nextInBucket: this | null = null;
  /** Children that have it. */
  users = 0;

  constructor(
    readonly hash: number,
    readonly connection: Connection,
    readonly group: Group,
    readonly policy: Policy,
    readonly text: string,
  ) {}
}

/** What came of one child of a connection's configuration. */
class Group {
  /** Children that are there, of all its policies. */
  users = 0;
  /** Policies without children. */
  readonly idle: Held[] = [];
}

/** What is kept of a child. */
interface Handle {
  readonly held: Held;
  readonly inbound: Sa;
  outbound: Sa | null;
  packets: number;
  /** Where the child stands in the list. */
  at: number;
}

/** Packets after which an SA without extended numbers is replaced, and the most it may carry (RFC 4303 section 3.3.3). */
const SOFT_PACKETS = 3000000000;
const HARD_PACKETS = 4294967294;

/** What was replaced still receives for this long, ms: packets overtake each other, and the message that ends it overtakes them. */
const LINGER = 2000;
/** Associations that linger at most. */
const LINGERING = 64;

class IpsecChildren implements ChildSink {
  /** Replaced inbound associations, oldest first, and when each ends. */
  private readonly late: { sa: Sa; at: number }[] = [];
  private readonly timer = new Timer((own: IpsecChildren) => own.endLate(), this);
  private readonly held = new Table<Held>();
  private readonly children: ChildSa[] = [];

  constructor(
    private readonly ipsec: Ipsec,
    private readonly options: IpsecChildrenOptions,
  ) {}

  spi(): number {
    return this.ipsec.freeSpi() | 0;
  }

  install(child: ChildSa, replaces: ChildSa | null): number {
    let held: Held | null = null;
    try {
      held = this.policyFor(child);
      const inbound = this.ipsec.addSa(this.describe(child, "in", held.policy));
      const handle: Handle = { held, inbound, outbound: null, packets: 0, at: this.children.length };
      child.handle = handle;
      this.children.push(child);
      this.join(held);
      // Until the peer has it too, what is there goes on sending.
      if (!replaces) this.activate(child);
      return 0;
    } catch (error) {
      this.remove(child);
      if (held) this.judge(held);
      this.ipsec.stack.host.log("ike: ipsec refuses a child SA: " + error);
      return ENOBUFS;
    }
  }

  activate(child: ChildSa): void {
    const handle = child.handle as Handle | null;
    if (!handle || handle.outbound) return;
    handle.outbound = this.ipsec.addSa(this.describe(child, "out", handle.held.policy));
  }

  update(child: ChildSa): void {
    const handle = child.handle as Handle | null;
    if (!handle) return;
    // The SAs stay what they are, with their sequence numbers: only the way changes.
    redirect(handle.inbound, child);
    if (handle.outbound) redirect(handle.outbound, child);
    this.ipsec.stack.changed();
  }

  remove(child: ChildSa): void {
    const handle = child.handle as Handle | null;
    child.handle = null;
    if (handle) {
      const last = this.children.pop() as ChildSa;
      if (last !== child) {
        this.children[handle.at] = last;
        (last.handle as Handle).at = handle.at;
      }
      if (handle.outbound) this.ipsec.remove(handle.outbound);
      if (child.successor && !child.sa.dead && this.late.length < LINGERING) this.linger(handle.inbound);
      else this.ipsec.remove(handle.inbound);
      this.part(handle.held);
    }
  }

  private linger(sa: Sa): void {
    const stack = this.ipsec.stack;
    const at = (stack.now() + LINGER) | 0;
    this.late.push({ sa, at });
    if (this.late.length === 1) stack.timers.set(this.timer, at);
  }

  private endLate(): void {
    const stack = this.ipsec.stack;
    while (this.late.length > 0 && ((this.late[0].at - stack.now()) | 0) <= 0) {
      this.ipsec.remove(this.late.shift()!.sa);
    }
    if (this.late.length > 0) stack.timers.set(this.timer, this.late[0].at);
  }

  close(): void {
    this.ipsec.stack.timers.clear(this.timer);
    while (this.late.length > 0) this.ipsec.remove(this.late.pop()!.sa);
  }

  heard(child: ChildSa): boolean {
    const handle = child.handle as Handle | null;
    if (!handle || handle.packets === handle.inbound.packets) return false;
    handle.packets = handle.inbound.packets;
    return true;
  }

  /** IKE's own datagrams pass, and IPsec's events come here. */
  start(): void {
    const ports = [wire.IKE_PORT, wire.IKE_NAT_PORT];
    for (let i = 0; i < 2; i++) {
      this.ipsec.addPolicy({ action: "bypass", protocol: 17, localPort: ports[i], at: 0, name: "ike" });
    }
    this.ipsec.onEvent = (event) => this.hear(event);
  }

  private hear(event: IpsecEvent): void {
    if (event.type === "soft" && event.sa) {
      for (let i = 0; i < this.children.length; i++) {
        const child = this.children[i];
        if ((child.handle as Handle).outbound === event.sa) rekeyChild(child);
      }
    } else if (event.type === "acquire" && event.policy) {
      const policy = event.policy;
      this.held.each((held) => {
        if (held.policy === policy) held.connection.start();
      });
    }
    if (this.options.onEvent) this.options.onEvent(event);
  }

  /** The policy of the child's selectors, which may be there from one before it. */
  private policyFor(child: ChildSa): Held {
    const connection = child.sa.connection as Connection;
    const local = child.localSelectors;
    const remote = child.remoteSelectors;
    const own = ports(local);
    const other = ports(remote);
    const protocol = local[0].protocol || remote[0].protocol;
    const text =
      ranges(local).join() + own.join("-") + "=" + ranges(remote).join() + other.join("-") + protocol;
    const hash = hashOf(this.ipsec.stack);
    hash.begin(1);
    for (let i = 0; i < text.length; i++) hash.word(text.charCodeAt(i));
    const key = hash.end();
    for (let held = this.held.first(key); held; held = held.nextInBucket)
      if (held.connection === connection && held.text === text) return held;
    const whole = own[0] === 0 && own[1] === 65535;
    const policy = this.ipsec.addPolicy({
      action: "protect",
      local: ranges(local),
      remote: ranges(remote),
      protocol,
      localPort: whole ? undefined : [own[0], own[1]],
      remotePort: other[0] === 0 && other[1] === 65535 ? undefined : [other[0], other[1]],
      name: "ike",
    });
    const settings = child.settings;
    const group = (settings.handle as Group | null) || new Group();
    settings.handle = group;
    const held = new Held(key, connection, group, policy, text);
    this.held.insert(held);
    group.idle.push(held);
    return held;
  }

  /** A child has this policy: those of the same configuration that none has are over. */
  private join(held: Held): void {
    const group = held.group;
    const at = held.users === 0 ? group.idle.indexOf(held) : -1;
    if (at >= 0) group.idle.splice(at, 1);
    held.users++;
    group.users++;
    this.dropIdle(group);
  }

  /** A child less has this policy. */
  private part(held: Held): void {
    held.users--;
    held.group.users--;
    if (held.users > 0) return;
    held.group.idle.push(held);
    this.judge(held);
  }

  /** A policy without children stays if nothing else protects what it is for, and its connection has a peer to begin anew with. */
  private judge(held: Held): void {
    const connection = held.connection;
    if (connection.closed || held.group.users > 0 || !connection.settings.remote) this.dropIdle(held.group);
  }

  private dropIdle(group: Group): void {
    while (group.idle.length > 0) {
      const held = group.idle.pop() as Held;
      this.held.remove(held);
      this.ipsec.removePolicy(held.policy);
    }
  }

  closed(connection: Connection): void {
    const list = connection.settings.children;
    for (let i = 0; i < list.length; i++) if (list[i].handle) this.dropIdle(list[i].handle as Group);
  }

  private describe(child: ChildSa, direction: "in" | "out", policy: Policy): SaOptions {
    const key = direction === "in" ? child.inbound : child.outbound;
    const udp = child.localPort > 0;
    return {
      direction,
      spi: (direction === "in" ? child.spiIn : child.spiOut) >>> 0,
      mode: child.tunnel ? "tunnel" : "transport",
      local: child.local,
      remote: child.remote,
      policy,
      encryption: child.encryption,
      key: key!.encryption,
      integrity: child.integrity || undefined,
      integrityKey: child.integrity ? key!.integrity : undefined,
      esn: child.esn,
      encapsulation: udp ? { localPort: child.localPort, remotePort: child.remotePort } : undefined,
      lifetime: child.esn ? undefined : { softPackets: SOFT_PACKETS, hardPackets: HARD_PACKETS },
    };
  }
}

function redirect(sa: Sa, child: ChildSa): void {
  sa.net.setLocal(sa.path, child.local);
  sa.net.setRemote(sa.path, child.remote);
  sa.localPort = child.localPort;
  sa.remotePort = child.remotePort;
}

/** Address ranges as IPsec's policies write them. */
function ranges(list: Selector[]): string[] {
  const texts: string[] = [];
  for (let i = 0; i < list.length; i++) {
    const text = addressText(list[i].start) + "-" + addressText(list[i].end);
    if (texts.indexOf(text) < 0) texts.push(text);
  }
  return texts;
}

function addressText(bytes: Uint8Array): string {
  return bytes.length === 4 ? format4(get32(bytes, 0)) : format6(bytes, 0);
}

/** The ports of all selectors; a policy has one range, for one protocol. */
function ports(list: Selector[]): number[] {
  for (let i = 1; i < list.length; i++) {
    const each = list[i];
    if (
      each.protocol !== list[0].protocol ||
      each.startPort !== list[0].startPort ||
      each.endPort !== list[0].endPort
    ) {
      fail("EOPNOTSUPP", "selectors of several protocols in one child");
    }
  }
  return [list[0].startPort, list[0].endPort];
}

/**
 * Child SAs for IPsec: `ike({ sink: ipsecChildren(security) })`, with `security` (`ipsec()`), `esp()` and, for NATs, `natTraversal()` in
 * the stack. It takes `security.onEvent`. A policy stays while its connection is not closed: what it protects waits for the next child.
 */
export function ipsecChildren(ipsec: Ipsec, options: IpsecChildrenOptions = {}): IpsecChildren {
  return new IpsecChildren(ipsec, options);
}

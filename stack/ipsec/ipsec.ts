/**
 * The security architecture for the Internet Protocol (RFC 4301): policies and security associations, and where they meet packets.
 *
 * Each network asks its `policy` about what leaves this host (output.ts), what has come for it (input.ts) and what it forwards
 * (forward.ts). ESP and AH are components of their own (`esp`, `ah`), so are UDP encapsulation (`natTraversal`) and interfaces for
 * routes (`ipsecLink`). The order of the policies decides; what fits none is discarded. Neighbour discovery and group memberships of
 * IPv6 never leave a link and are not asked about.
 */
import { EMSGSIZE, fail, requireInteger } from "../core/errors.js";
import { secure } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import type { PacketPolicy, Path, Transport } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import { Timer } from "../core/timers.js";
import { SPI_LEAST } from "../wire/esp.js";
import type { SecurityCounters } from "./protocol.js";
import { Flow } from "./flow.js";
import { forward } from "./forward.js";
import { input } from "./input.js";
import { output, overheadOf } from "./output.js";
import { BYPASS, DISCARD, Policy, Spd } from "./policy.js";
import type { PolicyIndex, PolicyOptions } from "./policy.js";
import { Sa } from "./sa.js";
import type { SaOptions } from "./sa.js";

export { Policy } from "./policy.js";
export type { PolicyAction, PolicyOptions } from "./policy.js";
export { Sa } from "./sa.js";
export type { Lifetime, SaOptions } from "./sa.js";
export type { SelectorOptions } from "./selector.js";

export class IpsecCounters {
  /** Packets of this host, or to be forwarded, that policy discards. */
  discarded = 0;
  /** Clear packets that should have been protected, protected ones that came by another policy's SA or outside of its selectors. */
  policy = 0;
  /** Packets that policy protects and no SA was there for. */
  noSa = 0;
  /** Dropped: more layers of IPsec than `depth`. */
  nested = 0;
  /** Dropped at the end of a tunnel: marked for congestion, but its ends do not know marks (RFC 6040). */
  ecn = 0;
  /** Inner packets that are none. */
  badInner = 0;
  /** What is larger than the tunnel takes and must not be cut. */
  tooBig = 0;
  /** SAs that ended by their lifetime, or by their sequence numbers. */
  expired = 0;
  /** Dropped: too many that came before wait for the host's ciphers (`cipherQueue`), or there is no memory. */
  queueFull = 0;
  /** Events lost, as nobody took them in time. */
  eventsLost = 0;
}

/** What the application (or IKE) is told; see `Ipsec.onEvent`. */
export interface IpsecEvent {
  /**
   * `"acquire"`: `policy` needs an SA for `flow`. `"soft"`: `sa` is to be replaced. `"hard"`: it has ended. `"address"`: the peer of
   * `sa` (inbound) sends from another address now (ESP in UDP).
   */
  type: "acquire" | "soft" | "hard" | "address";
  policy: Policy | null;
  sa: Sa | null;
  /** The packet that needed it, valid during the call. */
  flow: Flow | null;
}

/** ESP or AH. */
export interface SecurityProtocol extends Transport {
  readonly name: string;
  /** Bytes of its header, without IV and ICV. */
  readonly headerSize: number;
  readonly counters: SecurityCounters;
  /** The SPI of a header, of which `headerSize` bytes are there. */
  spi(data: Uint8Array, at: number): number;
  /** Bytes that fit into `size` bytes on the wire. */
  room(sa: Sa, size: number): number;
  /** Bytes that `seal` needs behind a packet of `length` bytes, at most. */
  growth(sa: Sa, length: number): number;
  /**
   * Protects the bytes of `packet`, which goes by `path`, in place with the number in `sa`.
   *
   * @returns CIPHER_DONE, CIPHER_FAILED: the host refused, which is counted, or CIPHER_PENDING: the bytes are the host's
   */
  seal(sa: Sa, packet: Packet, next: number, path: Path): number;
  /** Checks and opens the packet. The protocol of what is inside, -1: dropped and counted, or OPEN_PENDING: the bytes are the host's. */
  open(sa: Sa, packet: Packet): number;
  /** After OPEN_PENDING, when the cipher has found it authentic: the rest of `open`. */
  opened?(sa: Sa, packet: Packet): number;
}

/** The cipher answers later. */
export const OPEN_PENDING = -2;

/** Keeps packets whose ciphers answer later: `cipherQueue()`. */
export interface PacketQueue {
  attach(own: Ipsec): void;
  /** Is there no room for another packet on the way out? Who was refused is told when there is. */
  full(): boolean;
  /** As `SecurityProtocol.seal`, with a copy of the packet. POLICY_TAKEN: it will be sent; or a code. */
  seal(sa: Sa, packet: Packet, next: number, path: Path, protocol: SecurityProtocol): number;
  /** As `SecurityProtocol.open`, with a copy. */
  open(sa: Sa, packet: Packet, protocol: SecurityProtocol, encapsulated: boolean): void;
}

export interface IpsecOptions {
  /** What happens to traffic that no policy fits. Default `"discard"` (RFC 4301 section 5). */
  otherwise?: "discard" | "bypass";
  /** Policies at most. Default 256. */
  policies?: number;
  /** Finds the policy of a packet without a walk through all of them, for those who have many: `policyIndex()`. */
  index?: PolicyIndex;
  /** SAs at most. Default 1024. */
  associations?: number;
  /** Layers of IPsec that are taken off a packet. Default 2. */
  depth?: number;
  /** For hosts whose ciphers answer later (Web Crypto): `cipherQueue()`. Without it SAs take ciphers that answer at once. */
  queue?: PacketQueue;
}

/** Events that wait at most. */
const EVENTS = 64;
/** An SA is asked for again after this long, ms. */
const ASK_AGAIN = 1000;

export class Ipsec implements Component, PacketPolicy, Deferred {
  readonly name = "ipsec";
  readonly counters = new IpsecCounters();
  stack: Stack = null as never;
  readonly spd: Spd;
  /** By SPI. */
  readonly inbound = new Table<Sa>();
  readonly outbound = new Table<Sa>();
  readonly protocols: SecurityProtocol[] = [];
  readonly depth: number;
  /** Ports of ESP in UDP are looked at by this: see nat-traversal.ts. */
  encapsulation: {
    input(packet: Packet): number;
    emit(sa: Sa, packet: Packet, path: Path): void;
    added(): void;
  } | null = null;
  /** Ports that SAs receive ESP in UDP on, and how many of them on each. */
  readonly ports: number[] = [];
  private readonly users: number[] = [];
  /** Told of what happens to SAs, when the stack is at rest. */
  onEvent: ((event: IpsecEvent) => void) | null = null;
  /** The SA that the packet in hand came by, and layers that have been taken off it. */
  applied: Sa | null = null;
  layers = 0;
  /** A packet of this component itself is on its way: it is not asked about. */
  sending = false;
  readonly flow = new Flow();
  readonly ends = new Uint8Array(32);
  queued = false;
  nextDeferred: Deferred | null = null;
  readonly queue: PacketQueue | null;
  private readonly limit: number;
  private readonly events: IpsecEvent[] = [];
  private readonly expired = (sa: Sa): void => this.expire(sa);
  private readonly tooBigRate = new RateLimit(4, 8);

  constructor(options: IpsecOptions) {
    const otherwise = options.otherwise || "discard";
    if (otherwise !== "discard" && otherwise !== "bypass") fail("EINVAL", "otherwise");
    const policies = requireInteger(options.policies || 256, 1, 65536, "policies");
    const action = otherwise === "bypass" ? BYPASS : DISCARD;
    this.spd = new Spd(policies, action, options.index || null);
    this.limit = requireInteger(options.associations || 1024, 1, 65536, "associations");
    this.depth = requireInteger(options.depth || 2, 1, 4, "depth");
    this.queue = options.queue || null;
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "ipsec");
    this.stack = stack;
    stack.counters.ipsec = this.counters as never;
  }

  start(): void {
    const stack = this.stack;
    const networks = stack.networks;
    if (networks.length === 0) fail("ENOPROTOOPT", "ipsec needs ipv4 or ipv6");
    if (!stack.host.calls.crypto) fail("ENOPROTOOPT", "the host has no crypto");
    if (!secure(stack)) fail("EIO", "random");
    if (this.queue) this.queue.attach(this);
    for (let i = 0; i < networks.length; i++) networks[i].policy = this;
  }

  close(): void {
    this.each((sa) => this.remove(sa));
    while (this.events.length > 0) this.events.pop();
  }

  interfaceRemoved(nif: Interface): void {
    this.each((sa) => {
      if (sa.nif === nif) this.remove(sa);
    });
  }

  /* Policies */

  /** Adds a policy. Errors (thrown): `EINVAL` with the name of the option, `ENOBUFS` too many. */
  addPolicy(options: PolicyOptions): Policy {
    const policy = new Policy(options);
    this.spd.insert(policy, options.at);
    this.stack.changed();
    return policy;
  }

  /** Takes a policy away, with all SAs that carry its traffic. False: it is not there. */
  removePolicy(policy: Policy): boolean {
    if (!this.spd.remove(policy)) return false;
    while (policy.inbound.length > 0) this.remove(policy.inbound[policy.inbound.length - 1]);
    while (policy.outbound.length > 0) this.remove(policy.outbound[policy.outbound.length - 1]);
    this.stack.changed();
    return true;
  }

  /**
   * A policy of one socket, before all others: its traffic is let through (`"bypass"`: IKE's own), protected, or discarded. The socket
   * is bound to a port; it is the caller's to remove the policy with the socket.
   *
   * @param protocol 17 UDP, 6 TCP
   */
  addSocketPolicy(
    socket: { readonly port: number },
    protocol: number,
    action: PolicyOptions["action"],
  ): Policy {
    return this.addPolicy({ action, protocol, localPort: socket.port, at: 0, name: "socket" });
  }

  /* Associations */

  /** An SPI that no inbound SA has. */
  freeSpi(): number {
    for (;;) {
      const spi = this.stack.host.random32() >>> 0;
      if (spi >= SPI_LEAST && !this.lookup(spi | 0, null)) return spi;
    }
  }

  /**
   * Adds an SA; the newest carries its policy's traffic from now on. The keys are copied: erase yours. Errors (thrown): `EINVAL` with
   * the name of the option, `EEXIST` SPI, `EADDRNOTAVAIL` local is not this host's, `ENOPROTOOPT` no such cipher, `esp` or `ah` is
   * missing, or `natTraversal`, `ENOBUFS` too many.
   */
  addSa(options: SaOptions): Sa {
    if (this.inbound.size + this.outbound.size >= this.limit) fail("ENOBUFS", "associations");
    const sa = new Sa(this.stack, options, this.queue !== null);
    if (sa.nif && !secureLink(sa.nif).protects) {
      sa.close();
      fail("EINVAL", "interface");
    }
    const fault = !this.protocolOf(sa)
      ? sa.ah
        ? "needs ah"
        : "needs esp"
      : sa.localPort && !this.encapsulation
        ? "needs natTraversal"
        : "";
    if (fault || (!sa.outbound && this.lookup(sa.spi, sa.ah))) {
      sa.close();
      fail(fault ? "ENOPROTOOPT" : "EEXIST", fault || "spi");
    }
    (sa.outbound ? this.outbound : this.inbound).insert(sa);
    const policy = sa.policy;
    if (policy) {
      if (sa.outbound) {
        policy.outbound.unshift(sa);
        policy.asking = false;
      } else policy.inbound.push(sa);
    }
    if (sa.outbound && sa.nif) secureLink(sa.nif).outbound.push(sa);
    if (sa.localPort) {
      if (!sa.outbound) this.listen(sa.localPort, 1);
      this.encapsulation!.added();
    }
    this.arm(sa);
    this.stack.changed();
    // Whoever was told EAGAIN tries again.
    if (sa.outbound) this.stack.linkWritable();
    return sa;
  }

  /** Ends an SA: no packet goes by it any more, its keys are erased. Legal twice. */
  remove(sa: Sa): void {
    if (sa.closed) return;
    sa.close();
    (sa.outbound ? this.outbound : this.inbound).remove(sa);
    if (sa.policy) without(sa.outbound ? sa.policy.outbound : sa.policy.inbound, sa);
    if (sa.outbound && sa.nif) without(secureLink(sa.nif).outbound, sa);
    if (!sa.outbound && sa.localPort) this.listen(sa.localPort, -1);
    if (sa.timer) this.stack.timers.clear(sa.timer);
    this.stack.changed();
  }

  /** Calls `visit` for each SA; it may remove that one. */
  each(visit: (sa: Sa) => void): void {
    this.inbound.each(visit);
    this.outbound.each(visit);
  }

  /** An SA more (`by` 1) or less (-1) receives on a port. */
  private listen(port: number, by: number): void {
    const ports = this.ports;
    const users = this.users;
    let at = ports.indexOf(port);
    if (at < 0) {
      at = ports.length;
      ports.push(port);
      users.push(0);
    }
    users[at] += by;
    if (users[at] === 0) {
      ports.splice(at, 1);
      users.splice(at, 1);
    }
  }

  /** The inbound SA of an SPI; of ESP or AH where `ah` says which. */
  lookup(spi: number, ah: boolean | null): Sa | null {
    for (let sa = this.inbound.first(spi); sa; sa = sa.nextInBucket) {
      if (sa.spi === spi && (ah === null || sa.ah === ah)) return sa;
    }
    return null;
  }

  protocolOf(sa: Sa): SecurityProtocol | null {
    return this.find(sa.ah ? 51 : 50);
  }

  find(protocol: number): SecurityProtocol | null {
    const list = this.protocols;
    for (let i = 0; i < list.length; i++) if (list[i].protocol === protocol) return list[i];
    return null;
  }

  /* What the networks ask: see `PacketPolicy` */

  routed(path: Path): void {
    if (!this.sending && path.nif && !isExempt(path.nif)) path.overhead = overheadOf(this, path);
  }

  output(packet: Packet, path: Path, protocol: number): number {
    return output(this, packet, path, protocol);
  }

  input(packet: Packet, protocol: number): number {
    return input(this, packet, protocol);
  }

  forward(packet: Packet, out: Interface): boolean {
    return forward(this, packet, out);
  }

  /* Events */

  /** The next number of an outbound SA; false: it has none left, or has ended. */
  advance(sa: Sa): boolean {
    if (sa.closed) return false;
    sa.low = (sa.low + 1) | 0;
    if (sa.low !== 0) return true;
    if (sa.esn && sa.high !== -1) {
      sa.high = (sa.high + 1) | 0;
      return true;
    }
    sa.low = -1;
    this.end(sa);
    return false;
  }

  /** A packet of `bytes` bytes has gone by `sa`: is it to be replaced, or over? */
  count(sa: Sa, bytes: number): void {
    sa.used = this.stack.time;
    const over = sa.count(bytes);
    if (!sa.told && sa.soft()) this.tellSoft(sa);
    if (over) this.end(sa);
  }

  /** Says that `policy` needs an SA, at most once a second. */
  acquire(policy: Policy, flow: Flow): void {
    const now = this.stack.now();
    if (policy.asking && ((now - policy.asked) | 0) < ASK_AGAIN) return;
    policy.asking = true;
    policy.asked = now;
    const copy = new Flow();
    copy.family = flow.family;
    copy.source.set(flow.source);
    copy.destination.set(flow.destination);
    copy.protocol = flow.protocol;
    copy.sourcePort = flow.sourcePort;
    copy.destinationPort = flow.destinationPort;
    this.tell({ type: "acquire", policy, sa: null, flow: copy });
  }

  tell(event: IpsecEvent): void {
    if (!this.onEvent) return;
    if (this.events.length >= EVENTS) {
      this.counters.eventsLost++;
      return;
    }
    this.events.push(event);
    this.stack.defer(this);
  }

  /** Tells what waits. */
  run(): void {
    const event = this.events.shift();
    if (this.events.length > 0) this.stack.defer(this);
    if (event && this.onEvent) this.onEvent(event);
  }

  /**
   * An ICMP error about a packet of ours. A report of a smaller MTU is believed for the SPI of a living SA whose number has been used
   * of late, and a few times a second (RFC 4301 section 8); of other errors nothing is learned.
   */
  error(protocol: SecurityProtocol, quoted: Packet, code: number, _mtu: number): boolean {
    if (code !== EMSGSIZE || quoted.end - quoted.start < 8) return false;
    const spi = protocol.spi(quoted.data, quoted.start);
    for (let sa = this.outbound.first(spi); sa; sa = sa.nextInBucket) {
      if (sa.spi === spi && sa.ah === (protocol.protocol === 51) && sa.packets > 0) {
        return this.tooBigRate.take(this.stack.now());
      }
    }
    return false;
  }

  private end(sa: Sa): void {
    this.counters.expired++;
    this.remove(sa);
    this.tell({ type: "hard", policy: sa.policy, sa, flow: null });
  }

  private tellSoft(sa: Sa): void {
    sa.told = true;
    this.tell({ type: "soft", policy: sa.policy, sa, flow: null });
  }

  /** What an SA's clock has come to. */
  private expire(sa: Sa): void {
    const life = sa.lifetime;
    const age = ((this.stack.now() - sa.since) | 0) / 1000;
    if (life.hardSeconds !== undefined && age >= life.hardSeconds) {
      this.end(sa);
      return;
    }
    if (!sa.told && life.softSeconds !== undefined && age >= life.softSeconds) this.tellSoft(sa);
    this.arm(sa);
  }

  private arm(sa: Sa): void {
    const life = sa.lifetime;
    const soft = sa.told ? undefined : life.softSeconds;
    const seconds = soft !== undefined && !(life.hardSeconds! < soft) ? soft : life.hardSeconds;
    if (seconds === undefined) return;
    if (!sa.timer) sa.timer = new Timer(this.expired, sa);
    this.stack.timers.set(sa.timer, (sa.since + seconds * 1000) | 0);
  }
}

function without<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}

/** What is known of an `ipsecLink`; of another link `protects` is undefined. */
interface SecureLink {
  protects?: boolean;
  /** Its SAs, the newest last. */
  outbound: Sa[];
  /** The link that a shaper stands before. */
  link?: SecureLink;
}

export function secureLink(nif: Interface): SecureLink {
  const link = nif.link as unknown as SecureLink;
  return link.link || link;
}

/** Traffic of the loopback and of interfaces that protect it themselves is not asked about. */
export function isExempt(nif: Interface): boolean {
  return nif.link.medium === "ip" && (nif.name === "lo" || secureLink(nif).protects === true);
}

/**
 * IPsec's databases. Needs `ipv4` or `ipv6`, a host with `crypto`, and `esp` or `ah` beside it. Counters: `ipsec`.
 *
 * ```ts
 * const security = ipsec();
 * const stack = createStack(host, [ethernet(), arp(), ipv4(), icmp(), security, esp()]);
 * const policy = security.addPolicy({ action: "protect", remote: "192.0.2.2" });
 * security.addSa({ direction: "out", mode: "transport", spi: 0x1001, local, remote, key, policy });
 * ```
 */
export function ipsec(options: IpsecOptions = {}): Ipsec {
  return new Ipsec(options);
}

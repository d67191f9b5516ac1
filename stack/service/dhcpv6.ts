/** DHCP client for IPv6 (RFC 8415): the component, and its clients, one an interface. */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { parse6 } from "../core/text6.js";
import { Timer } from "../core/timers.js";
import { DUPLICATED } from "../ipv6/address.js";
import type { Address6 } from "../ipv6/address.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import type { RouterInformation } from "../ipv6/slaac.js";
import type { DatagramInfo, UdpSocket } from "../udp/socket.js";
import type { Udp } from "../udp/udp.js";
import { DHCP6_CLIENT_PORT, OPTION_IA_NA, OPTION_IA_PD } from "../wire/dhcpv6.js";
import { Item, lose } from "./dhcpv6-configure.js";
import { duidLinkLayer } from "./dhcpv6-duid.js";
import { readable } from "./dhcpv6-input.js";
import { DUID_LEAST, DUID_MOST, GIVEN, copy, isHost6 } from "./dhcpv6-lease.js";
import type { Answer, Dhcp6Lease, Given } from "./dhcpv6-lease.js";
import {
  addressChanged,
  begin,
  canSpeak,
  fire,
  firstState,
  heed,
  release,
  schedule,
} from "./dhcpv6-machine.js";
import { MESSAGE } from "./dhcpv6-message.js";
import { DHCP6_BOUND, DHCP6_INFORMED, DHCP6_INIT, DHCP6_RELEASING } from "./dhcpv6-state.js";
import { DHCP6_DECLINING, DHCP6_TRYING } from "./dhcpv6-state.js";
import { end, findClient, tell, tick } from "./lease-client.js";
import type { LeaseClient } from "./lease-client.js";

export type { Dhcp6Lease } from "./dhcpv6-lease.js";
export { duidLinkLayer, duidUuid, randomDuid } from "./dhcpv6-duid.js";
export { numberInterface, subnet } from "./dhcpv6-subnet.js";
export * from "./dhcpv6-state.js";

const PROTOCOL_UDP = 17;
/** Bytes that may wait at the socket. */
const QUEUE = 8192;

export class Dhcp6Counters {
  sent = 0;
  /** No route, no memory, no room on the link: the next retransmission tries again. */
  sendFailed = 0;
  /** Options whose lengths lie, or no server that says who it is. */
  malformed = 0;
  /** From or to an address that is not of the link. */
  notOnLink = 0;
  /** An answer to somebody else, or to an exchange that is over. */
  notOurs = 0;
  /** Not of a type that the state waits for, or from another server. */
  unexpected = 0;
  /** Answers that give nothing, and what there is no room for. */
  refused = 0;
  /** Reconfigure messages without proof, or out of time. */
  reconfigureRefused = 0;
  bound = 0;
  expired = 0;
  conflicts = 0;
}

export interface Dhcp6Configuration {
  /**
   * HMAC-MD5 (RFC 2104) of `message` with the 16 bytes of `key`: 16 bytes. With it servers may make clients renew
   * (Reconfigure); without it clients do not offer that.
   */
  hmac?(key: Uint8Array, message: Uint8Array): Uint8Array;
}

/** Options of a client. */
export interface Dhcp6Options {
  /** Asks for addresses (IA_NA). Default true. */
  addresses?: boolean;
  /** Asks for a prefix to use behind this host (IA_PD), best of that length: see `subnet` and `numberInterface`. */
  prefix?: { length?: number };
  /** Asks for parameters alone. */
  stateless?: boolean;
  /** Waits for a router that says what to do, by its M and O flags: give `slaac` an `onAdvertisement` that calls `advertised`. */
  auto?: boolean;
  /** Takes a lease in two messages where the server can (RFC 8415 section 18.2.1). */
  rapidCommit?: boolean;
  /** The host's identifier, 3..130 bytes: see `randomDuid`. Default: of the interface's hardware address. */
  duid?: Uint8Array;
  /** Number of the interface within the host, 32 bits, always the same. Default: of the hardware address, or the index. */
  iaid?: number;
  /**
   * The lease of before a restart: its addresses are confirmed (its prefixes rebound), then renewed, for it does not say how
   * much is left of them. Where nobody answers within ten seconds each, another one is looked for.
   */
  lease?: Dhcp6Lease | null;
  /** The first message is sent within so many ms. Default 1000. */
  delay?: number;
  /** There is a lease, or it has been renewed: addresses and name servers are in use. */
  onBound?(this: Dhcp6Client, lease: Dhcp6Lease): void;
  /**
   * The lease is gone with all in it: `ETIMEDOUT` expired, `ECONNREFUSED` the server took it back or the link is another one,
   * `EADDRINUSE` somebody else has the address, `EADDRNOTAVAIL` it was removed. The client goes on searching.
   */
  onLost?(this: Dhcp6Client, code: number): void;
}

/** The client of one interface. */
export class Dhcp6Client implements LeaseClient {
  queued = false;
  nextDeferred: Deferred | null = null;
  /** `DHCP6_BOUND` and others. */
  state = DHCP6_INIT;
  /** The lease in force, or null. */
  lease: Dhcp6Lease | null = null;
  closed = false;
  /** What is held; what an advertisement has promised. */
  readonly items: Item[] = [];
  wanted: Given[] = [];
  nameServers: string[] = [];
  search: string[] = [];
  /** Seconds. */
  renewTime = 0;
  rebindTime = 0;
  server: Uint8Array = new Uint8Array(0);
  /** The best advertisement so far. */
  best: Answer | null = null;
  /** What is to be asked for: options, or what a router said. */
  wantsAddresses: boolean;
  stateless: boolean;
  /** What routers have said so far: -1 not a word, 0 nothing, 1 other configuration, 2 addresses. */
  advised = -1;
  xid = 0;
  /** Messages sent in this exchange; the time to the next one, ms. */
  attempt = 0;
  interval = 0;
  /** The exchange asks whether a lease of before still holds: its messages are those of a Confirm in number and time. */
  confirms = false;
  /** There was no address to speak from. */
  mute = false;
  solicitMaximum = 3600000;
  informMaximum = 3600000;
  /** The key for Reconfigure messages, whose it is, and the last counter that came with it. */
  key: Uint8Array | null = null;
  keyServer: Uint8Array = new Uint8Array(0);
  replay: Uint8Array | null = null;
  /** What comes after DHCP6_INIT. */
  next = DHCP6_INIT;
  /** Milliseconds since the client was opened, which never wrap; `last` is the stack's time of the same moment. */
  clock = 0;
  last: number;
  /** When the exchange began, and when the last answer came. */
  started = 0;
  requested = 0;
  /** The state's next action; the exchange ends. */
  deadline = 0;
  limit = Infinity;
  renewAt = Infinity;
  rebindAt = Infinity;
  /** Exchanges begun lately from nothing, and when the last was. */
  restarts = 0;
  restarted = 0;
  up: boolean;
  /** What `run` is to tell. */
  lostCode = 0;
  boundNow = false;
  /** The application has been told of a lease, and not of its loss. */
  told = false;
  readonly iaid: number;
  readonly timer: Timer;
  readonly socket: UdpSocket;

  constructor(
    readonly dhcp: Dhcp6,
    readonly nif: Interface,
    readonly options: Dhcp6Options,
    readonly duid: Uint8Array,
    /** Before the first message of what many hosts may do in the same moment, ms at most. */
    readonly delay: number,
  ) {
    this.last = dhcp.stack.now();
    this.up = nif.up();
    this.wantsAddresses = options.addresses !== false;
    this.stateless = options.stateless === true;
    this.iaid = (options.iaid === undefined ? (nif.medium.resolves ? nif.low : nif.index) : options.iaid) | 0;
    this.timer = new Timer(fire, this);
    this.socket = dhcp.udp.open({
      family: 6,
      port: DHCP6_CLIENT_PORT,
      interface: nif,
      receiveBuffer: QUEUE,
      onReadable: () => readable(this),
    });
  }

  /** Is that kind of association asked for? */
  isWanted(kind: number): boolean {
    return kind === OPTION_IA_NA ? this.wantsAddresses : this.options.prefix !== undefined && !this.stateless;
  }

  /** Asks for longer lifetimes, or for the parameters anew, now. */
  renew(): void {
    if (this.state !== DHCP6_BOUND && this.state !== DHCP6_INFORMED) return;
    this.deadline = tick(this);
    schedule(this);
  }

  /** Is nothing to be done until a router says so? */
  waits(): boolean {
    return this.state === DHCP6_INIT && this.deadline === Infinity;
  }

  /** Gives everything back, tells the server so (up to four times), and closes. No callback comes after it. */
  release(): void {
    if (this.closed || this.state === DHCP6_RELEASING) return;
    this.told = false;
    if (!this.lease || this.items.length === 0 || !this.up) return this.close();
    const items = this.items.slice();
    tick(this);
    lose(this, 0);
    for (let i = 0; i < items.length; i++) {
      this.items.push(new Item(items[i].kind, items[i].bytes, items[i].length));
    }
    release(this);
    schedule(this);
  }

  /** Ends the client without a word to the server: the addresses go. Legal twice; no callback comes after it. */
  close(): void {
    if (end(this)) lose(this, 0);
  }

  /** Tells the application what has happened: see `Stack.defer`. */
  run(): void {
    tell(this);
  }
}

export class Dhcp6 implements Component {
  readonly name = "dhcpv6";
  readonly counters = new Dhcp6Counters();
  readonly clients: Dhcp6Client[] = [];
  stack: Stack = null as never;
  ip: Ipv6 = null as never;
  udp: Udp = null as never;
  /** The message that is being built or read: no client needs its own. */
  readonly message = new Uint8Array(MESSAGE);
  readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };

  constructor(readonly configuration: Dhcp6Configuration) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "dhcpv6");
    this.stack = stack;
    stack.counters.dhcpv6 = this.counters as never;
  }

  start(): void {
    this.ip = this.stack.network(6) as Ipv6;
    this.udp = this.stack.transport(PROTOCOL_UDP) as unknown as Udp;
    if (!this.ip || !this.udp) fail("ENOPROTOOPT", "dhcpv6 needs ipv6 and udp");
    this.ip.onAddressChange.push((entry, present) => this.addressChanged(entry, present));
  }

  /**
   * Starts a client on an interface with a link-local address; it searches, takes and keeps a lease until it is closed.
   * Errors (thrown): `EBUSY` the interface has one, `EINVAL` options, `EADDRINUSE` port 546 is taken, `ENOBUFS` no socket.
   */
  open(nif: Interface, options: Dhcp6Options = {}): Dhcp6Client {
    if (this.find(nif)) fail("EBUSY", "dhcpv6 " + nif.name);
    if (nif.removed) fail("EINVAL", "interface");
    const delay = requireInteger(options.delay === undefined ? 1000 : options.delay, 0, 65535, "delay");
    const prefix = options.prefix;
    if (prefix) requireInteger(prefix.length === undefined ? 64 : prefix.length, 1, 128, "prefix");
    if (!prefix && !options.stateless && options.addresses === false) fail("EINVAL", "nothing to ask for");
    const given = options.duid || (nif.medium.resolves ? duidLinkLayer(nif.link.mac as Uint8Array) : null);
    if (!given) return fail("EINVAL", "duid");
    requireInteger(given.length, DUID_LEAST, DUID_MOST, "duid");
    requireInteger(options.iaid || 0, -0x80000000, 0xffffffff, "iaid");
    const items = options.lease && !options.stateless ? itemsOf(options.lease) : [];
    const server = items.length > 0 ? bytesOf((options.lease as Dhcp6Lease).server) : null;
    const client = new Dhcp6Client(this, nif, options, copy(given, 0, given.length), delay);
    for (let i = 0; i < items.length; i++) client.items.push(items[i]);
    if (server) client.server = server;
    this.clients.push(client);
    if (heed(client)) this.begin(client);
    schedule(client);
    return client;
  }

  /** The client of an interface, or null. */
  find(nif: Interface): Dhcp6Client | null {
    return findClient(this.clients, nif);
  }

  /**
   * What a router has advertised: sets a client with `auto` going. Flags only add: a router that takes them back, or flaps,
   * changes nothing (RFC 4862 leaves that to the host).
   */
  advertised(information: RouterInformation): void {
    const client = this.find(information.interface);
    const advice = information.managed ? 2 : information.other ? 1 : 0;
    if (!client || !client.options.auto || advice <= client.advised) return;
    const wantsAddresses = client.wantsAddresses;
    const stateless = client.stateless;
    const waits = client.waits();
    tick(client);
    client.advised = advice;
    // An exchange about a lease of before goes on: the cable was pulled, and this router may not know more than the server.
    if (wantsAddresses && client.items.length > 0 && !waits) return;
    if (
      heed(client) &&
      (waits || client.wantsAddresses !== wantsAddresses || client.stateless !== stateless)
    ) {
      this.begin(client);
    }
    schedule(client);
  }

  interfaceChanged(nif: Interface): void {
    const client = this.find(nif);
    const up = nif.up();
    if (!client || client.up === up) return;
    client.up = up;
    tick(client);
    const state = client.state;
    const busy = state === DHCP6_TRYING || state === DHCP6_DECLINING || state === DHCP6_RELEASING;
    // The lease outlives a pulled cable, but the other end may be another network now: ask (RFC 8415 section 18.2.12).
    if (up && !busy) {
      client.advised = -1;
      if (client.items.length > 0 ? !client.waits() : heed(client)) this.begin(client);
    }
    schedule(client);
  }

  interfaceRemoved(nif: Interface): void {
    const client = this.find(nif);
    if (client) client.close();
  }

  close(): void {
    while (this.clients.length > 0) this.clients[0].close();
  }

  /** Begins anew, but not when all others do. */
  private begin(client: Dhcp6Client): void {
    begin(client, firstState(client));
    client.deadline += this.stack.host.randomBelow(client.delay + 1);
  }

  private addressChanged(entry: Address6, present: boolean): void {
    const client = this.find(entry.nif);
    if (!client) return;
    tick(client);
    for (let i = 0; i < client.items.length; i++) {
      if (client.items[i].entry !== entry) continue;
      addressChanged(client, client.items[i], present, entry.state === DUPLICATED);
      break;
    }
    if (client.mute && canSpeak(client)) {
      client.mute = false;
      client.deadline = client.clock;
    }
    schedule(client);
  }
}

/** The bytes that a lease has in hexadecimal. */
function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length >> 1);
  for (let i = 0; i < bytes.length; i++) {
    const value = parseInt(text.substring(2 * i, 2 * i + 2), 16);
    bytes[i] = value >= 0 ? value : fail("EINVAL", "lease " + text);
  }
  return bytes;
}

/** What a stored lease held. */
function itemsOf(lease: Dhcp6Lease): Item[] {
  const items: Item[] = [];
  const add = (kind: number, address: string, length: number) => {
    const bytes = parse6(address);
    if (!bytes || !isHost6(bytes, 0)) return fail("EINVAL", "lease " + address);
    items.push(new Item(kind, bytes, requireInteger(length, 1, 128, "lease")));
  };
  requireInteger(lease.addresses.length, 0, GIVEN, "lease");
  requireInteger(lease.prefixes.length, 0, GIVEN, "lease");
  requireInteger(lease.server.length, 2 * DUID_LEAST, 2 * DUID_MOST, "lease");
  for (let i = 0; i < lease.addresses.length; i++) add(OPTION_IA_NA, lease.addresses[i].address, 128);
  for (let i = 0; i < lease.prefixes.length; i++) {
    const text = lease.prefixes[i].prefix;
    const slash = text.indexOf("/");
    add(OPTION_IA_PD, text.substring(0, slash), +text.substring(slash + 1));
  }
  return items;
}

/**
 * The DHCPv6 client component; needs `ipv6`, `icmpv6`, `nd` and `udp`. Counters: `dhcpv6`.
 *
 * ```ts
 * const leases = dhcpv6();
 * const routers = slaac({ onAdvertisement: (information) => leases.advertised(information) });
 * const stack = createStack(host, [ethernet(), ipv6(), icmpv6(), nd(), dad(), routers, udp(), leases]);
 * leases.open(stack.addInterface(link), {
 *   auto: true,
 *   prefix: { length: 56 },
 *   onBound: (lease) => (store(lease), numberInterface(ip, lan, lease, 1)),
 *   onLost: () => numberInterface(ip, lan, null, 1),
 * });
 * ```
 */
export function dhcpv6(configuration: Dhcp6Configuration = {}): Dhcp6 {
  return new Dhcp6(configuration);
}

/** DHCP client for IPv4 (RFC 2131): the component, and its clients, one an interface. */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import { Timer } from "../core/timers.js";
import { TENTATIVE } from "../ipv4/address.js";
import type { Address4 } from "../ipv4/address.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { DatagramInfo, UdpSocket } from "../udp/socket.js";
import type { Udp } from "../udp/udp.js";
import * as wire from "../wire/dhcp.js";
import { PROTOCOL_UDP, isMartian4 } from "../wire/ipv4.js";
import { configure, conflict, lose } from "./dhcp-configure.js";
import type { DhcpLease, DhcpOption } from "./dhcp-lease.js";
import { begin, fire, firstState, readable, schedule } from "./dhcp-machine.js";
import { MESSAGE, compose, send } from "./dhcp-message.js";
import { DHCP_BOUND, DHCP_INIT, DHCP_PROBING, DHCP_SELECTING } from "./dhcp-state.js";
import { end, findClient, tell, tick } from "./lease-client.js";
import type { LeaseClient } from "./lease-client.js";

export type { DhcpLease, DhcpOption, DhcpRoute } from "./dhcp-lease.js";
export { classlessRoutes, duidClientId, ipv6Only, rawOption, searchList } from "./dhcp-options.js";
export * from "./dhcp-state.js";

/** Bytes that may wait at the socket. */
const QUEUE = 4096;

export class DhcpCounters {
  sent = 0;
  /** No route, no memory, no room on the link: the next retransmission tries again. */
  sendFailed = 0;
  /** No reply by RFC 2131, or options whose lengths lie. */
  malformed = 0;
  /** An answer to somebody else, or to a transaction that is over. */
  notOurs = 0;
  /** Not of the type that the state waits for, or from another server. */
  unexpected = 0;
  /** Offers and acknowledgements of what this host cannot use. */
  rejected = 0;
  bound = 0;
  naks = 0;
  expired = 0;
  conflicts = 0;
  /** Routes that were not installed: gateway not on the link, or the table is full. */
  badRoutes = 0;
}

export interface DhcpConfiguration {
  /** Options to ask for besides the usual ones: `classlessRoutes`, `searchList`, `ipv6Only`, `rawOption(code)`. */
  options?: DhcpOption[];
}

/** Options of a client. */
export interface DhcpOptions {
  /** The name that this host gives itself, 1..255 bytes. */
  hostname?: string;
  /** Client identifier, 2..255 bytes (RFC 2132 section 9.14). Default: type 1 and the hardware address. */
  clientId?: Uint8Array;
  /** Vendor class, 1..255 bytes. */
  vendorClass?: string;
  /** The lease of before a restart: its address is asked for first. */
  lease?: DhcpLease | null;
  /** This address of the interface's, configured by other means: only parameters are asked for (DHCPINFORM). */
  inform?: string;
  /** Metric of the routes. Default 100 and the interface's index: routes set by hand go first. */
  metric?: number;
  /** The first message is sent within so many ms, so that not all hosts speak at once when the power returns. Default 1000. */
  delay?: number;
  /** There is a lease, or it has been renewed: its address, routes and name servers are in use. */
  onBound?(this: DhcpClient, lease: DhcpLease): void;
  /**
   * The lease is gone, and its address: `ETIMEDOUT` expired, `ECONNREFUSED` the server took it back, `EADDRINUSE` somebody
   * else has the address, `EADDRNOTAVAIL` the server gave another one. The client goes on searching.
   */
  onLost?(this: DhcpClient, code: number): void;
}

/** The client of one interface. */
export class DhcpClient implements LeaseClient {
  queued = false;
  nextDeferred: Deferred | null = null;
  /** `DHCP_BOUND` and others. */
  state = DHCP_INIT;
  /** The lease in force, or null. */
  lease: DhcpLease | null = null;
  closed = false;
  /** The lease that was acknowledged, while its address is tried. */
  pending: DhcpLease | null = null;
  /** The lease's address on the interface. */
  entry: Address4 | null = null;
  /** The address that is asked for or held, and the server it is from; 0: none. */
  address = 0;
  server = 0;
  /** There was an acknowledgement for `address`: INIT-REBOOT makes sense. */
  known = false;
  xid = 0;
  secs = 0;
  /** Messages sent in this transaction. */
  attempt = 0;
  /** What comes after DHCP_INIT. */
  next = DHCP_SELECTING;
  /** Milliseconds since the client was opened, which never wrap; `last` is the stack's time of the same moment. */
  clock = 0;
  last: number;
  /** When the transaction, and its request, began. */
  started = 0;
  requested = 0;
  /** The state's next action; RENEWING turns into REBINDING; the lease ends. */
  deadline = 0;
  rebindAt = 0;
  expires = Infinity;
  /** Searches begun lately, and when the last was. */
  restarts = 0;
  restarted = 0;
  up: boolean;
  /** The interface's MTU before the lease changed it, or 0. */
  formerMtu = 0;
  /** What `run` is to tell. */
  lostCode = 0;
  boundNow = false;
  /** The application has been told of a lease, and not of its loss. */
  told = false;
  readonly timer: Timer;
  readonly socket: UdpSocket;
  /** The client identifier option, and the options that go with each request. */
  readonly id: number[] = [];
  readonly tail: number[] = [];

  constructor(
    readonly dhcp: Dhcp,
    readonly nif: Interface,
    readonly options: DhcpOptions,
  ) {
    this.last = dhcp.stack.now();
    this.up = nif.up();
    this.timer = new Timer(fire, this);
    this.socket = dhcp.udp.open({
      family: 4,
      port: wire.DHCP_CLIENT_PORT,
      interface: nif,
      broadcast: true,
      anonymous: true,
      receiveBuffer: QUEUE,
      onReadable: () => readable(this),
    });
  }

  /** Asks for a longer lease now. */
  renew(): void {
    if (this.state !== DHCP_BOUND || !this.entry) return;
    this.deadline = tick(this);
    schedule(this);
  }

  /** Gives the lease back to the server (RFC 2131 section 4.4.6), and closes. */
  release(): void {
    if (this.closed) return;
    if (this.lease && this.entry && this.up) {
      this.state = DHCP_BOUND;
      send(this, wire.RELEASE);
    }
    this.close();
  }

  /** Ends the client without a word to the server: the address goes. Legal twice; no callback comes after it. */
  close(): void {
    if (end(this)) lose(this, 0);
  }

  /** Tells the application what has happened: see `Stack.defer`. */
  run(): void {
    tell(this);
  }
}

export class Dhcp implements Component {
  readonly name = "dhcp";
  readonly counters = new DhcpCounters();
  readonly clients: DhcpClient[] = [];
  readonly extras: DhcpOption[];
  stack: Stack = null as never;
  ip: Ipv4 = null as never;
  udp: Udp = null as never;
  /** The message that is being built or read, and the value of the option in question: no client needs its own. */
  readonly message = new Uint8Array(MESSAGE);
  readonly value = new Uint8Array(MESSAGE);
  readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };

  constructor(configuration: DhcpConfiguration) {
    this.extras = configuration.options || [];
    requireInteger(this.extras.length, 0, 64, "options");
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "dhcp");
    this.stack = stack;
    stack.counters.dhcp = this.counters as never;
  }

  start(): void {
    this.ip = this.stack.network(4) as Ipv4;
    this.udp = this.stack.transport(PROTOCOL_UDP) as unknown as Udp;
    if (!this.ip || !this.udp) fail("ENOPROTOOPT", "dhcp needs ipv4 and udp");
    this.ip.onAddressChange.push((entry, present) => this.addressChanged(entry, present));
  }

  /**
   * Starts a client on an Ethernet interface; it searches, takes and keeps a lease until it is closed.
   * Errors (thrown): `EBUSY` the interface has one, `EINVAL` options, `EADDRINUSE` port 68 is taken, `ENOBUFS` no socket.
   */
  open(nif: Interface, options: DhcpOptions = {}): DhcpClient {
    if (this.find(nif)) fail("EBUSY", "dhcp " + nif.name);
    if (nif.removed || !nif.medium.resolves) fail("EINVAL", "interface");
    const id = options.clientId;
    const delay = requireInteger(options.delay === undefined ? 1000 : options.delay, 0, 65535, "delay");
    const address = options.inform || (options.lease ? options.lease.address : "0.0.0.0");
    const known = parse4(address);
    if (known === null || (known !== 0 && isMartian4(known))) fail("EINVAL", "address " + address);
    requireInteger(options.metric || 0, 0, 0x7fffffff, "metric");
    if (id && id.length < 2) fail("EINVAL", "clientId");
    const client = new DhcpClient(this, nif, options);
    try {
      compose(client);
    } catch (error) {
      client.socket.close();
      throw error;
    }
    client.address = known as number;
    client.known = known !== 0;
    client.deadline = this.stack.host.randomBelow(delay + 1);
    this.clients.push(client);
    client.next = firstState(client);
    schedule(client);
    return client;
  }

  /** The client of an interface, or null. */
  find(nif: Interface): DhcpClient | null {
    return findClient(this.clients, nif);
  }

  interfaceChanged(nif: Interface): void {
    const client = this.find(nif);
    const up = nif.up();
    if (!client || client.up === up) return;
    client.up = up;
    tick(client);
    // The lease outlives a pulled cable, but the other end may be another network now: ask (RFC 2131 section 3.7).
    if (up) begin(client, firstState(client));
    schedule(client);
  }

  interfaceRemoved(nif: Interface): void {
    const client = this.find(nif);
    if (client) client.close();
  }

  close(): void {
    while (this.clients.length > 0) this.clients[0].close();
  }

  private addressChanged(entry: Address4, present: boolean): void {
    const client = this.find(entry.nif);
    if (!client || client.entry !== entry) return;
    tick(client);
    if (!present) conflict(client);
    else if (client.state === DHCP_PROBING && entry.state !== TENTATIVE) configure(client);
    schedule(client);
  }
}

/**
 * The DHCP client component; needs `ipv4`, `arp` and `udp`. Counters: `dhcp`.
 *
 * ```ts
 * const leases = dhcp({ options: [searchList] });
 * const stack = createStack(host, [ethernet(), arp(), ipv4(), icmp(), udp(), leases]);
 * const client = leases.open(stack.addInterface(link), { hostname: "lamp", onBound: (lease) => store(lease) });
 * ```
 */
export function dhcp(configuration: DhcpConfiguration = {}): Dhcp {
  return new Dhcp(configuration);
}

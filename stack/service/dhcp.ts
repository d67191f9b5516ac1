/** DHCP client for IPv4 (RFC 2131): the component, its clients, one an interface, and their state machine. */
import { get16, get32, put16, put32, zeroBytes } from "../core/bytes.js";
import { EADDRINUSE, EADDRNOTAVAIL, ECONNREFUSED, ETIMEDOUT, fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { nameServers } from "../core/name-servers.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { format4, parse4 } from "../core/text4.js";
import { Timer } from "../core/timers.js";
import { TENTATIVE } from "../ipv4/address.js";
import type { Address4 } from "../ipv4/address.js";
import type { Ipv4, RouteOptions } from "../ipv4/ipv4.js";
import type { DatagramInfo, UdpSocket } from "../udp/socket.js";
import type { Udp } from "../udp/udp.js";
import * as wire from "../wire/dhcp.js";
import { PROTOCOL_UDP, isMartian4 } from "../wire/ipv4.js";
import { parseLease } from "./dhcp-lease.js";
import type { DhcpLease, DhcpOption } from "./dhcp-lease.js";

export type { DhcpLease, DhcpOption, DhcpRoute } from "./dhcp-lease.js";
export { classlessRoutes, duidClientId, ipv6Only, rawOption, searchList } from "./dhcp-options.js";

/** States of a client, in the RFC's words where it has one. From `DHCP_BOUND` on there is a lease. */
/** Waits before a transaction: for its turn, or for the carrier. */
export const DHCP_INIT = 0;
export const DHCP_SELECTING = 1;
export const DHCP_REQUESTING = 2;
/** Asks whether a lease from before a restart, or before the cable was pulled, still holds. */
export const DHCP_REBOOTING = 3;
/** The address is being tried (RFC 5227). */
export const DHCP_PROBING = 4;
/** Somebody else has the address; the server is about to be told. */
export const DHCP_DECLINING = 5;
export const DHCP_BOUND = 6;
export const DHCP_RENEWING = 7;
export const DHCP_REBINDING = 8;
/** Asks for parameters alone. */
export const DHCP_INFORMING = 9;

/** Largest message that is sent or understood, bytes. */
const MESSAGE = 1024;
/** A message's UDP and IPv4 headers. */
const HEADERS = 28;
/** Bytes that may wait at the socket. */
const QUEUE = 4096;
/** Milliseconds: while the host has no entropy; after a conflict (RFC 2131 section 3.1.5); between two renewals. */
const RETRY = 10000;
const MINUTE = 60000;
/** Transactions that begin within this time of each other are spaced by the backoff. */
const QUIET = 128000;
/** Unanswered requests before a new search: 60 s for an offer, 12 s for a lease of old. */
const REQUESTS = 4;
const REBOOTS = 2;
/** The least time without IPv4 (RFC 8925 section 3.4), seconds. */
const IPV6_ONLY_FLOOR = 300;

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
export class DhcpClient implements Deferred {
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
    if (this.closed) return;
    this.closed = true;
    const clients = this.dhcp.clients;
    clients.splice(clients.indexOf(this), 1);
    this.told = false;
    lose(this, 0);
    this.dhcp.stack.timers.clear(this.timer);
    this.socket.close();
  }

  /** Tells the application what has happened: see `Stack.defer`. */
  run(): void {
    const options = this.options;
    const code = this.lostCode;
    this.lostCode = 0;
    if (this.closed) return;
    if (code !== 0) {
      if (this.boundNow) this.dhcp.stack.defer(this);
      if (options.onLost) options.onLost.call(this, code);
    } else if (this.boundNow) {
      this.boundNow = false;
      this.told = true;
      if (options.onBound && this.lease) options.onBound.call(this, this.lease);
    }
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
    for (let i = 0; i < this.clients.length; i++) {
      if (this.clients[i].nif === nif) return this.clients[i];
    }
    return null;
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

/* Time */

/** Brings the client's clock up to date. It never wraps: leases last up to 136 years, the stack's time 24 days. */
function tick(c: DhcpClient): number {
  const now = c.dhcp.stack.now();
  c.clock += (now - c.last) | 0;
  c.last = now;
  return c.clock;
}

/** Arms the timer for what comes first: the state's deadline, while there is a carrier, or the end of the lease. */
function schedule(c: DhcpClient): void {
  const timers = c.dhcp.stack.timers;
  const at = c.up && c.deadline < c.expires ? c.deadline : c.expires;
  const delay = at - c.clock;
  if (c.closed || delay === Infinity) timers.clear(c.timer);
  else timers.set(c.timer, (c.last + (delay < 0 ? 0 : delay < 1e9 ? delay : 1e9)) | 0);
}

function fire(c: DhcpClient): void {
  tick(c);
  if (c.clock >= c.expires) {
    c.dhcp.counters.expired++;
    c.known = false;
    lose(c, ETIMEDOUT);
    begin(c, DHCP_SELECTING);
  } else if (c.up && c.clock >= c.deadline) act(c);
  schedule(c);
}

/** 4, 8, 16, 32, 64, 64, ... s, each one second more or less (RFC 2131 section 4.1), in ms. */
function backoff(c: DhcpClient, n: number): number {
  return (n < 4 ? 4000 << n : 64000) - 1000 + c.dhcp.stack.host.randomBelow(2001);
}

/* Transactions */

function firstState(c: DhcpClient): number {
  return c.options.inform ? DHCP_INFORMING : c.known ? DHCP_REBOOTING : DHCP_SELECTING;
}

/** Goes to DHCP_INIT, and from there to `next`: at once, unless that has happened three times of late. */
function begin(c: DhcpClient, next: number): void {
  c.state = DHCP_INIT;
  c.next = next;
  if (c.clock - c.restarted > QUIET) c.restarts = 0;
  c.deadline = c.restarts < 3 ? c.clock : c.restarted + backoff(c, c.restarts - 3);
}

/** Begins a transaction in `state`, which ends the last one. */
function transact(c: DhcpClient, state: number): void {
  const host = c.dhcp.stack.host;
  if (!host.secure(4)) {
    c.deadline = c.clock + RETRY;
    return;
  }
  if (c.state === DHCP_INIT) {
    c.restarts++;
    c.restarted = c.clock;
  }
  c.xid = host.random32();
  c.state = state;
  c.started = c.requested = c.clock;
  c.attempt = 0;
  transmit(c);
}

/** Sends the state's message, and says when to send it again. */
function transmit(c: DhcpClient): void {
  const state = c.state;
  if (state === DHCP_RENEWING || state === DHCP_REBINDING) {
    const limit = state === DHCP_RENEWING ? c.rebindAt : c.expires;
    const half = Math.floor((limit - c.clock) / 2);
    const at = c.clock + (half > MINUTE ? half : MINUTE);
    c.deadline = at < limit ? at : limit;
  } else c.deadline = c.clock + backoff(c, c.attempt);
  c.attempt++;
  // RFC 2131 section 4.4.1: a request for an offer says the same as the discovery that led to it.
  if (state !== DHCP_REQUESTING) c.secs = Math.floor((c.clock - c.started) / 1000);
  send(c, state === DHCP_SELECTING ? wire.DISCOVER : state === DHCP_INFORMING ? wire.INFORM : wire.REQUEST);
}

/** The state's deadline has come. */
function act(c: DhcpClient): void {
  const state = c.state;
  if (state === DHCP_INIT) transact(c, c.next);
  else if (state === DHCP_BOUND) transact(c, DHCP_RENEWING);
  else if (state === DHCP_RENEWING && c.clock >= c.rebindAt) transact(c, DHCP_REBINDING);
  else if (state === DHCP_DECLINING) {
    send(c, wire.DECLINE);
    c.address = 0;
    pause(c, RETRY);
  } else if (
    (state === DHCP_REQUESTING && c.attempt >= REQUESTS) ||
    (state === DHCP_REBOOTING && c.attempt >= REBOOTS)
  ) {
    begin(c, DHCP_SELECTING);
  } else transmit(c);
}

/** A new search, but not before `ms` have passed. */
function pause(c: DhcpClient, ms: number): void {
  begin(c, DHCP_SELECTING);
  if (c.deadline < c.clock + ms) c.deadline = c.clock + ms;
}

/* Messages */

/** Composes what is the same in all messages. */
function compose(c: DhcpClient): void {
  const options = c.options;
  const mac = c.nif.link.mac as Uint8Array;
  const tail = c.tail;
  const extras = c.dhcp.extras;
  const size = c.nif.mtu < MESSAGE + HEADERS ? c.nif.mtu : MESSAGE + HEADERS;
  if (options.clientId) emit(c.id, wire.OPTION_CLIENT_ID, options.clientId);
  else c.id.push(wire.OPTION_CLIENT_ID, 7, 1, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  tail.push(wire.OPTION_MESSAGE_SIZE, 2, size >> 8, size & 255);
  emit(tail, wire.OPTION_HOST_NAME, options.hostname);
  emit(tail, wire.OPTION_VENDOR_CLASS, options.vendorClass);
  tail.push(wire.OPTION_PARAMETERS, extras.length + 9);
  // RFC 3442: the classless routes come before the router.
  for (let i = 0; i < extras.length; i++) tail.push(requireInteger(extras[i].code, 1, 254, "option"));
  tail.push(
    wire.OPTION_MASK,
    wire.OPTION_ROUTER,
    wire.OPTION_NAME_SERVERS,
    wire.OPTION_HOST_NAME,
    wire.OPTION_DOMAIN,
    wire.OPTION_MTU,
    wire.OPTION_NTP,
    wire.OPTION_RENEW_TIME,
    wire.OPTION_REBIND_TIME,
  );
}

/** Appends an option with up to 255 bytes, or as many characters. */
function emit(target: number[], code: number, value: Uint8Array | string | undefined): void {
  if (value === undefined) return;
  target.push(code, requireInteger(value.length, 1, 255, "option " + code));
  for (let i = 0; i < value.length; i++) {
    target.push(typeof value === "string" ? value.charCodeAt(i) & 255 : value[i]);
  }
}

/** Sends a message of `type`; what is in it follows from the state (RFC 2131 section 4.4.1, table 5). */
function send(c: DhcpClient, type: number): void {
  const d = c.dhcp;
  const data = d.message;
  const state = c.state;
  const last = type === wire.RELEASE || state === DHCP_DECLINING;
  zeroBytes(data, 0, wire.DHCP_MINIMUM);
  data[wire.DHCP_OP] = wire.BOOT_REQUEST;
  data[1] = 1;
  data[2] = 6;
  put32(data, wire.DHCP_XID, c.xid);
  put16(data, wire.DHCP_SECS, c.secs < 65535 ? c.secs : 65535);
  put16(data, wire.DHCP_CHADDR, c.nif.high);
  put32(data, wire.DHCP_CHADDR + 2, c.nif.low);
  put32(data, wire.DHCP_COOKIE, wire.COOKIE);
  let at = wire.DHCP_OPTIONS;
  data[at++] = wire.OPTION_MESSAGE_TYPE;
  data[at++] = 1;
  data[at++] = type;
  if (state >= DHCP_BOUND) put32(data, wire.DHCP_CIADDR, c.address);
  else {
    // Without an address there is nothing that a server could send to but a broadcast.
    if (!last) data[wire.DHCP_FLAGS] = 0x80;
    if (c.address) at = wire.emitAddress(data, at, wire.OPTION_ADDRESS, c.address);
  }
  if (last || state === DHCP_REQUESTING) at = wire.emitAddress(data, at, wire.OPTION_SERVER, c.server);
  for (let i = 0; i < c.id.length; i++) data[at++] = c.id[i];
  for (let i = 0; !last && i < c.tail.length; i++) data[at++] = c.tail[i];
  data[at++] = wire.OPTION_END;
  const code = c.socket.sendTo(
    type === wire.RELEASE || state === DHCP_RENEWING ? format4(c.server) : "255.255.255.255",
    wire.DHCP_SERVER_PORT,
    data,
    0,
    at < wire.DHCP_MINIMUM ? wire.DHCP_MINIMUM : at,
  );
  if (code < 0) d.counters.sendFailed++;
  else d.counters.sent++;
}

function readable(c: DhcpClient): void {
  const d = c.dhcp;
  tick(c);
  while (!c.closed && c.socket.receive(d.message, d.info) >= 0) {
    const end = d.info.truncated ? 0 : d.info.length;
    if (!wire.isReply(d.message, end, d.value)) d.counters.malformed++;
    else if (!isOurs(c, end)) d.counters.notOurs++;
    else input(c, end);
  }
  schedule(c);
}

/** Is the reply for this client's present transaction? */
function isOurs(c: DhcpClient, end: number): boolean {
  const data = c.dhcp.message;
  const value = c.dhcp.value;
  if (
    get32(data, wire.DHCP_XID) !== c.xid ||
    get16(data, wire.DHCP_CHADDR) !== c.nif.high ||
    get32(data, wire.DHCP_CHADDR + 2) !== c.nif.low
  ) {
    return false;
  }
  // RFC 6842: a server that repeats the identifier means the one who has it.
  const length = wire.parseOption(data, end, wire.OPTION_CLIENT_ID, value);
  if (length > 0 && length + 2 !== c.id.length) return false;
  for (let i = 0; i < length; i++) {
    if (value[i] !== c.id[i + 2]) return false;
  }
  return true;
}

/** Takes a reply (RFC 2131 sections 4.4.1 to 4.4.5). */
function input(c: DhcpClient, end: number): void {
  const d = c.dhcp;
  const state = c.state;
  const counters = d.counters;
  const data = d.message;
  const value = d.value;
  const type = wire.parseOption(data, end, wire.OPTION_MESSAGE_TYPE, value) === 1 ? value[0] : 0;
  const server = wire.parseOption(data, end, wire.OPTION_SERVER, value) === 4 ? get32(value, 0) : 0;
  const asked =
    state === DHCP_REQUESTING ||
    state === DHCP_REBOOTING ||
    state === DHCP_RENEWING ||
    state === DHCP_REBINDING;
  const inform = state === DHCP_INFORMING;
  if (
    isMartian4(server) ||
    !(type === wire.OFFER
      ? state === DHCP_SELECTING
      : type === wire.ACK
        ? asked || inform
        : type === wire.NAK && asked) ||
    ((state === DHCP_REQUESTING || state === DHCP_RENEWING) && server !== c.server)
  ) {
    counters.unexpected++;
    return;
  }
  if (type === wire.NAK) {
    counters.naks++;
    lose(c, ECONNREFUSED);
    c.address = 0;
    c.known = false;
    begin(c, DHCP_SELECTING);
    return;
  }
  const lease = parseLease(data, end, value, d.extras, inform);
  const address = get32(data, wire.DHCP_YIADDR);
  if (!lease || (asked && address !== c.address)) {
    counters.rejected++;
    return;
  }
  if (lease.ipv6Only >= 0) {
    lose(c, EADDRNOTAVAIL);
    c.known = false;
    pause(c, (lease.ipv6Only > IPV6_ONLY_FLOOR ? lease.ipv6Only : IPV6_ONLY_FLOOR) * 1000);
    return;
  }
  c.server = server;
  c.pending = lease;
  if (inform) configure(c);
  else if (asked) bind(c, lease);
  else {
    c.address = address;
    c.known = false;
    c.state = DHCP_REQUESTING;
    c.attempt = 0;
    c.requested = c.clock;
    transmit(c);
  }
}

/* The lease and what it configures */

/** The server has acknowledged: gives the interface the address, and tries it where the stack can. */
function bind(c: DhcpClient, lease: DhcpLease): void {
  const held = c.entry;
  if (held && (held.address !== c.address || held.length !== lease.prefix)) lose(c, EADDRNOTAVAIL);
  c.known = true;
  c.rebindAt = c.requested + lease.rebindTime * 1000;
  c.expires = c.requested + lease.leaseTime * 1000;
  if (!c.entry) {
    try {
      c.entry = c.dhcp.ip.addAddress(c.nif, lease.address + "/" + lease.prefix, {
        origin: "dhcp",
        metric: metric(c),
      });
    } catch {
      // This host has the address already, on this interface or another.
      conflict(c);
      return;
    }
  }
  c.state = DHCP_PROBING;
  c.deadline = Infinity;
  if (c.entry.state !== TENTATIVE) configure(c);
}

/** Somebody else has the address. */
function conflict(c: DhcpClient): void {
  c.dhcp.counters.conflicts++;
  c.entry = null;
  c.known = false;
  lose(c, EADDRINUSE);
  c.state = DHCP_DECLINING;
  c.deadline = c.clock;
}

function metric(c: DhcpClient): number {
  return c.options.metric === undefined ? 100 + c.nif.index : c.options.metric;
}

/** Puts the acknowledged lease into force. */
function configure(c: DhcpClient): void {
  const d = c.dhcp;
  const nif = c.nif;
  const lease = (c.lease = c.pending as DhcpLease);
  c.state = DHCP_BOUND;
  c.deadline = Infinity;
  if (c.entry) {
    // Hosts that were bound in the same moment renew in different ones.
    const jitter = d.stack.host.randomBelow(1024) / 16384;
    c.deadline = c.requested + Math.floor(lease.renewTime * (1000 - 1000 * jitter));
    d.ip.fib.remove((route) => route.nif === nif && route.origin === "dhcp");
    d.stack.changed();
    for (let i = 0; i < lease.routes.length; i++) addRoute(c, i, true);
    for (let i = 0; i < lease.routes.length; i++) addRoute(c, i, false);
  }
  if (lease.mtu) {
    if (!c.formerMtu) c.formerMtu = nif.mtu;
    setMtu(nif, lease.mtu);
  }
  nameServers(d.stack).set("dhcp", nif, lease.nameServers, lease.search);
  d.counters.bound++;
  c.boundNow = true;
  d.stack.defer(c);
}

/** Installs the lease's `i`th route where it is one to the link itself (`direct`), or one by a gateway on the link. */
function addRoute(c: DhcpClient, i: number, direct: boolean): void {
  const ip = c.dhcp.ip;
  const lease = c.lease as DhcpLease;
  const route = lease.routes[i];
  const hop = parse4(route.gateway) as number;
  const options: RouteOptions = {
    interface: c.nif,
    metric: metric(c),
    origin: "dhcp",
    source: lease.address,
  };
  if ((hop === 0) !== direct) return;
  if (hop) {
    const via = ip.fib.lookup(hop, c.nif);
    if (!via || via.gateway || hop === c.address || ip.isBroadcast(c.nif, hop)) {
      c.dhcp.counters.badRoutes++;
      return;
    }
    options.gateway = route.gateway;
  }
  try {
    ip.addRoute(route.prefix, options);
  } catch {
    c.dhcp.counters.badRoutes++;
  }
}

function setMtu(nif: Interface, mtu: number): void {
  if (mtu > nif.link.mtu) mtu = nif.link.mtu;
  if (mtu !== nif.mtu) nif.stack.setInterface(nif, { mtu });
}

/** Takes back everything that the lease configured; the application hears of it with `code`, if it ever heard of the lease. */
function lose(c: DhcpClient, code: number): void {
  const d = c.dhcp;
  const entry = c.entry;
  // First: that the address goes is no conflict then.
  c.entry = null;
  c.expires = Infinity;
  if (entry) d.ip.dropAddress(entry);
  if (c.formerMtu) setMtu(c.nif, c.formerMtu);
  c.formerMtu = 0;
  nameServers(d.stack).set("dhcp", c.nif, [], []);
  if (c.told) {
    c.lostCode = code;
    d.stack.defer(c);
  }
  c.lease = null;
  c.told = c.boundNow = false;
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

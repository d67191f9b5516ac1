/**
 * PCP (RFC 6887) and NAT-PMP (RFC 6886) server: hosts inside ask for outer ports that lead to them.
 *
 * It serves no interface until it is told to, hosts on the links of those alone, and each for itself only. A reply is no longer than
 * its request, but for NAT-PMP's (two bytes are answered by twelve), to addresses of the link alone.
 *
 * ```ts
 * const nat = napt(), ports = pcpServer({ mapper: nat });
 * const stack = createStack(host, [..., firewall({ nat, rules }), ports]);
 * ports.serve(lan);
 * ```
 */
import { get16, get32, put16, put32, zeroBytes } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { PortMapper } from "../core/port-mapper.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import { Timer } from "../core/timers.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { DatagramInfo, Udp, UdpSocket } from "../udp/udp.js";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.js";
import * as wire from "../wire/pcp.js";
import { PcpMappings } from "./pcp-mappings.js";

const QUEUE = 16384;
/** Lifetimes of errors, s: those that may pass soon, and the others (RFC 6887 section 7.4). */
const SHORT = 30;
const LONG = 1800;
/** Announcements after the outer address has changed, and how far they are apart at first, ms (RFC 6886 section 3.2.1). */
const ANNOUNCEMENTS = 10;
const ANNOUNCE_FIRST = 250;
const ALL_HOSTS = "224.0.0.1";

export class PcpServerCounters {
  received = 0;
  sent = 0;
  sendFailed = 0;
  /** Not answered: no request, or too short to be one. */
  malformed = 0;
  /** From beyond the link: not answered. */
  strangers = 0;
  /** Not answered because of the rate limit. */
  limited = 0;
  /** Answered by an error. */
  refused = 0;
}

export interface PcpServerOptions {
  /** Who gives the ports: `napt()`. */
  mapper: PortMapper;
  /** Mappings at most. Default 256. */
  limit?: number;
  /** Mappings of one host. Default 32. */
  perHost?: number;
  /** Longest lifetime, s. Default 86400; two minutes are the shortest. */
  lifetime?: number;
  /** Replies a second, and as many at once. Default 100. */
  rate?: number;
}

export class PcpServer implements Component {
  readonly name = "pcp";
  readonly counters = new PcpServerCounters();
  readonly mappings: PcpMappings;
  private stack: Stack = null as never;
  private udp: Udp = null as never;
  private ip: Ipv4 = null as never;
  private readonly mapper: PortMapper;
  private readonly sockets: UdpSocket[] = [];
  private readonly limit: RateLimit;
  private readonly lifetime: number;
  private readonly data = new Uint8Array(wire.PCP_LONGEST + 4);
  private readonly out = new Uint8Array(wire.PCP_LONGEST);
  private readonly timer: Timer;
  private readonly announcer: Timer;
  private announced = ANNOUNCEMENTS;
  /** For how long the mappings are known, up to `epoch`; and the outer address that they have. */
  private seconds = 0;
  private epoch = 0;
  private outer = 0;
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };

  constructor(options: PcpServerOptions) {
    const value = (given: number | undefined, normal: number, most: number, what: string) =>
      requireInteger(given === undefined ? normal : given, 1, most, what);
    if (!options.mapper || typeof options.mapper.map !== "function") fail("EINVAL", "mapper");
    this.mapper = options.mapper;
    const limit = value(options.limit, 256, 65536, "limit");
    this.mappings = new PcpMappings(this.mapper, limit, value(options.perHost, 32, 65536, "perHost"));
    this.lifetime = value(options.lifetime, 86400, 86400, "lifetime");
    const rate = value(options.rate, 100, 1000000, "rate");
    this.limit = new RateLimit(rate, rate);
    this.timer = new Timer((server: PcpServer) => server.expire(), this);
    this.announcer = new Timer((server: PcpServer) => server.announce(), this);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "pcp");
    this.stack = stack;
    stack.counters.pcp = this.counters as never;
  }

  start(): void {
    this.udp = this.stack.transport(17) as unknown as Udp;
    this.ip = this.stack.network(4) as Ipv4;
    if (!this.udp || !this.ip) fail("ENOPROTOOPT", "pcp needs ipv4 and udp");
    this.epoch = this.stack.now();
    this.ip.onAddressChange.push(() => this.lookOut());
  }

  /** Serves the hosts of an interface's link. Errors (thrown): `EADDRINUSE` port 5351 is taken there, `ENOBUFS`. */
  serve(nif: Interface): UdpSocket {
    const socket = this.udp.open({
      port: wire.PCP_PORT,
      family: 4,
      interface: nif,
      receiveBuffer: QUEUE,
      multicastLoop: false,
      onReadable: () => this.readable(socket),
    });
    if (this.sockets.length === 0) this.outer = this.mapper.outer();
    this.sockets.push(socket);
    return socket;
  }

  /** Serves them no more; what they have stays until it ends. */
  remove(nif: Interface): void {
    for (let i = this.sockets.length - 1; i >= 0; i--) {
      if (this.sockets[i].options.interface !== nif) continue;
      this.sockets[i].close();
      this.sockets.splice(i, 1);
    }
  }

  interfaceRemoved(nif: Interface): void {
    this.remove(nif);
  }

  close(): void {
    while (this.sockets.length > 0) (this.sockets.pop() as UdpSocket).close();
    this.stack.timers.clear(this.timer);
    this.stack.timers.clear(this.announcer);
    this.mappings.clear();
  }

  private readable(socket: UdpSocket): void {
    const info = this.info;
    const counters = this.counters;
    while (!socket.closed && socket.receive(this.data, info) >= 0) {
      const address = parse4(info.address);
      counters.received++;
      if (info.length < 2 || this.data[1] & wire.PCP_RESPONSE) counters.malformed++;
      else if (address === null || !info.interface || !this.ip.isOnLink(info.interface, address))
        counters.strangers++;
      else if (!this.limit.take(this.stack.now())) counters.limited++;
      else {
        this.lookOut();
        const length = this.data[0] === 0 ? this.pmp(address, info.length) : this.pcp(address, info.length);
        if (length < 0) counters.malformed++;
        else if (socket.sendTo(info.address, info.port, this.out, 0, length) < 0) counters.sendFailed++;
        else counters.sent++;
      }
    }
  }

  /** Composes the answer to a request of PCP. Returns its length. */
  private pcp(address: number, length: number): number {
    const data = this.data;
    const out = this.out;
    const now = this.stack.now();
    let size = length > wire.PCP_LONGEST ? wire.PCP_LONGEST : (length + 3) & ~3;
    if (size < wire.PCP_HEADER) size = wire.PCP_HEADER;
    for (let i = 0; i < size; i++) out[i] = i < length ? data[i] : 0;
    const code = this.decide(address, length, now);
    out[0] = wire.PCP_VERSION;
    out[1] = data[1] | wire.PCP_RESPONSE;
    out[2] = 0;
    out[wire.PCP_RESULT] = code;
    if (code !== wire.SUCCESS) {
      this.counters.refused++;
      const soon = code === wire.NO_RESOURCES || code === wire.NETWORK_FAILURE || code === wire.USER_EX_QUOTA;
      put32(out, wire.PCP_LIFETIME, soon ? SHORT : LONG);
    }
    put32(out, wire.PCP_EPOCH, this.age(now));
    zeroBytes(out, wire.PCP_EPOCH + 4, wire.PCP_HEADER);
    return size;
  }

  /** Does what is asked for; the result code. `out` has the request, where a mapping is written into. */
  private decide(address: number, length: number, now: number): number {
    const data = this.data;
    const out = this.out;
    if (data[0] !== wire.PCP_VERSION) return wire.UNSUPP_VERSION;
    if (length > wire.PCP_LONGEST || length < wire.PCP_HEADER || length & 3) return wire.MALFORMED_REQUEST;
    if (!isMapped(data, wire.PCP_CLIENT) || get32(data, wire.PCP_CLIENT + 12) !== address)
      return wire.ADDRESS_MISMATCH;
    const operation = data[1];
    if (operation === wire.ANNOUNCE) {
      put32(out, wire.PCP_LIFETIME, 0);
      return wire.SUCCESS;
    }
    if (operation !== wire.MAP) return wire.UNSUPP_OPCODE;
    if (length < wire.MAP_LENGTH) return wire.MALFORMED_REQUEST;
    let exact = false;
    for (let at = wire.MAP_LENGTH; at < length;) {
      const size = get16(data, at + 2);
      if (at + 4 + size > length) return wire.MALFORMED_OPTION;
      if (data[at] === wire.OPTION_PREFER_FAILURE) {
        if (size !== 0 || exact) return wire.MALFORMED_OPTION;
        exact = true;
      } else if (data[at] < 128) return wire.UNSUPP_OPTION;
      at += 4 + ((size + 3) & ~3);
    }
    const protocol = data[wire.MAP_PROTOCOL];
    const port = get16(data, wire.MAP_PORT);
    const asked = get32(data, wire.PCP_LIFETIME);
    if (protocol === 0 && port !== 0) return wire.MALFORMED_REQUEST;
    if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) return wire.UNSUPP_PROTOCOL;
    if (asked === 0) return this.mappings.end(protocol, address, port, data);
    // Mappings of all ports are for hosts in a perimeter network: there are none here.
    if (port === 0) return wire.UNSUPP_PROTOCOL;
    const wanted = get16(data, wire.MAP_OUTER_PORT);
    const lifetime = this.bounded(asked);
    const expires = (now + lifetime * 1000) | 0;
    const code = this.mappings.obtain(protocol, address, port, wanted, exact, data, expires);
    if (code !== wire.SUCCESS) return code;
    put32(out, wire.PCP_LIFETIME, lifetime);
    put16(out, wire.MAP_OUTER_PORT, this.mappings.port);
    zeroBytes(out, wire.MAP_OUTER, wire.MAP_OUTER + 10);
    put16(out, wire.MAP_OUTER + 10, 0xffff);
    put32(out, wire.MAP_OUTER + 12, this.outer);
    this.expire();
    return wire.SUCCESS;
  }

  /** Composes the answer to a request of NAT-PMP. Returns its length, or -1: it is too short. */
  private pmp(address: number, length: number): number {
    const data = this.data;
    const out = this.out;
    const now = this.stack.now();
    const operation = data[1];
    zeroBytes(out, 0, 16);
    out[1] = operation | wire.PCP_RESPONSE;
    put32(out, 4, this.age(now));
    if (operation === wire.PMP_ADDRESS) {
      put32(out, 8, this.outer);
      if (this.outer === 0) out[3] = wire.PMP_NETWORK_FAILURE;
      return 12;
    }
    if (operation !== wire.PMP_MAP_UDP && operation !== wire.PMP_MAP_TCP) {
      this.counters.refused++;
      out[3] = wire.PMP_UNSUPP_OPCODE;
      return 8;
    }
    if (length < wire.PMP_REQUEST) return -1;
    const protocol = operation === wire.PMP_MAP_TCP ? PROTOCOL_TCP : PROTOCOL_UDP;
    const port = get16(data, 4);
    const asked = get32(data, 8);
    put16(out, 8, port);
    let code: number;
    if (asked === 0) code = this.mappings.end(protocol, address, port, null);
    else {
      const lifetime = this.bounded(asked);
      const expires = (now + lifetime * 1000) | 0;
      code =
        port === 0
          ? wire.NOT_AUTHORIZED
          : this.mappings.obtain(protocol, address, port, get16(data, 6), false, null, expires);
      put32(out, 12, lifetime);
    }
    if (code === wire.SUCCESS) {
      if (asked !== 0) put16(out, 10, this.mappings.port);
      this.expire();
    } else {
      this.counters.refused++;
      out[3] =
        code === wire.NOT_AUTHORIZED
          ? wire.PMP_NOT_AUTHORIZED
          : code === wire.NETWORK_FAILURE
            ? wire.PMP_NETWORK_FAILURE
            : wire.PMP_NO_RESOURCES;
      put32(out, 12, 0);
    }
    return 16;
  }

  private bounded(asked: number): number {
    // As an unsigned number, all of the upper half are too long.
    if (asked < 0 || asked > this.lifetime) return this.lifetime;
    return asked < 120 ? 120 : asked;
  }

  /** Seconds since the mappings are known. */
  private age(now: number): number {
    const seconds = (((now - this.epoch) | 0) / 1000) | 0;
    this.seconds += seconds;
    this.epoch = (this.epoch + seconds * 1000) | 0;
    return this.seconds;
  }

  /** @internal Ends what is over. */
  expire(): void {
    const now = this.stack.now();
    const wait = this.mappings.expire(now);
    if (wait >= 0) this.stack.timers.set(this.timer, (now + wait) | 0);
    else this.stack.timers.clear(this.timer);
  }

  /** Has the outer address changed? Then the mappings are gone, and hosts are told. */
  private lookOut(): void {
    const outer = this.sockets.length > 0 ? this.mapper.outer() : this.outer;
    if (outer === this.outer) return;
    this.outer = outer;
    this.epoch = this.stack.now();
    this.seconds = 0;
    this.mappings.clear();
    this.announced = 0;
    this.stack.timers.set(this.announcer, (this.epoch + ANNOUNCE_FIRST) | 0);
  }

  /** @internal Tells the hosts of the outer address, by both protocols. */
  announce(): void {
    const now = this.stack.now();
    const out = this.out;
    for (let i = 0; i < this.sockets.length && this.outer !== 0; i++) {
      zeroBytes(out, 0, wire.PCP_HEADER);
      out[1] = wire.PCP_RESPONSE;
      put32(out, 4, this.age(now));
      put32(out, 8, this.outer);
      this.sockets[i].sendTo(ALL_HOSTS, wire.PCP_CLIENT_PORT, out, 0, 12);
      zeroBytes(out, 0, wire.PCP_HEADER);
      out[0] = wire.PCP_VERSION;
      out[1] = wire.PCP_RESPONSE;
      put32(out, wire.PCP_EPOCH, this.age(now));
      this.sockets[i].sendTo(ALL_HOSTS, wire.PCP_CLIENT_PORT, out, 0, wire.PCP_HEADER);
    }
    if (++this.announced < ANNOUNCEMENTS)
      this.stack.timers.set(this.announcer, (now + (ANNOUNCE_FIRST << this.announced)) | 0);
  }
}

function isMapped(data: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (data[at + i] !== 0) return false;
  return get16(data, at + 10) === 0xffff;
}

/** A server of PCP and NAT-PMP, off until `serve`. Needs `ipv4` and `udp`. Throws `EINVAL`. Counters: `pcp`. */
export function pcpServer(options: PcpServerOptions): PcpServer {
  return new PcpServer(options);
}

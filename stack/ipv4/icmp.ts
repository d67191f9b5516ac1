/** ICMP (RFC 792, RFC 1122 section 3.2.2): echo, errors to others under a rate limit, errors of others to their sockets. */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import type { EchoTransport, EchoUser } from "../core/echo.js";
import {
  ECONNREFUSED,
  EHOSTUNREACH,
  EMSGSIZE,
  ENETUNREACH,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPROTO,
  fail,
} from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { NOT_UNICAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import * as wire from "../wire/icmp.js";
import {
  FRAGMENT_OFFSET,
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_HEADER,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TOTAL_LENGTH,
  PROTOCOL_ICMP,
  isLoopback4,
  isMartian4,
} from "../wire/ipv4.js";
import type { IcmpHooks, Ipv4 } from "./ipv4.js";
import type { Path4 } from "./path.js";

export class IcmpCounters {
  received = 0;
  /** Shorter than its header, or a quotation too short to tell whose it is. */
  short = 0;
  badsum = 0;
  /** To a broadcast or multicast address: not answered. */
  broadcast = 0;
  echoRequests = 0;
  echoReplies = 0;
  /** Echo replies and errors that nobody here waits for. */
  unsolicited = 0;
  /** Redirects and source quenches, which are not believed (RFC 1812, RFC 6633). */
  ignored = 0;
  /** Other types. */
  unhandled = 0;
  errorsDelivered = 0;
  errorsSent = 0;
  /** Errors that were not sent because of the rate limit. */
  limited = 0;
  /** Replies that could not be sent. */
  outputFailed = 0;
}

export interface IcmpOptions {
  /** Errors sent a second. Default 10. */
  errorRate?: number;
  /** Errors sent at once after a silence. Default 20. */
  errorBurst?: number;
  /** Answers echo requests. Default true. */
  echo?: boolean;
}

/** Largest datagram that carries an error (RFC 1812 section 4.3.2.3). */
const ERROR_LIMIT = 576;

/** Codes of "destination unreachable" as the stack's; others are EHOSTUNREACH. */
const UNREACHABLE_CODES = [ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE, EOPNOTSUPP];

export class Icmp implements Component, EchoTransport, IcmpHooks {
  readonly name = "icmp";
  readonly protocol = PROTOCOL_ICMP;
  readonly counters = new IcmpCounters();
  /** Who sends echo requests, or null. */
  echoUser: EchoUser | null = null;
  private ip: Ipv4 = null as never;
  private stack: Stack = null as never;
  private path: Path4 = null as never;
  private readonly rate: RateLimit;
  private readonly echo: boolean;

  constructor(options: IcmpOptions) {
    this.rate = new RateLimit(options.errorRate || 10, options.errorBurst || 20);
    this.echo = options.echo !== false;
  }

  attach(stack: Stack): void {
    this.stack = stack;
    stack.counters.icmp = this.counters as never;
  }

  start(): void {
    const ip = (this.ip = this.stack.network(4) as Ipv4);
    if (!ip) fail("ENOPROTOOPT", "icmp needs ipv4");
    ip.icmp = this;
    this.path = ip.createPath();
    this.stack.transports.push(this);
  }

  input(packet: Packet): void {
    const counters = this.counters;
    const data = packet.data;
    const at = packet.start;
    counters.received++;
    if (packet.net !== this.ip) counters.unhandled++;
    else if (packet.end - at < wire.ICMP_HEADER) counters.short++;
    else if (this.stack.host.sum(data, at, packet.end, 0) !== 0xffff) counters.badsum++;
    else if (packet.flags & NOT_UNICAST) counters.broadcast++;
    else {
      const type = data[at];
      if (type === wire.ECHO_REQUEST && this.echo) this.answer(packet);
      else if (type === wire.ECHO_REPLY) {
        if (this.echoUser && this.echoUser.reply(packet)) counters.echoReplies++;
        else counters.unsolicited++;
      } else if (
        type === wire.UNREACHABLE ||
        type === wire.TIME_EXCEEDED ||
        type === wire.PARAMETER_PROBLEM
      ) {
        this.inputError(packet, type, data[at + wire.ICMP_CODE]);
      } else if (type === wire.REDIRECT || type === wire.SOURCE_QUENCH) counters.ignored++;
      else counters.unhandled++;
    }
  }

  protocolUnreachable(packet: Packet): void {
    this.sendError(packet, wire.UNREACHABLE, wire.PROTOCOL_UNREACHABLE, 0);
  }

  portUnreachable(packet: Packet): void {
    this.sendError(packet, wire.UNREACHABLE, wire.PORT_UNREACHABLE, 0);
  }

  /**
   * Tells the sender of `packet` (its IPv4 header at `packet.network`) of an error, if it may be told (RFC 1122 section 3.2.2).
   *
   * @param word what goes behind the checksum (the MTU of "fragmentation needed", the pointer of "parameter problem")
   */
  sendError(packet: Packet, type: number, code: number, word: number): void {
    const data = packet.data;
    const at = packet.network;
    const counters = this.counters;
    const header = (data[at] & 15) << 2;
    const source = get32(data, at + IPV4_SOURCE);
    if (
      packet.flags & NOT_UNICAST ||
      get16(data, at + IPV4_FRAGMENT) & FRAGMENT_OFFSET ||
      (isMartian4(source) && packet.nif !== this.ip.loopback) ||
      this.ip.isBroadcast(packet.nif as Interface, source) ||
      (data[at + IPV4_PROTOCOL] === PROTOCOL_ICMP && isErrorType(data, at + header, packet.end))
    ) {
      return;
    }
    if (!this.rate.take(this.stack.now())) {
      counters.limited++;
      return;
    }
    let quoted = packet.end - at;
    const room = ERROR_LIMIT - IPV4_HEADER - wire.ICMP_HEADER;
    if (quoted > room) quoted = room;
    const tx = this.stack.prepare(wire.ICMP_HEADER + quoted);
    if (!tx) {
      counters.outputFailed++;
      return;
    }
    put16(tx.data, tx.start, (type << 8) | code);
    put32(tx.data, tx.start + wire.ICMP_ID, word);
    this.stack.host.copy(tx.data, tx.start + wire.ICMP_HEADER, data, at, quoted);
    counters.errorsSent++;
    this.send(packet, tx);
  }

  deliverError(packet: Packet, code: number, mtu: number): boolean {
    const data = packet.data;
    const at = packet.start;
    const ip = this.ip;
    const header = at < packet.end ? (data[at] & 15) << 2 : 0;
    if (header < IPV4_HEADER || data[at] >> 4 !== 4 || packet.end - at < header + 8) {
      this.counters.short++;
      return false;
    }
    const quoted = this.stack.quoted;
    quoted.data = data;
    quoted.network = at;
    quoted.start = at + header;
    quoted.end = packet.end;
    quoted.net = ip;
    quoted.nif = packet.nif;
    quoted.flags = 0;
    quoted.source = get32(data, at + IPV4_SOURCE);
    quoted.destination = get32(data, at + IPV4_DESTINATION);
    quoted.protocol = data[at + IPV4_PROTOCOL];
    let known = false;
    const ours = ip.isLocal(quoted.source) || (isLoopback4(quoted.source) && packet.nif === ip.loopback);
    if (ours && (get16(data, at + IPV4_FRAGMENT) & FRAGMENT_OFFSET) === 0) {
      if (quoted.protocol === PROTOCOL_ICMP) {
        known = this.echoUser !== null && this.echoUser.error(quoted, code);
      } else {
        const transport = this.stack.transport(quoted.protocol);
        known = transport !== null && transport.error !== undefined && transport.error(quoted, code, mtu);
      }
    }
    if (!known) {
      this.counters.unsolicited++;
      return false;
    }
    this.counters.errorsDelivered++;
    // Not `quoted.destination`: the transport may have turned the quotation round to look for its flow.
    if (code === EMSGSIZE && ip.pathMtu) {
      ip.pathMtu.tooBig(get32(data, at + IPV4_DESTINATION), mtu, get16(data, at + IPV4_TOTAL_LENGTH));
    }
    return true;
  }

  private answer(packet: Packet): void {
    const length = packet.end - packet.start;
    const tx = this.stack.prepare(length);
    this.counters.echoRequests++;
    if (!tx) {
      this.counters.outputFailed++;
      return;
    }
    this.stack.host.copy(tx.data, tx.start, packet.data, packet.start, length);
    put16(tx.data, tx.start, wire.ECHO_REPLY << 8);
    this.path.tos = packet.tos;
    this.send(packet, tx);
    this.path.tos = 0;
  }

  /** Checksums the message in `tx` and sends it to whom `packet` came from. */
  private send(packet: Packet, tx: Packet): void {
    const path = this.path;
    this.ip.setReply(path, packet);
    path.local = this.ip.isLocal(path.local) ? path.local : 0;
    path.bound = null;
    put16(tx.data, tx.start + wire.ICMP_CHECKSUM, 0);
    const sum = this.stack.host.sum(tx.data, tx.start, tx.end, 0);
    put16(tx.data, tx.start + wire.ICMP_CHECKSUM, ~sum);
    if (this.ip.output(tx, path, PROTOCOL_ICMP) < 0) this.counters.outputFailed++;
  }

  private inputError(packet: Packet, type: number, code: number): void {
    const at = packet.start;
    let error = EHOSTUNREACH;
    let mtu = 0;
    if (type === wire.UNREACHABLE) {
      error = code < UNREACHABLE_CODES.length ? UNREACHABLE_CODES[code] : EHOSTUNREACH;
      if (error === EMSGSIZE) mtu = get16(packet.data, at + wire.ICMP_MTU);
    } else if (type === wire.PARAMETER_PROBLEM) error = EPROTO;
    packet.start = at + wire.ICMP_HEADER;
    this.deliverError(packet, error, mtu);
  }
}

/** True for an ICMP error message (or one too short to tell): no error is ever sent about it. */
function isErrorType(data: Uint8Array, at: number, end: number): boolean {
  const type = at < end ? data[at] : wire.UNREACHABLE;
  return type !== wire.ECHO_REQUEST && type !== wire.ECHO_REPLY && (type < 13 || type > 18);
}

/** The ICMP component. Needs `ipv4`. Counters: `icmp`. */
export function icmp(options: IcmpOptions = {}): Icmp {
  return new Icmp(options);
}

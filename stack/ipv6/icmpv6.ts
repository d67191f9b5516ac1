/** ICMPv6 (RFC 4443): echo, errors to others under a rate limit, errors of others to their sockets; ND and MLD hang on it. */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { fold } from "../core/checksum.js";
import type { EchoTransport, EchoUser } from "../core/echo.js";
import { EACCES, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, EPROTO, fail } from "../core/errors.js";
import { LINK_BROADCAST, LINK_MULTICAST, NET_MULTICAST } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { checksumValid } from "../core/transport.js";
import * as wire from "../wire/icmpv6.js";
import {
  FRAGMENT,
  IPV6_DESTINATION,
  IPV6_HEADER,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  PROTOCOL_ICMPV6,
  isExtension,
  isMulticast6,
  isUnspecified6,
} from "../wire/ipv6.js";
import type { Icmpv6Hooks } from "./hooks.js";
import type { Ipv6 } from "./ipv6.js";
import type { Path6 } from "./path.js";

export class Icmpv6Counters {
  received = 0;
  /** Shorter than its header, or a quotation too short to tell whose it is. */
  short = 0;
  badsum = 0;
  echoRequests = 0;
  echoReplies = 0;
  /** Echo replies and errors that nobody here waits for. */
  unsolicited = 0;
  /** Types that nobody here handles. */
  unhandled = 0;
  errorsDelivered = 0;
  errorsSent = 0;
  /** Errors that were not sent because of the rate limit. */
  limited = 0;
  /** Replies that could not be sent. */
  outputFailed = 0;
}

/** A protocol whose messages are ICMPv6's: ND, router discovery, MLD. */
export interface MessageHandler {
  /** Takes a message, `start` at its ICMPv6 header, checksum verified, 8 bytes at the least. False: not its type. */
  message(packet: Packet, type: number): boolean;
}

export interface Icmpv6Options {
  /** Errors sent a second (RFC 4443 section 2.4). Default 10. */
  errorRate?: number;
  /** Errors sent at once after a silence. Default 20. */
  errorBurst?: number;
  /** Answers echo requests. Default true. */
  echo?: boolean;
}

/** Largest packet that carries an error: the smallest MTU. */
const ERROR_LIMIT = 1280;
/** Codes of "destination unreachable" as the stack's. */
const UNREACHABLE_CODES = [
  ENETUNREACH,
  EACCES,
  EHOSTUNREACH,
  EHOSTUNREACH,
  ECONNREFUSED,
  EACCES,
  EHOSTUNREACH,
];

export class Icmpv6 implements Component, EchoTransport, Icmpv6Hooks {
  readonly name = "icmp6";
  readonly protocol = PROTOCOL_ICMPV6;
  readonly counters = new Icmpv6Counters();
  /** Who sends echo requests, or null. */
  echoUser: EchoUser | null = null;
  readonly handlers: MessageHandler[] = [];
  private ip: Ipv6 = null as never;
  private stack: Stack = null as never;
  private path: Path6 = null as never;
  private readonly rate: RateLimit;
  private readonly echo: boolean;

  constructor(options: Icmpv6Options) {
    this.rate = new RateLimit(options.errorRate || 10, options.errorBurst || 20);
    this.echo = options.echo !== false;
  }

  attach(stack: Stack): void {
    this.stack = stack;
    stack.transports.push(this);
    stack.counters.icmp6 = this.counters as never;
  }

  start(): void {
    const ip = (this.ip = this.stack.network(6) as Ipv6);
    if (!ip) fail("ENOPROTOOPT", "icmpv6 needs ipv6");
    ip.icmp = this;
    this.path = ip.createPath();
  }

  input(packet: Packet): void {
    const counters = this.counters;
    const data = packet.data;
    const at = packet.start;
    counters.received++;
    if (packet.net !== this.ip) {
      counters.unhandled++;
      return;
    }
    if (packet.end - at < wire.ICMPV6_HEADER) {
      counters.short++;
      return;
    }
    if (!checksumValid(this.stack, packet, PROTOCOL_ICMPV6)) {
      counters.badsum++;
      return;
    }
    const type = data[at];
    if (type === wire.ECHO_REQUEST6 && this.echo) this.answer(packet);
    else if (type === wire.ECHO_REPLY6) {
      if (this.echoUser && this.echoUser.reply(packet)) counters.echoReplies++;
      else counters.unsolicited++;
    } else if (type >= wire.UNREACHABLE6 && type <= wire.PARAMETER_PROBLEM6) {
      this.inputError(packet, type, data[at + wire.ICMPV6_CODE]);
    } else if (type < 128) {
      // Unknown errors go to the upper layer, which makes nothing of them (RFC 4443 section 2.4 (a)).
      packet.start = at + wire.ICMPV6_HEADER;
      this.deliverError(packet, EPROTO, 0);
    } else {
      for (let i = 0; i < this.handlers.length; i++) {
        if (this.handlers[i].message(packet, type)) return;
      }
      counters.unhandled++;
    }
  }

  /** Sends an error about `packet`, where section 2.4 (e) and the rate limit (section 2.4 (f)) allow it. */
  sendError(packet: Packet, type: number, code: number, word: number): void {
    const data = packet.data;
    const at = packet.network;
    const counters = this.counters;
    const source = at + IPV6_SOURCE;
    // Packet too big, and unknown options that ask for it, are told even to the senders of multicast (section 2.4 (e)).
    const group =
      type === wire.PACKET_TOO_BIG || (type === wire.PARAMETER_PROBLEM6 && code === wire.BAD_OPTION)
        ? 0
        : packet.flags & (NET_MULTICAST | LINK_MULTICAST | LINK_BROADCAST);
    if (
      group ||
      isMulticast6(data, source) ||
      isUnspecified6(data, source) ||
      this.isError(packet, at + IPV6_HEADER, data[at + IPV6_NEXT_HEADER])
    ) {
      return;
    }
    if (!this.rate.take(this.stack.now())) {
      counters.limited++;
      return;
    }
    let quoted = packet.end - at;
    const room = ERROR_LIMIT - IPV6_HEADER - wire.ICMPV6_HEADER;
    if (quoted > room) quoted = room;
    const tx = this.stack.prepare(wire.ICMPV6_HEADER + quoted);
    if (!tx) {
      counters.outputFailed++;
      return;
    }
    put16(tx.data, tx.start, (type << 8) | code);
    put32(tx.data, tx.start + wire.ICMPV6_WORD, word);
    this.stack.host.copy(tx.data, tx.start + wire.ICMPV6_HEADER, data, at, quoted);
    counters.errorsSent++;
    this.reply(packet, tx);
  }

  deliverError(packet: Packet, code: number, mtu: number): boolean {
    const data = packet.data;
    const at = packet.start;
    const ip = this.ip;
    const quoted = this.stack.quoted;
    quoted.data = data;
    quoted.network = at;
    quoted.end = packet.end;
    quoted.net = ip;
    quoted.nif = packet.nif;
    quoted.flags = 0;
    quoted.source = quoted.destination = 0;
    const protocol = packet.end - at >= IPV6_HEADER && data[at] >> 4 === 6 ? skipHeaders(quoted) : -1;
    if (protocol < 0 || quoted.end - quoted.start < 8) {
      this.counters.short++;
      return false;
    }
    quoted.protocol = protocol;
    let known = false;
    // A transport may turn the quotation around: the destination is kept for path MTU discovery.
    const remote = this.path.ends;
    for (let i = 0; i < 16; i++) remote[i] = data[at + IPV6_DESTINATION + i];
    if (ip.findAddress(data, at + IPV6_SOURCE, null)) {
      if (protocol === PROTOCOL_ICMPV6) known = this.echoUser !== null && this.echoUser.error(quoted, code);
      else {
        const transport = this.stack.transport(protocol);
        known = transport !== null && transport.error !== undefined && transport.error(quoted, code, mtu);
      }
    }
    if (!known) {
      this.counters.unsolicited++;
      return false;
    }
    this.counters.errorsDelivered++;
    if (code === EMSGSIZE && ip.pathMtu) ip.pathMtu.tooBig(remote, 0, mtu);
    return true;
  }

  /** Checksums the message in `tx` (its ICMPv6 header at `start`) and sends it along `path`. 0 or a code. */
  send(tx: Packet, path: Path6): number {
    const code = this.ip.route(path);
    if (code < 0) return code;
    const at = tx.start;
    put16(tx.data, at + wire.ICMPV6_CHECKSUM, 0);
    const seed = fold(path.pseudo + PROTOCOL_ICMPV6 + tx.end - at);
    put16(tx.data, at + wire.ICMPV6_CHECKSUM, ~this.stack.host.sum(tx.data, at, tx.end, seed));
    return this.ip.output(tx, path, PROTOCOL_ICMPV6);
  }

  private answer(packet: Packet): void {
    const length = packet.end - packet.start;
    this.counters.echoRequests++;
    const tx = this.stack.prepare(length);
    if (!tx) {
      this.counters.outputFailed++;
      return;
    }
    this.stack.host.copy(tx.data, tx.start, packet.data, packet.start, length);
    put16(tx.data, tx.start, wire.ECHO_REPLY6 << 8);
    this.reply(packet, tx);
  }

  /** Sends the message in `tx` to whom `packet` came from. */
  private reply(packet: Packet, tx: Packet): void {
    const path = this.path;
    this.ip.setReply(path, packet);
    path.bound = null;
    // A group, or an address of the other interface's, is no source.
    if (!this.ip.findAddress(path.ends, 32, null)) path.fixed = false;
    if (this.send(tx, path) < 0) this.counters.outputFailed++;
  }

  private inputError(packet: Packet, type: number, code: number): void {
    let error = EPROTO;
    let mtu = 0;
    if (type === wire.UNREACHABLE6) {
      error = code < UNREACHABLE_CODES.length ? UNREACHABLE_CODES[code] : EHOSTUNREACH;
    } else if (type === wire.TIME_EXCEEDED6) error = EHOSTUNREACH;
    else if (type === wire.PACKET_TOO_BIG) {
      mtu = get32(packet.data, packet.start + wire.ICMPV6_WORD);
      // Below the minimum it is a lie, and as large as the link it is no news (RFC 8201 section 4, RFC 8021).
      if (mtu < 1280 || mtu > 0xffff) {
        this.counters.unsolicited++;
        return;
      }
      error = EMSGSIZE;
    }
    packet.start += wire.ICMPV6_HEADER;
    this.deliverError(packet, error, mtu);
  }

  /** Is the packet an ICMPv6 error (or cut so short that it might be)? None is ever sent about it. */
  private isError(packet: Packet, at: number, next: number): boolean {
    const data = packet.data;
    for (let i = 0; i < 16 && at + 8 <= packet.end; i++) {
      if (next === PROTOCOL_ICMPV6) return data[at] < 128 || data[at] === wire.REDIRECT6;
      if (next === FRAGMENT && get16(data, at + 2) & 0xfff8) return false;
      if (!isExtension(next)) return false;
      const length = next === FRAGMENT ? 8 : (data[at + 1] + 1) << 3;
      next = data[at];
      at += length;
    }
    return next === PROTOCOL_ICMPV6 && (at >= packet.end || data[at] < 128);
  }
}

/** Moves `packet.start` behind the headers of a quotation, which may be cut; its protocol, or -1. */
function skipHeaders(packet: Packet): number {
  const data = packet.data;
  let next = data[packet.network + IPV6_NEXT_HEADER];
  let at = packet.network + IPV6_HEADER;
  for (let i = 0; i < 8; i++) {
    if (!isExtension(next)) {
      packet.start = at;
      return at <= packet.end ? next : -1;
    }
    if (at + 8 > packet.end) return -1;
    if (next === FRAGMENT && get16(data, at + 2) & 0xfff8) return -1;
    const length = next === FRAGMENT ? 8 : (data[at + 1] + 1) << 3;
    next = data[at];
    at += length;
  }
  return -1;
}

/** The ICMPv6 component. Needs `ipv6`. Counters: `icmp6`. */
export function icmpv6(options: Icmpv6Options = {}): Icmpv6 {
  return new Icmpv6(options);
}

/**
 * SNTP server (RFC 4330 section 6, RFC 5905 section 14): tells hosts of a link what time it is, as well as the host knows it.
 *
 * A reply has 48 bytes, whatever the request: nobody is flooded by way of it, and control messages (modes 6 and 7) get none.
 */
import { put32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import type { DatagramInfo, Udp, UdpSocket } from "../udp/udp.js";
import * as wire from "../wire/ntp.js";

const QUEUE = 16384;
const MODE_CLIENT = 3;
const MODE_SERVER = 4;
const PRECISION = 3;
const POLL = 2;
const REFERENCE = 16;
/** Seconds from 1900 to 1970. */
const EPOCH = 2208988800;
/** A clock of milliseconds: 2^-10 s. */
const MILLISECONDS = 0xf6;
const UNKNOWN = 3;

export class NtpServerCounters {
  received = 0;
  sent = 0;
  sendFailed = 0;
  /** Too short, of another version or mode. */
  malformed = 0;
  /** Not answered because of the rate limit. */
  limited = 0;
  /** Answered that the time is not known. */
  unsynchronised = 0;
}

/** What the host knows of the time: `NtpTime`, as the client's `last()` has it, is one. */
export interface TimeSource {
  /** Milliseconds since 1970. */
  time: number;
  /** How far off it may be, ms. */
  error: number;
  /** How far the source is from a reference clock, 0..14; this server is one further. */
  stratum: number;
  /** Leap second to come; default 0: none. */
  leap?: number;
  /** Address of the source; default: it is the host's own clock. */
  server?: string;
}

export interface NtpServerOptions {
  /** The time now; null: it is not known. For example `() => client.last()`. */
  source(): TimeSource | null;
  /** Replies a second, and as many at once. Default 1000. */
  rate?: number;
}

export class NtpServer implements Component {
  readonly name = "ntpserver";
  readonly counters = new NtpServerCounters();
  private stack: Stack = null as never;
  private udp: Udp = null as never;
  private readonly sockets: UdpSocket[] = [];
  private readonly limit: RateLimit;
  private readonly data = new Uint8Array(wire.NTP_LENGTH);
  private readonly out = new Uint8Array(wire.NTP_LENGTH);
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };

  constructor(private readonly options: NtpServerOptions) {
    const rate = requireInteger(options.rate === undefined ? 1000 : options.rate, 1, 1000000, "rate");
    if (typeof options.source !== "function") fail("EINVAL", "source");
    this.limit = new RateLimit(rate, rate);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "ntpserver");
    this.stack = stack;
    stack.counters.ntpserver = this.counters as never;
  }

  start(): void {
    this.udp = this.stack.transport(17) as unknown as Udp;
    if (!this.udp) fail("ENOPROTOOPT", "ntpserver needs udp");
  }

  /** Serves the hosts that reach us over an interface. Errors (thrown): `EADDRINUSE` port 123 is taken there, `ENOBUFS`. */
  serve(nif: Interface): UdpSocket {
    const socket = this.udp.open({
      port: wire.NTP_PORT,
      interface: nif,
      receiveBuffer: QUEUE,
      onReadable: () => this.readable(socket),
    });
    this.sockets.push(socket);
    return socket;
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.sockets.length - 1; i >= 0; i--) {
      if (this.sockets[i].options.interface !== nif) continue;
      this.sockets[i].close();
      this.sockets.splice(i, 1);
    }
  }

  close(): void {
    while (this.sockets.length > 0) (this.sockets.pop() as UdpSocket).close();
  }

  private readable(socket: UdpSocket): void {
    const info = this.info;
    const counters = this.counters;
    while (!socket.closed && socket.receive(this.data, info) >= 0) {
      const flags = this.data[wire.NTP_FLAGS];
      const version = (flags >> 3) & 7;
      counters.received++;
      if (info.length < wire.NTP_LENGTH || version < 1 || version > 4 || (flags & 7) !== MODE_CLIENT)
        counters.malformed++;
      else if (!this.limit.take(this.stack.now())) counters.limited++;
      else {
        this.compose(version);
        if (socket.sendTo(info.address, info.port, this.out) < 0) counters.sendFailed++;
        else counters.sent++;
      }
    }
  }

  private compose(version: number): void {
    const out = this.out;
    const source = this.options.source();
    for (let i = 0; i < wire.NTP_LENGTH; i++) out[i] = 0;
    const known = source !== null && source.time - source.time === 0 && source.stratum < 15;
    const stratum = known ? (source as TimeSource).stratum + 1 : 0;
    const leap = known ? (source as TimeSource).leap || 0 : UNKNOWN;
    out[wire.NTP_FLAGS] = (leap << 6) | (version << 3) | MODE_SERVER;
    out[wire.NTP_STRATUM] = stratum;
    out[POLL] = this.data[POLL];
    out[PRECISION] = MILLISECONDS;
    // The client's transmit timestamp goes back as it came (RFC 4330 section 6).
    out.set(this.data.subarray(wire.NTP_TRANSMIT, wire.NTP_LENGTH), wire.NTP_ORIGIN);
    if (!known || !source) {
      this.counters.unsynchronised++;
      put32(out, wire.NTP_REFERENCE_ID, 0x494e4954);
      return;
    }
    const error = source.error > 0 ? Math.floor(source.error * 65.536) : 0;
    put32(out, wire.NTP_ROOT_DELAY, 2 * error);
    put32(out, wire.NTP_ROOT_DISPERSION, error + 66);
    const address = source.server ? parse4(source.server) : null;
    // `LOCL`: the host's own clock, or a source without an IPv4 address.
    put32(out, wire.NTP_REFERENCE_ID, address !== null ? address : 0x4c4f434c);
    emitTime(out, REFERENCE, source.time);
    emitTime(out, wire.NTP_RECEIVE, source.time);
    emitTime(out, wire.NTP_TRANSMIT, source.time);
  }
}

/** Writes milliseconds since 1970 as a timestamp (era 0 or 1). */
function emitTime(data: Uint8Array, at: number, time: number): void {
  const seconds = Math.floor(time / 1000);
  put32(data, at, ((seconds + EPOCH) % 4294967296) | 0);
  put32(data, at + 4, Math.floor(((time - seconds * 1000) / 1000) * 4294967296) | 0);
}

/** The SNTP server: `ntpServer({ source: () => client.last() })`; needs `udp`. Counters: `ntpserver`. Throws `EINVAL`. */
export function ntpServer(options: NtpServerOptions): NtpServer {
  return new NtpServer(options);
}

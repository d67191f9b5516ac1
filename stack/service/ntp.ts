/**
 * SNTP client (RFC 4330, RFC 5905 section 14): asks a server what time it is, when it is asked itself.
 *
 * Nobody is authenticated: who sits on the path can say any time. Who does not, has to guess 64 random bits and a random port.
 */
import {
  EACCES,
  ECANCELED,
  EIO,
  ENETUNREACH,
  ENOBUFS,
  EPROTO,
  ETIMEDOUT,
  fail,
  setting,
} from "../core/errors.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { UdpSocket } from "../udp/socket.js";
import type { Udp } from "../udp/udp.js";
import * as wire from "../wire/ntp.js";
import type { NameLookup } from "./happy.js";

export class NtpCounters {
  sent = 0;
  /** Replies that were taken for the time. */
  received = 0;
  /** Datagrams that are no reply to what was asked. */
  unmatched = 0;
  /** Servers that do not know the time themselves, or whose times contradict each other. */
  unsynchronised = 0;
  /** Kisses of death: the server wants to be asked less, or not at all. */
  kisses = 0;
  timeouts = 0;
  /** Callers refused for want of room. */
  refused = 0;
}

export interface NtpOptions {
  /** Addresses or names, best first; each is asked until one answers. */
  servers: string[];
  /** Finds the addresses of names: `dns()`. Without it only addresses are understood. */
  names?: NameLookup;
  /** Milliseconds that a server has to answer. Default 2000. */
  timeout?: number;
  /** How often a server is asked before the next one is. Default 2. */
  attempts?: number;
  /** A time that is younger than this, ms, is given again instead of asking (RFC 4330 section 10). Default 15000. */
  interval?: number;
  /** UDP port of the servers. Default 123. */
  port?: number;
}

/** What a server said. */
export interface NtpTime {
  /** Milliseconds since 1970 (UTC, no leap seconds) at this moment, with a fraction. */
  time: number;
  /** How far off it may be by the way there and back, ms: half of the round trip. */
  error: number;
  /** Who said it, as text. */
  server: string;
  /** 1 to 15: how far the server is from a reference clock. */
  stratum: number;
  /** 1: the last minute of this day has 61 seconds, 2: 59 (RFC 5905 section 7.3). */
  leap: number;
}

/** Who waits for the time. */
export class NtpRequest implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  code = 0;

  constructor(
    private readonly ntp: Ntp,
    private callback: ((code: number, time: NtpTime | null) => void) | null,
  ) {}

  /** Wants no answer any more. Legal at any time. */
  cancel(): void {
    this.callback = null;
    this.ntp.forget(this);
  }

  /** See `Stack.defer`. */
  run(): void {
    const callback = this.callback;
    this.callback = null;
    if (callback) callback(this.code, this.code === 0 ? this.ntp.last() : null);
  }
}

/** Callers that may wait for one answer. */
const WAITERS = 32;
/** Addresses of a name that are asked. */
const ADDRESSES = 4;
/** After a RATE kiss a server is left alone for this long, ms: twice as long each time, six times at most. */
const PENANCE = 60000;

/** A server, and what it wants of us. */
class Server {
  /** It has said DENY or RSTR: it is never asked again. */
  denied = false;
  /** How often it has said RATE, and since when. */
  rates = 0;
  ratedAt = 0;

  constructor(readonly name: string) {}
}

export class Ntp implements Component {
  readonly name = "ntp";
  readonly counters = new NtpCounters();
  stack: Stack = null as never;
  private udp: Udp = null as never;
  private readonly servers: Server[] = [];
  private readonly waiters: NtpRequest[] = [];
  private readonly timeout: number;
  private readonly attempts: number;
  private readonly interval: number;
  private readonly port: number;
  private readonly timer: Timer;
  private readonly cookie = new Uint8Array(8);
  private readonly buffer = new Uint8Array(wire.NTP_LENGTH);
  private socket: UdpSocket | null = null;
  private lookup: { cancel(): void } | null = null;
  /** The server that is asked, its addresses that are left, and how often the first of them has been asked. */
  private index = 0;
  private addresses: string[] = [];
  private tries = 0;
  private sentAt = 0;
  private code = 0;
  /** The last answer, and when it came. */
  private known: NtpTime | null = null;
  private knownAt = 0;

  constructor(private readonly options: NtpOptions) {
    const servers = options.servers || fail("EINVAL", "servers");
    for (let i = 0; i < servers.length; i++) {
      if (typeof servers[i] !== "string" || servers[i] === "") fail("EINVAL", "servers");
      this.servers.push(new Server(servers[i]));
    }
    this.timeout = setting(options.timeout, 2000, 1, 60000, "timeout");
    this.attempts = setting(options.attempts, 2, 1, 8, "attempts");
    this.interval = setting(options.interval, 15000, 0, 0x3fffffff, "interval");
    this.port = setting(options.port, wire.NTP_PORT, 1, 65535, "port");
    this.timer = new Timer(expired, this);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "ntp");
    this.stack = stack;
    stack.counters.ntp = this.counters as never;
  }

  start(): void {
    this.udp = this.stack.transport(17) as unknown as Udp;
    if (!this.udp) fail("ENOPROTOOPT", "ntp needs udp");
  }

  /** Ends what is under way with `ECANCELED`. */
  close(): void {
    this.finish(ECANCELED);
  }

  /**
   * Asks for the time.
   *
   * @param callback takes 0 and the time; or null and why there is none: `ENETUNREACH` no server can be reached, `ETIMEDOUT` none
   *   answered, `ECONNREFUSED`, `EPROTO` none knows it, `EACCES` all have sent us away, `ENOBUFS` too many callers, `EIO` the host
   *   has no entropy, `ECANCELED` the stack was closed, or what the look-up of a name said. Never called before this returns.
   */
  query(callback: (code: number, time: NtpTime | null) => void): NtpRequest {
    if (typeof callback !== "function") fail("EINVAL", "callback");
    const request = new NtpRequest(this, callback);
    if (this.known && this.age() < this.interval) this.stack.defer(request);
    else if (this.waiters.length >= WAITERS) {
      this.counters.refused++;
      request.code = ENOBUFS;
      this.stack.defer(request);
    } else if (this.waiters.push(request) === 1) {
      this.index = -1;
      this.code = ENETUNREACH;
      this.nextServer();
    }
    return request;
  }

  /** The time as of the last answer, carried on by the stack's clock for up to 24 days; null before the first. */
  last(): NtpTime | null {
    const known = this.known;
    return (
      known && {
        time: known.time + this.age(),
        error: known.error,
        server: known.server,
        stratum: known.stratum,
        leap: known.leap,
      }
    );
  }

  /** For `NtpRequest`. */
  forget(request: NtpRequest): void {
    const at = this.waiters.indexOf(request);
    if (at < 0) return;
    this.waiters.splice(at, 1);
    if (this.waiters.length === 0) this.rest();
  }

  /** The server did not answer in time. */
  expire(): void {
    this.counters.timeouts++;
    this.code = ETIMEDOUT;
    if (++this.tries < this.attempts) this.ask();
    else this.nextAddress();
  }

  private age(): number {
    return (this.stack.now() - this.knownAt) | 0;
  }

  private nextServer(): void {
    this.rest();
    while (++this.index < this.servers.length) {
      const server = this.servers[this.index];
      if (server.denied || this.rated(server)) {
        this.code = EACCES;
        continue;
      }
      const names = this.options.names;
      if (!names) {
        this.addresses = [server.name];
        this.open();
        return;
      }
      this.lookup = names.lookup(server.name, {}, (code, addresses) => {
        this.lookup = null;
        if (code < 0) this.code = code;
        this.addresses = addresses.slice(0, ADDRESSES);
        if (this.addresses.length > 0) this.open();
        else this.nextServer();
      });
      return;
    }
    this.finish(this.code);
  }

  private rated(server: Server): boolean {
    if (server.rates === 0) return false;
    const times = server.rates < 6 ? server.rates : 6;
    return ((this.stack.now() - server.ratedAt) | 0) < PENANCE << (times - 1);
  }

  private nextAddress(): void {
    this.addresses.shift();
    if (this.addresses.length > 0) this.open();
    else this.nextServer();
  }

  /** Asks the first address, from a port of its own (RFC 9109). */
  private open(): void {
    this.closeSocket();
    this.tries = 0;
    let code: number;
    try {
      const socket = (this.socket = this.udp.open({
        receiveBuffer: 2048,
        onReadable: () => this.receive(),
        onError: (error) => {
          this.code = error;
          this.nextAddress();
        },
      }));
      code = socket.connect(this.addresses[0], this.port);
    } catch (error) {
      code = (error as { code?: string }).code === "EIO" ? EIO : ENOBUFS;
    }
    if (code < 0) {
      this.code = code;
      this.nextAddress();
    } else this.ask();
  }

  private ask(): void {
    const socket = this.socket as UdpSocket;
    if (!this.stack.host.random(this.cookie)) {
      this.finish(EIO);
      return;
    }
    for (let i = 0; i < wire.NTP_LENGTH; i++) this.buffer[i] = 0;
    wire.emitRequest(this.buffer, this.cookie);
    this.sentAt = this.stack.now();
    // What cannot be sent now is sent at the next attempt.
    if (socket.send(this.buffer) >= 0) this.counters.sent++;
    this.stack.timers.set(this.timer, (this.sentAt + this.timeout) | 0);
  }

  private receive(): void {
    while (this.socket && this.socket.readable() > 0) {
      const length = this.socket.receive(this.buffer);
      const kind = wire.parseReply(this.buffer, length, this.cookie);
      if (kind === wire.NTP_UNMATCHED) this.counters.unmatched++;
      else if (kind === wire.NTP_KISS) this.kissed(this.servers[this.index]);
      else if (kind === wire.NTP_UNSYNCHRONISED) {
        this.counters.unsynchronised++;
        this.code = EPROTO;
        this.nextAddress();
      } else this.take();
    }
  }

  private kissed(server: Server): void {
    this.counters.kisses++;
    this.code = EACCES;
    if (wire.kissCode(this.buffer) === "RATE") {
      server.rates++;
      server.ratedAt = this.stack.now();
    } else server.denied = true;
    this.stack.host.log("ntp: " + server.name + " sends us away");
    this.nextServer();
  }

  private take(): void {
    const data = this.buffer;
    const now = this.stack.now();
    const transmit = wire.timeAt(data, wire.NTP_TRANSMIT);
    const inside = transmit - wire.timeAt(data, wire.NTP_RECEIVE);
    const around = ((now - this.sentAt) | 0) - inside;
    const error = around > 0 ? around / 2 : 0;
    this.counters.received++;
    this.servers[this.index].rates = 0;
    this.knownAt = now;
    this.known = {
      time: transmit + error,
      error,
      server: this.addresses[0],
      stratum: data[wire.NTP_STRATUM],
      leap: data[wire.NTP_FLAGS] >> 6,
    };
    this.finish(0);
  }

  private finish(code: number): void {
    this.rest();
    while (this.waiters.length > 0) {
      const request = this.waiters.shift() as NtpRequest;
      request.code = code;
      this.stack.defer(request);
    }
  }

  /** Nothing is under way any more. */
  private rest(): void {
    this.closeSocket();
    if (this.lookup) this.lookup.cancel();
    this.lookup = null;
    this.addresses = [];
  }

  private closeSocket(): void {
    this.stack.timers.clear(this.timer);
    if (this.socket) this.socket.close();
    this.socket = null;
  }
}

function expired(ntp: Ntp): void {
  ntp.expire();
}

/** The SNTP client: `ntp({ servers: ["pool.ntp.org"], names: resolver })`. Counters: `ntp`. Throws `EINVAL`. */
export function ntp(options: NtpOptions): Ntp {
  return new Ntp(options);
}

/**
 * IKEv2 (RFC 7296): the component. It makes keys with peers, for whoever encrypts (`ChildSink`: IPsec's ESP).
 *
 * Alone it begins IKE SAs, authenticated by a PSK. Everything else is an import that is given to it: see `IkeOptions`.
 */
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { get32 } from "../core/bytes.js";
import type { DatagramInfo } from "../core/datagrams.js";
import { ECANCELED, fail, setting } from "../core/errors.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import * as wire from "../wire/ike.js";
import { Algorithms } from "./algorithms.js";
import type { ChildSa, ChildSink } from "./child-sa.js";
import { complete } from "./configuration.js";
import type { ConnectionOptions } from "./configuration.js";
import { Connection } from "./connection.js";
import { Goodbye } from "./exchanges.js";
import type { Addresses, Fragmentation, KeyExchanges, Mobility, Redirection, Responder } from "./features.js";
import type { IkeSa } from "./ike-sa.js";
import { Writer, emitPlain, parseHeader } from "./message.js";
import type { Message } from "./message.js";
import { Ports } from "./ports.js";

export type { ChildOptions, ConnectionOptions } from "./configuration.js";
export type { ChildKey, ChildSink } from "./child-sa.js";
export { ChildSa } from "./child-sa.js";
export { Connection } from "./connection.js";
export type { Identity } from "./identity.js";
export type { Selector } from "./selectors.js";

export class IkeCounters {
  received = 0;
  /** Lengths that lie, payloads that are not what they say, messages that are too long. */
  malformed = 0;
  /** Of another version. */
  version = 0;
  /** For no IKE SA of ours. */
  unknown = 0;
  /** Not what was to come: answers to nothing, requests out of turn, copies of old ones. */
  unexpected = 0;
  /** Copies of a request that has been answered: the answer was sent again. */
  repeated = 0;
  /** Tags that do not verify. */
  unauthentic = 0;
  /** Requests of ours that were sent again, and those that nobody answered. */
  retransmitted = 0;
  timeouts = 0;
  /** Cookies asked for, and those that were no good. */
  cookies = 0;
  badCookies = 0;
  /** Strangers turned away: too many half-open IKE SAs, or no configuration for them. */
  refused = 0;
  /** Peers that were sent elsewhere. */
  redirected = 0;
  /** Peers who could not prove who they are. */
  failed = 0;
  /** IKE SAs and child SAs that were made, rekeys among them. */
  established = 0;
  children = 0;
  /** The host had no random bytes, or failed a cipher. */
  host = 0;
}

export interface IkeOptions {
  /** Who encrypts: `ipsecChildren(...)`. Without it keys are made and told to `onChild` alone. */
  sink?: ChildSink;
  /** Answers those who begin: `ikeResponder()`. */
  responder?: Responder;
  /** Messages in fragments of their own: `ikeFragmentation()`. */
  fragmentation?: Fragmentation;
  /** Virtual addresses: `addresses()`, or `addressPool(...)`. */
  addresses?: Addresses;
  /** Peers that move: `mobike()`. */
  mobility?: Mobility;
  /** Peers are sent elsewhere, and we go where they send us: `ikeRedirect()`. */
  redirection?: Redirection;
  /** Key exchanges besides, as ML-KEM: `additionalKeyExchanges()`. */
  keyExchanges?: KeyExchanges;
  /** IKE SAs at most, half-open ones among them. Default 256. */
  limit?: number;
  /**
   * Takes the keys of each IKE SA, as a line of Wireshark's `ikev2_decryption_table`. Whoever has it reads everything: for debugging alone.
   */
  keyLog?(line: string): void;
}

export class Ike implements Component {
  readonly name = "ike";
  readonly counters = new IkeCounters();
  stack: Stack = null as never;
  crypto: CryptoHypercalls = null as never;
  algorithms: Algorithms = null as never;
  ports: Ports = null as never;
  readonly sink: ChildSink | null;
  /** IKE SAs by the lower half of our SPI, which is random. */
  readonly sas = new Table<IkeSa>();
  readonly connections: Connection[] = [];
  readonly limit: number;
  private readonly errors = new RateLimit(10, 10);
  private closing = false;

  constructor(readonly options: IkeOptions) {
    this.limit = setting(options.limit, 256, 1, 65536, "limit");
    this.sink = options.sink || null;
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "ike");
    this.stack = stack;
    stack.counters.ike = this.counters as never;
  }

  start(): void {
    if (!this.stack.transport(17)) fail("ENOPROTOOPT", "ike needs udp");
    this.crypto = this.stack.host.calls.crypto || fail("EOPNOTSUPP", "ike needs the host's crypto");
    this.algorithms = new Algorithms(this.crypto, !!this.options.keyExchanges);
    if (this.sink) this.sink.start();
    this.ports = new Ports(
      this.stack,
      (data, info, port) => this.input(data, info, port),
      () => this.counters.malformed++,
    );
  }

  /** Forgets all IKE SAs without a word to the peers; `Connection.close` says goodbye. */
  close(): void {
    this.closing = true;
    for (let i = 0; i < this.connections.length; i++) this.connections[i].stop();
    this.sas.each((sa) => sa.end(ECANCELED, 0));
    if (this.options.responder) this.options.responder.close();
    if (this.sink) this.sink.close();
    this.ports.close();
  }

  /**
   * Adds a peer. `{ remote, psk }` is enough: the connection begins, and again whenever it has ended, until it is closed. Without
   * `remote` it waits for whoever comes, which wants `ikeResponder()`. Throws `EINVAL`, `EOPNOTSUPP`, `ENOBUFS`.
   */
  connect(options: ConnectionOptions): Connection {
    if (!this.stack || this.closing) fail("EINVAL", "ike is in no stack");
    if (this.connections.length >= this.limit) fail("ENOBUFS", "connections");
    if (options.auth) options.auth.prepare(this);
    const settings = complete(options, this.algorithms);
    const connection = new Connection(this, options, settings);
    this.connections.push(connection);
    return connection;
  }

  /** For `Connection.close`: says goodbye to its peers. */
  forget(connection: Connection): void {
    const at = this.connections.indexOf(connection);
    if (at >= 0) this.connections.splice(at, 1);
    if (this.sink && this.sink.closed) this.sink.closed(connection);
    this.sas.each((sa) => {
      if (sa.connection !== connection) return;
      if (sa.established) sa.request(new Goodbye(ECANCELED));
      else sa.end(ECANCELED, 0);
    });
  }

  /** A deadline `period` ms from now, earlier by up to a tenth: two ends that were set alike do not act at once. */
  soon(period: number): number {
    const spread = (period / 10) | 0;
    const less = spread > 0 ? this.stack.host.randomBelow(spread > 65535 ? 65535 : spread) : 0;
    return (this.stack.now() + period - less) | 0;
  }

  /** Random bytes, or null: the host has none, which ends what wanted them. */
  random(size: number): Uint8Array | null {
    const bytes = new Uint8Array(size);
    if (this.stack.host.random(bytes)) return bytes;
    this.counters.host++;
    return null;
  }

  /** Gives `sa` an SPI of ours that is its own, and takes it into the table; false: no random bytes, or no room. */
  addSa(sa: IkeSa): boolean {
    const mine = sa.mine();
    if (this.sas.size >= this.limit) return false;
    for (let tries = 0; tries < 8; tries++) {
      if (!this.stack.host.random(mine)) break;
      if ((get32(mine, 0) | get32(mine, 4)) === 0 || this.find(mine)) continue;
      sa.hash = get32(mine, 4);
      this.sas.insert(sa);
      return true;
    }
    this.counters.host++;
    return false;
  }

  removeSa(sa: IkeSa): void {
    this.sas.remove(sa);
    const local = sa.local;
    // As a rule many have the same address: the first that is asked.
    if (!this.sas.some((other) => other.local === local)) this.ports.release(local);
  }

  find(spi: Uint8Array): IkeSa | null {
    const hash = get32(spi, 4);
    for (let sa = this.sas.first(hash); sa; sa = sa.nextInBucket) {
      if (sa.hash === hash && get32(sa.mine(), 0) === get32(spi, 0)) return sa;
    }
    return null;
  }

  /** The child is gone: tells who encrypts, and the application. */
  dropChild(child: ChildSa): void {
    const children = child.sa.children;
    const at = children.indexOf(child);
    if (at < 0) return;
    children.splice(at, 1);
    this.stack.timers.clear(child.timer);
    if (this.sink) this.sink.remove(child);
    child.eraseKeys();
    if (child.sa.connection) child.sa.connection.tellChild(child, false);
  }

  /** Asks the host for something that is called back; a host that throws has refused. */
  guard(ask: () => void, refused: () => void): void {
    let done = false;
    try {
      ask();
      done = true;
    } catch (error) {
      this.counters.host++;
      this.stack.host.log("ike: crypto threw: " + error);
    }
    if (!done) refused();
  }

  private input(data: Uint8Array, info: DatagramInfo, port: number): void {
    this.counters.received++;
    const message = parseHeader(data);
    if (!message) {
      this.counters.malformed++;
      return;
    }
    const version = data[wire.IKE_VERSION] >> 4;
    if (version !== 2) {
      this.counters.version++;
      if (version > 2 && !message.response()) this.refuse(message, wire.INVALID_MAJOR_VERSION, info, port);
      return;
    }
    const initiated = (message.flags & wire.FLAG_INITIATOR) !== 0;
    const spi = data.subarray(initiated ? wire.IKE_SPI_R : wire.IKE_SPI_I, initiated ? 16 : 8);
    const other = data.subarray(initiated ? wire.IKE_SPI_I : wire.IKE_SPI_R, initiated ? 8 : 16);
    if ((get32(spi, 0) | get32(spi, 4)) === 0) {
      const responder = this.options.responder;
      const begins =
        initiated && message.exchange === wire.IKE_SA_INIT && message.id === 0 && !message.response();
      if (!responder || !begins || (get32(other, 0) | get32(other, 4)) === 0) this.counters.unknown++;
      else responder.input(this, message, info, port);
      return;
    }
    const sa = this.find(spi);
    if (sa && fits(sa.theirs(), other)) {
      sa.input(message, info, port);
      return;
    }
    this.counters.unknown++;
    // One of ours that is gone, say after a restart (section 2.21.4).
    if (!message.response()) this.refuse(message, wire.INVALID_IKE_SPI, info, port);
  }

  /** A notification in the clear, to who is not known: at most ten a second, and none that is larger than what it answers. */
  refuse(message: Message, type: number, info: DatagramInfo, port: number, data?: Uint8Array): void {
    const raw = message.raw;
    const chain = new Writer().notify(type, data);
    if (raw.length < wire.IKE_HEADER + chain.length || !this.errors.take(this.stack.now())) return;
    const packet = emitPlain(
      raw.subarray(0, 8),
      raw.subarray(8, 16),
      message.exchange,
      wire.FLAG_RESPONSE | (message.flags & wire.FLAG_INITIATOR ? 0 : wire.FLAG_INITIATOR),
      message.id,
      chain,
    );
    this.ports.send(info.localAddress, port, info.address, info.port, packet);
  }
}

/** The other's SPI: the one that is known, or any while none is. */
function fits(known: Uint8Array, spi: Uint8Array): boolean {
  if ((get32(known, 0) | get32(known, 4)) === 0) return true;
  return get32(known, 0) === get32(spi, 0) && get32(known, 4) === get32(spi, 4);
}

/** The IKEv2 component: `const vpn = ike({ sink })`, then `vpn.connect({ remote, psk })`. Counters: `ike`. Throws `EINVAL`. */
export function ike(options: IkeOptions = {}): Ike {
  return new Ike(options);
}

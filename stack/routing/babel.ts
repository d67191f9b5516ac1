/**
 * Babel (RFC 8966): routing between gateways, for both families at once, over link-local IPv6. It has no loops, even while it
 * converges, and wants no configuration:
 *
 * ```ts
 * const routing = babel({ redistribute: ["address", "manual"] });
 * const stack = createStack(host, [..., ipv6(), icmpv6(), nd(), udp(), forwarding(), forwarding6(), routing]);
 * routing.enable(lan);
 * ```
 * Messages are babel-message.ts, settings babel-options.ts, links babel-neighbour.ts, routes babel-table.ts; what comes in is babel-input.ts, which route is in use babel-select.ts. Bounds: `routes` prefixes, of which a quarter is left
 * to our own, `neighbours`, and for each prefix a route a neighbour; a message changes what it says and asks for one update of each.
 * Authentication (RFC 8967) is an import, babel-authentication.ts. Not there: DTLS (RFC 8968), source-specific routes (RFC 9079), IPv4 by next hops of IPv6 (RFC 9229).
 */
import { get32, put32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { DatagramInfo, Udp, UdpSocket } from "../udp/udp.js";
import * as wire from "../wire/babel.js";
import { input, reckon } from "./babel-input.js";
import { BabelReader, BabelWriter } from "./babel-message.js";
import { BabelCounters } from "./babel-options.js";
import type {
  BabelInterfaceOptions,
  BabelNeighbourInfo,
  BabelOptions,
  BabelRouteInfo,
} from "./babel-options.js";
import { BabelPort } from "./babel-neighbour.js";
import type { BabelAuthenticator, BabelNeighbour } from "./babel-neighbour.js";
import { refresh, select } from "./babel-select.js";
import { portOf, turned } from "./ports.js";
import { PrefixTable } from "./prefix-table.js";
import type { BabelDestination } from "./babel-table.js";
import { Fib } from "./fib.js";
import { addressText, isV4, mapped, parseAddress, prefixText } from "./prefix.js";

export type {
  BabelInterfaceOptions,
  BabelNeighbourInfo,
  BabelOptions,
  BabelRouteInfo,
} from "./babel-options.js";

const PORTS = 64;
/** Bytes of IPv6's and UDP's headers. */
const HEADERS = 48;
/** Hops that a request for a sequence number may go. */
const HOPS = 64;
const NOTHING = new Uint8Array(0);

export class Babel implements Component {
  readonly name = "babel";
  readonly counters = new BabelCounters();
  /** This router's identifier; made when the first interface is enabled. */
  readonly routerId = new Uint8Array(8);
  /** @internal */
  stack: Stack = null as never;
  private udp: Udp = null as never;
  /** @internal */
  fib: Fib = null as never;
  /** @internal */
  table: PrefixTable<BabelDestination> = null as never;
  private identified = false;
  /** @internal */
  seqno = 0;
  private readonly ports: BabelPort[] = [];
  /** @internal */
  readonly neighbours: BabelNeighbour[] = [];
  /** @internal */
  readonly reader = new BabelReader();
  /** @internal */
  readonly writer: BabelWriter;
  /** Where the writer's packets go. @internal */
  port: BabelPort = null as never;
  private to = "";
  private toBytes: Uint8Array = NOTHING;
  private readonly group = parseAddress(wire.BABEL_GROUP) as Uint8Array;
  /** @internal */
  readonly limit: number;
  /** @internal */
  readonly neighbourLimit: number;
  /** @internal */
  readonly rate: RateLimit;
  private readonly timer = new Timer(tick, this);
  /** @internal */
  readonly data = new Uint8Array(1500);
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };
  /** @internal */
  sweepAt = 0;
  /** Something is to be told out of turn, at `tellAt`. @internal */
  telling = false;
  /** @internal */
  tellAt = 0;
  /** @internal */
  sender: BabelNeighbour | null = null;
  /** @internal */
  from: Uint8Array = NOTHING;

  constructor(private readonly options: BabelOptions) {
    this.limit = requireInteger(options.routes || 1024, 4, 65536, "routes");
    this.neighbourLimit = requireInteger(options.neighbours || 64, 1, 1024, "neighbours");
    const rate = requireInteger(options.requestRate || 10, 1, 100000, "requestRate");
    this.rate = new RateLimit(rate, rate);
    this.writer = new BabelWriter((data, length) => {
      const authentication = this.port.authentication;
      let end = length;
      if (authentication) {
        const own = this.fib.ip6!.selectSource(this.port.nif, this.toBytes, 0);
        end = own ? authentication.finish(data, length, own.bytes, this.toBytes) : length;
      }
      if (this.port.socket.sendTo(this.to, wire.BABEL_PORT, data, 0, end) < 0) this.counters.sendFailed++;
      else this.counters.sent++;
    });
    const own = options.routerId;
    if (own) {
      let sum = 0;
      for (let i = 0; i < own.length; i++) sum += own[i];
      if (own.length !== 8 || sum === 0 || sum === 8 * 255) fail("EINVAL", "routerId");
      this.routerId.set(own);
      this.identified = true;
    }
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "babel");
    this.stack = stack;
    this.table = new PrefixTable(stack);
    stack.counters.babel = this.counters as never;
  }

  start(): void {
    this.udp = this.stack.transport(17) as unknown as Udp;
    if (!this.udp || !this.stack.network(6)) fail("ENOPROTOOPT", "babel needs udp and ipv6");
    this.fib = new Fib(this.stack, "babel", 130, this.options);
  }

  /** Speaks on an interface. Errors (thrown): `EINVAL` options, `EEXIST` it does already, `EADDRINUSE`, `ENOBUFS`. */
  enable(nif: Interface, options: BabelInterfaceOptions = {}): void {
    if (portOf(this.ports, nif)) fail("EEXIST", "interface " + nif.name);
    if (this.ports.length >= PORTS) fail("ENOBUFS", "interfaces");
    const type = options.type === undefined ? "wired" : options.type;
    if (type !== "wired" && type !== "wireless") fail("EINVAL", "type");
    const lossy = type === "wireless";
    const cost = options.cost === undefined ? (lossy ? 256 : 96) : options.cost;
    requireInteger(cost, 1, wire.BABEL_INFINITY - 1, "cost");
    const hello = interval(options.hello, 4000, "hello");
    const update = interval(options.update, hello * 4, "update");
    const authentication = options.authentication || null;
    const socket = this.open(nif, authentication, () => this.readable(port));
    const port = new BabelPort(nif, socket);
    socket.join(wire.BABEL_GROUP, nif);
    port.lossy = lossy;
    port.cost = cost;
    port.splitHorizon = options.splitHorizon === undefined ? !lossy : options.splitHorizon === true;
    port.helloInterval = hello;
    port.updateInterval = update < 0xffff * 10 ? update : 0xffff * 10;
    port.authentication = authentication;
    port.up = nif.up();
    this.identify(nif);
    port.seqno = this.stack.host.random16();
    this.ports.push(port);
    this.begin(port);
    this.schedule();
  }

  private open(nif: Interface, authentication: BabelAuthenticator | null, onReadable: () => void): UdpSocket {
    if (authentication) authentication.attach(this.stack);
    try {
      return this.udp.open({
        family: 6,
        port: wire.BABEL_PORT,
        interface: nif,
        ttl: 1,
        multicastTtl: 1,
        multicastLoop: false,
        receiveBuffer: 65536,
        onReadable: onReadable,
      });
    } catch (error) {
      if (authentication) authentication.close();
      throw error;
    }
  }

  /** Speaks there no more, and says so. False: it did not. */
  disable(nif: Interface): boolean {
    const port = portOf(this.ports, nif);
    if (!port) return false;
    if (port.up) {
      this.direct(port, null);
      this.table.each((entry) => {
        if (entry.toldMetric < wire.BABEL_INFINITY) this.retract(port, entry);
      });
      this.writer.flush();
    }
    this.drop(port);
    return true;
  }

  /** All routes that are known, as plain data. */
  routes(): BabelRouteInfo[] {
    const list: BabelRouteInfo[] = [];
    this.table.each((entry) => {
      const prefix = prefixText(entry.prefix, entry.length);
      if (entry.own) {
        list.push({
          prefix,
          routerId: hex(this.routerId),
          metric: 0,
          seqno: this.seqno,
          gateway: "",
          interface: "",
          selected: true,
          feasible: true,
        });
      }
      for (let i = 0; i < entry.routes.length; i++) {
        const route = entry.routes[i];
        list.push({
          prefix,
          routerId: hex(route.routerId),
          metric: route.metric(),
          seqno: route.seqno,
          gateway: addressText(route.nextHop),
          interface: route.neighbour.port.nif.name,
          selected: route === entry.selected && !entry.own,
          feasible: entry.feasible(route.routerId, route.seqno, route.refmetric),
        });
      }
    });
    return list;
  }

  neighbourList(): BabelNeighbourInfo[] {
    return this.neighbours.map((each) => ({
      address: addressText(each.address),
      interface: each.port.nif.name,
      rxcost: each.rxcost(),
      txcost: each.txcost,
      cost: each.cost,
    }));
  }

  interfaceChanged(nif: Interface): void {
    const port = turned(this.ports, nif);
    if (!port) return;
    if (port.up) this.begin(port);
    else this.forget(port);
    this.schedule();
  }

  interfaceRemoved(nif: Interface): void {
    const port = portOf(this.ports, nif);
    if (port) this.drop(port);
  }

  rekeyed(): void {
    this.table.rekey();
  }

  close(): void {
    while (this.ports.length > 0) this.drop(this.ports[0]);
    this.table.each((entry) => {
      if (entry.installed) this.fib.remove(entry.installed);
      this.table.remove(entry);
    });
  }

  private identify(nif: Interface): void {
    if (this.identified) return;
    this.identified = true;
    if (!this.stack.host.random(this.routerId)) {
      put32(this.routerId, 0, (nif.high << 16) | 0xfffe);
      put32(this.routerId, 4, nif.low);
    }
    // Neither all zeros nor all ones.
    this.routerId[0] = (this.routerId[0] & 0x7f) | 2;
  }

  private begin(port: BabelPort): void {
    const now = this.stack.now();
    const soon = this.stack.host.randomBelow(port.helloInterval < 1000 ? port.helloInterval : 1000);
    port.helloAt = (now + 1 + (soon >> 2)) | 0;
    port.updateAt = (now + port.helloInterval + soon) | 0;
  }

  private drop(port: BabelPort): void {
    port.socket.close();
    if (port.authentication) port.authentication.close();
    this.ports.splice(this.ports.indexOf(port), 1);
    this.forget(port);
    this.schedule();
  }

  /** Nobody is behind an interface any more. */
  private forget(port: BabelPort): void {
    for (let i = this.neighbours.length - 1; i >= 0; i--)
      if (this.neighbours[i].port === port) this.lose(this.neighbours[i]);
  }

  private lose(neighbour: BabelNeighbour): void {
    this.neighbours.splice(this.neighbours.indexOf(neighbour), 1);
    if (this.sender === neighbour) this.sender = null;
    this.table.each((entry) => {
      const route = entry.route(neighbour);
      if (!route) return;
      entry.routes.splice(entry.routes.indexOf(route), 1);
      if (entry.selected === route) select(this, entry);
    });
  }

  /* What comes in */

  private readable(port: BabelPort): void {
    const info = this.info;
    while (!port.socket.closed && port.socket.receive(this.data, info) >= 0) input(this, port, info);
    this.schedule();
  }

  /* What goes out */

  /** What is written from now on goes to `neighbour`, or (null) to all on the link. @internal */
  direct(port: BabelPort, neighbour: BabelNeighbour | null): void {
    if (neighbour) this.address(port, neighbour.text, neighbour.address);
    else this.address(port, wire.BABEL_GROUP, this.group);
  }

  /** ... goes to who is there, neighbour or not. @internal */
  address(port: BabelPort, text: string, bytes: Uint8Array): void {
    const authentication = port.authentication;
    this.port = port;
    this.to = text;
    this.toBytes = bytes;
    this.writer.begin(port.nif.mtu - HEADERS, authentication ? authentication.overhead : 0);
  }

  /** @internal */
  write(port: BabelPort, entry: BabelDestination): void {
    const route = entry.selected;
    if (entry.own) {
      this.put(port, entry, this.routerId, this.seqno, 0);
    } else if (!route) this.retract(port, entry);
    else if (!port.splitHorizon || route.neighbour.port !== port) {
      this.put(port, entry, route.routerId, route.seqno, route.metric());
    }
  }

  private put(
    port: BabelPort,
    entry: BabelDestination,
    routerId: Uint8Array,
    seqno: number,
    metric: number,
  ): void {
    const hop = this.hop(port);
    if (isV4(entry.prefix) && get32(hop, 12) === 0) return;
    entry.note(routerId, seqno, metric, this.stack.now());
    entry.toldMetric = metric;
    entry.toldRouter.set(routerId);
    entry.toldSeqno = seqno;
    this.writer.update(entry.prefix, entry.length, routerId, seqno, metric, port.updateInterval, hop);
  }

  private retract(port: BabelPort, entry: BabelDestination): void {
    this.writer.update(
      entry.prefix,
      entry.length,
      entry.toldMetric < wire.BABEL_INFINITY ? entry.toldRouter : this.routerId,
      entry.toldSeqno,
      wire.BABEL_INFINITY,
      port.updateInterval,
      this.hop(port),
    );
  }

  /** Our address of IPv4 on the link, mapped; 0.0.0.0: none. @internal */
  hop(port: BabelPort): Uint8Array {
    const ip = this.fib.ip4;
    return mapped(ip ? ip.sourceFor(port.nif, 0) : 0);
  }

  private sendHello(port: BabelPort): void {
    this.direct(port, null);
    this.writer.hello(port.seqno, port.helloInterval);
    port.seqno = (port.seqno + 1) & 0xffff;
    for (let i = 0; i < this.neighbours.length; i++) {
      const neighbour = this.neighbours[i];
      if (neighbour.port === port)
        this.writer.ihu(neighbour.address, neighbour.rxcost(), port.helloInterval * 3);
    }
    this.writer.flush();
  }

  /* Time */

  /** Does what is due. */
  run(): void {
    const now = this.stack.now();
    refresh(this);
    if (((now - this.sweepAt) | 0) >= 0) this.sweep(now);
    const telling = this.telling && ((now - this.tellAt) | 0) >= 0;
    for (let i = 0; i < this.ports.length; i++) {
      const port = this.ports[i];
      if (((now - port.helloAt) | 0) >= 0) {
        if (port.up) this.sendHello(port);
        port.helloAt = this.jittered(now, port.helloInterval);
      }
      const full = ((now - port.updateAt) | 0) >= 0;
      if (full) port.updateAt = this.jittered(now, port.updateInterval);
      if (!port.up || (!full && !telling)) continue;
      this.direct(port, null);
      this.table.each((entry) => {
        if (entry.tell > 0 ? telling || full : full && (entry.own || entry.selected)) this.write(port, entry);
      });
      this.writer.flush();
    }
    if (telling) this.told(now);
    this.schedule();
  }

  /** What was to be told has been; some of it is told again, for frames get lost. */
  private told(now: number): void {
    this.telling = false;
    this.table.each((entry) => {
      if (entry.tell === 0) return;
      if (--entry.tell > 0) this.telling = true;
      else if (!entry.own && !entry.selected) entry.toldMetric = wire.BABEL_INFINITY;
    });
    this.tellAt = (now + 300 + this.stack.host.randomBelow(200)) | 0;
  }

  /** Once a second: neighbours, routes and distances grow old, requests are repeated. */
  private sweep(now: number): void {
    this.sweepAt = (now + 1000) | 0;
    for (let i = this.neighbours.length - 1; i >= 0; i--) {
      const neighbour = this.neighbours[i];
      if (neighbour.alive(now)) reckon(this, neighbour);
      else {
        this.counters.expired++;
        this.lose(neighbour);
      }
    }
    this.table.each((entry) => {
      for (let i = entry.routes.length - 1; i >= 0; i--) {
        const route = entry.routes[i];
        if (((now - route.until) | 0) < 0) continue;
        if (route.refmetric < wire.BABEL_INFINITY) {
          // Not to be reached for as long again (section 3.5.3).
          this.counters.expired++;
          route.refmetric = wire.BABEL_INFINITY;
          route.until = (now + (route.interval * 7) / 2) | 0;
        } else entry.routes.splice(i, 1);
        if (entry.selected === route) select(this, entry);
      }
      if (entry.held && ((now - entry.heldUntil) | 0) >= 0) {
        if (entry.installed) this.fib.remove(entry.installed);
        entry.installed = null;
        entry.held = false;
      }
      entry.age(now);
      if (entry.asking && ((now - entry.askAt) | 0) >= 0) this.repeat(entry, now);
      if (entry.idle()) this.table.remove(entry);
    });
  }

  private repeat(entry: BabelDestination, now: number): void {
    if (entry.askLeft-- <= 0) {
      entry.asking = false;
      return;
    }
    entry.askAt = (now + 2000) | 0;
    this.counters.seqnoRequests++;
    for (let i = 0; i < this.ports.length; i++) {
      const port = this.ports[i];
      if (!port.up) continue;
      this.direct(port, null);
      this.writer.seqnoRequest(entry.prefix, entry.length, entry.askRouter, entry.askSeqno, HOPS);
      this.writer.flush();
    }
  }

  /** About `ms` from now: a quarter less at most, so that routers do not fall into step. */
  private jittered(now: number, ms: number): number {
    const range = (ms >> 2) + 1;
    return (now + ms - this.stack.host.randomBelow(range < 65536 ? range : 65536)) | 0;
  }

  private schedule(): void {
    const timers = this.stack.timers;
    if (this.ports.length === 0) {
      timers.clear(this.timer);
      return;
    }
    const now = this.stack.now();
    let left = 1000;
    const due = (at: number) => {
      const wait = (at - now) | 0;
      if (wait < left) left = wait > 0 ? wait : 0;
    };
    due(this.sweepAt);
    for (let i = 0; i < this.ports.length; i++) {
      due(this.ports[i].helloAt);
      due(this.ports[i].updateAt);
    }
    if (this.telling) due(this.tellAt);
    timers.set(this.timer, (now + left) | 0);
  }
}

function interval(seconds: number | undefined, standard: number, what: string): number {
  if (seconds === undefined) return standard;
  if (!(seconds >= 0.1 && seconds <= 600)) fail("EINVAL", what);
  return Math.floor(seconds * 1000);
}

function hex(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += (bytes[i] < 16 ? "0" : "") + bytes[i].toString(16);
  return text;
}

function tick(machine: Babel): void {
  machine.run();
}

/** Babel. Needs `ipv6`, `nd`, `udp`; routes of IPv4 with `ipv4`. Counters: `babel`. Throws `EINVAL`. */
export function babel(options: BabelOptions = {}): Babel {
  return new Babel(options);
}

/**
 * Babel (RFC 8966): routing between gateways, for both families at once, over link-local IPv6. It has no loops, even while it
 * converges, and wants no configuration:
 *
 * ```ts
 * const routing = babel({ redistribute: ["address", "manual"] });
 * const stack = createStack(host, [..., ipv6(), icmpv6(), nd(), udp(), forwarding(), forwarding6(), routing]);
 * routing.enable(lan);
 * ```
 * Messages are babel-message.ts, links babel-neighbour.ts, routes babel-table.ts. Bounds: `routes` prefixes, of which a quarter is left
 * to our own, `neighbours`, and for each prefix a route a neighbour; a message changes what it says and asks for one update of each.
 * Not there: authentication (RFC 8967, RFC 8968), source-specific routes (RFC 9079), IPv4 by next hops of IPv6 (RFC 9229).
 */
import { put32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { DatagramInfo, Udp, UdpSocket } from "../udp/udp.js";
import * as wire from "../wire/babel.js";
import { equal6, isLinkLocal6 } from "../wire/ipv6.js";
import { BabelReader, BabelWriter, later, sameRouter } from "./babel-message.js";
import type { BabelTlv } from "./babel-message.js";
import { BabelNeighbour, BabelPort } from "./babel-neighbour.js";
import { BabelRoute, BabelTable } from "./babel-table.js";
import type { BabelDestination } from "./babel-table.js";
import { Fib } from "./fib.js";
import type { FibOptions } from "./fib.js";
import { addressText, isRoutable, isV4, mapped, parseAddress, prefixText } from "./prefix.js";
import { get32 } from "../core/bytes.js";

export class BabelCounters {
  received = 0;
  sent = 0;
  sendFailed = 0;
  /** No packets of Babel, or of another version. */
  malformed = 0;
  /** TLVs that do not hold together, or say what cannot be. */
  badTlv = 0;
  /** Not from a neighbour's link-local address and Babel's port. */
  badSource = 0;
  /** TLVs of somebody of whom no hello was heard. */
  stranger = 0;
  /** Neighbours or prefixes for which there was no room, in the table or the forwarding table. */
  full = 0;
  /** Routes that were farther than what we have told of them, and so might lead to us. */
  unfeasible = 0;
  /** Requests for later sequence numbers: asked by us, asked of us, passed on. */
  seqnoRequests = 0;
  seqnoAnswers = 0;
  seqnoForwarded = 0;
  /** Requests not answered for the rate's sake. */
  limited = 0;
  /** Routes, and neighbours, not heard of any more. */
  expired = 0;
}

export interface BabelOptions extends FibOptions {
  /** This router's identifier, 8 bytes, neither all zeros nor all ones. Default: random. */
  routerId?: Uint8Array;
  /** Prefixes at most. Default 1024. */
  routes?: number;
  /** Neighbours at most. Default 64. */
  neighbours?: number;
  /** Full updates and acknowledgements that are asked of us, answered a second. Default 10. */
  requestRate?: number;
}

export interface BabelInterfaceOptions {
  /** `"wired"`: works or does not (2 hellos out of 3). `"wireless"`: loses some, and the cost follows (ETX). Default `"wired"`. */
  type?: "wired" | "wireless";
  /** What a hop costs at the least, 1..65534. Default 96, of wireless 256. */
  cost?: number;
  /** Seconds between hellos, 0.1..600. Default 4. */
  hello?: number;
  /** Seconds between full updates, 0.1..600. Default four hellos. */
  update?: number;
  /** What came by it is not told on it. Default: on wired links. */
  splitHorizon?: boolean;
}

export interface BabelRouteInfo {
  prefix: string;
  /** 16 hexadecimal digits. */
  routerId: string;
  /** 65535: not to be reached. */
  metric: number;
  seqno: number;
  /** The next hop; `""`: it is ours. */
  gateway: string;
  interface: string;
  selected: boolean;
  feasible: boolean;
}

export interface BabelNeighbourInfo {
  address: string;
  interface: string;
  rxcost: number;
  txcost: number;
  cost: number;
}

const PORTS = 64;
/** Bytes of IPv6's and UDP's headers. */
const HEADERS = 48;
/** Hops that a request for a sequence number may go. */
const HOPS = 64;
/** A prefix that is gone is blocked this long: three and a half updates of the default, ms. */
const HOLD = 56000;
const NOTHING = new Uint8Array(0);

export class Babel implements Component {
  readonly name = "babel";
  readonly counters = new BabelCounters();
  /** This router's identifier; made when the first interface is enabled. */
  readonly routerId = new Uint8Array(8);
  private stack: Stack = null as never;
  private udp: Udp = null as never;
  private fib: Fib = null as never;
  private table: BabelTable = null as never;
  private identified = false;
  private seqno = 0;
  private readonly ports: BabelPort[] = [];
  private readonly neighbours: BabelNeighbour[] = [];
  private readonly reader = new BabelReader();
  private readonly writer: BabelWriter;
  /** Where the writer's packets go. */
  private port: BabelPort = null as never;
  private to = "";
  private readonly limit: number;
  private readonly neighbourLimit: number;
  private readonly rate: RateLimit;
  private readonly timer = new Timer(tick, this);
  private readonly data = new Uint8Array(1500);
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };
  private sweepAt = 0;
  /** Something is to be told out of turn, at `tellAt`. */
  private telling = false;
  private tellAt = 0;
  private sender: BabelNeighbour | null = null;
  private from: Uint8Array = NOTHING;

  constructor(private readonly options: BabelOptions) {
    this.limit = requireInteger(options.routes || 1024, 4, 65536, "routes");
    this.neighbourLimit = requireInteger(options.neighbours || 64, 1, 1024, "neighbours");
    const rate = requireInteger(options.requestRate || 10, 1, 100000, "requestRate");
    this.rate = new RateLimit(rate, rate);
    this.writer = new BabelWriter((data, end) => {
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
    this.table = new BabelTable(stack);
    stack.counters.babel = this.counters as never;
  }

  start(): void {
    this.udp = this.stack.transport(17) as unknown as Udp;
    if (!this.udp || !this.stack.network(6)) fail("ENOPROTOOPT", "babel needs udp and ipv6");
    this.fib = new Fib(this.stack, "babel", 130, this.options);
  }

  /** Speaks on an interface. Errors (thrown): `EINVAL` options, `EEXIST` it does already, `EADDRINUSE`, `ENOBUFS`. */
  enable(nif: Interface, options: BabelInterfaceOptions = {}): void {
    if (this.find(nif)) fail("EEXIST", "interface " + nif.name);
    if (this.ports.length >= PORTS) fail("ENOBUFS", "interfaces");
    const type = options.type === undefined ? "wired" : options.type;
    if (type !== "wired" && type !== "wireless") fail("EINVAL", "type");
    const lossy = type === "wireless";
    const cost = options.cost === undefined ? (lossy ? 256 : 96) : options.cost;
    requireInteger(cost, 1, wire.BABEL_INFINITY - 1, "cost");
    const hello = interval(options.hello, 4000, "hello");
    const update = interval(options.update, hello * 4, "update");
    const socket: UdpSocket = this.udp.open({
      family: 6,
      port: wire.BABEL_PORT,
      interface: nif,
      ttl: 1,
      multicastTtl: 1,
      multicastLoop: false,
      receiveBuffer: 65536,
      onReadable: () => this.readable(port),
    });
    const port = new BabelPort(nif, socket);
    socket.join(wire.BABEL_GROUP, nif);
    port.lossy = lossy;
    port.cost = cost;
    port.splitHorizon = options.splitHorizon === undefined ? !lossy : options.splitHorizon === true;
    port.helloInterval = hello;
    port.updateInterval = update < 0xffff * 10 ? update : 0xffff * 10;
    port.up = nif.up();
    this.identify(nif);
    port.seqno = this.stack.host.random16();
    this.ports.push(port);
    this.begin(port);
    this.schedule();
  }

  /** Speaks there no more, and says so. False: it did not. */
  disable(nif: Interface): boolean {
    const port = this.find(nif);
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
    const port = this.find(nif);
    if (!port || port.up === nif.up()) return;
    port.up = nif.up();
    if (port.up) this.begin(port);
    else this.forget(port);
    this.schedule();
  }

  interfaceRemoved(nif: Interface): void {
    const port = this.find(nif);
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

  private find(nif: Interface): BabelPort | null {
    for (let i = 0; i < this.ports.length; i++) if (this.ports[i].nif === nif) return this.ports[i];
    return null;
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
      if (entry.selected === route) this.select(entry);
    });
  }

  /* What comes in */

  private readable(port: BabelPort): void {
    const info = this.info;
    while (!port.socket.closed && port.socket.receive(this.data, info) >= 0) this.input(port, info);
    this.schedule();
  }

  private input(port: BabelPort, info: DatagramInfo): void {
    const counters = this.counters;
    counters.received++;
    const from = parseAddress(info.address);
    if (!from || !isLinkLocal6(from, 0) || info.port !== wire.BABEL_PORT) {
      counters.badSource++;
      return;
    }
    this.from = from;
    this.port = port;
    this.sender = this.neighbour(port, from);
    const reader = this.reader;
    reader.bad = 0;
    const read =
      !info.truncated &&
      reader.read(this.data, info.length, from, (tlv) => this.tlv(port, tlv, info.address));
    if (!read) counters.malformed++;
    counters.badTlv += reader.bad;
  }

  private tlv(port: BabelPort, tlv: BabelTlv, text: string): void {
    const now = this.stack.now();
    if (tlv.type === wire.HELLO) {
      this.hello(port, tlv, text, now);
      return;
    }
    const neighbour = this.sender;
    if (!neighbour) {
      this.counters.stranger++;
      return;
    }
    if (tlv.type === wire.IHU) this.ihu(neighbour, tlv, now);
    else if (tlv.type === wire.UPDATE) this.update(neighbour, tlv, now);
    else if (tlv.type === wire.SEQNO_REQUEST) this.seqnoRequest(neighbour, tlv, now);
    else if (tlv.type === wire.ACK_REQUEST || tlv.type === wire.ROUTE_REQUEST) {
      if (!this.rate.take(now)) {
        this.counters.limited++;
        return;
      }
      this.direct(port, neighbour);
      if (tlv.type === wire.ACK_REQUEST) this.writer.ack(tlv.nonce);
      else if (tlv.addressed) {
        const entry = this.table.find(tlv.prefix, tlv.length);
        if (entry) this.write(port, entry);
        else
          this.writer.update(
            tlv.prefix,
            tlv.length,
            this.routerId,
            this.seqno,
            wire.BABEL_INFINITY,
            port.updateInterval,
            this.hop(port),
          );
      } else {
        this.refresh();
        this.table.each((entry) => this.write(port, entry));
      }
      this.writer.flush();
    }
  }

  private hello(port: BabelPort, tlv: BabelTlv, text: string, now: number): void {
    // Those to us alone have numbers of their own, and say nothing of what the link does to groups (section 3.4.1).
    if (tlv.flags & wire.HELLO_UNICAST) return;
    let neighbour = this.sender;
    if (!neighbour) {
      if (this.neighbours.length >= this.neighbourLimit) {
        this.counters.full++;
        return;
      }
      neighbour = this.sender = new BabelNeighbour(port, this.from, text);
      neighbour.ihuUntil = (now + 0x3fffffff) | 0;
      this.neighbours.push(neighbour);
      // It has not heard of us, perhaps: the next hello is soon.
      const soon = (now + 1 + this.stack.host.randomBelow(100)) | 0;
      if (((port.helloAt - soon) | 0) > 0) port.helloAt = soon;
      this.direct(port, neighbour);
      this.writer.request(null, 0);
      this.writer.flush();
    }
    neighbour.hello(tlv.seqno, tlv.interval, now);
    this.reckon(neighbour);
  }

  private ihu(neighbour: BabelNeighbour, tlv: BabelTlv, now: number): void {
    const ip = this.fib.ip6;
    if (tlv.addressed && (!ip || !ip.findAddress(tlv.prefix, 0, neighbour.port.nif))) return;
    const before = neighbour.txcost;
    neighbour.txcost = tlv.metric;
    // Three and a half intervals (appendix B).
    neighbour.ihuUntil = (now + (tlv.interval * 7) / 2) | 0;
    if (before >= wire.BABEL_INFINITY && tlv.metric < wire.BABEL_INFINITY) {
      // Now that it hears us: what it has, and what we have.
      this.direct(neighbour.port, neighbour);
      this.writer.request(null, 0);
      this.writer.flush();
      const soon = (now + 1 + this.stack.host.randomBelow(200)) | 0;
      if (((neighbour.port.updateAt - soon) | 0) > 0) neighbour.port.updateAt = soon;
    }
    this.reckon(neighbour);
  }

  /** The link's cost may have changed, and with it the routes over it. */
  private reckon(neighbour: BabelNeighbour): void {
    const cost = neighbour.linkCost();
    if (cost === neighbour.cost) return;
    neighbour.cost = cost;
    this.table.each((entry) => {
      if (entry.route(neighbour)) this.select(entry);
    });
  }

  /** Section 3.5.3. */
  private update(neighbour: BabelNeighbour, tlv: BabelTlv, now: number): void {
    const counters = this.counters;
    const retraction = tlv.metric >= wire.BABEL_INFINITY;
    if (!tlv.addressed) {
      this.table.each((entry) => {
        const route = entry.route(neighbour);
        if (!route) return;
        route.refmetric = wire.BABEL_INFINITY;
        if (entry.selected === route) this.select(entry);
      });
      return;
    }
    if (!isRoutable(tlv.prefix, tlv.length)) {
      counters.badTlv++;
      return;
    }
    if (!retraction && sameRouter(tlv.routerId, this.routerId)) {
      this.returned(tlv);
      return;
    }
    if (!retraction && isV4(tlv.prefix) && !this.reaches4(neighbour.port.nif, tlv.nextHop)) {
      counters.badTlv++;
      return;
    }
    let entry = this.table.find(tlv.prefix, tlv.length);
    let route = entry && entry.route(neighbour);
    if (!route && retraction) return;
    const feasible = !entry || retraction || entry.feasible(tlv.routerId, tlv.seqno, tlv.metric);
    if (!feasible) counters.unfeasible++;
    if (!entry) {
      if (this.table.size() >= this.limit - (this.limit >> 2)) {
        counters.full++;
        return;
      }
      entry = this.table.add(tlv.prefix, tlv.length);
    }
    if (!route) {
      route = new BabelRoute(neighbour);
      entry.routes.push(route);
    } else if (route === entry.selected && !feasible && sameRouter(route.routerId, tlv.routerId)) {
      // It is in use and stays as it was, while its number is asked for.
      this.ask(entry, tlv.routerId, now);
      return;
    }
    if (!retraction) {
      route.routerId.set(tlv.routerId);
      route.seqno = tlv.seqno;
      route.nextHop.set(tlv.nextHop);
      route.interval = tlv.interval;
      route.until = (now + (tlv.interval * 7) / 2) | 0;
    }
    route.refmetric = tlv.metric;
    if (
      entry.asking &&
      !retraction &&
      sameRouter(entry.askRouter, tlv.routerId) &&
      !later(entry.askSeqno, tlv.seqno)
    ) {
      // What was asked for has come: who asked us is told.
      entry.asking = false;
      this.announce(entry, 1);
    }
    this.select(entry);
    // A shorter way that may not be taken as it is (section 3.8.2.2).
    if (!feasible && !entry.own && (!entry.selected || route.metric() < entry.selected.metric()))
      this.ask(entry, tlv.routerId, now);
  }

  /** Our own prefix comes back; one that is not ours any more, under our name, is waited out. */
  private returned(tlv: BabelTlv): void {
    const entry = this.table.find(tlv.prefix, tlv.length);
    // From before we began anew: our numbers go on from there.
    if (entry && entry.own && later(tlv.seqno, this.seqno)) this.seqno = (tlv.seqno + 1) & 0xffff;
  }

  private reaches4(nif: Interface, hop: Uint8Array): boolean {
    const ip = this.fib.ip4;
    const address = get32(hop, 12);
    return ip !== null && ip.isOnLink(nif, address) && !ip.isLocal(address) && !ip.isBroadcast(nif, address);
  }

  /** Section 3.8.1.2. */
  private seqnoRequest(neighbour: BabelNeighbour, tlv: BabelTlv, now: number): void {
    const entry = this.table.find(tlv.prefix, tlv.length);
    if (!entry) return;
    const selected = entry.selected;
    const ours = sameRouter(tlv.routerId, this.routerId);
    if (entry.own) {
      if (ours && later(tlv.seqno, this.seqno)) this.seqno = (this.seqno + 1) & 0xffff;
      this.counters.seqnoAnswers++;
      this.announce(entry, 1);
      return;
    }
    if (selected && (!sameRouter(selected.routerId, tlv.routerId) || !later(tlv.seqno, selected.seqno))) {
      this.counters.seqnoAnswers++;
      this.announce(entry, 1);
      return;
    }
    if (ours || tlv.hops < 2) return;
    if (entry.asking && sameRouter(entry.askRouter, tlv.routerId) && !later(tlv.seqno, entry.askSeqno))
      return;
    // To one who knows the prefix and is not the one who asks: the one in use before others.
    let next: BabelRoute | null = selected && selected.neighbour !== neighbour ? selected : null;
    for (let i = 0; i < entry.routes.length && !next; i++) {
      const route = entry.routes[i];
      if (route.neighbour !== neighbour && route.metric() < wire.BABEL_INFINITY) next = route;
    }
    if (!next) return;
    entry.asking = true;
    entry.askRouter.set(tlv.routerId);
    entry.askSeqno = tlv.seqno;
    entry.askLeft = 0;
    entry.askAt = (now + 2000) | 0;
    this.counters.seqnoForwarded++;
    this.direct(next.neighbour.port, next.neighbour);
    this.writer.seqnoRequest(entry.prefix, entry.length, tlv.routerId, tlv.seqno, tlv.hops - 1);
    this.writer.flush();
  }

  private neighbour(port: BabelPort, address: Uint8Array): BabelNeighbour | null {
    for (let i = 0; i < this.neighbours.length; i++) {
      const each = this.neighbours[i];
      if (each.port === port && equal6(each.address, 0, address, 0)) return each;
    }
    return null;
  }

  /* Routes */

  /** Chooses again (section 3.6), and sees to it that the forwarding table and the others know. */
  private select(entry: BabelDestination): void {
    const old = entry.selected;
    const best = entry.own ? null : entry.best();
    entry.selected = best;
    if (!best) {
      this.withdraw(entry);
      if (entry.own) return;
      if (entry.toldMetric < wire.BABEL_INFINITY) this.announce(entry, 2);
      // Starved: there may be a way that a later number would make feasible (section 3.8.2.1).
      if (old && entry.toldMetric < wire.BABEL_INFINITY) this.ask(entry, entry.toldRouter, this.stack.now());
      return;
    }
    const installed = this.fib.install(
      entry.installed,
      entry.prefix,
      entry.length,
      best.nextHop,
      best.neighbour.port.nif,
    );
    if (!installed) this.counters.full++;
    entry.installed = installed;
    entry.held = false;
    const metric = best.metric();
    const change = metric > entry.toldMetric ? metric - entry.toldMetric : entry.toldMetric - metric;
    if (entry.toldMetric >= wire.BABEL_INFINITY || !sameRouter(entry.toldRouter, best.routerId))
      this.announce(entry, 2);
    else if (change >= 96) this.announce(entry, 1);
  }

  /**
   * No route is left. Until the others know, nothing for the prefix may take a shorter one, which might lead to who still sends it to us
   * (section 3.5.4); our own needs no other.
   */
  private withdraw(entry: BabelDestination): void {
    if (entry.own) {
      if (entry.installed) this.fib.remove(entry.installed);
      entry.installed = null;
      entry.held = false;
    } else if (entry.installed && !entry.held) {
      entry.installed = this.fib.block(entry.installed, entry.prefix, entry.length);
      entry.held = entry.installed !== null;
      entry.heldUntil = (this.stack.now() + HOLD) | 0;
    }
  }

  /** The prefix is told out of turn, `times` times. */
  private announce(entry: BabelDestination, times: number): void {
    if (entry.tell < times) entry.tell = times;
    if (this.telling) return;
    this.telling = true;
    this.tellAt = (this.stack.now() + 20 + this.stack.host.randomBelow(80)) | 0;
  }

  /** Asks for a later sequence number than any that we have told of that router. */
  private ask(entry: BabelDestination, routerId: Uint8Array, now: number): void {
    const source = entry.source(routerId);
    if (!source || sameRouter(routerId, this.routerId)) return;
    const seqno = (source.seqno + 1) & 0xffff;
    if (entry.asking && sameRouter(entry.askRouter, routerId) && !later(seqno, entry.askSeqno)) return;
    entry.asking = true;
    entry.askRouter.set(routerId);
    entry.askSeqno = seqno;
    entry.askLeft = 4;
    entry.askAt = now;
    if (((this.sweepAt - now) | 0) > 0) this.sweepAt = now;
  }

  /** Looks at the forwarding tables for what is ours. */
  private refresh(): void {
    if (!this.fib.moved()) return;
    this.table.each((entry) => {
      entry.seen = false;
    });
    this.fib.scan(0, (prefix, length) => {
      let entry = this.table.find(prefix, length);
      if (!entry) {
        if (this.table.size() >= this.limit) {
          this.counters.full++;
          return;
        }
        entry = this.table.add(prefix, length);
      }
      entry.seen = true;
      if (entry.own) return;
      entry.own = true;
      entry.asking = false;
      this.select(entry);
      this.announce(entry, 2);
    });
    this.table.each((entry) => {
      if (!entry.own || entry.seen) return;
      entry.own = false;
      this.select(entry);
      this.announce(entry, 2);
    });
  }

  /* What goes out */

  /** What is written from now on goes to `neighbour`, or (null) to all on the link. */
  private direct(port: BabelPort, neighbour: BabelNeighbour | null): void {
    this.port = port;
    this.to = neighbour ? neighbour.text : wire.BABEL_GROUP;
    this.writer.begin(port.nif.mtu - HEADERS);
  }

  private write(port: BabelPort, entry: BabelDestination): void {
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

  /** Our address of IPv4 on the link, mapped; 0.0.0.0: none. */
  private hop(port: BabelPort): Uint8Array {
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
    this.refresh();
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
      if (neighbour.alive(now)) this.reckon(neighbour);
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
        if (entry.selected === route) this.select(entry);
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

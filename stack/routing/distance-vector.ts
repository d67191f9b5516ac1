/**
 * The machine of RIP (RFC 2453 section 3, RFC 2080 section 2): a table of distances, told to the neighbours every half minute and
 * when it changes, with split horizon and poison reverse. What its messages look like is a `RipCodec`'s
 * (rip-codec.ts): rip.ts, ripng.ts.
 *
 * Bounds: `routes` prefixes, of which a quarter is left to our own; answers to requests a second; a stranger's message is read once,
 * entry by entry, and makes one triggered update however much it changes.
 */
import { get32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { DatagramInfo, Udp, UdpSocket } from "../udp/udp.js";
import { equal6 } from "../wire/ipv6.js";
import { RIP_HEADER, RIP_INFINITY, RIP_REQUEST, RIP_RESPONSE } from "../wire/rip.js";
import { Fib } from "./fib.js";
import type { FibOptions, Installed } from "./fib.js";
import {
  ENTRY_ALL,
  ENTRY_BAD,
  ENTRY_ROUTE,
  ENTRY_SKIP,
  RipCounters,
  RipEntry,
  RipPort,
} from "./rip-codec.js";
import type { RipAuthenticator, RipCodec } from "./rip-codec.js";
import { addressText, copyOf, isRoutable, parseAddress, prefixText } from "./prefix.js";
import { portOf, turned } from "./ports.js";
import { PrefixTable } from "./prefix-table.js";
import type { PrefixEntry } from "./prefix-table.js";

export interface RipOptions extends FibOptions {
  /** Prefixes at most. Default 1024. */
  routes?: number;
  /** Seconds between updates, 1..3600; a sixth more or less by chance. Default 30. */
  update?: number;
  /** Seconds after which a route that is not heard of is not used any more. Default six updates. */
  timeout?: number;
  /** Seconds for which the neighbours are told that it is gone. Default four updates. */
  garbage?: number;
  /** Answers to requests a second. Default 10. */
  requestRate?: number;
}

export interface RipInterfaceOptions {
  /** What a hop by this interface costs, 1..15. Default 1. */
  cost?: number;
  /** Hears, and tells nothing. Default false. */
  passive?: boolean;
  /** RIPv2 alone: a password in clear (RFC 2453 section 4.1), 1..16 characters, which keeps off mistakes and nobody else. */
  password?: string;
  /** RIPv2 alone: `ripAuthentication({ secret, ... })` (RFC 4822), in place of a password. */
  authentication?: RipAuthenticator;
}

/** A route of the protocol, as it is told. */
export interface RipRouteInfo {
  prefix: string;
  metric: number;
  /** The neighbour that told of it; `""`: it is ours. */
  from: string;
  interface: Interface;
  tag: number;
}

class RipRoute implements PrefixEntry {
  hash = 0;
  nextInBucket: this | null = null;
  metric = RIP_INFINITY;
  tag = 0;
  /** Null: ours. */
  from: Uint8Array | null = null;
  gateway: Uint8Array | null = null;
  /** Not heard of, or told as gone, until then; ours have no end while they are `present`. */
  until = 0;
  changed = true;
  present = false;
  installed: Installed | null = null;

  constructor(
    readonly prefix: Uint8Array,
    readonly length: number,
    public nif: Interface,
  ) {}
}

const PORTS = 64;
const MESSAGE = 1500;
/** Room behind a message for what authenticates it. */
const TRAILER = 64;

export class DistanceVector implements Component {
  readonly name: string;
  readonly counters = new RipCounters();
  private stack: Stack = null as never;
  private udp: Udp = null as never;
  private fib: Fib = null as never;
  private readonly ports: RipPort[] = [];
  private table: PrefixTable<RipRoute> = null as never;
  private readonly limit: number;
  private readonly update: number;
  private readonly timeout: number;
  private readonly garbage: number;
  private readonly requests: RateLimit;
  private readonly timer = new Timer(tick, this);
  private readonly data = new Uint8Array(MESSAGE);
  private readonly out = new Uint8Array(MESSAGE);
  private readonly entry = new RipEntry();
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };
  /** Something is to be told out of turn. */
  private pending = false;
  /** Not before this. */
  private triggerAt = 0;
  /** Routes have been lost since: the neighbours are asked for others. */
  private lost = false;
  /** A second look at the table is due. */
  private sweepAt = 0;

  constructor(
    private readonly codec: RipCodec,
    private readonly options: RipOptions,
  ) {
    this.name = codec.name;
    const seconds = (value: number | undefined, standard: number, what: string) =>
      requireInteger(value === undefined ? standard : value, 1, 86400, what) * 1000;
    this.limit = requireInteger(options.routes || 1024, 1, 65536, "routes");
    this.update = seconds(options.update, 30, "update");
    this.timeout = seconds(options.timeout, (this.update * 6) / 1000, "timeout");
    this.garbage = seconds(options.garbage, (this.update * 4) / 1000, "garbage");
    const rate = requireInteger(options.requestRate || 10, 1, 100000, "requestRate");
    this.requests = new RateLimit(rate, rate);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", this.name);
    this.stack = stack;
    this.table = new PrefixTable(stack);
    this.codec.attach(stack, this.counters);
  }

  start(): void {
    this.udp = this.stack.transport(17) as unknown as Udp;
    if (!this.udp || !this.stack.network(this.codec.family))
      fail("ENOPROTOOPT", this.name + " needs udp and ipv" + this.codec.family);
    this.fib = new Fib(this.stack, this.name, this.codec.distance, this.options);
  }

  /**
   * Speaks on an interface. Errors (thrown): `EINVAL` options, `EEXIST` it does already, `EADDRINUSE`, `ENOBUFS`, `EOPNOTSUPP` nothing
   * carries groups (`igmp`).
   */
  enable(nif: Interface, options: RipInterfaceOptions = {}): void {
    const codec = this.codec;
    if (portOf(this.ports, nif)) fail("EEXIST", "interface " + nif.name);
    if (this.ports.length >= PORTS) fail("ENOBUFS", "interfaces");
    const cost = requireInteger(options.cost === undefined ? 1 : options.cost, 1, 15, "cost");
    const password = options.password || "";
    if (password.length > 16 || (password && codec.family !== 4)) fail("EINVAL", "password");
    const authentication = options.authentication || null;
    if (authentication && (password || codec.family !== 4)) fail("EINVAL", "authentication");
    if (authentication) authentication.attach(this.stack);
    const socket: UdpSocket = this.udp.open({
      family: codec.family,
      port: codec.port,
      interface: nif,
      ttl: codec.hops,
      multicastTtl: codec.hops,
      multicastLoop: false,
      receiveBuffer: 32768,
      onReadable: () => this.readable(port),
    });
    const port = new RipPort(nif, socket);
    const code = socket.join(codec.group, nif);
    if (code < 0) {
      socket.close();
      fail("EOPNOTSUPP", this.name + " cannot join its group");
    }
    port.cost = cost;
    port.passive = options.passive === true;
    port.password = password;
    port.authentication = authentication;
    port.up = nif.up();
    this.ports.push(port);
    this.begin(port);
    this.schedule();
  }

  /** Speaks there no more; what was heard there is forgotten. False: it did not. */
  disable(nif: Interface): boolean {
    const port = portOf(this.ports, nif);
    if (!port) return false;
    // A word of farewell: what we have is not to be reached by us.
    if (nif.up() && !port.passive) this.tell(port, this.codec.group, this.codec.port, false, true);
    this.drop(port);
    return true;
  }

  /** The table, as plain data. */
  routes(): RipRouteInfo[] {
    const list: RipRouteInfo[] = [];
    this.table.each((route) => {
      list.push({
        prefix: prefixText(route.prefix, route.length),
        metric: route.metric,
        from: route.from ? addressText(route.from) : "",
        interface: route.nif,
        tag: route.tag,
      });
    });
    return list;
  }

  interfaceChanged(nif: Interface): void {
    const port = turned(this.ports, nif);
    if (!port) return;
    if (port.up) this.begin(port);
    else this.lose(nif);
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
    while (this.ports.length > 0) (this.ports.pop() as RipPort).socket.close();
    this.table.each((route) => this.remove(route));
    this.schedule();
  }

  /** Asks the neighbours for all that they have, and tells them what we have at once. */
  private begin(port: RipPort): void {
    const now = this.stack.now();
    port.updateAt = (now + 100 + this.stack.host.randomBelow(400)) | 0;
    this.ask(port);
  }

  /** Asks the neighbours for all that they have: by the rules of updates, so that nobody offers us our own routes. */
  private ask(port: RipPort): void {
    const out = this.out;
    if (!port.up || port.passive) return;
    const at = this.codec.begin(port, out, this.header(RIP_REQUEST));
    const entry = this.entry;
    for (let i = 0; i < 16; i++) entry.prefix[i] = entry.gateway[i] = 0;
    entry.length = -1;
    entry.tag = 0;
    entry.metric = RIP_INFINITY;
    this.codec.emit(out, at, entry);
    this.send(port, this.codec.group, this.codec.port, at + 20);
  }

  private drop(port: RipPort): void {
    port.socket.close();
    this.ports.splice(this.ports.indexOf(port), 1);
    this.lose(port.nif);
    this.schedule();
  }

  /* What comes in */

  private readable(port: RipPort): void {
    const info = this.info;
    while (!port.socket.closed && port.socket.receive(this.data, info) >= 0) this.input(port, info);
    this.schedule();
  }

  private input(port: RipPort, info: DatagramInfo): void {
    const counters = this.counters;
    const codec = this.codec;
    const data = this.data;
    let end = info.length;
    counters.received++;
    const from = parseAddress(info.address);
    if (port.authentication && from && !info.truncated) {
      end = port.authentication.check(data, end, get32(from, 12));
      if (end < 0) {
        counters.badPassword++;
        return;
      }
    }
    if (
      info.truncated ||
      end < RIP_HEADER + 20 ||
      (end - RIP_HEADER) % 20 !== 0 ||
      (codec.version === 1 ? data[1] !== 1 : data[1] < codec.version) ||
      (data[0] !== RIP_REQUEST && data[0] !== RIP_RESPONSE)
    ) {
      counters.malformed++;
      return;
    }
    if (
      !from ||
      (data[0] === RIP_RESPONSE &&
        (info.port !== codec.port || (codec.onlyHops && info.ttl !== codec.onlyHops))) ||
      !codec.isNeighbour(this.fib, port.nif, from)
    ) {
      counters.badSource++;
      return;
    }
    const at = codec.authenticate(port, data, end);
    if (at < 0) counters.badPassword++;
    else if (data[0] === RIP_REQUEST) this.request(port, info, at, end);
    else this.response(port, from, at, end);
  }

  /** RFC 2453 section 3.9.1: the whole table goes by the rules of an update, single entries are answered as they are. */
  private request(port: RipPort, info: DatagramInfo, at: number, end: number): void {
    const counters = this.counters;
    if (port.passive) return;
    if (!this.requests.take(this.stack.now())) {
      counters.limited++;
      return;
    }
    counters.requests++;
    const entry = this.entry;
    const codec = this.codec;
    if (end - at === 20 && codec.parse(this.data, at, entry) === ENTRY_ALL) {
      this.refresh();
      this.tell(port, info.address, info.port, false, false);
      return;
    }
    const out = this.out;
    let to = codec.begin(port, out, this.header(RIP_RESPONSE));
    for (; at + 20 <= end && to + 20 <= MESSAGE - TRAILER; at += 20) {
      if (codec.parse(this.data, at, entry) === ENTRY_BAD) continue;
      const route = this.table.find(entry.prefix, entry.length);
      entry.metric = route ? route.metric : RIP_INFINITY;
      entry.tag = route ? route.tag : 0;
      entry.hop = false;
      codec.emit(out, to, entry);
      to += 20;
    }
    this.send(port, info.address, info.port, to);
  }

  private response(port: RipPort, from: Uint8Array, at: number, end: number): void {
    const entry = this.entry;
    const codec = this.codec;
    entry.hop = false;
    for (; at + 20 <= end; at += 20) {
      const found = codec.parse(this.data, at, entry);
      if (found === ENTRY_SKIP) continue;
      if (found !== ENTRY_ROUTE || !isRoutable(entry.prefix, entry.length)) this.counters.badEntry++;
      else this.learn(port, from, entry);
    }
  }

  /** RFC 2453 section 3.9.2. */
  private learn(port: RipPort, from: Uint8Array, entry: RipEntry): void {
    const nif = port.nif;
    const now = this.stack.now();
    const sum = entry.metric + port.cost;
    const metric = sum < RIP_INFINITY ? sum : RIP_INFINITY;
    const gateway = entry.hop && this.codec.isGateway(this.fib, nif, entry.gateway) ? entry.gateway : from;
    let route = this.table.find(entry.prefix, entry.length);
    if (!route) {
      if (metric >= RIP_INFINITY) return;
      if (this.table.size() >= this.limit - (this.limit >> 2)) {
        this.counters.full++;
        return;
      }
      route = this.table.insert(new RipRoute(copyOf(entry.prefix), entry.length, nif));
    } else if (!route.from && route.present) return;
    const same = route.from !== null && route.nif === nif && equal6(route.from, 0, from, 0);
    const old = route.metric;
    if (same && metric >= RIP_INFINITY) {
      if (old < RIP_INFINITY) this.expire(route, now);
      return;
    }
    if (metric >= RIP_INFINITY) return;
    if (!same && metric >= old) {
      // Of two that are equally far the one that is heard of is the better (section 3.9.2, last but one paragraph).
      const left = (route.until - now) | 0;
      if (metric > old || left > this.timeout >> 1) return;
    }
    const moved = !same || route.gateway === null || !equal6(route.gateway, 0, gateway, 0);
    if (metric !== old || route.tag !== entry.tag || moved) {
      route.changed = true;
      if (metric !== old || route.tag !== entry.tag) this.pending = true;
    }
    route.from = copyOf(from);
    if (moved) route.gateway = copyOf(gateway);
    route.nif = nif;
    route.metric = metric;
    route.tag = entry.tag;
    this.keep(route, (now + this.timeout) | 0);
    const installed = this.fib.install(route.installed, route.prefix, route.length, route.gateway, nif);
    if (!installed) this.counters.full++;
    route.installed = installed;
  }

  /* The table */

  private remove(route: RipRoute): void {
    if (route.installed) this.fib.remove(route.installed);
    route.installed = null;
    this.table.remove(route);
  }

  /** The route is gone: the neighbours are told for a while (section 3.8). */
  private expire(route: RipRoute, now: number): void {
    if (route.installed) this.fib.remove(route.installed);
    route.installed = null;
    route.metric = RIP_INFINITY;
    route.present = false;
    route.changed = this.pending = this.lost = true;
    this.keep(route, (now + this.garbage) | 0);
  }

  private keep(route: RipRoute, until: number): void {
    route.until = until;
    if (((this.sweepAt - until) | 0) > 0) this.sweepAt = until;
  }

  /** All that is behind an interface is lost. */
  private lose(nif: Interface): void {
    const now = this.stack.now();
    this.table.each((route) => {
      if (route.nif !== nif || route.metric >= RIP_INFINITY) return;
      if (route.from) this.expire(route, now);
    });
  }

  /** Looks at the forwarding tables for what is to be told to others. */
  private refresh(): void {
    if (!this.fib.moved()) return;
    const now = this.stack.now();
    this.table.each((route) => {
      if (!route.from) route.present = false;
    });
    this.fib.scan(this.codec.family, (prefix, length, nif) => {
      let route = this.table.find(prefix, length);
      if (!route) {
        if (this.table.size() >= this.limit) {
          this.counters.full++;
          return;
        }
        route = this.table.insert(new RipRoute(copyOf(prefix), length, nif));
      }
      if (route.from || route.metric >= RIP_INFINITY) {
        // Ours is better than any that we have heard of.
        if (route.installed) this.fib.remove(route.installed);
        route.installed = route.from = route.gateway = null;
        route.metric = 1;
        route.tag = 0;
        route.changed = this.pending = true;
      }
      route.nif = nif;
      route.present = true;
    });
    this.table.each((route) => {
      if (!route.from && !route.present && route.metric < RIP_INFINITY) this.expire(route, now);
    });
  }

  /* What goes out */

  private header(command: number): number {
    this.out[0] = command;
    this.out[1] = this.codec.version;
    this.out[2] = this.out[3] = 0;
    return RIP_HEADER;
  }

  private send(port: RipPort, address: string, to: number, end: number): void {
    if (port.authentication) end = port.authentication.finish(this.out, end);
    if (port.socket.sendTo(address, to, this.out, 0, end) < 0) this.counters.sendFailed++;
    else this.counters.sent++;
  }

  /** An update to one neighbour or all; `changed`: only what has. `farewell`: all of it is gone. */
  private tell(port: RipPort, address: string, to: number, changed: boolean, farewell: boolean): void {
    const codec = this.codec;
    const out = this.out;
    const entry = this.entry;
    let room = codec.room(port.nif.mtu);
    if (room > MESSAGE - TRAILER) room = MESSAGE - TRAILER;
    const first = codec.begin(port, out, this.header(RIP_RESPONSE));
    let at = first;
    entry.hop = false;
    this.table.each((route) => {
      if (changed && !route.changed) return;
      const here = route.nif === port.nif;
      // They are on that link themselves.
      if (here && !route.from && route.metric < RIP_INFINITY) return;
      if (at + 20 > room) {
        this.send(port, address, to, at);
        at = first;
      }
      entry.prefix.set(route.prefix);
      entry.length = route.length;
      entry.tag = route.tag;
      // Split horizon with poison reverse (section 3.4.3).
      entry.metric = farewell || (here && route.from) ? RIP_INFINITY : route.metric;
      codec.emit(out, at, entry);
      at += 20;
    });
    if (at > first) this.send(port, address, to, at);
  }

  /* Time */

  /** Does what is due. */
  run(): void {
    const now = this.stack.now();
    const group = this.codec.group;
    this.refresh();
    if (((now - this.sweepAt) | 0) >= 0) this.sweep(now);
    const trigger = this.pending && ((now - this.triggerAt) | 0) >= 0;
    let told = false;
    for (let i = 0; i < this.ports.length; i++) {
      const port = this.ports[i];
      const due = ((now - port.updateAt) | 0) >= 0;
      if (due) {
        const sixth = (this.update / 6) | 0;
        port.updateAt = (now + this.update - sixth + this.stack.host.randomBelow(2 * sixth + 1)) | 0;
      }
      if ((!due && !trigger) || !port.up || port.passive) continue;
      this.tell(port, group, this.codec.port, !due, false);
      if (trigger) told = true;
    }
    if (trigger) {
      if (told) this.counters.triggered++;
      // Who has another way tells it now, and not by its next update.
      for (let i = 0; this.lost && i < this.ports.length; i++) this.ask(this.ports[i]);
      this.lost = false;
      this.pending = false;
      this.table.each((route) => {
        route.changed = false;
      });
      // Section 3.10.1: the next one waits for 1 to 5 s.
      this.triggerAt = (now + 1000 + this.stack.host.randomBelow(4000)) | 0;
    }
    this.schedule();
  }

  private sweep(now: number): void {
    this.sweepAt = (now + this.timeout) | 0;
    this.table.each((route) => {
      if (!route.from && route.present) return;
      const left = (route.until - now) | 0;
      if (left > 0) this.keep(route, route.until);
      else if (route.metric >= RIP_INFINITY) this.remove(route);
      else {
        this.counters.expired++;
        this.expire(route, now);
      }
    });
  }

  private schedule(): void {
    const timers = this.stack.timers;
    if (this.ports.length === 0) {
      timers.clear(this.timer);
      return;
    }
    const now = this.stack.now();
    // A change of routes tells nobody: it is looked for each second.
    let left = 1000;
    const due = (at: number) => {
      const wait = (at - now) | 0;
      if (wait < left) left = wait > 0 ? wait : 0;
    };
    for (let i = 0; i < this.ports.length; i++) due(this.ports[i].updateAt);
    if (this.table.size() > 0) due(this.sweepAt);
    if (this.pending) due(this.triggerAt);
    timers.set(this.timer, (now + left) | 0);
  }
}

function tick(machine: DistanceVector): void {
  machine.run();
}

/**
 * UPnP Internet gateway (IGD:1, WANIPConnection:1): hosts inside find the gateway by SSDP and ask for outer ports that lead to them by SOAP.
 *
 * It has opened many a gateway, so: it serves no interface until it is told to, hosts on the links of those alone, each for itself only.
 * Nothing is evented: no address that a stranger names is ever called. Requests, connections, mappings, and time are bounded.
 *
 * ```ts
 * const nat = napt(), igd = upnpIgd({ mapper: nat });
 * const stack = createStack(host, [..., firewall({ nat, rules }), igd]);
 * igd.serve(lan, wan);
 * ```
 */
import type { DatagramInfo } from "../core/datagrams.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { PortMapper } from "../core/port-mapper.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Tcp } from "../tcp/tcp.js";
import type { Udp } from "../udp/udp.js";
import { UpnpGateway } from "./upnp-actions.js";
import type { Description } from "./upnp-description.js";
import { HttpHead } from "./upnp-http.js";
import { UpnpMappings } from "./upnp-mappings.js";
import { SoapCall } from "./upnp-soap.js";
import { SSDP_PORT, SsdpLink } from "./upnp-ssdp.js";
import { UpnpStream } from "./upnp-stream.js";

/** Milliseconds until the second announcement, which is for those that have lost the first, and between all others. */
const AGAIN = 1000;
const EVERY = 600000;
/** Bytes of the longest datagram that is read. */
const DATAGRAM = 1024;

export class UpnpIgdCounters {
  /** Datagrams of SSDP; each is one of the next five. */
  datagrams = 0;
  searches = 0;
  malformed = 0;
  /** From beyond the link: datagrams, and connections. */
  strangers = 0;
  /** Announcements of others, and what is no search. */
  ignored = 0;
  /** Not answered because of the rate limit. */
  limited = 0;
  /** Answers and announcements of SSDP. */
  sent = 0;
  sendFailed = 0;
  /** Groups that could not be joined: it needs `igmp`. */
  joinFailed = 0;
  /** Actions that were asked for; those that ended in an error. */
  actions = 0;
  faults = 0;
  /** Requests of HTTP that were refused. */
  refused = 0;
  /** Connections beyond the bounds; those that took too long. */
  full = 0;
  late = 0;
}

export interface UpnpIgdOptions {
  /** Who gives the ports: `napt()`. */
  mapper: PortMapper;
  /** Port of description and control. Default 1900. */
  port?: number;
  /** What the gateway is called, bytes of UTF-8 as characters. Default `"anystack gateway"`. */
  friendlyName?: string;
  /** The gateway's name among others, the same at each start: 36 characters (RFC 9562). Default: a random one. */
  uuid?: string;
  /** URL of a page for people. */
  page?: string;
  /** Bits a second of the line, which are told to who asks. Default 0. */
  upload?: number;
  download?: number;
  /** Mappings at most. Default 256. */
  limit?: number;
  /** Mappings of one host. Default 32. */
  perHost?: number;
  /** The longest lease, s, and that of who asks for one without end. Default 604800. */
  lifetime?: number;
  /** Searches answered and actions done a second, and as many at once. Default 100. */
  rate?: number;
  /** Connections at once, of one host a quarter of them. Default 16. */
  connections?: number;
}

export class UpnpIgd implements Component {
  readonly name = "upnp";
  readonly counters = new UpnpIgdCounters();
  readonly mappings: UpnpMappings;
  /** @internal From here on: for the parts of this component. */
  readonly gateway: UpnpGateway;
  readonly limit: RateLimit;
  readonly connections: number;
  readonly port: number;
  readonly about: Description;
  readonly udns: string[] = [];
  readonly head = new HttpHead();
  readonly soap = new SoapCall();
  readonly data = new Uint8Array(DATAGRAM);
  readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };
  stack: Stack = null as never;
  udp: Udp = null as never;
  ip: Ipv4 = null as never;
  private tcp: Tcp = null as never;
  private readonly mapper: PortMapper;
  private readonly links: SsdpLink[] = [];
  private stream: UpnpStream | null = null;
  private readonly leases: Timer;
  private readonly announcer: Timer;
  private readonly uuid: string;
  private since = 0;
  private seconds = 0;

  constructor(options: UpnpIgdOptions) {
    const value = (given: number | undefined, normal: number, low: number, most: number, what: string) =>
      requireInteger(given === undefined ? normal : given, low, most, what);
    if (!options.mapper || typeof options.mapper.map !== "function") fail("EINVAL", "mapper");
    this.mapper = options.mapper;
    const limit = value(options.limit, 256, 1, 65535, "limit");
    this.mappings = new UpnpMappings(this.mapper, limit, value(options.perHost, 32, 1, 65535, "perHost"));
    this.gateway = new UpnpGateway(this.mappings, value(options.lifetime, 604800, 1, 1000000, "lifetime"));
    this.gateway.upload = value(options.upload, 0, 0, 0x7fffffff, "upload");
    this.gateway.download = value(options.download, 0, 0, 0x7fffffff, "download");
    const rate = value(options.rate, 100, 1, 1000000, "rate");
    this.limit = new RateLimit(rate, rate);
    this.connections = value(options.connections, 16, 1, 1024, "connections");
    this.port = value(options.port, SSDP_PORT, 1, 65535, "port");
    this.uuid = options.uuid || "";
    if (this.uuid !== "" && this.uuid.length !== 36) fail("EINVAL", "uuid");
    this.about = {
      name: options.friendlyName || "anystack gateway",
      udns: this.udns,
      page: options.page || "",
    };
    this.leases = new Timer((igd: UpnpIgd) => igd.expire(), this);
    this.announcer = new Timer((igd: UpnpIgd) => igd.announce(EVERY), this);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "upnp");
    this.stack = stack;
    stack.counters.upnp = this.counters as never;
  }

  start(): void {
    const stack = this.stack;
    this.udp = stack.transport(17) as unknown as Udp;
    this.tcp = stack.transport(6) as unknown as Tcp;
    this.ip = stack.network(4) as Ipv4;
    if (!this.udp || !this.tcp || !this.ip) fail("ENOPROTOOPT", "upnp needs ipv4, udp and tcp");
    this.since = stack.now();
    this.ip.onAddressChange.push(() => this.lookOut());
    let base = this.uuid === "" ? "" : this.uuid.substring(0, 35);
    if (base === "") {
      // Version 4: random; nothing depends on that nobody can guess it.
      for (let i = 0; i < 31; i++) {
        const digit = i === 12 ? 4 : i === 16 ? 8 | stack.host.randomBelow(4) : stack.host.randomBelow(16);
        base += (i === 8 || i === 12 || i === 16 || i === 20 ? "-" : "") + "0123456789abcdef".charAt(digit);
      }
    }
    for (let i = 0; i < 3; i++) this.udns.push("uuid:" + base + i);
    this.gateway.udn = this.udns[2];
  }

  /**
   * Serves the hosts of an interface's link. `wan` is the interface whose state and traffic they are told of. Errors (thrown): `EBUSY` it is
   * served, `EADDRINUSE` a port is taken by who does not share it, `ENOBUFS`.
   */
  serve(nif: Interface, wan: Interface | null = null): void {
    if (!nif || nif.removed) fail("EINVAL", "interface");
    for (let i = 0; i < this.links.length; i++) if (this.links[i].nif === nif) fail("EBUSY", nif.name);
    if (!this.stream) this.stream = new UpnpStream(this, this.tcp);
    this.gateway.wan = wan;
    this.links.push(new SsdpLink(this, nif));
    this.lookOut();
    this.announce(AGAIN);
  }

  /** Ends that: hosts are told. Mappings stay until their leases end. Nothing happens where it is not served. */
  remove(nif: Interface): void {
    for (let i = this.links.length - 1; i >= 0; i--) {
      const link = this.links[i];
      if (link.nif !== nif) continue;
      if (!nif.removed) link.announce(false);
      link.socket.close();
      this.links.splice(i, 1);
    }
    if (this.links.length > 0 || !this.stream) return;
    this.stream.close();
    this.stream = null;
    this.stack.timers.clear(this.announcer);
  }

  interfaceRemoved(nif: Interface): void {
    if (this.gateway.wan === nif) this.gateway.wan = null;
    this.remove(nif);
  }

  close(): void {
    while (this.links.length > 0) this.remove(this.links[this.links.length - 1].nif);
    this.stack.timers.clear(this.leases);
    this.mappings.clear();
  }

  /** @internal */
  now(): number {
    return this.stack.now();
  }

  /** @internal Is the address on a link that is served? */
  serves(address: number): boolean {
    for (let i = 0; i < this.links.length; i++) if (this.ip.isOnLink(this.links[i].nif, address)) return true;
    return false;
  }

  /** @internal Does what `soap` asks for. Returns an error code. */
  act(service: number, address: number): number {
    const now = this.stack.now();
    const gateway = this.gateway;
    this.lookOut();
    const seconds = (((now - this.since) | 0) / 1000) | 0;
    this.seconds += seconds;
    this.since = (this.since + seconds * 1000) | 0;
    gateway.uptime = gateway.outer === 0 ? 0 : this.seconds;
    gateway.now = now;
    this.expire();
    const code = gateway.run(service, this.soap, address);
    this.expire();
    return code;
  }

  private expire(): void {
    const now = this.stack.now();
    const wait = this.mappings.expire(now);
    if (wait >= 0) this.stack.timers.set(this.leases, (now + wait) | 0);
    else this.stack.timers.clear(this.leases);
  }

  /** Has the outer address changed? Then the mappings are gone: hosts that look after theirs ask again. */
  private lookOut(): void {
    const outer = this.links.length > 0 ? this.mapper.outer() : this.gateway.outer;
    if (outer === this.gateway.outer) return;
    this.gateway.outer = outer;
    this.since = this.stack.now();
    this.seconds = 0;
    this.mappings.clear();
  }

  private announce(next: number): void {
    for (let i = 0; i < this.links.length; i++) this.links[i].announce(true);
    this.stack.timers.set(this.announcer, (this.stack.now() + next) | 0);
  }
}

/** A UPnP Internet gateway, off until `serve`. Needs `ipv4`, `udp`, `tcp`, and `igmp` to be found. Throws `EINVAL`. Counters: `upnp`. */
export function upnpIgd(options: UpnpIgdOptions): UpnpIgd {
  return new UpnpIgd(options);
}

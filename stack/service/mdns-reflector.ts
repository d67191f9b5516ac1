/**
 * Multicast DNS reflector: what is said on one link (RFC 6762) is said again on the others, so that services are found across a router.
 * Messages pass as they are. Names that two hosts of different links have are a conflict then, as on one link.
 */
import { get16 } from "../core/bytes.js";
import type { DatagramInfo } from "../core/datagrams.js";
import { fail, setting } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { RateLimit } from "../core/rate.js";
import type { Component, Stack } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import type { UdpSocket } from "../udp/socket.js";
import { Udp } from "../udp/udp.js";

const MDNS_PORT = 5353;
const GROUP4 = "224.0.0.251";
const GROUP6 = "ff02::fb";
/** Bytes of a message (RFC 6762 section 17), and of those that may wait at a socket. */
const MESSAGE = 9000;
const QUEUE = 32768;
const HEADER = 12;
/** Messages remembered, a power of two, and for how long, ms: one that comes again from another link goes in circles. */
const REMEMBERED = 64;
const CIRCLE = 500;

export class MdnsReflectorCounters {
  received = 0;
  /** Sent, once for each link and family. */
  reflected = 0;
  /** Shorter than a header, longer than a message, not opcode 0. */
  malformed = 0;
  /** Not from port 5353 (a query that wants its answer by unicast), or not from this link. */
  ignored = 0;
  /** The application's `filter` held it back. */
  filtered = 0;
  /** Came from two links within half a second: there is another reflector. */
  circles = 0;
  /** Beyond the rate. */
  limited = 0;
  sendFailed = 0;
  /** Groups that could not be joined: IPv4 needs `igmp`. */
  joinFailed = 0;
}

export interface MdnsReflectorOptions {
  /** Messages a second, and as many at once. Default 100. */
  rate?: number;
  /** May the message in `data[0..end)` pass from one link to another? Default: all do. */
  filter?(data: Uint8Array, end: number, from: Interface, to: Interface): boolean;
}

/** A link that takes part. */
class ReflectedLink {
  constructor(
    readonly nif: Interface,
    readonly socket: UdpSocket,
  ) {}
}

export class MdnsReflector implements Component {
  readonly name = "mdnsreflector";
  readonly counters = new MdnsReflectorCounters();
  private stack: Stack = null as never;
  private ip4: Ipv4 | null = null;
  private ip6: Ipv6 | null = null;
  private udp: Udp = null as never;
  private readonly links: ReflectedLink[] = [];
  private readonly data = new Uint8Array(MESSAGE);
  private readonly hashes = new Int32Array(REMEMBERED);
  private readonly times = new Int32Array(REMEMBERED);
  private readonly origins: (Interface | null)[] = [];
  private next = 0;
  private readonly limit: RateLimit;
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };

  constructor(private readonly options: MdnsReflectorOptions) {
    const rate = setting(options.rate, 100, 1, 1000000, "rate");
    this.limit = new RateLimit(rate, rate);
    for (let i = 0; i < REMEMBERED; i++) this.origins.push(null);
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "mdnsreflector");
    this.stack = stack;
    stack.counters.mdnsreflector = this.counters as never;
  }

  start(): void {
    const udp = this.stack.component(Udp);
    if (!udp) return fail("ENOPROTOOPT", "mdnsreflector needs udp");
    this.udp = udp;
    this.ip4 = this.stack.network(4) as Ipv4 | null;
    this.ip6 = this.stack.network(6) as Ipv6 | null;
  }

  /** Makes a link take part. Errors (thrown): `EINVAL`, `EBUSY` it does, `EADDRINUSE` port 5353 is taken by who does not share it. */
  add(nif: Interface): void {
    if (!nif || nif.removed) fail("EINVAL", "interface");
    for (let i = 0; i < this.links.length; i++) if (this.links[i].nif === nif) fail("EBUSY", nif.name);
    const socket = this.udp.open({
      port: MDNS_PORT,
      interface: nif,
      reuse: true,
      multicastTtl: 255,
      multicastLoop: false,
      receiveBuffer: QUEUE,
      onReadable: () => this.readable(link),
    });
    const link = new ReflectedLink(nif, socket);
    if (this.ip4 && socket.join(GROUP4, nif) < 0) this.counters.joinFailed++;
    if (this.ip6 && socket.join(GROUP6, nif) < 0) this.counters.joinFailed++;
    this.links.push(link);
  }

  /** Ends that. Nothing happens where it does not take part. */
  remove(nif: Interface): void {
    for (let i = this.links.length - 1; i >= 0; i--) {
      if (this.links[i].nif === nif) this.links.splice(i, 1)[0].socket.close();
    }
  }

  interfaceRemoved(nif: Interface): void {
    this.remove(nif);
    for (let i = 0; i < REMEMBERED; i++) if (this.origins[i] === nif) this.origins[i] = null;
  }

  close(): void {
    while (this.links.length > 0) this.remove(this.links[0].nif);
  }

  private readable(from: ReflectedLink): void {
    const data = this.data;
    const counters = this.counters;
    while (!from.socket.closed && from.socket.receive(data, this.info) >= 0) {
      const end = this.info.length;
      counters.received++;
      if (this.info.truncated || end < HEADER || (data[2] & 0x78) !== 0) counters.malformed++;
      else if (this.info.port !== MDNS_PORT || !this.isNear(from.nif, this.info.address)) counters.ignored++;
      else if (this.circles(from.nif, end)) counters.circles++;
      else if (!this.limit.take(this.stack.now())) counters.limited++;
      else this.reflect(from, end);
    }
  }

  private reflect(from: ReflectedLink, end: number): void {
    const filter = this.options.filter;
    const group = this.info.address.indexOf(":") < 0 ? GROUP4 : GROUP6;
    for (let i = 0; i < this.links.length; i++) {
      const link = this.links[i];
      if (link === from) continue;
      if (filter && !filter(this.data, end, from.nif, link.nif)) this.counters.filtered++;
      else if (link.socket.sendTo(group, MDNS_PORT, this.data, 0, end) < 0) this.counters.sendFailed++;
      else this.counters.reflected++;
    }
  }

  /** Does the sender's address lie on the link (RFC 6762 section 11)? */
  private isNear(nif: Interface, address: string): boolean {
    const four = parse4(address);
    if (four !== null) return this.ip4 !== null && this.ip4.isOnLink(nif, four);
    const zone = address.indexOf("%");
    const six = parse6(zone < 0 ? address : address.substring(0, zone));
    return six !== null && this.ip6 !== null && this.ip6.isOnLink(nif, six, 0);
  }

  /** Has the same message come from another link a moment ago? It is remembered now, in any case. */
  private circles(nif: Interface, end: number): boolean {
    const data = this.data;
    const now = this.stack.now();
    let hash = end;
    // The first 1500 bytes tell messages apart.
    for (let i = 0; i + 1 < end && i < 1500; i += 2) hash = ((hash << 5) - hash + get16(data, i)) | 0;
    for (let i = 0; i < REMEMBERED; i++) {
      const origin = this.origins[i];
      if (origin && origin !== nif && this.hashes[i] === hash && ((now - this.times[i]) | 0) < CIRCLE)
        return true;
    }
    this.hashes[this.next] = hash;
    this.times[this.next] = now;
    this.origins[this.next] = nif;
    this.next = (this.next + 1) & (REMEMBERED - 1);
    return false;
  }
}

/** The reflector; needs `udp`, and `igmp` for IPv4. Counters: `mdnsreflector`. */
export function mdnsReflector(options: MdnsReflectorOptions = {}): MdnsReflector {
  return new MdnsReflector(options);
}

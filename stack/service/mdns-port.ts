/**
 * What multicast DNS stands on (RFC 6762 sections 5, 11, 15, 17): a socket on port 5353 for each interface that is up and has
 * an address, for both families together; which messages are looked at; and how ours are sent.
 *
 * Interfaces are apart from each other: nothing that is heard on one has an effect on another. A message goes out over both
 * families where there are both.
 */
import { put32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Network } from "../core/network.js";
import { RateLimit } from "../core/rate.js";
import type { Stack } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import { Timer } from "../core/timers.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import type { DatagramInfo, UdpSocket } from "../udp/socket.js";
import { Udp } from "../udp/udp.js";
import * as wire from "../wire/dns.js";
import { isLinkLocal4 } from "../wire/ipv4.js";
import { MDNS_PORT, RESPONSE, Writer, parseMessage } from "./mdns-message.js";
import type { Message } from "./mdns-message.js";

const GROUP4 = "224.0.0.251";
const GROUP6 = "ff02::fb";
/** Bytes of messages that may wait at a socket. */
const QUEUE = 32768;
/** Replies by unicast that may be sent in a second, and at once. */
const UNICAST_RATE = 50;
/** Bytes of a message at most, where the MTU allows more; and of the headers before it. */
const MESSAGE = 1452;
const HEADERS = 48;
/** An address's state (ipv4/address.ts, ipv6/address.ts). */
const PREFERRED = 1;

export class MdnsCounters {
  /** Messages that came, from others. */
  received = 0;
  sent = 0;
  /** No room, no route: as if lost on the way. */
  sendFailed = 0;
  /** Lengths or names that lie, or longer than `messageSize`. */
  malformed = 0;
  /** Queries of more than 128 questions. */
  tooMany = 0;
  /** Not from this link (section 11). */
  offLink = 0;
  /** Another opcode, an error, a response that is not from port 5353. */
  ignored = 0;
  /** What we have sent ourselves and heard again. */
  own = 0;
  /** Answers that the asker knew, or somebody else has given (sections 7.1 to 7.4). */
  suppressed = 0;
  /** Answers not sent since they were a moment ago, or too many were asked for by unicast. */
  limited = 0;
  /** Others have a name or record that we had, or wanted to have. */
  conflicts = 0;
  /** Records of others that were not kept: the cache is full of what is asked for. */
  full = 0;
  /** Groups that could not be joined: IPv4 needs `igmp`. */
  joinFailed = 0;
}

export interface MdnsOptions {
  /** The name of this host, `"sensor"` for `sensor.local`: claimed when there is an interface. Default: none. */
  host?: string;
  /** The host's name has been won: `"sensor.local"`, or `"sensor-2.local"` when somebody else had it. */
  onHost?(name: string): void;
  /** Names that this host may claim, services and hosts. Default 32. */
  claims?: number;
  /** Questions that may be asked at a time. Default 64. */
  queries?: number;
  /** Records of others that are remembered, for each interface. Default 256. */
  entries?: number;
  /** Bytes that they may take, with their names and 64 bytes each. Default 32768. */
  bytes?: number;
  /** Bytes of the longest message that is looked at, 512..8972. Default 2048. */
  messageSize?: number;
}

/** An interface on which multicast DNS is spoken. */
export class MdnsLink {
  /** Which families can be spoken: their groups are joined. */
  four = false;
  six = false;
  /** Usable addresses: 4 or 16 bytes each. */
  addresses: Uint8Array[] = [];

  constructor(
    readonly port: MdnsPort,
    readonly nif: Interface,
    readonly socket: UdpSocket,
  ) {}

  /** Bytes that a message may have. */
  limit(): number {
    const room = this.nif.mtu - HEADERS;
    return room < MESSAGE ? room : MESSAGE;
  }
}

/** Whom a query came from, and how. */
export interface Asker {
  readonly address: string;
  readonly port: number;
  /** It was sent to us alone. */
  readonly unicast: boolean;
  /** It may be answered by unicast: its address is of this link. */
  readonly near: boolean;
}

/** A part of multicast DNS: the responder, the querier. */
export interface MdnsPart {
  linkUp(link: MdnsLink): void;
  /** `gone`: nothing can be sent any more. */
  linkDown(link: MdnsLink, gone: boolean): void;
  /** The link's addresses have changed. */
  linkChanged(link: MdnsLink): void;
  query(link: MdnsLink, message: Message, asker: Asker): void;
  response(link: MdnsLink, message: Message): void;
}

export class MdnsPort {
  readonly counters = new MdnsCounters();
  readonly links: MdnsLink[] = [];
  readonly parts: MdnsPart[] = [];
  readonly writer = new Writer();
  stack: Stack = null as never;
  private udp: Udp = null as never;
  private readonly buffer: Uint8Array;
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };
  private readonly unicasts = new RateLimit(UNICAST_RATE, UNICAST_RATE);
  private readonly timer = new Timer(refresh, this);

  constructor(options: MdnsOptions) {
    const size = options.messageSize === undefined ? 2048 : options.messageSize;
    this.buffer = new Uint8Array(requireInteger(size, 512, 8972, "messageSize"));
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "mdns");
    if (stack.counters.mdns) fail("EBUSY", "one of mdns, mdnsResponder, mdnsQuerier");
    this.stack = stack;
    stack.counters.mdns = this.counters as never;
  }

  start(): void {
    const udp = this.stack.component(Udp);
    if (!udp) return fail("ENOPROTOOPT", "mdns needs udp");
    this.udp = udp;
    for (let i = 0; i < this.stack.networks.length; i++) {
      (this.stack.networks[i] as Ipv4 | Ipv6).onAddressChange.push(() => this.changed());
    }
  }

  /** Addresses or interfaces are not what they were: looked at when all that changes together has changed. */
  changed(): void {
    this.stack.timers.set(this.timer, this.stack.now());
  }

  /** The interface goes, while something may still be sent. */
  removed(nif: Interface): void {
    for (let i = 0; i < this.links.length; i++) if (this.links[i].nif === nif) this.drop(this.links[i]);
  }

  close(): void {
    while (this.links.length > 0) this.drop(this.links[0]);
    this.stack.timers.clear(this.timer);
  }

  /** Compares the links with the interfaces; see `changed`. */
  refresh(): void {
    const interfaces = this.stack.interfaces;
    for (let i = 0; i < interfaces.length; i++) {
      const nif = interfaces[i];
      const addresses = nif.up() ? this.addressesOf(nif) : [];
      let link: MdnsLink | null = null;
      for (let k = 0; k < this.links.length; k++) if (this.links[k].nif === nif) link = this.links[k];
      if (addresses.length === 0) {
        if (link) this.drop(link);
      } else if (!link) this.open(nif, addresses);
      else if (!sameList(link.addresses, addresses)) {
        link.addresses = addresses;
        for (let k = 0; k < this.parts.length; k++) this.parts[k].linkChanged(link);
      }
    }
  }

  /** Sends what the writer holds to all on the link; where it is a response, our own querier hears it as well. */
  multicast(link: MdnsLink): void {
    const writer = this.writer;
    if (link.four) this.send(link, GROUP4, MDNS_PORT);
    if (link.six) this.send(link, GROUP6, MDNS_PORT);
    if (this.parts.length < 2 || (writer.data[wire.DNS_FLAGS] & 0x80) === 0) return;
    const message = parseMessage(writer.data, writer.at, this.counters);
    if (message) this.parts[1].response(link, message);
  }

  /** Sends what the writer holds to one who asked, unless too much has been sent that way. */
  unicast(link: MdnsLink, asker: Asker): void {
    if (this.unicasts.take(this.stack.now())) this.send(link, asker.address, asker.port);
    else this.counters.limited++;
  }

  beginResponse(link: MdnsLink, id: number): Writer {
    this.writer.begin(id, RESPONSE, link.limit());
    return this.writer;
  }

  private send(link: MdnsLink, address: string, port: number): void {
    if (link.socket.sendTo(address, port, this.writer.data, 0, this.writer.at) < 0)
      this.counters.sendFailed++;
    else this.counters.sent++;
  }

  private open(nif: Interface, addresses: Uint8Array[]): void {
    let socket: UdpSocket;
    try {
      socket = this.udp.open({
        multicastLoop: false,
        port: MDNS_PORT,
        interface: nif,
        reuse: true,
        ttl: 255,
        multicastTtl: 255,
        receiveBuffer: QUEUE,
        onReadable: () => this.input(link),
      });
    } catch {
      // No socket is left: tried again with the next change.
      this.counters.joinFailed++;
      return;
    }
    const link = new MdnsLink(this, nif, socket);
    link.four = this.join(socket, 4, GROUP4);
    link.six = this.join(socket, 6, GROUP6);
    link.addresses = addresses;
    this.links.push(link);
    for (let i = 0; i < this.parts.length; i++) this.parts[i].linkUp(link);
  }

  private join(socket: UdpSocket, family: number, group: string): boolean {
    if (!this.stack.network(family)) return false;
    if (socket.join(group) === 0) return true;
    this.counters.joinFailed++;
    return false;
  }

  private drop(link: MdnsLink): void {
    this.links.splice(this.links.indexOf(link), 1);
    for (let i = 0; i < this.parts.length; i++) this.parts[i].linkDown(link, !link.nif.up());
    link.socket.close();
  }

  private input(link: MdnsLink): void {
    const counters = this.counters;
    const info = this.info;
    for (;;) {
      const length = link.socket.receive(this.buffer, info);
      if (length < 0) return;
      const family = info.address.indexOf(":") < 0 ? 4 : 6;
      const net = this.stack.network(family) as Network;
      const near = isNear(net, link.nif, info.address);
      const unicast = info.localAddress !== GROUP4 && info.localAddress !== GROUP6;
      const data = this.buffer;
      if (net.setLocal(net.createPath(), info.address) === 0) counters.own++;
      // What came to the group is of this link, though not of its networks, if no router can have sent it on.
      else if (!near && (unicast || info.ttl !== 255)) counters.offLink++;
      else if (info.truncated) counters.malformed++;
      else {
        const message = parseMessage(data, length, counters);
        if (!message) continue;
        const response = (message.flags & wire.FLAG_RESPONSE) !== 0;
        if (
          (message.flags & (wire.OPCODE | wire.RCODE)) !== 0 ||
          (info.port !== MDNS_PORT && (response || !near))
        ) {
          counters.ignored++;
          continue;
        }
        counters.received++;
        const asker = { address: info.address, port: info.port, unicast, near };
        for (let i = 0; i < this.parts.length && !link.socket.closed; i++) {
          if (response) this.parts[i].response(link, message);
          else this.parts[i].query(link, message, asker);
        }
      }
    }
  }

  /** The addresses of an interface that others may be told: not the tentative, not the temporary; none of the loopback. */
  private addressesOf(nif: Interface): Uint8Array[] {
    const found: Uint8Array[] = [];
    const networks = this.stack.networks;
    for (let i = 0; i < networks.length; i++) {
      const net = networks[i] as Ipv4 | Ipv6;
      const list = net.addresses as AnyAddress[];
      for (let k = 0; k < list.length; k++) {
        const entry = list[k];
        if (entry.nif !== nif || net.loopback === nif || entry.state !== PREFERRED || entry.temporary)
          continue;
        const bytes = new Uint8Array(net.addressSize);
        if (entry.bytes) bytes.set(entry.bytes);
        else put32(bytes, 0, entry.address as number);
        found.push(bytes);
      }
    }
    return found;
  }
}

/** What IPv4 and IPv6 have in common here. */
interface AnyAddress {
  nif: Interface;
  state: number;
  address?: number;
  bytes?: Uint8Array;
  temporary?: boolean;
}

/** Is the address that of a neighbour on `nif`? */
function isNear(net: Network, nif: Interface, address: string): boolean {
  if (net.family === 4) {
    const four = parse4(address) as number;
    return isLinkLocal4(four) || (net as Ipv4).isOnLink(nif, four);
  }
  const zone = address.indexOf("%");
  const six = parse6(zone < 0 ? address : address.substring(0, zone));
  return six !== null && (net as Ipv6).isOnLink(nif, six, 0);
}

function sameList(a: Uint8Array[], b: Uint8Array[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i].length !== b[i].length) return false;
    for (let k = 0; k < a[i].length; k++) if (a[i][k] !== b[i][k]) return false;
  }
  return true;
}

function refresh(port: MdnsPort): void {
  port.refresh();
}

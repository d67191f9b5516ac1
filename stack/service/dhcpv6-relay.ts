/** The DHCPv6 relay agent (RFC 8415 section 19): carries clients' messages to servers elsewhere, and what they answer back. */
import { get16 } from "../core/bytes.js";
import type { DatagramInfo } from "../core/datagrams.js";
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import { format6, parse6 } from "../core/text6.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import type { Udp, UdpSocket } from "../udp/udp.js";
import * as wire from "../wire/dhcpv6.js";
import { isLinkLocal6, isUnspecified6 } from "../wire/ipv6.js";
import { RelayLinks } from "./relay-links.js";

const PROTOCOL_UDP = 17;
const RELAY_FORWARD = 12;
const RELAY_REPLY = 13;
const OPTION_RELAY_MESSAGE = 9;
const OPTION_INTERFACE_ID = 18;
/** Type, hop count, link address, peer address; and where these are. */
const RELAY_HEADER = 34;
const LINK = 2;
const PEER = 18;
/** Relay agents that a message may pass (HOP_COUNT_LIMIT). */
const HOPS = 8;
/** Messages that are taken: what a path of 1500 bytes carries, and what a few agents have put around it. */
const MESSAGE = 2048;
const QUEUE = 16384;
/** Characters of an interface's name, which names it to servers. */
const NAME = 64;

export class Dhcpv6RelayCounters {
  /** Messages carried to servers (once for each), and replies to clients. */
  requests = 0;
  replies = 0;
  malformed = 0;
  /** Has passed too many agents. */
  hops = 0;
  /** A reply for no link of ours, or not from a server that we ask. */
  notOurs = 0;
  sendFailed = 0;
}

export interface Dhcpv6RelayOptions {
  /** Clients are on this link. */
  interface: Interface;
  /** Addresses of servers, or of the next agents. Answers of others are not believed. */
  servers: string[];
}

/** A link that is relayed for. */
export class Dhcpv6RelayLink {
  readonly servers: Uint8Array[] = [];
  readonly socket: UdpSocket;

  constructor(
    private readonly relay: Dhcpv6Relay,
    readonly nif: Interface,
    udp: Udp,
    servers: string[],
  ) {
    if (!servers || servers.length === 0) fail("EINVAL", "servers");
    for (let i = 0; i < servers.length; i++) {
      const address = parse6(servers[i]);
      // A link-local server would be on one link, and a group's answers come from whom nobody has named.
      if (!address || address[0] === 0xff || isLinkLocal6(address, 0) || isUnspecified6(address, 0)) {
        fail("EINVAL", "server " + servers[i]);
      }
      this.servers.push(address as Uint8Array);
    }
    this.socket = udp.open({
      family: 6,
      port: wire.DHCP6_SERVER_PORT,
      interface: nif,
      reuse: true,
      multicastLoop: false,
      receiveBuffer: QUEUE,
      onReadable: () => relay.readable(this.socket, this),
    });
    if (this.socket.join(wire.DHCP6_SERVERS, nif) < 0) {
      this.socket.close();
      fail("ENOBUFS", "group");
    }
  }

  /** Ends it. Legal twice. */
  close(): void {
    this.relay.drop(this);
  }
}

export class Dhcpv6Relay implements Component {
  readonly name = "dhcpv6relay";
  readonly counters = new Dhcpv6RelayCounters();
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private udp: Udp = null as never;
  private readonly links = new RelayLinks<Dhcpv6RelayLink>(() => {
    // Sends to servers, and hears them.
    const socket: UdpSocket = this.udp.open({
      family: 6,
      port: wire.DHCP6_SERVER_PORT,
      reuse: true,
      receiveBuffer: QUEUE,
      onReadable: () => this.readable(socket, null),
    });
    return socket;
  });
  private readonly data = new Uint8Array(MESSAGE);
  /** The message with this agent's header before it and its options around it. */
  private readonly out = new Uint8Array(MESSAGE + RELAY_HEADER + NAME + 8);
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "dhcpv6relay");
    this.stack = stack;
    stack.counters.dhcpv6relay = this.counters as never;
  }

  start(): void {
    this.ip = this.stack.network(6) as Ipv6;
    this.udp = this.stack.transport(PROTOCOL_UDP) as unknown as Udp;
    if (!this.ip || !this.udp) fail("ENOPROTOOPT", "dhcpv6relay needs ipv6 and udp");
  }

  /** Relays for the clients on a link. Errors (thrown): `EINVAL`, `EBUSY` it does already, `EADDRINUSE` port 547 is taken. */
  open(options: Dhcpv6RelayOptions): Dhcpv6RelayLink {
    const nif = options.interface;
    if (!nif || nif.removed || nif.name.length > NAME) fail("EINVAL", "interface");
    this.links.requireFree(nif);
    return this.links.add(new Dhcpv6RelayLink(this, nif, this.udp, options.servers));
  }

  interfaceRemoved(nif: Interface): void {
    this.links.dropOf(nif);
  }

  close(): void {
    this.links.close();
  }

  drop(link: Dhcpv6RelayLink): void {
    this.links.drop(link);
  }

  /** @param link where it came in, null: not on a link with clients */
  readable(socket: UdpSocket, link: Dhcpv6RelayLink | null): void {
    const data = this.data;
    while (!socket.closed && socket.receive(data, this.info) >= 0) {
      const end = this.info.truncated ? 0 : this.info.length;
      const type = end > 0 ? data[0] : 0;
      const relayed = type === RELAY_FORWARD || type === RELAY_REPLY;
      const header = relayed ? RELAY_HEADER : wire.DHCP6_HEADER;
      if (end < header || !wire.areOptions(data, header, end)) this.counters.malformed++;
      else if (type === RELAY_REPLY) this.back(end);
      else if (link && (type === RELAY_FORWARD || isRequest(type))) this.forth(link, end);
      else this.counters.malformed++;
    }
  }

  /** Sections 19.1.1 and 19.1.2. */
  private forth(link: Dhcpv6RelayLink, end: number): void {
    const data = this.data;
    const out = this.out;
    const counters = this.counters;
    const nested = data[0] === RELAY_FORWARD;
    const zone = this.info.address.indexOf("%");
    const peer = parse6(zone < 0 ? this.info.address : this.info.address.substring(0, zone));
    if (nested && data[1] >= HOPS) {
      counters.hops++;
      return;
    }
    if (!peer) {
      counters.malformed++;
      return;
    }
    out[0] = RELAY_FORWARD;
    out[1] = nested ? data[1] + 1 : 0;
    for (let i = LINK; i < RELAY_HEADER; i++) out[i] = 0;
    // The link of an agent that speaks by an address of its own is known by that agent's word.
    if (!nested || isLinkLocal6(peer, 0)) this.linkAddress(link.nif);
    out.set(peer, PEER);
    const name = link.nif.name;
    let at = wire.emitOption6(out, RELAY_HEADER, OPTION_INTERFACE_ID, name.length);
    for (let i = 0; i < name.length; i++) out[at + i] = name.charCodeAt(i) & 255;
    at += name.length;
    at = wire.emitBytes6(out, at, OPTION_RELAY_MESSAGE, data.subarray(0, end));
    for (let i = 0; i < link.servers.length; i++) {
      const to = format6(link.servers[i], 0);
      if (this.links.upstream!.sendTo(to, wire.DHCP6_SERVER_PORT, out, 0, at) < 0) counters.sendFailed++;
      else counters.requests++;
    }
  }

  /** An address by which servers know the link: one that is not link-local, else none. */
  private linkAddress(nif: Interface): void {
    const list = this.ip.addresses;
    for (let i = 0; i < list.length; i++) {
      if (list[i].nif !== nif || isLinkLocal6(list[i].bytes, 0)) continue;
      this.out.set(list[i].bytes, LINK);
      return;
    }
  }

  /** Section 19.2. */
  private back(end: number): void {
    const data = this.data;
    const counters = this.counters;
    const inner = wire.findOption6(data, RELAY_HEADER, end, OPTION_RELAY_MESSAGE);
    const id = wire.findOption6(data, RELAY_HEADER, end, OPTION_INTERFACE_ID);
    const length = inner < 0 ? 0 : get16(data, inner + 2);
    if (length === 0) {
      counters.malformed++;
      return;
    }
    const from = parse6(this.info.address);
    let link: Dhcpv6RelayLink | null = null;
    for (let i = 0; i < this.links.list.length; i++) {
      const each = this.links.list[i];
      if (id < 0 ? this.isOn(each.nif) : isNamed(each.nif, data, id + 4, get16(data, id + 2))) link = each;
    }
    if (!link || !from || !isServer(link, from)) {
      counters.notOurs++;
      return;
    }
    const text = format6(data, PEER);
    const to = isLinkLocal6(data, PEER) ? text + "%" + link.nif.name : text;
    const agent = data[inner + 4] === RELAY_REPLY;
    const port = agent ? wire.DHCP6_SERVER_PORT : wire.DHCP6_CLIENT_PORT;
    if (link.socket.sendTo(to, port, data, inner + 4, inner + 4 + length) < 0) counters.sendFailed++;
    else counters.replies++;
  }

  /** Is the link address of the reply in `data` one of `nif`? */
  private isOn(nif: Interface): boolean {
    return !isUnspecified6(this.data, LINK) && this.ip.findAddress(this.data, LINK, nif) !== null;
  }
}

/** What clients send (section 7.3). */
function isRequest(type: number): boolean {
  return (
    type === wire.SOLICIT ||
    (type >= wire.REQUEST && type <= wire.REBIND) ||
    type === wire.RELEASE ||
    type === wire.DECLINE ||
    type === wire.INFORMATION_REQUEST
  );
}

function isNamed(nif: Interface, data: Uint8Array, at: number, length: number): boolean {
  if (nif.name.length !== length) return false;
  for (let i = 0; i < length; i++) if (data[at + i] !== (nif.name.charCodeAt(i) & 255)) return false;
  return true;
}

function isServer(link: Dhcpv6RelayLink, from: Uint8Array): boolean {
  for (let i = 0; i < link.servers.length; i++) {
    let same = true;
    for (let k = 0; k < 16; k++) if (link.servers[i][k] !== from[k]) same = false;
    if (same) return true;
  }
  return false;
}

/** The DHCPv6 relay agent; needs `ipv6`, `nd` on Ethernet, and `udp`. Counters: `dhcpv6relay`. */
export function dhcpv6Relay(): Dhcpv6Relay {
  return new Dhcpv6Relay();
}

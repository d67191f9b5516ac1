/**
 * DHCP relay agent (RFC 1542 section 4, RFC 3046): carries requests of clients on one interface to servers elsewhere, and their
 * replies back. The agent's information (option 82) names the interface.
 */
import { get16, get32, put32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import { format4, parse4 } from "../core/text4.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { DatagramInfo, Udp, UdpSocket } from "../udp/udp.js";
import * as wire from "../wire/dhcp.js";
import { BROADCAST, isMartian4 } from "../wire/ipv4.js";
import { acceptBootp } from "./dhcp-accept.js";
import { RelayLinks } from "./relay-links.js";

const PROTOCOL_UDP = 17;
/** Bytes of messages that may wait, and of the longest that is carried. */
const QUEUE = 65536;
const MESSAGE = 1500;
/** A request that has passed so many agents goes in circles (RFC 1542 section 4.1.1). */
const HOPS = 16;
/** Sub-options of option 82. */
const CIRCUIT_ID = 1;
const REMOTE_ID = 2;

export class DhcpRelayCounters {
  /** Carried to servers, and to clients. */
  requests = 0;
  replies = 0;
  sendFailed = 0;
  malformed = 0;
  /** Requests that have passed too many agents. */
  hops = 0;
  /** Requests with an agent's information in them, though no agent has seen them (RFC 3046 section 2.1.1). */
  untrusted = 0;
  /** Replies to another agent, or from somebody who was not asked. */
  notOurs = 0;
}

export interface DhcpRelayOptions {
  /** Where the clients are; it needs an address in their network. */
  interface: Interface;
  /** Addresses of servers: each gets every request. */
  servers: string[];
  /** Adds option 82 to requests. Default true. */
  information?: boolean;
  /** Names the interface to the servers, 1..64 characters. Default: its name. */
  circuitId?: string;
  /** Names this agent, 1..64 characters. Default: it is not named. */
  remoteId?: string;
}

/** The agent on one interface. */
export class DhcpRelayLink {
  readonly servers: number[] = [];
  readonly information: number[] = [];
  readonly socket: UdpSocket;

  constructor(
    private readonly relay: DhcpRelay,
    readonly nif: Interface,
    udp: Udp,
    options: DhcpRelayOptions,
  ) {
    const servers = options.servers;
    for (let i = 0; i < servers.length; i++) {
      const address = parse4(servers[i]);
      if (address === null || isMartian4(address)) fail("EINVAL", "server " + servers[i]);
      this.servers.push(address as number);
    }
    if (this.servers.length === 0) fail("EINVAL", "servers");
    if (options.information !== false) {
      add(this.information, CIRCUIT_ID, options.circuitId === undefined ? nif.name : options.circuitId);
      if (options.remoteId !== undefined) add(this.information, REMOTE_ID, options.remoteId);
    }
    this.socket = udp.open({
      family: 4,
      port: wire.DHCP_SERVER_PORT,
      interface: nif,
      reuse: true,
      broadcast: true,
      multicastLoop: false,
      receiveBuffer: QUEUE,
      onReadable: () => relay.readable(this.socket, this),
    });
  }

  /** Ends it. Legal twice. */
  close(): void {
    this.relay.drop(this);
  }
}

export class DhcpRelay implements Component {
  readonly name = "dhcprelay";
  readonly counters = new DhcpRelayCounters();
  private stack: Stack = null as never;
  private ip: Ipv4 = null as never;
  private udp: Udp = null as never;
  private readonly links = new RelayLinks<DhcpRelayLink>(() => {
    // Sends to servers, and hears them, on all other interfaces.
    const socket: UdpSocket = this.udp.open({
      family: 4,
      port: wire.DHCP_SERVER_PORT,
      reuse: true,
      receiveBuffer: QUEUE,
      onReadable: () => this.readable(socket, null),
    });
    return socket;
  });
  private readonly data = new Uint8Array(MESSAGE + 160);
  private readonly value = new Uint8Array(MESSAGE);
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "dhcprelay");
    this.stack = stack;
    stack.counters.dhcprelay = this.counters as never;
  }

  start(): void {
    this.ip = this.stack.network(4) as Ipv4;
    this.udp = this.stack.transport(PROTOCOL_UDP) as unknown as Udp;
    if (!this.ip || !this.udp) fail("ENOPROTOOPT", "dhcprelay needs ipv4 and udp");
    acceptBootp(this.ip);
  }

  /** Relays for the clients on an interface. Errors (thrown): `EINVAL`, `EBUSY` it does already, `EADDRINUSE` port 67 is taken. */
  open(options: DhcpRelayOptions): DhcpRelayLink {
    const nif = options.interface;
    if (!nif || nif.removed) fail("EINVAL", "interface");
    this.links.requireFree(nif);
    return this.links.add(new DhcpRelayLink(this, nif, this.udp, options));
  }

  interfaceRemoved(nif: Interface): void {
    this.links.dropOf(nif);
  }

  close(): void {
    this.links.close();
  }

  /** For the parts of this service. */

  drop(link: DhcpRelayLink): void {
    this.links.drop(link);
  }

  /** @param link where it came in, null: not on an interface with clients */
  readable(socket: UdpSocket, link: DhcpRelayLink | null): void {
    const data = this.data;
    while (!socket.closed && socket.receive(data, this.info, 0, MESSAGE) >= 0) {
      const end = this.info.truncated ? 0 : this.info.length;
      const op = data[wire.DHCP_OP];
      if (end <= wire.DHCP_OPTIONS || wire.parseOption(data, end, 0, this.value) < 0)
        this.counters.malformed++;
      else if (op === wire.BOOT_REPLY) this.back(end);
      else if (link && op === wire.BOOT_REQUEST && wire.isRequest(data, end, this.value))
        this.forth(link, end);
      else this.counters.malformed++;
    }
  }

  private forth(link: DhcpRelayLink, end: number): void {
    const data = this.data;
    const counters = this.counters;
    const agent = get32(data, wire.DHCP_GIADDR);
    const own = this.ip.sourceFor(link.nif, 0);
    const informed = wire.parseOption(data, end, wire.OPTION_RELAY_AGENT, this.value) !== 0;
    // Sent by unicast from an address of its own to this host: not for an agent (RFC 1542 section 4.1.1 speaks of broadcasts).
    if (data[wire.DHCP_HOPS] >= HOPS) counters.hops++;
    else if (agent === 0 && informed) counters.untrusted++;
    else if (own === 0) counters.sendFailed++;
    else {
      data[wire.DHCP_HOPS]++;
      if (agent === 0) {
        put32(data, wire.DHCP_GIADDR, own);
        end = this.inform(link, end);
      }
      for (let i = 0; i < link.servers.length; i++) {
        const to = format4(link.servers[i]);
        if (this.links.upstream!.sendTo(to, wire.DHCP_SERVER_PORT, data, 0, end) < 0) counters.sendFailed++;
        else counters.requests++;
      }
    }
  }

  /** Puts this agent's information behind the other options; where the message's end now is. */
  private inform(link: DhcpRelayLink, end: number): number {
    const data = this.data;
    const length = link.information.length;
    const last = endOption(data, end);
    if (length === 0 || last < 0 || last + length + 3 > data.length) return end;
    data[last] = wire.OPTION_RELAY_AGENT;
    data[last + 1] = length;
    for (let i = 0; i < length; i++) data[last + 2 + i] = link.information[i];
    data[last + 2 + length] = wire.OPTION_END;
    for (let i = last + 3 + length; i < end; i++) data[i] = 0;
    return last + 3 + length > end ? last + 3 + length : end;
  }

  private back(end: number): void {
    const data = this.data;
    const agent = get32(data, wire.DHCP_GIADDR);
    let link: DhcpRelayLink | null = null;
    for (let i = 0; i < this.links.list.length; i++) {
      if (agent && this.ip.hasAddress(this.links.list[i].nif, agent, false)) link = this.links.list[i];
    }
    const from = parse4(this.info.address);
    if (!link || from === null || link.servers.indexOf(from) < 0) {
      this.counters.notOurs++;
      return;
    }
    this.strip(end);
    put32(data, wire.DHCP_GIADDR, 0);
    const to = this.clientAddress(link);
    if (link.socket.sendTo(format4(to), wire.DHCP_CLIENT_PORT, data, 0, end) < 0) this.counters.sendFailed++;
    else this.counters.replies++;
  }

  /** Takes the agent's information out of a reply: the client does not know of it (RFC 3046 section 2.2). */
  private strip(end: number): void {
    const data = this.data;
    for (let at = wire.DHCP_OPTIONS; at < end && data[at] !== wire.OPTION_END;) {
      const length = data[at] === 0 ? 1 : 2 + data[at + 1];
      const relay = data[at] === wire.OPTION_RELAY_AGENT;
      for (let i = at; relay && i < at + length; i++) data[i] = 0;
      at += length;
    }
  }

  /** Where a reply to a client goes (RFC 1542 section 4.1.2). */
  private clientAddress(link: DhcpRelayLink): number {
    const data = this.data;
    const address = get32(data, wire.DHCP_YIADDR);
    const arp = this.ip.arp;
    const ciaddr = get32(data, wire.DHCP_CIADDR);
    if (ciaddr && this.ip.isOnLink(link.nif, ciaddr)) return ciaddr;
    if (data[wire.DHCP_FLAGS] & (wire.FLAG_BROADCAST >> 8) || !arp || !this.ip.isOnLink(link.nif, address)) {
      return BROADCAST;
    }
    if (data[wire.DHCP_HLEN] !== 6 || data[wire.DHCP_CHADDR] & 1) return BROADCAST;
    const entry = arp.cache.obtain(link.nif, 0, 0, 0, address);
    if (!entry) return BROADCAST;
    arp.cache.learn(entry, get16(data, wire.DHCP_CHADDR), get32(data, wire.DHCP_CHADDR + 2), false);
    return address;
  }
}

/** The place of the end option in `data[0..end)`, whose options have been checked. */
function endOption(data: Uint8Array, end: number): number {
  let at = wire.DHCP_OPTIONS;
  while (at < end && data[at] !== wire.OPTION_END) at += data[at] === 0 ? 1 : 2 + data[at + 1];
  return at < end ? at : -1;
}

function add(target: number[], code: number, text: string): void {
  target.push(code, requireInteger(text.length, 1, 64, "sub-option"));
  for (let i = 0; i < text.length; i++) target.push(text.charCodeAt(i) & 255);
}

/** The DHCP relay agent; needs `ipv4`, `udp`, and `arp` on Ethernet. Counters: `dhcprelay`. */
export function dhcpRelay(): DhcpRelay {
  return new DhcpRelay();
}

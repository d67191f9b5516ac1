/**
 * A PPP session (RFC 1661 section 3): the link is established, we say who we are (PAP RFC 1334, CHAP RFC 1994), and each network
 * protocol is configured. It is a link that carries bare IP packets; whatever lies below gives it packets and sends its own.
 */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { put16, put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { nameServers } from "../core/name-servers.js";
import type { Stack } from "../core/stack.js";
import { format4 } from "../core/text4.js";
import { Timer } from "../core/timers.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import * as wire from "../wire/ppp.js";
import { Ipcp, Ipv6cp } from "./ipcp.js";
import { Lcp } from "./lcp.js";
import { Negotiation, OPENED, packetEnd } from "./negotiation.js";

export class PppCounters {
  received = 0;
  sent = 0;
  /** Headers or lengths that lie; in discovery tags that do. */
  malformed = 0;
  /** Of no session of ours, or from somebody else than its peer. */
  unknownSession = 0;
  /** Protocols that are not here: the peer is told. */
  unknownProtocol = 0;
  /** Of a network protocol that is not configured (yet). */
  early = 0;
  /** Discovery packets that answer no question of ours. */
  unsolicited = 0;
  /** The peer's answer was an error, or that it does not believe who we are. */
  refused = 0;
  /** Sessions that were, and ended. */
  ended = 0;
  /** The line gives back what we send. */
  loopedBack = 0;
  tooBig = 0;
  /** Tunnels in tunnels beyond what is allowed. */
  nested = 0;
}

export interface PppOptions {
  /** Who we are, for a peer that asks. */
  user?: string;
  password?: string;
  /** The MD5 digest of `data`, 16 bytes: with it CHAP is offered (the stack holds no cipher of its own). */
  md5?: (data: Uint8Array) => Uint8Array;
  /** False: the password is never sent in the clear (PAP). Default true. */
  pap?: boolean;
  /** Routes of length 0 by this session, in both families. Default true. */
  defaultRoute?: boolean;
  /** Metric of those routes. Default 0. */
  metric?: number;
  /** Largest packet in either direction. Default what the lower layer takes: 1492 for PPPoE. */
  mtu?: number;
  /** Seconds between echo requests; three without an answer end the session; 0: none. Default 20. */
  echo?: number;
  /** What the session is has changed. */
  onChange?(state: PppState): void;
}

export interface PppState {
  /** `"discovery"`, `"establish"`, `"authenticate"`, `"network"` (at least one protocol is up), `"down"`. */
  phase: string;
  /** This end's IPv4 address, or `""`. */
  address: string;
  /** Why it is down: `"lcp"`, `"refused"`, `"silent"`, `"looped"`, `"network"`, `"ended"`, `"peer"`, `"no answer"`, ... or `""`. */
  reason: string;
}

/** What a session lies over. */
export interface PppLower {
  /** Sends a control packet. */
  control(protocol: number, data: Uint8Array, start: number, end: number): void;
  /** Sends an IP packet, with room before it. 0, or -1 for no room now. */
  data(protocol: number, frame: Uint8Array, start: number, end: number): number;
  /** The session is over. */
  over(reason: string): void;
  readonly headroom: number;
}

const ORIGIN = "ppp";
const PAP_REQUEST = 1;
const PAP_ACK = 2;
const PAP_NAK = 3;
const CHALLENGE = 1;
const RESPONSE = 2;
const SUCCESS = 3;
const FAILURE = 4;
const NESTING = 4;
/** Milliseconds between two attempts to say who we are, and how many there are. */
const AUTHENTICATION_TIMEOUT = 3000;
const AUTHENTICATION_TRIES = 10;
const ECHOES = 3;

export class PppSession implements Link {
  readonly medium = "ip";
  readonly mtu: number;
  headroom = 64;
  receiver: LinkReceiver | null = null;
  phase = "down";
  reason = "";
  /** Our MRU. */
  readonly mru: number;
  readonly lcp: Lcp;
  readonly ipcp: Ipcp;
  readonly ipv6cp: Ipv6cp;
  private readonly lcpMachine: Negotiation;
  private readonly ipcpMachine: Negotiation;
  private readonly ipv6cpMachine: Negotiation;
  private readonly timer = new Timer(tick, this);
  private readonly small = new Uint8Array(512);
  private tries = 0;
  private echoes = 0;
  private echoId = 0;
  private refusals = 0;
  private readonly user: Uint8Array;
  private readonly password: Uint8Array;
  private readonly echo: number;

  constructor(
    readonly stack: Stack,
    readonly counters: PppCounters,
    readonly options: PppOptions,
    private readonly lower: PppLower,
    most: number,
  ) {
    this.mru = this.mtu = options.mtu === undefined ? most : options.mtu;
    if (!(this.mtu >= 576 && this.mtu <= most && this.mtu % 1 === 0)) fail("EINVAL", "mtu");
    this.user = bytesOf(options.user || "", "user");
    this.password = bytesOf(options.password || "", "password");
    this.echo = (options.echo === undefined ? 20 : options.echo) * 1000;
    if (!(this.echo >= 0 && this.echo <= 3600000)) fail("EINVAL", "echo");
    this.lcp = new Lcp(this);
    this.ipcp = new Ipcp(this);
    this.ipv6cp = new Ipv6cp(this);
    this.lcpMachine = new Negotiation(stack, this.lcp);
    this.ipcpMachine = new Negotiation(stack, this.ipcp);
    this.ipv6cpMachine = new Negotiation(stack, this.ipv6cp);
    this.headroom = lower.headroom;
  }

  /* Link */

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  close(): void {
    this.receiver = null;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const four = frame[start] >> 4 === 4;
    if ((four ? this.ipcpMachine : this.ipv6cpMachine).state !== OPENED) {
      this.counters.early++;
      return 0;
    }
    if (end - start > this.mtu) {
      this.counters.tooBig++;
      return 0;
    }
    this.counters.sent++;
    return this.lower.data(four ? wire.PPP_IPV4 : wire.PPP_IPV6, frame, start, end);
  }

  /* What the lower layer calls */

  /** The lower layer is up. */
  begin(): void {
    this.enter("establish");
    this.refusals = 0;
    this.lcp.begin();
    this.lcpMachine.begin();
  }

  /** Ends the session, politely where it can. */
  down(reason: string): void {
    if (this.phase === "down") return;
    const open = this.lcpMachine.state === OPENED;
    this.phase = "closing";
    if (open) {
      this.small[0] = wire.TERMINATE_REQUEST;
      this.sendSmall(wire.PPP_LCP, 0, 4);
      this.counters.ended++;
    }
    this.end();
    this.phase = "down";
    this.reason = reason;
    this.tell();
    this.lower.over(reason);
  }

  /** Takes a PPP packet: `data[at..end)` behind its protocol number. */
  input(protocol: number, data: Uint8Array, at: number, end: number): void {
    const counters = this.counters;
    if (protocol === wire.PPP_IPV4 || protocol === wire.PPP_IPV6) {
      const machine = protocol === wire.PPP_IPV4 ? this.ipcpMachine : this.ipv6cpMachine;
      if (machine.state !== OPENED || !this.receiver) counters.early++;
      else if (at >= end || data[at] >> 4 !== (protocol === wire.PPP_IPV4 ? 4 : 6)) counters.malformed++;
      else if (this.stack.unwrapping >= NESTING) counters.nested++;
      else {
        counters.received++;
        this.stack.unwrapping++;
        this.receiver.receive(data, at, end);
        this.stack.unwrapping--;
      }
      return;
    }
    const stop = packetEnd(data, at, end);
    if (stop < 0) {
      counters.malformed++;
      return;
    }
    counters.received++;
    if (protocol === wire.PPP_LCP) {
      if (!this.lcpMachine.input(data, at, stop)) this.maintain(data, at, stop);
    } else if (protocol === wire.PPP_PAP) this.pap(data, at);
    else if (protocol === wire.PPP_CHAP) this.chap(data, at, stop);
    else if (protocol === wire.PPP_IPCP && this.stack.network(4))
      this.networkInput(this.ipcpMachine, data, at, stop);
    else if (protocol === wire.PPP_IPV6CP && this.stack.network(6)) {
      this.networkInput(this.ipv6cpMachine, data, at, stop);
    } else {
      counters.unknownProtocol++;
      if (this.lcpMachine.state === OPENED) this.rejectProtocol(protocol, data, at, stop);
    }
  }

  send(protocol: number, data: Uint8Array, start: number, end: number): void {
    this.counters.sent++;
    this.lower.control(protocol, data, start, end);
  }

  /* What the control protocols call */

  /** LCP is open: who are we? */
  established(): void {
    const mtu = this.lcp.peerMru < this.mtu ? this.lcp.peerMru : this.mtu;
    const nif = this.receiver as Interface | null;
    if (nif && nif.mtu !== mtu) this.stack.setInterface(nif, { mtu });
    this.enter("authenticate");
    this.tries = 0;
    if (this.lcp.authentication === 0) this.network();
    else if (this.lcp.authentication === wire.PPP_PAP) this.sendPap();
    // The peer's challenge comes next: we do not wait for ever.
    else this.arm(AUTHENTICATION_TIMEOUT * AUTHENTICATION_TRIES);
  }

  /** LCP is not open any more: what lies above goes. */
  disestablished(): void {
    this.stack.timers.clear(this.timer);
    this.ipcpMachine.end();
    this.ipv6cpMachine.end();
    if (this.phase !== "closing") this.enter("establish");
  }

  /** A network protocol (4: IPCP, 2: IPV6CP) cannot be had; without any the session has no use. */
  refused(bit: number): void {
    (bit === 4 ? this.ipcpMachine : this.ipv6cpMachine).end();
    this.refusals |= bit;
    const wanted = (this.stack.network(4) ? 4 : 0) | (this.stack.network(6) ? 2 : 0);
    if ((this.refusals & wanted) === wanted) this.down("network");
  }

  up4(): void {
    const ip = this.stack.network(4) as Ipv4;
    const nif = this.receiver as Interface;
    const ipcp = this.ipcp;
    const options = this.options;
    if (!nif || ip.isLocal(ipcp.address)) {
      this.refused(4);
      return;
    }
    nif.carrier(true);
    ip.assign(nif, ipcp.address, 32, { origin: ORIGIN });
    const metric = options.metric || 0;
    let room = ipcp.peer === 0 || ip.install(ipcp.peer, 32, 0, nif, metric, ORIGIN, ipcp.address);
    if (options.defaultRoute !== false) room = ip.install(0, 0, 0, nif, metric, ORIGIN, ipcp.address) && room;
    if (!room) this.stack.host.log("ppp: the table of routes is full");
    const servers: string[] = [];
    for (let i = 0; i < 2; i++) {
      const server = ipcp.servers[i];
      if (server !== 0 && server !== -1 && (i === 0 || server !== ipcp.servers[0]))
        servers.push(format4(server));
    }
    nameServers(this.stack).set(ORIGIN, nif, servers, []);
    this.stack.changed();
    this.enter("network");
  }

  down4(): void {
    const ip = this.stack.network(4) as Ipv4;
    const nif = this.receiver as Interface | null;
    if (!nif) return;
    for (let i = ip.addresses.length - 1; i >= 0; i--) {
      const entry = ip.addresses[i];
      if (entry.nif === nif && entry.origin === ORIGIN) ip.dropAddress(entry);
    }
    ip.fib.remove((route) => route.nif === nif && route.origin === ORIGIN);
    nameServers(this.stack).set(ORIGIN, nif, [], []);
    this.stack.changed();
    this.changed();
  }

  up6(): void {
    const ip = this.stack.network(6) as Ipv6;
    const nif = this.receiver as Interface;
    const options = this.options;
    if (!nif) return;
    const bytes = new Uint8Array(16);
    bytes[0] = 0xfe;
    bytes[1] = 0x80;
    bytes.set(this.ipv6cp.identifier, 8);
    nif.carrier(true);
    if (!ip.entryOf(bytes, 0, nif))
      ip.addAddress(nif, ip.addressText(bytes, 0, null) + "/64", { origin: ORIGIN });
    if (options.defaultRoute !== false) {
      ip.addRoute("::/0", { interface: nif, metric: options.metric || 0, origin: ORIGIN });
    }
    this.enter("network");
  }

  down6(): void {
    const ip = this.stack.network(6) as Ipv6;
    const nif = this.receiver as Interface | null;
    if (!nif) return;
    for (let i = ip.addresses.length - 1; i >= 0; i--) {
      const entry = ip.addresses[i];
      if (entry.nif === nif && entry.origin === ORIGIN) ip.dropAddress(entry);
    }
    ip.fib.remove((route) => route.nif === nif && route.origin === ORIGIN);
    this.stack.changed();
    this.changed();
  }

  /** See `timer`: an attempt to authenticate, or an echo. */
  tick(): void {
    if (this.phase === "authenticate") {
      if (this.lcp.authentication === wire.PPP_PAP && this.tries < AUTHENTICATION_TRIES) this.sendPap();
      else this.down("refused");
    } else if (this.lcpMachine.state === OPENED) {
      if (++this.echoes > ECHOES) {
        this.down("silent");
        return;
      }
      this.echoId = (this.echoId + 1) & 255;
      this.small[0] = wire.ECHO_REQUEST;
      put32(this.small, 4, this.lcp.magic);
      this.sendSmall(wire.PPP_LCP, this.echoId, 8);
      this.arm(this.echo);
    }
  }

  state(): PppState {
    const address = this.ipcpMachine.state === OPENED ? format4(this.ipcp.address) : "";
    return { phase: this.phase, address, reason: this.reason };
  }

  /** Of the lower layer: `"discovery"`. */
  enter(phase: string): void {
    this.phase = phase;
    this.reason = "";
    this.tell();
  }

  private networkInput(machine: Negotiation, data: Uint8Array, at: number, end: number): void {
    if (this.phase !== "network" && this.phase !== "configure") this.counters.early++;
    else machine.input(data, at, end);
  }

  private network(): void {
    this.phase = "configure";
    this.echoes = 0;
    if (this.echo > 0) this.arm(this.echo);
    else this.stack.timers.clear(this.timer);
    if (this.stack.network(4)) {
      this.ipcp.begin();
      this.ipcpMachine.begin();
    }
    if (this.stack.network(6)) {
      this.ipv6cp.begin();
      this.ipv6cpMachine.begin();
    }
  }

  /** Of a network protocol that went: is there another? */
  private changed(): void {
    const nif = this.receiver as Interface | null;
    if (this.ipcpMachine.state === OPENED || this.ipv6cpMachine.state === OPENED) return;
    if (nif) nif.carrier(false);
    if (this.phase === "network") this.phase = "configure";
  }

  private end(): void {
    this.stack.timers.clear(this.timer);
    this.ipcpMachine.end();
    this.ipv6cpMachine.end();
    this.lcpMachine.end();
  }

  /** Echoes, and what is said of protocols. */
  private maintain(data: Uint8Array, at: number, end: number): void {
    const code = data[at];
    if (this.lcpMachine.state !== OPENED) return;
    if (code === wire.ECHO_REQUEST && end - at >= 8) {
      const length = end - at < this.small.length ? end - at : this.small.length;
      this.small[0] = wire.ECHO_REPLY;
      for (let i = 8; i < length; i++) this.small[i] = data[at + i];
      put32(this.small, 4, this.lcp.magic);
      this.sendSmall(wire.PPP_LCP, data[at + 1], length);
    } else if (code === wire.ECHO_REPLY) {
      if (data[at + 1] === this.echoId) this.echoes = 0;
    } else if (code === wire.PROTOCOL_REJECT && end - at >= 6) {
      const protocol = (data[at + 4] << 8) | data[at + 5];
      if (protocol === wire.PPP_IPCP) this.refused(4);
      else if (protocol === wire.PPP_IPV6CP) this.refused(2);
      else if (protocol === wire.PPP_LCP) this.down("peer");
    } else if (code > wire.DISCARD_REQUEST) {
      const length = end - at < 64 ? end - at : 64;
      for (let i = 0; i < length; i++) this.small[4 + i] = data[at + i];
      this.small[0] = wire.CODE_REJECT;
      this.sendSmall(wire.PPP_LCP, data[at + 1], 4 + length);
    }
  }

  private rejectProtocol(protocol: number, data: Uint8Array, at: number, end: number): void {
    const length = end - at < 256 ? end - at : 256;
    this.small[0] = wire.PROTOCOL_REJECT;
    put16(this.small, 4, protocol);
    for (let i = 0; i < length; i++) this.small[6 + i] = data[at + i];
    this.echoId = (this.echoId + 1) & 255;
    this.sendSmall(wire.PPP_LCP, this.echoId, 6 + length);
  }

  private pap(data: Uint8Array, at: number): void {
    if (this.phase !== "authenticate" || this.lcp.authentication !== wire.PPP_PAP) return;
    if (data[at] === PAP_ACK) this.network();
    else if (data[at] === PAP_NAK) {
      this.counters.refused++;
      this.down("refused");
    }
  }

  private sendPap(): void {
    const small = this.small;
    const user = this.user;
    const password = this.password;
    this.tries++;
    small[0] = PAP_REQUEST;
    small[4] = user.length;
    small.set(user, 5);
    small[5 + user.length] = password.length;
    small.set(password, 6 + user.length);
    this.sendSmall(wire.PPP_PAP, this.tries, 6 + user.length + password.length);
    this.arm(AUTHENTICATION_TIMEOUT);
  }

  /** Challenges may come again while the session lasts (RFC 1994 section 2). */
  private chap(data: Uint8Array, at: number, end: number): void {
    const code = data[at];
    if (this.lcpMachine.state !== OPENED || this.lcp.authentication !== wire.PPP_CHAP) return;
    if (code === SUCCESS) {
      if (this.phase === "authenticate") this.network();
    } else if (code === FAILURE) {
      this.counters.refused++;
      this.down("refused");
    } else if (code === CHALLENGE) {
      const size = end - at > 4 ? data[at + 4] : 0;
      if (size === 0 || at + 5 + size > end) {
        this.counters.malformed++;
        return;
      }
      const secret = new Uint8Array(1 + this.password.length + size);
      secret[0] = data[at + 1];
      secret.set(this.password, 1);
      secret.set(data.subarray(at + 5, at + 5 + size), 1 + this.password.length);
      const digest = (this.options.md5 as (data: Uint8Array) => Uint8Array)(secret);
      const small = this.small;
      small[0] = RESPONSE;
      small[4] = 16;
      for (let i = 0; i < 16; i++) small[5 + i] = digest[i];
      small.set(this.user, 21);
      this.sendSmall(wire.PPP_CHAP, data[at + 1], 21 + this.user.length);
    }
  }

  private sendSmall(protocol: number, id: number, length: number): void {
    this.small[1] = id;
    put16(this.small, 2, length);
    this.send(protocol, this.small, 0, length);
  }

  private arm(delay: number): void {
    this.stack.timers.set(this.timer, (this.stack.now() + delay) | 0);
  }

  private tell(): void {
    const task = this.told;
    if (this.options.onChange) this.stack.defer(task);
  }

  private readonly told = {
    queued: false,
    nextDeferred: null,
    run: () => (this.options.onChange as (state: PppState) => void)(this.state()),
  };
}

function tick(session: PppSession): void {
  session.tick();
}

/** At most 200 characters of Latin-1. */
function bytesOf(text: string, what: string): Uint8Array {
  if (typeof text !== "string" || text.length > 200) return fail("EINVAL", what);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 255) fail("EINVAL", what);
    bytes[i] = text.charCodeAt(i);
  }
  return bytes;
}

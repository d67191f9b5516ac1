/**
 * SYN cookies (RFC 4987 section 3.6): while a listener's SYN queue is full, what a half-open connection would remember goes into
 * the SYN-ACK, and comes back with the ACK. Nothing is kept, so that a flood of forged SYNs takes no room.
 *
 * The initial sequence number is a keyed hash of the ends, the peer's number and the time, with the MSS in its low bits: a guess is
 * right once in 2^28. Window scale and SACK travel in the low bits of the timestamp, where both ends have timestamps; else they
 * are lost. Cookies are believed for two minutes at most, and only while the last flood is no older.
 */
import { hashOf } from "../core/hash.js";
import type { Network } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import { synWindow } from "./buffer.js";
import { end } from "./close.js";
import { Connection, SYN_RCVD } from "./connection.js";
import { begin, hashPath, newConnection, setIss, setUp } from "./create.js";
import { acceptOptions, segmentArrives } from "./input.js";
import type { Listener } from "./listener.js";
import { sendSyn } from "./output.js";
import { enter, hasRoom } from "./passive.js";
import { Segment } from "./segment.js";
import type { Tcp } from "./tcp.js";

/** The key serves other hashes, too: none of them begins like this. */
const COOKIE_DOMAIN = 0x434f4f4b;
/** A cookie holds from one to two periods of 2^16 ms. */
const PERIOD_SHIFT = 16;
/** Segment sizes that a cookie can tell: minimum, IPv4's default, tunnels, IPv6's minimum, Ethernet with and without options, jumbo. */
const SIZES = [64, 536, 1024, 1220, 1360, 1440, 1460, 8940];
/** Low bits of the timestamp: window scale (15: none), SACK. */
const NO_SCALE = 15;
const SACK = 16;
const OPTIONS = 31;

export class CookieCounters {
  sent = 0;
  /** Connections made of a cookie that came back. */
  accepted = 0;
  /** Acknowledgements that hold none, while cookies were out. */
  invalid = 0;
}

/** What `tcp({ cookies })` takes; see `synCookies`. */
export interface Cookies {
  attach(tcp: Tcp): void;
  /** Answers a SYN for which the queue has no room. */
  answer(net: Network, packet: Packet, segment: Segment, localPort: number, remotePort: number): void;
  /** A segment with ACK for a listener: true when it ends a handshake by cookie, or waits until there is room for it. */
  accept(
    listener: Listener,
    net: Network,
    packet: Packet,
    segment: Segment,
    localPort: number,
    remotePort: number,
  ): boolean;
}

class SynCookies implements Cookies {
  private readonly counters = new CookieCounters();
  /** One half-open connection a network, used again and again. */
  private readonly drafts: Connection[] = [];
  /** The SYN that a cookie stands for. */
  private readonly syn = new Segment();
  private flooded = false;
  private floodAt = 0;
  private tcp: Tcp = null as never;

  attach(tcp: Tcp): void {
    this.tcp = tcp;
    tcp.stack.counters.cookies = this.counters as never;
  }

  answer(net: Network, packet: Packet, segment: Segment, localPort: number, remotePort: number): void {
    const tcp = this.tcp;
    const c = this.draft(net, packet);
    this.flooded = true;
    this.floodAt = tcp.time;
    this.open(c, segment, localPort, remotePort);
    let size = SIZES.length - 1;
    while (size > 0 && SIZES[size] > c.peerMss) size--;
    setIss(c, this.cookie(c, tcp.time >> PERIOD_SHIFT, size));
    if (c.timestamps) {
      const now = (tcp.time + c.tsOffset) | 0;
      let stamp = (now & ~OPTIONS) | (c.scaling ? c.sndScale : NO_SCALE) | (c.sackPermitted ? SACK : 0);
      // No timestamp may be ahead of those that follow.
      if (((stamp - now) | 0) > 0) stamp -= OPTIONS + 1;
      c.tsOffset = (stamp - tcp.time) | 0;
    } else c.scaling = c.sackPermitted = false;
    this.counters.sent++;
    sendSyn(c);
  }

  accept(
    listener: Listener,
    net: Network,
    packet: Packet,
    segment: Segment,
    localPort: number,
    remotePort: number,
  ): boolean {
    const tcp = this.tcp;
    const period = tcp.time >> PERIOD_SHIFT;
    if (this.flooded && (tcp.time - this.floodAt) >>> 0 >= 2 << PERIOD_SHIFT) this.flooded = false;
    if (!this.flooded) return false;
    const draft = this.draft(net, packet);
    const iss = (segment.ack - 1) | 0;
    const size = (iss >> 1) & 7;
    // The lowest bit tells which of two periods it is of.
    const age = (period ^ iss) & 1;
    const syn = this.syn;
    syn.seq = (segment.seq - 1) | 0;
    syn.window = 0;
    syn.mss = SIZES[size];
    syn.timestamps = segment.timestamps;
    syn.tsValue = segment.tsValue;
    const bits = segment.timestamps ? segment.tsEcho & OPTIONS : NO_SCALE;
    syn.scale = (bits & NO_SCALE) === NO_SCALE ? -1 : bits & NO_SCALE;
    syn.sackPermitted = (bits & SACK) !== 0;
    draft.localPort = localPort;
    draft.remotePort = remotePort;
    draft.irs = syn.seq;
    if (this.cookie(draft, period - age, size) !== iss) {
      this.counters.invalid++;
      return false;
    }
    // The peer sends again what is dropped here.
    if (!hasRoom(tcp, listener)) return true;
    const path = net.createPath();
    net.setReply(path, packet);
    if (net.route(path) < 0) return true;
    const c = newConnection(tcp, path);
    this.open(c, syn, localPort, remotePort);
    setIss(c, iss);
    c.hash = hashPath(tcp, path, localPort, remotePort);
    c.rcvAdv = (c.rcvNxt + synWindow(c)) | 0;
    c.lastAckSent = c.rcvNxt;
    c.lastSent = c.silentSince = tcp.time;
    // The handshake has measured nothing.
    c.retries = 1;
    enter(c, listener);
    this.counters.accepted++;
    segmentArrives(c, segment, packet);
    if (c.state === SYN_RCVD) end(c, 0);
    return true;
  }

  private open(c: Connection, syn: Segment, localPort: number, remotePort: number): void {
    c.localPort = localPort;
    c.remotePort = remotePort;
    begin(c, 0);
    c.irs = syn.seq;
    c.rcvNxt = (syn.seq + 1) | 0;
    acceptOptions(c, syn);
    c.state = SYN_RCVD;
    c.sndWl1 = syn.seq;
  }

  private draft(net: Network, packet: Packet): Connection {
    let c: Connection | null = null;
    for (let i = 0; i < this.drafts.length; i++) if (this.drafts[i].path.net === net) c = this.drafts[i];
    if (!c) {
      c = new Connection(this.tcp, net.createPath());
      this.drafts.push(c);
    }
    setUp(c);
    net.setReply(c.path, packet);
    return c;
  }

  private cookie(c: Connection, period: number, size: number): number {
    const hash = hashOf(this.tcp.stack);
    hash.begin(2);
    hash.word(COOKIE_DOMAIN);
    c.path.net.hashPath(c.path);
    hash.word((c.remotePort << 16) | c.localPort);
    hash.word(c.irs);
    hash.word(((period & 0xffff) << 3) | size);
    return (hash.end() & ~15) | (size << 1) | (period & 1);
  }
}

/** SYN cookies for `tcp({ cookies: synCookies() })`. Counters: `cookies`. */
export function synCookies(): Cookies {
  return new SynCookies();
}

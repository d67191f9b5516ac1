/**
 * PPPoE, the host's side (RFC 2516): an access concentrator is found on an Ethernet interface, and the PPP session with it is an
 * interface of its own, MTU 1492.
 *
 * ```ts
 * const wan = pppoe(), stack = createStack(host, [ethernet(), ipLink(), arp(), ip, icmp(), wan]);
 * const ppp0 = wan.connect(stack.addInterface(link), { user: "me", password: "secret", md5: (data) => createHash("md5").update(data).digest() });
 * ```
 * A session that ends is tried again, after 1 s at first and up to a minute later. Frames are taken from the concentrator alone.
 */
import { get16, get32, put16, zeroBytes } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { Packet } from "../core/packet.js";
import type { Component, LinkProtocol, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import { ETHERNET_HEADER, TYPE_VLAN } from "../wire/ethernet.js";
import * as wire from "../wire/ppp.js";
import { PppCounters, PppSession } from "./session.js";
import type { PppLower, PppOptions, PppState } from "./session.js";

export type { PppOptions, PppState } from "./session.js";

export interface PppoeOptions extends PppOptions {
  /** Name of the service that is asked for. Default `""`: any. */
  service?: string;
  /** Name of the concentrator; default: the first that answers. */
  concentrator?: string;
  /** Tries again when it fails or ends. Default true. */
  persist?: boolean;
  /** Name of the session's interface; default `tun0`, ... */
  name?: string;
}

export interface PppoeConfiguration {
  /** Sessions at most. Default 8. */
  limit?: number;
}

/** Bytes of a PPPoE header and the PPP protocol number. */
const HEADER = wire.PPPOE_HEADER + 2;
const MOST = 1492;
/** Room before a frame for Ethernet with a tag or two. */
const ROOM = 64;
/** Milliseconds until a question is asked again (doubled each time), and how often. */
const TIMEOUT = 1000;
const TRIES = 5;
const LONGEST_PAUSE = 60000;
/** Cookie and relay's session, which are sent back as they came. */
const LONGEST_TAG = 512;

export class PppoeClient implements PppLower {
  /** Room that the session's packets want. */
  readonly headroom: number;
  readonly session: PppSession;
  /** The session's interface. */
  nif: Interface = null as never;
  /** 0: there is none. */
  id = 0;
  /** The concentrator. */
  high = 0;
  low = 0;
  closed = false;
  private asked = 0;
  private tries = 0;
  private pause = TIMEOUT;
  private readonly timer = new Timer(tick, this);
  private readonly packet = new Packet(new Uint8Array(ROOM + MOST + HEADER + 46));
  private readonly uniq = new Uint8Array(8);
  private readonly tags = new Uint8Array(2 * LONGEST_TAG);
  private tagged = 0;
  private readonly service: Uint8Array;
  private readonly concentrator: Uint8Array | null;

  constructor(
    private readonly stack: Stack,
    private readonly owner: Pppoe,
    readonly parent: Interface,
    readonly options: PppoeOptions,
  ) {
    this.headroom = HEADER + ETHERNET_HEADER + (parent.link.headroom || 0);
    this.service = nameOf(options.service || "", "service");
    this.concentrator =
      options.concentrator === undefined ? null : nameOf(options.concentrator, "concentrator");
    const room = parent.mtu - HEADER;
    this.session = new PppSession(stack, owner.counters, options, this, room < MOST ? room : MOST);
  }

  /** What there is of the session. */
  state(): PppState {
    return this.session.state();
  }

  /** Ends the session and takes its interface away. Legal twice. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.session.down("closed");
    this.stop();
    this.owner.remove(this);
    if (!this.nif.removed) this.stack.removeInterface(this.nif);
  }

  /** Begins discovery. */
  discover(): void {
    if (this.closed || !this.parent.up()) return;
    this.tries = 0;
    this.tagged = 0;
    this.high = 0xffff;
    this.low = -1;
    for (let i = 0; i < 8; i += 2) put16(this.uniq, i, this.stack.host.random16());
    this.session.enter("discovery");
    this.ask(wire.PADI);
  }

  /** See `timer`. */
  tick(): void {
    if (this.asked === 0) this.discover();
    else if (++this.tries < TRIES) this.ask(this.asked);
    else this.again("no answer");
  }

  /** The interface below has come or gone. */
  parentChanged(): void {
    if (!this.parent.up()) {
      this.session.down("link");
      this.stop();
    } else if (this.session.phase === "down") this.discover();
  }

  over(reason: string): void {
    if (this.id !== 0) this.sendDiscovery(wire.PADT, 0);
    this.again(reason);
  }

  control(protocol: number, data: Uint8Array, start: number, end: number): void {
    const packet = this.packet;
    const length = end - start;
    if (this.id === 0 || length > MOST) return;
    packet.start = ROOM + HEADER;
    this.stack.host.copy(packet.data, packet.start, data, start, length);
    this.data(protocol, packet.data, packet.start, packet.start + length);
  }

  data(protocol: number, frame: Uint8Array, start: number, end: number): number {
    const parent = this.parent;
    const packet = this.packet;
    const own = packet.data;
    if (start < this.headroom) {
      this.stack.host.copy(own, ROOM + HEADER, frame, start, end - start);
      frame = own;
      end += ROOM + HEADER - start;
      start = ROOM + HEADER;
    }
    const at = start - HEADER;
    put16(frame, at, wire.PPPOE_VERSION << 8);
    put16(frame, at + 2, this.id);
    put16(frame, at + 4, end - start + 2);
    put16(frame, at + wire.PPPOE_HEADER, protocol);
    packet.data = frame;
    packet.start = at;
    packet.end = end;
    packet.checksumField = -1;
    const code = parent.medium.output(parent, packet, this.high, this.low, wire.TYPE_PPPOE_SESSION);
    packet.data = own;
    return code === 0 ? 0 : -1;
  }

  /** Takes a discovery packet from (`high`, `low`), whose header is at `at` and whose tags end at `end`. */
  discovery(
    code: number,
    id: number,
    data: Uint8Array,
    at: number,
    end: number,
    high: number,
    low: number,
  ): void {
    const counters = this.owner.counters;
    if (code === wire.PADT) {
      this.session.counters.ended++;
      this.id = 0;
      this.session.down("peer");
      return;
    }
    let named = this.concentrator === null;
    // No name: any service will do (section 5.1).
    let served = this.service.length === 0;
    let error = false;
    let kept = 0;
    for (let tag = at; tag < end;) {
      const length = wire.tagLength(data, tag, end);
      const type = get16(data, tag);
      if (type === wire.TAG_END) break;
      const value = tag + 4;
      const size = length - 4;
      if (type === wire.TAG_SERVICE_NAME && same(data, value, size, this.service)) served = true;
      else if (type === wire.TAG_AC_NAME && this.concentrator && same(data, value, size, this.concentrator))
        named = true;
      else if (type >= wire.TAG_ERRORS && type <= wire.TAG_LAST_ERROR) error = true;
      else if ((type === wire.TAG_AC_COOKIE || type === wire.TAG_RELAY_SESSION) && code === wire.PADO) {
        if (kept + length <= this.tags.length) {
          for (let i = 0; i < length; i++) this.tags[kept + i] = data[tag + i];
          kept += length;
        }
      }
      tag += length;
    }
    if (error) {
      counters.refused++;
      if (code === wire.PADS) this.again("refused");
      return;
    }
    if (code === wire.PADO && this.asked === wire.PADI) {
      if (!named || !served) {
        counters.refused++;
        return;
      }
      this.tagged = kept;
      this.high = high;
      this.low = low;
      this.tries = 0;
      this.ask(wire.PADR);
    } else if (code === wire.PADS && this.asked === wire.PADR && id !== 0) {
      this.stop();
      this.id = id;
      this.pause = TIMEOUT;
      this.session.begin();
    } else counters.unsolicited++;
  }

  /** Is the packet an answer to us: does it bear our mark, and come from whom we have asked? */
  awaits(
    code: number,
    id: number,
    data: Uint8Array,
    at: number,
    end: number,
    high: number,
    low: number,
  ): boolean {
    if (code === wire.PADT) return this.id === id && id !== 0 && high === this.high && low === this.low;
    if (this.asked === 0 || (code === wire.PADS && (high !== this.high || low !== this.low))) return false;
    for (let tag = at; tag < end;) {
      const length = wire.tagLength(data, tag, end);
      if (get16(data, tag) === wire.TAG_HOST_UNIQ) return same(data, tag + 4, length - 4, this.uniq);
      tag += length;
    }
    return false;
  }

  private stop(): void {
    this.asked = 0;
    this.id = 0;
    this.stack.timers.clear(this.timer);
  }

  /** It has failed; it is tried again later. */
  private again(reason: string): void {
    this.stop();
    if (this.session.phase !== "down") this.session.down(reason);
    if (this.closed || this.options.persist === false || !this.parent.up()) return;
    this.stack.timers.set(this.timer, (this.stack.now() + this.pause) | 0);
    this.pause = this.pause * 2 < LONGEST_PAUSE ? this.pause * 2 : LONGEST_PAUSE;
  }

  private ask(code: number): void {
    this.asked = code;
    this.sendDiscovery(code, this.tries);
    this.stack.timers.set(this.timer, (this.stack.now() + (TIMEOUT << this.tries)) | 0);
  }

  private sendDiscovery(code: number, _tries: number): void {
    const packet = this.packet;
    const data = packet.data;
    const parent = this.parent;
    const at = ROOM;
    let end = at + wire.PPPOE_HEADER;
    put16(data, at, (wire.PPPOE_VERSION << 8) | code);
    put16(data, at + 2, code === wire.PADT ? this.id : 0);
    if (code !== wire.PADT) {
      end = putTag(data, end, wire.TAG_SERVICE_NAME, this.service);
      end = putTag(data, end, wire.TAG_HOST_UNIQ, this.uniq);
      for (let i = 0; i < this.tagged; i++) data[end++] = this.tags[i];
    }
    put16(data, at + 4, end - at - wire.PPPOE_HEADER);
    packet.start = at;
    packet.end = end;
    packet.checksumField = -1;
    zeroBytes(data, end, end + 46);
    parent.medium.output(parent, packet, this.high, this.low, wire.TYPE_PPPOE_DISCOVERY);
  }
}

/** One of the two ethertypes. */
class PppoeProtocol implements LinkProtocol {
  constructor(
    private readonly owner: Pppoe,
    readonly ethertype: number,
  ) {}

  input(packet: Packet): void {
    this.owner.input(packet, this.ethertype === wire.TYPE_PPPOE_SESSION);
  }
}

export class Pppoe implements Component {
  readonly name = "pppoe";
  readonly counters = new PppCounters();
  private stack: Stack = null as never;
  private readonly clients: PppoeClient[] = [];

  constructor(private readonly limit: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "pppoe");
    this.stack = stack;
    stack.linkProtocols.push(new PppoeProtocol(this, wire.TYPE_PPPOE_SESSION));
    stack.linkProtocols.push(new PppoeProtocol(this, wire.TYPE_PPPOE_DISCOVERY));
    stack.counters.pppoe = this.counters as never;
  }

  /**
   * Opens a session by `parent`; its interface is `nif` of what is returned, and up while the session is.
   *
   * Errors: `EINVAL` no Ethernet interface, options; `ENOBUFS` too many; `EEXIST` name; `ENOPROTOOPT` without `ipLink`.
   */
  connect(parent: Interface, options: PppoeOptions = {}): PppoeClient {
    const stack = this.stack;
    if (parent.link.medium !== "ethernet" || parent.removed) fail("EINVAL", "parent");
    if (this.clients.length >= this.limit) fail("ENOBUFS", "sessions");
    const client = new PppoeClient(stack, this, parent, options);
    client.nif = stack.addInterface(client.session, options.name);
    client.nif.carrier(false);
    this.clients.push(client);
    client.discover();
    return client;
  }

  interfaceChanged(nif: Interface): void {
    for (let i = 0; i < this.clients.length; i++) {
      if (this.clients[i].parent === nif) this.clients[i].parentChanged();
    }
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.clients.length - 1; i >= 0; i--) {
      const client = this.clients[i];
      if (client && (client.parent === nif || client.nif === nif)) {
        if (client.nif === nif) client.nif.removed = true;
        client.close();
      }
    }
  }

  close(): void {
    while (this.clients.length > 0) this.clients[this.clients.length - 1].close();
  }

  remove(client: PppoeClient): void {
    const at = this.clients.indexOf(client);
    if (at >= 0) this.clients.splice(at, 1);
  }

  input(packet: Packet, session: boolean): void {
    const counters = this.counters;
    const data = packet.data;
    const at = packet.start;
    const length = packet.end - at < wire.PPPOE_HEADER ? -1 : get16(data, at + 4);
    const end = at + wire.PPPOE_HEADER + length;
    if (length < 0 || end > packet.end || data[at] !== wire.PPPOE_VERSION) {
      counters.malformed++;
      return;
    }
    // Behind a tag of VLAN 0 the addresses lie further back.
    const from = at - (get16(data, at - 6) === TYPE_VLAN ? 12 : 8);
    const high = get16(data, from);
    const low = get32(data, from + 2);
    const code = data[at + 1];
    const id = get16(data, at + 2);
    if (session) {
      if (length < 2 || code !== 0) {
        counters.malformed++;
        return;
      }
      for (let i = 0; i < this.clients.length; i++) {
        const client = this.clients[i];
        if (client.parent !== packet.nif || client.id !== id || id === 0) continue;
        if (client.high !== high || client.low !== low) break;
        const protocol = get16(data, at + wire.PPPOE_HEADER);
        client.session.input(protocol, data, at + HEADER, end);
        return;
      }
      counters.unknownSession++;
      return;
    }
    for (let tag = at + wire.PPPOE_HEADER; tag < end;) {
      const size = wire.tagLength(data, tag, end);
      if (size < 0) {
        counters.malformed++;
        return;
      }
      tag += size;
    }
    if (code === wire.PADO || code === wire.PADS || code === wire.PADT) {
      for (let i = 0; i < this.clients.length; i++) {
        const client = this.clients[i];
        const tags = at + wire.PPPOE_HEADER;
        if (client.parent !== packet.nif || !client.awaits(code, id, data, tags, end, high, low)) continue;
        client.discovery(code, id, data, tags, end, high, low);
        return;
      }
    }
    counters.unsolicited++;
  }
}

function tick(client: PppoeClient): void {
  client.tick();
}

function same(data: Uint8Array, at: number, length: number, value: Uint8Array): boolean {
  if (length !== value.length) return false;
  for (let i = 0; i < length; i++) if (data[at + i] !== value[i]) return false;
  return true;
}

function putTag(data: Uint8Array, at: number, type: number, value: Uint8Array): number {
  put16(data, at, type);
  put16(data, at + 2, value.length);
  data.set(value, at + 4);
  return at + 4 + value.length;
}

/** A name in a tag, at most 100 characters of Latin-1. */
function nameOf(text: string, what: string): Uint8Array {
  if (typeof text !== "string" || text.length > 100) return fail("EINVAL", what);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The PPPoE client. Needs `ethernet`, `ipLink` and a network. Counters: `pppoe`. */
export function pppoe(options: PppoeConfiguration = {}): Pppoe {
  return new Pppoe(requireInteger(options.limit || 8, 1, 256, "limit"));
}

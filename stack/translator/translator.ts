/**
 * The interface behind which the other family lies (RFC 7915, RFC 7757): what is routed to it comes in again from it, translated.
 *
 * It is a link like any other: both families route, filter and translate ports on both of its sides by what they have for that. Hop
 * limits are counted once, not twice. Packets wait until the stack is at rest.
 */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { hashOf } from "../core/hash.js";
import type { Interface } from "../core/interface.js";
import { embed64, extract64, represents64, within64 } from "../core/prefix64.js";
import type { Prefix64 } from "../core/prefix64.js";
import type { Stack } from "../core/stack.js";
import { format6 } from "../core/text6.js";
import { FrameQueue } from "../link/frame-queue.js";
import { requireIpLink } from "../link/ip.js";
import { isMartian4, isMulticast4 } from "../wire/ipv4.js";
import { IPV6_DESTINATION, IPV6_HEADER, isMulticast6 } from "../wire/ipv6.js";
import { DESTINATION, REPORTER, SOURCE } from "./addresses.js";
import type { Addresses } from "./addresses.js";
import type { TranslatorCounters } from "./counters.js";
import { FourToSix } from "./four-to-six.js";
import { Hosts } from "./hosts.js";
import { SixToFour } from "./six-to-four.js";

export interface TranslatorSettings {
  prefix: Prefix64;
  /** The pool: its first address, and how many there are. */
  base: number;
  capacity: number;
  /** The IPv4 address by which routers are known that have none. */
  router: number;
  /** Whose address is mapped on the way from IPv4 to IPv6, SOURCE or DESTINATION; the other one is embedded. */
  mapped: number;
  mtu: number;
  memory: number;
}

/** Room before what is translated: the header is longer by 20 bytes, a fragment header, and the next link's own. */
const ROOM = 128;

export class Translator implements Link, Addresses {
  readonly medium = "ip";
  readonly mtu: number;
  /** Frames come with as much room before them as an Ethernet header takes. */
  readonly headroom = 14;
  readonly hosts: Hosts;
  word = 0;
  nif: Interface;
  private readonly queue: FrameQueue;
  private receiver: LinkReceiver | null = null;
  private readonly toFour: SixToFour;
  private readonly toSix: FourToSix;
  private out: Uint8Array = new Uint8Array(0);

  /** Adds the interface `name`. */
  constructor(
    private readonly stack: Stack,
    name: string,
    private readonly counters: TranslatorCounters,
    private readonly settings: TranslatorSettings,
  ) {
    this.mtu = settings.mtu;
    this.hosts = new Hosts(settings.base, settings.capacity, hashOf(stack));
    const host = stack.host;
    this.toFour = new SixToFour(host, this, counters);
    this.toSix = new FourToSix(host, this, counters, (out, start, end) => this.emit(out, start, end));
    this.queue = new FrameQueue(
      stack,
      settings.memory,
      counters,
      (frame, length) => this.translate(frame, length),
      () => {
        if (this.receiver) this.receiver.writable();
      },
    );
    requireIpLink(stack);
    this.nif = stack.addInterface(this, name);
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  close(): void {
    this.receiver = null;
    this.queue.clear();
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    // What is for groups of a link ends at this one.
    const six = frame[start] >> 4 === 6;
    if (six && end - start >= IPV6_HEADER && isMulticast6(frame, start + IPV6_DESTINATION)) return 0;
    return this.queue.put(frame, start, end, 0);
  }

  /** The IPv6 address of the interface, from which errors come that this host sends to the other family. */
  address6(): string {
    const bytes = new Uint8Array(16);
    embed64(this.settings.prefix, this.settings.router, bytes, 0);
    return format6(bytes, 0) + "/128";
  }

  private translate(frame: Uint8Array, length: number): void {
    const size = length + ROOM * 2;
    if (this.out.length < size) this.out = this.stack.host.allocate(size) || this.out;
    if (this.out.length < size) {
      this.counters.noMemory++;
      return;
    }
    if (frame[0] >> 4 === 6) {
      const end = this.toFour.translate(frame, length, this.out, ROOM);
      if (end > 0) this.emit(this.out, ROOM, end);
    } else this.toSix.translate(frame, length, this.out, ROOM);
  }

  private emit(out: Uint8Array, start: number, end: number): void {
    if (this.receiver) this.receiver.receive(out, start, end);
  }

  four(data: Uint8Array, at: number, role: number): boolean {
    const settings = this.settings;
    const hosts = this.hosts;
    if (within64(settings.prefix, data, at)) {
      this.word = extract64(settings.prefix, data, at);
      return role === SOURCE || this.mayStand(this.word, role);
    }
    let row = hosts.find(data, at);
    if (row >= 0 && role === DESTINATION) row = hosts.answer(hosts.address(row), this.stack.now());
    else if (role === SOURCE && settings.mapped === DESTINATION) {
      row = hosts.obtain(data, at, this.stack.now());
      if (row < 0) this.counters.exhausted++;
    }
    this.word = row >= 0 ? hosts.address(row) : settings.router;
    return row >= 0 || role === REPORTER;
  }

  six(word: number, target: Uint8Array, at: number, role: number): boolean {
    const settings = this.settings;
    const hosts = this.hosts;
    const row = role === DESTINATION ? hosts.answer(word, this.stack.now()) : hosts.row(word);
    if (row >= 0) {
      hosts.write(row, target, at);
      return true;
    }
    if (role === settings.mapped || !this.mayStand(word, role)) return false;
    embed64(settings.prefix, word, target, at);
    return true;
  }

  /** May an IPv4 address be embedded, or be sent to? Routers on the way, and what errors quote, may be private. */
  private mayStand(word: number, role: number): boolean {
    if (role > DESTINATION) return true;
    if (isMartian4(word) || isMulticast4(word)) return false;
    return represents64(this.settings.prefix, word);
  }
}

/**
 * Receive coalescing in software, which Linux calls GRO: TCP segments of one flow that are read one after the other become one, as long
 * as its receiver would make the same of it. Each payload is read to right behind the one before, its headers to a place of their own:
 * nothing is copied. What has been merged can be cut again into the segments it was.
 */
import { fold } from "../../stack/core/checksum.js";
import { wordSum } from "../../stack/core/checksum-words.js";
import { TYPE_IPV4, TYPE_IPV6 } from "../../stack/wire/ethernet.js";
import { FLAG_DF, PROTOCOL_TCP } from "../../stack/wire/ipv4.js";
import { ACK, PSH } from "../../stack/wire/tcp.js";
import { sumArena } from "../wasm/arena.js";
import { CHECKSUM_NONE } from "../../hypercall/link.js";
import { VIRTIO_NET_HEADER, parseVirtioChecksum } from "./virtio-net.js";

/** Largest merged packet, from its IP header on. */
const LARGEST = 65535;
/** Virtio, Ethernet, IPv6 and TCP headers at their longest. */
const LONGEST = VIRTIO_NET_HEADER + 14 + 40 + 60;
/** PSH in the word of data offset, flags and window. */
const PSH_BIT = PSH << 16;

export class Merger {
  /** Frames that have become one with the frame before. */
  merged = 0;
  /** How many frames the packet at hand consists of; 0: there is none to be continued. */
  count = 0;
  /** Its frame is `data[start..end)`, the virtio header included. */
  start = 0;
  end = 0;
  /** Bytes of all its headers: those that the next frame's go to `head` of. */
  headers = 0;
  /** Payload of each of its segments but the last. */
  segmentSize = 0;
  /** Where the next frame's headers are read to. */
  readonly head = new Uint8Array(LONGEST);
  /** The last segment ends it: it is shorter, or pushed. */
  private full = false;
  /** Where its IP and TCP headers are. */
  network = 0;
  transport = 0;
  private four = false;
  private readonly view: DataView;
  private readonly next: DataView;

  /**
   * @param data what frames are read into
   * @param virtio bytes of the virtio header before each frame, or 0
   * @param link bytes of the Ethernet header, or 0
   */
  constructor(
    private readonly data: Uint8Array,
    private readonly virtio: number,
    private readonly link: number,
  ) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.next = new DataView(this.head.buffer);
  }

  /** May the frame in `data[start..end)` be continued by others? Then it is at hand from now on. */
  begin(start: number, end: number): boolean {
    this.count = 0;
    const { view, data } = this;
    const network = start + this.virtio + this.link;
    if (end - network < 40 || (this.virtio !== 0 && data[start + 1] !== 0)) return false;
    const type = this.link === 0 ? data[network] >> 4 : view.getUint16(network - 2);
    let transport: number;
    if (type === TYPE_IPV4 || type === 4) {
      if (
        data[network] !== 0x45 ||
        data[network + 9] !== PROTOCOL_TCP ||
        view.getUint16(network + 6) & ~FLAG_DF ||
        view.getUint16(network + 2) !== end - network
      ) {
        return false;
      }
      transport = network + 20;
      this.four = true;
    } else if (type === TYPE_IPV6 || type === 6) {
      if (
        end - network < 60 ||
        data[network] >> 4 !== 6 ||
        data[network + 6] !== PROTOCOL_TCP ||
        view.getUint16(network + 4) !== end - network - 40
      ) {
        return false;
      }
      transport = network + 40;
      this.four = false;
    } else return false;
    const payload = transport + ((data[transport + 12] >> 4) << 2);
    // A segment with nothing but ACK: what is pushed has no successor, and SYN, FIN, RST, URG are for the receiver to see alone.
    if (data[transport + 13] !== ACK || payload < transport + 20 || payload >= end) return false;
    this.start = start;
    this.end = end;
    this.network = network;
    this.transport = transport;
    this.headers = payload - start;
    this.segmentSize = end - payload;
    this.full = false;
    this.count = 1;
    return true;
  }

  /** May it become larger still? */
  open(): boolean {
    return this.count > 0 && !this.full && this.end - this.network + this.segmentSize <= LARGEST;
  }

  /**
   * Takes the frame of `length` bytes whose headers were read into `head` and the rest of it to `data[end..]`. False: it does not
   * continue what is at hand.
   */
  take(length: number): boolean {
    const size = length - this.headers;
    if (size <= 0 || size > this.segmentSize || !this.continues(length)) return false;
    if (
      this.count === 1 &&
      !this.valid(this.data, this.start, this.end - this.start, this.start + this.headers)
    ) {
      this.full = true;
      return false;
    }
    if (!this.valid(this.head, 0, length, this.end)) return false;
    this.count++;
    this.merged++;
    this.end += size;
    const flags = this.transport - this.start + 13;
    if (this.head[flags] & PSH) this.data[this.transport + 13] |= PSH;
    this.full = size < this.segmentSize || (this.head[flags] & PSH) !== 0;
    return true;
  }

  /** Completes the headers of what has been merged: its checksum is left unfinished (`CHECKSUM_PARTIAL`). */
  finish(): void {
    const { view, network, transport, end } = this;
    const length = end - transport;
    let pseudo: number;
    if (this.four) {
      view.setUint16(network + 2, end - network);
      view.setUint16(network + 10, 0);
      view.setUint16(network + 10, ~wordSum(this.data, network, transport, 0));
      pseudo = wordSum(this.data, network + 12, network + 20, fold(PROTOCOL_TCP + length));
    } else {
      view.setUint16(network + 4, length);
      pseudo = wordSum(this.data, network + 8, network + 40, fold(PROTOCOL_TCP + length));
    }
    view.setUint16(transport + 16, pseudo);
  }

  /** Are the headers in `head` those of the next segment? */
  private continues(length: number): boolean {
    const { view, next, start, four } = this;
    const virtio = this.virtio;
    if (virtio !== 0 && this.head[1] !== 0) return false;
    for (let i = virtio; i + 4 <= virtio + this.link; i += 4) {
      if (next.getInt32(i) !== view.getInt32(start + i)) return false;
    }
    const ip = this.network - start;
    const tcp = this.transport - start;
    if (this.link !== 0 && next.getInt16(ip - 2) !== view.getInt16(start + ip - 2)) return false;
    if (four) {
      const id = (next.getUint16(ip + 4) - view.getUint16(start + ip + 4)) & 0xffff;
      const fragment = next.getUint16(ip + 6);
      if (
        next.getUint16(ip) !== view.getUint16(start + ip) ||
        next.getUint16(ip + 2) !== length - ip ||
        fragment !== view.getUint16(start + ip + 6) ||
        next.getUint16(ip + 8) !== view.getUint16(start + ip + 8) ||
        // An atomic datagram's identification says nothing (RFC 6864).
        (id !== this.count && (fragment & FLAG_DF) === 0) ||
        next.getInt32(ip + 12) !== view.getInt32(start + ip + 12) ||
        next.getInt32(ip + 16) !== view.getInt32(start + ip + 16)
      ) {
        return false;
      }
    } else {
      if (
        next.getInt32(ip) !== view.getInt32(start + ip) ||
        next.getUint16(ip + 4) !== length - ip - 40 ||
        next.getUint16(ip + 6) !== view.getUint16(start + ip + 6)
      ) {
        return false;
      }
      for (let i = ip + 8; i < tcp; i += 4) if (next.getInt32(i) !== view.getInt32(start + i)) return false;
    }
    const sequence = view.getInt32(start + tcp + 4) + this.end - start - this.headers;
    if (
      next.getInt32(tcp) !== view.getInt32(start + tcp) ||
      next.getInt32(tcp + 4) !== (sequence | 0) ||
      next.getInt32(tcp + 8) !== view.getInt32(start + tcp + 8) ||
      // Offset, flags but for PSH, window; then what URG would point at.
      (next.getInt32(tcp + 12) & ~PSH_BIT) !== view.getInt32(start + tcp + 12) ||
      next.getUint16(tcp + 18) !== view.getUint16(start + tcp + 18)
    ) {
      return false;
    }
    for (let i = tcp + 20; i < this.headers; i += 4) {
      if (next.getInt32(i) !== view.getInt32(start + i)) return false;
    }
    return true;
  }

  /** Are the checksums right of a frame whose headers are in `head[at..]`, its payload in `data[payload..]`? */
  private valid(head: Uint8Array, at: number, length: number, payload: number): boolean {
    const ip = at + this.network - this.start;
    const tcp = at + this.transport - this.start;
    if (this.four && wordSum(head, ip, tcp, 0) !== 0xffff) return false;
    if (this.virtio !== 0 && parseVirtioChecksum(head, at) !== CHECKSUM_NONE) return true;
    const bytes = length - (this.transport - this.start);
    let sum = wordSum(head, this.four ? ip + 12 : ip + 8, tcp, fold(PROTOCOL_TCP + bytes));
    sum = wordSum(head, tcp, at + this.headers, sum);
    const end = payload + length - this.headers;
    const fast = sumArena(this.data, payload, end, sum);
    return (fast >= 0 ? fast : wordSum(this.data, payload, end, sum)) === 0xffff;
  }
}

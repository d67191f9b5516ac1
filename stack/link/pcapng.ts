/**
 * Captures in the pcapng format (draft-ietf-opsawg-pcapng), and a link middleware that makes them. Knows no file and no clock:
 * blocks go to a callback, each in one call, so that a reader of the growing file sees whole blocks; times come from the caller.
 *
 * A frame that is captured on its way to a link with offloads is what the stack gave: its transport checksum may be partial
 * and it may be longer than the MTU, as captures of any operating system show it.
 */
import type { Link, LinkReceiver, TransmitOffload } from "../../hypercall/link.js";
import { copyBytes, put16, put32, zeroBytes } from "../core/bytes.js";
import { requireInteger } from "../core/errors.js";

/** Directions of a packet: bits 0 and 1 of `epb_flags`. */
export const CAPTURE_IN = 1;
export const CAPTURE_OUT = 2;

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const IF_FCSLEN = 13;
const EPB_FLAGS = 2;
const LINKTYPE_ETHERNET = 1;
const LINKTYPE_RAW = 101;
const MICROSECONDS = 6;
/** Type, length, interface, two halves of the time, two lengths. */
const PACKET_HEADER = 28;
/** `epb_flags`, end of options, and the length once more. */
const PACKET_TRAILER = 16;
const NAME_LIMIT = 64;

/** A capture being written. Values are big-endian, which the section header says. */
export class Pcapng {
  /** Interfaces described so far: the number of the next. */
  interfaces = 0;
  /** Where a block is put together; grows to the longest packet that is captured. */
  block = new Uint8Array(2048);

  constructor(
    /** Takes one whole block; the bytes are borrowed until it returns. It must not throw. */
    readonly write: (bytes: Uint8Array) => void,
    /** Bytes of a packet that are kept. */
    readonly snaplen: number,
  ) {}
}

/** Starts a capture: the section header goes to `write` at once. `snaplen` defaults to all of a packet. */
export function createPcapng(write: (bytes: Uint8Array) => void, snaplen: number = 262144): Pcapng {
  const p = new Pcapng(write, requireInteger(snaplen, 1, 0x7fffffff, "snaplen"));
  const block = p.block;
  put32(block, 8, BYTE_ORDER_MAGIC);
  put32(block, 12, 0x10000);
  // The section's length is not known: -1.
  put32(block, 16, -1);
  put32(block, 20, -1);
  finish(p, SECTION_HEADER, 24);
  return p;
}

/** Describes an interface; the number to give with its packets. `name` is cut at 64 characters. */
export function addInterface(p: Pcapng, medium: "ethernet" | "ip", name: string): number {
  const block = p.block;
  put16(block, 8, medium === "ip" ? LINKTYPE_RAW : LINKTYPE_ETHERNET);
  put16(block, 10, 0);
  put32(block, 12, p.snaplen);
  const length = name.length < NAME_LIMIT ? name.length : NAME_LIMIT;
  put16(block, 16, IF_NAME);
  put16(block, 18, length);
  for (let i = 0; i < length; i++) {
    const code = name.charCodeAt(i);
    block[20 + i] = code > 31 && code < 127 ? code : 63;
  }
  let at = pad(block, 20 + length);
  // Padding of short frames is not a frame check sequence: there is none.
  at = byteOption(block, byteOption(block, at, IF_TSRESOL, MICROSECONDS), IF_FCSLEN, 0);
  put32(block, at, 0);
  finish(p, INTERFACE_DESCRIPTION, at + 4);
  return p.interfaces++;
}

/**
 * Writes the packet `frame[start..end)` of interface number `nif`.
 *
 * @param time milliseconds since 1970, or since any start; fractions count to the microsecond
 * @param direction `CAPTURE_IN`, `CAPTURE_OUT` or 0
 */
export function capturePacket(
  p: Pcapng,
  nif: number,
  time: number,
  direction: number,
  frame: Uint8Array,
  start: number,
  end: number,
): void {
  const length = end - start;
  const kept = length < p.snaplen ? length : p.snaplen;
  const needed = kept + PACKET_HEADER + PACKET_TRAILER + 3;
  if (p.block.length < needed) p.block = new Uint8Array(needed * 2);
  const block = p.block;
  const microseconds = Math.round(time * 1000);
  put32(block, 8, nif);
  put32(block, 12, Math.floor(microseconds / 4294967296));
  put32(block, 16, microseconds);
  put32(block, 20, kept);
  put32(block, 24, length);
  copyBytes(block, PACKET_HEADER, frame, start, kept);
  const at = pad(block, PACKET_HEADER + kept);
  put16(block, at, EPB_FLAGS);
  put16(block, at + 2, 4);
  put32(block, at + 4, direction);
  put32(block, at + 8, 0);
  finish(p, ENHANCED_PACKET, at + 12);
}

/** An option of one byte. */
function byteOption(block: Uint8Array, at: number, code: number, value: number): number {
  put16(block, at, code);
  put16(block, at + 2, 1);
  block[at + 4] = value;
  return pad(block, at + 5);
}

/** Zeroes up to the next multiple of 4. */
function pad(block: Uint8Array, at: number): number {
  const padded = (at + 3) & -4;
  zeroBytes(block, at, padded);
  return padded;
}

/** Completes the block whose body ends at `end`, and hands it out. */
function finish(p: Pcapng, type: number, end: number): void {
  const block = p.block;
  put32(block, 0, type);
  put32(block, 4, end + 4);
  put32(block, end, end + 4);
  p.write(block.subarray(0, end + 4));
}

/** A link that captures what passes through it on the way to and from another. */
export class CaptureLink implements Link, LinkReceiver {
  readonly medium: "ethernet" | "ip";
  mtu: number;
  readonly mac?: Uint8Array;
  readonly offloads?: Link["offloads"];
  multicast?: Link["multicast"];
  private receiver: LinkReceiver | null = null;

  constructor(
    private readonly link: Link,
    private readonly pcapng: Pcapng,
    private readonly nif: number,
    private readonly now: () => number,
  ) {
    this.medium = link.medium;
    this.mtu = link.mtu;
    this.mac = link.mac;
    this.offloads = link.offloads;
    const multicast = link.multicast;
    if (multicast) this.multicast = (groups, count) => multicast.call(link, groups, count);
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
    this.link.open(this);
  }

  transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    const code = this.link.transmit(frame, start, end, offload);
    if (code >= 0) capturePacket(this.pcapng, this.nif, this.now(), CAPTURE_OUT, frame, start, end);
    return code;
  }

  close(): void {
    this.link.close();
  }

  receive(frame: Uint8Array, start: number, end: number, checksum?: number, segmentSize?: number): void {
    capturePacket(this.pcapng, this.nif, this.now(), CAPTURE_IN, frame, start, end);
    (this.receiver as LinkReceiver).receive(frame, start, end, checksum, segmentSize);
  }

  carrier(up: boolean): void {
    this.mtu = this.link.mtu;
    (this.receiver as LinkReceiver).carrier(up);
  }

  writable(): void {
    (this.receiver as LinkReceiver).writable();
  }

  lost(count: number): void {
    (this.receiver as LinkReceiver).lost(count);
  }
}

/**
 * Puts a capture between the stack and `link`: give the result to the stack in its place. Several links may share a capture.
 *
 * @param name what the capture calls the interface
 * @param now the time of a packet in ms: since 1970 for real captures, virtual time in a simulation
 */
export function captureLink(link: Link, pcapng: Pcapng, name: string, now: () => number): CaptureLink {
  return new CaptureLink(link, pcapng, addInterface(pcapng, link.medium, name), now);
}

/** The frames of the conformance checks: how they are made, and how one is known again. See conformance-link.ts. */
import type { Link } from "./link.js";

/** What frames are overwritten with by the check, and never contain otherwise for more than a byte. */
export const SCRIBBLE = 0x5a;
/** To the other end, to all, to a group. */
export const UNICAST = 0;
export const BROADCAST = 1;
export const GROUP = 2;

/** Local experimental ethertype (IEEE 802); IP protocol for experiments (RFC 3692). */
const TYPE = 0x88b5;
const PROTOCOL = 253;
/** Before the pattern: two marks, the sender, the sequence number. */
const MARK0 = 0x61;
const MARK1 = 0x73;
const MARKS = 4;

/** A frame of the check. */
export class Trial {
  sent = false;
  arrived = 0;

  constructor(
    readonly from: number,
    readonly sequence: number,
    /** Bytes of the network packet, 46 at least. */
    readonly size: number,
    readonly kind: number,
  ) {}
}

/** What `recognise` found. */
export const FOREIGN = -1;
export const SCRIBBLED = -2;

/** Bytes of the medium's header. */
export function linkHeader(link: Link): number {
  return link.medium === "ethernet" ? 14 : 0;
}

/** Where the marks stand in a frame. */
function marksAt(link: Link): number {
  return link.medium === "ethernet" ? 14 : 20;
}

/** The hardware group of the check: 01-00-5e-00-00-fb. */
export function groupAddress(): Uint8Array {
  const group = new Uint8Array(6);
  group[0] = 1;
  group[2] = 0x5e;
  group[5] = 0xfb;
  return group;
}

/** Writes `trial`'s frame to `frame[start..]`; returns its end. */
export function emitTrial(trial: Trial, own: Link, peer: Link, frame: Uint8Array, start: number): number {
  const end = start + linkHeader(own) + trial.size;
  if (own.medium === "ethernet") {
    emitEthernet(own, peer, TYPE, frame, start);
    const group = groupAddress();
    for (let i = 0; i < 6 && trial.kind !== UNICAST; i++) {
      frame[start + i] = trial.kind === BROADCAST ? 255 : group[i];
    }
  } else emitIpv4(frame, start, trial.size, PROTOCOL);
  const at = start + marksAt(own);
  for (let i = at; i < end; i++) frame[i] = trial.sequence * 31 + (i - at) * 7;
  frame[at] = MARK0;
  frame[at + 1] = MARK1;
  frame[at + 2] = trial.from;
  frame[at + 3] = trial.sequence;
  return end;
}

/** The sequence number of a frame of the check, plus 256 times its sender; or FOREIGN, or SCRIBBLED. */
export function recognise(link: Link, frame: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && frame[at] === SCRIBBLE) at++;
  if (at === end && end > start) return SCRIBBLED;
  at = start + marksAt(link);
  if (end - at < MARKS || frame[at] !== MARK0 || frame[at + 1] !== MARK1) return FOREIGN;
  return frame[at + 2] * 256 + frame[at + 3];
}

export function emitEthernet(own: Link, peer: Link, type: number, frame: Uint8Array, start: number): void {
  const to = peer.mac as Uint8Array;
  const from = own.mac as Uint8Array;
  for (let i = 0; i < 6; i++) {
    frame[start + i] = to[i];
    frame[start + 6 + i] = from[i];
  }
  write16(frame, start + 12, type);
}

/** An IPv4 header from 192.0.2.1 to 192.0.2.2 (documentation addresses, RFC 5737), in a packet of `size` bytes. */
export function emitIpv4(frame: Uint8Array, at: number, size: number, protocol: number): void {
  const words = [0x4500, size, 0, 0x4000, 0x4000 | protocol, 0, 0xc000, 0x0201, 0xc000, 0x0202];
  words[5] = ~sumWords(words) & 0xffff;
  for (let i = 0; i < words.length; i++) write16(frame, at + i * 2, words[i]);
}

/** The sum of the pseudo-header that goes with `emitIpv4`. */
export function pseudoSum(protocol: number, length: number): number {
  return sumWords([0xc000, 0x0201, 0xc000, 0x0202, protocol, length]);
}

function sumWords(words: number[]): number {
  let sum = 0;
  for (let i = 0; i < words.length; i++) {
    sum += words[i];
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** The sum by the book (RFC 1071): big-endian words, an odd byte padded with zero, carries added at the bottom. */
export function referenceSum(data: Uint8Array, start: number, end: number, initial: number): number {
  let sum = initial;
  for (let i = start; i < end; i++) {
    sum += (i - start) & 1 ? data[i] : data[i] << 8;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

export function write16(data: Uint8Array, at: number, value: number): void {
  data[at] = value >> 8;
  data[at + 1] = value;
}

export function read16(data: Uint8Array, at: number): number {
  return (data[at] << 8) | data[at + 1];
}

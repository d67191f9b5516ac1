/** What sockets of datagrams share (UDP, raw, ping): where they are bound, and the queue of what they have received. */
import { get16, put16 } from "./bytes.js";
import { EAFNOSUPPORT, EAGAIN, fail, requireBytes, setting } from "./errors.js";
import type { Interface } from "./interface.js";
import type { Network, Path } from "./network.js";
import type { Packet } from "./packet.js";
import type { Lender, Stack } from "./stack.js";
import { Stream } from "./stream.js";

/** Where a datagram came from. `receive` fills one in; it may be used again and again. */
export interface DatagramInfo {
  /** The sender. */
  address: string;
  /** Its port; of raw sockets 0. */
  port: number;
  /** Bytes of the datagram, also where the target was shorter. */
  length: number;
  /** The target was shorter than the datagram: the rest is lost. */
  truncated: boolean;
  /** The address that it was sent to: this host's, a broadcast address, or a group. */
  localAddress: string;
  /** Where it came in; null when that interface is gone. */
  interface: Interface | null;
  /** Its time to live (hop limit) on arrival: 255 says that no router has seen it. */
  ttl?: number;
}

/** Where a socket is to be bound. */
export interface BindOptions {
  address?: string;
  family?: number;
  interface?: Interface;
  anonymous?: boolean;
  receiveBuffer?: number;
}

/** Bytes of a datagram's record: length, port, interface, family, time to live. Both addresses and the data follow. */
const RECORD = 8;

export class Datagrams {
  /** Datagrams that wait. */
  count = 0;
  private readonly stream: Stream;
  private readonly record: Uint8Array;
  /** The one datagram, which still lies in its frame; see `put`. */
  private lent: Packet | null = null;
  /** Whence it came. */
  private port = 0;
  /** The ends last asked for, and their texts: made once for several datagrams of one flow. */
  private sender = "";
  private receiver = "";
  private textOf: Network | null = null;
  private textOn: Interface | null = null;
  private readonly ends: Uint8Array;

  /**
   * @param limit bytes that may wait, records included
   * @param addressSize bytes of the largest address that may come
   */
  constructor(
    private readonly stack: Stack,
    private readonly limit: number,
    addressSize: number,
  ) {
    this.stream = new Stream(stack.pool, stack.host.copy);
    this.record = new Uint8Array(RECORD + 2 * addressSize);
    this.ends = new Uint8Array(2 * addressSize);
  }

  /**
   * Takes `packet`, which came from `port`; false: there is no room. A quarter of all memory is left to others.
   *
   * @param lender calls `keep` when told to; null: nobody is told before the frame goes. The application may read right from the
   *   frame, and what it leaves is copied then (two copies less: a third of an echo's time)
   */
  put(packet: Packet, port: number, lender: Lender | null): boolean {
    const stack = this.stack;
    const header = RECORD + 2 * (packet.net as Network).addressSize;
    if (this.stream.length + header + packet.end - packet.start > this.limit) return false;
    if (!lender || this.count > 0 || stack.lender) return this.store(packet, port);
    this.lent = packet;
    this.port = port;
    stack.lender = lender;
    this.count = 1;
    return true;
  }

  /** The frame goes: copies the datagram that nobody has read; false: there is no memory, it is lost. */
  keep(): boolean {
    const packet = this.lent;
    if (!packet) return true;
    this.lent = null;
    this.count = 0;
    return this.store(packet, this.port);
  }

  /** Copies `packet`, behind its record, into the queue. */
  private store(packet: Packet, port: number): boolean {
    const net = packet.net as Network;
    const record = this.record;
    const length = packet.end - packet.start;
    put16(record, 0, length);
    put16(record, 2, port);
    put16(record, 4, (packet.nif as Interface).index);
    record[6] = net.family;
    record[7] = packet.ttl;
    net.saveEnds(packet, record, RECORD);
    const header = RECORD + 2 * net.addressSize;
    const keep = this.stack.pool.limit >> 2;
    if (!this.stream.put(record, header, packet.data, packet.start, length, keep)) return false;
    this.count++;
    return true;
  }

  /** Takes the first datagram into `target[start..end)`; bytes written, or `EAGAIN`. */
  take(target: Uint8Array, info: DatagramInfo | null, start: number, end: number): number {
    requireBytes(target, start, end, "target");
    if (this.count === 0) return EAGAIN;
    const stack = this.stack;
    const stream = this.stream;
    const record = this.record;
    const lent = this.lent;
    if (!lent) stream.read(0, record, 0, RECORD);
    else if (info) lent.net!.saveEnds(lent, record, RECORD);
    const net = (lent ? lent.net : stack.network(record[6])) as Network;
    const length = lent ? lent.end - lent.start : get16(record, 0);
    const header = RECORD + 2 * net.addressSize;
    const taken = length < end - start ? length : end - start;
    if (lent) stack.host.copy(target, start, lent.data, lent.start, taken);
    else {
      stream.read(RECORD, record, RECORD, header - RECORD);
      stream.read(header, target, start, taken);
    }
    // An `info` that throws at being written to loses nothing.
    if (info) {
      const nif = lent ? lent.nif : interfaceOf(stack, get16(record, 4));
      this.readEnds(net, nif);
      info.address = this.sender;
      info.localAddress = this.receiver;
      info.port = lent ? this.port : get16(record, 2);
      info.ttl = lent ? lent.ttl : record[7];
      info.length = length;
      info.truncated = taken < length;
      info.interface = nif;
    }
    this.count--;
    if (lent) this.lent = stack.lender = null;
    else stream.consume(header + length);
    if (!lent && this.count === 0) stream.clear();
    return taken;
  }

  /** Bytes of the first datagram, or `EAGAIN`. */
  nextLength(): number {
    if (this.count === 0) return EAGAIN;
    if (this.lent) return this.lent.end - this.lent.start;
    this.stream.read(0, this.record, 0, 2);
    return get16(this.record, 0);
  }

  clear(): void {
    this.stream.clear();
    // Who closes while the frame is dealt with has nothing to keep.
    this.lent = null;
    this.count = 0;
  }

  /** Makes the texts of the ends in `record`. */
  private readEnds(net: Network, nif: Interface | null): void {
    const ends = this.ends;
    let same = this.textOf === net && this.textOn === nif;
    for (let i = 0; i < 2 * net.addressSize; i++) {
      const byte = this.record[RECORD + i];
      if (ends[i] !== byte) same = false;
      ends[i] = byte;
    }
    if (same) return;
    this.textOf = net;
    this.textOn = nif;
    this.sender = net.addressText(ends, 0, nif);
    this.receiver = net.addressText(ends, net.addressSize, nif);
  }
}

/** A queue for a socket of `paths`: `options.receiveBuffer` bytes (default 65536), at most what there is. */
export function createQueue(stack: Stack, options: BindOptions, paths: Path[]): Datagrams {
  const budget = stack.pool.limit << stack.pool.chunkShift;
  let limit = setting(options.receiveBuffer, 65536, 0, 0x7fffffff, "receiveBuffer");
  let size = 0;
  if (limit > budget) limit = budget;
  for (let i = 0; i < paths.length; i++) {
    if (paths[i].net.addressSize > size) size = paths[i].net.addressSize;
  }
  return new Datagrams(stack, limit, size);
}

/** One path for each network on which a socket is: throws `EINVAL`, `EAFNOSUPPORT`, `EADDRNOTAVAIL`. */
export function bindPaths(stack: Stack, options: BindOptions): Path[] {
  const nif = options.interface || null;
  if (nif && stack.interfaces.indexOf(nif) < 0) fail("EINVAL", "interface");
  const paths: Path[] = [];
  let code = EAFNOSUPPORT;
  for (let i = 0; i < stack.networks.length; i++) {
    const net = stack.networks[i];
    if (options.family && options.family !== net.family) continue;
    const path = net.createPath();
    path.bound = nif;
    path.anonymous = options.anonymous === true;
    const result = net.setLocal(path, options.address || "");
    if (result === 0) paths.push(path);
    else if (result !== EAFNOSUPPORT) code = result;
  }
  if (paths.length === 0) fail(code === EAFNOSUPPORT ? "EAFNOSUPPORT" : "EADDRNOTAVAIL", "address");
  return paths;
}

/** The path of `paths` that belongs to `net`, or null. */
export function pathOf(paths: Path[], net: Network): Path | null {
  for (let i = 0; i < paths.length; i++) {
    if (paths[i].net === net) return paths[i];
  }
  return null;
}

/** The path of `paths` whose family `address` is, leading there; null: no such family here. */
export function pathTo(paths: Path[], address: string): Path | null {
  for (let i = 0; i < paths.length; i++) {
    if (paths[i].net.setRemote(paths[i], address) === 0) return paths[i];
  }
  return null;
}

function interfaceOf(stack: Stack, index: number): Interface | null {
  for (let i = 0; i < stack.interfaces.length; i++) {
    if (stack.interfaces[i].index === index) return stack.interfaces[i];
  }
  return null;
}

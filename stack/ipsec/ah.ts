/**
 * AH, the Authentication Header (RFC 4302): the component that signs whole packets and checks them. Fields that routers change count as
 * zero (section 3.3.3.1). Own packets have no options; of those that come, options are zero unless they are known to stay.
 */
import { get32, put16, put32 } from "../core/bytes.js";
import { CIPHER_DONE, CIPHER_FAILED, constantTimeEqual } from "../../hypercall/crypto.js";
import type { Path } from "../core/network.js";
import { fail } from "../core/errors.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { AH_HEADER, AH_LENGTH, AH_SEQUENCE, AH_SPI, PROTOCOL_AH } from "../wire/esp.js";
import { IPV4_HEADER } from "../wire/ipv4.js";
import { DESTINATION_OPTIONS, HOP_BY_HOP, IPV6_HEADER, IPV6_NEXT_HEADER } from "../wire/ipv6.js";
import { OPTION_END, optionSize } from "../wire/options.js";
import { SecurityCounters, countUnknown, register } from "./protocol.js";
import { emitHeader } from "./header.js";
import type { Ipsec, SecurityProtocol } from "./ipsec.js";
import type { Sa } from "./sa.js";

/** Options of IPv4 that no router changes: security, commercial security, router alert (RFC 4302 appendix A1), and nothing to do. */
const LASTING = [0, 1, 130, 133, 134, 148];

export class Ah implements Component, SecurityProtocol {
  readonly name = "ah";
  readonly protocol = PROTOCOL_AH;
  readonly headerSize = AH_HEADER;
  readonly counters = new SecurityCounters();
  private readonly ends = new Uint8Array(32);
  stack: Stack = null as never;
  private ipsec: Ipsec = null as never;

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "ah");
    this.stack = stack;
    stack.counters.ah = this.counters as never;
  }

  start(): void {
    this.ipsec = register(this);
  }

  spi(data: Uint8Array, at: number): number {
    return get32(data, at + AH_SPI);
  }

  room(sa: Sa, size: number): number {
    return size - headerOf(sa);
  }

  growth(sa: Sa): number {
    // The ICV is made behind the packet, with the upper half of the sequence number.
    return sa.transform.icvSize + 4;
  }

  seal(sa: Sa, packet: Packet, next: number, path: Path): number {
    const data = packet.data;
    const size = headerOf(sa);
    const at = (packet.start -= size);
    data[at] = next;
    data[at + AH_LENGTH] = (size >> 2) - 2;
    put16(data, at + 2, 0);
    put32(data, at + AH_SPI, sa.spi);
    put32(data, at + AH_SEQUENCE, sa.low);
    for (let i = AH_HEADER; i < size; i++) data[at + i] = 0;
    const end = packet.end;
    // The header that will be sent, with zeros for what may change.
    const family = path.net.family;
    const ip = at - path.net.headerSize;
    path.net.savePath(path, this.ends, 0);
    emitHeader(family, data, ip, this.ends, PROTOCOL_AH, end - at, 0, 0, 0, false);
    clear(data, ip, at);
    if (!sa.transform.authenticate(data, ip, end, sa.high, sa.esn)) {
      this.counters.cipher++;
      return CIPHER_FAILED;
    }
    for (let i = 0; i < sa.transform.icvSize; i++) data[at + AH_HEADER + i] = data[end + i];
    this.counters.sent++;
    return CIPHER_DONE;
  }

  open(sa: Sa, packet: Packet): number {
    const counters = this.counters;
    const at = packet.start;
    counters.received++;
    const size = (packet.data[at + AH_LENGTH] + 2) << 2;
    const least = headerOf(sa);
    const length = packet.end - packet.network;
    // Linux makes it a multiple of 8 in IPv4 too, unless it is told otherwise.
    if (packet.end - at < size || (size !== least && size !== ((least + 7) & ~7))) {
      counters.malformed++;
      return -1;
    }
    const low = get32(packet.data, at + AH_SEQUENCE);
    if (!sa.window.check(low)) {
      counters.replay++;
      return -1;
    }
    // In the memory of what goes out, which rests now: the packet itself stays as it came.
    const icv = sa.transform.icvSize;
    const copy = this.stack.prepare(length + icv + 4);
    if (!copy) {
      counters.cipher++;
      return -1;
    }
    const data = copy.data;
    const ip = copy.start;
    this.stack.host.copy(data, ip, packet.data, packet.network, length);
    const place = ip + at - packet.network + AH_HEADER;
    if (!clear(data, ip, place - AH_HEADER)) {
      counters.malformed++;
      return -1;
    }
    for (let i = 0; i < size - AH_HEADER; i++) data[place + i] = i < icv ? 0 : data[place + i];
    const made = sa.transform.authenticate(data, ip, ip + length, sa.window.candidate, sa.esn);
    if (!made || !constantTimeEqual(data, ip + length, packet.data, at + AH_HEADER, icv)) {
      counters.auth++;
      return -1;
    }
    if (!sa.window.accept(low)) {
      counters.replay++;
      return -1;
    }
    packet.start = at + size;
    return packet.data[at];
  }

  input(packet: Packet): void {
    countUnknown(this, packet);
  }

  error(quoted: Packet, code: number, mtu: number): boolean {
    return this.ipsec.error(this, quoted, code, mtu);
  }
}

/** Bytes of the header with its ICV: a multiple of 4 in IPv4, of 8 in IPv6 (section 2.6). */
export function headerOf(sa: Sa): number {
  const size = AH_HEADER + sa.transform.icvSize;
  return sa.net.family === 6 ? (size + 7) & ~7 : size;
}

/** Zeroes what routers change in the headers at `data[at..end)`. False: an option lies about its length. */
function clear(data: Uint8Array, at: number, end: number): boolean {
  if (data[at] >> 4 === 4) {
    data[at + 1] = data[at + 6] = data[at + 7] = data[at + 8] = data[at + 10] = data[at + 11] = 0;
    return clearOptions4(data, at + IPV4_HEADER, at + ((data[at] & 15) << 2));
  }
  put32(data, at, 0x60000000);
  data[at + 7] = 0;
  let next = data[at + IPV6_NEXT_HEADER];
  for (let header = at + IPV6_HEADER; header < end;) {
    const length = (data[header + 1] + 1) << 3;
    if (header + length > end) return false;
    if (
      (next === HOP_BY_HOP || next === DESTINATION_OPTIONS) &&
      !clearOptions6(data, header + 2, header + length)
    ) {
      return false;
    }
    next = data[header];
    header += length;
  }
  return true;
}

function clearOptions4(data: Uint8Array, at: number, end: number): boolean {
  while (at < end && data[at] !== OPTION_END) {
    const length = optionSize(data, at, end);
    if (length < 0) return false;
    if (LASTING.indexOf(data[at]) < 0) for (let i = 0; i < length; i++) data[at + i] = 0;
    at += length;
  }
  return true;
}

/** The third bit of an option's type says that it may change on the way: its data counts as zero then. */
function clearOptions6(data: Uint8Array, at: number, end: number): boolean {
  while (at < end) {
    const length = data[at] === 0 ? 1 : at + 1 < end ? data[at + 1] + 2 : 256;
    if (at + length > end) return false;
    if (data[at] & 0x20) for (let i = 2; i < length; i++) data[at + i] = 0;
    at += length;
  }
  return true;
}

/** AH. Needs `ipsec`, and a host with HMAC. Counters: `ah`. */
export function ah(): Ah {
  return new Ah();
}

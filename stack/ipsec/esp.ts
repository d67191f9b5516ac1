/** ESP, Encapsulating Security Payload (RFC 4303): the component that protects and opens its packets. */
import { CIPHER_DONE, CIPHER_FAILED, CIPHER_PENDING } from "../../hypercall/crypto.js";
import { get32, put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { ESP_HEADER, ESP_SEQUENCE, ESP_TRAILER, PROTOCOL_ESP } from "../wire/esp.js";
import { SecurityCounters, countUnknown, register } from "./protocol.js";
import { OPEN_PENDING } from "./ipsec.js";
import type { Ipsec, SecurityProtocol } from "./ipsec.js";
import { TUNNEL } from "./sa.js";
import type { Sa } from "./sa.js";

export class Esp implements Component, SecurityProtocol {
  readonly name = "esp";
  readonly protocol = PROTOCOL_ESP;
  readonly headerSize = ESP_HEADER;
  readonly counters = new SecurityCounters();
  stack: Stack = null as never;
  private ipsec: Ipsec = null as never;
  private readonly random = (): number => this.stack.host.random32();

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "esp");
    this.stack = stack;
    stack.counters.esp = this.counters as never;
  }

  start(): void {
    this.ipsec = register(this);
  }

  spi(data: Uint8Array, at: number): number {
    return get32(data, at);
  }

  room(sa: Sa, size: number): number {
    const transform = sa.transform;
    const most = size - ESP_HEADER - transform.ivSize - transform.icvSize;
    return most - (most % transform.align) - ESP_TRAILER;
  }

  growth(sa: Sa, length: number): number {
    const padded = sa.mode === TUNNEL && sa.padTo > length ? sa.padTo : length;
    return padded - length + sa.transform.align + ESP_TRAILER + sa.transform.icvSize;
  }

  seal(sa: Sa, packet: Packet, next: number): number {
    const data = packet.data;
    const transform = sa.transform;
    const start = packet.start;
    let end = packet.end;
    if (sa.mode === TUNNEL) while (end - start < sa.padTo) data[end++] = 0;
    const over = (end - start + ESP_TRAILER) % transform.align;
    const padding = over > 0 ? transform.align - over : 0;
    for (let i = 1; i <= padding; i++) data[end++] = i;
    data[end++] = padding;
    data[end++] = next;
    const at = start - transform.ivSize - ESP_HEADER;
    put32(data, at, sa.spi);
    put32(data, at + ESP_SEQUENCE, sa.low);
    // An IV that can be foretold is worse than none (CBC).
    const result =
      transform.align > 4 && !this.stack.host.secure(16)
        ? CIPHER_FAILED
        : transform.seal(data, at, start, end, sa.high, sa.esn, this.random);
    packet.start = at;
    packet.end = end + transform.icvSize;
    if (result !== CIPHER_FAILED) this.counters.sent++;
    else this.counters.cipher++;
    return result;
  }

  open(sa: Sa, packet: Packet): number {
    const counters = this.counters;
    const data = packet.data;
    const transform = sa.transform;
    const at = packet.start;
    const start = at + ESP_HEADER + transform.ivSize;
    const end = packet.end - transform.icvSize;
    counters.received++;
    if (end - start < transform.align || (end - start) % transform.align !== 0) {
      counters.malformed++;
      return -1;
    }
    const low = get32(data, at + ESP_SEQUENCE);
    if (!sa.window.check(low)) {
      counters.replay++;
      return -1;
    }
    const result = transform.open(data, at, start, end, sa.window.candidate, sa.esn);
    if (result === CIPHER_PENDING) return OPEN_PENDING;
    if (result === CIPHER_DONE) return this.opened(sa, packet);
    counters.auth++;
    return -1;
  }

  opened(sa: Sa, packet: Packet): number {
    const counters = this.counters;
    const data = packet.data;
    const transform = sa.transform;
    const at = packet.start;
    const start = at + ESP_HEADER + transform.ivSize;
    const end = packet.end - transform.icvSize;
    if (!sa.window.accept(get32(data, at + ESP_SEQUENCE))) {
      counters.replay++;
      return -1;
    }
    const padding = data[end - 2];
    const last = end - ESP_TRAILER - padding;
    if (last < start || !isPadding(data, last, padding)) {
      counters.malformed++;
      return -1;
    }
    packet.start = start;
    packet.end = last;
    return data[end - 1];
  }

  input(packet: Packet): void {
    countUnknown(this, packet);
  }

  error(quoted: Packet, code: number, mtu: number): boolean {
    return this.ipsec.error(this, quoted, code, mtu);
  }
}

/** 1, 2, 3, ... (RFC 4303 section 2.4). */
function isPadding(data: Uint8Array, at: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (data[at + i] !== i + 1) return false;
  return true;
}

/** ESP. Needs `ipsec`, and a host with ciphers. Counters: `esp`. */
export function esp(): Esp {
  return new Esp();
}

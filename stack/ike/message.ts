/** IKE messages (RFC 7296 sections 3.1, 3.2, 3.10): what has come, as a list of payloads; and a chain of payloads to be sent. */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import * as wire from "../wire/ike.js";

/** Payloads in one message at most. A certificate chain of eight with all notifications has thirty. */
export const PAYLOADS = 64;
/** Bytes of a message at most, put together from fragments too. */
export const MAXIMUM_MESSAGE = 32768;

/** `parsePayloads`: the chain does not fit its lengths. An unknown critical payload gives its type, which is above 0. */
export const SYNTAX = -1;

export class Message {
  exchange = 0;
  flags = 0;
  id = 0;
  /** The payloads' types, and where their bodies lie in `data`: of what is encrypted, once it is not. */
  readonly types: number[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** The datagram without the marker. */
  raw: Uint8Array;
  /** Of what was encrypted the whole, and the type of its first payload. */
  inner = new Uint8Array(0);
  first = 0;

  constructor(public data: Uint8Array) {
    this.raw = data;
  }

  response(): boolean {
    return (this.flags & wire.FLAG_RESPONSE) !== 0;
  }

  /** The index of the first payload of a type, or -1. */
  find(type: number): number {
    return this.types.indexOf(type);
  }

  /** The body of the payload at `index`. */
  body(index: number): Uint8Array {
    return this.data.subarray(this.starts[index], this.ends[index]);
  }

  length(index: number): number {
    return this.ends[index] - this.starts[index];
  }

  /** Index of the first notification of that type, or -1. */
  notify(type: number, from = 0): number {
    for (let i = from; i < this.types.length; i++) {
      if (this.types[i] === wire.PAYLOAD_NOTIFY && this.notifyType(i) === type) return i;
    }
    return -1;
  }

  /** The type of the notification at `index`. */
  notifyType(index: number): number {
    return get16(this.data, this.starts[index] + 2);
  }

  /** The first notification of an error, or 0. */
  error(): number {
    for (let i = 0; i < this.types.length; i++) {
      if (this.types[i] === wire.PAYLOAD_NOTIFY && this.notifyType(i) < wire.FIRST_STATUS)
        return this.notifyType(i);
    }
    return 0;
  }

  /** What the notification at `index` says, behind its SPI. */
  notifyData(index: number): Uint8Array {
    const at = this.starts[index];
    return this.data.subarray(at + 4 + this.data[at + 1], this.ends[index]);
  }
}

/** The message in `data`, as far as the header tells; null: it is none of ours to read (too short, too long, a length that lies). */
export function parseHeader(data: Uint8Array): Message | null {
  if (data.length < wire.IKE_HEADER || data.length > MAXIMUM_MESSAGE) return null;
  if (get32(data, wire.IKE_LENGTH) !== data.length) return null;
  const message = new Message(data);
  message.exchange = data[wire.IKE_EXCHANGE];
  message.flags = data[wire.IKE_FLAGS];
  message.id = get32(data, wire.IKE_ID);
  return message;
}

/**
 * Reads the chain of payloads in `data[at..end)` into `message`, and checks of each what all readers of its type rely on.
 *
 * @param first the type of the first payload
 * @returns 0, `SYNTAX`, or the type of a payload that is unknown and critical
 */
export function parsePayloads(
  message: Message,
  data: Uint8Array,
  at: number,
  end: number,
  first: number,
): number {
  let type = first;
  message.data = data;
  while (type !== wire.PAYLOAD_NONE) {
    if (end - at < wire.PAYLOAD_HEADER || message.types.length >= PAYLOADS) return SYNTAX;
    const length = get16(data, at + 2);
    if (length < wire.PAYLOAD_HEADER || length > end - at) return SYNTAX;
    const body = length - wire.PAYLOAD_HEADER;
    const known = (type >= wire.PAYLOAD_SA && type <= wire.PAYLOAD_EAP) || type === wire.PAYLOAD_SKF;
    if (!known && data[at + 1] & wire.CRITICAL) return type;
    if (known && body < least(type)) return SYNTAX;
    const start = at + wire.PAYLOAD_HEADER;
    // Of a notification the SPI lies inside.
    if (type === wire.PAYLOAD_NOTIFY && data[start + 1] > body - 4) return SYNTAX;
    if (type === wire.PAYLOAD_NONCE && (body < 16 || body > 256)) return SYNTAX;
    if (known) {
      message.types.push(type);
      message.starts.push(start);
      message.ends.push(at + length);
    }
    type = type === wire.PAYLOAD_SK || type === wire.PAYLOAD_SKF ? wire.PAYLOAD_NONE : data[at];
    at += length;
  }
  return at === end ? 0 : SYNTAX;
}

/** Bytes that a payload's fixed fields have. */
function least(type: number): number {
  if (type === wire.PAYLOAD_CERT || type === wire.PAYLOAD_CERTREQ) return 1;
  if (type === wire.PAYLOAD_SA || type === wire.PAYLOAD_VENDOR) return 0;
  return 4;
}

/** A chain of payloads in the making. */
export class Writer {
  data = new Uint8Array(512);
  length = 0;
  /** The type of the first payload. */
  first = wire.PAYLOAD_NONE;
  /** Where the payload begins that was begun last. */
  private at = -1;

  /** Begins a payload: its bytes follow, and the next `begin` or `end` ends it. */
  begin(type: number): this {
    this.end();
    if (this.at < 0) this.first = type;
    else this.data[this.at] = type;
    this.at = this.length;
    this.put32(0);
    return this;
  }

  /** Writes the length of the payload that was begun last. */
  end(): this {
    if (this.at >= 0) put16(this.data, this.at + 2, this.length - this.at);
    return this;
  }

  put8(value: number): this {
    this.room(1);
    this.data[this.length++] = value;
    return this;
  }

  put16(value: number): this {
    this.room(2);
    put16(this.data, this.length, value);
    this.length += 2;
    return this;
  }

  put32(value: number): this {
    this.room(4);
    put32(this.data, this.length, value);
    this.length += 4;
    return this;
  }

  bytes(source: Uint8Array): this {
    this.room(source.length);
    this.data.set(source, this.length);
    this.length += source.length;
    return this;
  }

  /** A whole payload. */
  payload(type: number, body: Uint8Array): this {
    return this.begin(type).bytes(body);
  }

  /** A whole notification without SPI. */
  notify(type: number, data?: Uint8Array): this {
    this.begin(wire.PAYLOAD_NOTIFY).put16(0).put16(type);
    return data ? this.bytes(data) : this;
  }

  /** A notification about a child SA. */
  notifySpi(type: number, protocol: number, spi: number): this {
    return this.begin(wire.PAYLOAD_NOTIFY).put8(protocol).put8(4).put16(type).put32(spi);
  }

  /** Makes room for `size` bytes more. */
  room(size: number): void {
    if (this.length + size <= this.data.length) return;
    const larger = new Uint8Array((this.length + size) * 2);
    larger.set(this.data.subarray(0, this.length), 0);
    this.data = larger;
  }
}

/** Writes a header into `target[0..28)`. */
export function emitHeader(
  target: Uint8Array,
  spiI: Uint8Array,
  spiR: Uint8Array,
  next: number,
  exchange: number,
  flags: number,
  id: number,
): void {
  target.set(spiI, wire.IKE_SPI_I);
  target.set(spiR, wire.IKE_SPI_R);
  target[wire.IKE_NEXT] = next;
  target[wire.IKE_VERSION] = wire.VERSION_2;
  target[wire.IKE_EXCHANGE] = exchange;
  target[wire.IKE_FLAGS] = flags;
  put32(target, wire.IKE_ID, id);
  put32(target, wire.IKE_LENGTH, target.length);
}

/** A message in the clear. */
export function emitPlain(
  spiI: Uint8Array,
  spiR: Uint8Array,
  exchange: number,
  flags: number,
  id: number,
  chain: Writer,
): Uint8Array {
  chain.end();
  const packet = new Uint8Array(wire.IKE_HEADER + chain.length);
  emitHeader(packet, spiI, spiR, chain.first, exchange, flags, id);
  packet.set(chain.data.subarray(0, chain.length), wire.IKE_HEADER);
  return packet;
}

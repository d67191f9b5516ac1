/** The encrypted payload (RFC 7296 section 3.14, RFC 5282): what seals the messages of one direction of an IKE SA, and opens them. */
import { CIPHER_DONE, erase } from "../../hypercall/crypto.js";
import type { Cipher, CipherJob, CryptoHypercalls } from "../../hypercall/crypto.js";
import { get32, put16, put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import type { Algorithm } from "./algorithms.js";
import { emitHeader } from "./message.js";

/** Bytes of the explicit IV of an AEAD. */
const AEAD_IV = 8;

/** Where an encrypted payload's plaintext lies, after `open`. */
export interface Opened {
  from: number;
  till: number;
}

export class Protection implements CipherJob {
  data = new Uint8Array(0);
  start = 0;
  end = 0;
  tag = 0;
  aad = this.data;
  aadStart = 0;
  aadEnd = 0;
  readonly nonce: Uint8Array;
  readonly opened: Opened = { from: 0, till: 0 };
  private readonly cipher: Cipher;
  private readonly mac: Cipher | null;
  private readonly ivSize: number;
  private readonly tagSize: number;
  private readonly saltSize: number;
  private count = 0;

  /** @param key the cipher's, with its salt behind @param random fills an IV (CBC) */
  constructor(
    crypto: CryptoHypercalls,
    encryption: Algorithm,
    key: Uint8Array,
    integrity: Algorithm | null,
    macKey: Uint8Array,
    private readonly random: (target: Uint8Array) => boolean,
  ) {
    const aead = encryption.salt > 0;
    const cipher = open(crypto, encryption.name, key.subarray(0, encryption.key));
    this.mac = aead ? null : open(crypto, integrity!.name, macKey);
    this.cipher = cipher;
    this.saltSize = encryption.salt;
    this.ivSize = aead ? AEAD_IV : cipher.nonceSize;
    this.tagSize = this.mac ? this.mac.tagSize : cipher.tagSize;
    this.nonce = new Uint8Array(cipher.nonceSize);
    for (let i = 0; i < this.saltSize; i++) this.nonce[i] = key[encryption.key + i];
  }

  done(): void {
    // It never is pending: `immediate` was asked for.
  }

  /** The most bytes of payloads that fit a message of `size` bytes; `extra`: of a fragment's numbers. */
  capacity(size: number, extra: number): number {
    const room = size - wire.IKE_HEADER - wire.PAYLOAD_HEADER - extra - this.ivSize - this.tagSize;
    const block = this.cipher.blockSize;
    return room - (room % block) - 1;
  }

  /**
   * A message with `inner[from..to)` in an encrypted payload; null: the host has failed.
   *
   * @param clear payloads before it, which are authenticated too @param part numbers of a fragment, or 0
   */
  seal(
    spiI: Uint8Array,
    spiR: Uint8Array,
    exchange: number,
    flags: number,
    id: number,
    first: number,
    inner: Uint8Array,
    from: number,
    to: number,
    part: number,
  ): Uint8Array | null {
    const block = this.cipher.blockSize;
    const head = wire.IKE_HEADER + wire.PAYLOAD_HEADER + (part ? 4 : 0);
    const length = to - from;
    const padding = block - 1 - (length % block);
    const start = head + this.ivSize;
    const end = start + length + padding + 1;
    const packet = new Uint8Array(end + this.tagSize);
    emitHeader(packet, spiI, spiR, part ? wire.PAYLOAD_SKF : wire.PAYLOAD_SK, exchange, flags, id);
    packet[wire.IKE_HEADER] = first;
    put16(packet, wire.IKE_HEADER + 2, packet.length - wire.IKE_HEADER);
    if (part) put32(packet, wire.IKE_HEADER + wire.PAYLOAD_HEADER, part);
    packet.set(inner.subarray(from, to), start);
    packet[end - 1] = padding;
    if (this.mac) {
      if (!this.random(this.nonce)) return null;
      packet.set(this.nonce, head);
    } else {
      put32(packet, head + 4, this.count++);
      this.nonce.set(packet.subarray(head, start), this.saltSize);
    }
    this.point(packet, head, start, end);
    if (this.cipher.seal(this) !== CIPHER_DONE) return null;
    if (this.mac) {
      this.start = 0;
      if (this.mac.seal(this) !== CIPHER_DONE) return null;
    }
    return packet;
  }

  /**
   * Opens the encrypted payload whose body is `data[at..end)`, the last of its message, in place; false: it is not authentic. Then
   * `opened` is where the payloads lie.
   */
  open(data: Uint8Array, at: number, end: number): boolean {
    const start = at + this.ivSize;
    const tag = end - this.tagSize;
    const length = tag - start;
    if (length < 1 || length % this.cipher.blockSize !== 0 || end !== data.length) return false;
    this.nonce.set(data.subarray(at, start), this.saltSize);
    this.point(data, at, start, tag);
    if (this.mac) {
      this.start = 0;
      if (this.mac.open(this) !== CIPHER_DONE) return false;
      this.start = start;
    }
    if (this.cipher.open(this) !== CIPHER_DONE) return false;
    const padding = data[tag - 1];
    if (padding + 1 > length) return false;
    this.opened.from = start;
    this.opened.till = tag - 1 - padding;
    return true;
  }

  /** Overwrites the keys. */
  close(): void {
    this.cipher.close();
    if (this.mac) this.mac.close();
    erase(this.nonce);
  }

  private point(data: Uint8Array, head: number, start: number, end: number): void {
    this.data = this.aad = data as Uint8Array<ArrayBuffer>;
    this.start = start;
    this.end = this.tag = end;
    this.aadStart = 0;
    this.aadEnd = head;
  }
}

function open(crypto: CryptoHypercalls, name: string, key: Uint8Array): Cipher {
  const cipher = crypto.cipher ? crypto.cipher(name, key, true) : null;
  return cipher || fail("EOPNOTSUPP", name);
}

/** The message ID of a datagram. */
export function messageId(data: Uint8Array): number {
  return get32(data, wire.IKE_ID);
}

/**
 * The functions of bare.h as JavaScript sees them: what the glue of an engine (duktape-glue.c) hands over. Numbers are whole, flags
 * are booleans; nothing is allocated by a call.
 */
export interface BareCalls {
  /** `bare_now`: 0..2^32-1, or the same bits as an int32. */
  now(): number;
  /** `bare_random` */
  random(target: Uint8Array): boolean;
  /** `bare_link`: fills `about` with the 6 bytes of the hardware address and the MTU, big-endian. */
  link(index: number, about: Uint8Array): boolean;
  /** `bare_link_state` */
  linkState(index: number): number;
  /** `bare_frame_out` of `frame[start..end)` */
  frameOut(index: number, frame: Uint8Array, start: number, end: number): boolean;
  /** `bare_frame_in` into the whole of `frame` */
  frameIn(index: number, frame: Uint8Array): number;
  /** `bare_idle`; a negative `delay` is `BARE_FOREVER`. */
  idle(delay: number): boolean;
  /** `bare_log` */
  log(line: string): void;
  /** `bare_panic` with `message` and what the engine knows of `error`: where it was thrown. Absent when the board has none. */
  panic?(message: string, error: unknown): void;
  /** `bare_checksum` of `data[start..end)`; absent when the board has none. */
  checksum?(data: Uint8Array, start: number, end: number, initial: number): number;
  /** The glue's own memcpy; absent when it has none. */
  copy?(
    target: Uint8Array,
    targetStart: number,
    source: Uint8Array,
    sourceStart: number,
    length: number,
  ): void;
  /** `bare_cipher_open` with the whole of `key`; absent, as the next two, when the board has no ciphers. */
  cipherOpen?(algorithm: string, key: Uint8Array): number;
  /** `bare_cipher_run` of `data[start..end)`, with the tag at `data[tag..tag + 16)` and the first 12 bytes of `nonce`. */
  cipherRun?(
    cipher: number,
    seal: boolean,
    data: Uint8Array,
    start: number,
    end: number,
    tag: number,
    nonce: Uint8Array,
    aad: Uint8Array,
    aadStart: number,
    aadEnd: number,
  ): boolean;
  /** `bare_cipher_run` without a packet */
  cipherClose?(cipher: number): void;
}

/** The bits of `linkState`: see bare.h. */
export const BARE_CARRIER = 1;
export const BARE_ROOM = 2;
export const BARE_LOST_SHIFT = 2;

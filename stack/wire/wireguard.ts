/** WireGuard's messages (Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel", section 5.4): offsets. Numbers are little-endian. */
export const INITIATION = 1;
export const RESPONSE = 2;
export const COOKIE_REPLY = 3;
export const TRANSPORT = 4;

export const SENDER = 4;
/** Of an initiation. */
export const INITIATION_EPHEMERAL = 8;
export const INITIATION_STATIC = 40;
export const INITIATION_TIMESTAMP = 88;
export const INITIATION_LENGTH = 148;
/** Of a response. */
export const RESPONSE_RECEIVER = 8;
export const RESPONSE_EPHEMERAL = 12;
export const RESPONSE_EMPTY = 44;
export const RESPONSE_LENGTH = 92;
/** Both end in two MACs of 16 bytes. */
export const MACS = 32;
export const MAC = 16;
/** Of a cookie reply, and of transport messages. */
export const RECEIVER = 4;
export const COOKIE_NONCE = 8;
export const COOKIE_COOKIE = 32;
export const COOKIE_LENGTH = 64;
export const COUNTER = 8;
export const TRANSPORT_HEADER = 16;
export const TAG = 16;

export function getLittle32(data: Uint8Array, at: number): number {
  return data[at] | (data[at + 1] << 8) | (data[at + 2] << 16) | (data[at + 3] << 24);
}

export function putLittle32(data: Uint8Array, at: number, value: number): void {
  data[at] = value;
  data[at + 1] = value >> 8;
  data[at + 2] = value >> 16;
  data[at + 3] = value >> 24;
}

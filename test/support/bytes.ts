/** Bytes for tests: from hexadecimal, from text, of a pattern; a checksum of their own, so that the stack's is not its own judge. */

/** `bytes("08 00 4500")` */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/[\s:]/g, "");
  if (digits.length % 2 || /[^0-9a-f]/i.test(digits)) throw new Error("not hexadecimal: " + text);
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** Latin-1 text as bytes. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** `length` bytes that differ from place to place: equal content at a wrong offset is found out. */
export function pattern(length: number, offset = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = patternByte(offset + i);
  return bytes;
}

/** The pattern's byte at an offset of a stream; its period is 251 * 256 bytes. */
export function patternByte(offset: number): number {
  return ((offset % 251) + Math.floor(offset / 251)) & 255;
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The Internet checksum (RFC 1071) by the book. */
export function internetChecksum(...parts: Uint8Array[]): number {
  const bytes = concat(...parts);
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum += i % 2 ? bytes[i] : bytes[i] * 256;
  while (sum > 0xffff) sum = (sum % 65536) + Math.floor(sum / 65536);
  return 0xffff - sum;
}

/** `"10.0.0.1"` as bytes. */
export function ip4Bytes(text: string): Uint8Array {
  const parts = text.split(".").map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255)))
    throw new Error("IPv4 " + text);
  return Uint8Array.from(parts);
}

/** `"02:00:00:00:00:01"` as bytes. */
export function macBytes(text: string): Uint8Array {
  const bytes = hex(text);
  if (bytes.length !== 6) throw new Error("MAC " + text);
  return bytes;
}

/** An IPv6 address as bytes; `::` and an IPv4 tail are understood. */
export function ip6Bytes(text: string): Uint8Array {
  const v4 = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (v4) {
    const tail = ip4Bytes(v4[2]);
    text = v4[1] + ((tail[0] << 8) | tail[1]).toString(16) + ":" + ((tail[2] << 8) | tail[3]).toString(16);
  }
  const halves = text.split("::");
  const groups = halves.map((half) =>
    half === "" ? [] : half.split(":").map((group) => parseInt(group, 16)),
  );
  const missing = 8 - groups.reduce((count, half) => count + half.length, 0);
  if (halves.length > 2 || (halves.length === 2 ? missing < 1 : missing !== 0))
    throw new Error("IPv6 " + text);
  const all = halves.length === 2 ? [...groups[0], ...new Array(missing).fill(0), ...groups[1]] : groups[0];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 255]));
}

export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

export function ip4Text(bytes: Uint8Array): string {
  return Array.from(bytes).join(".");
}

/** All eight groups, none left out: `fe80:0:0:0:0:0:0:1`. */
export function ip6Text(bytes: Uint8Array): string {
  const groups = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] << 8) | bytes[i + 1]).toString(16));
  return groups.join(":");
}

/** Hardware addresses of links: given, or random and locally administered (IEEE 802, U/L bit). */
import { randomBytes } from "node:crypto";
import { systemError } from "./errors.js";

/** `"02:00:0a:09:00:02"` or 6 bytes; absent: random. Throws `EINVAL` for what is not a unicast address. */
export function hardwareAddress(mac: Uint8Array | string | undefined): Uint8Array {
  if (mac === undefined) {
    const random = new Uint8Array(randomBytes(6));
    random[0] = (random[0] & 0xfc) | 2;
    return random;
  }
  const text = /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i;
  let bytes: Uint8Array;
  if (typeof mac === "string" && text.test(mac)) {
    bytes = Uint8Array.from(mac.split(/[:-]/), (digits) => parseInt(digits, 16));
  } else if (mac instanceof Uint8Array && mac.length === 6) {
    bytes = mac.slice();
  } else throw systemError("EINVAL", `${String(mac)} is not a hardware address`);
  if (bytes[0] & 1 || bytes.every((b) => b === 0)) {
    throw systemError("EINVAL", `${String(mac)} is not a unicast hardware address`);
  }
  return bytes;
}

export function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (b) => b.toString(16).padStart(2, "0")).join(":");
}

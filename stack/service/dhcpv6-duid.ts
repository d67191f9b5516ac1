/** DHCP unique identifiers (RFC 8415 section 11): made once, kept by the application for the life of the device. */
import { fail } from "../core/errors.js";
import type { Stack } from "../core/stack.js";

/** DUID-LL: of the hardware address of an interface that is not going to be exchanged. */
export function duidLinkLayer(mac: Uint8Array): Uint8Array {
  const duid = new Uint8Array(4 + mac.length);
  duid[1] = 3;
  duid[3] = 1;
  duid.set(mac, 4);
  return duid;
}

/** DUID-UUID (RFC 6355) of a UUID's 16 bytes. */
export function duidUuid(uuid: Uint8Array): Uint8Array {
  if (uuid.length !== 16) fail("EINVAL", "uuid");
  const duid = new Uint8Array(18);
  duid[1] = 4;
  duid.set(uuid, 2);
  return duid;
}

/** DUID-UUID of a new random UUID. Errors (thrown): `EIO` the host has no entropy. */
export function randomDuid(stack: Stack): Uint8Array {
  const uuid = new Uint8Array(16);
  if (!stack.host.random(uuid)) fail("EIO", "random");
  uuid[6] = (uuid[6] & 15) | 0x40;
  uuid[8] = (uuid[8] & 63) | 0x80;
  return duidUuid(uuid);
}

/** What TCP and UDP share: the transport checksum with its pseudo-header, on the way in and out, and ephemeral ports. */
import { put16 } from "./bytes.js";
import { fold } from "./checksum.js";
import type { Interface } from "./interface.js";
import type { Path } from "./network.js";
import { CHECKSUM_OK } from "./packet.js";
import type { Packet } from "./packet.js";
import type { Stack } from "./stack.js";

/** True when the checksum of `packet` (transport header at `start`) is right, or the link vouches for it. */
export function checksumValid(stack: Stack, packet: Packet, protocol: number): boolean {
  if (packet.flags & CHECKSUM_OK) return true;
  const seed = fold(packet.pseudo + protocol + packet.end - packet.start);
  return stack.host.sum(packet.data, packet.start, packet.end, seed) === 0xffff;
}

/**
 * Fills in the checksum field at `field` of the outgoing `packet` (transport header at `start`), or leaves it to a link that
 * offers to. `path` has been routed.
 *
 * @param zero what stands for a checksum of 0: UDP sends 0xffff
 */
export function fillChecksum(
  stack: Stack,
  packet: Packet,
  path: Path,
  protocol: number,
  field: number,
  zero: number,
): void {
  const data = packet.data;
  const length = packet.end - packet.start;
  const seed = fold(path.pseudo + protocol + length);
  const offloads = (path.nif as Interface).link.offloads;
  if (
    offloads &&
    offloads.transmitChecksum &&
    path.overhead === 0 &&
    (packet.segmentSize > 0 || length + path.net.headerSize <= path.mtu)
  ) {
    put16(data, field, seed);
    packet.checksumField = field;
    return;
  }
  data[field] = data[field + 1] = 0;
  put16(data, field, ~stack.host.sum(data, packet.start, packet.end, seed) & 0xffff || zero);
}

/** The dynamic ports (RFC 6335 section 6). */
export const EPHEMERAL_LOW = 49152;
export const EPHEMERAL_COUNT = 16384;

/** VXLAN header (RFC 7348 section 5): offsets, and its parser. */
import { get32 } from "../core/bytes.js";
import { ETHERNET_HEADER } from "./ethernet.js";

export const VXLAN_PORT = 4789;
export const VXLAN_HEADER = 8;
export const VXLAN_VNI = 4;
/** The I flag: there is a VNI. */
export const VXLAN_VALID = 0x08;

/** The network identifier of the packet at `at`, 24 bits; -1: no flag, or shorter than it and a frame's header. */
export function parseVxlan(data: Uint8Array, at: number, end: number): number {
  if (end - at < VXLAN_HEADER + ETHERNET_HEADER || (data[at] & VXLAN_VALID) === 0) return -1;
  return get32(data, at + VXLAN_VNI) >>> 8;
}

/** GRE header (RFC 2784 section 2, RFC 2890 section 2): offsets, flags, and its parser. */
import { get16, get32 } from "../core/bytes.js";

export const PROTOCOL_GRE = 47;
/** Bytes without optional fields. */
export const GRE_HEADER = 4;
export const GRE_TYPE = 2;

export const GRE_CHECKSUM = 0x8000;
export const GRE_KEY = 0x2000;
export const GRE_SEQUENCE = 0x1000;
/** Routing (1701), strict source route, recursion, and the version: whoever sets them is no peer (RFC 2784 section 2.3). */
const GRE_RESERVED = 0x4f07;

/** An Ethernet frame with its header, as `ETHERTYPE`: transparent Ethernet bridging (RFC 1701, RFC 7637). */
export const TYPE_BRIDGED = 0x6558;

/** What a header says. */
export class GreHeader {
  type = 0;
  flags = 0;
  key = 0;
  sequence = 0;
}

/** Reads the header at `at` into `header`; its length, or -1: too short, or not of this version. */
export function parseGre(data: Uint8Array, at: number, end: number, header: GreHeader): number {
  if (end - at < GRE_HEADER) return -1;
  const flags = get16(data, at);
  header.flags = flags;
  header.type = get16(data, at + GRE_TYPE);
  header.key = header.sequence = 0;
  const length = greLength(flags);
  if (flags & GRE_RESERVED || end - at < length) return -1;
  let field = at + GRE_HEADER + (flags & GRE_CHECKSUM ? 4 : 0);
  if (flags & GRE_KEY) {
    header.key = get32(data, field);
    field += 4;
  }
  if (flags & GRE_SEQUENCE) header.sequence = get32(data, field);
  return length;
}

/** Bytes of a header with these flags. */
export function greLength(flags: number): number {
  return (
    GRE_HEADER + (flags & GRE_CHECKSUM ? 4 : 0) + (flags & GRE_KEY ? 4 : 0) + (flags & GRE_SEQUENCE ? 4 : 0)
  );
}

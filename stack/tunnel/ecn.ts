/** Congestion marks of tunnels (RFC 6040): what an inner header has of the outer one when that goes. */
import { get16, put16 } from "../core/bytes.js";
import { updateChecksum } from "../core/checksum.js";
import { IPV4_CHECKSUM, IPV4_HEADER, IPV4_TOS } from "../wire/ipv4.js";
import { IPV6_HEADER } from "../wire/ipv6.js";

const NOT_ECT = 0;
const ECT1 = 1;
const CE = 3;

/** TOS or traffic class of the IP packet at `at`; 0 of what is none. */
export function tosOf(data: Uint8Array, at: number, end: number): number {
  const version = at < end ? data[at] >> 4 : 0;
  if (version === 4 && end - at >= IPV4_HEADER) return data[at + IPV4_TOS];
  if (version === 6 && end - at >= IPV6_HEADER) return (get16(data, at) >> 4) & 255;
  return 0;
}

/**
 * Joins the outer mark to the inner header at `at` (section 4.2, figure 4).
 *
 * @returns false: the packet is to be dropped, for it met congestion and its sender would not be told
 */
export function joinMarks(data: Uint8Array, at: number, end: number, outer: number): boolean {
  const tos = tosOf(data, at, end);
  const inner = tos & 3;
  const mark = outer & 3;
  let joined = inner;
  if (mark === CE) {
    if (inner === NOT_ECT) return false;
    joined = CE;
  } else if (mark === ECT1 && inner !== NOT_ECT && inner !== CE) joined = ECT1;
  if (joined === inner) return true;
  if (data[at] >> 4 === 6) data[at + 1] = (data[at + 1] & 0xcf) | (joined << 4);
  else {
    const word = get16(data, at);
    const changed = (word & ~3) | joined;
    put16(data, at, changed);
    put16(data, at + IPV4_CHECKSUM, updateChecksum(get16(data, at + IPV4_CHECKSUM), word, changed));
  }
  return true;
}

/** What a router does with packets of ECN-capable transports when its queue becomes long (RFC 3168 section 5). */

const ECT_MASK = 3;
const CE = 3;

/** Sets CE in the packet at `at` where its sender allows it; true when it has been set. */
export function markCongestion(data: Uint8Array, at: number): boolean {
  const version = data[at] >> 4;
  if (version === 4) {
    const before = data[at + 1];
    if ((before & ECT_MASK) === 0) return false;
    data[at + 1] = before | CE;
    // The checksum changes by as much (RFC 1624, equation 3).
    const old = (data[at + 10] << 8) | data[at + 11];
    let sum = (~old & 0xffff) + (~before & 0xffff) + (before | CE);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    data[at + 10] = ~sum >> 8;
    data[at + 11] = ~sum;
    return true;
  }
  if (version !== 6 || (data[at + 1] & (ECT_MASK << 4)) === 0) return false;
  data[at + 1] |= CE << 4;
  return true;
}

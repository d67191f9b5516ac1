/** Hardware addresses that an interface takes beside its own (groups, and VRRP's), counted by user and told to the link. */
import type { Interface } from "../core/interface.js";

/** Adds (`by` 1) or removes (-1) a user of the hardware address `high:low`. */
export function useGroup(nif: Interface, high: number, low: number, by: number): void {
  const groups = nif.groups;
  let i = 0;
  while (i < groups.length && (groups[i] !== high || groups[i + 1] !== low)) i += 3;
  if (i === groups.length) {
    if (by < 0) return;
    groups.push(high, low, 0);
  }
  groups[i + 2] += by;
  if (groups[i + 2] <= 0) groups.splice(i, 3);
  const link = nif.link;
  if (!link.multicast) return;
  const count = groups.length / 3;
  const bytes = new Uint8Array(count * 6);
  for (let g = 0; g < count; g++) {
    for (let b = 0; b < 6; b++) {
      bytes[g * 6 + b] = b < 2 ? groups[g * 3] >> (8 - b * 8) : groups[g * 3 + 1] >> (40 - b * 8);
    }
  }
  try {
    link.multicast(bytes, count);
  } catch (error) {
    nif.stack.hostFault("multicast", error);
  }
}

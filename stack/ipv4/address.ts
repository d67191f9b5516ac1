/** The addresses of the host: several to an interface, each with its prefix and its state. */
import type { Interface } from "../core/interface.js";
import { mask4 } from "../wire/ipv4.js";

/** In conflict detection: not used yet (RFC 5227 section 2.1). */
export const TENTATIVE = 0;
/** In use. */
export const PREFERRED = 1;
/** In use by flows that have it, not for new ones. */
export const DEPRECATED = 2;

export class Address4 {
  state = PREFERRED;
  readonly mask: number;
  /** Directed broadcast address, or 0 where the prefix has none (/31, /32). */
  readonly broadcast: number;

  constructor(
    readonly nif: Interface,
    readonly address: number,
    /** Prefix length, 1..32. */
    readonly length: number,
    /** Who configured it: `"manual"`, `"dhcp"`, `"link-local"`. */
    readonly origin: string,
  ) {
    this.mask = mask4(length);
    this.broadcast = length < 31 ? address | ~this.mask : 0;
  }
}

/** True when `value` is the broadcast of `entry`'s network, new style or old (host part all ones or all zeros). */
export function isBroadcastOf(entry: Address4, value: number): boolean {
  return entry.broadcast !== 0 && (value === entry.broadcast || value === (entry.address & entry.mask));
}

/** The IPv6 addresses of the host: several to an interface, each with prefix, state and lifetimes (RFC 4862 section 5.5.4). */
import type { Interface } from "../core/interface.js";

/** In duplicate address detection: not used yet. */
export const TENTATIVE = 0;
/** In use. */
export const PREFERRED = 1;
/** In use by flows that have it, not for new ones. */
export const DEPRECATED = 2;
/** Found to be somebody else's (RFC 4862 section 5.4.5): never used. */
export const DUPLICATED = 3;

export class Address6 {
  state = PREFERRED;
  /** A temporary address (RFC 8981): preferred as a source. */
  temporary = false;
  /** Stack times at which it becomes deprecated, and goes; meaningful where `expires`. */
  expires = false;
  preferredUntil = 0;
  validUntil = 0;

  constructor(
    readonly nif: Interface,
    /** 16 bytes. */
    readonly bytes: Uint8Array,
    /** Prefix length, 1..128. */
    readonly length: number,
    /** Who configured it: `"manual"`, `"link-local"`, `"slaac"`, `"temporary"`, `"dhcp"`. */
    readonly origin: string,
  ) {}
}

/** May the address receive, and be a source? */
export function isUsable(entry: Address6): boolean {
  return entry.state === PREFERRED || entry.state === DEPRECATED;
}

/** The seam between the translation of headers and the addresses that stand for one another: translator.ts. */
export interface Addresses {
  /** Where `four` writes to. */
  word: number;
  /** The IPv4 address of the IPv6 one at `data[at..]`, into `word`; false: there is none. @param role SOURCE, DESTINATION, ... */
  four(data: Uint8Array, at: number, role: number): boolean;
  /** Writes the IPv6 address of an IPv4 one at `target[at..]`; false: there is none. */
  six(word: number, target: Uint8Array, at: number, role: number): boolean;
}

/** Who the address belongs to: the sender, or the receiver. */
export const SOURCE = 0;
export const DESTINATION = 1;
/** The sender of an ICMP error: a router, which may have no address of the other family. */
export const REPORTER = 2;
/** The ends of what an error quotes. */
export const QUOTED = 3;

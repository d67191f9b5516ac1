/**
 * Link-local addresses (RFC 3927): an address of 169.254.0.0/16 for an interface that gets none otherwise. When to have one (say,
 * while DHCP finds no server) is the caller's decision.
 */
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import { isLinkLocal4 } from "../wire/ipv4.js";
import type { Acd } from "./acd.js";
import type { Address4 } from "./address.js";
import type { Ipv4 } from "./ipv4.js";

/** 169.254.1.0 .. 169.254.254.255: the first and last 256 are reserved (section 2.1). */
const FIRST = 0xa9fe0100 | 0;
const COUNT = 65024;
/** Routes over it come after all others. */
const METRIC = 1000;

/** An interface with a link-local address, or on its way to one. */
class Seeker {
  address: Address4 | null = null;

  constructor(
    readonly nif: Interface,
    /** State of the generator of addresses. */
    public state: number,
  ) {}
}

export class LinkLocal implements Component {
  readonly name = "linklocal";
  private stack: Stack = null as never;
  private ip: Ipv4 = null as never;
  private readonly seekers: Seeker[] = [];

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "linklocal");
    this.stack = stack;
  }

  start(): void {
    const components = this.stack.components;
    let acd: Acd | null = null;
    for (let i = 0; i < components.length; i++) {
      if (components[i].name === "acd") acd = components[i] as Acd;
    }
    this.ip = this.stack.network(4) as Ipv4;
    if (!this.ip || !acd) return fail("ENOPROTOOPT", "linklocal needs ipv4 and acd");
    acd.onResult.push((address, usable) => {
      for (let i = 0; !usable && i < this.seekers.length; i++) {
        if (this.seekers[i].address === address) this.next(this.seekers[i]);
      }
    });
  }

  /**
   * Begins to look for an address for `nif`: usable once `Ipv4.onAddressChange` says so, after some seconds. Addresses that others
   * have are passed over; after ten of them one a minute is tried.
   *
   * @param preferred the address that it had last time, tried first
   */
  enable(nif: Interface, preferred?: string): void {
    if (!nif.medium.resolves || nif.removed) fail("EINVAL", "interface");
    const address = preferred === undefined ? null : parse4(preferred);
    if (preferred !== undefined && (address === null || !isLinkLocal4(address))) fail("EINVAL", "preferred");
    if (this.find(nif) >= 0) return;
    // The same addresses each time for the same hardware (section 2.1), different ones for different hardware.
    let state = 1;
    for (let shift = 8; shift >= 0; shift -= 8) state = (state * 257 + ((nif.high >> shift) & 255)) % 65537;
    for (let shift = 24; shift >= 0; shift -= 8) state = (state * 257 + ((nif.low >> shift) & 255)) % 65537;
    const seeker = new Seeker(nif, state);
    this.seekers.push(seeker);
    if (address === null || !this.take(seeker, address)) this.next(seeker);
  }

  /** Gives the address back. */
  disable(nif: Interface): void {
    const at = this.find(nif);
    if (at < 0) return;
    const seeker = this.seekers[at];
    this.seekers.splice(at, 1);
    if (seeker.address) this.ip.dropAddress(seeker.address);
  }

  /** The interface's link-local address, perhaps a tentative one; null: it has none. */
  address(nif: Interface): Address4 | null {
    const at = this.find(nif);
    return at < 0 ? null : this.seekers[at].address;
  }

  interfaceRemoved(nif: Interface): void {
    const at = this.find(nif);
    if (at >= 0) this.seekers.splice(at, 1);
  }

  /** Tries the generator's next address. */
  private next(seeker: Seeker): void {
    seeker.address = null;
    for (let tries = 0; tries < 8; tries++) {
      seeker.state = (seeker.state * 75 + 74) % 65537;
      if (this.take(seeker, FIRST + (seeker.state % COUNT))) return;
    }
  }

  private take(seeker: Seeker, address: number): boolean {
    try {
      const options = { origin: "link-local", metric: METRIC };
      seeker.address = this.ip.assign(seeker.nif, address, 16, options);
      return true;
    } catch {
      // Another interface of this host has it, or there is no room for its route.
      return false;
    }
  }

  private find(nif: Interface): number {
    for (let i = 0; i < this.seekers.length; i++) {
      if (this.seekers[i].nif === nif) return i;
    }
    return -1;
  }
}

/** Link-local IPv4 addresses. Needs `ipv4` and `acd`. */
export function linkLocal(): LinkLocal {
  return new LinkLocal();
}

/**
 * Addresses from advertised prefixes (RFC 4862 section 5.5) with stable opaque identifiers (RFC 7217): made, extended, deprecated,
 * dropped. slaac.ts hands the prefixes over; the lifetimes of all addresses, whoever gave them, are kept here.
 */
import type { Interface } from "../core/interface.js";
import type { Stack } from "../core/stack.js";
import { maskPrefix } from "../wire/ipv6.js";
import type { Address6 } from "./address.js";
import { DEPRECATED, PREFERRED, TENTATIVE } from "./address.js";
import { milliseconds } from "./advertised.js";
import type { Prefix, Site, SlaacCounters } from "./advertised.js";
import { assign } from "./configure.js";
import { stableIdentifier } from "./identifier.js";
import type { Ipv6 } from "./ipv6.js";

/** Another identifier is tried this often where an address was somebody else's (RFC 7217 section 7, IDGEN_RETRIES). */
export const IDENTIFIER_TRIES = 3;
/** RFC 4862 section 5.5.3 (e): an unauthenticated advertisement shortens a lifetime to two hours at the least, s. */
const TWO_HOURS = 7200;
const ENDLESS = 0xffffffff;

export class Autoconfiguration {
  constructor(
    private readonly stack: Stack,
    private readonly ip: Ipv6,
    private readonly counters: SlaacCounters,
    private readonly sites: Site[],
    private secret: Uint8Array | null,
    private readonly network: string,
  ) {}

  /** A prefix has been advertised: makes its address or extends it; lifetimes in seconds, -1: for ever. */
  take(site: Site, prefix: Prefix, valid: number, preferred: number): void {
    const known = prefix.address;
    if (!known) {
      if (valid === 0) return;
      this.make(site, prefix);
    }
    if (prefix.address) this.extend(prefix, prefix.address, valid, preferred, known === null);
  }

  /** The stable identifier of an interface under a prefix, 8 bytes; null: the host has no entropy for a secret yet. */
  identify(nif: Interface, prefix: Uint8Array, tries: number): Uint8Array | null {
    if (!this.secret) {
      const secret = new Uint8Array(16);
      if (!this.stack.host.random(secret)) return null;
      this.secret = secret;
    }
    return stableIdentifier(this.secret, nif, prefix, this.network, tries);
  }

  /** An address of ours is somebody else's: another identifier is tried (RFC 7217 section 6). */
  duplicate(site: Site, entry: Address6): void {
    if (entry.origin === "link-local") {
      if (++site.tries > IDENTIFIER_TRIES) return;
      this.ip.dropAddress(entry);
      this.ip.addLinkLocal(site.nif, site.tries);
      return;
    }
    for (let i = 0; i < site.prefixes.length; i++) {
      const prefix = site.prefixes[i];
      if (prefix.address !== entry) continue;
      prefix.tries++;
      this.ip.dropAddress(entry);
      this.make(site, prefix);
      const made = prefix.address as Address6 | null;
      if (!made || made === entry) return;
      made.expires = entry.expires;
      made.validUntil = entry.validUntil;
      made.preferredUntil = entry.preferredUntil;
    }
  }

  /** An address has gone: its prefix, unless it has expired before, makes another one when it is advertised next. */
  gone(entry: Address6): void {
    for (let s = 0; s < this.sites.length; s++) {
      const prefixes = this.sites[s].prefixes;
      for (let p = prefixes.length - 1; p >= 0; p--) {
        if (prefixes[p].address !== entry) continue;
        prefixes[p].address = null;
        if (prefixes[p].over) prefixes.splice(p, 1);
      }
    }
  }

  /** Addresses become deprecated, then go. */
  age(now: number): void {
    for (let i = this.ip.addresses.length - 1; i >= 0; i--) {
      const entry = this.ip.addresses[i];
      // Who is told of a change may change the list.
      if (!entry || !entry.expires) continue;
      if (((entry.validUntil - now) | 0) <= 0) {
        if (this.isEndless(entry)) entry.validUntil = (now + milliseconds(ENDLESS)) | 0;
        else this.ip.dropAddress(entry);
      } else if (entry.state === PREFERRED && ((entry.preferredUntil - now) | 0) <= 0) {
        entry.state = DEPRECATED;
        this.ip.addressChanged(entry, true);
      }
    }
  }

  /** When `age` has something to do next for `entry`; the clock's time, or `never`. */
  due(entry: Address6, never: number): number {
    if (!entry.expires || entry.state === TENTATIVE) return never;
    return entry.state === PREFERRED && ((entry.preferredUntil - entry.validUntil) | 0) < 0
      ? entry.preferredUntil
      : entry.validUntil;
  }

  /** Sets the lifetimes of an address: RFC 4862 section 5.5.3 (e). */
  private extend(prefix: Prefix, entry: Address6, valid: number, preferred: number, made: boolean): void {
    const now = this.stack.now();
    const remaining =
      entry.expires && !prefix.endless ? ((entry.validUntil - now) | 0) / 1000 : made ? 0 : ENDLESS;
    let seconds = valid >>> 0;
    // A forged advertisement must not take an address away at once.
    if (seconds <= TWO_HOURS && seconds < remaining) seconds = remaining < TWO_HOURS ? remaining : TWO_HOURS;
    prefix.endless = seconds === ENDLESS;
    entry.expires = !prefix.endless || preferred !== -1;
    entry.validUntil = (now + milliseconds(seconds)) | 0;
    entry.preferredUntil = (now + milliseconds(preferred >>> 0)) | 0;
    if (entry.state === PREFERRED ? preferred === 0 : entry.state === DEPRECATED && preferred !== 0) {
      entry.state = preferred === 0 ? DEPRECATED : PREFERRED;
      this.ip.addressChanged(entry, true);
    }
  }

  private make(site: Site, prefix: Prefix): void {
    if (prefix.tries > IDENTIFIER_TRIES) return;
    const identifier = this.identify(site.nif, prefix.bytes, prefix.tries);
    if (!identifier) return;
    const bytes = maskPrefix(prefix.bytes, 64);
    bytes.set(identifier, 8);
    const present = this.ip.entryOf(bytes, 0, site.nif);
    if (present) return;
    this.counters.addressesMade++;
    // The route to the prefix is the L flag's business (RFC 5942).
    const options = { origin: "slaac", route: false };
    prefix.address = assign(this.ip, site.nif, bytes, 64, options);
  }

  private isEndless(entry: Address6): boolean {
    for (let s = 0; s < this.sites.length; s++) {
      const prefixes = this.sites[s].prefixes;
      for (let p = 0; p < prefixes.length; p++) {
        if (prefixes[p].address === entry) return prefixes[p].endless;
      }
    }
    return false;
  }
}

/**
 * CLAT, the customer's half of 464XLAT (RFC 6877): IPv4 for applications and hosts behind an uplink that has IPv6 alone and a NAT64.
 *
 * It is the interface `clat`, with the default route of IPv4. What leaves by it becomes IPv6 from `address`, which must be routed to
 * this host (a delegated prefix). Hosts behind share its one IPv4 address by `napt({ outside: "clat" })`.
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { parsePrefix64 } from "../core/prefix64.js";
import type { Component, Stack } from "../core/stack.js";
import { format4, parse4 } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { SOURCE } from "./addresses.js";
import { TranslatorCounters } from "./counters.js";
import { Translator } from "./translator.js";

export interface ClatOptions {
  /** The provider's NAT64: router advertisements (RFC 8781) and `ipv4only.arpa` (RFC 7050) tell. */
  prefix: string;
  /** The IPv6 address that stands for this host's IPv4 one. */
  address: string;
  /** Default `"192.0.0.1"` (RFC 7335). */
  ipv4?: string;
  /** Default 1500. */
  mtu?: number;
  /** Bytes that may wait to be translated. Default 262144, at most a quarter of the budget. */
  memory?: number;
}

/** RFC 7600: routers without an IPv4 address. */
const DUMMY = 0xc0000008 | 0;

export class Clat implements Component {
  readonly name = "clat";
  readonly counters = new TranslatorCounters();
  translator: Translator | null = null;
  private stack: Stack = null as never;

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "clat");
    this.stack = stack;
    stack.counters.clat = this.counters as never;
  }

  /**
   * Begins; returns the interface `clat`. Errors: `EBUSY` it has begun, `EINVAL` an option, `ENOPROTOOPT` without `ipv4`, `ipv6`.
   */
  open(options: ClatOptions): Interface {
    const ip4 = this.stack.network(4) as Ipv4 | null;
    const ip6 = this.stack.network(6) as Ipv6 | null;
    if (!ip4 || !ip6) return fail("ENOPROTOOPT", "clat needs ipv4 and ipv6");
    if (this.translator) fail("EBUSY", "clat");
    const own = parse4(options.ipv4 || "192.0.0.1");
    const address = parse6(options.address);
    if (own === null) return fail("EINVAL", "ipv4");
    if (!address) return fail("EINVAL", "address");
    const translator = new Translator(this.stack, "clat", this.counters, {
      prefix: parsePrefix64(options.prefix),
      base: own,
      capacity: 1,
      router: DUMMY,
      mapped: SOURCE,
      mtu: requireInteger(options.mtu || 1500, 1280, 65535, "mtu"),
      memory: requireInteger(options.memory || 262144, 2048, 0x7fffffff, "memory"),
    });
    this.translator = translator;
    translator.hosts.fix(address, 0, own);
    ip4.addAddress(translator.nif, format4(own) + "/32");
    ip4.addRoute("0.0.0.0/0", { interface: translator.nif });
    ip6.addAddress(translator.nif, translator.address6());
    ip6.addRoute(options.address + "/128", { interface: translator.nif });
    return translator.nif;
  }

  /** Ends it: the interface goes, with its address and routes. Legal twice, and before `open`. */
  close(): void {
    if (this.translator) this.stack.removeInterface(this.translator.nif);
    this.translator = null;
  }
}

/** A CLAT: see `Clat.open`. Needs `ipv4`, `ipv6` and `forwarding6`. Counters: `clat`. */
export function clat(): Clat {
  return new Clat();
}

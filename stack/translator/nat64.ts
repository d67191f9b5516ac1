/**
 * NAT64 (RFC 6146, RFC 7915): hosts that have IPv6 alone reach those that have IPv4 alone, by addresses that DNS64 makes up.
 *
 * Each host gets an IPv4 address of a private pool; `napt` of the firewall makes the outer ports, the filtering and the timeouts, for
 * them as for hosts of IPv4. Both kinds so share the outer address. Without `napt` it is a stateless translator (RFC 7757).
 *
 * ```ts
 * const wall = firewall({ rules: [{ action: "accept", from: "lan" }], nat: napt() });
 * const stack = createStack(host, [..., forwarding(), forwarding6(), wall, nat64()]);
 * wall.assign(stack.findInterface("nat64"), "lan");
 * ```
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { parsePrefix64 } from "../core/prefix64.js";
import type { Component, Stack } from "../core/stack.js";
import { format4, parse4, splitPrefix } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import type { Ipv4 } from "../ipv4/ipv4.js";
import type { Ipv6 } from "../ipv6/ipv6.js";
import { mask4 } from "../wire/ipv4.js";
import { DESTINATION } from "./addresses.js";
import { TranslatorCounters } from "./counters.js";
import { Translator } from "./translator.js";

export interface Nat64Options {
  /** What IPv4 addresses are embedded in, of 32, 40, 48, 56, 64 or 96 bits. Default `"64:ff9b::/96"`, which stands for no private ones. */
  prefix?: string;
  /** Addresses for hosts; the first two are the translator's. Nobody outside sees them. Default `"192.168.255.0/24"`; /16 at most. */
  pool?: string;
  /** Hosts whose address is known beforehand, for port forwards: of the pool, from its fourth address on (`.3`). */
  hosts?: readonly { readonly address: string; readonly ipv4: string }[];
  /** Default 1500. */
  mtu?: number;
  /** Bytes that may wait to be translated. Default 262144, at most a quarter of the budget. */
  memory?: number;
}

export class Nat64 implements Component {
  readonly name = "nat64";
  readonly counters = new TranslatorCounters();
  /** The interface `nat64`: the prefix is routed to it. */
  nif: Interface = null as never;
  translator: Translator = null as never;
  private stack: Stack = null as never;

  constructor(private readonly options: Nat64Options) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "nat64");
    this.stack = stack;
    stack.counters.nat64 = this.counters as never;
  }

  started(): void {
    const options = this.options;
    const ip4 = this.stack.network(4) as Ipv4 | null;
    const ip6 = this.stack.network(6) as Ipv6 | null;
    if (!ip4 || !ip6) return fail("ENOPROTOOPT", "nat64 needs ipv4 and ipv6");
    const prefix = options.prefix || "64:ff9b::/96";
    const pool = splitPrefix(options.pool || "192.168.255.0/24", -1);
    const network = pool && parse4(pool.address);
    if (!pool || network === null || pool.length < 16 || pool.length > 29 || network & ~mask4(pool.length))
      return fail("EINVAL", "pool");
    this.translator = new Translator(this.stack, "nat64", this.counters, {
      prefix: parsePrefix64(prefix),
      base: network + 3,
      capacity: (1 << (32 - pool.length)) - 4,
      router: network + 2,
      mapped: DESTINATION,
      mtu: requireInteger(options.mtu || 1500, 1280, 65535, "mtu"),
      memory: requireInteger(options.memory || 262144, 2048, 0x7fffffff, "memory"),
    });
    this.nif = this.translator.nif;
    ip4.addAddress(this.nif, format4(network + 1) + "/" + pool.length);
    ip6.addAddress(this.nif, this.translator.address6());
    ip6.addRoute(prefix, { interface: this.nif });
    const hosts = options.hosts || [];
    for (let i = 0; i < hosts.length; i++) {
      const address = parse6(hosts[i].address);
      const four = parse4(hosts[i].ipv4);
      if (!address || four === null || !this.translator.hosts.fix(address, 0, four))
        fail("EINVAL", "host " + i);
    }
  }
}

/** A NAT64. Needs `ipv4`, `ipv6`, and `forwarding` and `forwarding6` to be of use. Throws `EINVAL` for bad options. Counters: `nat64`. */
export function nat64(options: Nat64Options = {}): Nat64 {
  return new Nat64(options);
}

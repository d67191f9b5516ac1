/**
 * Proxy neighbour discovery (RFC 4861 section 7.2.8, RFC 4389 section 4.1): answers solicitations on one link for hosts that are
 * reached by another. Nothing is answered by default.
 *
 * Single addresses, as Linux has it: each has a solicited-node group of its own, which must be joined. Bound: `limit` addresses.
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import { parse6 } from "../core/text6.js";
import { equal6, isLinkLocal6, isMulticast6, isUnspecified6, solicitedNode } from "../wire/ipv6.js";
import { joinGroup, leaveGroup } from "./groups.js";
import type { Ipv6 } from "./ipv6.js";
import type { NeighbourDiscovery } from "./nd.js";

/** An address that is answered for, and where. */
class ProxyEntry {
  constructor(
    readonly nif: Interface,
    readonly address: Uint8Array,
  ) {}
}

export interface ProxyNdOptions {
  /** Addresses at most. Default 64; each is a group of `ipv6({ groups })`. */
  limit?: number;
}

export class ProxyNd implements Component {
  readonly name = "proxynd";
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private readonly entries: ProxyEntry[] = [];

  constructor(private readonly limit: number) {}

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "proxynd");
    this.stack = stack;
  }

  start(): void {
    const components = this.stack.components;
    this.ip = this.stack.network(6) as Ipv6;
    for (let i = 0; i < components.length; i++) {
      if (components[i].name === "nd") {
        (components[i] as NeighbourDiscovery).proxy = (nif, data, at) => this.answers(nif, data, at);
        return;
      }
    }
    fail("ENOPROTOOPT", "proxynd needs nd");
  }

  /** Answers on `nif` for an address. Errors (thrown): `EINVAL` no global unicast address, `ENOBUFS` too many, or no group left. */
  add(nif: Interface, address: string): void {
    const bytes = parse(address);
    if (nif.removed) fail("EINVAL", "interface");
    if (this.find(nif, bytes, 0) >= 0) return;
    if (this.entries.length >= this.limit || joinGroup(this.ip, nif, solicitedNode(bytes, 0), null) < 0)
      fail("ENOBUFS", "addresses");
    this.entries.push(new ProxyEntry(nif, bytes));
  }

  /** Answers no more; false: it never did. */
  remove(nif: Interface, address: string): boolean {
    const at = this.find(nif, parse(address), 0);
    if (at >= 0) this.drop(at);
    return at >= 0;
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.entries.length - 1; i >= 0; i--) if (this.entries[i].nif === nif) this.drop(i);
  }

  private drop(at: number): void {
    const entry = this.entries[at];
    this.entries.splice(at, 1);
    leaveGroup(this.ip, entry.nif, solicitedNode(entry.address, 0), null);
  }

  private find(nif: Interface, data: Uint8Array, at: number): number {
    for (let i = 0; i < this.entries.length; i++)
      if (this.entries[i].nif === nif && equal6(this.entries[i].address, 0, data, at)) return i;
    return -1;
  }

  /** Only for what really is behind this host: an address on the asker's own link answers for itself. */
  private answers(nif: Interface, data: Uint8Array, at: number): boolean {
    if (this.find(nif, data, at) < 0) return false;
    const route = this.ip.fib.lookup(data, at, null, null);
    return route !== null && route.nif !== nif;
  }
}

function parse(text: string): Uint8Array {
  const bytes = parse6(text);
  return bytes && !isMulticast6(bytes, 0) && !isLinkLocal6(bytes, 0) && !isUnspecified6(bytes, 0)
    ? bytes
    : fail("EINVAL", "address " + text);
}

/** Proxy neighbour discovery. Needs `nd`. Throws `EINVAL`. */
export function proxyNd(options: ProxyNdOptions = {}): ProxyNd {
  return new ProxyNd(requireInteger(options.limit || 64, 1, 4096, "limit"));
}

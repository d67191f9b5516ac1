/** Proxy ARP (RFC 1027): answers ARP requests for addresses that are reached through this host. Nothing is answered by default. */
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import { parse4, splitPrefix } from "../core/text4.js";
import { mask4 } from "../wire/ipv4.js";
import type { Arp } from "./arp.js";
import type { Ipv4 } from "./ipv4.js";

/** What is answered for, and where. */
class ProxyEntry {
  constructor(
    readonly nif: Interface,
    readonly prefix: number,
    readonly length: number,
  ) {}
}

export class ProxyArp implements Component {
  readonly name = "proxyarp";
  private stack: Stack = null as never;
  private ip: Ipv4 = null as never;
  private readonly entries: ProxyEntry[] = [];

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "proxyarp");
    this.stack = stack;
  }

  start(): void {
    const components = this.stack.components;
    this.ip = this.stack.network(4) as Ipv4;
    for (let i = 0; i < components.length; i++) {
      if (components[i].name === "arp") {
        (components[i] as Arp).proxy = (nif, address) => this.answers(nif, address);
        return;
      }
    }
    fail("ENOPROTOOPT", "proxyarp needs arp");
  }

  /** Answers on `nif` for the addresses of `prefix` (`"10.0.5.0/24"`, `"10.0.0.7"`). `EINVAL`: no prefix. */
  add(nif: Interface, prefix: string): void {
    const entry = parse(nif, prefix);
    this.remove(nif, prefix);
    this.entries.push(entry);
  }

  /** Answers no more; false: it never did. */
  remove(nif: Interface, prefix: string): boolean {
    const entry = parse(nif, prefix);
    for (let i = 0; i < this.entries.length; i++) {
      const each = this.entries[i];
      if (each.nif === nif && each.prefix === entry.prefix && each.length === entry.length) {
        this.entries.splice(i, 1);
        return true;
      }
    }
    return false;
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.entries.length - 1; i >= 0; i--) {
      if (this.entries[i].nif === nif) this.entries.splice(i, 1);
    }
  }

  /** Only for what really is behind this host: an address on the asker's own wire answers for itself. */
  private answers(nif: Interface, address: number): boolean {
    for (let i = 0; i < this.entries.length; i++) {
      const entry = this.entries[i];
      if (entry.nif !== nif || (address ^ entry.prefix) & mask4(entry.length)) continue;
      const route = this.ip.fib.lookup(address, null);
      return route !== null && route.nif !== nif;
    }
    return false;
  }
}

function parse(nif: Interface, text: string): ProxyEntry {
  const parts = splitPrefix(text, 32);
  const prefix = parts && parse4(parts.address);
  if (!parts || prefix === null || parts.length > 32) return fail("EINVAL", "prefix " + text);
  return new ProxyEntry(nif, prefix & mask4(parts.length), parts.length);
}

/** Proxy ARP. Needs `arp`. */
export function proxyArp(): ProxyArp {
  return new ProxyArp();
}

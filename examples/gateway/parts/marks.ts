/** Marks what comes in, by rules, for policy rules to choose tables by: a hook before the firewall's. */
import type { Component, Interface, Stack } from "../../../stack/index.js";
import { PREROUTING } from "../../../stack/core/network.js";
import type { PacketHook } from "../../../stack/core/network.js";
import type { Packet } from "../../../stack/core/packet.js";
import { compile } from "../../../stack/filter/rules.js";
import type { CompiledRule } from "../../../stack/filter/rules.js";
import { MALFORMED, Tuple } from "../../../stack/filter/tuple.js";
import type { Ipv4 } from "../../../stack/ipv4/ipv4.js";
import type { Ipv6 } from "../../../stack/ipv6/ipv6.js";
import type { MarkConfig } from "../config/policy.js";

export class Marks implements Component {
  readonly name = "marks";
  readonly counters = { marked: 0 };
  private readonly tuple = new Tuple();
  private rules: readonly CompiledRule[] = [];
  private numbers: readonly number[] = [];
  private stack: Stack = null as never;

  attach(stack: Stack): void {
    this.stack = stack;
    stack.counters.marks = this.counters as never;
  }

  /** Around the hook of the firewall, wherever that stands in the list. */
  started(): void {
    for (const family of [4, 6]) {
      const ip = this.stack.network(family) as unknown as Ipv4 | Ipv6;
      const { hook } = ip;
      ip.hook = (packet, point, out) => this.see(packet, point, out, hook);
    }
  }

  load(list: readonly MarkConfig[]): void {
    this.rules = compile(list.map(({ rule }) => rule));
    this.numbers = list.map(({ mark }) => mark);
  }

  private see(packet: Packet, point: number, out: Interface | null, next: PacketHook | null): boolean {
    if (point === PREROUTING && this.numbers.length > 0) packet.mark = this.markOf(packet);
    return !next || next(packet, point, out);
  }

  private markOf(packet: Packet): number {
    if (this.tuple.parse(packet, packet.network) === MALFORMED) return 0;
    const name = (packet.nif as Interface).name;
    for (let i = 0; i < this.rules.length; i++) {
      if (!this.rules[i].fits(this.tuple, name, "", 0)) continue;
      this.counters.marked++;
      return this.numbers[i];
    }
    return 0;
  }
}

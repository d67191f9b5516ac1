/** Several routing tables, the rules that choose one, VRFs, and who is told of changes: what both families have in common. */
import { ENETUNREACH, fail, requireInteger } from "../core/errors.js";
import { Interface } from "../core/interface.js";
import type { Packet } from "../core/packet.js";
import type { Stack } from "../core/stack.js";

import { BLACKHOLE, PROHIBIT, UNREACHABLE } from "./special.js";
import type { Hop } from "./special.js";

/** The table of routes that name none. */
export const MAIN = 254;

interface AnyRoute {
  readonly gateway: unknown;
  readonly nif: Interface;
  readonly hops?: readonly Hop<unknown>[];
}

/** A route with several next hops: what it shows of them changes. */
interface SeveralRoute {
  gateway: unknown;
  nif: Interface;
  readonly hops?: readonly Hop<unknown>[];
}

interface AnyFib<Route> {
  add(route: Route): boolean;
  remove(match: (route: Route) => boolean, prefix?: any, length?: number): number;
  list(): Route[];
}

export interface RuleOptions {
  /** Rules are asked in this order, lowest first. Default 1000. */
  priority?: number;
  /** Packets from this prefix: `"10.1.0.0/16"`. Default: from anywhere. */
  from?: string;
  /** Packets that came in here. Default: by any. */
  interface?: Interface;
  /** Packets with this mark (see `Packet.mark`) under `mask`. Default: any. */
  mark?: number;
  /** Default all bits. */
  mask?: number;
  /** The table to look in, 1..0x7fffffff; what it does not know, the next rule may. */
  table: number;
  /** Routes with prefixes of so many bits or fewer do not count: 0 leaves default routes to the next rules. Default: all count. */
  suppress?: number;
}

export class Rule<Fib> {
  constructor(
    readonly priority: number,
    readonly nif: Interface | null,
    readonly mark: number,
    /** 0: whatever the mark. */
    readonly mask: number,
    /** Does the address at the packet's source (`back`: at its destination) match? Null: any does. */
    readonly from: ((packet: Packet, back: boolean) => boolean) | null,
    readonly fib: Fib,
    readonly suppress: number,
  ) {}

  matches(packet: Packet, back: boolean): boolean {
    // Of the way back nobody knows which mark it would have, nor where it would come in.
    return (
      ((back ? 0 : packet.mark) & this.mask) === this.mark &&
      (!this.nif || (!back && packet.nif === this.nif)) &&
      (!this.from || this.from(packet, back))
    );
  }
}

/** A route has come (`added`) or gone. */
export type RouteListener<Route> = (route: Route, table: number, added: boolean) => void;

class Table<Fib> {
  constructor(
    readonly id: number,
    readonly fib: Fib,
  ) {}
}

export class Policy<Route extends AnyRoute, Fib extends AnyFib<Route>> {
  readonly main: Fib;
  readonly rules: Rule<Fib>[] = [];
  readonly listeners: RouteListener<Route>[] = [];
  private readonly tables: Table<Fib>[] = [];
  /** Routes with several next hops. */
  private readonly several: Route[] = [];
  /** VRFs: interface and table, pairs. */
  private readonly members: { nif: Interface; table: Table<Fib> }[] = [];

  constructor(private readonly make: () => Fib) {
    this.main = this.table(MAIN);
  }

  table(id: number): Fib {
    return this.numbered(id).fib;
  }

  /** The table of an interface's VRF, or null. */
  vrf(nif: Interface | null): Fib | null {
    const members = this.members;
    for (let i = 0; i < members.length; i++) if (members[i].nif === nif) return members[i].table.fib;
    return null;
  }

  setVrf(nif: Interface, id: number | null): void {
    const from = this.vrf(nif) || this.main;
    for (let i = this.members.length - 1; i >= 0; i--)
      if (this.members[i].nif === nif) this.members.splice(i, 1);
    if (id !== null) this.members.push({ nif, table: this.numbered(id) });
    const to = this.vrf(nif) || this.main;
    if (from === to) return;
    // Its routes go with it, those of its addresses first of all.
    const moved: Route[] = [];
    from.remove((route) => route.nif === nif && moved.push(route) > 0);
    for (let i = 0; i < moved.length; i++) to.add(moved[i]);
  }

  add(route: Route, id?: number): boolean {
    const tables = this.tables;
    let table = tables[0];
    if (id !== undefined) table = this.numbered(id);
    else
      for (let i = 0; i < this.members.length; i++)
        if (this.members[i].nif === route.nif) table = this.members[i].table;
    if (route.hops) showHop(route as SeveralRoute, null);
    if (!table.fib.add(route)) return false;
    if (route.hops) this.several.push(route);
    this.tell(route, table.id, true);
    return true;
  }

  /** From all tables, or that of a number. */
  remove(match: (route: Route) => boolean, prefix?: unknown, length?: number, id?: number): number {
    let removed = 0;
    for (let i = 0; i < this.tables.length; i++) {
      const table = this.tables[i];
      if (id !== undefined && table.id !== id) continue;
      const gone: Route[] = [];
      removed += table.fib.remove((route) => match(route) && gone.push(route) > 0, prefix, length);
      for (let j = 0; j < gone.length; j++) {
        const at = gone[j].hops ? this.several.indexOf(gone[j]) : -1;
        if (at >= 0) this.several.splice(at, 1);
        this.tell(gone[j], table.id, false);
      }
    }
    return removed;
  }

  list(): Route[] {
    let all: Route[] = [];
    for (let i = 0; i < this.tables.length; i++) all = all.concat(this.tables[i].fib.list());
    return all;
  }

  addRule(options: RuleOptions, from: ((packet: Packet, back: boolean) => boolean) | null): Rule<Fib> {
    const mask = options.mark === undefined ? 0 : options.mask === undefined ? -1 : options.mask | 0;
    const rule = new Rule(
      requireInteger(options.priority === undefined ? 1000 : options.priority, 0, 0x7fffffff, "priority"),
      options.interface || null,
      (options.mark || 0) & mask,
      mask,
      from,
      this.table(options.table),
      requireInteger(options.suppress === undefined ? -1 : options.suppress, -1, 128, "suppress"),
    );
    let at = 0;
    while (at < this.rules.length && this.rules[at].priority <= rule.priority) at++;
    this.rules.splice(at, 0, rule);
    return rule;
  }

  removeRule(rule: Rule<Fib>): boolean {
    const at = this.rules.indexOf(rule);
    if (at >= 0) this.rules.splice(at, 1);
    return at >= 0;
  }

  interfaceChanged(): void {
    for (let i = 0; i < this.several.length; i++) showHop(this.several[i] as SeveralRoute, null);
  }

  interfaceRemoved(nif: Interface): void {
    // The network takes away the routes of the interface: those that have another next hop stay.
    for (let i = 0; i < this.several.length; i++) showHop(this.several[i] as SeveralRoute, nif);
    for (let i = this.members.length - 1; i >= 0; i--)
      if (this.members[i].nif === nif) this.members.splice(i, 1);
    for (let i = this.rules.length - 1; i >= 0; i--) if (this.rules[i].nif === nif) this.rules.splice(i, 1);
  }

  private tell(route: Route, table: number, added: boolean): void {
    for (let i = 0; i < this.listeners.length; i++) this.listeners[i](route, table, added);
  }

  private numbered(id: number): Table<Fib> {
    requireInteger(id, 1, 0x7fffffff, "table");
    for (let i = 0; i < this.tables.length; i++) if (this.tables[i].id === id) return this.tables[i];
    const table = new Table(id, this.make());
    this.tables.push(table);
    return table;
  }
}

/** A route with several next hops shows the first that works and is not `gone`: tables ask for no more. */
function showHop(route: SeveralRoute, gone: Interface | null): void {
  const hops = route.hops;
  for (let i = 0; hops && i < hops.length; i++) {
    if (hops[i].nif === gone || !hops[i].nif.up()) continue;
    route.gateway = hops[i].gateway;
    route.nif = hops[i].nif;
    return;
  }
}

export type RouteType = "unicast" | "blackhole" | "unreachable" | "prohibit";

/** The kind of a type; `EINVAL`: no type. */
export function kindOf(type: RouteType | undefined): number {
  return type === undefined || type === "unicast"
    ? 0
    : type === "blackhole"
      ? BLACKHOLE
      : type === "unreachable"
        ? UNREACHABLE
        : type === "prohibit"
          ? PROHIBIT
          : fail("EINVAL", "type");
}

/** The interface of routes that lead nowhere: always up, and what this host itself sends there is refused. */
export function nowhere(stack: Stack): Interface {
  return new Interface(
    stack,
    "nowhere",
    0,
    { medium: "ip", mtu: 65535, open() {}, close() {}, transmit: () => 0 },
    { medium: "nowhere", headerSize: 0, resolves: false, input() {}, output: () => ENETUNREACH },
  );
}

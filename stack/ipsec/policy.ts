/** The security policy database (RFC 4301 section 4.4.1): an ordered list; the first selector that fits decides. */
import { fail, requireInteger } from "../core/errors.js";
import type { Flow } from "./flow.js";
import type { Sa } from "./sa.js";
import { Selector } from "./selector.js";
import type { SelectorOptions } from "./selector.js";

export const DISCARD = 0;
export const BYPASS = 1;
export const PROTECT = 2;

export type PolicyAction = "protect" | "bypass" | "discard";

export interface PolicyOptions extends SelectorOptions {
  action: PolicyAction;
  /** Which way traffic goes that the policy is for. Default `"both"`. */
  direction?: "in" | "out" | "both";
  /** Where it stands: before the policy that has this place now. Default: at the end. */
  at?: number;
  /**
   * Populate from packet: parts of the selectors of an SA that are asked for come from the packet that needs it, not from the policy.
   * `acquire` events say so with the flow. Default false.
   */
  fromPacket?: boolean;
  /** For the application. */
  name?: string;
}

export class Policy {
  readonly selector: Selector;
  readonly action: number;
  readonly out: boolean;
  readonly in: boolean;
  readonly fromPacket: boolean;
  readonly name: string;
  /** SAs that carry what it protects, the newest first: the first that fits is used. */
  readonly outbound: Sa[] = [];
  /** SAs that bring it. */
  readonly inbound: Sa[] = [];
  /** Grows along the list. */
  place = 0;
  /** When an SA was asked for last, and whether one was at all. */
  asked = 0;
  asking = false;

  constructor(options: PolicyOptions) {
    this.selector = new Selector(options);
    const action = options.action;
    const direction = options.direction;
    this.action = action === "protect" ? PROTECT : action === "bypass" ? BYPASS : DISCARD;
    if (this.action === DISCARD && action !== "discard") fail("EINVAL", "action");
    if (direction !== undefined && direction !== "in" && direction !== "out" && direction !== "both") {
      fail("EINVAL", "direction");
    }
    this.out = direction !== "in";
    this.in = direction !== "out";
    this.fromPacket = options.fromPacket === true;
    this.name = options.name || "";
  }

  /** Is it for this flow, which goes out (`out`), or has come in? */
  fits(flow: Flow, out: boolean): boolean {
    return (out ? this.out : this.in) && this.selector.matches(flow, out);
  }

  /** Would it protect packets between these ends, of some protocol and ports? */
  protectsEnds(flow: Flow): boolean {
    return this.action === PROTECT && this.out && this.selector.matchesEnds(flow, true);
  }

  /** The SA for `flow`; null: there is none. */
  sa(flow: Flow): Sa | null {
    for (let i = 0; i < this.outbound.length; i++) {
      const sa = this.outbound[i];
      if (!sa.selector || sa.selector.matches(flow, true)) return sa;
    }
    return null;
  }
}

/** Finds what the list would have found: `policyIndex()`. Told of each policy that comes or goes. */
export interface PolicyIndex {
  insert(policy: Policy): void;
  remove(policy: Policy): void;
  clear(): void;
  lookup(flow: Flow, out: boolean): Policy | null;
  /** Calls `visit` for each policy that `protectsEnds(flow)`, more than once as it may be. */
  protecting(flow: Flow, visit: (policy: Policy) => void): void;
}

export class Spd {
  readonly policies: Policy[] = [];

  /** @param limit policies at most @param otherwise what happens to traffic that no policy fits */
  constructor(
    private readonly limit: number,
    readonly otherwise: number,
    private readonly index: PolicyIndex | null,
  ) {}

  insert(policy: Policy, at: number | undefined): void {
    const list = this.policies;
    if (list.length >= this.limit) fail("ENOBUFS", "policies");
    const where = at === undefined ? list.length : requireInteger(at, 0, list.length, "at");
    const before = where > 0 ? list[where - 1].place : list.length > 0 ? list[0].place - 2 : 0;
    const behind = where < list.length ? list[where].place : before + 2;
    policy.place = (before + behind) / 2;
    list.splice(where, 0, policy);
    if (!(policy.place > before && policy.place < behind)) this.renumber();
    else if (this.index) this.index.insert(policy);
  }

  /** False: it is not there. */
  remove(policy: Policy): boolean {
    const at = this.policies.indexOf(policy);
    if (at < 0) return false;
    this.policies.splice(at, 1);
    if (this.index) this.index.remove(policy);
    return true;
  }

  /** The first policy that fits; null: none does. */
  lookup(flow: Flow, out: boolean): Policy | null {
    if (this.index) return this.index.lookup(flow, out);
    const list = this.policies;
    for (let i = 0; i < list.length; i++) if (list[i].fits(flow, out)) return list[i];
    return null;
  }

  /** As `PolicyIndex.protecting`. */
  protecting(flow: Flow, visit: (policy: Policy) => void): void {
    if (this.index) {
      this.index.protecting(flow, visit);
      return;
    }
    const list = this.policies;
    for (let i = 0; i < list.length; i++) if (list[i].protectsEnds(flow)) visit(list[i]);
  }

  /** After very many insertions between two there is no number between them. */
  private renumber(): void {
    const list = this.policies;
    if (this.index) this.index.clear();
    for (let i = 0; i < list.length; i++) {
      list[i].place = i;
      if (this.index) this.index.insert(list[i]);
    }
  }
}

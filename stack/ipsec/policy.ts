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

  /** The SA for `flow`; null: there is none. */
  sa(flow: Flow): Sa | null {
    for (let i = 0; i < this.outbound.length; i++) {
      const sa = this.outbound[i];
      if (!sa.selector || sa.selector.matches(flow, true)) return sa;
    }
    return null;
  }
}

export class Spd {
  readonly policies: Policy[] = [];

  /** @param limit policies at most @param otherwise what happens to traffic that no policy fits */
  constructor(
    private readonly limit: number,
    readonly otherwise: number,
  ) {}

  insert(policy: Policy, at: number | undefined): void {
    const list = this.policies;
    if (list.length >= this.limit) fail("ENOBUFS", "policies");
    const place = at === undefined ? list.length : requireInteger(at, 0, list.length, "at");
    list.splice(place, 0, policy);
  }

  /** The first policy that fits; null: none does. */
  lookup(flow: Flow, out: boolean): Policy | null {
    const list = this.policies;
    for (let i = 0; i < list.length; i++) {
      const policy = list[i];
      if ((out ? policy.out : policy.in) && policy.selector.matches(flow, out)) return policy;
    }
    return null;
  }
}

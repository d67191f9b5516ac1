/** A virtual router of VRRP (RFC 5798 section 6.1): what it was told, and the state that it is in. */
import { get32 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Deferred } from "../core/stack.js";
import { parse4 } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import type { Address4 } from "../ipv4/address.js";
import type { Address6 } from "../ipv6/address.js";
import { isMartian4 } from "../wire/ipv4.js";
import { equal6, isLinkLocal6, isMulticast6, isUnspecified6 } from "../wire/ipv6.js";
import * as wire from "../wire/vrrp.js";
import type { Vrrp } from "./vrrp.js";

export class VrrpCounters {
  received = 0;
  sent = 0;
  sendFailed = 0;
  /** Shorter than it says, fragmented, of another version or type, without addresses. */
  malformed = 0;
  badsum = 0;
  /** Hop limit other than 255: not of this link. */
  badTtl = 0;
  /** IPv6 from an address that is not link-local. */
  badSource = 0;
  /** Of a virtual router that is not ours. */
  unknown = 0;
  /** Other addresses than ours, which is a mistake of one of the two; they are heeded all the same. */
  addresses = 0;
  /** Sent to addresses of a router without `accept`. */
  refused = 0;
  /** Times that a router of ours became the active one, and stopped being it. */
  activated = 0;
  relieved = 0;
}

export interface VrrpRouterOptions {
  /** Virtual router identifier, 1..255: one on a link for each family. */
  id: number;
  /** The addresses, of one family; of IPv6 the first is link-local. 1..20. */
  addresses: string[];
  /** 1..254; 255: the addresses are this host's own, it has them and keeps them. Default 100. */
  priority?: number;
  /** Seconds between advertisements, 0.01..40.95. Default 1. */
  interval?: number;
  /** Its addresses are at the virtual hardware address (section 7.3). False: at the interface's own, as where a link takes no other. Default true. */
  virtualMac?: boolean;
  /**
   * Takes what is sent to the addresses themselves (`Accept_Mode`), not only what it is to forward. Default true, other than section 6.1
   * has it: so they answer pings.
   */
  accept?: boolean;
  /** Takes over from an active router of lower priority. Default true. */
  preempt?: boolean;
  /** Called when it becomes the active one, or stops being it. */
  onState?(active: boolean): void;
}

export const INITIALIZE = 0;
export const BACKUP = 1;
export const ACTIVE = 2;

const ADDRESSES = 20;

export class VrrpRouter implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  state = INITIALIZE;
  priority: number;
  readonly id: number;
  readonly four: boolean;
  /** Hundredths of a second: ours, and the active router's. */
  readonly interval: number;
  activeInterval: number;
  readonly preempt: boolean;
  readonly accept: boolean;
  /** When the active router is given up, or (active) the next advertisement is due. */
  at = 0;
  announceLeft = 0;
  announceAt = 0;
  readonly addresses4: number[] = [];
  readonly addresses6: Uint8Array[] = [];
  /** Last four bytes of the virtual hardware address, 00-00-5e-00-0F-ID; 0: the interface's own. */
  readonly low: number;
  /** Those that this host has for the virtual router's sake. */
  readonly held4: Address4[] = [];
  readonly held6: Address6[] = [];
  told = false;

  constructor(
    private readonly owner: Vrrp,
    readonly nif: Interface,
    private readonly options: VrrpRouterOptions,
  ) {
    const list = options.addresses;
    this.id = requireInteger(options.id, 1, 255, "id");
    this.priority = requireInteger(
      options.priority === undefined ? 100 : options.priority,
      1,
      255,
      "priority",
    );
    const interval = options.interval === undefined ? 1 : options.interval;
    if (!(interval >= 0.01 && interval <= 40.95)) fail("EINVAL", "interval");
    this.interval = this.activeInterval = Math.round(interval * 100);
    this.preempt = options.preempt !== false;
    this.accept = options.accept !== false || this.priority === wire.VRRP_OWNER;
    if (!list || list.length < 1 || list.length > ADDRESSES) fail("EINVAL", "addresses");
    this.four = parse4(list[0]) !== null;
    this.low =
      options.virtualMac === false || !nif.medium.resolves
        ? 0
        : (this.four ? wire.VRRP_MAC4 : wire.VRRP_MAC6) | this.id;
    for (let i = 0; i < list.length; i++) {
      const four = this.four ? parse4(list[i]) : null;
      const six = this.four ? null : parse6(list[i]);
      if (four !== null && !isMartian4(four)) this.addresses4.push(four);
      else if (six && !isMulticast6(six, 0) && !isUnspecified6(six, 0) && (i > 0 || isLinkLocal6(six, 0)))
        this.addresses6.push(six);
      else fail("EINVAL", "address " + list[i]);
    }
  }

  /** Is the address at `data[at..]` one of its? */
  has6(data: Uint8Array, at: number): boolean {
    for (let i = 0; i < this.addresses6.length; i++) if (equal6(this.addresses6[i], 0, data, at)) return true;
    return false;
  }

  /** Are the `count` addresses at `data[at..]` its own, all of them? */
  hasAll(data: Uint8Array, at: number, count: number): boolean {
    const own = this.four ? this.addresses4.length : this.addresses6.length;
    let found = 0;
    for (let i = 0; i < count && count === own; i++) {
      if (this.four) {
        if (this.addresses4.indexOf(get32(data, at + 4 * i)) >= 0) found++;
      } else if (this.has6(data, at + 16 * i)) found++;
    }
    return found === own;
  }

  /** Has it the addresses now? */
  active(): boolean {
    return this.state === ACTIVE;
  }

  /** Another priority, 1..254: lower while what lies behind this gateway fails, say. Not of an owner. */
  setPriority(priority: number): void {
    if (this.priority === wire.VRRP_OWNER) fail("EINVAL", "priority of an owner");
    this.priority = requireInteger(priority, 1, wire.VRRP_OWNER - 1, "priority");
    this.owner.changed();
  }

  /** Takes no part any more: another is told to take over at once. Legal twice. */
  remove(): void {
    this.owner.remove(this);
  }

  /** See `Stack.defer`. */
  run(): void {
    const active = this.active();
    if (active === this.told) return;
    this.told = active;
    if (this.options.onState) this.options.onState(active);
  }

  /** Milliseconds by which one of lower priority waits longer (section 6.1). */
  skew(): number {
    return (((256 - this.priority) * this.activeInterval) / 256) * 10;
  }

  downInterval(): number {
    return Math.ceil(3 * this.activeInterval * 10 + this.skew());
  }
}

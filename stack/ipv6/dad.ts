/**
 * Duplicate address detection (RFC 4862 section 5.4) with nonces against looped-back probes (RFC 7527): each new address is
 * tried before it is used, and tried again when the link comes back.
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Packet } from "../core/packet.js";
import type { Component, Stack } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import { DUPLICATED, PREFERRED, TENTATIVE } from "./address.js";
import type { Address6 } from "./address.js";
import type { AddressTrial6 } from "./hooks.js";
import type { Ipv6 } from "./ipv6.js";
import { NeighbourDiscovery } from "./nd.js";
import type { DuplicateDetector } from "./nd.js";

export class DadCounters {
  probesSent = 0;
  /** Our own probe came back: the link loops. */
  looped = 0;
  /** Addresses that turned out to be somebody else's. */
  duplicates = 0;
  /** Somebody advertised an address that is in use here; it is kept. */
  conflicts = 0;
}

export interface DadOptions {
  /** Probes for each address, 0..10; 0: addresses are used at once. Default 1 (RFC 4862 section 5.1). */
  transmits?: number;
  /** An address is a duplicate and is not used. */
  onDuplicate?(address: Address6): void;
}

/** Milliseconds before the first probe at most (RFC 4861 section 10, MAX_RTR_SOLICITATION_DELAY). */
const FIRST_DELAY = 1000;
/** Probes that are added when one of ours came back (RFC 7527 section 4.1). */
const LOOP_PROBES = 3;

/** An address on trial. */
class Trial {
  /** When the next probe, or the verdict, is due. */
  at = 0;
  sent = 0;
  loops = 0;
  readonly nonce = new Uint8Array(6);

  constructor(
    readonly entry: Address6,
    public probes: number,
  ) {}
}

export class DuplicateAddressDetection implements Component, AddressTrial6, DuplicateDetector {
  readonly name = "dad";
  readonly counters = new DadCounters();
  /** Called with each verdict: `duplicate` false: the address is in use now. SLAAC makes another one where it is. */
  readonly onVerdict: ((entry: Address6, duplicate: boolean) => void)[] = [];
  private readonly trials: Trial[] = [];
  private readonly timer = new Timer(tick, this);
  private stack: Stack = null as never;
  private ip: Ipv6 = null as never;
  private nd: NeighbourDiscovery = null as never;

  constructor(
    private readonly transmits: number,
    private readonly options: DadOptions,
  ) {}

  attach(stack: Stack): void {
    this.stack = stack;
    stack.counters.dad = this.counters as never;
  }

  start(): void {
    const ip = (this.ip = this.stack.network(6) as Ipv6);
    const nd = this.stack.component(NeighbourDiscovery);
    if (!ip || !nd) return fail("ENOPROTOOPT", "dad needs ipv6 and nd");
    this.nd = nd;
    nd.detector = this;
    if (this.transmits > 0) ip.trial = this;
  }

  close(): void {
    this.trials.splice(0, this.trials.length);
    this.stack.timers.clear(this.timer);
  }

  interfaceChanged(nif: Interface): void {
    if (!nif.up()) return;
    // Who knows whom the link has met meanwhile (RFC 4862 section 5.4, RFC 7527): what was found duplicate gets a new chance.
    for (let i = 0; i < this.ip.addresses.length; i++) {
      const entry = this.ip.addresses[i];
      if (entry.nif !== nif || this.indexOf(entry) >= 0 || entry.state !== DUPLICATED) continue;
      entry.state = TENTATIVE;
      this.begin(entry);
    }
    for (let i = 0; i < this.trials.length; i++) {
      if (this.trials[i].entry.nif === nif) this.trials[i].sent = 0;
    }
  }

  begin(entry: Address6): void {
    const trial = new Trial(entry, this.transmits);
    trial.at = (this.stack.now() + this.stack.host.randomBelow(FIRST_DELAY)) | 0;
    this.trials.push(trial);
    this.arm();
  }

  end(entry: Address6): void {
    const at = this.indexOf(entry);
    if (at >= 0) this.trials.splice(at, 1);
    if (this.trials.length === 0) this.stack.timers.clear(this.timer);
  }

  solicited(entry: Address6, packet: Packet, nonce: number): void {
    const at = this.indexOf(entry);
    if (at < 0) return;
    const trial = this.trials[at];
    if (nonce >= 0 && sameNonce(packet.data, nonce, trial.nonce)) {
      this.counters.looped++;
      // Go on probing for a while: the loop may hide a real duplicate.
      if (trial.loops++ === 0) trial.probes += LOOP_PROBES;
      return;
    }
    this.verdict(entry, true);
  }

  advertised(entry: Address6, _packet: Packet): void {
    if (entry.state === TENTATIVE) this.verdict(entry, true);
    else this.counters.conflicts++;
  }

  /** Sends the probes that are due, passes the verdicts that are. */
  run(): void {
    const now = this.stack.now();
    for (let i = this.trials.length - 1; i >= 0; i--) {
      const trial = this.trials[i];
      // Who hears a verdict may take other addresses away.
      if (!trial || ((trial.at - now) | 0) > 0) continue;
      if (trial.sent >= trial.probes) {
        this.verdict(trial.entry, false);
        continue;
      }
      const nif = trial.entry.nif;
      trial.at = (now + this.nd.times(nif).retransTimer) | 0;
      if (!nif.up() || !this.stack.host.random(trial.nonce)) continue;
      trial.sent++;
      this.counters.probesSent++;
      this.nd.sendSolicitation(nif, new Uint8Array(16), trial.entry.bytes, 0, null, trial.nonce);
    }
    this.arm();
  }

  private verdict(entry: Address6, duplicate: boolean): void {
    this.end(entry);
    if (duplicate) this.counters.duplicates++;
    entry.state = duplicate ? DUPLICATED : PREFERRED;
    this.ip.addressChanged(entry, !duplicate);
    for (let i = 0; i < this.onVerdict.length; i++) this.onVerdict[i](entry, duplicate);
    if (!duplicate || !this.options.onDuplicate) return;
    try {
      this.options.onDuplicate(entry);
    } catch (error) {
      this.stack.host.panic(error);
    }
  }

  private indexOf(entry: Address6): number {
    for (let i = 0; i < this.trials.length; i++) {
      if (this.trials[i].entry === entry) return i;
    }
    return -1;
  }

  private arm(): void {
    let next: Trial | null = null;
    for (let i = 0; i < this.trials.length; i++) {
      if (!next || ((this.trials[i].at - next.at) | 0) < 0) next = this.trials[i];
    }
    if (next) this.stack.timers.set(this.timer, next.at);
  }
}

function sameNonce(data: Uint8Array, option: number, nonce: Uint8Array): boolean {
  for (let i = 0; i < nonce.length; i++) {
    if (data[option + 2 + i] !== nonce[i]) return false;
  }
  return true;
}

function tick(dad: DuplicateAddressDetection): void {
  dad.run();
}

/** The component for duplicate address detection. Needs `ipv6`, `icmpv6` and `nd`. Counters: `dad`. */
export function dad(options: DadOptions = {}): DuplicateAddressDetection {
  const transmits = options.transmits === undefined ? 1 : options.transmits;
  return new DuplicateAddressDetection(requireInteger(transmits, 0, 10, "transmits"), options);
}

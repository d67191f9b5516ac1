/**
 * The checks that any port must pass before the first packet: run them on a new host, and they name what is wrong with it.
 *
 * ```ts
 * const check = checkHost(hypercalls, (code, message) => print(code + ": " + message), [linkA, linkB]);
 * // The host calls check.poll() wherever it would call stack.poll(): when the time asked for by `wake` has come.
 * // Ten seconds later:
 * check.finish();
 * ```
 * It needs about four seconds, no Promise and no timer but `wake` itself. `finish` says what never came; only after it are
 * all findings known. Codes are stable, messages are for people. Each code is reported once.
 */
import { LinkCheck } from "./conformance-link.js";
import { checkAccelerators, checkRandom } from "./conformance-memory.js";
import { HYPERCALL_VERSION } from "./index.js";
import type { Hypercalls } from "./index.js";
import type { Link } from "./link.js";

/** Takes a finding: what is wrong, as a stable code, and what to do about it. */
export type Report = (code: string, message: string) => void;

/** Wake-ups of the measurement, and how long each is asked for, ms. */
const TICKS = 20;
const TICK = 50;
/** Polls within one tick after which a clock that has never moved is held to be frozen. */
const PATIENCE = 40;
/** The coarsest clock that TCP's timers can live with, ms. */
const COARSE = 50;
/** Lateness that even the best wake-up has, ms, from which on a finding is made. */
const LATE = 50;
/** Direct readings of the clock in which its steps are looked for. */
const READINGS = 2000;

/** What the next poll is the answer to. */
const SOON = 0;
const TICKING = 1;
const SHORTER = 2;
const LONGER = 3;
const LINKS = 4;
const CANCELLED = 5;

export class Conformance {
  /** True when nothing more is waited for: 100 ms later `finish` may be called. */
  finished = false;
  /** Findings so far. */
  findings = 0;
  private readonly found: string[] = [];
  private state = SOON;
  private ended = false;
  private inside = false;
  private asked = 0;
  private last = 0;
  private lastValid = false;
  private ticks = 0;
  private polls = 0;
  private early = 0;
  private earliest = 0x7fffffff;
  /** Polls between which the clock did not move. */
  private stale = 0;
  /** Smallest step of the clock that was seen, ms; 0: none. */
  private step = 0;
  private links: LinkCheck | null = null;

  constructor(
    private readonly host: Hypercalls,
    private readonly tell: Report,
    links: Link[] | null,
  ) {
    this.checkShape();
    if (typeof host.random === "function") checkRandom(host, this.report);
    checkAccelerators(host, this.report);
    if (links) this.links = new LinkCheck(links, this.report);
    if (typeof host.now !== "function" || typeof host.wake !== "function") {
      this.finished = true;
      return;
    }
    for (let i = 0; i < READINGS; i++) this.now();
    this.ask(0);
  }

  /** The host calls it when the time asked for by `wake` has come. */
  poll(): void {
    if (this.inside) {
      this.report("wake-inside", "wake called poll before it returned: let it return first, then call poll");
      return;
    }
    if (this.ended) return;
    const before = this.last;
    const elapsed = (this.now() - this.asked) | 0;
    if (this.last === before && this.state !== SOON) this.stale++;
    if (this.state === SOON) {
      this.state = TICKING;
      this.ask(TICK);
    } else if (this.state === TICKING) this.tick(elapsed);
    else if (this.state === SHORTER) {
      if (elapsed > 1000) {
        this.report("wake-replace", "a later, shorter request was ignored: the last call of wake counts");
      }
      this.state = LONGER;
      this.ask(TICK);
      this.ask(4 * TICK);
    } else if (this.state === LONGER) {
      if (elapsed < 3 * TICK) {
        this.report(
          "wake-extra",
          "a wake-up came that another had replaced: keep one request, or power is wasted",
        );
        return;
      }
      this.startLinks();
    } else if (this.state === LINKS) {
      if (this.step > 0 && this.again(elapsed)) return;
      this.stepLinks();
    } else this.report("wake-cancel", "a wake-up came although wake(-1) had cancelled it");
  }

  /** Ends the checks and returns how many findings there were: 0 is a port that conforms. */
  finish(): number {
    if (this.ended) return this.findings;
    this.ended = true;
    if (!this.finished) {
      if (this.state === LONGER) {
        this.report("wake-lost", "a later, longer request was lost: the last call of wake counts");
      } else {
        this.report(
          "wake-never",
          "a wake-up never came: call poll when the time asked for by wake has come (more was not checked)",
        );
      }
    }
    if (this.links) this.links.finish();
    return this.findings;
  }

  private readonly report: Report = (code, message) => {
    if (this.has(code)) return;
    this.found.push(code);
    this.findings++;
    this.tell(code, message);
  };

  private has(code: string): boolean {
    return this.found.indexOf(code) >= 0;
  }

  private checkShape(): void {
    const host = this.host;
    if (host.version !== HYPERCALL_VERSION) {
      this.report("version", "version is " + host.version + ", this contract is " + HYPERCALL_VERSION);
    }
    const required: [string, unknown][] = [
      ["now", host.now],
      ["random", host.random],
      ["wake", host.wake],
    ];
    const optional: [string, unknown][] = [
      ["log", host.log],
      ["panic", host.panic],
      ["allocate", host.allocate],
      ["checksum", host.checksum],
      ["copy", host.copy],
    ];
    for (let i = 0; i < required.length; i++) {
      if (typeof required[i][1] !== "function") this.report("missing", required[i][0] + " is no function");
    }
    for (let i = 0; i < optional.length; i++) {
      const value = optional[i][1];
      if (value !== undefined && typeof value !== "function") {
        this.report("optional", optional[i][0] + " is neither a function nor absent");
      }
    }
    // `panic` is not tried: a host may well end the program there.
    try {
      if (typeof host.log === "function") host.log("conformance check: this is a test");
    } catch (error) {
      this.report("log-throws", "log threw " + error + ": there is nobody left to tell");
    }
  }

  /** Reads the clock and watches how it goes; an int32, 0 when it cannot be read. */
  private now(): number {
    let value: unknown;
    try {
      value = this.host.now();
    } catch (error) {
      this.report("clock-throws", "now threw " + error);
      return this.last;
    }
    if (typeof value !== "number" || value - value !== 0) {
      this.report("clock-number", "now returned " + value + ", not a number of milliseconds");
      return this.last;
    }
    const now = value | 0;
    const step = (now - this.last) | 0;
    if (this.lastValid && step < 0) {
      this.report("clock-back", "the clock went back by " + -step + " ms: take a monotonic one");
    } else if (this.lastValid && step > 0 && (this.step === 0 || step < this.step)) this.step = step;
    this.last = now;
    this.lastValid = true;
    return now;
  }

  private ask(delay: number): void {
    this.asked = this.now();
    this.inside = true;
    try {
      this.host.wake(delay);
    } catch (error) {
      this.report("wake-throws", "wake(" + delay + ") threw " + error);
    }
    this.inside = false;
  }

  private tick(elapsed: number): void {
    if (this.polls === 0) {
      if (elapsed + this.step + 1 < TICK) this.early++;
      if (elapsed - TICK < this.earliest) this.earliest = elapsed - TICK;
    }
    if (this.again(elapsed)) return;
    if (++this.ticks < TICKS && this.step > 0) {
      this.ask(TICK);
      return;
    }
    if (this.judgeTicks()) {
      // Nothing more can be measured with these.
      this.startLinks();
      return;
    }
    this.state = SHORTER;
    this.ask(40 * TICK);
    this.ask(TICK);
  }

  /** Early wake-ups are legal: the time is asked for again. True when that is what this poll was for. */
  private again(elapsed: number): boolean {
    if (elapsed < TICK - 1 && ++this.polls < PATIENCE) {
      const asked = this.asked;
      this.ask(TICK);
      this.asked = asked;
      return true;
    }
    this.polls = 0;
    return false;
  }

  /** True when clock or wake-ups are wrong. */
  private judgeTicks(): boolean {
    if (this.step === 0) {
      if (this.lastValid) this.report("clock-frozen", "the clock stands still between wake-ups");
    } else if (this.step > COARSE && this.stale > 0) {
      this.report(
        "clock-coarse",
        "the clock moves in steps of " + this.step + " ms: 50 ms is the most, 1 ms is good",
      );
    } else if (this.early >= TICKS) {
      this.report(
        "wake-early",
        "wake-ups always come early: wait the whole delay, in milliseconds of the clock",
      );
    } else if (this.earliest > LATE) {
      this.report(
        "wake-late",
        "wake-ups come " + this.earliest + " ms late at best: or does the clock not count milliseconds?",
      );
    } else return false;
    return true;
  }

  private startLinks(): void {
    this.state = LINKS;
    if (this.links) this.links.start();
    this.stepLinks();
  }

  private stepLinks(): void {
    if (this.links && this.links.step()) {
      this.ask(TICK);
      return;
    }
    this.state = CANCELLED;
    this.ask(TICK);
    this.ask(-1);
    this.finished = true;
  }
}

/**
 * Checks a host, and two links that are wired to each other where it has them.
 *
 * @param report called with each finding, as it is made
 * @param links two interfaces, closed, of which each gets what the other sends, with no stack on either
 */
export function checkHost(host: Hypercalls, report: Report, links: Link[] | null = null): Conformance {
  return new Conformance(host, report, links);
}

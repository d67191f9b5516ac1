/**
 * Espruino as a host: the hypercalls over its globals.
 *
 * `getTime` follows `setTime`, the stack's clock must not: who sets the clock does it by `host.setTime`. And `E.hwRand` is as good
 * as the board makes it: a noise source in hardware on nRF52, STM32 and ESP32, but on some chips the voltage reference is all
 * that it reads. There a vendor passes `random`. A board without `E.hwRand` has no entropy: TCP and DNS then refuse to start.
 */
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { Hypercalls } from "../../hypercall/index.js";
import type { ToText } from "./text.js";
import { toText } from "./text.js";

/** The globals of Espruino that the port uses. */
export interface EspruinoGlobals {
  /** Seconds, with a fraction. */
  getTime(): number;
  setTime?(seconds: number): void;
  setTimeout(callback: () => void, delay: number): unknown;
  clearTimeout(timeout: any): void;
  E: {
    /** 32 random bits. */
    hwRand?(): number;
    /** A string of bytes, or undefined when memory is short. */
    toString?(data: Uint8Array): string | undefined;
  };
  print?(message: string): void;
}

declare const getTime: EspruinoGlobals["getTime"];
declare const setTime: (seconds: number) => void;
declare const setTimeout: EspruinoGlobals["setTimeout"];
declare const clearTimeout: EspruinoGlobals["clearTimeout"];
declare const E: EspruinoGlobals["E"];
declare const print: (message: string) => void;

/** Espruino's own globals; elsewhere (a test) they are given. */
export function espruinoGlobals(): EspruinoGlobals {
  return { getTime, setTime, setTimeout, clearTimeout, E, print };
}

export interface EspruinoHostOptions {
  /** Default: Espruino's own. */
  globals?: EspruinoGlobals;
  /** Fills `target` with cryptographically secure random bytes and returns true. Default: `E.hwRand`. */
  random?: (target: Uint8Array) => boolean;
  /** Takes the stack's lines for people. Default: none are printed. */
  log?: (message: string) => void;
}

/** The longest delay asked of setTimeout at once, ms; waking early is harmless. */
const LONGEST = 86400000;

export class EspruinoHost implements Hypercalls {
  readonly version = HYPERCALL_VERSION;
  readonly random: (target: Uint8Array) => boolean;
  readonly log: (message: string) => void;
  private readonly globals: EspruinoGlobals;
  private driven: { poll(): void } | null = null;
  private timeout: unknown = undefined;
  /** `getTime` at time 0, s. */
  private origin: number;

  constructor(options: EspruinoHostOptions) {
    const globals = (this.globals = options.globals || espruinoGlobals());
    this.origin = globals.getTime();
    this.log = options.log || nothing;
    this.random = options.random || ((target) => hardwareRandom(globals, target));
  }

  /** Says whose `poll` the wake-ups call: `const stack = host.drive(createStack(host, [...]))`. */
  drive<T extends { poll(): void }>(stack: T): T {
    this.driven = stack;
    return stack;
  }

  now(): number {
    return (this.globals.getTime() - this.origin) * 1000;
  }

  wake(delay: number): void {
    if (this.timeout !== undefined) this.globals.clearTimeout(this.timeout);
    this.timeout = undefined;
    if (delay < 0) return;
    this.timeout = this.globals.setTimeout(() => this.alarm(), delay < LONGEST ? delay : LONGEST);
  }

  /** What a callback of the script threw is shown as Espruino shows it: uncaught, from a task of its own. */
  panic(_message: string, error: unknown): void {
    this.globals.setTimeout(() => {
      throw error;
    }, 0);
  }

  /** Sets Espruino's clock (seconds since 1970) without a jump of the stack's. */
  setTime(seconds: number): void {
    const before = this.now();
    if (this.globals.setTime) this.globals.setTime(seconds);
    this.origin = this.globals.getTime() - before / 1000;
  }

  private alarm(): void {
    this.timeout = undefined;
    if (this.driven) this.driven.poll();
  }
}

function nothing(): void {}

function hardwareRandom(globals: EspruinoGlobals, target: Uint8Array): boolean {
  const source = globals.E;
  if (!source.hwRand) return false;
  let left = 0;
  let bits = 0;
  let same = 0;
  let first = 0;
  for (let i = 0; i < target.length; i++) {
    if (left === 0) {
      bits = source.hwRand() | 0;
      left = 4;
      if (i === 0) first = bits;
      else if (bits === first) same++;
    }
    target[i] = bits;
    bits >>>= 8;
    left--;
  }
  // A source that says one word again and again is broken, or none.
  return same < 2;
}

/** Makes strings of bytes by Espruino's own `E.toString`, which is many times faster than a loop. */
export function espruinoText(globals: EspruinoGlobals = espruinoGlobals()): ToText {
  const source = globals.E;
  return (data, start, end) => {
    const text = source.toString ? source.toString(data.subarray(start, end)) : undefined;
    // Elsewhere it is the method that any object has.
    return typeof text === "string" && text.length === end - start ? text : toText(data, start, end);
  };
}

/** Espruino as a host for one stack. */
export function espruinoHost(options: EspruinoHostOptions = {}): EspruinoHost {
  return new EspruinoHost(options);
}

/** A host of a world: the hypercalls over virtual time, with every fault that a real host might show. */
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import type { CryptoHypercalls, Hypercalls } from "../../hypercall/index.js";
import { Event } from "./queue.js";
import { Random } from "./random.js";
import type { World } from "./world.js";

/** What a host does wrong; all off at first, and free to be changed while the world runs. */
export class HostFaults {
  /** Turns the true time into what `now` answers: `(time) => time - 5000`, `() => NaN`, or one that throws. */
  clock: ((time: number) => number) | null = null;
  /** `"fail"`: returns false; `"throw"`; `"constant"`: fills with zeros and says yes. */
  random: "" | "fail" | "throw" | "constant" = "";
  /** `"never"`, `"early"`: at once and again in time, `"twice"`: then and again at once, `"throw"`. */
  wake: "" | "never" | "early" | "twice" | "throw" = "";
  /** Milliseconds by which wake-ups come late. */
  wakeLate = 0;
  /** `log` and `panic` throw. */
  log = false;
}

export class SimHost implements Hypercalls {
  readonly version = HYPERCALL_VERSION;
  readonly faults = new HostFaults();
  /** Lines that the stack wrote, `LOG_LIMIT` of them at most. */
  readonly logged: string[] = [];
  /** Wake-ups that came. */
  wakes = 0;
  /** Ciphers for IPsec; none unless a test gives them, before the stack is made. */
  crypto?: CryptoHypercalls;
  private readonly generator: Random;
  private readonly event: Event;
  private driven: { poll(): void } | null = null;

  constructor(
    readonly world: World,
    readonly name: string,
    stream: number,
  ) {
    this.generator = new Random(world.seed, stream);
    this.event = new Event(alarm, this);
  }

  /** Says whose `poll` the wake-ups call. Until then they pass unheard. */
  drive<T extends { poll(): void }>(stack: T): T {
    this.driven = stack;
    return stack;
  }

  /** Power fails: no more wake-ups, and the stack hears no more of the world. Its links are the caller's to close. */
  powerOff(): void {
    this.driven = null;
    this.world.events.clear(this.event);
  }

  now(): number {
    const time = this.world.time;
    return this.faults.clock ? this.faults.clock(time) : time;
  }

  random(target: Uint8Array): boolean {
    const fault = this.faults.random;
    if (fault === "throw") throw new Error("no entropy");
    if (fault === "fail") return false;
    if (fault === "constant") target.fill(0);
    else this.generator.fill(target);
    return true;
  }

  wake(delay: number): void {
    const { faults, world } = this;
    if (faults.wake === "throw") throw new Error("no timer");
    if (delay - delay !== 0) throw new Error("wake(" + delay + ")");
    if (delay < 0) world.events.clear(this.event);
    else if (faults.wake === "early") world.events.set(this.event, world.time + Math.min(delay, 1));
    else if (faults.wake !== "never") world.events.set(this.event, world.time + delay + faults.wakeLate);
  }

  log(message: string): void {
    if (this.faults.log) throw new Error("no log");
    if (this.logged.length < LOG_LIMIT) this.logged.push(message);
  }

  panic(message: string, error: unknown): void {
    if (this.faults.log) throw new Error("no log");
    this.world.panics.push({ host: this, time: this.world.time, message, error });
  }

  /** A wake-up has come. */
  alarm(): void {
    this.wakes++;
    if (!this.driven) return;
    this.driven.poll();
    if (this.faults.wake === "twice") this.driven.poll();
  }
}

const LOG_LIMIT = 1000;

function alarm(host: SimHost): void {
  host.alarm();
}

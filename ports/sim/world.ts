/**
 * A world: virtual time, one seed, and what happens when. Hosts and links live in it; nothing in it knows the real clock.
 *
 * Time is in milliseconds with a fraction. It jumps from event to event, so that an hour in which nothing happens costs
 * nothing; and two worlds of one seed in which the same is done are the same, byte for byte.
 */
import { Buffers } from "./buffers.js";
import type { Flight, Tap } from "./channel.js";
import { SimHost } from "./host.js";
import { Event, EventQueue } from "./queue.js";
import { Random } from "./random.js";
import { Trace } from "./trace.js";

export interface WorldOptions {
  /** Default 1. */
  seed?: number;
  /** Links overwrite a frame's bytes once its receiver returns: who keeps borrowed bytes is found out. Default false. */
  scribble?: boolean;
  /** Keep `world.trace`, which costs about a nanosecond a byte. Default false. */
  trace?: boolean;
  /** Time at the start, ms. Default 0. */
  start?: number;
}

/** Something that a stack had to report and could not answer. */
export interface Panic {
  host: SimHost;
  time: number;
  message: string;
  error: unknown;
}

/** Events in one instant after which a world is held to stand still. */
const STANDSTILL = 1000000;

export class World {
  /** Virtual time, ms. */
  time: number;
  readonly seed: number;
  readonly scribble: boolean;
  /** Draws of the world itself; hosts and channels have streams of their own. */
  readonly generator: Random;
  readonly events = new EventQueue();
  readonly buffers = new Buffers();
  /** Frames' descriptors that are not in use. */
  readonly flights: Flight[] = [];
  readonly hosts: SimHost[] = [];
  /** What the hosts' `panic` was called with. */
  readonly panics: Panic[] = [];
  readonly trace: Trace | null;
  /** Sees every frame that is sent into any channel; see capture.ts. */
  onFrame: Tap | null = null;
  /** Events that have happened. */
  count = 0;
  private channels = 0;
  private macs = 0;
  private instant = 0;

  constructor(options: WorldOptions) {
    this.seed = options.seed ?? 1;
    this.time = options.start ?? 0;
    this.scribble = options.scribble ?? false;
    this.generator = new Random(this.seed);
    this.trace = options.trace ? new Trace() : null;
  }

  /** A number in 0 <= x < 1. */
  random(): number {
    return this.generator.float();
  }

  /** Calls `action` in `delay` ms; `events.clear` on what this returns takes it back. */
  at(delay: number, action: () => void): Event {
    const event = new Event(action, null);
    this.events.set(event, this.time + Math.max(delay, 0));
    return event;
  }

  /** Makes a host. */
  host(name?: string): SimHost {
    const host = new SimHost(this, name ?? "host" + (this.hosts.length + 1), this.hosts.length + 1);
    this.hosts.push(host);
    return host;
  }

  /** Lets the next event happen. False: there is none, or none up to time `until`. */
  step(until = Infinity): boolean {
    const event = this.events.first();
    const time = this.events.firstTime();
    if (!event || time > until) return false;
    this.events.clear(event);
    if (time > this.time) {
      this.time = time;
      this.instant = 0;
    } else if (++this.instant > STANDSTILL) {
      throw new Error("world stands still at " + this.time + " ms: " + STANDSTILL + " events in one instant");
    }
    this.count++;
    event.fire(event.owner);
    return true;
  }

  /** Lets `ms` milliseconds pass. */
  run(ms: number): void {
    const until = this.time + ms;
    while (this.step(until));
    this.time = until;
  }

  /** Lets time pass until `done()` holds, `limit` ms at most; returns whether it does. */
  runUntil(done: () => boolean, limit = 60000): boolean {
    const until = this.time + limit;
    while (!done()) {
      if (this.step(until)) continue;
      this.time = until;
      return done();
    }
    return true;
  }

  /** A number that no other channel of this world has. */
  nextChannel(): number {
    return ++this.channels;
  }

  /** A hardware address that no other link of this world has: 02:00:00:00:00:01, ... */
  nextMac(): Uint8Array {
    const n = ++this.macs;
    return new Uint8Array([2, 0, 0, n >> 16, n >> 8, n]);
  }
}

/** Makes a world. `createWorld({ seed: 7 })` always runs the same. */
export function createWorld(options: WorldOptions = {}): World {
  return new World(options);
}

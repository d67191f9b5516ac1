/**
 * A small simulator that keeps to the language profile: virtual time, hosts, and cables that lose, repeat, delay and corrupt.
 *
 * (ports/sim is the simulator of all other tests; it is written for V8 alone.) Equal seeds give equal runs on any engine,
 * down to the byte, and so their traces can be compared.
 */
import type { Hypercalls, Link, LinkReceiver } from "../../../hypercall/index.js";
import { Random } from "../../../ports/sim/random.js";

/** Something to happen at a time; of one instant's events those made first come first. */
class Event {
  cancelled = false;
  constructor(
    readonly time: number,
    readonly run: () => void,
  ) {}
}

export class World {
  /** Whole milliseconds. */
  time = 0;
  readonly random: Random;
  private readonly events: Event[] = [];
  private streams = 0;

  /** @param print takes the trace: a line for each frame that is sent */
  constructor(
    readonly seed: number,
    readonly print: (line: string) => void,
  ) {
    this.random = new Random(seed, 0);
  }

  at(delay: number, run: () => void): Event {
    const event = new Event(this.time + delay, run);
    const events = this.events;
    let i = events.length;
    while (i > 0 && events[i - 1].time > event.time) i--;
    events.splice(i, 0, event);
    return event;
  }

  /** Lets `duration` ms pass. */
  run(duration: number): void {
    const end = this.time + duration;
    while (this.events.length > 0 && this.events[0].time <= end) {
      const event = this.events.shift() as Event;
      this.time = event.time;
      if (!event.cancelled) event.run();
    }
    this.time = end;
  }

  host(): Host {
    return new Host(this, ++this.streams);
  }

  /** Two links that are each other's far end. */
  cable(faults: Faults, medium: "ethernet" | "ip"): End[] {
    const id = ++this.streams;
    const a = new End(this, faults, medium, id * 2);
    const b = new End(this, faults, medium, id * 2 + 1);
    a.far = b;
    b.far = a;
    return [a, b];
  }
}

export class Host implements Hypercalls {
  readonly version = 1;
  private readonly generator: Random;
  private pending: Event | null = null;
  private driven: { poll(): void } | null = null;

  constructor(
    private readonly world: World,
    stream: number,
  ) {
    this.generator = new Random(world.seed, stream);
  }

  /** Says whose `poll` the wake-ups call. */
  drive<T extends { poll(): void }>(stack: T): T {
    this.driven = stack;
    return stack;
  }

  now(): number {
    return this.world.time;
  }

  random(target: Uint8Array): boolean {
    this.generator.fill(target);
    return true;
  }

  wake(delay: number): void {
    if (this.pending) this.pending.cancelled = true;
    this.pending = delay < 0 ? null : this.world.at(delay, () => this.driven && this.driven.poll());
  }

  log(message: string): void {
    this.world.print("log " + message);
  }

  panic(message: string, error: unknown): void {
    this.world.print("panic " + message + ": " + error);
  }
}

/** What a cable does, as probabilities, and its delay: `delay` ms, up to `jitter` more (which reorders). */
export interface Faults {
  loss: number;
  duplicate: number;
  corrupt: number;
  delay: number;
  jitter: number;
}

export class End implements Link {
  readonly mtu = 1500;
  readonly mac: Uint8Array;
  far: End = null as never;
  /** Sees what comes before the stack does; true: the stack does not see it. */
  tap: ((frame: Uint8Array) => boolean) | null = null;
  private receiver: LinkReceiver | null = null;

  constructor(
    private readonly world: World,
    private readonly faults: Faults,
    readonly medium: "ethernet" | "ip",
    private readonly id: number,
  ) {
    this.mac = new Uint8Array(6);
    this.mac[0] = 2;
    this.mac[5] = id;
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  close(): void {
    this.receiver = null;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const { world, faults } = this;
    const { random } = world;
    world.print(world.time + " " + this.id + " " + hex(frame, start, end));
    if (random.chance(faults.loss)) return 0;
    this.launch(frame, start, end);
    if (random.chance(faults.duplicate)) this.launch(frame, start, end);
    return 0;
  }

  private launch(frame: Uint8Array, start: number, end: number): void {
    const { world, faults, far } = this;
    const copy = new Uint8Array(end - start);
    copy.set(frame.subarray(start, end));
    if (world.random.chance(faults.corrupt)) {
      const bit = world.random.below(copy.length * 8);
      copy[bit >> 3] ^= 1 << (bit & 7);
    }
    world.at(faults.delay + world.random.below(faults.jitter + 1), () => {
      if (far.tap && far.tap(copy)) return;
      if (far.receiver) far.receiver.receive(copy, 0, copy.length);
    });
  }
}

const DIGITS = "0123456789abcdef";

export function hex(data: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += DIGITS.charAt(data[i] >> 4) + DIGITS.charAt(data[i] & 15);
  return text;
}

export function unhex(text: string): Uint8Array {
  const data = new Uint8Array(text.length >> 1);
  for (let i = 0; i < data.length; i++) data[i] = parseInt(text.substr(i * 2, 2), 16);
  return data;
}

/** All counters that are not zero: `"ip.received=3 tcp.sent=1"`. */
export function countersOf(stack: CounterHolder): string {
  let text = "";
  for (const component in stack.counters) {
    const counters = stack.counters[component];
    for (const name in counters) {
      if (counters[name]) text += (text && " ") + component + "." + name + "=" + counters[name];
    }
  }
  return text;
}

/** Sets all counters to zero. */
export function resetCounters(stack: CounterHolder): void {
  for (const component in stack.counters) {
    for (const name in stack.counters[component]) stack.counters[component][name] = 0;
  }
}

interface CounterHolder {
  counters: { [component: string]: { [counter: string]: number } };
}

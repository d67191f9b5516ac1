/** One direction of a wire: bandwidth, delay, a queue, and everything that goes wrong on the way. */
import { CHECKSUM_NONE, CHECKSUM_PARTIAL, SEGMENT_NONE } from "../../hypercall/link.js";
import type { TransmitOffload } from "../../hypercall/link.js";
import { Event } from "./queue.js";
import { markCongestion } from "./mark.js";
import { Random } from "./random.js";
import { completeChecksum, countSegments, emitSegment } from "./segment.js";
import type { World } from "./world.js";

/** All probabilities are 0..1 and 0 by default; all may be changed while the world runs. */
export interface ChannelOptions {
  /** Bits a second; default Infinity. */
  bandwidth?: number;
  /** Time on the way, ms; default 0. */
  delay?: number;
  /** A further delay between 0 and this, ms, drawn for each frame; frames stay in order. Default 0. */
  jitter?: number;
  /** Frames that wait for their turn with a finite bandwidth, the one on the wire included; default 1000. */
  queueFrames?: number;
  /** The same in bytes; default Infinity. */
  queueBytes?: number;
  /** Frames in the queue from which on it marks packets of transports that know ECN instead of waiting until it is full. Default Infinity. */
  markFrames?: number;
  /** What a full queue does: `"drop"` (default; the last frame goes), or `"refuse"` (`transmit` returns -1). */
  full?: "drop" | "refuse";
  /** Probability that a frame is lost. */
  loss?: number;
  /** Probability that a frame arrives twice. */
  duplicate?: number;
  /** Probability that a frame is held back and overtaken by later ones. */
  reorder?: number;
  /** For how long such a frame is held back at the most, ms; default 10. */
  reorderDelay?: number;
  /** Probability that one bit of a frame arrives flipped. */
  corrupt?: number;
  /** Frames with network packets beyond this many bytes vanish without a word (a black hole). Default Infinity. */
  maximum?: number;
  /** Decides on each frame: false drops it, bytes replace it, anything else lets it pass. It may change the bytes. */
  filter?: ((frame: Uint8Array, time: number) => boolean | Uint8Array | void) | null;
}

/** What became of the frames. */
export class ChannelCounters {
  sent = 0;
  bytes = 0;
  delivered = 0;
  lost = 0;
  /** Dropped or refused by a full queue. */
  overflowed = 0;
  duplicated = 0;
  reordered = 0;
  corrupted = 0;
  /** Marked by a queue that became long. */
  marked = 0;
  /** Larger than `maximum`. */
  oversized = 0;
  /** Dropped by `filter`. */
  filtered = 0;
  /** Sent into a cut cable, or on their way when it was cut. */
  cut = 0;
}

/** Where a channel ends. */
export interface Sink {
  /** It takes frames whose checksum is not complete. */
  readonly partial: boolean;
  /** It takes segments larger than the MTU. */
  readonly coalescing: boolean;
  /** Takes the frame; its bytes are lent until this returns. */
  input(flight: Flight): void;
}

/** A cable has two channels and one fate. */
export class Cable {
  up = true;
  /** Frames that were on their way before a cut do not arrive after it. */
  generation = 0;
}

/** A frame on its way. */
export class Flight {
  readonly event = new Event(arrive, this);
  data: Uint8Array = NOTHING;
  start = 0;
  end = 0;
  /** `CHECKSUM_NONE`, or `CHECKSUM_PARTIAL` with what is left to do in `offload`. */
  checksum = CHECKSUM_NONE;
  readonly offload: TransmitOffload = {
    checksumStart: -1,
    checksumOffset: 0,
    segment: SEGMENT_NONE,
    segmentSize: 0,
    headerLength: 0,
  };
  channel: Channel = null as never;
  generation = 0;
}

const NOTHING = new Uint8Array(0);
/** Where frames start in their buffers: not at 0, so that nobody takes that for granted. */
const LEAD = 18;
/** What scribbling writes. */
const SCRIBBLE = 0xdb;

export class Channel {
  bandwidth: number;
  delay: number;
  jitter: number;
  queueFrames: number;
  queueBytes: number;
  markFrames: number;
  full: "drop" | "refuse";
  loss: number;
  duplicate: number;
  reorder: number;
  reorderDelay: number;
  corrupt: number;
  maximum: number;
  filter: ((frame: Uint8Array, time: number) => boolean | Uint8Array | void) | null;
  readonly id: number;
  /** What sends into it is an interface, not a port of a switch. */
  edge = false;
  readonly counters = new ChannelCounters();
  /** Sees each frame that is sent, before anything happens to it, and each that arrives. */
  onSent: Tap | null = null;
  onDelivered: Tap | null = null;
  /** Called when a queue that refused a frame has room again. */
  onWritable: (() => void) | null = null;
  private readonly random: Random;
  /** When the frames in the queue will have left it, oldest first, from `head` on. */
  private departures: number[] = [];
  private head = 0;
  private lastArrival = 0;
  private refused = false;

  constructor(
    readonly world: World,
    readonly sink: Sink,
    readonly cable: Cable,
    /** Bytes of the medium's header: 14 or 0. */
    readonly header: number,
    options: ChannelOptions,
  ) {
    this.id = world.nextChannel();
    this.random = new Random(world.seed, 0x10000 + this.id);
    this.bandwidth = options.bandwidth ?? Infinity;
    this.delay = options.delay ?? 0;
    this.jitter = options.jitter ?? 0;
    this.queueFrames = options.queueFrames ?? 1000;
    this.queueBytes = options.queueBytes ?? Infinity;
    this.markFrames = options.markFrames ?? Infinity;
    this.full = options.full ?? "drop";
    this.loss = options.loss ?? 0;
    this.duplicate = options.duplicate ?? 0;
    this.reorder = options.reorder ?? 0;
    this.reorderDelay = options.reorderDelay ?? 10;
    this.corrupt = options.corrupt ?? 0;
    this.maximum = options.maximum ?? Infinity;
    this.filter = options.filter ?? null;
  }

  /** Takes a frame: it is copied. Returns 0, or -1 when the queue is full and refuses. */
  send(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    if (offload && offload.segment !== SEGMENT_NONE && !(this.sink.coalescing && this.plain())) {
      return this.cut(frame, start, end, offload);
    }
    const flight = this.take(end - start);
    flight.data.set(frame.subarray(start, end), flight.start);
    if (offload && this.sink.partial && this.plain()) {
      flight.checksum = CHECKSUM_PARTIAL;
      copyOffload(flight.offload, offload);
    } else if (offload) completeChecksum(flight.data, flight.start, flight.end, offload);
    return this.queue(flight, false);
  }

  /** Nothing on the way looks at single frames: large segments may pass as they are. */
  private plain(): boolean {
    return (
      this.loss + this.duplicate + this.reorder + this.corrupt === 0 &&
      this.maximum === Infinity &&
      this.bandwidth === Infinity &&
      this.filter === null
    );
  }

  private cut(frame: Uint8Array, start: number, end: number, offload: TransmitOffload): number {
    const count = countSegments(end - start, offload);
    const refuses = this.full === "refuse";
    if (refuses && this.waiting() >= this.queueFrames) return this.refuse();
    for (let i = 0; i < count; i++) {
      const flight = this.take(offload.headerLength + offload.segmentSize);
      flight.end = flight.start + emitSegment(frame, start, end, offload, i, flight.data, flight.start);
      // All or none: a segment that has begun goes on, beyond the queue's size if need be.
      this.queue(flight, refuses);
    }
    return 0;
  }

  private queue(flight: Flight, always: boolean): number {
    const { world, counters, cable } = this;
    const length = flight.end - flight.start;
    let depart = world.time;
    if (this.bandwidth !== Infinity) {
      const waiting = this.waiting();
      const last = waiting > 0 ? this.departures[this.departures.length - 1] : 0;
      const bytes = waiting > 0 ? ((last - world.time) * this.bandwidth) / 8000 : 0;
      // An empty queue takes any frame.
      if (!always && waiting > 0 && (waiting >= this.queueFrames || bytes + length > this.queueBytes)) {
        this.drop(flight);
        if (this.full === "refuse") return this.refuse();
        counters.overflowed++;
        return 0;
      }
      if (waiting >= this.markFrames && markCongestion(flight.data, flight.start + this.header))
        counters.marked++;
      depart = Math.max(last, world.time) + (length * 8000) / this.bandwidth;
      this.departures.push(depart);
    }
    counters.sent++;
    counters.bytes += length;
    if (world.trace) world.trace.add(this.id, world.time, flight.data, flight.start, flight.end);
    if (world.onFrame) world.onFrame(flight.data, flight.start, flight.end, this, world.time);
    if (this.onSent) this.onSent(flight.data, flight.start, flight.end, this, world.time);
    if (!cable.up) return this.lose(flight, "cut");
    if (length - this.header > this.maximum && flight.checksum === CHECKSUM_NONE) {
      return this.lose(flight, "oversized");
    }
    if (this.filter && !this.passes(flight)) return this.lose(flight, "filtered");
    if (this.random.chance(this.loss)) return this.lose(flight, "lost");
    if (this.random.chance(this.duplicate)) {
      const twin = this.take(flight.end - flight.start);
      twin.data.set(flight.data.subarray(flight.start, flight.end), twin.start);
      counters.duplicated++;
      this.launch(twin, depart);
    }
    this.launch(flight, depart);
    return 0;
  }

  private launch(flight: Flight, depart: number): void {
    const { random, counters, world } = this;
    let arrival = depart + this.delay;
    if (this.jitter > 0) arrival += random.float() * this.jitter;
    if (random.chance(this.corrupt)) {
      const bit = random.below((flight.end - flight.start) * 8);
      flight.data[flight.start + (bit >> 3)] ^= 1 << (bit & 7);
      counters.corrupted++;
    }
    if (random.chance(this.reorder)) {
      arrival += random.float() * this.reorderDelay;
      counters.reordered++;
    } else {
      if (arrival < this.lastArrival) arrival = this.lastArrival;
      this.lastArrival = arrival;
    }
    flight.generation = this.cable.generation;
    world.events.set(flight.event, arrival);
  }

  /** The frame has come to the end of the channel. */
  arrive(flight: Flight): void {
    const { world, counters, cable } = this;
    if (!cable.up || flight.generation !== cable.generation) {
      this.lose(flight, "cut");
      return;
    }
    counters.delivered++;
    if (world.trace) world.trace.mark(-this.id, world.time, flight.end - flight.start);
    if (this.onDelivered) this.onDelivered(flight.data, flight.start, flight.end, this, world.time);
    this.sink.input(flight);
    this.drop(flight);
  }

  private passes(flight: Flight): boolean {
    const verdict = (this.filter as NonNullable<typeof this.filter>)(
      flight.data.subarray(flight.start, flight.end),
      this.world.time,
    );
    if (verdict instanceof Uint8Array) {
      const other = this.world.buffers.take(LEAD + verdict.length);
      other.set(verdict, LEAD);
      this.world.buffers.give(flight.data);
      flight.data = other;
      flight.start = LEAD;
      flight.end = LEAD + verdict.length;
    }
    return verdict !== false;
  }

  /** Frames in the queue, the one on the wire included. */
  private waiting(): number {
    const { departures, world } = this;
    while (this.head < departures.length && departures[this.head] <= world.time) this.head++;
    if (this.head === departures.length) {
      this.head = departures.length = 0;
    } else if (this.head >= 256 && this.head * 2 >= departures.length) {
      departures.splice(0, this.head);
      this.head = 0;
    }
    return departures.length - this.head;
  }

  private refuse(): number {
    this.counters.overflowed++;
    if (!this.refused) {
      this.refused = true;
      const half = this.departures[this.head + ((this.departures.length - this.head) >> 1)];
      this.world.at(half - this.world.time, () => {
        this.refused = false;
        if (this.onWritable) this.onWritable();
      });
    }
    return -1;
  }

  private lose(flight: Flight, why: "cut" | "oversized" | "filtered" | "lost"): number {
    this.counters[why]++;
    this.drop(flight);
    return 0;
  }

  private take(length: number): Flight {
    const { world } = this;
    const flight = world.flights.pop() ?? new Flight();
    flight.channel = this;
    flight.data = world.buffers.take(LEAD + length);
    flight.start = LEAD;
    flight.end = LEAD + length;
    flight.checksum = CHECKSUM_NONE;
    flight.offload.checksumStart = -1;
    flight.offload.segment = SEGMENT_NONE;
    return flight;
  }

  private drop(flight: Flight): void {
    const { world } = this;
    if (world.scribble) flight.data.fill(SCRIBBLE, flight.start, flight.end);
    world.buffers.give(flight.data);
    flight.data = NOTHING;
    world.flights.push(flight);
  }
}

/** Sees a frame; the bytes are lent. */
export type Tap = (frame: Uint8Array, start: number, end: number, channel: Channel, time: number) => void;

function arrive(flight: Flight): void {
  flight.channel.arrive(flight);
}

function copyOffload(target: TransmitOffload, source: TransmitOffload): void {
  target.checksumStart = source.checksumStart;
  target.checksumOffset = source.checksumOffset;
  target.segment = source.segment;
  target.segmentSize = source.segmentSize;
  target.headerLength = source.headerLength;
}

/** A board without hardware: the functions of bare.h over virtual time, as duktape-glue.c would hand them over. */
import type { BareCalls } from "../../../ports/bare/index.js";
import { BARE_CARRIER, BARE_LOST_SHIFT, BARE_ROOM } from "../../../ports/bare/index.js";
import { Random } from "../../../ports/sim/random.js";

/** Frames that a controller queues. */
const QUEUE = 4;
/** How long a frame is on the wire, ms. */
const FLIGHT = 1;

export class FakeLink {
  /** Frames on the wire and when they arrive. */
  readonly queue: { at: number; frame: Uint8Array }[] = [];
  peer: FakeLink | null = null;
  carrier = true;
  room = true;
  lost = 0;
  sent = 0;

  constructor(
    readonly mac: Uint8Array,
    readonly mtu: number,
  ) {}
}

/** The world's clock and wire, shared by the boards of a test. */
export class Bench {
  time = 0;
  readonly boards: FakeBoard[] = [];

  board(options: Partial<FakeBoard> = {}): FakeBoard {
    const board = Object.assign(new FakeBoard(this), options);
    this.boards.push(board);
    return board;
  }

  wire(a: FakeLink, b: FakeLink): void {
    a.peer = b;
    b.peer = a;
  }
}

export class FakeBoard {
  readonly links: FakeLink[] = [];
  readonly logged: string[] = [];
  readonly panics: string[] = [];
  /** Entropy there is. */
  entropy = true;
  /** What `bare_now` adds: clocks start anywhere. */
  origin = 0;
  /** The clock's last answer to `bare_idle`: the board stops then. */
  stopAt = Infinity;
  idles = 0;
  private readonly generator = new Random(7);

  constructor(private readonly bench: Bench) {}

  link(options: { mac?: number[]; mtu?: number } = {}): FakeLink {
    const index = this.links.length;
    const mac = options.mac ?? [2, 0, 0, 0, this.bench.boards.length, index];
    const link = new FakeLink(Uint8Array.from(mac), options.mtu ?? 1500);
    this.links.push(link);
    return link;
  }

  /** When something happens that ends a sleep. */
  next(): number {
    const ahead = this.links.flatMap(({ queue }) => queue.map(({ at }) => at));
    return Math.min(...ahead.filter((at) => at > this.bench.time), Infinity);
  }

  readonly calls: BareCalls = {
    now: () => (this.bench.time + this.origin) >>> 0,
    random: (target) => {
      if (this.entropy) this.generator.fill(target);
      return this.entropy;
    },
    link: (index, about) => {
      const link = this.links[index];
      if (!link) return false;
      about.set(link.mac);
      about[6] = link.mtu >> 8;
      about[7] = link.mtu & 255;
      return true;
    },
    linkState: (index) => {
      const link = this.links[index]!;
      const room = link.room && (link.peer?.queue.length ?? 0) < QUEUE;
      const bits = (link.carrier ? BARE_CARRIER : 0) | (room ? BARE_ROOM : 0);
      return (bits | (link.lost << BARE_LOST_SHIFT)) >>> 0;
    },
    frameOut: (index, frame, start, end) => {
      const link = this.links[index]!;
      if (!link.room) return false;
      if (!link.peer) return true;
      if (link.peer.queue.length >= QUEUE) return false;
      link.sent++;
      link.peer.queue.push({ at: this.bench.time + FLIGHT, frame: frame.slice(start, end) });
      return true;
    },
    frameIn: (index, frame) => {
      const { queue } = this.links[index]!;
      for (;;) {
        if (queue.length === 0 || queue[0]!.at > this.bench.time) return 0;
        const next = queue.shift()!.frame;
        if (next.length > frame.length) continue;
        frame.set(next);
        return next.length;
      }
    },
    idle: (delay) => {
      this.idles++;
      const until = delay < 0 ? Infinity : this.bench.time + delay;
      this.bench.time = Math.max(this.bench.time, Math.min(until, this.next(), this.stopAt));
      return this.bench.time < this.stopAt;
    },
    log: (line) => void this.logged.push(line),
    panic: (message, error) => void this.panics.push(`${message}: ${error}`),
  };
}

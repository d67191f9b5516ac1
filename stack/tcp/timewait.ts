/** TIME-WAIT as compact records (RFC 9293 section 3.6.1): a queue in order of expiry; the oldest are recycled first. */
import type { Path } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { Timer } from "../core/timers.js";
import * as wire from "../wire/tcp.js";
import { sendControl } from "./control.js";
import type { Connection } from "./connection.js";
import type { Segment } from "./segment.js";
import type { Tcp } from "./tcp.js";

/** Bytes of a record, its path included: see `Stack.reserve`. */
export const TIME_WAIT_BYTES = 800;

class TimeWaitEntry implements TableEntry {
  nextInBucket: this | null = null;
  next: TimeWaitEntry | null = null;
  previous: TimeWaitEntry | null = null;
  expires = 0;

  constructor(
    readonly hash: number,
    readonly path: Path,
    readonly localPort: number,
    readonly remotePort: number,
    readonly sndNxt: number,
    readonly rcvNxt: number,
    readonly timestamps: boolean,
    readonly tsRecent: number,
    readonly tsOffset: number,
  ) {}
}

export class TimeWait {
  readonly table = new Table<TimeWaitEntry>();
  private first: TimeWaitEntry | null = null;
  private last: TimeWaitEntry | null = null;
  private readonly timer: Timer;

  /** @param limit records held @param duration twice the maximum segment lifetime, ms */
  constructor(
    private readonly tcp: Tcp,
    private readonly limit: number,
    private readonly duration: number,
  ) {
    this.timer = new Timer(expire, this);
  }

  /** Takes over a connection that has entered TIME-WAIT. */
  add(c: Connection): void {
    if (this.limit <= 0) return;
    if (this.table.size >= this.limit) {
      this.drop(this.first as TimeWaitEntry);
      this.tcp.counters.timeWaitRecycled++;
    }
    this.append(
      new TimeWaitEntry(
        c.hash,
        c.path,
        c.localPort,
        c.remotePort,
        c.sndNxt,
        c.rcvNxt,
        c.timestamps,
        c.tsRecent,
        c.tsOffset,
      ),
    );
  }

  /** Is a flow with these ends in TIME-WAIT? */
  holds(hash: number, path: Path, localPort: number, remotePort: number): boolean {
    for (let record = this.table.first(hash); record; record = record.nextInBucket) {
      if (record.hash !== hash || record.localPort !== localPort || record.remotePort !== remotePort)
        continue;
      if (record.path.net === path.net && path.net.remoteText(record.path) === path.net.remoteText(path)) {
        return true;
      }
    }
    return false;
  }

  /**
   * Takes a segment for a flow in TIME-WAIT.
   *
   * @param listened somebody listens at its local port
   * @returns false when there is none (any more): the segment may open a new connection
   */
  input(
    segment: Segment,
    packet: Packet,
    hash: number,
    localPort: number,
    remotePort: number,
    listened: boolean,
  ): boolean {
    let record = this.table.first(hash);
    for (; record; record = record.nextInBucket) {
      if (
        record.hash === hash &&
        record.localPort === localPort &&
        record.remotePort === remotePort &&
        record.path.net === packet.net &&
        record.path.net.matches(record.path, packet)
      ) {
        break;
      }
    }
    if (!record) return false;
    const counters = this.tcp.counters;
    const flags = segment.flags;
    if (flags & wire.RST) {
      // TIME-WAIT assassination (RFC 1337): ignored.
      counters.badReset++;
      return true;
    }
    const ahead = (segment.seq - record.rcvNxt) | 0;
    if (listened && (flags & (wire.SYN | wire.ACK | wire.FIN)) === wire.SYN) {
      // A new incarnation, by sequence number or timestamp (RFC 6191).
      const newer =
        record.timestamps && segment.timestamps
          ? ((segment.tsValue - record.tsRecent) | 0) > 0 ||
            (segment.tsValue === record.tsRecent && ahead > 0)
          : ahead > 0;
      if (newer) {
        this.tcp.lastTimeWaitSeq = record.sndNxt;
        this.drop(record);
        return false;
      }
    }
    if (ahead === 0 && segment.length === 0 && (flags & (wire.SYN | wire.FIN)) === 0) return true;
    if (flags & wire.FIN && ahead + segment.length === -1) {
      // The peer has not seen our last ACK: the time starts again.
      this.drop(record);
      this.append(record);
    }
    sendControl(
      this.tcp,
      record.path,
      localPort,
      remotePort,
      record.sndNxt,
      record.rcvNxt,
      wire.ACK,
      record.timestamps ? record.tsOffset : 0,
      segment.timestamps ? segment.tsValue : record.tsRecent,
    );
    return true;
  }

  close(): void {
    while (this.first) this.drop(this.first);
    this.tcp.stack.timers.clear(this.timer);
  }

  /** Gives up what has expired. */
  expire(): void {
    const now = this.tcp.refreshTime();
    while (this.first && ((this.first.expires - now) | 0) <= 0) this.drop(this.first);
    if (this.first) this.tcp.stack.timers.set(this.timer, this.first.expires);
  }

  private append(record: TimeWaitEntry): void {
    record.expires = (this.tcp.time + this.duration) | 0;
    record.previous = this.last;
    if (this.last) this.last.next = record;
    else this.first = record;
    this.last = record;
    this.table.insert(record);
    if (this.timer.slot < 0) this.tcp.stack.timers.set(this.timer, record.expires);
  }

  private drop(record: TimeWaitEntry): void {
    if (record.previous) record.previous.next = record.next;
    else this.first = record.next;
    if (record.next) record.next.previous = record.previous;
    else this.last = record.previous;
    record.next = record.previous = null;
    this.table.remove(record);
  }
}

function expire(timeWait: TimeWait): void {
  timeWait.expire();
}

/** The conformance checks of links: two that are wired to each other send frames of all sizes, and watch. See conformance.ts. */
import type { Report } from "./conformance.js";
import * as frames from "./conformance-frame.js";
import { Trial } from "./conformance-frame.js";
import { OffloadCheck } from "./conformance-offload.js";
import type { Link, LinkReceiver, TransmitOffload } from "./link.js";

/** Steps of 50 ms that frames, carriers and full queues are given. */
const PATIENCE = 20;
/** Steps after which a frame that was refused is tried again without a word from the link. */
const RETRY = 10;

/** Phases of the check. */
const CARRIER = 0;
const FRAMES = 1;
const OFFLOADS = 2;
const CLOSING = 3;
const DONE = 4;

/** One end of the pair, as its link sees it. */
class End implements LinkReceiver {
  up = true;
  room = true;
  /** Steps since the link refused a frame. */
  refused = 0;
  opened = false;
  closed = false;
  /** Highest sequence number that has arrived. */
  highest = -1;

  constructor(
    private readonly check: LinkCheck,
    readonly index: number,
    readonly link: Link,
  ) {}

  receive(frame: Uint8Array, start: number, end: number, checksum?: number): void {
    this.check.receive(this, frame, start, end, checksum || 0);
  }

  carrier(up: boolean): void {
    if (typeof up !== "boolean") this.check.report("link-carrier", "carrier(" + up + "): say true or false");
    this.up = !!up;
  }

  writable(): void {
    this.room = true;
  }

  lost(count: number): void {
    if (!(count > 0)) this.check.report("link-lost-count", "lost(" + count + "): say how many frames");
  }
}

export class LinkCheck {
  private readonly ends: End[] = [];
  private readonly trials: Trial[] = [];
  private readonly offloads: OffloadCheck;
  private phase = DONE;
  private steps = 0;
  private inside = false;
  private frame = new Uint8Array(0);

  constructor(
    links: Link[],
    readonly report: Report,
  ) {
    for (let i = 0; i < 2; i++) this.ends.push(new End(this, i, links[i]));
    this.offloads = new OffloadCheck(links, report);
  }

  /** Opens the links. */
  start(): void {
    const a = this.ends[0];
    const b = this.ends[1];
    if (!this.checkProperties(a.link) || !this.checkProperties(b.link)) return;
    this.checkAddresses(a.link.mac, b.link.mac);
    for (let i = 0; i < 2; i++) {
      try {
        this.ends[i].link.open(this.ends[i]);
        this.ends[i].opened = true;
      } catch (error) {
        this.report("link-open", "open threw " + error);
      }
    }
    if (a.opened && b.opened) this.phase = CARRIER;
  }

  /** Goes on; false when nothing more is waited for. Called every 50 ms. */
  step(): boolean {
    const late = ++this.steps >= PATIENCE;
    switch (this.phase) {
      case CARRIER:
        // A link without carrier says so some time after open.
        if (!late && (this.steps < 3 || !this.carriers())) return true;
        if (late)
          this.report(
            "link-down",
            "no carrier after a second: a link without such a signal never calls carrier",
          );
        this.plan();
        break;
      case FRAMES:
        this.send();
        if (!late && this.missing()) return true;
        this.judge();
        this.startOffloads();
        break;
      case OFFLOADS:
        if (!late && (this.steps < 3 || this.offloads.waiting())) return true;
        this.offloads.judge();
        this.closeOne();
        break;
      case CLOSING:
        if (this.steps < 3) return true;
        break;
      default:
        return false;
    }
    this.phase++;
    this.steps = 0;
    return this.step();
  }

  /** The end, however far the check has come. */
  finish(): void {
    if (this.phase === FRAMES) this.judge();
    if (this.phase === OFFLOADS) this.offloads.judge();
    this.phase = DONE;
    for (let i = 0; i < 2; i++) this.close(this.ends[i]);
  }

  receive(end: End, frame: Uint8Array, start: number, stop: number, checksum: number): void {
    const report = this.report;
    if (this.inside) report("link-receive-inside", "receive was called from inside transmit: deliver later");
    if (end.closed) {
      report("link-receive-closed", "a frame was delivered after close");
      return;
    }
    if (!(frame instanceof Uint8Array) || !(start >= 0 && stop >= start && stop <= frame.length)) {
      report(
        "link-receive-arguments",
        "receive(frame, " + start + ", " + stop + ") names no bytes of a frame",
      );
      return;
    }
    if (this.phase !== OFFLOADS || !this.offloads.receive(end.index, frame, start, stop, checksum)) {
      this.judgeFrame(end, frame, start, stop);
    }
    // Whoever lends a frame must not need it any more.
    for (let i = start; i < stop; i++) frame[i] = frames.SCRIBBLE;
  }

  private judgeFrame(end: End, frame: Uint8Array, start: number, stop: number): void {
    const report = this.report;
    const found = frames.recognise(end.link, frame, start, stop);
    if (found === frames.SCRIBBLED) {
      report("link-keeps-frame", "transmit reads the frame after it returned: send it or copy it at once");
      return;
    }
    const from = found >> 8;
    // Others may speak on the wire.
    if (found === frames.FOREIGN || from > 1) return;
    if (from === end.index) {
      report("link-echo", "a link delivers what it has sent itself");
      return;
    }
    const sequence = found & 255;
    const trial = this.trials[sequence < this.trials.length ? sequence : 0];
    if (trial.sequence !== sequence || trial.from !== from) {
      report("link-changed", "a frame arrives with bytes changed");
      return;
    }
    trial.arrived++;
    if (trial.arrived > 1) report("link-duplicated", "a packet of " + trial.size + " bytes arrived twice");
    else if (sequence < end.highest)
      report("link-reordered", "frames overtake each other: TCP takes that for loss");
    if (sequence > end.highest) end.highest = sequence;
    const length = stop - start - frames.linkHeader(end.link);
    if (length !== trial.size) {
      report(
        "link-length",
        "a packet of " + trial.size + " bytes arrives with " + length + ": no padding, no FCS",
      );
      return;
    }
    this.compare(trial, end, frame, start);
  }

  private compare(trial: Trial, end: End, frame: Uint8Array, start: number): void {
    const right = new Uint8Array(frames.linkHeader(end.link) + trial.size);
    frames.emitTrial(trial, this.ends[trial.from].link, end.link, right, 0);
    let kept = true;
    let changed = -1;
    for (let i = 0; i < right.length; i++) {
      if (frame[start + i] === right[i]) continue;
      changed = i;
      if (frame[start + i] !== frames.SCRIBBLE) kept = false;
    }
    if (changed < 0) return;
    if (kept) this.report("link-keeps-frame", "transmit reads the frame after it returned: copy it at once");
    else
      this.report(
        "link-changed",
        "a packet of " + trial.size + " bytes arrives with byte " + changed + " changed",
      );
  }

  /** Lists the frames to send: all sizes both ways, then to all and to a group. */
  private plan(): void {
    let largest = 0;
    for (let from = 0; from < 2; from++) {
      const link = this.ends[from].link;
      const mtu = link.mtu;
      const sizes = [46, 47, 64, 127, 575, 576, 1280, mtu - 1, mtu];
      for (let i = 0; i < sizes.length; i++) {
        if (sizes[i] <= mtu) this.add(from, sizes[i], frames.UNICAST);
      }
      if (mtu > largest) largest = mtu;
      if (link.medium !== "ethernet") continue;
      this.add(from, 60, frames.BROADCAST);
      this.add(from, 61, frames.GROUP);
      try {
        if (link.multicast) link.multicast(frames.groupAddress(), 1);
      } catch (error) {
        this.report("link-multicast", "multicast threw " + error);
      }
    }
    this.frame = new Uint8Array(largest + 14 + 3);
  }

  private add(from: number, size: number, kind: number): void {
    this.trials.push(new Trial(from, this.trials.length, size, kind));
  }

  private send(): void {
    const frame = this.frame;
    for (let i = 0; i < this.trials.length; i++) {
      const trial = this.trials[i];
      const end = this.ends[trial.from];
      if (trial.sent) continue;
      if (!end.room && end.refused < RETRY) continue;
      // Frames do not always start at the same place.
      const start = i & 3;
      const stop = frames.emitTrial(trial, end.link, this.ends[1 - trial.from].link, frame, start);
      const told = end.room;
      trial.sent = end.room = this.transmit(end, frame, start, stop, null) === 0;
      if (trial.sent && !told) {
        this.report(
          "link-writable",
          "a link refused a frame and did not call writable when it had room again",
        );
      }
      end.refused = 0;
      for (let k = 0; k < frame.length; k++) frame[k] = frames.SCRIBBLE;
    }
    for (let i = 0; i < 2; i++) this.ends[i].refused++;
  }

  /** 0 for taken (or lost by a link that throws), -1 for refused. */
  private transmit(
    end: End,
    frame: Uint8Array,
    start: number,
    stop: number,
    offload: TransmitOffload | null,
  ): number {
    let code = 0;
    this.inside = true;
    try {
      code = end.link.transmit(frame, start, stop, offload);
      if (code !== 0 && code !== -1) {
        this.report(
          "link-transmit-result",
          "transmit returned " + code + ": it is 0 for taken, -1 for no room now",
        );
        code = 0;
      }
    } catch (error) {
      this.report("link-transmit-throws", "transmit threw " + error + ": return -1, or lose the frame");
    }
    this.inside = false;
    return code;
  }

  private carriers(): boolean {
    return this.ends[0].up && this.ends[1].up;
  }

  private missing(): boolean {
    for (let i = 0; i < this.trials.length; i++) {
      if (this.trials[i].arrived === 0) return true;
    }
    return false;
  }

  private judge(): void {
    for (let i = 0; i < this.trials.length; i++) {
      const trial = this.trials[i];
      const mtu = this.ends[trial.from].link.mtu;
      if (trial.arrived > 0) continue;
      if (!trial.sent) this.report("link-full", "a link refuses frames for a second");
      else if (trial.kind === frames.BROADCAST)
        this.report("link-broadcast", "broadcast frames do not arrive");
      else if (trial.kind === frames.GROUP) {
        this.report("link-group", "frames to a group do not arrive: see Link.multicast");
      } else if (trial.size === mtu) {
        this.report("link-mtu-lost", "packets of the full MTU (" + mtu + " bytes) do not arrive");
      } else this.report("link-lost", "a packet of " + trial.size + " bytes does not arrive");
    }
  }

  private startOffloads(): void {
    for (let i = 0; i < 2; i++) {
      const end = this.ends[i];
      this.offloads.start(i, (frame, start, stop, offload) => {
        if (this.transmit(end, frame, start, stop, offload) !== 0 && offload) {
          this.report("link-offload-refused", "a link refuses a frame of the kind that its offloads promise");
        }
        for (let k = 0; k < frame.length; k++) frame[k] = frames.SCRIBBLE;
      });
    }
  }

  /** Closes one end, and sends to it: nothing may arrive. */
  private closeOne(): void {
    const a = this.ends[0];
    this.close(this.ends[1]);
    this.close(this.ends[1]);
    const stop = frames.emitTrial(
      new Trial(0, 0, 64, frames.UNICAST),
      a.link,
      this.ends[1].link,
      this.frame,
      0,
    );
    this.transmit(a, this.frame, 0, stop, null);
  }

  private close(end: End): void {
    if (!end.opened) return;
    end.closed = true;
    try {
      end.link.close();
    } catch (error) {
      this.report("link-close", "close threw " + error + ": it is legal at any time, and twice");
    }
  }

  private checkProperties(link: Link): boolean {
    const report = this.report;
    const mtu = link.mtu;
    const mac = link.mac;
    const offloads = link.offloads || {};
    const segmentation = offloads.segmentation || 0;
    if (link.medium !== "ethernet" && link.medium !== "ip") {
      report("link-medium", "medium is " + link.medium + ": it is ethernet or ip");
      return false;
    }
    if (!(mtu >= 68 && mtu <= 65535) || mtu % 1 !== 0) {
      report("link-mtu", "mtu is " + mtu + ": 68 to 65535 whole bytes, the link's own header not counted");
      return false;
    }
    if (link.medium === "ethernet" && (!(mac instanceof Uint8Array) || mac.length !== 6 || mac[0] & 1)) {
      report("link-mac", "mac is no Uint8Array with the 6 bytes of a station's address");
      return false;
    }
    if (!(segmentation >= 0 && segmentation <= 65535) || (segmentation && !offloads.transmitChecksum)) {
      report("link-offloads", "offloads.segmentation is 0 to 65535 bytes, and needs transmitChecksum");
      return false;
    }
    return true;
  }

  private checkAddresses(a: Uint8Array | undefined, b: Uint8Array | undefined): void {
    let same = 0;
    while (a && b && same < 6 && a[same] === b[same]) same++;
    if (same === 6) this.report("link-mac-same", "both links have the same hardware address");
  }
}

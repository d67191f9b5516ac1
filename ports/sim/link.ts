/** A network interface in a world: the Link that a stack is given, at the end of a wire. */
import { CHECKSUM_NONE, CHECKSUM_PARTIAL, SEGMENT_NONE } from "../../hypercall/link.js";
import type { Link, LinkOffloads, LinkReceiver, TransmitOffload } from "../../hypercall/link.js";
import { Cable, Channel } from "./channel.js";
import type { ChannelOptions, Flight, Sink } from "./channel.js";
import type { World } from "./world.js";

export interface LinkOptions {
  /** Default `"ethernet"`. */
  medium?: "ethernet" | "ip";
  /** What `link.mtu` says. Default 1500. */
  mtu?: number;
  /** Default: the world's next. */
  mac?: Uint8Array;
  offloads?: LinkOffloads;
}

/** What stands at the end of a cable: it is sent to by `input`, and sends by `out`. */
export interface Station extends Sink {
  out: Channel;
  /** The cable's carrier has come or gone. */
  carrier(up: boolean): void;
}

export class SimLink implements Link, Station {
  readonly medium: "ethernet" | "ip";
  mtu: number;
  readonly mac?: Uint8Array;
  readonly offloads?: LinkOffloads;
  readonly partial: boolean;
  readonly coalescing: boolean;
  /** The channel that frames leave by. Its fields may be changed while the world runs. */
  out: Channel = null as never;
  /** What is at the other end. */
  peer: Station = null as never;
  receiver: LinkReceiver | null = null;
  /** Makes the driver fail: `"throw"` in `transmit`, `"refuse"` with -1, `"close"`: `close` throws. */
  fault: "" | "throw" | "refuse" | "close" = "";

  constructor(
    readonly world: World,
    options: LinkOptions,
  ) {
    this.medium = options.medium ?? "ethernet";
    this.mtu = options.mtu ?? 1500;
    if (this.medium === "ethernet") this.mac = options.mac ?? world.nextMac();
    this.offloads = options.offloads;
    this.partial = options.offloads?.transmitChecksum ?? false;
    this.coalescing = options.offloads?.receiveCoalescing ?? false;
  }

  /** The channel that frames come by. */
  get in(): Channel {
    return this.peer.out;
  }

  open(receiver: LinkReceiver): void {
    if (this.receiver) throw new Error("EBUSY: link is open");
    this.receiver = receiver;
    if (!this.out.cable.up) this.world.at(0, () => this.receiver?.carrier(false));
    this.out.onWritable = () => this.receiver?.writable();
  }

  transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    if (this.fault === "throw") throw new Error("driver fault");
    if (this.fault === "refuse" || !this.receiver) return -1;
    return this.out.send(frame, start, end, offload);
  }

  close(): void {
    this.receiver = null;
    if (this.fault === "close") throw new Error("driver fault");
  }

  input(flight: Flight): void {
    if (!this.receiver) return;
    const state = flight.checksum === CHECKSUM_PARTIAL ? CHECKSUM_PARTIAL : CHECKSUM_NONE;
    const { segment, segmentSize } = flight.offload;
    const merged = segment === SEGMENT_NONE ? 0 : segmentSize;
    this.receiver.receive(flight.data, flight.start, flight.end, state, merged);
  }

  carrier(up: boolean): void {
    this.receiver?.carrier(up);
  }

  /** Cuts the cable; frames on their way are lost. `silent`: the carrier stays, as if it was cut behind the next switch. */
  cut(silent = false): void {
    const { cable } = this.out;
    cable.generation++;
    this.setCable(false, silent);
  }

  restore(silent = false): void {
    this.setCable(true, silent);
  }

  private setCable(up: boolean, silent: boolean): void {
    this.out.cable.up = up;
    if (silent) return;
    this.world.at(0, () => {
      this.carrier(this.out.cable.up);
      this.peer.carrier(this.out.cable.up);
    });
  }
}

/** Lays a cable between two stations. `there`: options of the direction from `a` to `b`; `back`: of the other. */
export function join(
  world: World,
  a: Station,
  b: Station,
  header: number,
  there: ChannelOptions,
  back: ChannelOptions,
): void {
  const cable = new Cable();
  a.out = new Channel(world, b, cable, header, there);
  b.out = new Channel(world, a, cable, header, back);
  a.out.edge = a instanceof SimLink;
  b.out.edge = b instanceof SimLink;
}

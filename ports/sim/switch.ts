/** Hubs and learning switches (IEEE 802.1D) for many interfaces, and trees of them. */
import type { Channel, ChannelOptions, Flight } from "./channel.js";
import { SimLink, join } from "./link.js";
import type { LinkOptions, Station } from "./link.js";
import type { World } from "./world.js";

export interface SwitchOptions extends LinkOptions, ChannelOptions {
  /** False: a hub, which repeats each frame to all other ports. Default true. */
  learning?: boolean;
  /** Addresses that a switch remembers; the oldest goes. Default 4096. */
  addresses?: number;
}

/** A frame's destination port, or all. */
const FLOOD = -1;

class Port implements Station {
  readonly partial = true;
  readonly coalescing = true;
  out: Channel = null as never;

  constructor(
    readonly owner: Switch,
    readonly index: number,
  ) {}

  input(flight: Flight): void {
    this.owner.input(this.index, flight);
  }

  carrier(): void {}
}

export class Switch {
  readonly ports: Port[] = [];
  /** Interfaces at its ports, in the order of their making. */
  readonly links: SimLink[] = [];
  private readonly learned = new Map<number, number>();

  constructor(
    readonly world: World,
    private readonly options: SwitchOptions,
  ) {}

  /** Plugs in a new interface. `options` go before the switch's own; both directions get them. */
  link(options: LinkOptions & ChannelOptions = {}): SimLink {
    const merged = { ...this.options, ...options };
    const link = new SimLink(this.world, merged);
    const port = this.port();
    join(this.world, link, port, 14, merged, merged);
    link.peer = port;
    this.links.push(link);
    return link;
  }

  /** Lays a cable to another switch. There must be one way only between any two: there is no spanning tree. */
  uplink(other: Switch, options: ChannelOptions = {}): void {
    const merged = { ...this.options, ...options };
    join(this.world, this.port(), other.port(), 14, merged, merged);
  }

  input(from: number, flight: Flight): void {
    const { data, start, end, checksum, offload } = flight;
    const left = checksum ? offload : null;
    const to = this.options.learning === false ? FLOOD : this.learn(from, data, start);
    if (to !== FLOOD) {
      if (to !== from) this.ports[to].out.send(data, start, end, left);
      return;
    }
    for (const port of this.ports) {
      if (port.index !== from) port.out.send(data, start, end, left);
    }
  }

  private port(): Port {
    const port = new Port(this, this.ports.length);
    this.ports.push(port);
    return port;
  }

  /** Remembers where the sender is, and says where the destination is. */
  private learn(from: number, frame: Uint8Array, start: number): number {
    const source = address(frame, start + 6);
    const known = this.learned.get(source);
    if (known !== from && (frame[start + 6] & 1) === 0) {
      this.learned.delete(source);
      this.learned.set(source, from);
      if (this.learned.size > (this.options.addresses ?? 4096)) {
        for (const oldest of this.learned.keys()) {
          this.learned.delete(oldest);
          break;
        }
      }
    }
    return frame[start] & 1 ? FLOOD : (this.learned.get(address(frame, start)) ?? FLOOD);
  }
}

function address(frame: Uint8Array, at: number): number {
  let value = 0;
  for (let i = 0; i < 6; i++) value = value * 256 + frame[at + i];
  return value;
}

/** A switch; `.link()` gives interfaces. */
export function createSwitch(world: World, options: SwitchOptions = {}): Switch {
  return new Switch(world, options);
}

/** `n` interfaces on one hub: each hears all. */
export function hub(world: World, n: number, options: SwitchOptions = {}): SimLink[] {
  const repeater = new Switch(world, { ...options, learning: false });
  for (let i = 0; i < n; i++) repeater.link();
  return repeater.links;
}

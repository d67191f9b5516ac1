/** A cable between two interfaces. */
import type { ChannelOptions } from "./channel.js";
import { SimLink, join } from "./link.js";
import type { LinkOptions } from "./link.js";
import type { World } from "./world.js";

/** Options of both interfaces and both directions, and where the ends differ, of each. */
export interface WireOptions extends LinkOptions, ChannelOptions {
  /** The first interface, and what it sends. */
  a?: LinkOptions & ChannelOptions;
  /** The second interface, and what it sends. */
  b?: LinkOptions & ChannelOptions;
}

/** `const [a, b] = wire(world, { delay: 20, loss: 0.01 })` */
export function wire(world: World, options: WireOptions = {}): [SimLink, SimLink] {
  const there = { ...options, ...options.a };
  const back = { ...options, ...options.b };
  const a = new SimLink(world, there);
  const b = new SimLink(world, back);
  join(world, a, b, a.medium === "ethernet" ? 14 : 0, there, back);
  a.peer = b;
  b.peer = a;
  return [a, b];
}

/**
 * The simulation port: any number of stacks in one process under a virtual clock, every run repeatable from its seed.
 *
 * ```ts
 * const world = createWorld({ seed: 7 });
 * const [a, b] = wire(world, { bandwidth: 1e7, delay: 20, loss: 0.01 });
 * const host = world.host();
 * const stack = host.drive(createStack(host, components));
 * stack.addInterface(a);
 * world.run(1000);
 * ```
 */
export { createWorld, World } from "./world.js";
export type { Panic, WorldOptions } from "./world.js";
export { SimHost, HostFaults } from "./host.js";
export { wire } from "./wire.js";
export type { WireOptions } from "./wire.js";
export { createSwitch, hub, Switch } from "./switch.js";
export type { SwitchOptions } from "./switch.js";
export { SimLink } from "./link.js";
export type { LinkOptions } from "./link.js";
export { Channel, ChannelCounters } from "./channel.js";
export type { ChannelOptions, Tap } from "./channel.js";
export { captureWorld } from "./capture.js";
export { Random } from "./random.js";
export type { Event } from "./queue.js";

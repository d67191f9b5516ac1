/**
 * Stacks on wires for tests: `const { a, b, world } = pair(t, { delay: 10 })`.
 *
 * Each node has the standard list of components. When the test ends, all stacks are closed and the leak check (leaks.ts)
 * runs: it throws for what has not been given back.
 */
import type { ExecutionContext } from "ava";
import type { CryptoHypercalls, Link } from "../../hypercall/index.js";
import { createSwitch, createWorld, wire } from "../../ports/sim/index.js";
import type {
  SimHost,
  SimLink,
  SwitchOptions,
  WireOptions,
  World,
  WorldOptions,
} from "../../ports/sim/index.js";
import type { Interface } from "../../stack/core/interface.js";
import { createStack } from "../../stack/core/stack.js";
import type { Component, Stack, StackOptions } from "../../stack/core/stack.js";
import { arp } from "../../stack/ipv4/arp.js";
import type { Arp, ArpOptions } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import type { Icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import type { Ipv4, Ipv4Options } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import type { Ethernet } from "../../stack/link/ethernet.js";
import { ipLink } from "../../stack/link/ip.js";
import { tcp } from "../../stack/tcp/tcp.js";
import type { Tcp, TcpConfiguration } from "../../stack/tcp/tcp.js";
import { udp } from "../../stack/udp/udp.js";
import type { Udp } from "../../stack/udp/udp.js";
import { closeAll } from "./leaks.js";
import type { LeakOptions } from "./leaks.js";

/** A stack with the standard components and one interface. */
export interface Node {
  world: World;
  host: SimHost;
  stack: Stack;
  nif: Interface;
  link: Link;
  ethernet: Ethernet;
  arp: Arp;
  ip: Ipv4;
  icmp: Icmp;
  udp: Udp;
  tcp: Tcp;
  /** Its address as text, without the prefix. */
  address: string;
}

export interface NetworkOptions {
  /** Default: a new world with seed 1 that scribbles over frames. */
  world?: World;
  worldOptions?: WorldOptions;
  stack?: StackOptions;
  ipv4?: Ipv4Options;
  arp?: ArpOptions;
  tcp?: TcpConfiguration;
  /** Further components for each stack, made for each anew; one of the standard list's names takes that one's place. */
  components?: () => Component[];
  /** Ciphers of each host. */
  crypto?: CryptoHypercalls;
  /** A default route. */
  gateway?: string;
  /** What the leak check at the end allows; false: there is none. */
  leaks?: LeakOptions | false;
  /** Of `probed`: false: the stack does not know the probe's hardware address at first. */
  acquainted?: boolean;
}

/** Makes a stack with the standard components over `link`. `address`: `"10.0.0.1/24"`, or `""` for none. */
export function buildNode(
  t: ExecutionContext | null,
  world: World,
  link: Link,
  address: string,
  options: NetworkOptions = {},
): Node {
  const host = world.host();
  if (options.crypto) host.crypto = options.crypto;
  const more = options.components?.() ?? [];
  const choose = <T extends Component>(standard: T): T =>
    (more.find(({ name }) => name === standard.name) as T | undefined) ?? standard;
  const node = {
    world,
    host,
    link,
    ethernet: choose(ethernet()),
    arp: choose(arp(options.arp)),
    ip: choose(ipv4(options.ipv4)),
    icmp: choose(icmp()),
    udp: choose(udp()),
    tcp: choose(tcp(options.tcp)),
    address: address.split("/")[0],
  };
  const standard: Component[] = [node.ethernet, ipLink(), node.arp, node.ip, node.icmp, node.udp, node.tcp];
  const components = standard.concat(more.filter((component) => !standard.includes(component)));
  const stack = host.drive(createStack(host, components, options.stack));
  const nif = stack.addInterface(link);
  if (address !== "") node.ip.addAddress(nif, address);
  if (options.gateway) node.ip.addRoute("0.0.0.0/0", { gateway: options.gateway });
  if (t) t.teardown(() => finish(t, world, stack, options));
  return { ...node, stack, nif };
}

/** Two stacks, 10.0.0.1 and 10.0.0.2, with a wire between them. */
export function pair(t: ExecutionContext | null, options: NetworkOptions & WireOptions = {}) {
  const world = options.world ?? createWorld({ seed: 1, scribble: true, ...options.worldOptions });
  const links = wire(world, options);
  const a = buildNode(t, world, links[0], "10.0.0.1/24", options);
  const b = buildNode(t, world, links[1], "10.0.0.2/24", options);
  return { world, a, b, links, run: (ms: number) => world.run(ms) };
}

/** `n` stacks on a switch (or hub: `learning: false`): 10.0.0.1, 10.0.0.2, ... in a /16. */
export function network(t: ExecutionContext | null, n: number, options: NetworkOptions & SwitchOptions = {}) {
  const world = options.world ?? createWorld({ seed: 1, scribble: true, ...options.worldOptions });
  const middle = createSwitch(world, options);
  const nodes: Node[] = [];
  const links: SimLink[] = [];
  for (let i = 1; i <= n; i++) {
    const link = middle.link();
    links.push(link);
    nodes.push(buildNode(t, world, link, `10.0.${i >> 8}.${i & 255}/16`, options));
  }
  return { world, nodes, links, middle, run: (ms: number) => world.run(ms) };
}

/** What runs at a test's end. A test that has failed already is not told of leaks: they are no news then. */
function finish(t: ExecutionContext, world: World, stack: Stack, options: NetworkOptions): void {
  const leaks = closeAll(world, [stack], options.leaks || { faults: true, panics: true });
  if (options.leaks !== false && leaks.length > 0 && t.passed) throw new Error("leaks: " + leaks.join("; "));
}

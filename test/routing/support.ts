/** Routers on wires for routing protocols: each has a stub network of both families, and links to others. */
import type { ExecutionContext } from "ava";
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { createWorld, wire } from "../../ports/sim/index.js";
import type { SimLink, World } from "../../ports/sim/index.js";
import { get32 } from "../../stack/core/bytes.js";
import type { Interface } from "../../stack/core/interface.js";
import { createStack } from "../../stack/core/stack.js";
import type { Component, Stack } from "../../stack/core/stack.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import type { Ipv4 } from "../../stack/ipv4/ipv4.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import type { Ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { forwarding6 } from "../../stack/router/forwarding6.js";
import { udp } from "../../stack/udp/udp.js";
import type { Udp } from "../../stack/udp/udp.js";
import { smallTable4 } from "../../stack/route/table.js";
import { smallTable6 } from "../../stack/route/table6.js";
import { ip4Bytes, ip6Bytes } from "../support/bytes.js";
import { closeAll } from "../support/leaks.js";

export interface Router<P> {
  readonly number: number;
  readonly stack: Stack;
  readonly ip: Ipv4;
  readonly ip6: Ipv6;
  readonly udp: Udp;
  readonly protocol: P;
  readonly stub: Interface;
  readonly links: { nif: Interface; link: SimLink; peer: number }[];
}

export interface Routers<P> {
  readonly world: World;
  readonly list: Router<P>[];
  /** Joins two routers; the protocol's `enable` is the caller's `join`. */
  connect(a: number, b: number): [SimLink, SimLink];
  add(): Router<P>;
}

/** A place for routers: `make` gives each its protocol, `join` is told of each interface between two. */
export function routers<P extends Component>(
  t: ExecutionContext,
  make: () => P,
  join: (protocol: P, nif: Interface) => void,
  seed = 1,
  crypto?: CryptoHypercalls,
): Routers<P> {
  const world = createWorld({ seed, scribble: true });
  const list: Router<P>[] = [];
  t.teardown(() => {
    const leaks = closeAll(
      world,
      list.map(({ stack }) => stack),
    );
    if (leaks.length > 0 && t.passed) throw new Error("leaks: " + leaks.join("; "));
  });
  const add = () => {
    const number = list.length;
    const ip = ipv4({ fib: smallTable4(256) });
    const ip6 = ipv6({ fib: smallTable6(256) });
    const protocol = make();
    const sockets = udp();
    const host = world.host();
    host.crypto = crypto;
    const stack = host.drive(
      createStack(host, [
        ethernet(),
        arp(),
        ip,
        icmp(),
        igmp(),
        ip6,
        icmpv6(),
        nd(),
        sockets,
        forwarding(),
        forwarding6(),
        protocol,
      ]),
    );
    const stub = stack.addInterface(wire(world)[0], "stub");
    ip.addAddress(stub, `10.200.${number}.1/24`);
    ip6.addAddress(stub, `fd00:200:${number}::1/64`);
    const router = { number, stack, ip, ip6, udp: sockets, protocol, stub, links: [] };
    list.push(router);
    return router;
  };
  const connect = (a: number, b: number): [SimLink, SimLink] => {
    const cable = wire(world, { delay: 1 });
    [a, b].forEach((number, end) => {
      const router = list[number]!;
      const nif = router.stack.addInterface(cable[end]!);
      const low = Math.min(a, b);
      const high = Math.max(a, b);
      router.ip.addAddress(nif, `10.${low}.${high}.${number === low ? 1 : 2}/30`);
      router.links.push({ nif, link: cable[end]!, peer: end === 0 ? b : a });
      join(router.protocol, nif);
    });
    return cable;
  };
  return { world, list, connect, add };
}

/** The routers that a packet from `from` to `to`'s stub passes, of a family; what ends in -1 finds no way, in -2 goes round. */
export function way<P>(list: Router<P>[], from: number, to: number, family: 4 | 6): number[] {
  const passed = [from];
  let at = list[from]!;
  const four = get32(ip4Bytes(`10.200.${to}.1`), 0);
  const six = ip6Bytes(`fd00:200:${to}::1`);
  while (at.number !== to) {
    const route = family === 4 ? at.ip.fib.lookup(four, null) : at.ip6.fib.lookup(six, 0, null, null);
    const next = route && at.links.find(({ nif }) => nif === route.nif);
    if (!next) return [...passed, -1];
    if (passed.includes(next.peer)) return [...passed, next.peer, -2];
    passed.push(next.peer);
    at = list[next.peer]!;
  }
  return passed;
}

/** How many of all pairs find a way, find none, go round. */
export function survey<P>(list: Router<P>[], family: 4 | 6): { ways: number; none: number; loops: number } {
  const found = { ways: 0, none: 0, loops: 0 };
  for (const { number: from } of list)
    for (const { number: to } of list) {
      const last = way(list, from, to, family).at(-1)!;
      if (last === -2) found.loops++;
      else if (last === -1) found.none++;
      else found.ways++;
    }
  return found;
}

/** Lets time pass in steps of a tenth of a second until `done`, `limit` ms at most; returns whether it is. */
export function settles(world: World, done: () => boolean, limit: number): boolean {
  const end = world.time + limit;
  while (!done()) {
    if (world.time >= end) return false;
    world.run(100);
  }
  return true;
}

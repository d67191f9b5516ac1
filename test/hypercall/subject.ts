/** A good host with two good links for the conformance checks, and ways to put something broken in their place. */
import { checkHost } from "../../hypercall/conformance.js";
import type { Hypercalls, Link, LinkReceiver, TransmitOffload } from "../../hypercall/index.js";
import { createWorld, wire } from "../../ports/sim/index.js";
import type { SimHost, SimLink, World, WireOptions } from "../../ports/sim/index.js";
import { copyBytes } from "../../stack/core/bytes.js";
import { sum } from "../../stack/core/checksum.js";

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface Subject {
  world: World;
  host: SimHost;
  a: SimLink;
  b: SimLink;
  /** What the checks are given, free to be changed. */
  calls: Mutable<Hypercalls>;
  links: [Link, Link] | null;
}

export function subject(options: WireOptions = {}): Subject {
  const world = createWorld({ scribble: true });
  const host = world.host();
  const [a, b] = wire(world, options);
  const calls: Hypercalls = {
    version: host.version,
    now: () => host.now(),
    random: (target) => host.random(target),
    wake: (delay) => host.wake(delay),
    log: (message) => host.log(message),
    panic: () => {},
    allocate: (size) => new Uint8Array(size),
    checksum: sum,
    copy: copyBytes,
    crypto: { algorithms: ["aes-gcm"] },
  };
  return { world, host, a, b, calls, links: [a, b] };
}

/** Runs the checks as a porter would; the codes of the findings, sorted. */
export function findings(s: Subject): string[] {
  const codes: string[] = [];
  const check = checkHost(s.calls, (code) => void codes.push(code), s.links);
  s.host.drive(check);
  s.world.run(10000);
  check.finish();
  s.world.run(1000);
  if (codes.length !== check.findings || check.finish() !== codes.length) codes.push("COUNT");
  return codes.sort();
}

/** Puts a link in the place of one of the two: the good one with some members replaced. */
export function replace(s: Subject, index: 0 | 1, change: (inner: SimLink) => Partial<Link>): void {
  const inner = index ? s.b : s.a;
  const good: Link = {
    medium: inner.medium,
    mtu: inner.mtu,
    mac: inner.mac,
    offloads: inner.offloads,
    open: (receiver) => inner.open(receiver),
    transmit: (frame, start, end, offload) => inner.transmit(frame, start, end, offload),
    close: () => inner.close(),
  };
  (s.links as Link[])[index] = { ...good, ...change(inner) };
}

/** A frame as a receiver gets it. */
export type Receive = (to: LinkReceiver, frame: Uint8Array, start: number, end: number) => void;

/** The second link delivers by `receive`. */
export function delivering(receive: Receive): (s: Subject) => void {
  return (s) =>
    replace(s, 1, (inner) => ({
      open: (to) =>
        inner.open({
          receive: (frame, start, end) => receive(to, frame, start, end),
          carrier: (up) => to.carrier(up),
          writable: () => to.writable(),
          lost: (count) => to.lost(count),
        }),
    }));
}

/** How a link sends: `send` is what a good one does. */
export type Transmit = (
  send: (offload?: TransmitOffload | null) => number,
  frame: Uint8Array,
  start: number,
  end: number,
  offload: TransmitOffload | null,
  s: Subject,
) => number;

/** The first link sends by `transmit`. */
export function sending(transmit: Transmit): (s: Subject) => void {
  return (s) =>
    replace(s, 0, (inner) => ({
      transmit: (frame, start, end, offload) => {
        const send = (other = offload) => inner.transmit(frame, start, end, other);
        return transmit(send, frame, start, end, offload, s);
      },
    }));
}

/**
 * A stack under test alone on a link whose other end is the test: it sends frames by hand and sees every frame that comes out.
 *
 * ```ts
 * const { probe, stack } = probed(t);
 * probe.send(frame(eth(), ip4(), icmp(), "hello"));
 * expectFrame(t, probe.next(), { icmp: { type: 0 }, payload: "hello" });
 * ```
 * Frames go in at once, without a wire; only timers need `world.run`. The stack is 10.0.0.1, the probe plays 10.0.0.2.
 */
import type { ExecutionContext } from "ava";
import type { Link, LinkOffloads, LinkReceiver, TransmitOffload } from "../../hypercall/index.js";
import { createWorld } from "../../ports/sim/index.js";
import type { World } from "../../ports/sim/index.js";
import type { Interface } from "../../stack/core/interface.js";
import { macBytes } from "./bytes.js";
import { buildNode } from "./network.js";
import type { NetworkOptions, Node } from "./network.js";
import { PROBE_IP, PROBE_MAC, STACK_IP, STACK_MAC, arp, eth, frame } from "./packets.js";
import { parseFrame } from "./parse.js";
import type { Parsed } from "./parse.js";

/** A frame that the stack sent. */
export interface Sent {
  time: number;
  bytes: Uint8Array;
  /** What it left to the link, or null. */
  offload: TransmitOffload | null;
}

export interface ProbeOptions {
  medium?: "ethernet" | "ip";
  mtu?: number;
  mac?: string;
  offloads?: LinkOffloads;
}

/** Bytes around an injected frame, full of garbage: who reads beyond the frame does not find zeros. */
const MARGIN = 64;

export class Probe implements Link {
  readonly medium: "ethernet" | "ip";
  mtu: number;
  readonly mac?: Uint8Array;
  readonly offloads?: LinkOffloads;
  /** Everything that the stack has sent and `next` has not taken. */
  readonly sent: Sent[] = [];
  /** How many frames the stack has sent in all. */
  count = 0;
  receiver: LinkReceiver | null = null;
  /** Answers ARP requests for these addresses of the probe's (all: null). Requests that it answers are not recorded. */
  answersArp: readonly string[] | null = [PROBE_IP];
  /** False: `transmit` answers -1. */
  room = true;
  /** Sees each frame before it is recorded; true: it is not recorded. */
  onFrame: ((bytes: Uint8Array, parsed: Parsed) => boolean | void) | null = null;

  constructor(
    readonly world: World,
    options: ProbeOptions = {},
  ) {
    this.medium = options.medium ?? "ethernet";
    this.mtu = options.mtu ?? 1500;
    this.offloads = options.offloads;
    if (this.medium === "ethernet") this.mac = macBytes(options.mac ?? STACK_MAC);
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  close(): void {
    this.receiver = null;
  }

  transmit(data: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number {
    if (!this.room) return -1;
    const bytes = data.slice(start, end);
    this.count++;
    if (this.answer(bytes)) return 0;
    if (this.onFrame && this.onFrame(bytes, parseFrame(bytes))) return 0;
    this.sent.push({ time: this.world.time, bytes, offload: offload && { ...offload } });
    return 0;
  }

  /** Gives the stack a frame; its bytes lie in the middle of garbage, and are garbage when this returns. */
  send(bytes: Uint8Array, checksum?: number, segmentSize?: number): void {
    const lent = new Uint8Array(bytes.length + 2 * MARGIN).fill(0xa5);
    lent.set(bytes, MARGIN);
    this.receiver?.receive(lent, MARGIN, MARGIN + bytes.length, checksum, segmentSize);
    lent.fill(0xdb);
  }

  /** The oldest frame that has not been taken, or undefined. */
  next(): Uint8Array | undefined {
    return this.sent.shift()?.bytes;
  }

  /** All frames that have not been taken. */
  take(): Uint8Array[] {
    return this.sent.splice(0).map((sent) => sent.bytes);
  }

  /** All frames that have not been taken, read. */
  takeParsed(): Parsed[] {
    return this.take().map(parseFrame);
  }

  /** ARP requests for what the probe plays are answered in the next instant. */
  private answer(bytes: Uint8Array): boolean {
    if (this.medium !== "ethernet" || bytes[12] !== 8 || bytes[13] !== 6) return false;
    const { arp: request } = parseFrame(bytes);
    if (!request || request.op !== 1 || request.senderIp === "0.0.0.0") return false;
    if (request.senderIp === request.targetIp) return false;
    if (this.answersArp !== null && !this.answersArp.includes(request.targetIp)) return false;
    const reply = frame(
      eth({ dst: request.senderMac, src: PROBE_MAC }),
      arp({ op: 2, senderIp: request.targetIp, targetMac: request.senderMac, targetIp: request.senderIp }),
    );
    this.world.at(0, () => this.send(reply));
    return true;
  }
}

/** A stack under test and the probe at its other end. */
export interface Probed extends Node {
  world: World;
  probe: Probe;
}

/**
 * Makes a stack with one interface over a probe. It is at 10.0.0.1/24 with a default route through the probe at 10.0.0.2, and
 * knows the probe's hardware address. The leak check runs when the test ends.
 */
export function probed(
  t: ExecutionContext | null,
  options: NetworkOptions & { probe?: ProbeOptions } = {},
): Probed {
  const world = options.world ?? createWorld({ seed: 1, scribble: true, ...options.worldOptions });
  const probe = new Probe(world, options.probe);
  const node = buildNode(t, world, probe, STACK_IP + "/24", { gateway: PROBE_IP, ...options });
  if (options.acquainted !== false) acquaint(node.nif, probe);
  return { ...node, world, probe };
}

/** Lets the stack learn the probe's hardware address. */
function acquaint(nif: Interface, probe: Probe): void {
  if (!nif.medium.resolves) return;
  probe.send(frame(eth({ src: PROBE_MAC }), arp()));
  probe.take();
}

/** One run of the campaign: a plan made into a world, run to its end, and judged. */
import { createSwitch, createWorld, wire } from "../../ports/sim/index.js";
import type { LinkOptions, SimLink, World } from "../../ports/sim/index.js";
import { captureWorld } from "../../ports/sim/index.js";
import { closeAll, findLeaks } from "../support/leaks.js";
import { Churn } from "./churn.js";
import { Tally, echo, pings } from "./echo.js";
import { schedule } from "./faults.js";
import { Machine } from "./machine.js";
import type { Plan } from "./plan.js";
import { Flow } from "./stream.js";

/** The longest that a run may take until all streams have ended, ms: keep-alive and user timeouts lie far below. */
const LIMIT = 3 * 3600000;
/** All work has begun and all faults have ended, ms. */
const BEGUN = 70000;
/** After the last stream: TIME-WAIT, reassembly and neighbours come to rest. */
const REST = 600000;

const OFFLOADS = { transmitChecksum: true, segmentation: 65535, receiveCoalescing: true };

export interface Outcome {
  /** What was not as it had to be; empty: all well. */
  failures: string[];
  digest: string;
  /** Virtual time of the end, ms. */
  time: number;
  events: number;
  frames: number;
  bytes: number;
  echoes: Tally;
  pings: Tally;
}

/** Runs a plan. `capture` takes a pcapng of all that was sent. What throws is a failure like others. */
export function runPlan(plan: Plan, capture?: (bytes: Uint8Array) => void): Outcome {
  const world = createWorld({ seed: plan.seed, scribble: true, trace: true });
  if (capture) captureWorld(world, capture);
  const failures: string[] = [];
  const echoes = new Tally();
  const replies = new Tally();
  let bytes = 0;
  try {
    const links = cable(world, plan);
    const machines = plan.machines.map((each, i) => new Machine(world, each, links[i], i + 1, plan.six));
    const flows = plan.flows.map((each, i) => new Flow(world, each, i, machines));
    const churns = plan.churns.map((each, i) => new Churn(world, each, i, machines));
    plan.echoes.forEach((each, i) => echo(world, each, i, machines, echoes));
    plan.pings.forEach((each, i) => pings(world, each, i, machines, replies));
    plan.faults.forEach((each) => schedule(world, each, machines));
    world.run(BEGUN);
    world.runUntil(() => [...flows, ...churns].every((work) => work.done()), LIMIT);
    for (const flow of flows) {
      failures.push(...flow.judge(plan.gentle));
      bytes += flow.near.received + (flow.far?.received ?? 0);
    }
    for (const churn of churns) failures.push(...churn.judge(plan.gentle));
    failures.push(...echoes.wrong, ...replies.wrong);
    world.run(REST);
    for (const machine of machines) failures.push(...judgeMachine(machine));
    const stacks = machines.map(({ stack }) => stack);
    failures.push(...closeAll(world, stacks, { faults: true }));
    // What was said at the last moment (groups are left) arrives nowhere any more.
    world.run(BEGUN);
    if (world.buffers.used > 0) failures.push(world.buffers.used + " frames are still on their way");
  } catch (error) {
    failures.push("thrown at " + world.time + " ms: " + (error instanceof Error ? error.stack : error));
  }
  const { time, count, trace } = world;
  const digest = trace!.digest();
  return { failures, digest, time, events: count, frames: trace!.frames, bytes, echoes, pings: replies };
}

/** Lays the cables; the links of the machines in their order. */
function cable(world: World, plan: Plan): SimLink[] {
  const options = plan.machines.map(({ offloads }): LinkOptions => ({
    mtu: plan.mtu,
    medium: plan.medium,
    offloads: offloads ? OFFLOADS : undefined,
  }));
  if (plan.topology === "wire") {
    const [a, b] = plan.machines;
    return wire(world, { a: { ...options[0], ...a.out }, b: { ...options[1], ...b.out } });
  }
  const learning = plan.topology !== "hub";
  const first = createSwitch(world, { learning });
  const second = plan.topology === "tree" ? createSwitch(world, { learning }) : first;
  if (second !== first) second.uplink(first, { delay: 1 });
  return plan.machines.map((machine, i) => {
    const link = (i % 2 ? second : first).link(options[i]);
    Object.assign(link.out, machine.out);
    Object.assign(link.in, machine.in);
    return link;
  });
}

/** A machine at rest holds nothing, and never held more than it may. */
function judgeMachine(machine: Machine): string[] {
  const { stack, tcp, address, plan } = machine;
  const found = findLeaks(stack, { timers: Infinity, faults: true });
  if (tcp.connections.size > 0) found.push(tcp.connections.size + " connections left");
  if (stack.pool.peak * plan.chunkSize > plan.packetMemory) found.push("more memory than the budget");
  return found.map((what) => `${address} at rest: ${what}`);
}

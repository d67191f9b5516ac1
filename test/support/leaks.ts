/** The leak check: what a stack must have given back when nothing goes on, and when it is closed. */
import type { World } from "../../ports/sim/index.js";
import type { Stack } from "../../stack/core/stack.js";

export interface LeakOptions {
  /** Timers that may be armed. Default 0. */
  timers?: number;
  /** Chunks of packet memory that may be in use. Default 0. */
  chunks?: number;
  /** Faults of the host that the test provoked: by default none may have been counted. */
  faults?: boolean;
  /** Panics (callbacks that threw) that the test provoked: by default there may be none. */
  panics?: boolean;
}

/** What `stack` has not given back; an empty list when it is clean. */
export function findLeaks(stack: Stack, options: LeakOptions = {}): string[] {
  const found: string[] = [];
  if (stack.pool.used > (options.chunks ?? 0))
    found.push(stack.pool.used + " chunks of packet memory in use");
  if (stack.timers.count() > (options.timers ?? 0)) found.push(stack.timers.count() + " timers armed");
  if (stack.deferred) found.push("events wait for the application");
  if (stack.busy) found.push("the stack is busy");
  const faults = stack.host.counters as unknown as Record<string, number>;
  for (const [name, count] of Object.entries(faults)) {
    const allowed = name === "callback" ? options.panics : options.faults;
    if (count !== 0 && !allowed) found.push(`host fault ${name}: ${count}`);
  }
  return found;
}

/** Closes the stacks, lets a moment pass, and says what they have not given back, and what the world saw go wrong. */
export function closeAll(world: World | null, stacks: readonly Stack[], options: LeakOptions = {}): string[] {
  const found: string[] = [];
  for (const stack of stacks) stack.close();
  if (world) world.run(1);
  stacks.forEach((stack, index) => {
    for (const leak of findLeaks(stack, options)) found.push(`stack ${index}: ${leak}`);
  });
  if (world && !options.panics) {
    for (const panic of world.panics)
      found.push(`${panic.host.name}: ${panic.message}: ${trail(panic.error)}`);
  }
  return found;
}

function trail(error: unknown): string {
  return error instanceof Error ? (error.stack ?? String(error)) : String(error);
}

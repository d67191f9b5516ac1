/** Hosts whose clock runs fast, so that leases of minutes take seconds: only for peers that need no common sense of time. */
import type { Hypercalls } from "../../../hypercall/index.js";
import type { Stack } from "../../../stack/index.js";

/** From now on `stack` lives `factor` times as fast as the world around it. */
export function speedUp(stack: Stack, factor: number): void {
  const calls = stack.host.calls as { -readonly [K in keyof Hypercalls]: Hypercalls[K] };
  const now = calls.now.bind(calls);
  const wake = calls.wake.bind(calls);
  const start = now();
  calls.now = () => start + (now() - start) * factor;
  calls.wake = (delay) => wake(delay < 0 ? delay : delay / factor);
}

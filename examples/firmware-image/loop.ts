/** An image that measures the engine alone: a loop that does nothing but count. Everything else is compared with that. */
import type { BareCalls } from "../../ports/bare/index.js";
import type { Device } from "./main.js";

const COUNT = 100_000;

export function start(bare: BareCalls, device: Device): void {
  const begun = device.busy();
  let i = 0;
  while (i < COUNT) i++;
  // The count is told, or the minifier would drop the loop.
  bare.log("loop " + (device.busy() - begun) / i);
  device.exit(0);
}

/** An image that runs the conformance kit on the board: clock, sleep, random, accelerators. Its exit code is the number of findings. */
import { checkHost } from "../../hypercall/conformance.js";
import { bareHost } from "../../ports/bare/index.js";
import type { BareCalls } from "../../ports/bare/index.js";
import type { Device } from "./main.js";

/** The kit needs about four seconds of waiting; what has not come by then never comes. */
const ENOUGH = 30_000;
/** How long it looks on after its end, ms: a wake-up that was cancelled must not come. */
const AFTER = 200;

export function start(bare: BareCalls, device: Device): void {
  const host = bareHost(bare);
  const check = checkHost(host, (code, message) => host.log(code + ": " + message));
  const begun = host.now();
  host.drive(check);
  let end = (begun + ENOUGH) | 0;
  let finished = false;
  while (((end - host.now()) | 0) > 0) {
    const delay = host.step();
    if (check.finished && !finished) {
      finished = true;
      end = (host.now() + AFTER) | 0;
    }
    bare.idle(delay < 0 || delay > AFTER ? AFTER : delay);
  }
  const count = check.finish();
  host.log(
    "conformance: " +
      count +
      " findings, " +
      ((host.now() - begun) | 0) / 1000 +
      " s, busy " +
      device.busy() / 1000 +
      " s",
  );
  device.exit(count);
}

/**
 * An image that weighs the tables' entries on a board: Duktape with 32-bit pointers, as a firmware has it.
 *
 * All that the engines run is in it: the chain drops fields that nothing in a script reads, and a smaller script has lighter entries.
 */
import type { Device } from "../../../examples/firmware-image/main.js";
import type { BareCalls } from "../../../ports/bare/index.js";
import { weighTables } from "./tables.js";

export * from "./index.js";

export function start(bare: BareCalls, device: Device): void {
  weighTables(
    () => device.memory()[0],
    (line) => bare.log(line),
  );
  device.exit(0);
}

/** What the budget counts for an entry of each table is what it takes on a board: Duktape with 32-bit pointers. (The image takes minutes to build.) */
import { fileURLToPath } from "node:url";
import test from "ava";
import { buildImage } from "../../../examples/firmware-image/build.js";
import { run } from "../support/process.js";
import { machineArguments } from "./board.js";

const MACHINE = "mps2-an385";
const ENTRY = fileURLToPath(new URL("../../engines/program/board.ts", import.meta.url));

test("an entry of each table takes no more than is set aside for it, and three quarters at least", async (t) => {
  t.timeout(1_800_000);
  const { stdout, code } = await run(
    "qemu-system-arm",
    [
      ...machineArguments(MACHINE, await buildImage(MACHINE, { entry: ENTRY })),
      ...["-nic", "none", "-icount", "shift=5,sleep=off"],
      ...["-semihosting-config", "enable=on,target=native,arg=tables"],
    ],
    { timeout: 1_200_000, codes: null },
  );
  t.is(code, 0);
  const rows = [...stdout.matchAll(/^(.*): (\d+) (\d+)\r$/gm)];
  t.is(rows.length, 10);
  t.regex(stdout, /^entries: 33 33 66 33\r$/m);
  for (const [line, , weighed, counted] of rows) {
    const share = Number(weighed) / Number(counted);
    t.log(line!.trim());
    t.true(share > 0.75 && share <= 1, line);
  }
});

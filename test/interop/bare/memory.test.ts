/** A heap with an end: what is too small to boot says so; what is too small for packets answers what needs none, and never hangs. */
import test from "ava";
import { buildImage } from "../../../examples/firmware-image/build.js";
import { run } from "../support/process.js";
import { createBoard, machineArguments } from "./board.js";

const MACHINE = "mps2-an385";

for (const heap of [32_768, 131_072, 229_376]) {
  test(`a heap of ${heap} bytes is too small: ENOMEM, and an end`, async (t) => {
    t.timeout(120_000);
    const { code, stdout } = await run(
      "qemu-system-arm",
      [
        ...machineArguments(MACHINE, await buildImage(MACHINE)),
        ...["-nic", "none", "-icount", "shift=5,sleep=off"],
        ...["-semihosting-config", `enable=on,target=native,arg=firmware,arg=heap=${heap}`],
      ],
      { timeout: 100_000, codes: null },
    );
    t.regex(stdout, /^ENOMEM: the heap is full\r$/m);
    t.is(code, 71);
  });
}

/** It boots with less; its packets want more. */
const LEAST = 312 << 10;

test(`a heap of ${LEAST} bytes has none for packets: ping is answered, TCP is not`, async (t) => {
  t.timeout(240_000);
  const image = await buildImage(MACHINE);
  const small = await createBoard(t, {
    machine: MACHINE,
    image,
    options: { address: "10.77.0.2/24", heap: LEAST },
  });
  await small.address(60_000);
  const ping = async () => {
    const { stdout } = await small.ns.run("ping", ["-c", "3", "-w", "60", "10.77.0.2"]);
    return / ([3-9]|\d\d+) received/.test(stdout);
  };
  t.true(await ping());
  for (let i = 0; i < 3; i++) {
    const { code } = await small.ns.run("curl", ["-sS", "-m", "3", "http://10.77.0.2/"], { codes: null });
    t.not(code, 0);
  }
  // Where packets alone found no room, it goes on; where an object found none, it ends with a name for that, and a board restarts.
  const alive = small.qemu.running && (await ping().catch(() => false));
  if (!alive) {
    t.is(await small.qemu.ended(), 71);
    t.regex(small.qemu.output, /^ENOMEM: the heap is full\r$/m);
  }
});

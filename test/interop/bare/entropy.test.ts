/** The conformance kit on the boards themselves, and boards without random bytes: no TCP, no DNS, no DHCP. */
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { BOARDS, buildImage } from "../../../examples/firmware-image/build.js";
import { run } from "../support/process.js";
import { createBoard, KERNEL, machineArguments, SERVER } from "./board.js";

const CONFORMANCE = fileURLToPath(
  new URL("../../../examples/firmware-image/conformance.ts", import.meta.url),
);

for (const machine of Object.keys(BOARDS)) {
  for (const [random, findings] of [
    ["/dev/urandom", /^conformance: 0 findings,.*\r$/m],
    // The kit must be able to find something: a board without entropy, and one whose "random" bytes are zeros.
    ["none", /^random-[a-z]+: .*\r\n(.*\r\n)*conformance: 1 findings,.*\r$/m],
    ["/dev/zero", /^random-[a-z]+: .*\r\n(.*\r\n)*conformance: \d findings,.*\r$/m],
  ] as const) {
    if (machine !== "mps2-an385" && random !== "/dev/urandom") continue;
    test(`${machine} conforms, or not, with random bytes from ${random}`, async (t) => {
      t.timeout(240_000);
      const image = await buildImage(machine, { entry: CONFORMANCE, script: "source" });
      const { code, stdout } = await run(
        "qemu-system-arm",
        [
          ...machineArguments(machine, image),
          ...["-nic", "none"],
          ...["-semihosting-config", `enable=on,target=native,arg=conformance,arg=random=${random}`],
          // Not by `sleep=off`: QEMU 7.2 then counts each sleep twice, and wake-ups are late by what they were asked for.
          ...["-icount", "shift=5"],
        ],
        { timeout: 200_000, codes: null },
      );
      t.regex(stdout, findings);
      t.is(code, Number(/(\d+) findings/.exec(stdout)![1]));
    });
  }
}

test("without random bytes: ping is answered, but TCP is not served, and no name is asked for", async (t) => {
  t.timeout(240_000);
  const board = await createBoard(t, {
    machine: "mps2-an385",
    image: await buildImage("mps2-an385"),
    options: { random: "none", address: "10.77.0.2/24", dns: KERNEL, fetch: `http://${SERVER}/`, every: 1 },
  });
  await board.address(120_000);
  const { stdout } = await board.ns.run("ping", ["-c", "3", "-w", "60", "10.77.0.2"]);
  t.regex(stdout, / ([3-9]|\d\d+) received/);
  await board.qemu.until(/^fetched \{"code":-5,"address":"",/m, 60_000);
  t.regex(board.qemu.output, /^not serving: EIO: random\r$/m);
  const { code } = await board.ns.run("curl", ["-sS", "-m", "10", "http://10.77.0.2/"], { codes: null });
  t.is(code, 7, "curl: connection refused");
  board.cable.close();
  t.is(await sent(board.capture, "dns || tcp.flags.syn == 1"), 0);
});

test("a board on its own, without semihosting, says nothing at all", async (t) => {
  t.timeout(240_000);
  const board = await createBoard(t, {
    machine: "mps2-an500",
    image: await buildImage("mps2-an500"),
    alone: true,
  });
  await board.qemu.until(/^not serving: EIO: random\r$/m, 120_000);
  await board.qemu.until(/^started/m, 120_000);
  await sleep(5000);
  t.true(board.qemu.running);
  t.is(board.cable.count.out, 0);
  // Something for the judge to read.
  await board.ns.run("ping", ["-c", "1", "-W", "1", "10.77.0.2"], { codes: [1] });
});

/** Frames of the board's that match a display filter. */
async function sent(file: string, filter: string): Promise<number> {
  const { stdout } = await run("tshark", [
    "-n",
    "-r",
    file,
    "-Y",
    `frame.packet_flags_direction == 2 && (${filter})`,
  ]);
  return stdout.split("\n").filter((line) => line !== "").length;
}

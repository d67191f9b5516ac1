/** Images made otherwise: of a closed script, and with QuickJS; an address by DHCP, ping, a page. They take minutes to build. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { buildImage } from "../../../examples/firmware-image/build.js";
import { createBoard, pattern } from "./board.js";

const MACHINE = "mps2-an385";

for (const [name, options] of [
  ["a closed script", { closed: true }],
  ["QuickJS", { engine: "quickjs" }],
] as const) {
  test.serial(`${name}: an address by DHCP, ping, a page, and a long one`, async (t) => {
    t.timeout(1_200_000);
    const image = await buildImage(MACHINE, options);
    const board = await createBoard(t, { machine: MACHINE, image });
    const address = await board.address(200_000);
    await board.ns.run("ping", ["-c", "3", "-w", "60", address], { timeout: 80_000 });
    t.regex(await board.curl("/"), /<h1>A TCP\/IP stack on bare metal<\/h1>/);
    t.is((await board.state()).address, address);
    await board.curl("/bytes/20000", "-o", join(board.folder, "body"));
    t.deepEqual(readFileSync(join(board.folder, "body")), pattern(20_000));
  });
}

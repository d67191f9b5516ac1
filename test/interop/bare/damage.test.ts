/** The images over a bad cable. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { buildImage } from "../../../examples/firmware-image/build.js";
import { createBoard, pattern, servePage, SERVER } from "./board.js";
import { until } from "../../support/until.js";

const BAD = { lose: 3, reorder: 5, corrupt: 2, duplicate: 2 };

for (const machine of ["mps2-an385", "mps2-an500"]) {
  test(`${machine}: a cable that loses, reorders, corrupts and duplicates frames`, async (t) => {
    t.timeout(240_000);
    const board = await createBoard(t, {
      machine,
      image: await buildImage(machine),
      options: { fetch: `http://${SERVER}:8000/page`, every: 3 },
      damage: BAD,
    });
    await board.address(120_000);
    const crc = await servePage(board, 60_000);
    const body = join(board.folder, "body");
    await board.curl("/bytes/150000", "-o", body);
    t.deepEqual(readFileSync(body), pattern(150_000));
    await until("a fetch", () => /fetched \{"code":0.*\}\r$/m.test(board.qemu.output), 120_000);
    t.regex(
      board.qemu.output,
      new RegExp(`"code":0,"address":"10.77.0.1","status":200,"bytes":60000,"crc":${crc}}`),
    );
    const { lost, late, corrupted, duplicated } = board.cable.count;
    t.true(lost > 0 && late > 0 && corrupted > 0 && duplicated > 0, JSON.stringify(board.cable.count));
  });
}

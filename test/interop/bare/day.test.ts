/** A bad cable, and a day: idle time is skipped once the network has been silent for a while (option `skip` of the board). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { buildImage } from "../../../examples/firmware-image/build.js";
import { createBoard, eventually, pattern, servePage, SERVER } from "./board.js";

const BAD = { lose: 3, reorder: 5, corrupt: 2, duplicate: 2 };
const DAY = 86_400_000;

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
    await eventually("a fetch", () => /fetched \{"code":0.*\}\r$/m.test(board.qemu.output), 120_000);
    t.regex(
      board.qemu.output,
      new RegExp(`"code":0,"address":"10.77.0.1","status":200,"bytes":60000,"crc":${crc}}`),
    );
    const { lost, late, corrupted, duplicated } = board.cable.count;
    t.true(lost > 0 && late > 0 && corrupted > 0 && duplicated > 0, JSON.stringify(board.cable.count));
  });
}

test("24 hours over a bad cable: leases are renewed, pages fetched and served, memory stays as it is", async (t) => {
  t.timeout(280_000);
  const board = await createBoard(t, {
    machine: "mps2-an385",
    image: await buildImage("mps2-an385"),
    // The clock begins six hours before its 32 bits are full.
    options: { fetch: `http://${SERVER}:8000/page`, every: 3600, skip: 100, clock: 2 ** 32 - DAY / 4 },
  });
  await board.address(120_000);
  const crc = await servePage(board, 3000);
  board.cable.damage = { lose: 1, reorder: 1, corrupt: 1, duplicate: 1 };
  const first = await board.state();
  let last = first;
  let served = 0;
  await eventually(
    "a day",
    async () => {
      last = await board.state();
      served++;
      return last.uptime > DAY;
    },
    240_000,
  );
  t.log(
    `a day: ${last.fetches.succeeded} pages fetched, ${last.fetches.failed} not; ${served} served; ${JSON.stringify(last.memory)}`,
  );
  t.true(last.fetches.succeeded >= 20, `${last.fetches.succeeded} of 24 fetches`);
  t.like(last.fetches.last, { crc, bytes: 3000 });
  // Leases of an hour are renewed after half of it.
  t.true(last.counters.dhcp!.bound! >= 40, `${last.counters.dhcp!.bound} times bound`);
  t.is(last.counters.dhcp!.expired, 0);
  t.is(last.counters.host!.callback, 0);
  t.is(last.counters.host!.clock, 0);
  t.true(
    last.memory.heap < first.memory.heap + 20_000,
    `${first.memory.heap} to ${last.memory.heap} bytes of heap`,
  );
});

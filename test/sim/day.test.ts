/** A shorter day of the gateway than day.ts runs: devices join, leave and reboot, the gateway is killed, and nothing is lost or given twice. */
import test from "ava";
import { runDay } from "./day.js";

test("sixty devices for twelve hours, the gateway killed meanwhile: no lease twice, nothing left over", (t) => {
  const { found, boots, bound, asked, restarts } = runDay({ devices: 60, hours: 12, seed: 7 });
  t.deepEqual(found, []);
  t.true(
    boots > 200 && bound > 800 && asked > 2000 && restarts > 0,
    `${boots} ${bound} ${asked} ${restarts}`,
  );
});

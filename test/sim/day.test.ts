/** Shorter days than day.ts and tunnels.ts run: a gateway of DHCP and flows, and one of tunnels. */
import test from "ava";
import { runDay } from "./day.js";
import { runTunnels } from "./tunnels.js";

test("sixty devices for twelve hours, the gateway killed meanwhile: no lease twice, nothing left over", (t) => {
  const { found, boots, bound, asked, restarts } = runDay({ devices: 60, hours: 12, seed: 7 });
  t.deepEqual(found, []);
  t.true(
    boots > 200 && bound > 800 && asked > 2000 && restarts > 0,
    `${boots} ${bound} ${asked} ${restarts}`,
  );
});

test("a dozen tunnels for an hour, loss, colliding rekeys, either side killed: nothing in the clear, none stays down", (t) => {
  const { found, kills, answered, asked, collisions, frames } = runTunnels({
    tunnels: 12,
    hours: 1,
    seed: 3,
  });
  t.deepEqual(found, []);
  t.true(kills > 1 && collisions > 20 && frames > 5000, `${kills} ${collisions} ${frames}`);
  t.true(answered > 0.7 * asked, `${answered} of ${asked}`);
});

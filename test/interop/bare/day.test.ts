/** An hour and a half of a board's life over a bad cable; day.ts is a whole day. */
import test from "ava";
import { live, problems } from "./days.js";

const HOURS = 1.5;
const EVERY = 900;

test("hours over a bad cable: leases are renewed, pages fetched and served, memory stays as it is", async (t) => {
  t.timeout(240_000);
  const life = await live(t, "mps2-an385", HOURS, EVERY);
  const { fetches, counters, memory } = life.last;
  t.log(
    `${life.seconds.toFixed(0)} s; ${fetches.succeeded} fetched, ${life.served} served, heap ${memory.heap}`,
  );
  t.log(`lease bound ${counters.dhcp!.bound} times`);
  t.deepEqual(problems(life, HOURS, EVERY), []);
});

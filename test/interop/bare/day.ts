/**
 * `node examples/launch.js test/interop/bare/day.ts [HOURS] [BOARD]`: a board's whole day (24 hours) in half an hour, with a page
 * fetched every five minutes. Prints what came of it; its exit code is 0 when nothing failed.
 */
import { HOUR, live, problems } from "./days.js";
import { within } from "./program.js";

/** Seconds between two fetches. */
const EVERY = 300;

const [hours = "24", machine = "mps2-an385"] = process.argv.slice(2);

const passed = await within(async (scope) => {
  let hour = 0;
  const life = await live(scope, machine, Number(hours), EVERY, ({ uptime, fetches, memory }) => {
    if (uptime < hour * HOUR) return;
    hour = Math.floor(uptime / HOUR) + 1;
    console.log(
      `${(uptime / HOUR).toFixed(1)} h: ${fetches.succeeded} fetches, ${fetches.failed} failed, heap ${memory.heap}`,
    );
  });
  const { first, last, served, seconds } = life;
  const found = problems(life, Number(hours), EVERY);
  console.log(
    [
      `${machine}: ${(last.uptime / HOUR).toFixed(1)} hours in ${(seconds / 60).toFixed(1)} minutes`,
      `${last.fetches.succeeded} pages fetched, ${last.fetches.failed} not; ${served} served`,
      `lease bound ${last.counters.dhcp!.bound} times, expired ${last.counters.dhcp!.expired} times`,
      `heap ${first.memory.heap} bytes at first, ${last.memory.heap} at last, ${last.memory.heapPeak} at most`,
      `packet memory in use ${last.memory.packets} chunks; processor busy ${(last.busy / 1000).toFixed(0)} s`,
      ...found,
    ].join("\n"),
  );
  return found.length === 0;
});
process.exitCode = passed ? 0 : 1;

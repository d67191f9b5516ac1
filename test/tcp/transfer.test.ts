/** Whole transfers between two of our ends over simulated links: every byte arrives, whatever the link does. */
import test from "ava";
import { errorName } from "../../stack/core/error-name.js";
import { ETIMEDOUT } from "../../stack/core/errors.js";
import { tcp } from "../../stack/tcp/tcp.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import { pair } from "../support/network.js";
import { transfer } from "../support/transfer.js";

function ends(t: Parameters<typeof pair>[0], options: Parameters<typeof pair>[1] = {}, config = {}) {
  const made: Tcp[] = [];
  const net = pair(t, {
    ...options,
    components: () => {
      const one = tcp({ timeWait: 1000, ...config });
      made.push(one);
      return [one];
    },
  });
  return { ...net, client: made[0], server: made[1] };
}

for (const [name, options] of Object.entries({
  clean: { delay: 1 },
  slow: { delay: 50, bandwidth: 1e6 },
  lossy: { delay: 10, loss: 0.1 },
  // At this rate a few seeds of ten end in EHOSTUNREACH, or in ECONNRESET because TIME-WAIT is so short here.
  "very lossy": { delay: 10, loss: 0.3, worldOptions: { seed: 11 } },
  reordering: { delay: 10, reorder: 0.2, jitter: 20 },
  duplicating: { delay: 5, duplicate: 0.3 },
  corrupting: { delay: 5, corrupt: 0.05 },
})) {
  test(`bytes arrive over a ${name} link`, (t) => {
    const { world, client, server } = ends(t, options);
    const result = transfer(client, server, "10.0.0.2", { forth: 300_000, back: 100_000 });
    const done = world.runUntil(result.done, 3_600_000);
    t.log(
      JSON.stringify(client.counters),
      JSON.stringify(result.near, (k, v) => (k === "socket" ? undefined : v)),
    );
    t.true(done);
    t.is(result.far.received, 300_000);
    t.is(result.near.received, 100_000);
    t.is(result.far.wrong, -1);
    t.is(result.near.wrong, -1);
    t.is(result.near.closed, 0);
    t.is(result.far.closed, 0);
    world.run(5000);
    result.listener.close();
  });
}

test("over links that lose 30 % both ways hardly a transfer runs into its timeout", (t) => {
  const codes: number[] = [];
  const times: number[] = [];
  for (let seed = 1; seed <= 30; seed++) {
    const { world, client, server } = ends(t, { delay: 10, loss: 0.3, worldOptions: { seed } });
    const { near, done } = transfer(client, server, "10.0.0.2", { forth: 300_000, back: 100_000 });
    if (world.runUntil(done, 3_600_000)) times.push(world.time);
    codes.push(near.closed ?? 0);
  }
  times.sort((a, b) => a - b);
  // With one acknowledgement for two segments, which is lost as easily as they are: 203 s, and one transfer in ten.
  t.true(times[times.length >> 1] < 180_000, "median " + times[times.length >> 1]);
  t.true(codes.filter((code) => code === ETIMEDOUT).length <= 1, codes.map(errorName).join());
});

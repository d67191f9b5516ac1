/** The SNTP server, asked by chronyd. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { ntpServer } from "../../../stack/service/ntp-server.js";
import type { TimeSource } from "../../../stack/service/ntp-server.js";
import { GATEWAY, createServices } from "../support/services.js";

async function ask(t: ExecutionContext, source: () => TimeSource | null) {
  const server = ntpServer({ source });
  const host = await createServices(t, { components: [server] });
  host.ns.ip("address", "add", "10.77.0.2/24", "dev", host.device);
  server.serve(host.nif);
  // -Q: asks, says how far the clock is off, and leaves it alone.
  const run = await host.ns.run(
    "chronyd",
    ["-Q", "-u", "root", "-t", "8", "-f", "/dev/null", `server ${GATEWAY} iburst maxsamples 4`],
    {
      codes: null,
      timeout: 60_000,
    },
  );
  return { server, text: run.stdout + run.stderr };
}

test("chronyd takes our time, and finds how far its own is off", async (t) => {
  const { server, text } = await ask(t, () => ({ time: Date.now() + 5000, error: 1, stratum: 2 }));
  const off = /System clock wrong by (-?[\d.]+) seconds/.exec(text);
  t.truthy(off, text);
  t.true(Math.abs(Number(off![1]) - 5) < 0.05, text);
  t.true(server.counters.sent >= 1);
  t.is(server.counters.malformed, 0);
});

test("chronyd does not believe a server that does not know the time", async (t) => {
  const { server, text } = await ask(t, () => null);
  t.notRegex(text, /System clock wrong/);
  t.true(server.counters.unsynchronised > 0);
});

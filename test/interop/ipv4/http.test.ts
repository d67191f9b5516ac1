/** HTTP both ways: curl and wrk against our server, our client against nginx and python's http.server. */
import test from "ava";
import { createHost, KERNEL, OURS } from "../support/host.js";
import type { HostOptions } from "../support/host.js";
import { bodyHash, httpGet, serveHttp } from "../support/http.js";
import { bodyFile, curlBothWays, scratch, serveNginx } from "../support/site.js";
import { LONG } from "../../support/long.js";

const ROOM = { stack: { packetMemory: 16 << 20 } };

const VARIANTS: [string, HostOptions, number][] = [
  ["TAP", {}, LONG ? 1024 : 128],
  ["TAP with offloads", { offloads: true }, 1024],
];

for (const [name, options, size] of VARIANTS) {
  test(`curl fetches and sends ${size} MiB over ${name}`, async (t) => {
    await curlBothWays(t, await createHost(t, { ...options, ...ROOM }), OURS, size << 20);
  });
}

test("wrk without an error, then with a connection a request", async (t) => {
  const { ns, tcp } = await createHost(t, { ...ROOM, captureLimit: 8 << 20, tcp: { limit: 8192 } });
  const server = serveHttp(tcp, 80);
  for (const parameters of [
    ["-d", LONG ? "30s" : "5s"],
    ["-d", "5s", "-H", "Connection: close"],
  ]) {
    const before = server.requests;
    const load = "-t 2 -c 64 --timeout 60s".split(" ");
    const { stdout } = await ns.run("wrk", [...load, ...parameters, `http://${OURS}/`], { timeout: 120_000 });
    t.log(/^Requests\/sec.*$/m.exec(stdout)![0]);
    t.notRegex(stdout, /Socket errors|Non-2xx/, stdout);
    t.true(server.requests - before > 1000);
    t.deepEqual(
      server.failures.filter((failure) => failure !== "ECONNRESET"),
      [],
    );
  }
  server.listener.close();
});

test("our client fetches from nginx", async (t) => {
  const { ns, tcp } = await createHost(t, ROOM);
  const folder = scratch(t);
  bodyFile(folder, 64 << 20);
  bodyFile(folder, 5000);
  await serveNginx(ns, KERNEL, folder);
  for (const length of [5000, 64 << 20]) {
    const answer = await httpGet(tcp, KERNEL, 8080, `/${length}`);
    t.deepEqual(answer, { status: 200, length, hash: bodyHash(length) });
  }
  const answers = await Promise.all(Array.from({ length: 200 }, () => httpGet(tcp, KERNEL, 8080, "/5000")));
  for (const answer of answers) t.deepEqual(answer, { status: 200, length: 5000, hash: bodyHash(5000) });
  t.is((await httpGet(tcp, KERNEL, 8080, "/nothing")).status, 404);
});

test("our client fetches from python's http.server", async (t) => {
  const { ns, tcp } = await createHost(t);
  const folder = scratch(t);
  bodyFile(folder, 10_000_000);
  await ns.serve("tcp", 8000, "python3", ["-m", "http.server", "-b", KERNEL, "-d", folder, "8000"]);
  const answer = await httpGet(tcp, KERNEL, 8000, "/10000000");
  t.deepEqual(answer, { status: 200, length: 10_000_000, hash: bodyHash(10_000_000) });
  t.is((await httpGet(tcp, KERNEL, 8000, "/nothing")).status, 404);
});

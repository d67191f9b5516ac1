/** HTTP over IPv6 alone, both ways: curl and wrk against our server, our client against nginx and python's http.server. */
import test from "ava";
import { bodyHash, httpGet, serveHttp } from "../support/http.js";
import { KERNEL6, OURS6, createHostOnly6 } from "../support/only6.js";
import { bodyFile, curlBothWays, scratch, serveNginx } from "../support/site.js";

const ROOM = { stack: { packetMemory: 16 << 20 } };
const SITE = `http://[${OURS6}]`;

test("curl fetches and sends 1 GiB over TAP with offloads", async (t) => {
  await curlBothWays(t, await createHostOnly6(t, { offloads: true, ...ROOM }), `[${OURS6}]`, 1 << 30);
});

test("wrk without an error, then with a connection a request", async (t) => {
  const { ns, tcp } = await createHostOnly6(t, { ...ROOM, captureLimit: 8 << 20, tcp: { limit: 8192 } });
  const server = serveHttp(tcp, 80);
  for (const header of ["X-Anything: 1", "Connection: close"]) {
    const before = server.requests;
    const load = "-t 2 -c 64 -d 4s --timeout 60s -H".split(" ");
    const { stdout } = await ns.run("wrk", [...load, header, `${SITE}/`]);
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
  const { ns, tcp } = await createHostOnly6(t, ROOM);
  const folder = scratch(t);
  for (const length of [5000, 16 << 20]) bodyFile(folder, length);
  await serveNginx(ns, `[${KERNEL6}]`, folder);
  for (const length of [5000, 16 << 20]) {
    const answer = await httpGet(tcp, KERNEL6, 8080, `/${length}`);
    t.deepEqual(answer, { status: 200, length, hash: bodyHash(length) });
  }
  const answers = await Promise.all(Array.from({ length: 100 }, () => httpGet(tcp, KERNEL6, 8080, "/5000")));
  for (const answer of answers) t.deepEqual(answer, { status: 200, length: 5000, hash: bodyHash(5000) });
  t.is((await httpGet(tcp, KERNEL6, 8080, "/nothing")).status, 404);
});

test("our client fetches from python's http.server", async (t) => {
  const { ns, tcp } = await createHostOnly6(t);
  const folder = scratch(t);
  const length = 10_000_000;
  bodyFile(folder, length);
  await ns.serve("tcp", 8000, "python3", ["-m", "http.server", "-b", KERNEL6, "-d", folder, "8000"]);
  const answer = await httpGet(tcp, KERNEL6, 8000, `/${length}`);
  t.deepEqual(answer, { status: 200, length, hash: bodyHash(length) });
});

/** A path whose MTU shrinks on the way (RFC 8201): a router says "packet too big", or says nothing. */
import test from "ava";
import { udpClient, udpEcho } from "../support/apps.js";
import { bodyHash, serveHttp } from "../support/http.js";
import { OURS6, behind, createHostOnly6, shrink } from "../support/only6.js";

const ROOM = { stack: { packetMemory: 16 << 20 } };
const SITE = `http://[${OURS6}]`;

for (const blackhole of [false, true]) {
  test(`TCP both ways over a router with a smaller MTU behind it${blackhole ? ", which does not say so" : ""}`, async (t) => {
    const host = await createHostOnly6(t, ROOM);
    const { ns, tcp, stack } = host;
    const far = behind(t, host, 1280);
    if (blackhole) ns.ip("-6", "rule", "add", "iif", "lo", "ipproto", "ipv6-icmp", "to", OURS6, "blackhole");
    const server = serveHttp(tcp, 80);
    const size = 5_000_000;
    const pipe = `set -o pipefail; curl -sS ${SITE}/bytes/${size} | sha256sum`;
    const { stdout } = await far.run("bash", ["-c", pipe]);
    t.is(stdout, `${bodyHash(size)}  -\n`);
    t.is(tcp.counters.blackholes > 0, blackhole);
    t.log(JSON.stringify(stack.counters.pmtu6));
    const sender = `head -c ${size} /dev/zero | tee >(sha256sum >&2) | curl -sS -T - -H "Content-Length: ${size}" -H "Transfer-Encoding:" ${SITE}/`;
    const up = await far.run("bash", ["-c", sender]);
    t.is(up.stdout.trim(), up.stderr.replace("  -", "").trim());
    t.deepEqual(server.failures, []);
    server.listener.close();
  });
}

test("UDP both ways over a router with a smaller MTU behind it", async (t) => {
  const host = await createHostOnly6(t, ROOM);
  const far = behind(t, host, 1300);
  const failures: number[] = [];
  const echo = udpEcho(host.udp, 7, failures);
  // What teaches each side the path's MTU is lost itself.
  const first = await udpClient(far, "sweep", OURS6, 7, 1, 1400, 1402);
  t.deepEqual(first.lost, [1400, 1401]);
  const sizes = [0, 3, 1200, 1260, 1400, 1410, 1450, 1460, 3000, 3003, 20_000, 20_001, 65_520, 65_527];
  const { received, lost, wrong } = await udpClient(far, "sweep", OURS6, 7, 1, ...sizes);
  t.deepEqual({ received, lost, wrong }, { received: 4 + 61 + 11 + 11 + 4 + 2 + 8, lost: [], wrong: [] });
  t.deepEqual(failures, []);
  echo.close();
});

test("the MTU shrinks in the middle of a transfer, in either direction", async (t) => {
  const host = await createHostOnly6(t, ROOM);
  const { tcp, nif } = host;
  const far = behind(t, host);
  const server = serveHttp(tcp, 80);
  const size = 60_000_000;
  const { counters } = nif;
  const shrinkAfter = async (mtu: number, moved: () => number) => {
    const start = moved();
    while (moved() - start < size / 8) await new Promise((resolve) => setTimeout(resolve, 1));
    shrink(host, mtu);
  };
  const pipe = `set -o pipefail; curl -sS ${SITE}/bytes/${size} | sha256sum`;
  const [down] = await Promise.all([
    far.run("bash", ["-c", pipe]),
    shrinkAfter(1400, () => counters.txBytes),
  ]);
  t.is(down.stdout, `${bodyHash(size)}  -\n`);
  const sender = `head -c ${size} /dev/zero | tee >(sha256sum >&2) | curl -sS -T - -H "Content-Length: ${size}" -H "Transfer-Encoding:" ${SITE}/`;
  const [up] = await Promise.all([
    far.run("bash", ["-c", sender]),
    shrinkAfter(1300, () => counters.rxBytes),
  ]);
  t.is(up.stdout.trim(), up.stderr.replace("  -", "").trim());
  t.deepEqual(server.failures, []);
  server.listener.close();
});

/** Babel with babeld on one way and bird on the other, which also feeds us what is not Babel's: its static routes here, OSPF or BGP elsewhere. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { withWireguard } from "../../../ports/noble/index.js";
import { nodeCrypto } from "../../../ports/node/crypto.js";
import { babelAuthentication } from "../../../stack/routing/babel-authentication.js";
import { babel } from "../../../stack/routing/babel.js";
import { until } from "../../support/until.js";
import { FAR, FAR6, heals, triangle } from "../support/routers.js";

const bird = (authentication = "") => `
router id 10.2.0.2;
protocol device { scan time 1; }
protocol direct { ipv4; ipv6; interface "far0"; }
protocol static elsewhere4 { ipv4; route 198.51.100.0/24 via 10.9.0.2; }
protocol static elsewhere6 { ipv6; route 2001:db8:77::/48 via fd09::2; }
protocol kernel { ipv4 { export all; }; }
protocol kernel { ipv6 { export all; }; }
protocol babel {
  ipv4 { import all; export all; };
  ipv6 { import all; export all; };
  interface "wan0" { type wired; rxcost 200; hello interval 1 s; update interval 4 s; ${authentication} };
}`;

test("babeld and bird tell us of a network, we tell them of each other's; the near way fails, and traffic goes by the other", async (t) => {
  const routing = babel();
  const net = await triangle(t, { components: [routing] });
  const { a, b, ip, ip6, lanNif, wanNif, folder } = net;
  routing.enable(lanNif, { hello: 1 });
  routing.enable(wanNif, { hello: 1, cost: 200 });
  const conf = join(folder, "babeld.conf");
  writeFileSync(
    conf,
    `interface lan0 type wired hello-interval 1 update-interval 4
redistribute if far0
redistribute local deny
local-path ${join(folder, "babeld.sock")}
`,
  );
  const babeld = a.start("babeld", [
    "-c",
    conf,
    "-I",
    join(folder, "babeld.pid"),
    "-S",
    join(folder, "state"),
  ]);
  const other = await net.bird(b, bird());
  const out = (family: 4 | 6) => {
    const routes = routing.routes().filter(({ selected, gateway }) => selected && gateway !== "");
    const found = routes.find(({ prefix }) => prefix === (family === 4 ? "10.9.0.0/24" : "fd09::/64"));
    return found?.interface;
  };
  const start = performance.now();
  await until("the near way", () => out(4) === "lan0" && out(6) === "lan0");
  t.log(`routes after ${Math.round(performance.now() - start)} ms`);
  // What bird has from elsewhere is in our table, under our name for it.
  await until("bird's others", () =>
    ["198.51.100.0/24", "2001:db8:77::/48"].every((prefix) =>
      routing.routes().some((route) => route.prefix === prefix && route.selected),
    ),
  );
  t.is(ip.fib.lookup((198 << 24) | (51 << 16) | (100 << 8) | 1, null)?.origin, "babel");
  t.true(ip6.fib.list().some(({ origin, nif }) => origin === "babel" && nif === wanNif));
  // They have ours: each the network between us and the other.
  await babeld.until(
    () =>
      /10\.2\.0\.0\/24 via 10\.1\.0\.1.*babel/.test(a.ip("route")) &&
      /fd02::\/64 via fe80::1.*babel/.test(a.ip("-6", "route")),
  );
  await other.daemon.until(async () => (await other.show("route")).includes("10.1.0.0/24"));
  t.regex(await other.show("babel", "neighbors"), /fe80::1/);
  // Traffic through us, both ways: from b's side of our link to the network behind a.
  await heals(b, "10.1.0.2", "10.2.0.2");
  await heals(b, "fd01::2", "fd02::2");
  for (const host of [FAR, FAR6]) await net.reach(host);
  // a goes dark without a word, its carrier stays: hellos that do not come are all that says it.
  babeld.child.kill("SIGSTOP");
  const dark = performance.now();
  await until("the other way", () => out(4) === "wan0" && out(6) === "wan0");
  t.log(`the other way after ${Math.round(performance.now() - dark)} ms`);
  babeld.child.kill("SIGCONT");
  await until("back", () => out(4) === "lan0" && out(6) === "lan0");
  // And by the carrier.
  a.ip("link", "set", "lan0", "down");
  const cut = performance.now();
  await until("the other way", () => out(4) === "wan0" && out(6) === "wan0");
  for (const host of [FAR, FAR6]) await net.reach(host);
  t.log(`by carrier: answers by the other way after ${Math.round(performance.now() - cut)} ms`);
  const { malformed, badTlv, badSource } = routing.counters;
  t.deepEqual([malformed, badTlv, badSource], [0, 0, 0]);
  await babeld.stop("SIGKILL");
});

test("RFC 8967: babeld with BLAKE2s and bird with HMAC-SHA-256 exchange routes with us, a bird with another key none", async (t) => {
  const routing = babel();
  const net = await triangle(t, { components: [routing], crypto: withWireguard(nodeCrypto()) });
  const { a, b, lanNif, wanNif, folder } = net;
  const secret = (text: string) => Uint8Array.from(Buffer.from(text));
  const [short, long] = [secret("sixteen bytes..."), secret("open sesame")];
  routing.enable(lanNif, {
    hello: 1,
    authentication: babelAuthentication({ secret: short, algorithm: "blake2s" }),
  });
  routing.enable(wanNif, { hello: 1, cost: 200, authentication: babelAuthentication({ secret: long }) });
  const conf = join(folder, "babeld.conf");
  writeFileSync(
    conf,
    `key id ours type blake2s128 value ${Buffer.from(short).toString("hex")}
interface lan0 type wired hello-interval 1 update-interval 4 key ours
redistribute if far0
redistribute local deny
`,
  );
  let starts = 0;
  // One that finds a file of another's process does not start.
  const start = () =>
    a.start("babeld", ["-c", conf, "-I", join(folder, `babeld${++starts}.pid`), "-S", join(folder, "state")]);
  const by = (nif: string) =>
    routing.routes().find((one) => one.prefix === "10.9.0.0/24" && one.interface === nif);
  const good = (nif: string) => (by(nif)?.metric ?? 65535) < 65535;
  let babeld = start();
  const key = (text: string) => `authentication mac; password "${text}" { algorithm hmac sha256; };`;
  const first = await net.bird(b, bird(key("open sesame")));
  await until("both ways", () => good("lan0") && good("wan0"));
  await babeld.until(() => /10\.2\.0\.0\/24 via 10\.1\.0\.1.*babel/.test(a.ip("route")));
  await first.daemon.until(async () => (await first.show("route")).includes("10.1.0.0/24"));
  t.is(routing.counters.malformed + routing.counters.badTlv, 0);
  // babeld begins anew and is challenged; nobody believes a bird that has another key.
  await babeld.stop("SIGKILL");
  await first.daemon.stop("SIGKILL");
  await until("both are gone", () => !good("lan0") && !good("wan0"));
  babeld = start();
  const { badMac } = routing.counters;
  const second = await net.bird(b, bird(key("open barley")));
  await until("babeld is back", () => good("lan0"));
  await until("bird speaks", () => routing.counters.badMac > badMac + 5);
  t.false(good("wan0"));
  t.notRegex(await second.show("babel", "neighbors"), /fe80::1/);
  await babeld.stop("SIGKILL");
});

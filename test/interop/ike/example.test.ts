/** examples/site-to-site: a host behind our gateway, and one behind strongSwan, reach each other; in the clear nothing goes. */
import { readFileSync } from "node:fs";
import test from "ava";
import { opensslCrypto, openTap } from "../../../ports/node/index.js";
import { createGateway } from "../../../examples/site-to-site/gateway.js";
import { Namespace } from "../support/namespace.js";
import { Charon } from "./charon.js";
import { until } from "../../support/until.js";
import { pingFrom } from "../support/ping.js";

test("site to site: ping and a file, from either side", async (t) => {
  const site = new Namespace();
  const other = new Namespace();
  t.teardown(() => Promise.all([site.close(), other.close()]));
  const lan = openTap({ name: "lan0", netns: site.name, offloads: true, gather: true });
  const wan = openTap({ name: "wan0", netns: other.name });
  site.ip("address", "add", "10.8.0.5/16", "dev", "lan0");
  site.ip("link", "set", "lan0", "up");
  site.ip("route", "add", "default", "via", "10.8.0.1");
  other.ip("address", "add", "192.0.2.1/24", "dev", "wan0");
  other.ip("address", "add", "10.9.0.1/24", "dev", "lo");
  other.ip("link", "set", "wan0", "up");
  const charon = await Charon.start(
    t,
    other,
    `connections { a {
      local_addrs = 192.0.2.1 \n remote_addrs = 192.0.2.2
      local { auth = psk } \n remote { auth = psk }
      children { c { local_ts = 10.9.0.0/24 \n remote_ts = 10.8.0.0/16 } }
    } }
    secrets { ike-a { secret = "secret" } }`,
  );
  const lines: string[] = [];
  const stack = createGateway(lan, wan, {
    lan: "10.8.0.1/16",
    wan: "192.0.2.2/24",
    peer: "192.0.2.1",
    network: "10.9.0.0/24",
    psk: "secret",
    crypto: opensslCrypto(),
    log: (line) => lines.push(line),
  });
  t.teardown(() => stack.close());
  await until("a tunnel", () => lines.some((line) => line.endsWith("up")));
  await charon.sas(/INSTALLED/);
  await pingFrom(t, site, "10.9.0.1", { count: 5 });
  await pingFrom(t, other, "10.8.0.5", { count: 5, options: ["-I", "10.9.0.1"] });
  // Too large for the tunnel: the host is told, and sends smaller ones.
  const large = ["-n", "-c", "1", "-w", "60", "-M", "do", "-s", "1472", "10.9.0.1"];
  t.regex((await site.run("ping", large, { codes: null })).stdout, /Frag needed and DF set \(mtu = 14/);
  // Out of the tunnel segments are gathered; into it the kernel gives large ones, their checksums to be made.
  for (const [server, address, client, own] of [
    [other, "10.9.0.1", site, "10.8.0.5"],
    [site, "10.8.0.5", other, "10.9.0.1"],
  ] as const) {
    const directory = ["--directory", "/usr/share/common-licenses"];
    await server.serve("tcp", 8080, "python3", ["-m", "http.server", "8080", ...directory]);
    const fetch = ["-sS", "--max-time", "80", "--interface", own, `http://${address}:8080/GPL-3`];
    const { stdout } = await client.run("curl", fetch);
    t.is(stdout, readFileSync("/usr/share/common-licenses/GPL-3", "utf8"));
  }
});

/** The DHCPv6 server and the clients of Debian: dhclient and dibbler-client. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { dhcpv6Server } from "../../../stack/service/dhcpv6-server.js";
import type { Dhcpv6ScopeOptions, Dhcpv6ServerConfiguration } from "../../../stack/service/dhcpv6-server.js";
import { pingFrom } from "../support/ping.js";
import { GATEWAY6, createServices } from "../support/services.js";
import type { Services } from "../support/services.js";

async function serve(
  t: ExecutionContext,
  scope: Partial<Dhcpv6ScopeOptions> = {},
  configuration: Dhcpv6ServerConfiguration = {},
) {
  const events: string[] = [];
  const server = dhcpv6Server({
    onBinding: (value, _client, present) => events.push((present ? "+" : "-") + value),
    ...configuration,
  });
  const host = await createServices(t, { components: [server] });
  server.serve({
    interface: host.nif,
    pool: "fd77::1:0:0/96",
    delegate: { prefix: "fd78::/48", length: 56 },
    nameServers: [GATEWAY6],
    search: ["home.test"],
    ...scope,
  });
  // The kernel's link-local address must be in use before clients bind to it.
  await host.ns.run("ping", ["-6", "-c", "1", "-w", "60", GATEWAY6 + ""], { codes: null });
  host.ns.ip("address", "add", "fd77::2/64", "dev", host.device, "nodad");
  return { ...host, server, events };
}

const SCRIPT = `#!/bin/sh
env | grep -E "^(reason|new_ip6|new_dhcp6)" | sort | tr "\\n" " "
echo
[ -n "$new_ip6_address" ] && ip -6 address replace $new_ip6_address/128 dev $interface nodad
exit 0
`;

async function dhclient(host: Services, ...more: string[]): Promise<string> {
  const script = host.file("script", SCRIPT, 0o755);
  const files = [
    "-lf",
    join(host.folder, "leases6"),
    "-pf",
    join(host.folder, "pid6"),
    "-sf",
    script,
    "-cf",
    "/dev/null",
  ];
  const { stdout, stderr } = await host.ns.run(
    "dhclient",
    ["-6", "-v", "-1", ...files, ...more, host.device],
    { codes: null },
  );
  return stdout + stderr;
}

test("dhclient: an address, names, and giving it back", async (t) => {
  const host = await serve(t);
  const text = await dhclient(host);
  const address = /new_ip6_address=(\S+)/.exec(text)?.[1] ?? text;
  t.regex(address, /^fd77::1:/);
  t.regex(text, /new_dhcp6_name_servers=fd77::1/);
  t.regex(text, /new_dhcp6_domain_search=home\.test\./);
  t.deepEqual(
    host.server.list().map(({ value }) => value),
    [address],
  );
  await pingFrom(t, host.ns, GATEWAY6, { interval: 0.2, options: ["-I", address] });
  await dhclient(host, "-r");
  t.deepEqual(host.events, ["+" + address, "-" + address]);
});

test("dhclient: a prefix, and the route to it", async (t) => {
  const host = await serve(t);
  const text = await dhclient(host, "-P");
  const prefix = /new_ip6_prefix=(\S+)/.exec(text)?.[1] ?? text;
  t.regex(prefix, /^fd78:0:0:[0-9a-f]+00::\/56$/);
  t.deepEqual(
    host.server.list().map(({ value }) => value),
    [prefix],
  );
  // An address behind the client is reached.
  const inside = prefix.replace("::/56", "::5");
  host.ns.ip("address", "add", inside + "/128", "dev", "lo");
  await pingFrom(t, host.ns, GATEWAY6, { interval: 0.2, options: ["-I", inside] });
});

test("dhclient asks for parameters alone", async (t) => {
  const host = await serve(t, { pool: undefined, delegate: undefined });
  const text = await dhclient(host, "-S");
  t.regex(text, /new_dhcp6_name_servers=fd77::1/);
  t.deepEqual(host.server.list(), []);
});

test("dibbler-client takes an address and a prefix at once", async (t) => {
  const host = await serve(t);
  const [state, settings] = [join(host.folder, "state"), join(host.folder, "etc")];
  for (const each of [state, settings]) mkdirSync(each);
  writeFileSync(
    join(settings, "client.conf"),
    `log-level 8\nlog-mode short\niface ${host.device} {\n ia\n pd\n option dns-server\n}\n`,
  );
  const script = `mount --bind "$1" /var/lib/dibbler && mount --bind "$2" /etc/dibbler && exec dibbler-client run`;
  const daemon = host.ns.start("sh", ["-c", script, "dibbler", state, settings]);
  await daemon.until(() => host.server.list().length === 2);
  const values = host.server
    .list()
    .map(({ value }) => value)
    .sort();
  t.regex(values[0]!, /^fd77::1:/);
  t.regex(values[1]!, /^fd78:.*\/56$/);
  await daemon.until(() => host.ns.ip("-6", "address", "show", "dev", host.device).includes(values[0]!));
  await daemon.stop();
});

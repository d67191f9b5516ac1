/** The DHCP server and the clients of Debian: udhcpc, dhclient, dhcpcd, and perfdhcp with a crowd of them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { leaseFile } from "../../../ports/node/index.js";
import { ping } from "../../../stack/raw/ping.js";
import { dhcpServer } from "../../../stack/service/dhcp-server.js";
import type {
  DhcpScopeOptions,
  DhcpServerConfiguration,
  ServerLease,
} from "../../../stack/service/dhcp-server.js";
import type { HostOptions } from "../support/host.js";
import { GATEWAY, createServices } from "../support/services.js";
import type { Services } from "../support/services.js";

async function serve(
  t: ExecutionContext,
  scope: Partial<DhcpScopeOptions> = {},
  configuration: DhcpServerConfiguration = {},
  options: HostOptions = {},
) {
  const events: string[] = [];
  const pings = ping();
  const server = dhcpServer({
    probe: pings,
    probeTime: 100,
    onLease: (lease: ServerLease, present) =>
      events.push(`${present ? "+" : "-"}${lease.address} ${lease.hostName}`),
    ...configuration,
  });
  const host = await createServices(t, { ...options, components: [pings, server] });
  const open = () =>
    server.serve({
      interface: host.nif,
      network: "10.77.0.0/24",
      pools: ["10.77.0.100-10.77.0.109"],
      leaseTime: 3600,
      options: {
        routers: [GATEWAY],
        nameServers: [GATEWAY, "10.77.0.9"],
        domain: "home.test",
        search: ["home.test", "example.org"],
        ntpServers: [GATEWAY],
        mtu: 1400,
        routes: [
          { prefix: "0.0.0.0/0", gateway: GATEWAY },
          { prefix: "172.16.0.0/12", gateway: "10.77.0.7" },
        ],
      },
      ...scope,
    });
  return { ...host, server, events, open, scope: open() };
}

const SCRIPT = `#!/bin/sh
[ "$1" = deconfig ] && { ip address flush dev $interface; exit 0; }
echo "$1 ip=$ip subnet=$subnet router=$router dns=$dns domain=$domain mtu=$mtu lease=$lease ntp=$ntpsrv search=$search routes=$staticroutes hostname=$hostname"
[ "$1" = bound ] && ip address replace $ip/$mask dev $interface
exit 0
`;

/** Runs udhcpc until it has a lease, or has given up; what its script said. */
async function udhcpc(host: Services, ...more: string[]): Promise<string> {
  const script = host.file("udhcpc", SCRIPT, 0o755);
  const options = ["-f", "-q", "-n", "-t", "4", "-T", "1", "-i", host.device, "-s", script];
  const asked = ["-O", "search", "-O", "staticroutes", "-O", "mtu", "-O", "ntpsrv"];
  const { stdout } = await host.ns.run("busybox", ["udhcpc", ...options, ...asked, ...more], { codes: null });
  return stdout;
}

test("udhcpc gets an address, and all that there is to know", async (t) => {
  const host = await serve(t);
  const text = await udhcpc(host, "-x", "hostname:Lamp");
  t.regex(
    text,
    /bound ip=10\.77\.0\.10\d subnet=255\.255\.255\.0 router=10\.77\.0\.1 dns=10\.77\.0\.1 10\.77\.0\.9 domain=home\.test mtu=1400 lease=3600 ntp=10\.77\.0\.1 search=home\.test example\.org routes=0\.0\.0\.0\/0 10\.77\.0\.1 172\.16\.0\.0\/12 10\.77\.0\.7/,
  );
  t.like(host.server.counters, {
    discovers: 1,
    offers: 1,
    requests: 1,
    acks: 1,
    malformed: 0,
    sendFailed: 0,
  });
  const [lease] = host.server.list();
  t.is(lease!.hostName, "lamp");
  t.deepEqual(host.events, [`+${lease!.address} lamp`]);
  const { stdout } = await host.ns.run("ping", ["-c", "2", "-i", "0.2", GATEWAY]);
  t.regex(stdout, / 0% packet loss/);
  // The same client gets the same address again; another one another.
  t.true((await udhcpc(host)).includes(`ip=${lease!.address} `));
  host.ns.ip("link", "set", host.device, "address", "02:00:00:00:77:01");
  t.false((await udhcpc(host)).includes(`ip=${lease!.address} `));
  t.is(host.server.list().length, 2);
});

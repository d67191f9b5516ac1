/** The DHCP relay agents of a router: between udhcpc on one link and dnsmasq on another, dhclient and Kea. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { openTap } from "../../../ports/node/index.js";
import { forwarding } from "../../../stack/router/forwarding.js";
import { dhcpRelay } from "../../../stack/service/dhcp-relay.js";
import { dhcpv6Relay } from "../../../stack/service/dhcpv6-relay.js";
import { WAN_HOST6, createGateway } from "../support/gateway.js";
import { Namespace } from "../support/namespace.js";
import { GATEWAY, createServices } from "../support/services.js";
import { scratch } from "../support/site.js";

test("a lease for a network that the server is not in, by unicast and by broadcast", async (t) => {
  const relay = dhcpRelay();
  const host = await createServices(t, { components: [relay, forwarding()] });
  const far = new Namespace();
  t.teardown(() => far.close());
  const wan = host.stack.addInterface(openTap({ name: "tap1", netns: far.name }), "wan");
  far.ip("address", "add", "10.78.0.2/24", "dev", "tap1");
  far.ip("link", "set", "tap1", "up");
  far.ip("route", "add", "10.77.0.0/24", "via", "10.78.0.1");
  host.ip.addAddress(wan, "10.78.0.1/24");
  const settings = [
    "--no-daemon",
    "--conf-file=/dev/null",
    "--port=0",
    "--no-ping",
    "--log-dhcp",
    "--user=root",
  ];
  const range = [
    "--dhcp-range=10.77.0.100,10.77.0.110,255.255.255.0,2m",
    `--dhcp-leasefile=${host.folder}/leases`,
  ];
  const server = await far.serve("udp", 67, "dnsmasq", [
    ...settings,
    ...range,
    "--bind-interfaces",
    "--interface=tap1",
  ]);
  const link = relay.open({ interface: host.nif, servers: ["10.78.0.2"], circuitId: "port7" });
  const script = host.file("udhcpc", '#!/bin/sh\necho "$1 $ip $serverid"\n', 0o755);
  const parameters = ["udhcpc", "-f", "-q", "-n", "-t", "4", "-T", "1", "-i", host.device, "-s", script];
  for (const broadcast of [[], ["-B"]]) {
    const { stdout } = await host.ns.run("busybox", [...parameters, ...broadcast], { codes: null });
    t.regex(stdout, /bound 10\.77\.0\.1\d\d 10\.78\.0\.2/, server.output);
  }
  // RFC 3046: what names the link came to the server.
  t.regex(server.output, /option: 82 agent-id\s+01:05:70:6f:72:74:37/);
  t.like(relay.counters, { malformed: 0, notOurs: 0, sendFailed: 0 });
  t.true(relay.counters.replies >= 4);
  t.is(host.ip.sourceFor(host.nif, 0) >>> 0, 0x0a4d0001, GATEWAY);
  link.close();
  await server.stop();
});

test("DHCPv6: an address, and a prefix, from Kea on another link", async (t) => {
  const relay = dhcpv6Relay();
  const { lan, wan, lanNif } = await createGateway(t, { components: [relay] });
  const folder = scratch(t);
  const file = (name: string, text: string, mode = 0o644) => {
    writeFileSync(join(folder, name), text, { mode });
    return join(folder, name);
  };
  const configuration = {
    "interfaces-config": { interfaces: [`wan0/${WAN_HOST6}`] },
    "lease-database": { type: "memfile", persist: false },
    "server-id": { type: "EN", "enterprise-id": 32473, identifier: "0102030405", persist: false },
    loggers: [
      { name: "kea-dhcp6", severity: "DEBUG", debuglevel: 55, output_options: [{ output: "stdout" }] },
    ],
    subnet6: [
      {
        subnet: "fd01::/64",
        pools: [{ pool: "fd01::1:0:0/96" }],
        "pd-pools": [{ prefix: "fd09::", "prefix-len": 48, "delegated-len": 56 }],
      },
    ],
  };
  const kea = await wan.serve("udp", 547, "env", [
    ...[`KEA_LOCKFILE_DIR=${folder}`, `KEA_PIDFILE_DIR=${folder}`, "kea-dhcp6"],
    ...["-c", file("kea.json", JSON.stringify({ Dhcp6: configuration }))],
  ]);
  const link = relay.open({ interface: lanNif, servers: [WAN_HOST6] });
  const script = file("script", "#!/bin/sh\nenv | grep ^new_ip6\nexit 0\n", 0o755);
  const files = [
    "-lf",
    join(folder, "leases6"),
    "-pf",
    join(folder, "pid6"),
    "-sf",
    script,
    "-cf",
    "/dev/null",
  ];
  const { stdout, stderr } = await lan.run("dhclient", ["-6", "-v", "-1", "-N", "-P", ...files, "lan0"], {
    codes: null,
  });
  t.regex(stdout + stderr, /new_ip6_address=fd01::1:/, kea.output.slice(-3000));
  t.regex(stdout + stderr, /new_ip6_prefix=fd09:.*\/56/);
  t.like(relay.counters, { malformed: 0, notOurs: 0, hops: 0, sendFailed: 0 });
  t.true(relay.counters.replies >= 2);
  link.close();
  await kea.stop();
});

/** The DHCP relay agent of a router between udhcpc on one link and dnsmasq on another. */
import test from "ava";
import { openTap } from "../../../ports/node/index.js";
import { forwarding } from "../../../stack/router/forwarding.js";
import { dhcpRelay } from "../../../stack/service/dhcp-relay.js";
import { Namespace } from "../support/namespace.js";
import { GATEWAY, createServices } from "../support/services.js";

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

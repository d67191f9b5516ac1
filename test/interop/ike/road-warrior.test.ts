/** examples/road-warrior on Node: a sensor behind a NAT has an address of strongSwan's and a tunnel, and moves without losing either. */
import test from "ava";
import { memoryCable, nodeHost, openTap } from "../../../ports/node/index.js";
import { createSensor } from "../../../examples/road-warrior/node.js";
import { firewall } from "../../../stack/filter/firewall.js";
import { napt } from "../../../stack/filter/napt.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { forwarding } from "../../../stack/router/forwarding.js";
import { Namespace } from "../support/namespace.js";
import { Charon } from "./charon.js";
import { until } from "../../support/until.js";

const COLLECTOR = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.9.0.1", 5000))
while True:
    data, peer = s.recvfrom(2000)
    print(peer[0], data.decode(), flush=True)
`;
import { pingFrom } from "../support/ping.js";

test("road warrior: through a NAT, with an address of the gateway's; it moves, and the tunnel with it", async (t) => {
  const far = new Namespace();
  t.teardown(() => far.close());
  const [near, inside] = memoryCable();
  const outside = openTap({ name: "wan0", netns: far.name });
  far.ip("address", "add", "192.0.2.1/24", "dev", "wan0");
  far.ip("address", "add", "10.9.0.1/24", "dev", "lo");
  far.ip("link", "set", "wan0", "up");
  // The router of the network where the sensor is; two networks, in fact.
  const host = nodeHost();
  const ip = ipv4();
  const wall = firewall({ rules: [{ from: "lan", to: "wan", action: "accept" }], nat: napt() });
  const router = host.drive(
    createStack(host, [ethernet(), arp(), ip, fragments(), icmp(), forwarding(), wall]),
  );
  t.teardown(() => router.close());
  const lan = router.addInterface(inside, "lan");
  ip.addAddress(lan, "192.168.1.1/24");
  ip.addAddress(lan, "192.168.2.1/24");
  ip.addAddress(router.addInterface(outside, "wan"), "192.0.2.2/24");
  const charon = await Charon.start(
    t,
    far,
    `connections { a {
      local_addrs = 192.0.2.1
      pools = p
      local { auth = psk } \n remote { auth = psk \n id = sensor.example }
      children { c { local_ts = 10.9.0.0/24 } }
    } }
    pools { p { addrs = 10.8.7.0/24 } }
    secrets { ike-a { secret = "secret" } }`,
  );
  const collector = far.start("python3", ["-c", COLLECTOR]);
  const lines: string[] = [];
  const sensor = createSensor(near, {
    address: "192.168.1.2/24",
    router: "192.168.1.1",
    gateway: "192.0.2.1",
    identity: "sensor.example",
    psk: "secret",
    network: "10.9.0.0/24",
    collector: "10.9.0.1",
    port: 5000,
    every: 50,
    log: (line) => lines.push(line),
  });
  t.teardown(() => sensor.close());
  const readings = () =>
    [...collector.output.matchAll(/^10\.8\.7\.1 .*"reading":(\d+)/gm)].map(([, n]) => Number(n));
  const more = async (count: number) => {
    const before = readings().length;
    await until("readings", () => readings().length >= before + count);
  };
  const end = async () => {
    const list = await charon.sas(/INSTALLED/);
    return /remote 'sensor\.example' @ 192\.0\.2\.2\[(\d+)\] \[10\.8\.7\.1\]/.exec(list)?.[1] ?? list;
  };
  await more(5);
  t.deepEqual(lines, ["address 10.8.7.1", "tunnel: established"]);
  const port = await end();
  // The NAT's own port, not 4500.
  t.regex(port, /^\d+$/);
  t.not(port, "4500");
  const ping = () => pingFrom(t, far, "10.8.7.1", { count: 5, options: ["-I", "10.9.0.1"] });
  await ping();
  sensor.move("192.168.2.7/24", "192.168.2.1");
  await more(10);
  t.not(await end(), port);
  await ping();
  // Readings between the two networks may have no way; the tunnel is what it was.
  t.is(lines.filter((line) => !line.startsWith("reading ")).length, 2, lines.join("; "));
  // What went by the old way while the new one was told is lost, no more.
  const list = readings();
  t.true(list.at(-1)! - list[0]! + 1 - list.length <= 5, list.join());
  t.is(sensor.stack.counters.ike!.established, 1);
});

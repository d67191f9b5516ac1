/** Our firewall and address translation between two kernels. The outer one has no route to the inner network: NAT or nothing. */
import test from "ava";
import type { ExecutionContext } from "ava";
import type { TunLink } from "../../../ports/node/index.js";
import { firewall } from "../../../stack/filter/firewall.js";
import type { Rule } from "../../../stack/filter/rules.js";
import { napt } from "../../../stack/filter/napt.js";
import type { NaptOptions } from "../../../stack/filter/napt.js";
import { TCP_CLIENT, UDP_CLIENT } from "../support/apps.js";
import { LAN_HOST, WAN_HOST, WAN_HOST6, createGateway } from "../support/gateway.js";
import type { Namespace } from "../support/namespace.js";
import { pingFrom } from "../support/ping.js";
import { curlFile, serveFile } from "../support/site.js";

const OUTER = "10.2.0.1";
const RULES: Rule[] = [
  { action: "accept", from: "lan" },
  { action: "accept", from: "wan", to: "self", protocol: "icmp", icmpType: 8 },
  { action: "accept", from: "wan", to: "self", protocol: "icmpv6", icmpType: 128 },
];

/** What is sent comes back: a stream of 8 MiB. */
const TCP_SERVER = `
import socket
s = socket.create_server(("0.0.0.0", 7777))
while True:
    c, _ = s.accept()
    while True:
        d = c.recv(1 << 16)
        if not d: break
        c.sendall(d)
    c.close()
`;
const TCP_ECHO = `
import os, socket, sys, threading
data = os.urandom(8 << 20)
c = socket.create_connection((sys.argv[1], 7777), 60)
def send():
    c.sendall(data)
    c.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
got = bytearray()
while True:
    d = c.recv(1 << 16)
    if not d: break
    got += d
print("same" if bytes(got) == data else "different")
`;

const serveTcp = (ns: Namespace) => ns.serve("tcp", 7777, "python3", ["-c", TCP_SERVER]);

async function createWall(
  t: ExecutionContext,
  options: NaptOptions = {},
  offloads?: readonly ("lan0" | "wan0")[],
) {
  const wall = firewall({ rules: RULES, nat: napt(options) });
  const gateway = await createGateway(t, { components: [wall], offloads });
  wall.assign(gateway.lanNif, "lan");
  wall.assign(gateway.wanNif, "wan");
  gateway.wan.ip("route", "del", "default");
  return { ...gateway, wall };
}

test("from inside: ping of all sizes, traceroute, UDP and TCP, 64 MiB by curl in both families", async (t) => {
  const { lan, wan, wall } = await createWall(t);
  for (const size of [0, 1, 56, 1400, 1472, 1473, 3000, 20_000, 65_507]) {
    await pingFrom(t, lan, WAN_HOST, { size });
  }
  await pingFrom(t, lan, WAN_HOST6, { size: 4000 });
  for (const option of ["-U", "-I", "-T"]) {
    const { stdout } = await lan.run("traceroute", [
      "-n",
      "-q",
      "1",
      "-w",
      "20",
      "-m",
      "4",
      option,
      WAN_HOST,
    ]);
    t.regex(stdout, /^ 1 {2}10\.1\.0\.1 {2}[\d.]+ ms\n 2 {2}10\.2\.0\.2 {2}[\d.]+ ms$/m, option);
  }
  const size = 64 << 20;
  const hosts = [WAN_HOST, `[${WAN_HOST6}]`];
  await serveFile(t, wan, hosts, size);
  for (const host of hosts) await curlFile(t, lan, host, size);
  t.is(wall.counters.invalid, 0);
  t.is(wall.counters.malformed, 0);
});

test("from outside: refused by default, but what is forwarded; hairpins by the outer address", async (t) => {
  const { lan, wan, wall } = await createWall(t, {
    forward: [
      { protocol: "tcp", port: 2222, to: LAN_HOST, toPort: 7 },
      { protocol: "udp", port: 2222, to: LAN_HOST, toPort: 7 },
    ],
  });
  await lan.serve("tcp", 7, "python3", [TCP_CLIENT, "serve", LAN_HOST, "7"]);
  const lengths = ["0", "1", "1460", "100000"];
  const forwarded = await wan.run("python3", [TCP_CLIENT, "echo", OUTER, "2222", ...lengths]);
  t.is(forwarded.stdout.trim(), '"ok"');
  const hairpin = await lan.run("python3", [TCP_CLIENT, "echo", OUTER, "2222", ...lengths]);
  t.is(hairpin.stdout.trim(), '"ok"');
  await pingFrom(t, wan, OUTER);
  // A route to the inside, and guesses at ports, help nobody.
  wan.ip("route", "add", "10.1.0.0/24", "via", OUTER);
  const direct = await wan.run("ping", ["-n", "-c", "2", "-i", "0.05", "-W", "1", LAN_HOST], {
    codes: null,
  });
  t.regex(direct.stdout, / 0 received/);
  const before = wall.counters.dropped;
  const scan = "for p in $(seq 20000 20100); do (echo x > /dev/udp/10.2.0.1/$p) 2>/dev/null; done";
  await wan.run("bash", ["-c", scan]);
  t.true(wall.counters.dropped - before >= 100);
  // The host inside refuses: its word comes out as the outer address's.
  const refused = await wan.run("python3", [UDP_CLIENT, "refused", OUTER, "2222"]);
  t.is(refused.stdout.trim(), '"ECONNREFUSED"');
});

for (const offloads of [["lan0", "wan0"], ["lan0"], ["wan0"]] as const) {
  test(`merged segments through firewall and translation, virtio headers on ${offloads.join(" and ")}`, async (t) => {
    const { lan, wan, wall, lanNif, wanNif, four } = await createWall(t, {}, offloads);
    const size = 32 << 20;
    const hosts = [WAN_HOST, `[${WAN_HOST6}]`];
    await serveFile(t, wan, hosts, size);
    for (const host of hosts) await curlFile(t, lan, host, size);
    // Outwards: addresses are written anew in what is large.
    await serveTcp(wan);
    const echoed = await lan.run("python3", ["-c", TCP_ECHO, WAN_HOST], { timeout: 120_000 });
    t.is(echoed.stdout.trim(), "same");
    t.is(wall.counters.invalid, 0);
    t.is(wall.counters.malformed, 0);
    t.is(four.router.counters.tooBig, 0);
    for (const nif of [lanNif, wanNif]) t.is((nif.link as TunLink).transmitErrors, 0);
  });
}

/**
 * `examples/gateway` as a user has it, between two kernels: a host that asks it for everything, and an internet with dnsmasq and nginx.
 * ANYSTACK_GATEWAY_MIB says how much is fetched in each family (default 64; 1024 is what a release is judged by).
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import type { Report } from "../../../examples/gateway/site.js";
import { TCP_CLIENT } from "../support/apps.js";
import { namespace6 } from "../support/host6.js";
import { bodyHash } from "../support/http.js";
import { start } from "../support/process.js";
import type { Daemon } from "../support/process.js";
import { bodyFile, scratch, serveNginx } from "../support/site.js";

const SIZE = Number(process.env.ANYSTACK_GATEWAY_MIB ?? 64) << 20;
const SERVER = "192.0.2.1";
const SERVER6 = "2001:db8:1::1";

/** A script of udhcpc: what the server said is what the interface gets. */
const UDHCPC = `#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip address replace $ip/$mask dev $interface
ip route replace default via $router
echo "bound $ip $router $dns $domain"
`;

async function createSite(t: ExecutionContext) {
  const folder = scratch(t);
  const lan = namespace6(t);
  const wan = namespace6(t);
  for (const [ns, device] of [
    [lan, "lan0"],
    [wan, "wan0"],
  ] as const) {
    ns.ip("tuntap", "add", "dev", device, "mode", "tap");
    ns.ip("link", "set", device, "up");
  }
  lan.sysctl("net.ipv6.conf.lan0.accept_ra", 2);
  wan.ip("address", "add", `${SERVER}/24`, "dev", "wan0");
  wan.ip("address", "add", `${SERVER6}/64`, "dev", "wan0", "nodad");
  wan.ip("-6", "route", "add", "2001:db8:7::/64", "via", "2001:db8:1::2");
  const config = {
    state: "state",
    domain: "home.test",
    wan: {
      link: { tap: "wan0", netns: wan.name },
      ipv4: "dhcp",
      ipv6: { address: "2001:db8:1::2/64", gateway: SERVER6 },
    },
    lan: [
      {
        ...{ name: "lan", link: { tap: "lan0", netns: lan.name } },
        ...{ address: "192.168.7.1/24", address6: "2001:db8:7::1/64", pool: "192.168.7.100-192.168.7.199" },
      },
    ],
    hosts: [{ name: "nas", address: "192.168.7.5" }],
    forward: [] as object[],
  };
  const file = join(folder, "gateway.json");
  const write = () => writeFileSync(file, JSON.stringify(config, null, 2));
  write();
  const run = async (): Promise<Daemon> => {
    const daemon = start(process.execPath, ["--import", "tsx", "examples/gateway/main.ts", file]);
    t.teardown(() => daemon.stop("SIGKILL"));
    await daemon.until(/ready/, 30_000);
    return daemon;
  };
  wan.start("dnsmasq", [
    ...["-d", "-C", "/dev/null", "--no-resolv", "--no-hosts", "--interface=wan0", "--bind-dynamic"],
    ...["--dhcp-range=192.0.2.50,192.0.2.99,1h", "--dhcp-option=3,192.0.2.1", "--dhcp-authoritative"],
    ...[`--dhcp-leasefile=${join(folder, "dnsmasq.leases")}`, "--address=/server.test/192.0.2.1"],
  ]);
  const script = join(folder, "udhcpc.sh");
  writeFileSync(script, UDHCPC, { mode: 0o755 });
  const ask = async () => {
    const options = [
      "-i",
      "lan0",
      "-s",
      script,
      "-n",
      "-q",
      "-f",
      "-t",
      "20",
      "-T",
      "1",
      "-x",
      "hostname:laptop",
    ];
    const { stdout } = await lan.run("busybox", ["udhcpc", ...options]);
    return /bound (.*)/.exec(stdout)?.[1];
  };
  const status = async (): Promise<Report> =>
    JSON.parse((await lan.run("curl", ["-s", "-m", "5", "http://192.168.7.1/state.json"])).stdout);
  return { folder, lan, wan, config, write, run, ask, status, file };
}

test("one file makes a router: addresses, names, NAT, plain IPv6, forwards, hairpin, reload, kill -9", async (t) => {
  const { folder, lan, wan, config, write, run, ask, status, file } = await createSite(t);
  let gateway = await run();
  await gateway.until(/WAN address 192\.0\.2\./, 20_000);
  const bound = await ask();
  const inner =
    /^(192\.168\.7\.1\d\d) 192\.168\.7\.1 192\.168\.7\.1 home\.test$/.exec(bound ?? "")?.[1] ?? "";
  t.not(inner, "", bound);
  await gateway.until(
    async () => /inet6 2001:db8:7:/.test(lan.ip("-6", "-o", "address", "show", "dev", "lan0")),
    20_000,
  );

  const dig = async (name: string, type = "A") =>
    (await lan.run("dig", ["+short", "+time=3", "@192.168.7.1", name, type])).stdout.trim();
  t.is(await dig("server.test"), SERVER);
  t.is(await dig("nas.home.test"), "192.168.7.5");
  t.is(await dig("laptop.home.test"), inner);
  t.is(await dig("gateway.home.test"), "192.168.7.1");

  bodyFile(folder, SIZE);
  await serveNginx(wan, `${SERVER}:8080; listen [${SERVER6}]`, folder);
  for (const host of [SERVER, `[${SERVER6}]`]) {
    const command = `curl -sgf --max-time 600 http://${host}:8080/${SIZE} | sha256sum`;
    const { stdout } = await lan.run("sh", ["-c", command], { timeout: 610_000 });
    t.is(stdout.split(" ")[0], bodyHash(SIZE), host);
  }
  const trace = await lan.run("traceroute", ["-n", "-q", "1", "-w", "2", "-m", "4", SERVER]);
  t.regex(trace.stdout, /^ 1 {2}192\.168\.7\.1 {2}[\d.]+ ms\n 2 {2}192\.0\.2\.1 {2}[\d.]+ ms$/m);

  // Closed from outside, until a reload opens a port; a connection that stands meanwhile does not notice.
  const outer = (await status()).interfaces
    .find(({ name }) => name === "wan")!
    .addresses.find(({ address }) => address.startsWith("192.0.2."))!.address;
  await lan.serve("tcp", 7, "python3", [TCP_CLIENT, "serve", inner, "7"]);
  const knock = () =>
    wan.run("python3", [TCP_CLIENT, "echo", outer, "2222", "1", "1460"], { codes: null, timeout: 60_000 });
  const slow = lan.run("sh", [
    "-c",
    `curl -s --limit-rate 1M http://${SERVER}:8080/${SIZE} | head -c 4194304 | wc -c`,
  ]);
  const closed = await wan.run("curl", ["-s", "-m", "2", `http://${outer}:2222/`], { codes: null });
  t.is(closed.code, 28);
  config.forward = [{ protocol: "tcp", port: 2222, to: inner, toPort: 7 }];
  write();
  await gateway.until(/ reloaded/);
  t.is((await knock()).stdout.trim(), '"ok"');
  const hairpin = await lan.run("python3", [TCP_CLIENT, "echo", outer, "2222", "1", "1460", "100000"]);
  t.is(hairpin.stdout.trim(), '"ok"');
  t.is((await slow).stdout.trim(), "4194304");
  writeFileSync(file, '{\n  "state": "state",\n  "wan": 7\n}\n');
  gateway.child.kill("SIGHUP");
  await gateway.until(/not reloaded: .*gateway\.json:3: wan must be an object/);
  t.is((await knock()).stdout.trim(), '"ok"');
  write();

  const before = await status();
  t.is(before.leases.length, 1);
  t.true(before.refused.some(({ flow }) => flow.destinationPort === 2222));
  const known = readFileSync(join(folder, "state", "gateway.json"), "utf8");
  await gateway.stop("SIGKILL");
  gateway = await run();
  const after = await status();
  t.deepEqual(
    after.leases.map(({ address, hardware }) => [address, hardware]),
    before.leases.map(({ address, hardware }) => [address, hardware]),
  );
  t.deepEqual(
    after.interfaces.map(({ mac }) => mac),
    before.interfaces.map(({ mac }) => mac),
  );
  t.is(JSON.parse(readFileSync(join(folder, "state", "gateway.json"), "utf8")).duid, JSON.parse(known).duid);
  t.is(await ask(), bound);
  t.true(existsSync(join(folder, "state", "leases", "dhcp")));
});

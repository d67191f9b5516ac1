/**
 * `examples/gateway` as a user has it, between two kernels: a host that asks it for everything, and an internet with dnsmasq and nginx.
 * 64 MiB are fetched in each family, with `--long` 1 GiB: what a release is judged by.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { parseConfig } from "../../../examples/gateway/config.js";
import { startGateway } from "../../../examples/gateway/gateway.js";
import { services } from "../../../examples/gateway/parts/services.js";
import type { Report } from "../../../examples/gateway/site.js";
import { LONG } from "../../support/long.js";
import { until } from "../../support/until.js";
import { TCP_CLIENT } from "../support/apps.js";
import { namespace6 } from "../support/host6.js";
import { bodyHash } from "../support/http.js";
import type { Namespace } from "../support/namespace.js";
import { start } from "../support/process.js";
import type { Daemon } from "../support/process.js";
import { heals, startBird } from "../support/routers.js";
import { bodyFile, scratch, serveNginx } from "../support/site.js";
import { wireguardGo } from "../support/wireguard.js";

const SIZE = (LONG ? 1024 : 64) << 20;
const SERVER = "192.0.2.1";
const SERVER6 = "2001:db8:1::1";

/** A script of udhcpc: what the server said is what the interface gets. */
const UDHCPC = `#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip address replace $ip/$mask dev $interface
ip route replace default via $router
echo "bound $ip $router $dns $domain"
`;

/** What curl fetches, as its hash. */
async function fetchHash(lan: Namespace, url: string) {
  const start = performance.now();
  const { stdout } = await lan.run("sh", ["-c", `curl -sgf --max-time 1200 ${url} | sha256sum`], {
    timeout: 1_210_000,
  });
  return { stdout, seconds: (performance.now() - start) / 1000 };
}

interface Config {
  wan: Record<string, unknown> | Record<string, unknown>[];
  lan: Record<string, unknown>[];
  forward: object[];
  [more: string]: unknown;
}

/** @param change makes another configuration of the usual one */
async function createSite(t: ExecutionContext, change: (config: Config, wan: Namespace) => void = () => {}) {
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
  const config: Config = {
    state: "state",
    domain: "home.test",
    wan: {
      link: { tap: "wan0", netns: wan.name, offloads: true },
      ipv4: "dhcp",
      ipv6: { address: "2001:db8:1::2/64", gateway: SERVER6 },
    },
    lan: [
      {
        ...{ name: "lan", link: { tap: "lan0", netns: lan.name, offloads: true } },
        ...{ address: "192.168.7.1/24", address6: "2001:db8:7::1/64", pool: "192.168.7.100-192.168.7.199" },
      },
    ],
    hosts: [{ name: "nas", address: "192.168.7.5" }],
    privateNames: ["corp.test"],
    forward: [],
  };
  change(config, wan);
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
    ...[
      `--dhcp-leasefile=${join(folder, "dnsmasq.leases")}`,
      "--host-record=server.test,192.0.2.1",
      "--host-record=trap.test,192.168.7.5",
      "--host-record=nas.corp.test,192.168.7.5",
      "--local=/test/",
    ],
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
  await gateway.until(/WAN address 192\.0\.2\./);
  const bound = await ask();
  const inner =
    /^(192\.168\.7\.1\d\d) 192\.168\.7\.1 192\.168\.7\.1 home\.test$/.exec(bound ?? "")?.[1] ?? "";
  t.not(inner, "", bound);
  await gateway.until(() => /inet6 2001:db8:7:/.test(lan.ip("-6", "-o", "address", "show", "dev", "lan0")));

  const dig = async (name: string, type = "A") =>
    (await lan.run("dig", ["+short", "+time=3", "@192.168.7.1", name, type])).stdout.trim();
  t.is(await dig("server.test"), SERVER);
  t.is(await dig("nas.home.test"), "192.168.7.5");
  t.is(await dig("nas.corp.test"), "192.168.7.5");
  t.is(await dig("trap.test"), "", "nobody outside leads inside");
  t.is(await dig("laptop.home.test"), inner);
  t.is(await dig("gateway.home.test"), "192.168.7.1");

  bodyFile(folder, SIZE);
  await serveNginx(wan, `${SERVER}:8080; listen [${SERVER6}]`, folder);
  for (const host of [SERVER, `[${SERVER6}]`]) {
    const { stdout, seconds } = await fetchHash(lan, `http://${host}:8080/${SIZE}`);
    t.is(stdout.split(" ")[0], bodyHash(SIZE), host);
    t.log(`${SIZE >> 20} MiB from ${host}: ${((SIZE * 8) / seconds / 1e6).toFixed(0)} Mbit/s`);
  }
  const trace = await lan.run("traceroute", ["-n", "-q", "1", "-w", "20", "-m", "4", SERVER]);
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

const KEA = (folder: string) => ({
  Dhcp6: {
    "interfaces-config": { interfaces: ["wan0"] },
    "lease-database": { type: "memfile", persist: false },
    "server-id": { type: "EN", "enterprise-id": 32473, identifier: "0102030405", persist: false },
    loggers: [{ name: "kea-dhcp6", severity: "INFO", output_options: [{ output: join(folder, "kea.log") }] }],
    subnet6: [
      {
        ...{ subnet: "2001:db8:1::/64", interface: "wan0" },
        "pd-pools": [{ prefix: "2001:db8:7000::", "prefix-len": 40, "delegated-len": 56 }],
      },
    ],
  },
});
/** What answers while the way out is good. */
const PROBE = "192.0.2.9";
const RADVD = `interface wan0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; prefix 2001:db8:1::/64 {}; };
`;

test("Kea delegates, hosts have IPv6 alone, and by NAT64 a name of IPv4; keepalived shares the LAN; ports by PCP; FQ-CoDel", async (t) => {
  const { folder, lan, wan, config, write, run, ask, status } = await createSite(t, (config) => {
    Object.assign(config.wan, { ipv6: "auto", probe: PROBE });
    Object.assign(config, { nat64: "fd64::/96", portMapping: { pcp: true, upnp: true } });
    Object.assign(config.lan[0], {
      address6: "",
      vrrp: { id: 51, addresses: ["192.168.7.254"], priority: 200, withoutUplink: 50 },
    });
  });
  wan.ip("address", "add", `${PROBE}/24`, "dev", "wan0");
  writeFileSync(join(folder, "kea.json"), JSON.stringify(KEA(folder)));
  writeFileSync(join(folder, "radvd.conf"), RADVD);
  const places = [`KEA_LOCKFILE_DIR=${folder}`, `KEA_PIDFILE_DIR=${folder}`];
  // Its cable has a carrier when the gateway runs, and Kea wants one.
  const gateway = await run();
  await wan.serve("udp", 547, "env", [...places, "kea-dhcp6", "-c", join(folder, "kea.json")]);
  wan.sysctl("net.ipv6.conf.all.forwarding", 1);
  wan.start("radvd", ["-n", "-C", join(folder, "radvd.conf"), "-p", join(folder, "radvd.pid")]);
  await gateway.until(/WAN address 192\.0\.2\./);
  await gateway.until(/delegated: 2001:db8:70[\w:]+\/56/);
  const addressOf = async (nif: string, prefix: string) =>
    (await status()).interfaces
      .find(({ name }) => name === nif)!
      .addresses.find(({ address }) => address.startsWith(prefix))?.address;
  lan.ip("address", "add", "192.168.7.2/24", "dev", "lan0");
  await until(
    "we have an address outside",
    async () => (await addressOf("wan", "2001:db8:1:")) !== undefined,
  );
  wan.ip("-6", "route", "add", "2001:db8:7000::/40", "via", (await addressOf("wan", "2001:db8:1:"))!);
  await until("a host has an address of what was delegated", () =>
    /inet6 2001:db8:70(?!.*tentative)/.test(lan.ip("-6", "-o", "address", "show", "dev", "lan0")),
  );
  const resolver = await addressOf("lan", "2001:db8:70");
  // From here on it has no IPv4, and asks the gateway for names by IPv6.
  lan.ip("address", "del", "192.168.7.2/24", "dev", "lan0");
  mkdirSync(`/etc/netns/${lan.name}`, { recursive: true });
  writeFileSync(`/etc/netns/${lan.name}/resolv.conf`, `nameserver ${resolver}\n`);
  bodyFile(folder, SIZE);
  await serveNginx(wan, `${SERVER}:8080; listen [${SERVER6}]`, folder);
  for (const host of [`[${SERVER6}]`, "server.test"]) {
    const { stdout, seconds } = await fetchHash(lan, `http://${host}:8080/${SIZE}`);
    t.is(stdout.split(" ")[0], bodyHash(SIZE), host);
    t.log(`${SIZE >> 20} MiB from ${host}: ${((SIZE * 8) / seconds / 1e6).toFixed(0)} Mbit/s`);
  }
  const trace = await lan.run("traceroute", ["-6", "-n", "-q", "1", "-w", "20", "-m", "4", "server.test"]);
  t.regex(trace.stdout, /^ 2 {2}fd64::c000:201 {2}[\d.]+ ms$/m);

  // The other gateway: it has the address while our way out is bad, and no longer.
  t.regex((await ask()) ?? "", /^192\.168\.7\.1\d\d 192\.168\.7\.254 192\.168\.7\.254 home\.test$/);
  const conf = join(folder, "keepalived.conf");
  writeFileSync(
    conf,
    `global_defs {\n vrrp_version 3\n}\nvrrp_instance lan {\n state BACKUP\n interface lan0\n virtual_router_id 51\n priority 100\n advert_int 1\n virtual_ipaddress {\n 192.168.7.254/32\n }\n}\n`,
  );
  const has = () => / 192\.168\.7\.254\//.test(lan.ip("address", "show", "dev", "lan0"));
  lan.start("keepalived", ["-n", "-P", "-l", "-f", conf, "-p", `${conf}.pid`, "-r", `${conf}.vrrp`]);
  const virtual = async () => (await status()).services.find(({ name }) => name === "VRRP on lan")?.state;
  const active = async () => !has() && (await virtual()) === "active, 192.168.7.254";
  await until("we are active", active);
  wan.ip("address", "del", `${PROBE}/24`, "dev", "wan0");
  await until("keepalived is active", async () => has() && (await virtual()) === "waits, 192.168.7.254");
  wan.ip("address", "add", `${PROBE}/24`, "dev", "wan0");
  await until("we are active again", active);
  t.is((await addressOf("wan", "192.0.2."))?.startsWith("192.0.2."), true);

  // Ports that the host asks for.
  const own = / (192\.168\.7\.1\d\d)\//.exec(lan.ip("address", "show", "dev", "lan0"))![1];
  await lan.serve("tcp", 7, "python3", [TCP_CLIENT, "serve", own, "7"]);
  await lan.run("natpmpc", ["-g", "192.168.7.1", "-a", "2222", "7", "tcp", "600"]);
  const echo = await wan.run("python3", [
    TCP_CLIENT,
    "echo",
    (await addressOf("wan", "192.0.2."))!,
    "2222",
    "1",
    "1460",
  ]);
  t.is(echo.stdout.trim(), '"ok"');
  t.like((await status()).forwards, [{ by: "PCP", port: 2222, to: own, toPort: 7 }]);

  // A rate by reload: what is too fast is queued here, and the queue is kept short.
  Object.assign(config.wan, { upload: 20, download: 50 });
  write();
  await gateway.until(/ reloaded/);
  const load = lan.start("curl", ["-s", "-o", "/dev/null", `http://[${SERVER6}]:8080/${SIZE}`]);
  const dropped = async () =>
    / late [1-9]/.test((await status()).services.find(({ name }) => name === "queue of lan")?.state ?? "");
  await until("FQ-CoDel has dropped", dropped);
  await load.stop();
});

test("two ways out: one for the other when a probe is not answered, both by turns when they are balanced", async (t) => {
  const second = namespace6(t);
  second.ip("tuntap", "add", "dev", "wan2", "mode", "tap");
  second.ip("link", "set", "wan2", "up");
  second.ip("address", "add", "198.51.100.1/24", "dev", "wan2");
  const FAR = "203.0.113.1";
  const { folder, lan, wan, config, write, run, ask, status } = await createSite(t, (config, wan) => {
    wan.ip("address", "add", `${FAR}/32`, "dev", "lo");
    config.wan = [
      { ...(config.wan as object), ipv6: "off", probe: FAR },
      {
        link: { tap: "wan2", netns: second.name },
        ipv4: { address: "198.51.100.2/24", gateway: "198.51.100.1" },
        probe: FAR,
      },
    ];
  });
  second.ip("address", "add", `${FAR}/32`, "dev", "lo");
  const gateway = await run();
  await gateway.until(/the way out: wan by 192\.0\.2\.1/);
  const servers = await Promise.all(
    [wan, second].map(async (ns, i) => {
      mkdirSync(join(folder, `${i}`));
      writeFileSync(join(folder, `${i}`, "who"), `${i}`);
      await serveNginx(ns, FAR, join(folder, `${i}`));
      return ns;
    }),
  );
  t.is(servers.length, 2);
  await ask();
  const who = async () =>
    (await lan.run("curl", ["-s", "-m", "30", `http://${FAR}:8080/who`], { codes: null })).stdout;
  t.is(await who(), "0");
  wan.ip("address", "del", `${FAR}/32`, "dev", "lo");
  await gateway.until(/the way out: wan2 by 198\.51\.100\.1/);
  t.is(await who(), "1");
  t.is((await status()).services[0].state, "does not answer");
  wan.ip("address", "add", `${FAR}/32`, "dev", "lo");
  await until(
    "the first is the way again",
    async () => (await status()).services[0].state === "good, by 192.0.2.1",
  );
  await until("packets go by it", async () => (await who()) === "0");
  config.uplinks = "balance";
  write();
  await gateway.until(/the way out: wan by 192\.0\.2\.1 \(1\), wan2 by 198\.51\.100\.1 \(1\)/);
  const seen = new Set<string>();
  await until("both have been asked", async () => seen.add(await who()).has("0") && seen.has("1"));
});

const birdOf = (babelSecret: string) => `
router id 192.168.7.2;
protocol device { scan time 1; }
protocol static { ipv4; route 10.71.0.0/16 blackhole; }
protocol static { ipv4; route 10.72.0.0/16 blackhole; }
protocol rip { ipv4 { import all; export where net = 10.71.0.0/16; };
  interface "br0" { version 2; update time 3; timeout time 60;
    authentication cryptographic; password "open sesame" { id 1; algorithm hmac sha256; }; }; }
protocol babel { ipv4 { import all; export where net = 10.72.0.0/16; };
  interface "br0" { type wired; hello interval 1 s; update interval 4 s;
    authentication mac; password "${babelSecret}" { algorithm hmac sha256; }; }; }`;

test("WireGuard with wireguard-go, a bridge in a loop with the kernel's, RIP and Babel with bird by keys; a reload leaves sessions alone", async (t) => {
  const folder = scratch(t);
  const [lan, wan] = [namespace6(t), namespace6(t)];
  const friend = await wireguardGo(t, wan, 51821);
  const peers = [
    {
      publicKey: friend.publicKey,
      allowedIps: ["10.97.0.2/32", "10.98.0.0/24"],
      endpoint: "192.0.2.1:51821",
    },
    { publicKey: Buffer.alloc(32, 7).toString("base64"), allowedIps: ["10.99.0.0/24"] },
  ];
  const config = (more: object = {}, key = "open sesame") =>
    parseConfig(
      JSON.stringify({
        state: join(folder, "state"),
        wan: {
          link: { tap: "wan0", netns: wan.name },
          ipv4: { address: "192.0.2.2/24", gateway: "192.0.2.1" },
          ipv6: "off",
        },
        lan: [
          {
            ...{ name: "lan", address: "192.168.7.1/24" },
            link: {
              bridge: ["tap0", "tap1"].map((tap) => ({ tap, netns: lan.name })),
              ...{ priority: 61440, snooping: true },
            },
          },
        ],
        wireguard: [{ name: "wg0", address: "10.97.0.1/24", trusted: true, peers }],
        rip: { on: ["lan"], interval: 3, key: { secret: "open sesame" } },
        babel: { on: ["lan"], interval: 1, keys: [{ secret: key }] },
        ...more,
      }),
    );
  const lines: string[] = [];
  const gateway = await startGateway(config(), (line) => lines.push(line));
  t.teardown(() => gateway.close());
  const { parts, wireguards } = gateway;
  const routes = (origin: string) => parts.four.fib.list().filter((route) => route.origin === origin);
  // Two cables to a kernel's bridge: the tree closes one.
  lan.ip("link", "add", "br0", "type", "bridge", "stp_state", "1", "forward_delay", "400");
  lan.ip("link", "set", "br0", "addrgenmode", "none", "up");
  for (const name of ["tap0", "tap1"]) {
    lan.ip("link", "set", name, "addrgenmode", "none");
    lan.ip("link", "set", name, "master", "br0", "up");
  }
  lan.ip("address", "add", "192.168.7.2/24", "dev", "br0");
  lan.ip("address", "add", "fe80::2/64", "dev", "br0", "nodad");
  lan.ip("route", "add", "default", "via", "192.168.7.1");
  wan.ip("link", "set", "wan0", "up");
  wan.ip("address", "add", "192.0.2.1/24", "dev", "wan0");
  const shown = (name: string) => services(gateway).find((one) => one.name === name)?.state ?? "";
  await until(
    "the tree",
    () => /root, forwards/.test(shown("bridge lan")) && /alternate, discards/.test(shown("bridge lan")),
  );
  await heals(lan, "192.168.7.1");
  // From the LAN to what lies behind wireguard-go, and from there in, since it is trusted.
  const own = Buffer.from(wireguards.devices.get("wg0")!.publicKey()).toString("base64");
  friend.set(own, "allowed-ips", "10.97.0.1/32,192.168.7.0/24", "endpoint", "192.0.2.2:51820");
  wan.ip("link", "set", friend.name, "addrgenmode", "none", "mtu", "1420", "up");
  wan.ip("address", "add", "10.97.0.2/24", "dev", friend.name);
  wan.ip("address", "add", "10.98.0.2/24", "dev", "lo");
  wan.ip("route", "add", "192.168.7.0/24", "dev", friend.name);
  await heals(lan, "10.98.0.2");
  await heals(wan, "192.168.7.2", "10.98.0.2");
  const first = await startBird(lan, folder, birdOf("open sesame"));
  await until("RIP's route", () => routes("rip").some(({ prefix }) => prefix === ((10 << 24) | (71 << 16))));
  await until("Babel's route", () =>
    routes("babel").some(({ prefix }) => prefix === ((10 << 24) | (72 << 16))),
  );
  await first.daemon.until(async () => (await first.show("route")).includes("10.97.0.0/24"));
  t.is(parts.rip.counters.badPassword, 0);
  // Another key for Babel, and a peer less: what RIP has, and the other peer's session, stay as they are.
  const kept = wireguards.peers.get(`wg0 ${friend.publicKey}`)!;
  const [rip] = routes("rip");
  await gateway.reload(
    config(
      { wireguard: [{ name: "wg0", address: "10.97.0.1/24", trusted: true, peers: peers.slice(0, 1) }] },
      "open barley",
    ),
  );
  t.is(routes("rip")[0], rip);
  t.is(wireguards.peers.get(`wg0 ${friend.publicKey}`), kept);
  t.is(wireguards.peers.size, 1);
  t.is(routes("babel").filter(({ nif }) => nif.name === "lan").length, 0);
  await until("bird's packets are refused", () => parts.babel.counters.badMac > 3);
  await heals(lan, "10.98.0.2");
  await first.daemon.stop("SIGKILL");
  await startBird(lan, folder, birdOf("open barley"));
  await until("Babel's route", () =>
    routes("babel").some(({ prefix, nif }) => prefix === ((10 << 24) | (72 << 16)) && nif.name === "lan"),
  );
  const { malformed, forged } = parts.wg.counters;
  t.deepEqual([malformed, forged], [0, 0]);
});

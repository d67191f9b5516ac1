/**
 * `node examples/launch.js test/bench/tunnel.ts [--rounds N] [--seconds N] [--write]`: TCP (iperf3) through AES-256-GCM tunnels, ESP in UDP,
 * between namespaces: two gateways of ours (by ciphers), one of ours and strongSwan, two strongSwans with ESP of their own in user space
 * (kernel-libipsec). All are up at once, rounds are interleaved, medians are told. Needs root, charon-systemd, swanctl, iperf3.
 */
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { Charon } from "../interop/ike/charon.js";
import type { Namespace } from "../interop/support/namespace.js";
import type { Daemon } from "../interop/support/process.js";
import { ROOT } from "../support/files.js";
import type { GatewaySetup } from "./tunnel-gateway.js";
import { compare, endings, namespace, t, up } from "./tunnel-ways.js";
import type { Way } from "./tunnel-ways.js";

const PSK = "secret";

async function gateway(host: Namespace, setup: GatewaySetup): Promise<Daemon> {
  const program = ["examples/launch.js", "test/bench/tunnel-gateway.ts", JSON.stringify(setup)];
  const daemon = host.start(
    process.execPath,
    program.map((word, i) => (i === 0 ? join(ROOT, word) : word)),
  );
  endings.push(() => daemon.stop());
  const exists = (name: string, netns: string) =>
    host.run("ip", ["-n", netns, "link", "show", name], { codes: null }).then(({ code }) => code === 0);
  await daemon.until(async () => (await exists(...setup.lanDevice)) && exists(...setup.wanDevice));
  const lan = setup.lan.replace(/\.1\//, ".5/");
  up(host, setup.lanDevice[0], lan);
  host.ip("route", "add", "default", "via", setup.lan.split("/")[0]!);
  return daemon;
}

function strongSwan(
  ns: Namespace,
  own: string,
  peer: string,
  local: string,
  remote: string,
): Promise<Charon> {
  const configuration = `connections { a {
    local_addrs = ${own} \n remote_addrs = ${peer}
    local { auth = psk } \n remote { auth = psk }
    children { c { esp_proposals = aes256gcm16 \n local_ts = ${local} \n remote_ts = ${remote} } }
  } }
  secrets { ike-a { secret = "${PSK}" } }`;
  return Charon.start(t as unknown as ExecutionContext, ns, configuration);
}

async function ours(ciphers: GatewaySetup["ciphers"]): Promise<Way> {
  const [client, server, middle] = [namespace(), namespace(), namespace()];
  middle.ip("link", "add", "br0", "type", "bridge");
  up(middle, "br0");
  const common = { psk: PSK, encapsulate: true, ciphers };
  const one = await gateway(client, {
    ...{ ...common, lan: "10.8.0.1/16", wan: "192.0.2.2/24", peer: "192.0.2.1", network: "10.9.0.0/16" },
    ...{ lanDevice: ["lan0", client.name], wanDevice: ["wan0", middle.name] },
  });
  const two = await gateway(server, {
    ...{ ...common, lan: "10.9.0.1/16", wan: "192.0.2.1/24", peer: "192.0.2.2", network: "10.8.0.0/16" },
    ...{ lanDevice: ["lan1", server.name], wanDevice: ["wan1", middle.name] },
  });
  for (const device of ["wan0", "wan1"]) {
    middle.ip("link", "set", device, "master", "br0");
    up(middle, device);
  }
  await Promise.all([one.until(/: up/), two.until(/: up/)]);
  return {
    about: `two gateways of ours, ciphers ${ciphers === "node" ? "of node:crypto" : "by `opensslCrypto`"}`,
    client,
    server,
    local: "10.8.0.5",
    address: "10.9.0.5",
    ends: [one, two],
  };
}

async function mixed(): Promise<Way> {
  const client = namespace();
  const server = namespace(["10.9.0.1/24", "lo"]);
  const setup: GatewaySetup = {
    ...{ psk: PSK, lan: "10.8.0.1/16", wan: "192.0.2.2/24", peer: "192.0.2.1", network: "10.9.0.0/24" },
    ciphers: "openssl",
    ...{ lanDevice: ["lan0", client.name], wanDevice: ["wan0", server.name] },
  };
  const daemon = await gateway(client, setup);
  up(server, "wan0", "192.0.2.1/24");
  const charon = await strongSwan(server, "192.0.2.1", "192.0.2.2", "10.9.0.0/24", "10.8.0.0/16");
  await daemon.until(/: up/);
  return {
    about: "one of ours (`opensslCrypto`), strongSwan",
    client,
    server,
    local: "10.8.0.5",
    address: "10.9.0.1",
    ends: [daemon, charon.daemon],
  };
}

async function theirs(): Promise<Way> {
  const client = namespace(["10.8.0.1/24", "lo"]);
  const server = namespace(["10.9.0.1/24", "lo"]);
  client.ip("link", "add", "wan0", "type", "veth", "peer", "name", "wan0", "netns", server.name);
  up(client, "wan0", "192.0.2.2/24");
  up(server, "wan0", "192.0.2.1/24");
  const other = await strongSwan(server, "192.0.2.1", "192.0.2.2", "10.9.0.0/24", "10.8.0.0/24");
  const charon = await strongSwan(client, "192.0.2.2", "192.0.2.1", "10.8.0.0/24", "10.9.0.0/24");
  await charon.swanctl(["--initiate", "--child", "c"]);
  return {
    about: "two strongSwans",
    client,
    server,
    local: "10.8.0.1",
    address: "10.9.0.1",
    ends: [charon.daemon, other.daemon],
  };
}

await compare(
  async () => [await ours("node"), await ours("openssl"), await mixed(), await theirs()],
  "docs/ipsec.md",
  ["<!-- tunnel -->", "<!-- end of tunnel -->"],
);
process.exit(0);

/**
 * `node examples/launch.js test/bench/wireguard.ts [--rounds N] [--seconds N] [--write]`: TCP (iperf3) through WireGuard between namespaces:
 * two gateways of ours (by ciphers), one of ours and wireguard-go, two of wireguard-go. All are up at once, rounds are interleaved, medians
 * are told. Needs root, wireguard-go, wg, iperf3.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { Namespace } from "../interop/support/namespace.js";
import type { Daemon } from "../interop/support/process.js";
import { wireguardGo } from "../interop/support/wireguard.js";
import { ROOT } from "../support/files.js";
import { compare, endings, namespace, t, up } from "./tunnel-ways.js";
import type { Way } from "./tunnel-ways.js";
import type { WireguardSetup } from "./wireguard-gateway.js";

const PORT = 51820;

function keys(): [privateKey: string, publicKey: string] {
  const own = execFileSync("wg", ["genkey"], { encoding: "utf8" }).trim();
  return [own, execFileSync("wg", ["pubkey"], { input: own, encoding: "utf8" }).trim()];
}

async function gateway(host: Namespace, setup: WireguardSetup): Promise<Daemon> {
  const program = [
    join(ROOT, "examples/launch.js"),
    "test/bench/wireguard-gateway.ts",
    JSON.stringify(setup),
  ];
  const daemon = host.start(process.execPath, program);
  endings.push(() => daemon.stop());
  await daemon.until(/^up$/m);
  up(host, setup.lanDevice[0], setup.lan.replace(/\.1\//, ".5/"));
  host.ip("route", "add", "default", "via", setup.lan.split("/")[0]!);
  return daemon;
}

async function ours(ciphers: WireguardSetup["ciphers"]): Promise<Way> {
  const [client, server, middle] = [namespace(), namespace(), namespace()];
  middle.ip("link", "add", "br0", "type", "bridge");
  up(middle, "br0");
  const [one, two] = [keys(), keys()];
  const first = await gateway(client, {
    ...{ ciphers, lan: "10.8.0.1/16", wan: "192.0.2.2/24", privateKey: one[0], publicKey: two[1] },
    ...{ endpoint: { address: "192.0.2.1", port: PORT }, network: "10.9.0.0/16" },
    ...{ lanDevice: ["lan0", client.name], wanDevice: ["wan0", middle.name] },
  });
  const second = await gateway(server, {
    ...{ ciphers, lan: "10.9.0.1/16", wan: "192.0.2.1/24", privateKey: two[0], publicKey: one[1] },
    ...{ endpoint: { address: "192.0.2.2", port: PORT }, network: "10.8.0.0/16" },
    ...{ lanDevice: ["lan1", server.name], wanDevice: ["wan1", middle.name] },
  });
  for (const device of ["wan0", "wan1"]) {
    middle.ip("link", "set", device, "master", "br0");
    up(middle, device);
  }
  return {
    about: `two gateways of ours, ciphers ${ciphers === "node" ? "of node:crypto" : "by `opensslCrypto`"}`,
    ...{ client, server, local: "10.8.0.5", address: "10.9.0.5", ends: [first, second] },
  };
}

/** wireguard-go in a namespace that reaches `network` through it, and has `own` itself. */
async function go(ns: Namespace, own: string, network: string) {
  const made = await wireguardGo(t as unknown as ExecutionContext, ns, PORT);
  up(ns, made.name, own);
  ns.ip("link", "set", made.name, "mtu", "1420");
  ns.ip("route", "add", network, "dev", made.name);
  return made;
}

async function mixed(): Promise<Way> {
  const [client, server] = [namespace(), namespace()];
  const [own, ownPublic] = keys();
  const friend = await go(server, "10.9.0.1/24", "10.8.0.0/16");
  const daemon = await gateway(client, {
    ...{
      ciphers: "openssl",
      lan: "10.8.0.1/16",
      wan: "192.0.2.2/24",
      privateKey: own,
      publicKey: friend.publicKey,
    },
    ...{ endpoint: { address: "192.0.2.1", port: PORT }, network: "10.9.0.0/24" },
    ...{ lanDevice: ["lan0", client.name], wanDevice: ["wan0", server.name] },
  });
  up(server, "wan0", "192.0.2.1/24");
  friend.set(ownPublic, "allowed-ips", "10.8.0.0/16", "endpoint", `192.0.2.2:${PORT}`);
  return {
    about: "one of ours (`opensslCrypto`), wireguard-go",
    ...{ client, server, local: "10.8.0.5", address: "10.9.0.1", ends: [daemon, friend.daemon] },
  };
}

async function theirs(): Promise<Way> {
  const [client, server] = [namespace(), namespace()];
  client.ip("link", "add", "wan0", "type", "veth", "peer", "name", "wan0", "netns", server.name);
  up(client, "wan0", "192.0.2.2/24");
  up(server, "wan0", "192.0.2.1/24");
  const [one, two] = [
    await go(client, "10.8.0.1/24", "10.9.0.0/24"),
    await go(server, "10.9.0.1/24", "10.8.0.0/24"),
  ];
  one.set(two.publicKey, "allowed-ips", "10.9.0.0/24", "endpoint", `192.0.2.1:${PORT}`);
  two.set(one.publicKey, "allowed-ips", "10.8.0.0/24", "endpoint", `192.0.2.2:${PORT}`);
  return {
    about: "two of wireguard-go",
    ...{ client, server, local: "10.8.0.1", address: "10.9.0.1", ends: [one.daemon, two.daemon] },
  };
}

await compare(
  async () => [await ours("node"), await ours("openssl"), await mixed(), await theirs()],
  "docs/links.md",
  ["<!-- wireguard -->", "<!-- end of wireguard -->"],
);
process.exit(0);

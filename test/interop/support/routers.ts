/**
 * A triangle of routers: ours, and two kernels in namespaces with routing daemons on them, `a` and `b`, joined by a link of their own;
 * behind both of them is `far`, where traffic goes. Ours has a TAP to each:
 *
 *     us --(10.1.0.0/24)-- a --+-- far (10.9.0.2, fd09::2)
 *     us --(10.2.0.0/24)-- b --+
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { ping } from "../../../stack/raw/ping.js";
import { createGateway } from "./gateway.js";
import type { Gateway, GatewayOptions } from "./gateway.js";
import { namespace6 } from "./host6.js";
import type { Namespace } from "./namespace.js";
import type { Daemon } from "./process.js";
import { pause, until } from "../../support/until.js";

export interface Triangle extends Gateway {
  readonly a: Namespace;
  readonly b: Namespace;
  readonly far: Namespace;
  readonly folder: string;
  /** Pings from our stack until an answer has come. */
  reach(host: string): Promise<void>;
  /** Starts bird in a namespace with this configuration; `birdc` asks it. */
  bird(ns: Namespace, configuration: string): Promise<Bird>;
}

export interface Bird {
  readonly daemon: Daemon;
  show(...words: string[]): Promise<string>;
}

export const FAR = "10.9.0.2";
export const FAR6 = "fd09::2";

export async function triangle(t: ExecutionContext, options: GatewayOptions = {}): Promise<Triangle> {
  const pings = ping();
  const components = [pings, ...(options.components ?? [])];
  const gateway = await createGateway(t, { ...options, components, plain: true });
  const { lan: a, wan: b, ip, ip6, lanNif, wanNif } = gateway;
  const far = namespace6(t);
  const folder = mkdtempSync(join(tmpdir(), "anystack-routing-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const [nif, number, ns, device] of [
    [lanNif, 1, a, "lan0"],
    [wanNif, 2, b, "wan0"],
  ] as const) {
    ip.addAddress(nif, `10.${number}.0.1/24`);
    ip6.addAddress(nif, `fd0${number}::1/64`);
    ip6.addAddress(nif, "fe80::1/64");
    ns.ip("address", "add", `10.${number}.0.2/24`, "dev", device);
    ns.ip("address", "add", `fd0${number}::2/64`, "dev", device, "nodad");
    ns.ip("address", "add", "fe80::2/64", "dev", device, "nodad");
  }
  // `far` has a bridge to which both kernels are joined.
  far.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0");
  far.ip("link", "set", "br0", "addrgenmode", "none");
  far.ip("link", "set", "br0", "up");
  far.ip("address", "add", `${FAR}/24`, "dev", "br0");
  far.ip("address", "add", `${FAR6}/64`, "dev", "br0", "nodad");
  for (const number of [1, 2]) {
    far.ip("route", "add", `10.${number}.0.0/24`, "via", `10.9.0.1${number}`);
    far.ip("-6", "route", "add", `fd0${number}::/64`, "via", `fd09::1${number}`);
  }
  [a, b].forEach((ns, i) => {
    far.ip("link", "add", `port${i}`, "type", "veth", "peer", "name", "far0", "netns", ns.name);
    far.ip("link", "set", `port${i}`, "addrgenmode", "none");
    far.ip("link", "set", `port${i}`, "master", "br0", "up");
    ns.ip("link", "set", "far0", "addrgenmode", "none");
    ns.ip("link", "set", "far0", "up");
    ns.ip("address", "add", `10.9.0.${i + 11}/24`, "dev", "far0");
    ns.ip("address", "add", `fd09::${i + 11}/64`, "dev", "far0", "nodad");
    ns.ip("address", "add", `fe80::${i + 11}/64`, "dev", "far0", "nodad");
    ns.sysctl("net.ipv4.ip_forward", 1);
    ns.sysctl("net.ipv6.conf.all.forwarding", 1);
    for (const scope of ["all", "default", "far0", i ? "wan0" : "lan0"])
      ns.sysctl(`net.ipv4.conf.${scope}.rp_filter`, 0);
  });
  const bird = (ns: Namespace, configuration: string) => startBird(ns, folder, configuration);
  const reach = (host: string) => {
    let answers = 0;
    return until(`an answer of ${host}`, async () => {
      const socket = pings.open({ address: host, onReply: () => answers++ });
      socket.send();
      await pause(100);
      socket.close();
      return answers > 0;
    });
  };
  return { ...gateway, a, b, far, folder, bird, reach };
}

/** bird in a namespace, its files in `folder`. */
export async function startBird(ns: Namespace, folder: string, configuration: string): Promise<Bird> {
  const base = join(folder, ns.name);
  writeFileSync(`${base}.conf`, configuration);
  const daemon = ns.start("bird", ["-f", "-c", `${base}.conf`, "-s", `${base}.ctl`, "-P", `${base}.pid`]);
  const show = async (...words: string[]) =>
    (await ns.run("birdc", ["-r", "-s", `${base}.ctl`, "show", ...words], { codes: null })).stdout;
  await daemon.until(async () => (await show("status")).includes("Daemon is up"));
  return { daemon, show };
}

/** Pings from a namespace until an answer has come. */
export function heals(ns: Namespace, host: string, source?: string): Promise<void> {
  const from = source ? ["-I", source] : [];
  return until(`an answer of ${host}`, async () => {
    const { code } = await ns.run("ping", ["-n", "-c", "1", "-W", "1", ...from, host], { codes: null });
    return code === 0;
  });
}

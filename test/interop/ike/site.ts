/** Our stack with IKE at one end of a cable (10.77.0.2, behind it 10.8.0.0/16), strongSwan at the other (10.77.0.1, behind it 10.9.0.0/24). */
import type { ExecutionContext } from "ava";
import type { Component } from "../../../stack/index.js";
import { ike } from "../../../stack/ike/ike.js";
import type { Connection, ConnectionOptions, Ike } from "../../../stack/ike/ike.js";
import type { ChildSa } from "../../../stack/ike/child-sa.js";
import type { IkeOptions } from "../../../stack/ike/ike.js";
import { createHost, KERNEL, OURS } from "../support/host.js";
import type { TestHost } from "../support/host.js";
import { Charon } from "./charon.js";
import type { CharonOptions } from "./charon.js";

export const PSK = "correct horse battery staple";
export { KERNEL, OURS };

export interface SiteOptions {
  ike?: IkeOptions;
  /** Inside `connections { a { ... } }`; addresses, and PSK where no `auth` is named, are there already. */
  connection?: string;
  /** Inside `children { c { ... } }`. Default: the networks of both ends. */
  child?: string;
  /** Instead of the PSK's. */
  secrets?: string;
  charon?: CharonOptions;
  /** Addresses of IPv6 that the kernel has: of the cable, and behind it. */
  six?: [string, string];
  components?: Component[];
}

export interface Site {
  readonly host: TestHost;
  readonly vpn: Ike;
  readonly charon: Charon;
  /** What our connections were told. */
  readonly told: string[];
  /** Our child SAs. */
  readonly children: ChildSa[];
  connect(options: ConnectionOptions): Connection;
}

/** Puts both up; nobody has begun yet. */
export async function createSite(t: ExecutionContext, options: SiteOptions = {}): Promise<Site> {
  const vpn = ike(options.ike);
  const host = await createHost(t, { components: [vpn, ...(options.components ?? [])] });
  host.ns.ip("address", "add", "10.9.0.1/24", "dev", "lo");
  if (options.six) {
    for (const scope of ["all", "lo", host.device]) host.ns.sysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 0);
    host.ns.ip("address", "add", options.six[0], "dev", host.device, "nodad");
    host.ns.ip("address", "add", options.six[1], "dev", "lo", "nodad");
  }
  const own = options.connection ?? "";
  const charon = await Charon.start(
    t,
    host.ns,
    `connections { a {
      local_addrs = ${KERNEL}
      remote_addrs = ${OURS}, 10.77.0.3
      ${own.includes("auth =") ? "" : "local { auth = psk }\nremote { auth = psk }"}
      ${own}
      children { c { ${options.child ?? "local_ts = 10.9.0.0/24\nremote_ts = 10.8.0.0/16"} } }
    } }
    secrets { ${options.secrets ?? `ike-a { secret = "${PSK}" }`} }`,
    options.charon,
  );
  const told: string[] = [];
  const children: ChildSa[] = [];
  return {
    host,
    vpn,
    charon,
    told,
    children,
    connect: (more) =>
      vpn.connect({
        children: [{ local: ["10.8.0.0/16"], remote: ["10.9.0.0/24"] }],
        retransmit: 200,
        onState: (_connection, state, code, notification) => {
          told.push(code || notification ? `${state} ${code} ${notification}` : state);
        },
        onChild: (_connection, child, up) => {
          if (up) children.push(child);
          else children.splice(children.indexOf(child), 1);
        },
        ...more,
      }),
  };
}

/** As swanctl prints it. */
export function spi(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}

/** Both ends have the same child SAs: SPIs, crosswise. */
export function sameChildren(site: Site, list: string): boolean {
  const theirs = [...list.matchAll(/INSTALLED[^]*?in\s+([0-9a-f]{8})[^]*?out\s+([0-9a-f]{8})/g)].map(
    (each) => `${each[2]} ${each[1]}`,
  );
  const ours = site.children.map((child) => `${spi(child.spiIn)} ${spi(child.spiOut)}`);
  return theirs.sort().join() === ours.sort().join();
}

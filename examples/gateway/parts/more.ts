/** The rest of the file: tunnels, routing protocols, groups, proxies, ports that hosts ask for, rates. Each of them can be reloaded. */
import type { Interface } from "../../../stack/index.js";
import { drr } from "../../../stack/queue/drr.js";
import { fifo } from "../../../stack/queue/fifo.js";
import { fqCodel } from "../../../stack/queue/fq-codel.js";
import { babelAuthentication } from "../../../stack/routing/babel-authentication.js";
import type { BabelInterfaceOptions } from "../../../stack/routing/babel.js";
import type { RipInterfaceOptions } from "../../../stack/routing/distance-vector.js";
import { ripAuthentication } from "../../../stack/routing/rip-authentication.js";
import type { GatewayConfig } from "../config.js";
import { secretBytes } from "../config/routing.js";
import type { BabelConfig, ProxyConfig, RipConfig } from "../config/routing.js";
import type { TunnelConfig } from "../config/tunnel.js";
import type { State } from "../state.js";
import { Made } from "./made.js";
import { Policies } from "./policies.js";
import { SerialLine } from "./serial-line.js";
import type { Parts } from "./stack.js";
import type { Ways } from "./ways.js";
import { Wireguards } from "./wireguard.js";

/** Of a serial line (RFC 1055). */
const SLIP_MTU = 1006;
const DISCIPLINES = { "fq-codel": fqCodel, drr, fifo };

/** What speaks on an interface, or serves it; how it is authenticated. */
type On =
  | [what: "rip", name: string, keys: Pick<RipConfig, "password" | "key">]
  | [what: "babel", name: string, keys: Pick<BabelConfig, "keys" | "permissive">]
  | [what: "multicast" | "pcp" | "upnp", name: string];
type Rate = [name: string, rate: number, queue: GatewayConfig["queue"]];

export class More {
  private readonly tunnels = new Made<TunnelConfig>((config) => this.tunnel(config));
  private readonly services = new Made<On>((on) => this.serve(on));
  private readonly proxies = new Made<ProxyConfig>((config) => this.proxy(config));
  private readonly rates = new Made<Rate>(([name, rate, queue]) => {
    const nif = this.find(name);
    this.parts.queues.add(nif, { discipline: DISCIPLINES[queue](), rate: rate * 1e6 });
    return () => this.parts.queues.remove(nif);
  });

  private readonly policies: Policies;
  readonly wireguards: Wireguards;

  constructor(
    private readonly parts: Parts,
    private readonly state: State,
    private readonly ways: Ways,
    log: (line: string) => void,
  ) {
    this.policies = new Policies(parts, log);
    this.wireguards = new Wireguards(parts, state, this.policies, log);
  }

  apply(config: GatewayConfig): void {
    const { pcp, upnp, on } = config.portMapping;
    const { password, key } = config.rip;
    const { keys, permissive } = config.babel;
    const served = (what: "multicast" | "pcp" | "upnp", names: string[]) =>
      names.map((name): On => [what, name]);
    this.tunnels.apply(config.tunnels);
    this.wireguards.apply(config.wireguard);
    this.policies.apply(config);
    this.services.apply([
      ...config.rip.on.map((name): On => ["rip", name, { password, key }]),
      ...config.babel.on.map((name): On => ["babel", name, { keys, permissive }]),
      ...served("multicast", config.multicast),
      ...served("pcp", pcp ? on : []),
      ...served("upnp", upnp ? on : []),
    ]);
    this.parts.groups.setUpstream(config.multicast.length > 0 ? this.ways.list[0].nif : null);
    this.proxies.apply(config.proxy);
    this.rates.apply(rates(config));
  }

  private find(name: string): Interface {
    return this.parts.stack.findInterface(name)!;
  }

  private tunnel({
    name,
    kind,
    remote,
    local,
    key,
    address,
    address6,
    mtu,
    routes,
  }: TunnelConfig): () => void {
    const { stack, ips, gres, vxlans, wall, four, six, router, router6 } = this.parts;
    const ends = { remote, ...(local && { local }), ...(mtu && { mtu }) };
    const mac = Uint8Array.from(Buffer.from(this.state.mac(name).replaceAll(":", ""), "hex"));
    const nif =
      kind === "ip"
        ? ips.add(ends, name)
        : kind === "gre"
          ? gres.add({ ...ends, ...(key >= 0 && { key }) }, name)
          : kind === "slip"
            ? stack.addInterface(new SerialLine(remote, mtu || SLIP_MTU), name)
            : stack.addInterface(
                vxlans.create({
                  vni: key,
                  mac,
                  remotes: [remote],
                  ...(local && { local }),
                  ...(mtu && { mtu }),
                }),
                name,
              );
    wall.assign(nif, name);
    router.configure(nif, { mss: "mtu" });
    router6.configure(nif, { mss: "mtu" });
    if (address) four.addAddress(nif, address);
    if (address6) six.addAddress(nif, address6);
    // They end with the interface.
    for (const to of routes) (to.includes(":") ? six : four).addRoute(to, { interface: nif });
    return () => stack.removeInterface(nif);
  }

  private serve(on: On): () => void {
    const { rip, ripng, babel, groups, pcp, upnp } = this.parts;
    const nif = this.find(on[1]);
    switch (on[0]) {
      case "rip":
        rip.enable(nif, ripOptions(on[2]));
        ripng.enable(nif);
        return () => void (rip.disable(nif), ripng.disable(nif));
      case "babel":
        babel.enable(nif, babelOptions(on[2]));
        return () => void babel.disable(nif);
      case "multicast":
        groups.enable(nif);
        return () => void groups.disable(nif);
      case "pcp":
        pcp.serve(nif);
        return () => void pcp.remove(nif);
      default:
        upnp.serve(nif, this.ways.list[0].nif);
        return () => void upnp.remove(nif);
    }
  }

  private proxy({ on, for: what }: ProxyConfig): () => void {
    const { proxyArp, proxyNd } = this.parts;
    const nif = this.find(on);
    const proxy = what.includes(":") ? proxyNd : proxyArp;
    proxy.add(nif, what);
    return () => void proxy.remove(nif, what);
  }
}

function ripOptions({ password, key }: Pick<RipConfig, "password" | "key">): RipInterfaceOptions {
  if (!key) return password ? { password } : {};
  const secret = secretBytes(key.secret);
  return { authentication: ripAuthentication({ keyId: key.id, secret, clock: Date.now }) };
}

function babelOptions({ keys, permissive }: Pick<BabelConfig, "keys" | "permissive">): BabelInterfaceOptions {
  const [first, ...others] = keys.map(({ secret, algorithm }) => ({
    secret: secretBytes(secret),
    algorithm,
  }));
  return first ? { authentication: babelAuthentication({ ...first, others, permissive }) } : {};
}

/** Who is shaped: WANs by what goes up, networks by what comes down all of them. A VLAN is shaped with the link that it is on. */
function rates({ wan, lan, queue }: GatewayConfig): Rate[] {
  const download = wan.every((one) => one.download > 0) ? wan.reduce((sum, one) => sum + one.download, 0) : 0;
  return [
    ...wan.filter((one) => one.upload > 0).map((one): Rate => [one.name, one.upload, queue]),
    ...lan
      .filter((one) => download > 0 && !("vlan" in one.link))
      .map((one): Rate => [one.name, download, queue]),
  ];
}

/** The rest of the file: tunnels, routes and routing protocols, groups, proxies, ports that hosts ask for, rates. Each of them can be reloaded. */
import type { Interface } from "../../../stack/index.js";
import { drr } from "../../../stack/queue/drr.js";
import { fifo } from "../../../stack/queue/fifo.js";
import { fqCodel } from "../../../stack/queue/fq-codel.js";
import type { GatewayConfig } from "../config.js";
import type { ProxyConfig, RouteConfig } from "../config/routing.js";
import type { TunnelConfig } from "../config/tunnel.js";
import type { State } from "../state.js";
import { Made } from "./made.js";
import type { Parts } from "./stack.js";
import type { Ways } from "./ways.js";

const DISCIPLINES = { "fq-codel": fqCodel, drr, fifo };

/** What speaks on an interface, or serves it. */
type On = [what: "rip" | "babel" | "multicast" | "pcp" | "upnp", name: string];
type Rate = [name: string, rate: number, queue: GatewayConfig["queue"]];

export class More {
  private readonly tunnels = new Made<TunnelConfig>((config) => this.tunnel(config));
  private readonly routes = new Made<RouteConfig>((config) => this.route(config));
  private readonly services = new Made<On>(([what, name]) => this.serve(what, name));
  private readonly proxies = new Made<ProxyConfig>((config) => this.proxy(config));
  private readonly rates = new Made<Rate>(([name, rate, queue]) => {
    const nif = this.find(name);
    this.parts.queues.add(nif, { discipline: DISCIPLINES[queue](), rate: rate * 1e6 });
    return () => this.parts.queues.remove(nif);
  });

  constructor(
    private readonly parts: Parts,
    private readonly state: State,
    private readonly ways: Ways,
  ) {}

  apply(config: GatewayConfig): void {
    const { pcp, upnp, on } = config.portMapping;
    const served = (what: On[0], names: string[]) => names.map((name): On => [what, name]);
    this.tunnels.apply(config.tunnels);
    this.routes.apply(config.routes);
    this.services.apply([
      ...served("rip", config.rip.on),
      ...served("babel", config.babel.on),
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

  private route({ to, via }: RouteConfig): () => void {
    const { four, six } = this.parts;
    const network = to.includes(":") ? six : four;
    network.addRoute(to, { gateway: via });
    return () => void network.removeRoute(to, via);
  }

  private serve(what: On[0], name: string): () => void {
    const { rip, ripng, babel, groups, pcp, upnp } = this.parts;
    const nif = this.find(name);
    if (what === "rip") {
      rip.enable(nif);
      ripng.enable(nif);
      return () => void (rip.disable(nif), ripng.disable(nif));
    }
    if (what === "babel") babel.enable(nif);
    else if (what === "multicast") groups.enable(nif);
    else if (what === "pcp") pcp.serve(nif);
    else upnp.serve(nif, this.ways.list[0].nif);
    return () =>
      void (what === "babel"
        ? babel.disable(nif)
        : what === "multicast"
          ? groups.disable(nif)
          : what === "pcp"
            ? pcp.remove(nif)
            : upnp.remove(nif));
  }

  private proxy({ on, for: what }: ProxyConfig): () => void {
    const { proxyArp, proxyNd } = this.parts;
    const nif = this.find(on);
    const proxy = what.includes(":") ? proxyNd : proxyArp;
    proxy.add(nif, what);
    return () => void proxy.remove(nif, what);
  }
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

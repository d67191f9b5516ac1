/** Routes, and the tables that they are in: rules that choose one, interfaces that have one of their own. Each of them can be reloaded. */
import type { Interface } from "../../../stack/index.js";
import type { RuleOptions } from "../../../stack/router/policy.js";
import { MAIN } from "../config/policy.js";
import type { HopConfig, PolicyConfig, RouteConfig, VrfConfig } from "../config/policy.js";
import type { GatewayConfig } from "../config.js";
import { Made } from "./made.js";
import type { Parts } from "./stack.js";
import { networkOf, networkOf6 } from "./text.js";

/** Numbers of interfaces that something is of: with another interface it is to be made anew. */
type Of = number[];

/** Where an interface is the way of all there is: after the rules of the file, networks that the main table knows come first. */
const NETWORKS = 32765;
const EVERYTHING = 32766;
/** Tables of that: beyond those of the file. */
const OWN = 65536;

export class Policies {
  private readonly vrfs = new Made<[table: number, name: string, Of]>(([table, name]) =>
    this.vrf(table, name),
  );
  private readonly routes = new Made<[RouteConfig, Of]>(([config]) => this.route(config));
  private readonly rules = new Made<[PolicyConfig, Of]>(([{ on, ...config }]) =>
    this.rule({ ...config, ...(on && { interface: this.find(on)! }) }),
  );

  constructor(
    private readonly parts: Parts,
    private readonly log: (line: string) => void,
  ) {}

  apply(config: GatewayConfig): void {
    const of = (names: string[]): Of => names.map((name) => (name && this.find(name)?.index) || 0);
    const members = (list: VrfConfig[]) =>
      list.flatMap(({ table, on }) => on.map((name): [number, string, Of] => [table, name, of([name])]));
    this.parts.marks.load(config.marks);
    this.vrfs.apply(members(config.vrf));
    // An interface in another table takes its routes with it: they are made where the file has them.
    const places = config.vrf.flatMap(({ table, on }) => [table, ...of(on)]);
    this.routes.apply(
      config.routes.map((one): [RouteConfig, Of] => [
        one,
        [...of(one.hops.map(({ on }) => on)), ...(one.hops.length > 0 && one.table === 0 ? places : [])],
      ]),
    );
    this.checkSources(config);
    this.rules.apply(config.policy.map((one): [PolicyConfig, Of] => [one, of([one.on])]));
  }

  /**
   * All that is forwarded and for no network that the main table knows goes by `nif`. This host's own packets, a tunnel's outer ones
   * among them, do not. Returns what ends it.
   */
  everythingBy(nif: Interface, six: boolean): () => void {
    const prefix = six ? "::/0" : "0.0.0.0/0";
    const table = OWN + nif.index;
    const from = prefix;
    const ends = [
      this.add(prefix, { hops: [{ interface: nif }], table }),
      this.rule({ from, priority: NETWORKS, table: MAIN, suppress: 0 }),
      this.rule({ from, priority: EVERYTHING, table }),
    ];
    return () => ends.forEach((end) => end());
  }

  /** With rules, or several ways out, answers come by others than the way back in the main table. */
  private checkSources({ wan, tunnels, wireguard, policy }: GatewayConfig): void {
    const { router, router6 } = this.parts;
    const [four, six] = [wan.length > 1 || policy.length > 0, policy.length > 0];
    for (const { name } of [...wan, ...tunnels, ...wireguard]) {
      const nif = this.find(name)!;
      router.configure(nif, { reversePath: four ? "loose" : "strict" });
      router6.configure(nif, { reversePath: six ? "loose" : "strict" });
    }
  }

  private find(name: string): Interface | null {
    return this.parts.stack.findInterface(name);
  }

  private add(to: string, options: Parameters<Parts["routes"]["addRoute"]>[1]): () => void {
    const { routes, routes6 } = this.parts;
    if (to.includes(":")) {
      const route = routes6.addRoute(networkOf6(to), options);
      return () => void routes6.removeRoute(route);
    }
    const route = routes.addRoute(networkOf(to), options);
    return () => void routes.removeRoute(route);
  }

  private route({ to, type, hops, metric, table }: RouteConfig): () => void {
    const hop = ({ via, on, weight }: HopConfig) => ({
      ...{ weight, ...(via && { gateway: via }) },
      ...(on && { interface: this.find(on)! }),
    });
    try {
      // Without a table it is where its interface's routes are.
      return this.add(to, { type, hops: hops.map(hop), metric, ...(table > 0 && { table }) });
    } catch (error) {
      this.log(
        `no route to ${to}: ${(error as Error).message}; "on" names an interface that has no address yet`,
      );
      return () => {};
    }
  }

  private rule(options: RuleOptions & { mark?: number }): () => void {
    const { routes, routes6 } = this.parts;
    const { from, mark = -1, mask, ...rest } = options;
    const common = { ...rest, ...(mark >= 0 && { mark, mask }) };
    const ends: (() => void)[] = [];
    if (!from?.includes(":")) {
      const rule = routes.addRule({ ...common, ...(from && { from }) });
      ends.push(() => routes.removeRule(rule));
    }
    if (!from || from.includes(":")) {
      const rule = routes6.addRule({ ...common, ...(from && { from }) });
      ends.push(() => routes6.removeRule(rule));
    }
    return () => ends.forEach((end) => end());
  }

  private vrf(table: number, name: string): () => void {
    const { routes, routes6 } = this.parts;
    const nif = this.find(name)!;
    for (const tables of [routes, routes6]) tables.setVrf(nif, table);
    return () => {
      if (nif.removed) return;
      for (const tables of [routes, routes6]) tables.setVrf(nif, null);
    };
  }
}

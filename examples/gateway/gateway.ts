/** The gateway: a stack with everything that a small network wants of its router, as the configuration says. */
import type { Link } from "../../hypercall/index.js";
import { withWireguard } from "../../ports/noble/index.js";
import { nodeCrypto, nodeHost, opensslCrypto } from "../../ports/node/index.js";
import type { GatewayConfig } from "./config.js";
import { Lans } from "./parts/lans.js";
import { Links } from "./parts/links.js";
import { More } from "./parts/more.js";
import { rulesOf } from "./parts/rules.js";
import { createParts } from "./parts/stack.js";
import { Translations } from "./parts/translations.js";
import { Ways } from "./parts/ways.js";
import { State } from "./state.js";

/** How often the time is asked for, ms. */
const CLOCK_INTERVAL = 900_000;

export type Gateway = Awaited<ReturnType<typeof startGateway>>;

/** For WireGuard and the routing protocols: OpenSSL's own, which take half the time, where they can be had. */
function ciphers(): ReturnType<typeof nodeCrypto> {
  try {
    return opensslCrypto();
  } catch {
    return nodeCrypto();
  }
}

/** What a reload cannot change, by name. */
function fixed(config: GatewayConfig): Record<string, string> {
  const { domain, nat64, flows, ntp, privateNames, statusPort, state, rip, portMapping } = config;
  const parts: Record<string, unknown> = {
    ...{ domain, nat64, flows, ntp, privateNames, statusPort, state },
    ...{ "rip.interval": rip.interval, "portMapping.ports": portMapping.ports },
    "the WANs' names": config.wan.map((one) => one.name),
    "lan's names": config.lan.map((one) => one.name),
  };
  for (const { name, link, vlan, pppoe, ipv4, ipv6, nameServers } of config.wan)
    parts[`the link, the addresses or the name servers of ${name}`] = [
      link,
      vlan,
      pppoe,
      ipv4,
      ipv6,
      nameServers,
    ];
  for (const { name, link, address, address6, subnet } of config.lan) {
    // Ports come and go, the bridge stays.
    const carrier = "bridge" in link ? { ...link, bridge: [] } : link;
    parts[`the link, the addresses or the subnet of ${name}`] = [carrier, address, address6, subnet];
  }
  return Object.fromEntries(Object.entries(parts).map(([key, value]) => [key, JSON.stringify(value)]));
}

/**
 * Starts a gateway. Rejects with what its links, its state or its addresses have against it.
 *
 * @param given links that are open already, by interface: those of the configuration are not looked at then
 */
export async function startGateway(
  first: GatewayConfig,
  log: (line: string) => void,
  given: Record<string, Link> = {},
) {
  let config = first;
  const started = Date.now();
  const state = new State(config.state);
  const host = nodeHost({ log, crypto: withWireguard(ciphers()) });
  const parts = createParts(config, state, host);
  const { clock, wall, forwarder, full } = parts;
  const links = new Links(host, state, config, given);
  const lans = new Lans(parts, state, log, config);
  const translations = new Translations(parts, state, log, () =>
    wall.load({ rules: rulesOf(config, translations.clat?.address) }),
  );
  const ways = new Ways(
    ...([parts, state, log, config] as const),
    (lease) => {
      lans.delegated(lease);
      translations.renew();
    },
    (good) => {
      lans.setReachable(good);
      translations.renew();
    },
  );
  const more = new More(parts, state, ways, log);
  const ask = () => void clock?.query(() => {});
  const timer = setInterval(ask, CLOCK_INTERVAL).unref();

  function close(): void {
    clearInterval(timer);
    ways.close();
    parts.close();
    links.close();
  }

  try {
    if (parts.xlat) wall.assign(parts.xlat.nif, "nat64");
    for (const each of config.wan) await ways.open(each, links);
    ways.setNameServers();
    for (const each of config.lan) await lans.open(each, links);
    const shut = await lans.plug(config, links);
    if (shut.length > 0) throw new Error(shut.join("; "));
    lans.apply(config);
    more.apply(config);
    translations.apply(config);
  } catch (error) {
    close();
    throw error;
  }
  ask();

  return {
    ...{ parts, ways, translations, started },
    sides: lans.sides,
    wan: ways.list[0].nif,
    uplink: () => links.uplink,
    wireguards: more.wireguards,
    get config() {
      return config;
    },
    /**
     * Takes another configuration. Connections go on, and all that has not changed. Rejects, and changes nothing, when it differs in what
     * only a restart can change. Resolves with what is against ports of bridges that do not open. One at a time.
     */
    async reload(next: GatewayConfig): Promise<string[]> {
      const before = fixed(config);
      const after = fixed(next);
      const changed = Object.keys({ ...before, ...after }).filter((key) => before[key] !== after[key]);
      if (changed.length > 0) throw new Error(`${changed.join(", ")} changed: that needs a restart`);
      wall.load({ rules: rulesOf(next, translations.clat?.address), forward: next.forward });
      for (const { name, address } of config.hosts) forwarder.remove(full(name), address);
      for (const { name, address } of next.hosts) forwarder.add(full(name), address);
      config = next;
      ways.reload(next);
      lans.apply(next);
      more.apply(next);
      translations.apply(next);
      return await lans.plug(next, links);
    },
    close,
  };
}

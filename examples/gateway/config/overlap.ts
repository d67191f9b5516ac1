/** What two sections of the file may not both have: links, and addresses of networks. */
import { BlockList } from "node:net";
import type { GatewayConfig } from "../config.js";
import { ConfigError } from "../json.js";

type Line = (key: string, i: number) => number;

/** What carries frames of one interface, or port of a bridge, carries no other's. */
export function checkLinks(config: GatewayConfig, line: Line): void {
  const taken = new Set<string>();
  for (const key of ["wan", "lan"] as const) {
    config[key].forEach(({ link }, i) => {
      for (const one of "bridge" in link ? link.bridge.map((port) => port.link) : [link]) {
        const name =
          "tap" in one
            ? `TAP ${one.tap}${one.netns ? ` of ${one.netns}` : ""}`
            : "udp" in one
              ? `UDP port ${one.udp.localPort}`
              : "";
        if (name && taken.has(name)) throw new ConfigError(line(key, i), `${name} is there twice`);
        taken.add(name);
      }
    });
  }
}

/** Is an address in both networks, `"192.168.7.1/24"`? */
function overlap(one: string, other: string): boolean {
  const family = one.includes(":") ? "ipv6" : "ipv4";
  if (other.includes(":") !== one.includes(":")) return false;
  const within = (prefix: string, of: string) => {
    const [address, length] = of.split("/");
    const network = new BlockList();
    network.addSubnet(address, Number(length), family);
    return network.check(prefix.split("/")[0], family);
  };
  return within(one, other) || within(other, one);
}

/** The first of our networks that has an address in common with `prefix` of `name`, unless one of them has a table of its own. */
export function clash(
  name: string,
  prefix: string,
  vrf: GatewayConfig["vrf"],
  networks: GatewayConfig["lan"],
): string | null {
  const apart = (one: string) => vrf.some(({ on }) => on.includes(one));
  if (apart(name)) return null;
  const inside = (one: string) => one !== "" && overlap(prefix, one);
  const other = networks.find((one) => !apart(one.name) && (inside(one.address) || inside(one.address6)));
  return other ? `${prefix} and the network of ${other.name} overlap` : null;
}

/** No address is in two of our networks, nor in one of them and outside. Providers may have the same ones. */
export function checkNetworks({ wan, lan, vrf }: GatewayConfig, line: Line): void {
  lan.forEach(({ name, address, address6 }, i) => {
    for (const each of address6 ? [address, address6] : [address]) {
      const wrong = clash(name, each, vrf, lan.slice(0, i));
      if (wrong) throw new ConfigError(line("lan", i), wrong);
    }
  });
  wan.forEach(({ name, ipv4, ipv6 }, i) => {
    for (const way of [ipv4, ipv6]) {
      const wrong = typeof way === "object" && clash(name, way.address, vrf, lan);
      if (wrong) throw new ConfigError(line("wan", i), wrong);
    }
  });
}

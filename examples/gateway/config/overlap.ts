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

/** No address is in two networks, unless one of them has a table of its own. */
export function checkNetworks(config: GatewayConfig, line: Line): void {
  const known: { name: string; network: BlockList; address: string; family: "ipv4" | "ipv6" }[] = [];
  const apart = new Set(config.vrf.flatMap(({ on }) => on));
  const check = (key: string, i: number, name: string, prefixes: string[]) => {
    for (const prefix of apart.has(name) ? [] : prefixes.filter(Boolean)) {
      const [address, length] = prefix.split("/");
      const family = address.includes(":") ? "ipv6" : "ipv4";
      const network = new BlockList();
      network.addSubnet(address, Number(length), family);
      const other = known.find(
        (one) =>
          one.family === family && (network.check(one.address, family) || one.network.check(address, family)),
      );
      if (other) throw new ConfigError(line(key, i), `${prefix} and the network of ${other.name} overlap`);
      known.push({ name, network, address, family });
    }
  };
  config.lan.forEach(({ name, address, address6 }, i) => check("lan", i, name, [address, address6]));
  // Providers may have the same addresses as each other, and not as our networks.
  const ours = known.length;
  config.wan.forEach(({ name, ipv4, ipv6 }, i) => {
    check(
      "wan",
      i,
      name,
      [ipv4, ipv6].map((way) => (typeof way === "string" ? "" : way.address)),
    );
    known.length = ours;
  });
}

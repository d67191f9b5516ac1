/** What the status page says of the services that are on: a name and a few words each. */
import { format4 } from "../../../stack/core/text4.js";
import {
  ALTERNATE,
  BACKUP,
  DESIGNATED,
  DISABLED,
  DISCARDING,
  FORWARDING,
  LEARNING,
  ROOT,
} from "../../../stack/link/spanning-tree.js";
import type { Gateway } from "../gateway.js";

const ROLES = {
  [DISABLED]: "disabled",
  [ROOT]: "root",
  [DESIGNATED]: "designated",
  [ALTERNATE]: "alternate",
  [BACKUP]: "backup",
} as Record<number, string>;
const STATES = { [DISCARDING]: "discards", [LEARNING]: "learns", [FORWARDING]: "forwards" } as Record<
  number,
  string
>;

/** Ports that hosts have asked for. */
export function mapped({ parts }: Gateway) {
  const entry = (by: string, protocol: number, port: number, address: number, toPort: number) => ({
    ...{ by, protocol: protocol === 6 ? "tcp" : "udp", port, to: format4(address), toPort },
  });
  return [
    ...parts.pcp.mappings.list.map((one) =>
      entry("PCP", one.protocol, parts.nat.mappedPort(one.row), one.address, one.port),
    ),
    ...parts.upnp.mappings.list.map((one) =>
      entry("UPnP", one.protocol, one.outerPort, one.address, one.port),
    ),
  ];
}

export function services(gateway: Gateway): { name: string; state: string }[] {
  const { config, parts, ways, sides } = gateway;
  const rows: { name: string; state: string }[] = [];
  const say = (name: string, state: string | false) => void (state && rows.push({ name, state }));
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`;
  for (const { nif, good, gateway: hop, misses, config: own } of ways.list)
    say(
      nif.name,
      good
        ? `good, by ${hop || (own.ipv4 === "off" ? "IPv6 alone" : "its session")}`
        : misses > 0
          ? "does not answer"
          : hop === null
            ? "no way out"
            : "no carrier",
    );
  for (const { name, kind, remote } of config.tunnels)
    say(name, `${kind} to ${remote}${parts.stack.findInterface(name)?.up() ? "" : ", down"}`);
  for (const [name, { bridge, tree }] of parts.bridges)
    say(
      `bridge ${name}`,
      bridge.ports
        .map((port, i) => {
          const [role, now] = tree ? [tree.roleOf(port), tree.stateOf(port)] : [DESIGNATED, FORWARDING];
          return `${i + 1} ${port.running ? `${ROLES[role]}, ${STATES[now]}` : "down"}`;
        })
        .join("; "),
    );
  for (const { name, port, peers } of config.wireguard) {
    const device = gateway.wireguards.devices.get(name)!;
    const own = Buffer.from(device.publicKey()).toString("base64");
    say(name, `WireGuard on port ${port}, ${own}, ${count(peers.length, "peer")}`);
    for (const { publicKey } of peers) {
      const { endpoint, lastHandshake, received, sent } = device.status(
        gateway.wireguards.peers.get(`${name} ${publicKey}`)!,
      );
      const where = endpoint ? `at ${endpoint.address} port ${endpoint.port}` : "not heard of yet";
      const age = lastHandshake ? `, handshake ${Math.round((Date.now() - lastHandshake) / 1000)} s ago` : "";
      say(`${name} ${publicKey.slice(0, 8)}`, `${where}${age}, ${received} bytes in, ${sent} out`);
    }
  }
  for (const { nif, virtual, config: own } of sides)
    say(
      `VRRP on ${nif.name}`,
      virtual !== null && `${virtual.active() ? "active" : "waits"}, ${own.vrrp?.addresses.join(", ")}`,
    );
  for (const { name } of [...config.wan, ...config.lan]) {
    const shaped = parts.queues.find(parts.stack.findInterface(name)!);
    say(
      `queue of ${name}`,
      shaped !== null &&
        Object.entries(shaped.counters)
          .map(([key, n]) => `${key} ${n}`)
          .join(", "),
    );
  }
  for (const { name, relay } of config.lan)
    say(
      `relay for ${name}`,
      relay !== null &&
        `to ${relay.servers.join(", ")}; ${parts.relay.counters.replies} answers of DHCP, ${parts.relay6.counters.replies} of DHCPv6`,
    );
  const { routes, policy, marks, vrf, nptv6, clat } = config;
  const kinds = [...new Set(routes.map(({ type }) => type))].map(
    (kind) => `${routes.filter(({ type }) => type === kind).length} ${kind}`,
  );
  say("routes", routes.length > 0 && kinds.join(", "));
  say("policy", policy.length > 0 && count(policy.length, "rule"));
  say(
    "marks",
    marks.length > 0 && `${count(marks.length, "rule")}, ${count(parts.marks.counters.marked, "packet")}`,
  );
  for (const { table, on } of vrf)
    say(
      `VRF ${table}`,
      `${on.join(", ") || "nobody"}; ${count(
        parts.routes.table(table).list().length + parts.routes6.table(table).list().length,
        "route",
      )}`,
    );
  for (const one of nptv6)
    say(
      `NPTv6 of ${one.inside}`,
      `${gateway.translations.outsideOf(one) || "nothing is delegated"} on ${one.on}`,
    );
  const both = gateway.translations.clat;
  say(
    "CLAT",
    clat !== null && (both ? `by ${both.prefix}, as ${both.address}` : "knows no prefix, or no address yet"),
  );
  say(
    "RIP",
    config.rip.on.length > 0 &&
      count(parts.rip.routes().length + parts.ripng.routes().length, "route") +
        (config.rip.key ? ", RIPv2 authenticated" : ""),
  );
  say(
    "Babel",
    config.babel.on.length > 0 &&
      `${count(parts.babel.neighbourList().length, "neighbour")}, ${count(parts.babel.routes().length, "route")}${config.babel.keys.length > 0 ? ", authenticated" : ""}`,
  );
  say("multicast", config.multicast.length > 0 && count(parts.groups.groups().length, "group"));
  say("NAT64", config.nat64 !== "" && config.nat64);
  say("PCP", config.portMapping.pcp && config.portMapping.on.join(", "));
  say("UPnP", config.portMapping.upnp && config.portMapping.on.join(", "));
  say("mDNS", config.mdns && "reflected");
  say("proxy", config.proxy.length > 0 && config.proxy.map((one) => `${one.for} on ${one.on}`).join(", "));
  return rows;
}

/** `"lan"`: a network behind the gateway, and what its hosts are given. */
import { isIPv4, isIPv6 } from "node:net";
import { ConfigError } from "../json.js";
import type { Node } from "../json.js";
import { link } from "./link.js";
import type { LinkConfig } from "./link.js";
import { Reader, address4, flag, list, mac, name, orNone, own4, own6, text, whole, wrong } from "./read.js";

export interface Reservation {
  mac: string;
  address: string;
  name?: string;
}

/** Another gateway on the network has the same addresses, and one of the two answers (RFC 5798). */
export interface VrrpConfig {
  id: number;
  addresses: string[];
  priority: number;
  /** Its priority while there is no way out. */
  withoutUplink: number;
  interval: number;
  preempt: boolean;
}

/** Hosts' requests of DHCP and DHCPv6 go to servers elsewhere (RFC 3046, RFC 8415 section 19). */
export interface RelayConfig {
  /** Of IPv4 for DHCP, of IPv6 for DHCPv6. */
  servers: string[];
  /** Names the network to servers of DHCP, by default its name; and this gateway, or `""`. */
  circuitId: string;
  remoteId: string;
}

export interface LanConfig {
  name: string;
  link: LinkConfig;
  /** `"192.168.7.1/24"` */
  address: string;
  /** `"fd00:7::1/64"`, or `""`. */
  address6: string;
  pool: string;
  leaseTime: number;
  /** Number of this network's /64 in what is delegated to us. */
  subnet: number;
  /** Asks of hosts that they use DHCPv6 for addresses. */
  dhcpv6: boolean;
  /** Prefixes of this length are given to routers behind this network, out of the upper half of what is delegated; 0: none. */
  delegate: number;
  /** Hosts reach the WAN and this gateway's services, other LANs not. */
  isolated: boolean;
  reservations: Reservation[];
  vrrp: VrrpConfig | null;
  /** Instead of this gateway's own servers, of each family that it has servers of. */
  relay: RelayConfig | null;
}

function reservation(node: Node, what: string): Reservation {
  const reader = new Reader(node, what);
  const named = reader.get("name", name, "");
  const result = {
    mac: reader.get("mac", mac),
    address: reader.get("address", address4),
    ...(named && { name: named }),
  };
  reader.done();
  return result;
}

function vrrp(node: Node, what: string, inside: (value: string) => boolean, own: string): VrrpConfig {
  const reader = new Reader(node, what);
  const priority = reader.get("priority", whole(1, 254), 100);
  const shared = text((value) => isIPv4(value) && inside(value), `an address in ${own}`);
  const result = {
    id: reader.get("id", whole(1, 255)),
    addresses: reader.get("addresses", list(shared)),
    priority,
    withoutUplink: reader.get("withoutUplink", whole(1, 254), priority),
    interval: reader.get("interval", whole(1, 40), 1),
    preempt: reader.get("preempt", flag, true),
  };
  reader.done();
  if (result.addresses.length === 0 || result.addresses.length > 20)
    wrong(node, `${what}.addresses`, "1 to 20 addresses");
  return result;
}

function relay(node: Node, what: string, network: string): RelayConfig {
  const reader = new Reader(node, what);
  const known = text(/^[\x20-\x7e]{1,64}$/, "1 to 64 characters of ASCII");
  const server = text(
    (value) => (isIPv4(value) || isIPv6(value)) && !/^(fe[89ab]|ff)/i.test(value),
    "a server's address, neither link-local nor a group",
  );
  const result = {
    servers: reader.get("servers", list(server)),
    circuitId: reader.get("circuitId", known, network),
    remoteId: reader.get("remoteId", known, ""),
  };
  reader.done();
  if (result.servers.length === 0 || result.servers.length > 8)
    wrong(reader.members.get("servers")!, `${what}.servers`, "1 to 8 addresses");
  return result;
}

export const number4 = (value: string) => value.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

export function lan(node: Node, what: string): LanConfig {
  const reader = new Reader(node, what);
  const own = reader.get("address", own4);
  const [, length] = own.split("/").map(Number);
  const size = 2 ** (32 - length);
  const base = Math.floor(number4(own.split("/")[0]) / size) * size;
  const inside = (value: string) => Math.floor(number4(value) / size) * size === base;
  const pool = text((value) => {
    const ends = value.split("-");
    return (
      ends.length === 2 &&
      ends.every((end) => isIPv4(end) && inside(end)) &&
      number4(ends[0]) <= number4(ends[1])
    );
  }, `a range within ${own}, "FIRST-LAST", or ""`);
  const called = reader.get("name", name);
  const result: LanConfig = {
    name: called,
    link: reader.get("link", link),
    address: own,
    address6: reader.get("address6", orNone(own6), ""),
    pool: reader.get("pool", orNone(pool), ""),
    leaseTime: reader.get("leaseTime", whole(60, 0xffffffff), 43200),
    subnet: reader.get("subnet", whole(0, 0xffff), 0),
    dhcpv6: reader.get("dhcpv6", flag, false),
    delegate: reader.get("delegate", whole(0, 64), 0),
    isolated: reader.get("isolated", flag, false),
    reservations: reader.get("reservations", list(reservation), []),
    vrrp: reader.get<VrrpConfig | null>("vrrp", (one, where) => vrrp(one, where, inside, own), null),
    relay: reader.get<RelayConfig | null>("relay", (one, where) => relay(one, where, called), null),
  };
  result.reservations.forEach((one, i) => {
    const at = (reader.members.get("reservations")!.value as Node[])[i];
    if (!inside(one.address)) throw new ConfigError(at.line, `${one.address} does not lie in ${own}`);
    if (one.address === own.split("/")[0])
      throw new ConfigError(at.line, `${one.address} is the gateway's own`);
    const before = result.reservations.slice(0, i);
    if (before.some((other) => other.address === one.address))
      throw new ConfigError(at.line, `${one.address} is reserved twice`);
    if (before.some((other) => other.mac.toLowerCase() === one.mac.toLowerCase()))
      throw new ConfigError(at.line, `${one.mac} has a reservation already`);
  });
  if (result.address6 && !result.address6.endsWith("/64"))
    wrong(reader.members.get("address6")!, `${what}.address6`, "of a /64: hosts make their addresses of it");
  const relayed = result.relay?.servers ?? [];
  if (relayed.some(isIPv4) && (result.pool || result.reservations.length > 0))
    wrong(
      reader.members.get("relay")!,
      `${what}.relay`,
      "without pool and reservations: its servers have them",
    );
  if (relayed.some(isIPv6) && result.delegate > 0)
    wrong(reader.members.get("relay")!, `${what}.relay`, "without delegate: its servers do that");
  if ("uplink" in result.link) throw new ConfigError(node.line, "a user-mode uplink can be the WAN alone");
  reader.done();
  return result;
}

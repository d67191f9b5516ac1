/** The gateway's configuration: one file, read and checked as a whole; each error names its line. docs/gateway.md explains it. */
import { isIPv4, isIPv6 } from "node:net";
import type { Rule } from "../../stack/filter/rules.js";
import { compile } from "../../stack/filter/rules.js";
import { splitPrefix } from "../../stack/core/text4.js";
import { parseJson } from "./json.js";
import { ConfigError } from "./json.js";
import type { Node } from "./json.js";

/** What carries an interface's frames. */
export type LinkConfig =
  | { tap: string; netns?: string }
  | {
      udp: {
        localPort: number;
        remotePort: number;
        address?: string;
        l2tpv3?: [receive: number, transmit: number];
      };
    }
  | { vlan: number; on: string }
  | { uplink: { loopback: boolean } };

export interface StaticConfig {
  address: string;
  gateway: string;
}

export interface WanConfig {
  link: LinkConfig;
  /** A session over the link is the WAN then; `ipv4` is the session's. */
  pppoe: { user: string; password: string; service: string } | null;
  ipv4: "dhcp" | "off" | StaticConfig;
  ipv6: "auto" | "off" | StaticConfig;
  nameServers: string[];
  /** Mbit/s up, queued by FQ-CoDel; 0: as fast as the link. */
  upload: number;
}

export interface Reservation {
  mac: string;
  address: string;
  name?: string;
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
}

export interface ForwardConfig {
  protocol: "tcp" | "udp";
  port: number;
  to: string;
  toPort: number;
}

export interface GatewayConfig {
  wan: WanConfig;
  lan: LanConfig[];
  domain: string;
  hosts: { name: string; address: string }[];
  forward: ForwardConfig[];
  /** Go before those that the gateway has by itself. */
  rules: Rule[];
  pingFromOutside: boolean;
  /** Services found across our networks. */
  mdns: boolean;
  flows: number;
  ntp: string[];
  statusPort: number;
  /** Folder of leases, identifiers and secrets. */
  state: string;
}

/** Reads the members of an object, and says which are unknown. */
class Reader {
  private readonly seen = new Set<string>();

  constructor(
    readonly node: Node,
    readonly what: string,
  ) {
    if (!(node.value instanceof Map)) throw new ConfigError(node.line, `${what} must be an object`);
  }

  get members(): Map<string, Node> {
    return this.node.value as Map<string, Node>;
  }

  /** A member that `check` makes something of; without `fallback` it must be there. */
  get<T>(name: string, check: (node: Node, what: string) => T, fallback?: T): T {
    this.seen.add(name);
    const node = this.members.get(name);
    if (node) return check(node, `${this.what}.${name}`.replace(/^\./, ""));
    if (fallback === undefined)
      throw new ConfigError(this.node.line, `${this.what || "the file"} lacks "${name}"`);
    return fallback;
  }

  done(): void {
    for (const [name, node] of this.members) {
      if (this.seen.has(name)) continue;
      throw new ConfigError(
        node.line,
        `${this.what || "the file"} knows no "${name}", but ${[...this.seen].join(", ")}`,
      );
    }
  }
}

function wrong(node: Node, what: string, wanted: string): never {
  const { value } = node;
  const shown = value instanceof Map ? "an object" : Array.isArray(value) ? "a list" : JSON.stringify(value);
  throw new ConfigError(node.line, `${what} must be ${wanted}, not ${shown}`);
}

const text =
  (pattern: RegExp | ((value: string) => boolean), wanted: string) =>
  (node: Node, what: string): string => {
    const { value } = node;
    const fits =
      typeof value === "string" && (pattern instanceof RegExp ? pattern.test(value) : pattern(value));
    return fits ? (value as string) : wrong(node, what, wanted);
  };

const whole =
  (low: number, high: number) =>
  (node: Node, what: string): number => {
    const { value } = node;
    if (Number.isInteger(value) && (value as number) >= low && (value as number) <= high)
      return value as number;
    return wrong(node, what, `a whole number from ${low} to ${high}`);
  };

const flag = (node: Node, what: string): boolean =>
  typeof node.value === "boolean" ? node.value : wrong(node, what, "true or false");

const list =
  <T>(each: (node: Node, what: string) => T) =>
  (node: Node, what: string): T[] =>
    Array.isArray(node.value)
      ? node.value.map((one, i) => each(one, `${what}[${i}]`))
      : wrong(node, what, "a list");

const isPrefix = (value: string, family: number): boolean => {
  const parts = splitPrefix(value, family === 4 ? 32 : 128);
  return (
    value.includes("/") && parts !== null && (family === 4 ? isIPv4(parts.address) : isIPv6(parts.address))
  );
};
const isName = (value: string) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(value);

const address = text((value) => isIPv4(value) || isIPv6(value), "an address");
const address4 = text(isIPv4, 'an IPv4 address, "192.168.7.9"');
const prefix4 = text(
  (value) => isPrefix(value, 4),
  'an IPv4 address with its prefix length, "192.168.7.1/24"',
);
const prefix6 = text((value) => isPrefix(value, 6), 'an IPv6 address with its prefix length, "fd00:7::1/64"');
const name = text(isName, "a name: letters, digits and hyphens");
const domain = text((value) => value.length < 200 && value.split(".").every(isName), "a domain");
const port = whole(1, 65535);
const mac = text(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i, 'a hardware address, "02:00:00:00:00:07"');

function link(node: Node, what: string): LinkConfig {
  const reader = new Reader(node, what);
  const kinds = ["tap", "udp", "vlan", "uplink"].filter((kind) => reader.members.has(kind));
  if (kinds.length !== 1)
    wrong(node, what, 'one of { "tap": ... }, { "udp": ... }, { "vlan": ... }, { "uplink": ... }');
  let result: LinkConfig;
  if (kinds[0] === "tap") {
    const netns = reader.get("netns", text(/^[^\0]+$/, "a network namespace"), "");
    result = {
      tap: reader.get("tap", text(/^[^/\s]{1,15}$/, "an interface's name")),
      ...(netns && { netns }),
    };
  } else if (kinds[0] === "vlan") {
    result = { vlan: reader.get("vlan", whole(1, 4094)), on: reader.get("on", name) };
  } else if (kinds[0] === "uplink") {
    const uplink = reader.get("uplink", (inner, where) => new Reader(inner, where));
    result = { uplink: { loopback: uplink.get("loopback", flag, false) } };
    uplink.done();
  } else {
    const udp = reader.get("udp", (inner, where) => new Reader(inner, where));
    const sessions = udp.get("l2tpv3", list(whole(1, 0xffffffff)), []);
    if (sessions.length !== 0 && sessions.length !== 2)
      wrong(udp.members.get("l2tpv3")!, "l2tpv3", "two session numbers");
    const far = udp.get("address", address, "");
    result = {
      udp: {
        localPort: udp.get("localPort", port),
        remotePort: udp.get("remotePort", port),
        ...(far && { address: far }),
        ...(sessions.length === 2 && { l2tpv3: [sessions[0], sessions[1]] as [number, number] }),
      },
    };
    udp.done();
  }
  reader.done();
  return result;
}

/** One of some words, or a static address. */
const addressing =
  <W extends string>(words: W[], family: 4 | 6) =>
  (node: Node, what: string): W | StaticConfig => {
    if (words.includes(node.value as W)) return node.value as W;
    if (!(node.value instanceof Map))
      wrong(node, what, `${words.map((word) => `"${word}"`).join(", ")} or { "address", "gateway" }`);
    const reader = new Reader(node, what);
    const result = {
      address: reader.get("address", family === 4 ? prefix4 : prefix6),
      gateway: reader.get("gateway", family === 4 ? address4 : text(isIPv6, "an IPv6 address")),
    };
    reader.done();
    return result;
  };

function session(node: Node, what: string): WanConfig["pppoe"] {
  const reader = new Reader(node, what);
  const word = text((value) => value.length < 256, "a text");
  const result = {
    user: reader.get("user", word),
    password: reader.get("password", word),
    service: reader.get("service", word, ""),
  };
  reader.done();
  return result;
}

function wan(node: Node, what: string): WanConfig {
  const reader = new Reader(node, what);
  const result: WanConfig = {
    link: reader.get("link", link),
    pppoe: reader.get<WanConfig["pppoe"]>("pppoe", session, null),
    ipv4: reader.get("ipv4", addressing(["dhcp", "off"], 4), "dhcp"),
    ipv6: reader.get("ipv6", addressing(["auto", "off"], 6), "auto"),
    nameServers: reader.get("nameServers", list(address), []),
    upload: reader.get("upload", whole(0, 2000), 0),
  };
  if (result.pppoe && ("uplink" in result.link || reader.members.has("ipv4"))) {
    wrong(reader.members.get("pppoe")!, `${what}.pppoe`, "without ipv4, and not over an uplink");
  }
  reader.done();
  return result;
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

const number4 = (value: string) => value.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

function lan(node: Node, what: string): LanConfig {
  const reader = new Reader(node, what);
  const own = reader.get("address", prefix4);
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
  const result: LanConfig = {
    name: reader.get("name", name),
    link: reader.get("link", link),
    address: own,
    address6: reader.get("address6", prefix6, ""),
    pool: reader.get("pool", (one, where) => (one.value === "" ? "" : pool(one, where)), ""),
    leaseTime: reader.get("leaseTime", whole(60, 0xffffffff), 43200),
    subnet: reader.get("subnet", whole(0, 0xffff), 0),
    dhcpv6: reader.get("dhcpv6", flag, false),
    delegate: reader.get("delegate", whole(0, 64), 0),
    isolated: reader.get("isolated", flag, false),
    reservations: reader.get("reservations", list(reservation), []),
  };
  result.reservations.forEach((one, i) => {
    const at = (reader.members.get("reservations")!.value as Node[])[i];
    if (!inside(one.address)) throw new ConfigError(at.line, `${one.address} does not lie in ${own}`);
    if (result.reservations.findIndex((other) => other.address === one.address) < i) {
      throw new ConfigError(at.line, `${one.address} is reserved twice`);
    }
  });
  if (result.name === "wan" || result.name === "self")
    wrong(reader.members.get("name")!, `${what}.name`, "another name");
  reader.done();
  return result;
}

function forward(node: Node, what: string): ForwardConfig {
  const reader = new Reader(node, what);
  const outer = reader.get("port", port);
  const result: ForwardConfig = {
    protocol: reader.get("protocol", text(/^(tcp|udp)$/, '"tcp" or "udp"')) as "tcp" | "udp",
    port: outer,
    to: reader.get("to", address4),
    toPort: reader.get("toPort", port, outer),
  };
  reader.done();
  return result;
}

function host(node: Node, what: string): { name: string; address: string } {
  const reader = new Reader(node, what);
  const result = { name: reader.get("name", domain), address: reader.get("address", address) };
  reader.done();
  return result;
}

/** A rule is the firewall's own to judge: it throws at what it does not like. */
function rule(node: Node, what: string): Rule {
  const value = plain(node) as Rule;
  try {
    compile([value]);
  } catch (error) {
    throw new ConfigError(node.line, `${what}: ${(error as Error).message}`);
  }
  return value;
}

function plain({ value }: Node): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]));
  return value;
}

/** Reads a configuration; throws `ConfigError`. */
export function parseConfig(source: string): GatewayConfig {
  const reader = new Reader(parseJson(source), "");
  const config: GatewayConfig = {
    wan: reader.get("wan", wan),
    lan: reader.get("lan", list(lan)),
    domain: reader.get("domain", domain, "home.arpa"),
    hosts: reader.get("hosts", list(host), []),
    forward: reader.get("forward", list(forward), []),
    rules: reader.get("rules", list(rule), []),
    pingFromOutside: reader.get("pingFromOutside", flag, true),
    mdns: reader.get("mdns", flag, false),
    flows: reader.get("flows", whole(16, 1048576), 16384),
    ntp: reader.get("ntp", list(text((value) => value !== "", "a name or an address")), []),
    statusPort: reader.get("statusPort", whole(0, 65535), 80),
    state: reader.get("state", text(/^[^\0]+$/, "a folder")),
  };
  reader.done();
  const at = (key: string, i: number) => (reader.members.get(key)!.value as Node[])[i];
  if (config.lan.length === 0) wrong(reader.members.get("lan")!, "lan", "at least one network");
  config.lan.forEach((one, i) => {
    const before = config.lan.slice(0, i);
    const { line } = at("lan", i);
    if (before.some((other) => other.name === one.name))
      throw new ConfigError(line, `"${one.name}" is there twice`);
    if (before.some((other) => other.subnet === one.subnet)) {
      throw new ConfigError(line, `subnet ${one.subnet} is another network's already: each needs its own`);
    }
    const { link } = one;
    if ("vlan" in link && !before.some((other) => other.name === link.on)) {
      throw new ConfigError(line, `there is no network "${link.on}" before this one for VLAN ${link.vlan}`);
    }
    if ("uplink" in link) throw new ConfigError(line, "a user-mode uplink can be the WAN alone");
  });
  if ("vlan" in config.wan.link)
    throw new ConfigError(reader.members.get("wan")!.line, "the WAN has a link of its own");
  const delegating = config.lan.findIndex(
    (one, i) => one.delegate > 0 && config.lan.slice(0, i).some((other) => other.delegate > 0),
  );
  if (delegating >= 0)
    throw new ConfigError(at("lan", delegating).line, "one network alone can have delegate");
  config.forward.forEach((one, i) => {
    if (config.forward.findIndex((other) => other.protocol === one.protocol && other.port === one.port) < i) {
      throw new ConfigError(at("forward", i).line, `${one.protocol} port ${one.port} is forwarded twice`);
    }
  });
  return config;
}

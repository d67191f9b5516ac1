/** `"wan"`: a way out, or several of them. */
import { BlockList, isIPv6 } from "node:net";
import type { Node } from "../json.js";
import { link } from "./link.js";
import type { LinkConfig } from "./link.js";
import { Reader, address, address4, list, name, orNone, own4, own6, text, whole, wrong } from "./read.js";

export interface StaticConfig {
  address: string;
  gateway: string;
}

export interface WanConfig {
  /** Default `"wan"`, `"wan2"`, ... */
  name: string;
  link: LinkConfig;
  /** The provider's VLAN on the link, or 0. */
  vlan: number;
  /** A session over the link is the WAN then; `ipv4` is the session's. */
  pppoe: { user: string; password: string; service: string } | null;
  ipv4: "dhcp" | "off" | StaticConfig;
  ipv6: "auto" | "off" | StaticConfig;
  nameServers: string[];
  /** Mbit/s up and down, queued here and not in the modem; 0: as fast as the link. */
  upload: number;
  download: number;
  /** An address that answers pings while this way is good, or `""`: its carrier and its lease alone say so. */
  probe: string;
  /** Its share of the flows where ways are balanced. */
  weight: number;
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
      address: reader.get("address", family === 4 ? own4 : own6),
      gateway: reader.get("gateway", family === 4 ? address4 : text(isIPv6, "an IPv6 address")),
    };
    reader.done();
    if (!sameNetwork(result.address, result.gateway, family))
      wrong(reader.members.get("gateway")!, `${what}.gateway`, `another address in ${result.address}`);
    return result;
  };

/** Is it a router that is reached there? IPv6's may be link-local. */
function sameNetwork(own: string, gateway: string, family: 4 | 6): boolean {
  const [address, length] = own.split("/");
  const network = new BlockList();
  network.addSubnet(address, Number(length), `ipv${family}`);
  if (family === 6) network.addSubnet("fe80::", 10, "ipv6");
  return gateway !== address && network.check(gateway, `ipv${family}`);
}

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

/** The WAN of that number; IPv6 is the first one's. */
export const wan =
  (number: number) =>
  (node: Node, what: string): WanConfig => {
    const reader = new Reader(node, what);
    const result: WanConfig = {
      name: reader.get("name", name, number === 0 ? "wan" : `wan${number + 1}`),
      link: reader.get("link", link),
      vlan: reader.get("vlan", whole(0, 4094), 0),
      pppoe: reader.get<WanConfig["pppoe"]>("pppoe", session, null),
      ipv4: reader.get("ipv4", addressing(["dhcp", "off"], 4), "dhcp"),
      ipv6: reader.get("ipv6", addressing(["auto", "off"], 6), number === 0 ? "auto" : "off"),
      nameServers: reader.get("nameServers", list(address), []),
      upload: reader.get("upload", whole(0, 2000), 0),
      download: reader.get("download", whole(0, 2000), 0),
      probe: reader.get("probe", orNone(address4), ""),
      weight: reader.get("weight", whole(1, 100), 1),
    };
    reader.done();
    if (result.pppoe && ("uplink" in result.link || reader.members.has("ipv4"))) {
      wrong(reader.members.get("pppoe")!, `${what}.pppoe`, "without ipv4, and not over an uplink");
    }
    if ("vlan" in result.link || "bridge" in result.link)
      wrong(reader.members.get("link")!, `${what}.link`, 'a link of its own; a tag is "vlan" beside it');
    if (result.vlan > 0 && "uplink" in result.link)
      wrong(reader.members.get("vlan")!, `${what}.vlan`, "0 over an uplink");
    if (number > 0 && (result.ipv6 !== "off" || "uplink" in result.link))
      wrong(node, what, "a way of IPv4 over a link: IPv6, and the user-mode uplink, are the first one's");
    return result;
  };

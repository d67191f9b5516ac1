/** `"wireguard"`: interfaces with peers that are known by their keys. */
import { isIPv4, isIPv6 } from "node:net";
import type { Node } from "../json.js";
import { networkOf, networkOf6 } from "../parts/text.js";
import {
  Reader,
  flag,
  isDomain,
  isPrefix,
  list,
  name,
  orNone,
  port,
  own4,
  own6,
  text,
  whole,
  wrong,
} from "./read.js";

export interface WireguardPeerConfig {
  /** Base64, as `wg pubkey` has it. */
  publicKey: string;
  /** Base64, or `""`. */
  presharedKey: string;
  /** Where it is, by address or by name, or null: it comes to us. */
  endpoint: { address: string; port: number } | null;
  /** What it may send from and is sent, and what routes are made for: `"0.0.0.0/0"` and `"::/0"` are the way of all that has none. */
  allowedIps: string[];
  /** Seconds, or 0. */
  keepalive: number;
}

export interface WireguardConfig {
  name: string;
  /** Base64, or `""`: one that is made once and kept. */
  privateKey: string;
  port: number;
  address: string;
  address6: string;
  mtu: number;
  /** What comes out of it may reach our networks and this gateway. */
  trusted: boolean;
  peers: WireguardPeerConfig[];
}

const key = text(
  (value) => /^[A-Za-z0-9+/]{43}=$/.test(value) && Buffer.from(value, "base64").length === 32,
  "a key of 32 bytes in base64",
);

/** `"192.0.2.1:51820"`, `"[2001:db8::1]:51820"`, `"gate.example.net:51820"`. */
function endpoint(node: Node, what: string): WireguardPeerConfig["endpoint"] {
  const [, six, four, named, number] =
    /^(?:\[([^\]]+)\]|([\d.]+)|([a-z0-9.-]+)):(\d{1,5})$/i.exec(String(node.value)) ?? [];
  const far = Number(number);
  const good = six ? isIPv6(six) : four ? isIPv4(four) : isDomain(named ?? "");
  if (!good || far < 1 || far > 65535)
    wrong(
      node,
      what,
      'an address or a name with its port, "192.0.2.1:51820", "[2001:db8::1]:51820" or "gate.example.net:51820"',
    );
  return { address: six ?? four ?? named, port: far };
}

const network = text(
  (value) => isPrefix(value, 4) || isPrefix(value, 6),
  'a network with its prefix length, "10.9.0.2/32"',
);

function peer(node: Node, what: string): WireguardPeerConfig {
  const reader = new Reader(node, what);
  const result = {
    publicKey: reader.get("publicKey", key),
    presharedKey: reader.get("presharedKey", orNone(key), ""),
    endpoint: reader.get<WireguardPeerConfig["endpoint"]>("endpoint", endpoint, null),
    allowedIps: reader.get("allowedIps", list(network)),
    keepalive: reader.get("keepalive", whole(0, 65535), 0),
  };
  reader.done();
  return result;
}

export function wireguard(node: Node, what: string): WireguardConfig {
  const reader = new Reader(node, what);
  const result: WireguardConfig = {
    name: reader.get("name", name),
    privateKey: reader.get("privateKey", orNone(key), ""),
    port: reader.get("port", port, 51820),
    address: reader.get("address", orNone(own4), ""),
    address6: reader.get("address6", orNone(own6), ""),
    mtu: reader.get("mtu", whole(576, 65000), 1420),
    trusted: reader.get("trusted", flag, false),
    peers: reader.get("peers", list(peer), []),
  };
  reader.done();
  const keys = new Set<string>();
  const prefixes = new Set<string>();
  result.peers.forEach((one, i) => {
    const at = (reader.members.get("peers")!.value as Node[])[i];
    const members = at.value as Map<string, Node>;
    if (keys.has(one.publicKey)) wrong(members.get("publicKey")!, `${what}.peers[${i}].publicKey`, "its own");
    keys.add(one.publicKey);
    one.allowedIps.forEach((prefix, j) => {
      const where = (members.get("allowedIps")!.value as Node[])[j];
      const meant = prefix.includes(":") ? networkOf6(prefix) : networkOf(prefix);
      if (prefixes.has(meant)) wrong(where, `${what}.peers[${i}].allowedIps[${j}]`, "of one peer alone");
      prefixes.add(meant);
    });
  });
  return result;
}

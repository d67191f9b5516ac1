/** `"rip"`, `"babel"`, `"multicast"`, `"proxy"`: what routers tell each other, and what is answered for others. */
import { isIPv4, isIPv6 } from "node:net";
import type { Node } from "../json.js";
import { Reader, anyPrefix, flag, list, oneOf, text, whole, wrong } from "./read.js";

/** The interfaces that a protocol speaks on. */
interface ProtocolConfig {
  on: string[];
  /** Seconds between updates of RIP, between hellos of Babel. */
  interval: number;
}

/** RIPv2 and RIPng; what authenticates them is RIPv2's alone. */
export interface RipConfig extends ProtocolConfig {
  /** In clear, or `""`. */
  password: string;
  /** HMAC-SHA-256 (RFC 4822), or null. The secret is a text, or `"hex:..."`. */
  key: { id: number; secret: string } | null;
}

export interface BabelKeyConfig {
  secret: string;
  algorithm: "hmac-sha256" | "blake2s";
}

export interface BabelConfig extends ProtocolConfig {
  /** RFC 8967: the first one, and others while keys change; none: nothing is authenticated. */
  keys: BabelKeyConfig[];
  /** Who has no key is believed, too. */
  permissive: boolean;
}

/** The bytes of a secret. */
export const secretBytes = (secret: string): Uint8Array =>
  new Uint8Array(secret.startsWith("hex:") ? Buffer.from(secret.slice(4), "hex") : Buffer.from(secret));

const secret = (most: number) =>
  text((value) => {
    const { length } = secretBytes(value);
    const good = !value.startsWith("hex:") || /^hex:([0-9a-f]{2})+$/i.test(value);
    return good && length > 0 && length <= most;
  }, `a secret of 1 to ${most} bytes, as a text or as "hex:0a0b"`);

/** Hosts that are reached elsewhere are answered for on a link: IPv4 by ARP, single addresses of IPv6 by ND. */
export interface ProxyConfig {
  on: string;
  for: string;
}

const protocol = (reader: Reader, interfaces: string[], interval: number): ProtocolConfig => ({
  on: reader.get("on", list(oneOf(interfaces, "a network or a tunnel"))),
  interval: reader.get("interval", whole(1, 600), interval),
});

function ripKey(node: Node, what: string): RipConfig["key"] {
  const reader = new Reader(node, what);
  const result = { id: reader.get("id", whole(0, 255), 1), secret: reader.get("secret", secret(32)) };
  reader.done();
  return result;
}

export const rip =
  (interfaces: string[]) =>
  (node: Node, what: string): RipConfig => {
    const reader = new Reader(node, what);
    const result = {
      ...protocol(reader, interfaces, 30),
      password: reader.get("password", text(/^[ -~]{1,16}$/, "1 to 16 characters of ASCII"), ""),
      key: reader.get<RipConfig["key"]>("key", ripKey, null),
    };
    reader.done();
    if (result.password && result.key) wrong(node, what, "with a key or a password");
    return result;
  };

function babelKey(node: Node, what: string): BabelKeyConfig {
  const reader = new Reader(node, what);
  const algorithm = reader.get(
    "algorithm",
    oneOf(["hmac-sha256", "blake2s"] as const),
    "hmac-sha256" as const,
  );
  const result = { secret: reader.get("secret", secret(algorithm === "blake2s" ? 32 : 64)), algorithm };
  reader.done();
  return result;
}

export const babel =
  (interfaces: string[]) =>
  (node: Node, what: string): BabelConfig => {
    const reader = new Reader(node, what);
    const result = {
      ...protocol(reader, interfaces, 4),
      keys: reader.get("keys", list(babelKey), []),
      permissive: reader.get("permissive", flag, false),
    };
    reader.done();
    if (result.keys.length > 4) wrong(reader.members.get("keys")!, `${what}.keys`, "four at most");
    if (result.permissive && result.keys.length === 0)
      wrong(reader.members.get("permissive")!, `${what}.permissive`, "beside keys");
    return result;
  };

export const proxy =
  (interfaces: string[]) =>
  (node: Node, what: string): ProxyConfig => {
    const reader = new Reader(node, what);
    const single = text(isIPv6, "a network of IPv4 or an address of IPv6");
    const result = {
      on: reader.get("on", oneOf(interfaces, "an interface")),
      for: reader.get("for", (one, where) =>
        typeof one.value === "string" && isIPv4(one.value.split("/")[0])
          ? anyPrefix(one, where)
          : single(one, where),
      ),
    };
    reader.done();
    return result;
  };

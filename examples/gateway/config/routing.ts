/** `"routes"`, `"rip"`, `"babel"`, `"multicast"`, `"proxy"`: where packets go besides the networks of the gateway's own addresses. */
import { isIPv4, isIPv6 } from "node:net";
import type { Node } from "../json.js";
import { Reader, address, anyPrefix, list, oneOf, text, whole, wrong } from "./read.js";

export interface RouteConfig {
  to: string;
  via: string;
}

/** RIPv2 and RIPng, or Babel: the interfaces that it speaks on. */
export interface ProtocolConfig {
  on: string[];
  /** Seconds between updates of RIP, between hellos of Babel. */
  interval: number;
}

/** Hosts that are reached elsewhere are answered for on a link: IPv4 by ARP, single addresses of IPv6 by ND. */
export interface ProxyConfig {
  on: string;
  for: string;
}

export function route(node: Node, what: string): RouteConfig {
  const reader = new Reader(node, what);
  const result = { to: reader.get("to", anyPrefix), via: reader.get("via", address) };
  reader.done();
  if (result.to.includes(":") !== result.via.includes(":")) wrong(node, what, "of one family");
  return result;
}

export const protocol =
  (interfaces: string[], interval: number) =>
  (node: Node, what: string): ProtocolConfig => {
    const reader = new Reader(node, what);
    const result = {
      on: reader.get("on", list(oneOf(interfaces, "a network or a tunnel"))),
      interval: reader.get("interval", whole(1, 600), interval),
    };
    reader.done();
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

/** `"forward"`, `"rules"`, `"portMapping"`: what may come in. */
import { compile } from "../../../stack/filter/rules.js";
import type { Rule } from "../../../stack/filter/rules.js";
import { ConfigError } from "../json.js";
import type { Node } from "../json.js";
import { Reader, address4, flag, list, oneOf, plain, port, text, wrong } from "./read.js";

export interface ForwardConfig {
  protocol: "tcp" | "udp";
  port: number;
  to: string;
  toPort: number;
}

/** Hosts may ask for outer ports that lead to them. */
export interface PortMappingConfig {
  pcp: boolean;
  upnp: boolean;
  /** Networks whose hosts may. */
  on: string[];
  /** The first and the last port that may be asked for. */
  ports: [number, number];
}

export function forward(node: Node, what: string): ForwardConfig {
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

const FIELDS = "protocol source destination sourcePort port icmpType limit".split(" ");

/** A rule is the firewall's own to judge: it throws at what it does not like. But it knows no names of zones, and fits all by a field that has another name. */
export const rule =
  (zones: string[]) =>
  (node: Node, what: string): Rule => {
    const reader = new Reader(node, what);
    reader.get("action", plain);
    for (const key of ["from", "to"]) reader.get(key, oneOf(zones, "a zone"), "");
    for (const key of FIELDS) reader.get<unknown>(key, plain, null);
    reader.get("log", text(/^/, "a text"), "");
    reader.done();
    const value = plain(node) as Rule;
    try {
      compile([value]);
    } catch (error) {
      throw new ConfigError(node.line, `${what}: ${(error as Error).message}`);
    }
    return value;
  };

export const portMapping =
  (lans: string[]) =>
  (node: Node, what: string): PortMappingConfig => {
    const reader = new Reader(node, what);
    const ports = reader.get("ports", list(port), [1024, 49151]);
    const result = {
      pcp: reader.get("pcp", flag, false),
      upnp: reader.get("upnp", flag, false),
      on: reader.get("on", list(oneOf(lans, "a network")), lans.slice(0, 1)),
      ports: [ports[0], ports[1]] as [number, number],
    };
    reader.done();
    if (ports.length !== 2 || ports[0] > ports[1])
      wrong(reader.members.get("ports")!, `${what}.ports`, "[FIRST, LAST]");
    return result;
  };

/** `"routes"`, `"policy"`, `"marks"`, `"vrf"`: ways that packets go, and who goes by which table of them. */
import { compile } from "../../../stack/filter/rules.js";
import type { Rule } from "../../../stack/filter/rules.js";
import { ConfigError } from "../json.js";
import type { Node } from "../json.js";
import { Reader, address, anyPrefix, list, oneOf, plain, whole, wrong } from "./read.js";

/** The table of interfaces that have none of their own. */
export const MAIN = 254;
/** Tables above are the gateway's own. */
const TABLES = 65535;
const TYPES = ["unicast", "blackhole", "unreachable", "prohibit"] as const;

export interface HopConfig {
  /** Or `""`: what it is for is on the link. */
  via: string;
  /** Or `""`: the interface in whose network `via` is. */
  on: string;
  weight: number;
}

export interface RouteConfig {
  to: string;
  /** All but `"unicast"` lead nowhere. */
  type: (typeof TYPES)[number];
  /** Over several of them flows are spread. */
  hops: HopConfig[];
  metric: number;
  /** Or 0: where the routes of its interface are. */
  table: number;
}

/** Forwarded packets that fit go by a table. */
export interface PolicyConfig {
  /** Or `""`, from anywhere in both families. */
  from: string;
  /** Came in here, or `""`. */
  on: string;
  /** With this mark under `mask`, or -1. */
  mark: number;
  mask: number;
  priority: number;
  table: number;
  /** Routes of so many bits or fewer do not count, or -1. */
  suppress: number;
}

/** Packets that come in and fit have a mark. */
export interface MarkConfig {
  mark: number;
  rule: Rule;
}

/** Interfaces that have a table of their own, and nobody else's routes. */
export interface VrfConfig {
  table: number;
  on: string[];
}

const isSix = (text: string) => text.includes(":");

const hop =
  (interfaces: string[]) =>
  (reader: Reader): HopConfig => ({
    via: reader.get("via", address, ""),
    on: reader.get("on", oneOf(interfaces, "an interface"), ""),
    weight: reader.get("weight", whole(1, 256), 1),
  });

export const route =
  (interfaces: string[]) =>
  (node: Node, what: string): RouteConfig => {
    const reader = new Reader(node, what);
    const single = hop(interfaces)(reader);
    const several = reader.get(
      "hops",
      list((one, where) => {
        const inner = new Reader(one, where);
        const result = hop(interfaces)(inner);
        inner.done();
        return result;
      }),
      [],
    );
    const one = single.via || single.on;
    const result: RouteConfig = {
      to: reader.get("to", anyPrefix),
      type: reader.get("type", oneOf(TYPES), "unicast"),
      hops: one ? [single] : several,
      metric: reader.get("metric", whole(0, 65535), 0),
      table: reader.get("table", whole(1, TABLES), 0),
    };
    reader.done();
    if (result.type !== "unicast") {
      if (one || several.length > 0) wrong(node, what, `without next hops: it is of type "${result.type}"`);
    } else if ((one !== "") === several.length > 0 || several.length > 16)
      wrong(node, what, 'with "via" or "on", or 1 to 16 "hops"');
    for (const { via, on } of result.hops) {
      if (!via && !on) wrong(node, what, 'with "via" or "on" in each of "hops"');
      if (via && isSix(result.to) !== isSix(via)) wrong(node, what, "of one family");
      if (/^fe[89ab]/i.test(via) && !on) wrong(node, what, 'with "on": its next hop is link-local');
    }
    return result;
  };

export const policy =
  (interfaces: string[]) =>
  (node: Node, what: string): PolicyConfig => {
    const reader = new Reader(node, what);
    const result = {
      from: reader.get("from", anyPrefix, ""),
      on: reader.get("on", oneOf(interfaces, "an interface"), ""),
      mark: reader.get("mark", whole(0, 0x7fffffff), -1),
      mask: reader.get("mask", whole(1, 0x7fffffff), 0x7fffffff),
      priority: reader.get("priority", whole(0, 32000), 1000),
      table: reader.get("table", whole(1, TABLES)),
      suppress: reader.get("suppress", whole(0, 128), -1),
    };
    reader.done();
    if (reader.members.has("mask") && result.mark < 0) wrong(node, what, 'with a "mark" for its mask');
    return result;
  };

const MATCHES = ["from", "protocol", "source", "destination", "sourcePort", "port"] as const;

export const mark =
  (interfaces: string[]) =>
  (node: Node, what: string): MarkConfig => {
    const reader = new Reader(node, what);
    const number = reader.get("mark", whole(1, 0x7fffffff));
    const rule: Record<string, unknown> = { action: "accept" };
    for (const key of MATCHES) {
      const check = key === "from" ? oneOf(interfaces, "an interface") : plain;
      const value = reader.get<unknown>(key, check, null);
      if (value !== null) rule[key] = value;
    }
    reader.done();
    try {
      compile([rule as unknown as Rule]);
    } catch (error) {
      throw new ConfigError(node.line, `${what}: ${(error as Error).message}`);
    }
    return { mark: number, rule: rule as unknown as Rule };
  };

export const vrf =
  (interfaces: string[]) =>
  (node: Node, what: string): VrfConfig => {
    const reader = new Reader(node, what);
    const result = {
      table: reader.get("table", whole(1, TABLES)),
      on: reader.get("on", list(oneOf(interfaces, "an interface"))),
    };
    reader.done();
    if (result.table === MAIN)
      wrong(reader.members.get("table")!, `${what}.table`, "another than the main one");
    return result;
  };

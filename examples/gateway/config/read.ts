/** What the sections of the file are read with: each check says what it wanted, where, and what it found instead. */
import { isIPv4, isIPv6 } from "node:net";
import { parse4, splitPrefix } from "../../../stack/core/text4.js";
import { parse6 } from "../../../stack/core/text6.js";
import { ConfigError } from "../json.js";
import type { Node } from "../json.js";

/** Makes something of a value; `what` is its place, "wan.link". */
export type Check<T> = (node: Node, what: string) => T;

/** Reads the members of an object, and says which are unknown. */
export class Reader {
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

export function wrong(node: Node, what: string, wanted: string): never {
  const { value } = node;
  const shown = value instanceof Map ? "an object" : Array.isArray(value) ? "a list" : JSON.stringify(value);
  throw new ConfigError(node.line, `${what} must be ${wanted}, not ${shown}`);
}

export const text =
  (pattern: RegExp | ((value: string) => boolean), wanted: string) =>
  (node: Node, what: string): string => {
    const { value } = node;
    const fits =
      typeof value === "string" && (pattern instanceof RegExp ? pattern.test(value) : pattern(value));
    return fits ? (value as string) : wrong(node, what, wanted);
  };

export const whole =
  (low: number, high: number) =>
  (node: Node, what: string): number => {
    const { value } = node;
    if (Number.isInteger(value) && (value as number) >= low && (value as number) <= high)
      return value as number;
    return wrong(node, what, `a whole number from ${low} to ${high}`);
  };

export const flag = (node: Node, what: string): boolean =>
  typeof node.value === "boolean" ? node.value : wrong(node, what, "true or false");

export const list =
  <T>(each: (node: Node, what: string) => T) =>
  (node: Node, what: string): T[] =>
    Array.isArray(node.value)
      ? node.value.map((one, i) => each(one, `${what}[${i}]`))
      : wrong(node, what, "a list");

export const isPrefix = (value: string, family: number): boolean => {
  const parts = splitPrefix(value, -1);
  if (parts === null || parts.length < 0) return false;
  return family === 4
    ? parts.length <= 32 && isIPv4(parts.address)
    : parts.length <= 128 && isIPv6(parts.address);
};

/** Can an interface have it? Neither a group nor loopback, and neither the first address of its network nor IPv4's last. */
const isOwn = (value: string, family: number): boolean => {
  if (!isPrefix(value, family)) return false;
  const { address, length } = splitPrefix(value, -1)!;
  if (family === 4) {
    const word = parse4(address)! >>> 0;
    const size = 2 ** (32 - length);
    const first = word >>> 24;
    const host = word % size;
    return first > 0 && first < 224 && first !== 127 && (length > 30 || (host > 0 && host < size - 1));
  }
  const bytes = parse6(address);
  if (!bytes || bytes[0] === 0xff) return false;
  const bit = (i: number) => bytes[i >> 3] & (0x80 >> (i & 7));
  const some = (from: number, to: number) => {
    for (let i = from; i < to; i++) if (bit(i)) return true;
    return false;
  };
  return some(0, 127) && (length > 126 || some(length, 128));
};
export const isName = (value: string) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(value);

export const address = text((value) => isIPv4(value) || isIPv6(value), "an address");
export const address4 = text(isIPv4, 'an IPv4 address, "192.168.7.9"');
/** An interface's own address. */
export const own4 = text(
  (value) => isOwn(value, 4),
  'an IPv4 address of a host with its prefix length, "192.168.7.1/24"',
);
export const own6 = text(
  (value) => isOwn(value, 6),
  'an IPv6 address of a host with its prefix length, "fd00:7::1/64"',
);
export const prefix6 = text((value) => isPrefix(value, 6), 'an IPv6 prefix with its length, "fd00:7::/64"');
export const name = text(isName, "a name: letters, digits and hyphens");
export const isDomain = (value: string) => value.length < 200 && value.split(".").every(isName);
export const domain = text(isDomain, "a domain");
export const port = whole(1, 65535);
export const mac = text(
  /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i,
  'a hardware address of one station, "02:00:00:00:00:07"',
);

/** One of some texts. */
export const oneOf =
  <W extends string>(words: readonly W[], about = ""): Check<W> =>
  (node, what) =>
    words.includes(node.value as W)
      ? (node.value as W)
      : wrong(
          node,
          what,
          `${about && `${about}: `}${words.map((word) => `"${word}"`).join(", ") || "none there is"}`,
        );

export const anyPrefix = text(
  (value) => isPrefix(value, 4) || isPrefix(value, 6),
  'a network with its prefix length, "10.8.0.0/16"',
);

/** What `check` wants, or `""`: none. */
export const orNone =
  (check: Check<string>): Check<string> =>
  (node, what) =>
    node.value === "" ? "" : check(node, what);

/** The value as `JSON.parse` has it. */
export function plain({ value }: Node): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]));
  return value;
}

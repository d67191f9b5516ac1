/**
 * What a frame must look like, one line a property:
 *
 * ```ts
 * expectFrame(t, probe.next(), { ip4: { dst: PROBE_IP, ttl: 64 }, tcp: { flags: "SA", ack: 5 }, payload: "" });
 * ```
 * Only what is named is compared, but checksums, lengths and padding are verified of every frame.
 */
import type { ExecutionContext } from "ava";
import { ascii, pattern, toHex } from "./bytes.js";
import { parseFrame, parsePacket } from "./parse.js";
import type {
  Parsed,
  ParsedArp,
  ParsedEth,
  ParsedIcmp,
  ParsedIgmp,
  ParsedIp4,
  ParsedIp6,
  ParsedTcp,
  ParsedUdp,
} from "./parse.js";
import type { Payload } from "./packets.js";

/** Fields to compare: a value, or what says whether the value is right. `undefined` asks that the field is absent. */
export type Match<T> = { [K in keyof T]?: T[K] | ((value: T[K]) => boolean) };

/** What to expect of a frame. `null` for a layer: it must not be there; `{}`: it must. */
export interface Expected {
  eth?: Match<ParsedEth> | null;
  arp?: Match<ParsedArp> | null;
  ip4?: Match<ParsedIp4> | null;
  ip6?: Match<ParsedIp6> | null;
  icmp?: Match<ParsedIcmp> | null;
  igmp?: Match<ParsedIgmp> | null;
  udp?: Match<ParsedUdp> | null;
  tcp?: Match<ParsedTcp> | null;
  /** What the innermost header carries: bytes, Latin-1 text, or the length of a `pattern`. */
  payload?: Payload;
  /** How many bytes it carries. */
  length?: number;
  /** Do not verify checksums and lengths. */
  faulty?: boolean;
}

const LAYERS = ["eth", "arp", "ip4", "ip6", "icmp", "igmp", "udp", "tcp"] as const;

/** Compares an Ethernet frame with what is expected of it, and returns what was read. */
export function expectFrame(t: ExecutionContext, bytes: Uint8Array | undefined, expected: Expected): Parsed {
  if (bytes === undefined) {
    t.fail("there is no frame where one is expected: " + JSON.stringify(expected));
    return { payload: new Uint8Array(0), faults: [] };
  }
  return compare(t, parseFrame(bytes), bytes, expected);
}

/** The same for a bare IP packet. */
export function expectPacket(t: ExecutionContext, bytes: Uint8Array, expected: Expected): Parsed {
  return compare(t, parsePacket(bytes), bytes, expected);
}

/** Says what in `parsed` is not as expected; an empty list when all is. */
export function differences(parsed: Parsed, expected: Expected): string[] {
  const found: string[] = expected.faulty ? [] : [...parsed.faults];
  for (const layer of LAYERS) {
    const wanted = expected[layer];
    const actual = parsed[layer];
    if (wanted === undefined) continue;
    if (wanted === null || actual === undefined) {
      if (wanted !== null) found.push("no " + layer + " header");
      else if (actual !== undefined) found.push("an " + layer + " header");
      continue;
    }
    for (const [field, value] of Object.entries(wanted)) {
      const is = (actual as unknown as Record<string, unknown>)[field];
      if (typeof value === "function" ? !value(is) : show(is) !== show(value)) {
        const right = typeof value === "function" ? String(value) : show(value);
        found.push(`${layer}.${field} is ${show(is)}, expected ${right}`);
      }
    }
  }
  if (expected.length !== undefined && parsed.payload.length !== expected.length) {
    found.push(`payload has ${parsed.payload.length} bytes, expected ${expected.length}`);
  }
  if (expected.payload !== undefined) {
    const wanted = payloadBytes(expected.payload);
    const actual = parsed.payload;
    const at = wanted.findIndex((byte, i) => actual[i] !== byte);
    if (actual.length !== wanted.length)
      found.push(`payload has ${actual.length} bytes, expected ${wanted.length}`);
    else if (at >= 0) found.push(`payload differs at ${at}: ${actual[at]}, expected ${wanted[at]}`);
  }
  return found;
}

function compare(t: ExecutionContext, parsed: Parsed, bytes: Uint8Array, expected: Expected): Parsed {
  const found = differences(parsed, expected);
  t.true(found.length === 0, found.join("\n") + "\n" + toHex(bytes.subarray(0, 100)));
  return parsed;
}

function payloadBytes(payload: Payload): Uint8Array {
  if (typeof payload === "string") return ascii(payload);
  return typeof payload === "number" ? pattern(payload) : payload;
}

function show(value: unknown): string {
  if (value instanceof Uint8Array) return toHex(value);
  return value === undefined ? "absent" : JSON.stringify(value);
}

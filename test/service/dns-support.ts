/** DNS for tests: messages by hand, written apart from the stack's own code; and a server that the test plays on a probe. */
import type { ExecutionContext } from "ava";
import { dns as createDns } from "../../stack/service/dns.js";
import type { DnsOptions, DnsRecord } from "../../stack/service/dns.js";
import { ascii, concat, hex, ip4Bytes, ip6Bytes } from "../support/bytes.js";
import type { NetworkOptions } from "../support/network.js";
import { PROBE_IP, STACK_IP, be16, be32, eth, frame, ip4, udp } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { probed } from "../support/probe.js";

export const TYPES: Record<string, number> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
};

/** A name on the wire; labels are Latin-1 text between dots. */
export function wireName(name: string): Uint8Array {
  const labels = name === "" ? [] : name.split(".");
  return concat(
    ...labels.map((label) => concat(Uint8Array.of(label.length), ascii(label))),
    Uint8Array.of(0),
  );
}

/** A resource record. `data`: bytes, or the text of an address or name, as the type has it. */
export function record(
  name: string | Uint8Array,
  type: string | number,
  ttl: number,
  data: string | Uint8Array,
  length?: number,
): Uint8Array {
  const owner = typeof name === "string" ? wireName(name) : name;
  const bytes = typeof data !== "string" ? data : rdata(String(type), data);
  const number = typeof type === "number" ? type : TYPES[type];
  return concat(owner, be16(number), be16(1), be32(ttl), be16(length ?? bytes.length), bytes);
}

function rdata(type: string, text: string): Uint8Array {
  if (type === "A") return ip4Bytes(text);
  if (type === "AAAA") return ip6Bytes(text);
  if (type === "TXT") return concat(Uint8Array.of(text.length), ascii(text));
  return wireName(text);
}

/** A zone's SOA record; `minimum` says how long it holds that a name does not exist. */
export function soa(zone: string, ttl: number, minimum: number): Uint8Array {
  return record(
    zone,
    "SOA",
    ttl,
    concat(wireName("ns"), wireName("admin"), be32(1), be32(2), be32(3), be32(4), be32(minimum)),
  );
}

export interface Query {
  id: number;
  flags: number;
  /** The first question, name in the letters that it has. */
  name: string;
  type: number;
  /** The question's bytes. */
  question: Uint8Array;
  /** UDP payload size of EDNS, or 0. */
  udpSize: number;
  port: number;
  bytes: Uint8Array;
  server: string;
}

export function parseQuery(bytes: Uint8Array, port = 0, server = ""): Query {
  let at = 12;
  const labels: string[] = [];
  while (bytes[at] !== 0) {
    labels.push(String.fromCharCode(...bytes.subarray(at + 1, at + 1 + bytes[at])));
    at += 1 + bytes[at];
  }
  const u16 = (offset: number) => bytes[offset] * 256 + bytes[offset + 1];
  const question = bytes.slice(12, at + 5);
  return {
    id: u16(0),
    flags: u16(2),
    name: labels.join("."),
    type: u16(at + 1),
    question,
    udpSize: u16(10) === 1 ? u16(at + 5 + 3) : 0,
    port,
    bytes,
    server,
  };
}

export interface Reply {
  id?: number;
  flags?: number;
  rcode?: number;
  truncated?: boolean;
  /** Bytes of the question section. */
  question?: Uint8Array;
  counts?: number[];
  answers?: Uint8Array[];
  authorities?: Uint8Array[];
  additional?: Uint8Array[];
  /** What follows. */
  rest?: Uint8Array;
}

/** The reply to `query`, or whatever the fields make of it. */
export function reply(query: Query, fields: Reply = {}): Uint8Array {
  const sections = [fields.answers ?? [], fields.authorities ?? [], fields.additional ?? []];
  const counts = fields.counts ?? [1, ...sections.map((section) => section.length)];
  const flags = fields.flags ?? 0x8180 | (fields.rcode ?? 0) | (fields.truncated ? 0x200 : 0);
  return concat(
    be16(fields.id ?? query.id),
    be16(flags),
    ...counts.map(be16),
    fields.question ?? query.question,
    ...sections.flat(),
    fields.rest ?? hex(""),
  );
}

/** A stack with a resolver whose servers the test plays. */
export function resolving(t: ExecutionContext, options: DnsOptions = {}, network: NetworkOptions = {}) {
  const dns = createDns({ servers: [PROBE_IP], ...options });
  const node = probed(t, {
    ...network,
    components: () => [...(network.components?.() ?? []), dns],
  });
  node.probe.answersArp = null;
  const { probe } = node;

  /** All queries that have been sent and not been looked at. */
  const queries = (): Query[] => {
    // Hardware addresses of the servers are found in the next instant.
    node.world.run(0);
    return probe
      .take()
      .map(parseFrame)
      .filter((parsed) => parsed.udp?.dport === (options.port ?? 53))
      .map((parsed) => parseQuery(parsed.payload, parsed.udp!.sport, parsed.ip4!.dst));
  };

  /** Gives the stack a reply to `query` from where it was sent to. */
  const send = (
    query: Query,
    bytes: Uint8Array,
    from: { src?: string; sport?: number; dport?: number } = {},
  ) => {
    probe.send(
      frame(
        eth(),
        ip4({ src: from.src ?? query.server, dst: STACK_IP }),
        udp({ sport: from.sport ?? options.port ?? 53, dport: from.dport ?? query.port }),
        bytes,
      ),
    );
    // The resolver's callback is called in the round after the socket's.
    node.world.run(0);
  };
  const answer = (query: Query, fields: Reply) => send(query, reply(query, fields));

  /** What the callbacks got, in order. */
  const results: Result[] = [];
  const resolve = (name: string, type: string | number = "A") => {
    const result: Result = { code: null, list: [] };
    results.push(result);
    return dns.resolve(name, type, (code, records) => take(result, code, records));
  };
  const lookup = (name: string, family?: number) => {
    const result: Result = { code: null, list: [] };
    results.push(result);
    return dns.lookup(name, { family }, (code, addresses) => take(result, code, addresses));
  };
  const take = (result: Result, code: number, list: unknown[]) => {
    if (result.code !== null) throw new Error("a callback was called twice");
    result.code = code;
    result.list = list;
  };
  /** Lets events happen without time passing. */
  const settle = () => node.world.run(0);
  return { ...node, dns, queries, send, answer, results, resolve, lookup, settle };
}

export interface Result {
  /** null: not called yet. */
  code: number | null;
  list: unknown[];
}

/** `"A 10.0.0.1"` for each record. */
export function short(list: unknown[]): string[] {
  return (list as DnsRecord[]).map(
    (each) => `${each.name} ${each.ttl} ${each.type} ${JSON.stringify(each.data)}`,
  );
}

/** Multicast DNS for tests: hosts on one switch, everything that is said there, and messages by hand. */
import type { ExecutionContext } from "ava";
import { createSwitch, createWorld } from "../../ports/sim/index.js";
import type { Switch, World } from "../../ports/sim/index.js";
import type { Component } from "../../stack/core/stack.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import type { Ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { mdns } from "../../stack/service/mdns.js";
import type { Mdns, MdnsOptions } from "../../stack/service/mdns.js";
import type { UdpSocket } from "../../stack/udp/socket.js";
import { ascii, concat, ip4Bytes, ip6Bytes } from "../support/bytes.js";
import { buildNode } from "../support/network.js";
import type { NetworkOptions, Node } from "../support/network.js";
import { be16, be32 } from "../support/packets.js";
import { info } from "../udp/support.js";
import { TYPES, wireName } from "./dns-support.js";

export interface MdnsNode extends Node {
  mdns: Mdns;
  ip6: Ipv6 | null;
}

export interface LanOptions extends NetworkOptions {
  /** IPv6 as well: link-local addresses. Default false. */
  six?: boolean;
  /** Further components of each host. */
  more?: () => Component[];
}

/** A switch, and hosts with multicast DNS at it: `const lan = createLan(t); const a = lan.host({ host: "a" })`. */
export function createLan(t: ExecutionContext, options: LanOptions = {}) {
  const world: World = options.world ?? createWorld({ seed: 1, scribble: true, ...options.worldOptions });
  const middle: Switch = createSwitch(world, {});
  let count = 0;
  const host = (own: MdnsOptions = {}, address = `10.0.0.${++count}/24`, at: Switch = middle): MdnsNode => {
    const service = mdns(own);
    const ip6 = options.six ? ipv6() : null;
    const node = buildNode(t, world, at.link(), address, {
      ...options,
      components: () => [igmp(), ...(ip6 ? [ip6, icmpv6(), nd()] : []), ...(options.more?.() ?? []), service],
    });
    return { ...node, mdns: service, ip6 };
  };
  return { world, middle, host, run: (ms: number) => world.run(ms) };
}

/** A question on the wire. `unicast`: a unicast reply is wanted. */
export function question(name: string, type: string | number, unicast = false): Uint8Array {
  const number = typeof type === "number" ? type : (TYPES[type] as number);
  return concat(wireName(name), be16(number), be16(unicast ? 0x8001 : 1));
}

/** A record on the wire. `flush`: the only one of its name and type. */
export function mdnsRecord(
  name: string,
  type: string | number,
  ttl: number,
  data: string | Uint8Array,
  flush = false,
): Uint8Array {
  const number = typeof type === "number" ? type : (TYPES[type] as number);
  const bytes =
    typeof data !== "string"
      ? data
      : type === "A"
        ? ip4Bytes(data)
        : type === "AAAA"
          ? ip6Bytes(data)
          : type === "TXT"
            ? concat(Uint8Array.of(data.length), ascii(data))
            : wireName(data);
  return concat(wireName(name), be16(number), be16(flush ? 0x8001 : 1), be32(ttl), be16(bytes.length), bytes);
}

export function srv(port: number, target: string): Uint8Array {
  return concat(be16(0), be16(0), be16(port), wireName(target));
}

export interface Parts {
  id?: number;
  flags?: number;
  questions?: Uint8Array[];
  answers?: Uint8Array[];
  authorities?: Uint8Array[];
  additional?: Uint8Array[];
  counts?: number[];
}

export function message(parts: Parts): Uint8Array {
  const sections = [
    parts.questions ?? [],
    parts.answers ?? [],
    parts.authorities ?? [],
    parts.additional ?? [],
  ];
  const counts = parts.counts ?? sections.map((section) => section.length);
  return concat(be16(parts.id ?? 0), be16(parts.flags ?? 0), ...counts.map(be16), ...sections.flat());
}

export const response = (...answers: Uint8Array[]) => message({ flags: 0x8400, answers });
export const query = (...questions: Uint8Array[]) => message({ questions });

export interface ReadRecord {
  name: string;
  type: number;
  flush: boolean;
  ttl: number;
  /** Address, name, `port target`, strings, or hexadecimal. */
  data: string;
}

export interface ReadMessage {
  id: number;
  flags: number;
  response: boolean;
  truncated: boolean;
  questions: { name: string; type: number; unicast: boolean }[];
  answers: ReadRecord[];
  authorities: ReadRecord[];
  additional: ReadRecord[];
}

/** Reads a message by the book, apart from the stack's own code; throws when it is none. */
export function readMessage(bytes: Uint8Array): ReadMessage {
  let at = 12;
  const u16 = (offset: number) => {
    if (offset + 2 > bytes.length) throw new Error("short");
    return bytes[offset]! * 256 + bytes[offset + 1]!;
  };
  const nameAt = (from: number): [string, number] => {
    const labels: string[] = [];
    let after = -1;
    for (;;) {
      const length = bytes[from];
      if (length === undefined) throw new Error("name beyond the end");
      if (length === 0) return [labels.join("."), after < 0 ? from + 1 : after];
      if (length >= 192) {
        const to = u16(from) & 0x3fff;
        if (to >= from) throw new Error("pointer forward");
        if (after < 0) after = from + 2;
        from = to;
      } else if (length > 63) throw new Error("label");
      else {
        labels.push(String.fromCharCode(...bytes.subarray(from + 1, from + 1 + length)));
        from += 1 + length;
      }
    }
  };
  const counts = [4, 6, 8, 10].map(u16);
  const questions = Array.from({ length: counts[0]! }, () => {
    const [name, next] = nameAt(at);
    at = next + 4;
    return { name, type: u16(next), unicast: (u16(next + 2) & 0x8000) !== 0 };
  });
  const records = (count: number) =>
    Array.from({ length: count }, () => {
      const [name, next] = nameAt(at);
      const type = u16(next);
      const length = u16(next + 8);
      const start = next + 10;
      at = start + length;
      if (at > bytes.length) throw new Error("data beyond the end");
      const raw = bytes.subarray(start, at);
      const hex = Buffer.from(raw).toString("hex");
      let data = hex;
      if (type === 1) data = raw.join(".");
      else if (type === 28) data = hex.replace(/(....)(?=.)/g, "$1:");
      else if (type === 12) data = nameAt(start)[0];
      else if (type === 33) data = `${u16(start + 4)} ${nameAt(start + 6)[0]}`;
      else if (type === 16) data = JSON.stringify(Buffer.from(raw).toString("latin1"));
      return {
        name,
        type,
        flush: (u16(next + 2) & 0x8000) !== 0,
        ttl: u16(next + 4) * 65536 + u16(next + 6),
        data,
      };
    });
  const flags = u16(2);
  const read = {
    id: u16(0),
    flags,
    response: (flags & 0x8000) !== 0,
    truncated: (flags & 0x0200) !== 0,
    questions,
    answers: records(counts[1]!),
    authorities: records(counts[2]!),
    additional: records(counts[3]!),
  };
  if (at !== bytes.length) throw new Error("bytes behind the end");
  return read;
}

export const GROUP = "224.0.0.251";
export const GROUP6 = "ff02::fb";

export interface Overheard extends ReadMessage {
  /** Of the world, ms. */
  time: number;
  from: string;
  /** It came to us alone. */
  unicast: boolean;
  port: number;
  bytes: Uint8Array;
  /** Time to live on arrival. */
  ttl: number;
}

/** A host at the switch, with IPv4 or IPv6 by its address, that speaks by hand and hears everything: `spy.say(query(question("a.local", "A")))`. */
export function createSpy(
  t: ExecutionContext,
  lan: ReturnType<typeof createLan>,
  address = "10.0.0.200/24",
  ttl = 255,
) {
  const discovery = nd();
  const six = address.includes(":") ? ipv6({ linkLocal: false }) : null;
  const node = buildNode(t, lan.world, lan.middle.link(), six ? "" : address, {
    components: () => (six ? [igmp(), six, icmpv6(), discovery] : [igmp()]),
  });
  six?.addAddress(node.nif, address);
  const group = six ? GROUP6 : GROUP;
  const heard: Overheard[] = [];
  const open = (port: number): UdpSocket =>
    node.udp.open({
      multicastLoop: false,
      port,
      ttl,
      multicastTtl: ttl,
      onReadable() {
        const target = new Uint8Array(9000);
        const from = info();
        for (let length = this.receive(target, from); length >= 0; length = this.receive(target, from)) {
          const bytes = target.slice(0, length);
          heard.push({
            ...readMessage(bytes),
            bytes,
            time: lan.world.time,
            from: from.address,
            unicast: from.localAddress !== group,
            port,
            ttl: from.ttl!,
          });
        }
      },
    });
  const socket = open(5353);
  socket.join(group, node.nif);
  const legacy = open(40000);
  return {
    ...node,
    ip6: six,
    discovery,
    socket,
    /** Sends to all, or to one. */
    say: (bytes: Uint8Array, to = group) => socket.sendTo(to, 5353, bytes),
    /** As a resolver that knows no multicast. */
    sayLegacy: (bytes: Uint8Array, to = group) => legacy.sendTo(to, 5353, bytes),
    take: () => heard.splice(0),
  };
}

/** `"A 10.0.0.1 120 flush"` for each record. */
export function shortRecords(records: readonly ReadRecord[]): string[] {
  const names = Object.entries(TYPES);
  return records.map(({ type, data, ttl, flush, name }) => {
    const known = names.find(([, number]) => number === type)?.[0] ?? (type === 47 ? "NSEC" : String(type));
    return `${name} ${known} ${known === "NSEC" ? "" : data + " "}${ttl}${flush ? " flush" : ""}`;
  });
}

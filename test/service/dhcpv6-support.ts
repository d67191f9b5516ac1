/** A scripted DHCPv6 server behind a probe, built and read by code of its own: RFC 8415 section 18.3 unless a test says otherwise. */
import type { ExecutionContext } from "ava";
import { dhcpv6 } from "../../stack/service/dhcpv6.js";
import type {
  Dhcp6,
  Dhcp6Client,
  Dhcp6Configuration,
  Dhcp6Lease,
  Dhcp6Options,
} from "../../stack/service/dhcpv6.js";
import { concat, ip6Bytes } from "../support/bytes.js";
import { PROBE_IP6, PROBE_MAC, STACK_MAC, be16, be32, eth, frame, ip6, udp } from "../support/packets.js";
import { nd6, NA, probed6, targetLink } from "../support/packets6.js";
import type { Probed6, Probed6Options } from "../support/packets6.js";
import { parseFrame } from "../support/parse.js";

export const SERVER_DUID = Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 2);
export const CLIENT_DUID = Uint8Array.of(0, 3, 0, 1, 2, 0, 0, 0, 0, 1);
export const IAID = 1;
export const GIVEN = "fd00::100";

export const opt = (code: number, ...parts: Uint8Array[]): Uint8Array => {
  const value = concat(...parts);
  return concat(be16(code), be16(value.length), value);
};
export const iaAddress = (address: string, preferred = 1000, valid = 2000, ...more: Uint8Array[]) =>
  opt(5, ip6Bytes(address), be32(preferred), be32(valid), ...more);
export const iaPrefix = (prefix: string, length: number, preferred = 1000, valid = 2000) =>
  opt(26, be32(preferred), be32(valid), Uint8Array.of(length), ip6Bytes(prefix));
export const iaNa = (...more: Uint8Array[]) => opt(3, be32(IAID), be32(0), be32(0), ...more);
export const iaPd = (...more: Uint8Array[]) => opt(25, be32(IAID), be32(0), be32(0), ...more);
export const status = (code: number) => opt(13, be16(code));

/** The kinds of messages. */
export const types = (list: { type: number }[]): number[] => list.map(({ type }) => type);

/** What a client has said. */
export interface Asked {
  time: number;
  type: number;
  xid: Uint8Array;
  dst: string;
  src: string;
  bytes: Uint8Array;
  options: Map<number, Uint8Array>;
}

/** Reads a client's message; undefined when the frame is something else. Throws for what RFC 8415 forbids. */
export function readAsked(bytes: Uint8Array, time: number): Asked | undefined {
  const parsed = parseFrame(bytes);
  if (!parsed.udp || parsed.udp.dport !== 547) return undefined;
  if (parsed.faults.length > 0 || parsed.udp.sport !== 546) throw new Error(parsed.faults.join());
  const data = parsed.payload;
  const options = new Map<number, Uint8Array>();
  for (let at = 4; at < data.length;) {
    const code = data[at] * 256 + data[at + 1];
    const end = at + 4 + data[at + 2] * 256 + data[at + 3];
    if (end > data.length || options.has(code)) throw new Error("option " + code);
    options.set(code, data.slice(at + 4, end));
    at = end;
  }
  return {
    time,
    type: data[0],
    xid: data.slice(1, 4),
    dst: parsed.ip6!.dst,
    src: parsed.ip6!.src,
    bytes: data,
    options,
  };
}

export interface Ends {
  src?: string;
  dst?: string;
}

export class Server6 {
  readonly asked: Asked[] = [];
  silent = false;
  /** The associations and parameters that it gives. */
  given = [iaNa(iaAddress(GIVEN))];
  more: Uint8Array[] = [];
  advertised: Uint8Array[] = [];
  /** Says something else, or nothing. */
  script: ((asked: Asked) => Uint8Array | null | undefined) | null = null;

  constructor(readonly node: Probed6) {
    node.probe.onFrame = (bytes) => {
      const asked = readAsked(bytes, node.world.time);
      if (!asked) return;
      this.asked.push(asked);
      if (this.silent) return true;
      const reply = this.script ? this.script(asked) : undefined;
      if (reply === undefined) this.say(this.answer(asked));
      else if (reply !== null) this.say(reply);
      return true;
    };
  }

  answer(asked: Asked): Uint8Array {
    const type = asked.type === 1 ? 2 : 7;
    const body =
      asked.type === 4 || asked.type > 7 ? [status(0), ...this.more] : [...this.given, ...this.more];
    if (type === 2) body.push(...this.advertised);
    return message(type, asked.xid, ...body);
  }

  say(bytes: Uint8Array, ends: Ends = {}): void {
    this.node.world.at(0, () => this.node.probe.send(datagram(bytes, ends)));
  }

  take(): Asked[] {
    return this.asked.splice(0);
  }
}

/** A server's message with both identifiers. */
export const message = (type: number, xid: Uint8Array, ...options: Uint8Array[]): Uint8Array =>
  concat(Uint8Array.of(type), xid, opt(1, CLIENT_DUID), opt(2, SERVER_DUID), ...options);

export const datagram = (bytes: Uint8Array, ends: Ends = {}): Uint8Array =>
  frame(
    eth({ src: PROBE_MAC, dst: STACK_MAC }),
    ip6({ src: ends.src ?? PROBE_IP6, dst: ends.dst ?? "fe80::1" }),
    udp({ sport: 547, dport: 546 }),
    bytes,
  );

export interface Client6Test extends Probed6 {
  server: Server6;
  service: Dhcp6;
  client: Dhcp6Client;
  events: string[];
  leases: Dhcp6Lease[];
}

export interface Client6Options extends Probed6Options {
  client?: Dhcp6Options;
  dhcp?: Dhcp6Configuration;
  prepare?: (server: Server6) => void;
}

export function client6(t: ExecutionContext | null, options: Client6Options = {}): Client6Test {
  const service = dhcpv6(options.dhcp);
  const node = probed6(t, { addresses: ["fe80::1/64"], ...options, more6: () => [service] });
  const server = new Server6(node);
  options.prepare?.(server);
  const events: string[] = [];
  const leases: Dhcp6Lease[] = [];
  const client = service.open(node.nif, {
    delay: 0,
    onBound: (lease) => {
      leases.push(lease);
      events.push(
        "bound " + [...lease.addresses.map((a) => a.address), ...lease.prefixes.map((p) => p.prefix)].join(),
      );
    },
    onLost: (code) => events.push("lost " + code),
    ...options.client,
  });
  return { ...node, server, service, client, events, leases };
}

/** Somebody else has the address: answers its probe. */
export const taken = (node: Probed6, address: string): void =>
  node.probe.send(nd6(NA(address, "O"), { src: PROBE_IP6 }, targetLink()));

/** The DHCP server behind a probe that plays any number of clients and relay agents, and a store in memory. */
import type { ExecutionContext } from "ava";
import { dhcpServer } from "../../stack/service/dhcp-server.js";
import type {
  DhcpScope,
  DhcpScopeOptions,
  DhcpServer,
  DhcpServerConfiguration,
  LeaseStore,
} from "../../stack/service/dhcp-server.js";
import { ip4Bytes, ip4Text } from "../support/bytes.js";
import { BROADCAST_MAC, eth, frame, ip4, STACK_MAC, udp } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { probed } from "../support/probe.js";
import type { Probed } from "../support/probe.js";
import type { NetworkOptions } from "../support/network.js";
import { message } from "./dhcp-messages.js";
import type { Option, ReplyFields } from "./dhcp-messages.js";

/** What a client says. */
export interface RequestFields extends ReplyFields {
  giaddr?: string;
  hops?: number;
  broadcast?: boolean;
  /** Source address of the datagram; default the client's, or 0.0.0.0. */
  from?: string;
  /** Destination; default everyone. */
  to?: string;
}

/** What the server has answered. */
export interface Answer {
  type: number;
  yiaddr: string;
  ciaddr: string;
  giaddr: string;
  xid: number;
  broadcast: boolean;
  /** Where it went. */
  dst: string;
  mac: string;
  port: number;
  options: Map<number, Uint8Array>;
  size: number;
}

export const SERVER = "10.0.0.1";

/** The frame of a request. */
export function requestFrame(fields: RequestFields): Uint8Array {
  const bytes = message({ op: 1, server: "", ...fields });
  if (fields.hops) bytes[3] = fields.hops;
  if (fields.broadcast) bytes[10] = 0x80;
  if (fields.giaddr) bytes.set(ip4Bytes(fields.giaddr), 24);
  const to = fields.to ?? (fields.giaddr ? SERVER : "255.255.255.255");
  return frame(
    eth({
      dst: to === "255.255.255.255" ? BROADCAST_MAC : STACK_MAC,
      src: fields.chaddr ?? "02:00:00:00:01:00",
    }),
    ip4({ src: fields.from ?? fields.giaddr ?? fields.ciaddr ?? "0.0.0.0", dst: to }),
    udp({ sport: fields.giaddr ? 67 : 68, dport: 67 }),
    bytes,
  );
}

export function readAnswer(bytes: Uint8Array): Answer | undefined {
  const parsed = parseFrame(bytes);
  if (!parsed.udp || parsed.udp.sport !== 67) return undefined;
  if (parsed.faults.length > 0) throw new Error(parsed.faults.join());
  const data = parsed.payload;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const options = new Map<number, Uint8Array>();
  let at = 240;
  while (data[at] !== 255) {
    const code = data[at]!;
    if (code === 0) {
      at++;
      continue;
    }
    const piece = data.slice(at + 2, at + 2 + data[at + 1]!);
    options.set(code, Uint8Array.from([...(options.get(code) ?? []), ...piece]));
    at += 2 + data[at + 1]!;
    if (at >= data.length) throw new Error("an option that lies");
  }
  return {
    type: options.get(53)![0]!,
    yiaddr: ip4Text(data.subarray(16, 20)),
    ciaddr: ip4Text(data.subarray(12, 16)),
    giaddr: ip4Text(data.subarray(24, 28)),
    xid: view.getUint32(4),
    broadcast: data[10] === 0x80,
    dst: parsed.ip4!.dst,
    mac: parsed.eth!.dst,
    port: parsed.udp.dport,
    options,
    size: data.length,
  };
}

/** Hardware addresses of clients. */
export const mac = (n: number) =>
  `02:00:00:01:${(n >> 8).toString(16).padStart(2, "0")}:${(n & 255).toString(16).padStart(2, "0")}`;

export interface ServerTest extends Probed {
  server: DhcpServer;
  scope: DhcpScope;
  events: string[];
  /** Sends a request, and takes what comes back at once. */
  ask(fields: RequestFields): Answer | undefined;
  /** Discover, offer, request; the last answer. */
  lease(client: number, ...options: Option[]): Answer | undefined;
  /** Answers that have come. */
  answers(): Answer[];
}

export interface ServerTestOptions extends NetworkOptions {
  scope?: Partial<DhcpScopeOptions>;
  server?: DhcpServerConfiguration;
}

export function serverTest(t: ExecutionContext | null, options: ServerTestOptions = {}): ServerTest {
  const events: string[] = [];
  const server = dhcpServer({
    onLease: ({ address, hostName }, present) => events.push(`${present ? "+" : "-"}${address} ${hostName}`),
    ...options.server,
  });
  const node = probed(t, { ...options, components: () => [...(options.components?.() ?? []), server] });
  const scope = server.serve({
    interface: node.nif,
    network: "10.0.0.0/24",
    pools: ["10.0.0.100-10.0.0.109"],
    leaseTime: 3600,
    ...options.scope,
  });
  const answers = () =>
    node.probe
      .take()
      .map(readAnswer)
      .filter((answer) => answer !== undefined);
  const test: ServerTest = {
    ...node,
    server,
    scope,
    events,
    answers,
    ask(fields) {
      answers();
      node.probe.send(requestFrame(fields));
      return answers()[0];
    },
    lease(client, ...more) {
      const base = { xid: client + 1, chaddr: mac(client), options: more };
      const offer = test.ask({ ...base, type: 1 });
      if (!offer) return undefined;
      const chosen: Option[] = [
        [50, ip4Bytes(offer.yiaddr)],
        [54, offer.options.get(54)!],
      ];
      return test.ask({ ...base, type: 3, options: [...more, ...chosen] });
    },
  };
  return test;
}

/** A store that keeps its records while servers come and go. */
export class MemoryStore implements LeaseStore {
  records: string[] = [];
  appends = 0;
  rewrites = 0;
  fails = false;
  /** Seconds since 1970. */
  seconds = 1_800_000_000;

  load(take: (record: string) => void): void {
    for (const record of this.records.slice()) take(record);
  }

  append(record: string): boolean {
    if (this.fails) return false;
    this.appends++;
    this.records.push(record);
    return true;
  }

  rewrite(records: string[]): boolean {
    if (this.fails) return false;
    this.rewrites++;
    this.records = records.slice();
    return true;
  }

  time(): number {
    return this.seconds;
  }
}

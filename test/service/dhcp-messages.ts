/** DHCP messages for tests, built and read by code of its own: `reply(request, { type: 2, yiaddr: "10.0.0.50", options: [...] })`. */
import { concat, ip4Bytes, ip4Text, macBytes, macText } from "../support/bytes.js";
import {
  be16,
  be32,
  BROADCAST_MAC,
  eth,
  frame,
  ip4,
  PROBE_IP,
  PROBE_MAC,
  STACK_MAC,
  udp,
} from "../support/packets.js";
import { parseFrame } from "../support/parse.js";

/** An option, or bytes to stand among the options as they are. */
export type Option = [code: number, value: Uint8Array] | Uint8Array;

/** What a client has said. */
export interface Request {
  time: number;
  /** Message type: 1 discover, 3 request, 4 decline, 7 release, 8 inform. */
  type: number;
  xid: number;
  secs: number;
  broadcast: boolean;
  ciaddr: string;
  chaddr: string;
  /** IP source and destination, and Ethernet destination. */
  src: string;
  dst: string;
  mac: string;
  /** Bytes of the message. */
  size: number;
  options: Map<number, Uint8Array>;
  /** Options 50 and 54, or undefined. */
  requested: string | undefined;
  server: string | undefined;
}

/** Reads a client's message out of a frame; undefined when it is something else. Throws for what RFC 2131 forbids. */
export function readRequest(bytes: Uint8Array, time: number): Request | undefined {
  const parsed = parseFrame(bytes);
  if (!parsed.udp || parsed.udp.dport !== 67) return undefined;
  const check = (good: boolean, what: string) => {
    if (!good) throw new Error("client sends " + what);
  };
  check(parsed.faults.length === 0, parsed.faults.join());
  check(parsed.udp.sport === 68, "from another port");
  const data = parsed.payload;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  check(data.length >= 300 && data.length <= 1024, `${data.length} bytes`);
  check(view.getUint32(0) >>> 8 === 0x010106 && data[3] === 0, "op, htype, hlen, hops");
  check(view.getUint32(236) === 0x63825363, "a bad cookie");
  const options = new Map<number, Uint8Array>();
  let at = 240;
  while (data[at] !== 255) {
    check(at + 2 + data[at + 1] < data.length, "an option that lies");
    check(!options.has(data[at]), "an option twice");
    options.set(data[at], data.slice(at + 2, at + 2 + data[at + 1]));
    at += 2 + data[at + 1];
  }
  check(
    data.subarray(at + 1).every((byte) => byte === 0),
    "garbage behind the end",
  );
  const address = (code: number) => (options.has(code) ? ip4Text(options.get(code)!) : undefined);
  return {
    time,
    type: options.get(53)![0],
    xid: view.getUint32(4),
    secs: view.getUint16(8),
    broadcast: data[10] === 0x80,
    ciaddr: ip4Text(data.subarray(12, 16)),
    chaddr: macText(data.subarray(28, 34)),
    src: parsed.ip4!.src,
    dst: parsed.ip4!.dst,
    mac: parsed.eth!.dst,
    size: data.length,
    options,
    requested: address(50),
    server: address(54),
  };
}

export interface ReplyFields {
  type?: number;
  op?: number;
  htype?: number;
  hlen?: number;
  xid?: number;
  yiaddr?: string;
  ciaddr?: string;
  chaddr?: string;
  /** Whole fields, 64 and 128 bytes; shorter ones are padded with zeros. */
  sname?: Uint8Array;
  file?: Uint8Array;
  cookie?: number;
  server?: string;
  options?: Option[];
  /** False: no end option. */
  end?: boolean;
  /** Cuts the message. */
  length?: number;
}

/** The bytes of a server's message. */
export function message(fields: ReplyFields): Uint8Array {
  const { type = 2, server = PROBE_IP, end = true } = fields;
  const head = new Uint8Array(240);
  head.set([fields.op ?? 2, fields.htype ?? 1, fields.hlen ?? 6]);
  head.set(be32(fields.xid ?? 0), 4);
  head.set(ip4Bytes(fields.ciaddr ?? "0.0.0.0"), 12);
  head.set(ip4Bytes(fields.yiaddr ?? "0.0.0.0"), 16);
  head.set(macBytes(fields.chaddr ?? STACK_MAC), 28);
  head.set(fields.sname ?? [], 44);
  head.set(fields.file ?? [], 108);
  head.set(be32(fields.cookie ?? 0x63825363), 236);
  const options: Option[] = [];
  if (type) options.push([53, Uint8Array.of(type)]);
  if (server) options.push([54, ip4Bytes(server)]);
  options.push(...(fields.options ?? []));
  const whole = concat(head, ...options.map(optionBytes), Uint8Array.from(end ? [255] : []));
  return whole.slice(0, fields.length ?? whole.length);
}

export function optionBytes(option: Option): Uint8Array {
  return option instanceof Uint8Array
    ? option
    : concat(Uint8Array.of(option[0], option[1].length), option[1]);
}

/** A server's message in its frame: to everyone, unless `to` is the client's address. */
export function replyFrame(bytes: Uint8Array, src = PROBE_IP, to?: string): Uint8Array {
  return frame(
    eth({ dst: to ? STACK_MAC : BROADCAST_MAC, src: PROBE_MAC }),
    ip4({ src, dst: to ?? "255.255.255.255" }),
    udp({ sport: 67, dport: 68 }),
    bytes,
  );
}

export const address = (code: number, ...texts: string[]): Option => [code, concat(...texts.map(ip4Bytes))];
export const seconds = (code: number, value: number): Option => [code, be32(value)];
export const short = (code: number, value: number): Option => [code, be16(value)];
export const text = (code: number, value: string): Option => [
  code,
  Uint8Array.from(Buffer.from(value, "latin1")),
];

/** Names as in DNS, without compression: for option 119. */
export function domains(...names: string[]): Uint8Array {
  return concat(
    ...names.map((name) =>
      concat(
        ...name.split(".").map((label) => concat(Uint8Array.of(label.length), Buffer.from(label))),
        Uint8Array.of(0),
      ),
    ),
  );
}

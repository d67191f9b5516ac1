/**
 * A TCP peer played by hand, and a stack under test: `const { peer, socket } = accepted(t)`.
 *
 * Sequence numbers in tests count from the initial ones: 0 is a SYN, 1 the first byte. `send` fills in what a well-behaved
 * peer would (the next number of its own, an acknowledgement of all that `expect` has seen) unless the test says otherwise.
 */
import type { ExecutionContext } from "ava";
import type { Connection } from "../../stack/tcp/connection.js";
import { tcp as createTcp } from "../../stack/tcp/tcp.js";
import type { Tcp, TcpConfiguration, TcpConnectOptions } from "../../stack/tcp/tcp.js";
import type { Listener, TcpListenOptions } from "../../stack/tcp/listener.js";
import type { TcpHandlers, TcpSocket } from "../../stack/tcp/socket.js";
import { expectFrame } from "../support/expect.js";
import type { NetworkOptions } from "../support/network.js";
import { PROBE_IP, eth, frame, ip4, tcp, tcpOptions } from "../support/packets.js";
import type { Payload, TcpOptionFields } from "../support/packets.js";
import type { Parsed, ParsedTcp } from "../support/parse.js";
import { parseFrame } from "../support/parse.js";
import { probed } from "../support/probe.js";
import type { Probed, ProbeOptions } from "../support/probe.js";

export interface LabOptions extends NetworkOptions {
  tcp?: TcpConfiguration;
  probe?: ProbeOptions;
}

export interface Lab extends Probed {
  t: ExecutionContext;
  tcp: Tcp;
  run(ms: number): void;
}

/** A stack with TCP, and the probe at the other end of its link. */
export function lab(t: ExecutionContext, options: LabOptions = {}): Lab {
  const part = createTcp(options.tcp);
  const more = options.components;
  const node = probed(t, { ...options, components: () => [part, ...(more?.() ?? [])] });
  return { ...node, t, tcp: part, run: (ms) => node.world.run(ms) };
}

/** What a segment of the peer's is to have beyond the usual. Sequence numbers are relative. */
export interface Fields {
  /** Default: the next. */
  seq?: number;
  /** Default: all that `expect` has seen. */
  ack?: number;
  /** As it stands in the header; default `peer.window`. */
  window?: number;
  /** Edges in the stack's sequence space. */
  sack?: [number, number][];
  /** TSval and TSecr; null: no option. Default: `peer.clock` and the last TSval seen, where timestamps were agreed upon. */
  timestamps?: [number, number] | null;
  mss?: number;
  windowScale?: number;
  sackPermitted?: boolean;
  fastOpen?: Uint8Array;
  urgent?: number;
  checksum?: number;
  /** Instead of all options. */
  options?: Uint8Array;
  src?: string;
  dst?: string;
  /** TOS of the IP header. */
  tos?: number;
}

/** What a segment of the stack's must be. Sequence numbers are relative. */
export interface Wanted {
  seq?: number;
  ack?: number;
  window?: number | ((window: number) => boolean);
  /** Edges in the peer's sequence space; undefined: not compared; null: there must be none. */
  sack?: [number, number][] | null;
  timestamps?: ((stamps: [number, number]) => boolean) | null;
  payload?: Payload;
  length?: number;
}

/** A segment of the stack's, read; sequence numbers are relative. */
export interface Seen {
  flags: string;
  seq: number;
  ack: number;
  window: number;
  length: number;
  payload: Uint8Array;
  tcp: ParsedTcp;
  sack?: [number, number][];
}

export class Peer {
  /** Own next sequence number, and the next one of the stack's. */
  seq = 0;
  ack = 0;
  /** What `send` puts into the window field. */
  window = 65535;
  /** Timestamps are in use. */
  stamped = false;
  /** The peer's clock for them. */
  clock = 5000;
  /** Last TSval of the stack's. */
  echo = 0;
  /** The initial sequence numbers: the peer's, and the stack's once its SYN has been seen. */
  readonly iss: number;
  irs = 0;
  address = PROBE_IP;

  constructor(
    readonly lab: Lab,
    readonly port: number,
    public stackPort: number,
    iss = 1000,
  ) {
    this.iss = iss >>> 0;
  }

  /** Makes a frame. */
  build(flags: string | number, fields: Fields = {}, payload: Payload = ""): Uint8Array {
    const options: TcpOptionFields = {};
    if (fields.mss !== undefined) options.mss = fields.mss;
    if (fields.windowScale !== undefined) options.windowScale = fields.windowScale;
    if (fields.sackPermitted) options.sackPermitted = true;
    if (fields.fastOpen) options.fastOpen = fields.fastOpen;
    const stamps = fields.timestamps === undefined && this.stamped ? this.stamps() : fields.timestamps;
    if (stamps) options.timestamps = [stamps[0] >>> 0, stamps[1] >>> 0];
    if (fields.sack) {
      options.sack = fields.sack.map(([left, right]) => [(left + this.irs) >>> 0, (right + this.irs) >>> 0]);
    }
    return frame(
      eth(),
      ip4({ src: fields.src ?? this.address, dst: fields.dst, df: true, tos: fields.tos }),
      tcp({
        sport: this.port,
        dport: this.stackPort,
        flags,
        seq: ((fields.seq ?? this.seq) + this.iss) >>> 0,
        ack: hasAck(flags) || fields.ack !== undefined ? ((fields.ack ?? this.ack) + this.irs) >>> 0 : 0,
        window: fields.window ?? this.window,
        urgent: fields.urgent,
        checksum: fields.checksum,
        options: fields.options ?? tcpOptions(options),
      }),
      payload,
    );
  }

  /** Sends a segment; one whose `seq` is not given takes its room in the sequence space. */
  send(flags: string | number, fields: Fields = {}, payload: Payload = ""): void {
    const bytes = this.build(flags, fields, payload);
    if (fields.seq === undefined) {
      const bits = bytes[47];
      this.seq += (bits & 2 ? 1 : 0) + (bits & 1 ? 1 : 0) + lengthOf(payload);
    }
    this.lab.probe.send(bytes);
  }

  /** Sends `length` bytes of the pattern from stream offset `from` (0: the first byte) on. */
  data(from: number, length: number, fields: Fields = {}, flags = "A"): void {
    this.send(flags, { seq: 1 + from, ...fields }, patternFrom(from, length));
    this.seq = Math.max(this.seq, 1 + from + length);
  }

  /** Takes the next frame, which must be this segment, and remembers what it said. */
  expect(flags: string, wanted: Wanted = {}): Seen {
    const { lab } = this;
    const bytes = lab.probe.next();
    if (bytes && flags.includes("S") && !flags.includes("R")) this.irs = parseFrame(bytes).tcp?.seq ?? 0;
    const fields: Record<string, unknown> = { sport: this.stackPort, dport: this.port, flags };
    if (wanted.seq !== undefined) fields.seq = (wanted.seq + this.irs) >>> 0;
    if (wanted.ack !== undefined) fields.ack = (wanted.ack + this.iss) >>> 0;
    if (wanted.window !== undefined) fields.window = wanted.window;
    if (wanted.timestamps === null) fields.timestamps = undefined;
    else if (wanted.timestamps) fields.timestamps = wanted.timestamps;
    if (wanted.sack === null) fields.sack = undefined;
    else if (wanted.sack) {
      fields.sack = wanted.sack.map(([left, right]) => [(left + this.iss) >>> 0, (right + this.iss) >>> 0]);
    }
    const parsed = expectFrame(lab.t, bytes, {
      tcp: fields,
      payload: wanted.payload,
      length: wanted.length,
    });
    return this.note(parsed);
  }

  /** Takes all frames that wait, and remembers what they said. */
  take(): Seen[] {
    return this.lab.probe.takeParsed().map((parsed) => this.note(parsed));
  }

  /** The stack has said nothing (more). */
  silent(message?: string): void {
    const seen = this.take().map(show);
    this.lab.t.deepEqual(seen, [], message);
  }

  private note(parsed: Parsed): Seen {
    const segment = parsed.tcp ?? ({ flags: "", seq: 0, ack: 0, window: 0 } as ParsedTcp);
    const seq = (segment.seq - this.irs) | 0;
    const length = parsed.payload.length;
    const end = seq + length + (/[SF]/.test(segment.flags) ? 1 : 0);
    if (!segment.flags.includes("R") && end > this.ack) this.ack = end;
    if (segment.timestamps) this.echo = segment.timestamps[0];
    return {
      flags: segment.flags,
      seq,
      ack: segment.flags.includes("A") ? (segment.ack - this.iss) | 0 : 0,
      window: segment.window,
      length,
      payload: parsed.payload,
      tcp: segment,
      sack: segment.sack?.map(([left, right]) => [(left - this.iss) | 0, (right - this.iss) | 0]),
    };
  }

  private stamps(): [number, number] {
    return [this.clock + Math.floor(this.lab.world.time), this.echo];
  }
}

/** One line a segment, for lists in tests: `"A 1:101 ack 1"`. */
export function show(seen: Seen): string {
  const range = seen.length > 0 ? `${seen.seq}:${seen.seq + seen.length}` : String(seen.seq);
  const sack = seen.sack ? " sack " + seen.sack.map((edges) => edges.join(":")).join(" ") : "";
  return `${seen.flags} ${range}` + (seen.flags.includes("A") ? ` ack ${seen.ack}` : "") + sack;
}

/** Bytes of the pattern as the streams of these tests carry it. */
export function patternFrom(from: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = streamByte(from + i);
  return bytes;
}

export function streamByte(offset: number): number {
  return ((offset % 251) + Math.floor(offset / 251) * 7) & 255;
}

/** A socket's events, written down. */
export interface Log {
  socket: TcpSocket;
  events: string[];
}

/** Handlers that write down what they are told. */
export function logger(events: string[]): TcpHandlers {
  return {
    onConnect: () => void events.push("connect"),
    onReadable: (count) => void events.push("readable " + count),
    onWritable: (count) => void events.push("writable " + count),
    onEnd: () => void events.push("end"),
    onClose: (code) => void events.push("close " + code),
  };
}

export interface Met extends Log {
  lab: Lab;
  peer: Peer;
  t: ExecutionContext;
  run(ms: number): void;
  /** The socket's connection, for tests of what no segment shows. */
  c: Connection;
}

export interface MeetOptions extends LabOptions {
  lab?: Lab;
  /** Options of the peer's SYN; default MSS 1460 and nothing else. */
  syn?: Fields;
  port?: number;
  stackPort?: number;
  iss?: number;
  /** Window field of the peer's segments after the handshake. */
  window?: number;
  listen?: Partial<TcpListenOptions>;
  connect?: Partial<TcpConnectOptions>;
}

/** A SYN with all options. */
export const ALL_OPTIONS: Fields = { mss: 1460, sackPermitted: true, windowScale: 7, timestamps: [5000, 0] };
/** A SYN with MSS and SACK. */
export const WITH_SACK: Fields = { mss: 1460, sackPermitted: true };

const listeners = new WeakMap<Tcp, Map<number, Listener>>();
const arrived = new WeakMap<Listener, TcpSocket[]>();

/** The listener of a lab at a port. */
export function listening(lab: Lab, port = 80, options: Partial<TcpListenOptions> = {}): Listener {
  const known = listeners.get(lab.tcp) ?? new Map<number, Listener>();
  listeners.set(lab.tcp, known);
  const found = known.get(port);
  if (found && !found.closed) return found;
  const sockets: TcpSocket[] = [];
  const listener = lab.tcp.listen({ port, onConnection: (socket) => void sockets.push(socket), ...options });
  known.set(port, listener);
  arrived.set(listener, sockets);
  return listener;
}

/** A connection that the peer has opened. */
export function accepted(t: ExecutionContext, options: MeetOptions = {}): Met {
  const home = options.lab ?? lab(t, options);
  const listener = listening(home, options.stackPort ?? 80, options.listen);
  const peer = new Peer(home, options.port ?? 40000, listener.port, options.iss);
  const syn = options.syn ?? { mss: 1460 };
  peer.send("S", syn);
  const reply = peer.expect("SA", { ack: 1 });
  peer.stamped = Boolean(syn.timestamps && reply.tcp.timestamps);
  if (options.window !== undefined) peer.window = options.window;
  peer.send("A");
  const socket = arrived.get(listener)!.shift()!;
  return meet(t, home, peer, socket);
}

/** A connection that the stack has opened. */
export function connected(t: ExecutionContext, options: MeetOptions = {}): Met {
  const home = options.lab ?? lab(t, options);
  const events: string[] = [];
  const port = options.port ?? 7000;
  const socket = home.tcp.connect({ address: PROBE_IP, port, ...logger(events), ...options.connect });
  const peer = new Peer(home, port, socket.localPort(), options.iss);
  const syn = peer.expect("S");
  const reply: Fields = { ...(options.syn ?? { mss: 1460 }) };
  if (reply.timestamps) reply.timestamps = [reply.timestamps[0], syn.tcp.timestamps?.[0] ?? 0];
  peer.stamped = Boolean(reply.timestamps && syn.tcp.timestamps);
  peer.send("SA", reply);
  peer.expect("A", { seq: 1, ack: 1 });
  if (options.window !== undefined) {
    peer.window = options.window;
    peer.send("A");
  }
  return meet(t, home, peer, socket, events);
}

function meet(t: ExecutionContext, home: Lab, peer: Peer, socket: TcpSocket, events?: string[]): Met {
  const own = events ?? [];
  if (!events) socket.handle(logger(own));
  home.run(0);
  return { lab: home, peer, t, socket, events: own, run: home.run, c: connectionOf(socket) };
}

/** The connection behind a socket. */
export function connectionOf(socket: TcpSocket): Connection {
  return (socket as unknown as { connection: Connection }).connection;
}

/** Reads all that a socket has, and checks it against the pattern from stream offset `from` on. */
export function drain(t: ExecutionContext, socket: TcpSocket, from: number): number {
  const target = new Uint8Array(65536);
  let at = from;
  for (;;) {
    const n = socket.read(target);
    if (n <= 0) return at;
    for (let i = 0; i < n; i++) {
      if (target[i] !== streamByte(at + i)) {
        t.fail("byte " + (at + i) + " is wrong");
        return at;
      }
    }
    at += n;
  }
}

function hasAck(flags: string | number): boolean {
  return typeof flags === "number" ? (flags & 16) !== 0 : flags.includes("A");
}

function lengthOf(payload: Payload): number {
  return typeof payload === "number" ? payload : payload.length;
}

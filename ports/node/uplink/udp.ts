/** Datagrams out: each source has a socket of the host's, the same for all it talks to (RFC 4787), and hears from those alone. */
import { createSocket } from "node:dgram";
import type { RemoteInfo, Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { get16, put16 } from "../../../stack/core/bytes.js";
import { setting } from "../../../stack/core/errors.js";
import type { Network, Path } from "../../../stack/core/network.js";
import type { Packet } from "../../../stack/core/packet.js";
import { checksumValid, fillChecksum } from "../../../stack/core/transport.js";
import { ports } from "./uplink.js";
import type { UplinkOptions, UserUplink } from "./uplink.js";

const PROTOCOL_UDP = 17;
const UDP_HEADER = 8;
const UDP_CHECKSUM = 6;
/** Remote ends that one source talks to; the oldest is forgotten for a new one. */
const PEERS = 256;
/** Bytes that may wait in Node for the kernel. */
const QUEUE_LIMIT = 256 * 1024;

/** A remote end as its source knows it: the way back, and the port it has there. */
interface Peer {
  readonly path: Path;
  readonly port: number;
}

class Mapping {
  readonly peers = new Map<string, Peer>();
  used = performance.now();
  /** Queries of DNS that nobody has answered: the next one goes to the next resolver. */
  unanswered = 0;

  constructor(
    readonly key: string,
    readonly port: number,
    readonly socket: Socket,
  ) {}
}

export class UdpFlows {
  /** Which of the host's resolvers is asked. */
  turn = 0;
  private readonly mappings = new Map<string, Mapping>();
  private readonly limit: number;
  private readonly timeout: number;
  private sweeper: NodeJS.Timeout | null = null;

  constructor(
    private readonly uplink: UserUplink,
    options: UplinkOptions,
  ) {
    this.limit = setting(options.mappings, 512, 1, 65536, "mappings");
    this.timeout = setting(options.udpTimeout, 120_000, 1, 3_600_000, "udpTimeout");
  }

  get size(): number {
    return this.mappings.size;
  }

  /** Takes a datagram; true: it is for a socket of the stack. */
  input(packet: Packet, ours: boolean): boolean {
    const { data, start, end } = packet;
    const { uplink } = this;
    const { counters } = uplink;
    const length = end - start < UDP_HEADER ? 0 : get16(data, start + 4);
    if (length < UDP_HEADER || length > end - start) return true;
    const net = packet.net as Network;
    const { from, to } = ports(packet);
    const destination = net.destinationText(packet);
    if (from === 0 || to === 0) return true;
    if (ours && (!uplink.isAlias(destination, to) || this.isOwnService(to))) return true;
    packet.end = start + length;
    const unsummed = net.family === 4 && get16(data, start + UDP_CHECKSUM) === 0;
    if (!unsummed && !checksumValid(uplink.stack, packet, PROTOCOL_UDP)) {
      counters.badsum++;
      return false;
    }
    const source = net.sourceText(packet);
    const target = uplink.target("udp", source, destination, to);
    if (!target) {
      uplink.unreachable(packet, true);
      return false;
    }
    const six = isIPv6(target.address);
    const mapping = this.mappingFor(`${six ? 6 : 4} ${source} ${from}`, from, six);
    if (!mapping) {
      counters.full++;
      return false;
    }
    mapping.used = performance.now();
    if (destination !== target.address && to === 53 && ++mapping.unanswered > 1) this.turn++;
    const key = `${target.address} ${target.port}`;
    if (!mapping.peers.has(key)) {
      if (mapping.peers.size >= PEERS) mapping.peers.delete(mapping.peers.keys().next().value!);
      const path = net.createPath();
      net.setReply(path, packet);
      mapping.peers.set(key, { path, port: to });
    }
    // Before it is bound the socket tells no size; `send` binds it.
    if (mapping.socket.getSendQueueSize() > QUEUE_LIMIT) {
      counters.sendFailed++;
      return false;
    }
    counters.datagramsOut++;
    const bytes = Buffer.from(data.subarray(start + UDP_HEADER, packet.end));
    mapping.socket.send(bytes, target.port, target.address, (error) => {
      if (error) counters.sendFailed++;
    });
    return false;
  }

  close(): void {
    for (const mapping of this.mappings.values()) mapping.socket.close();
    this.mappings.clear();
    if (this.sweeper) clearInterval(this.sweeper);
    this.sweeper = null;
  }

  private mappingFor(key: string, port: number, six: boolean): Mapping | null {
    const known = this.mappings.get(key);
    if (known) return known;
    if (this.mappings.size >= this.limit) return null;
    const socket = createSocket({ type: six ? "udp6" : "udp4", ipv6Only: six });
    const mapping = new Mapping(key, port, socket);
    socket.on("message", (bytes, from) => this.back(mapping, bytes, from));
    // A port or a buffer that the host would not give: what was sent is lost, and its source asks again.
    socket.on("error", () => {
      this.uplink.counters.sendFailed++;
      if (this.mappings.get(key) === mapping) this.drop(mapping);
    });
    this.mappings.set(key, mapping);
    this.sweeper ??= setInterval(() => this.sweep(), Math.max(this.timeout / 4, 1)).unref();
    return mapping;
  }

  private back(mapping: Mapping, bytes: Buffer, from: RemoteInfo): void {
    const { stack, counters } = this.uplink;
    const peer = mapping.peers.get(`${from.address} ${from.port}`);
    if (!peer) {
      counters.strangers++;
      return;
    }
    mapping.used = performance.now();
    mapping.unanswered = 0;
    const { path } = peer;
    const packet = stack.prepare(UDP_HEADER + bytes.length);
    if (!packet || path.net.route(path) < 0) {
      counters.sendFailed++;
      return;
    }
    const { data, start } = packet;
    put16(data, start, peer.port);
    put16(data, start + 2, mapping.port);
    put16(data, start + 4, UDP_HEADER + bytes.length);
    data.set(bytes, start + UDP_HEADER);
    fillChecksum(stack, packet, path, PROTOCOL_UDP, start + UDP_CHECKSUM, 0xffff);
    if (path.net.output(packet, path, PROTOCOL_UDP) < 0) counters.sendFailed++;
    else counters.datagramsIn++;
  }

  private sweep(): void {
    const oldest = performance.now() - this.timeout;
    for (const mapping of this.mappings.values()) {
      if (mapping.used < oldest) this.drop(mapping);
    }
    if (this.mappings.size === 0) this.close();
  }

  private drop(mapping: Mapping): void {
    this.mappings.delete(mapping.key);
    mapping.socket.close();
  }

  private isOwnService(port: number): boolean {
    let socket = this.uplink.udp.sockets.first(port);
    while (socket && socket.port !== port) socket = socket.nextInBucket;
    return socket !== null;
  }
}

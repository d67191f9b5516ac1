/**
 * A WireGuard interface: a link of bare IP packets, each to the peer that has its destination (section 5.4.6), over UDP. What comes in is
 * device-input.ts.
 */
import { CIPHER_DONE } from "../../hypercall/crypto.js";
import type { AgreementKey, CipherJob } from "../../hypercall/crypto.js";
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { get16, put32 } from "../core/bytes.js";
import { pathTo } from "../core/datagrams.js";
import { EADDRNOTAVAIL, fail, requireInteger, setting } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Path } from "../core/network.js";
import { Packet } from "../core/packet.js";
import { RateLimit } from "../core/rate.js";
import type { Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import { fillChecksum } from "../core/transport.js";
import { tosOf } from "../tunnel/ecn.js";
import { NESTING } from "../tunnel/tunnel.js";
import type { UdpSocket } from "../udp/udp.js";
import { IPV4_DESTINATION, IPV4_HEADER } from "../wire/ipv4.js";
import { IPV6_DESTINATION, IPV6_HEADER } from "../wire/ipv6.js";
import { UDP_CHECKSUM, UDP_HEADER, UDP_LENGTH } from "../wire/udp.js";
import * as wire from "../wire/wireguard.js";
import { AllowedIps } from "./allowed-ips.js";
import { CookieChecker } from "./cookies.js";
import { input } from "./device-input.js";
import { Handshake } from "./handshake.js";
import { isKey, Peer, Session } from "./peer.js";
import { KEY } from "./suite.js";
import type { Suite } from "./suite.js";
import type { Wireguard, WireguardCounters } from "./wireguard.js";

const PROTOCOL_UDP = 17;
/** Room before a packet of ours for the headers of UDP, the network and the link. */
const ROOM = 160;
/** Packets that wait for a handshake, each with its two bytes of length. */
const QUEUE_BYTES = 32768;

export interface DeviceOptions {
  /** 32 bytes. It is copied; the caller erases its own. */
  privateKey: Uint8Array;
  /** UDP port. Default 51820; 0: a random one. */
  port?: number;
  /** Largest inner packet. Default 1420, which fits over IPv6 on Ethernet. */
  mtu?: number;
  /** Peers at most. Default 64. */
  peers?: number;
  /** Prefixes of all peers at most, in each family. Default 1024. */
  prefixes?: number;
  /** Handshakes a second that are dealt with for anybody; above that a sender must show that it can receive (a cookie). Default 10. */
  load?: number;
}

export interface PeerOptions {
  /** Its static key, 32 bytes. */
  publicKey: Uint8Array;
  /** 32 bytes that both have besides. */
  presharedKey?: Uint8Array;
  /** Where it is. Default: it comes to us, and is known then. */
  endpoint?: { address: string; port: number };
  /** Prefixes that it sends from, and that are sent to it. */
  allowedIps: string[];
  /** Seconds between keepalives, 1..65535, for what is behind a NAT. Default 0: none but those that the protocol has. */
  keepalive?: number;
}

/** What is known of a peer. */
export interface PeerStatus {
  /** Address and port; null: not known yet. */
  endpoint: { address: string; port: number } | null;
  /** By the component's clock, ms; 0: there was none. */
  lastHandshake: number;
  /** Bytes of packets in and out. */
  received: number;
  sent: number;
}

export class Device implements Link {
  readonly medium = "ip";
  readonly mtu: number;
  readonly key: AgreementKey;
  readonly suite: Suite;
  readonly counters: WireguardCounters;
  receiver: LinkReceiver | null = null;
  readonly peers: Peer[] = [];
  private readonly sessions = new Table<Session>();
  /** @internal */
  readonly allowed: AllowedIps<Peer>;
  /** @internal */
  readonly checker: CookieChecker;
  /** @internal */
  readonly heard: Handshake;
  /** @internal */
  readonly load: RateLimit;
  /** @internal */
  readonly proven: RateLimit;
  /** @internal */
  readonly replies: RateLimit;
  private readonly port: number;
  private readonly limit: number;
  private socket: UdpSocket | null = null;
  private readonly packet = new Packet(new Uint8Array(0));
  /** @internal */
  readonly scratch: Uint8Array;
  /** @internal */
  readonly job: CipherJob;
  /** The way back to who has sent what is dealt with. */
  from: Path | null = null;
  private lastStamp = 0;

  constructor(
    readonly stack: Stack,
    readonly owner: Wireguard,
    options: DeviceOptions,
  ) {
    this.counters = owner.counters;
    this.suite = owner.suite;
    this.port = setting(options.port, 51820, 0, 65535, "port");
    this.mtu = setting(options.mtu, 1420, 68, 65535 - 112, "mtu");
    this.limit = setting(options.peers, 64, 1, 4096, "peers");
    this.allowed = new AllowedIps(setting(options.prefixes, 1024, 1, 1 << 20, "prefixes"));
    const load = setting(options.load, 10, 1, 1000, "load");
    this.load = new RateLimit(load, 2 * load);
    this.proven = new RateLimit(2 * load, 4 * load);
    this.replies = new RateLimit(100 * load, 100 * load);
    this.key = this.suite.key(options.privateKey, "privateKey");
    this.checker = new CookieChecker(this.suite, this.key.share);
    this.heard = new Handshake(this.suite);
    this.scratch = new Uint8Array(ROOM + wire.TRANSPORT_HEADER + this.mtu + 16 + wire.TAG);
    this.job = {
      data: this.scratch,
      start: 0,
      end: 0,
      tag: 0,
      nonce: new Uint8Array(12),
      aad: this.scratch,
      aadStart: 0,
      aadEnd: 0,
      done: () => {},
    };
  }

  /** This end's public key, 32 bytes. */
  publicKey(): Uint8Array {
    const key = new Uint8Array(KEY);
    key.set(this.key.share);
    return key;
  }

  /** `EINVAL` keys, prefixes, `EEXIST` that key is there, `ENOBUFS`, `EAFNOSUPPORT` the endpoint's family. */
  addPeer(options: PeerOptions): Peer {
    const key = options.publicKey;
    const preshared = options.presharedKey;
    if (!isKey(key) || !this.agrees(key)) fail("EINVAL", "publicKey");
    if (preshared && !isKey(preshared)) fail("EINVAL", "presharedKey");
    if (this.peerOf(key, 0)) fail("EEXIST", "publicKey");
    if (this.peers.length >= this.limit) fail("ENOBUFS", "peers");
    const keepalive = setting(options.keepalive, 0, 0, 65535, "keepalive");
    const copy = new Uint8Array(KEY);
    const secret = new Uint8Array(KEY);
    copy.set(key);
    if (preshared) secret.set(preshared);
    const peer = new Peer(this, copy, secret, keepalive * 1000);
    if (options.endpoint) this.aim(peer, options.endpoint.address, options.endpoint.port);
    try {
      for (let i = 0; i < options.allowedIps.length; i++) this.allowed.add(options.allowedIps[i], peer);
    } catch (error) {
      this.allowed.remove(peer);
      throw error;
    }
    this.peers.push(peer);
    if (keepalive > 0 && this.receiver) peer.initiate(false);
    return peer;
  }

  /**
   * Where the peer is from now on, as when a name has another address; keys stay. With a keepalive a handshake begins.
   * Errors: `EINVAL` no peer of this device, address or port, `EAFNOSUPPORT` the family.
   */
  setEndpoint(peer: Peer, endpoint: { address: string; port: number }): void {
    if (this.peers.indexOf(peer) < 0) fail("EINVAL", "peer");
    this.aim(peer, endpoint.address, endpoint.port);
    if (peer.persistent > 0 && this.receiver) peer.initiate(false);
  }

  /** Forgets a peer and its keys. Legal twice. */
  removePeer(peer: Peer): void {
    const at = this.peers.indexOf(peer);
    if (at < 0) return;
    this.peers.splice(at, 1);
    this.allowed.remove(peer);
    peer.close();
  }

  status(peer: Peer): PeerStatus {
    const path = peer.path;
    return {
      endpoint: path ? { address: path.net.remoteText(path), port: peer.port } : null,
      lastHandshake: peer.lastHandshake,
      received: peer.received,
      sent: peer.sent,
    };
  }

  private aim(peer: Peer, address: string, port: number): void {
    requireInteger(port, 1, 65535, "endpoint");
    const path = pathTo(this.paths(), address);
    if (!path) return fail("EAFNOSUPPORT", "endpoint " + address);
    if (path.kind) fail("EINVAL", "endpoint " + address);
    peer.path = path;
    peer.port = port;
  }

  /* Link */

  /** Throws `EADDRINUSE`. */
  open(receiver: LinkReceiver): void {
    if (this.receiver) fail("EBUSY", "wireguard");
    const socket = this.owner.udp.open(
      this.port ? { port: this.port, receiveBuffer: 0 } : { receiveBuffer: 0 },
    );
    socket.input = (packet, from) => input(this, packet, from);
    this.socket = socket;
    this.receiver = receiver;
    for (let i = 0; i < this.peers.length; i++)
      if (this.peers[i].persistent > 0) this.peers[i].initiate(false);
  }

  /** The keys of sessions are overwritten, the peers' stay until they are removed. */
  close(): void {
    if (this.socket) this.socket.close();
    this.socket = this.receiver = null;
    while (this.peers.length > 0) this.removePeer(this.peers[this.peers.length - 1]);
    this.heard.close();
    this.owner.closed(this);
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const counters = this.counters;
    const version = start < end ? frame[start] >> 4 : 0;
    const four = version === 4;
    if (
      end - start < (four ? IPV4_HEADER : IPV6_HEADER) ||
      (!four && version !== 6) ||
      end - start > this.mtu
    ) {
      counters.tooBig++;
      return 0;
    }
    const peer = this.allowed.lookup(frame, start + (four ? IPV4_DESTINATION : IPV6_DESTINATION), four);
    if (!peer) {
      counters.noPeer++;
      return 0;
    }
    if (!peer.path) {
      counters.noEndpoint++;
      return 0;
    }
    if (this.stack.wrapping >= NESTING) {
      counters.nested++;
      return 0;
    }
    if (peer.ready()) return this.sendPacket(peer, peer.current as Session, frame, start, end);
    this.enqueue(peer, frame, start, end);
    peer.initiate(false);
    return 0;
  }

  /* What peers call */

  /** The wall clock, ms. */
  clock(): number {
    return this.owner.clock();
  }

  established(peer: Peer): void {
    this.counters.handshakes++;
    this.stack.defer(peer);
  }

  /** An ephemeral key; null: the host has no entropy. */
  ephemeral(): AgreementKey | null {
    const secret = new Uint8Array(KEY);
    if (!this.random(secret)) return null;
    const key = this.suite.key(secret, "random");
    for (let i = 0; i < KEY; i++) secret[i] = 0;
    return key;
  }

  /** TAI64N (section 5.1), later than any before; its fraction in steps of 16 ms, so that nobody learns how fast we are. */
  timestamp(bytes: Uint8Array): void {
    let ms = Math.floor(this.owner.clock() / 16) * 16;
    if (ms <= this.lastStamp) ms = this.lastStamp + 16;
    this.lastStamp = ms;
    const seconds = Math.floor(ms / 1000) + 10;
    put32(bytes, 0, 0x40000000 | Math.floor(seconds / 4294967296));
    put32(bytes, 4, seconds | 0);
    put32(bytes, 8, (ms % 1000) * 1000000);
  }

  /** A session without keys, under an index that nobody can guess. */
  session(peer: Peer): Session {
    const host = this.stack.host;
    let index = 0;
    do index = (host.random16() << 16) | host.random16();
    while (this.find(index));
    const session = new Session(peer, index);
    this.sessions.insert(session);
    return session;
  }

  /** Overwrites a session's keys. */
  forget(session: Session): void {
    this.sessions.remove(session);
    session.close();
  }

  sendKeepalive(peer: Peer, session: Session): void {
    this.counters.keepalivesSent++;
    this.sendPacket(peer, session, this.scratch, 0, 0);
  }

  /** Sends what has waited for the session. */
  flush(peer: Peer): void {
    const queue = peer.queue;
    const at = ROOM + wire.TRANSPORT_HEADER;
    while (peer.waiting > 0 && peer.ready()) {
      queue.read(0, this.scratch, 0, 2);
      const length = get16(this.scratch, 0);
      queue.read(2, this.scratch, at, length);
      queue.consume(2 + length);
      peer.waiting--;
      this.sendPacket(peer, peer.current as Session, this.scratch, at, at + length);
    }
    if (peer.waiting === 0) queue.clear();
  }

  /** Sends a message of a handshake. */
  sendMessage(peer: Peer, message: Uint8Array, length: number): void {
    this.stack.host.copy(this.scratch, ROOM, message, 0, length);
    if (peer.path) this.send(peer.path, peer.port, ROOM, ROOM + length, 0x88);
  }

  /** Sends a cookie. @internal */
  sendCookie(path: Path, port: number, reply: Uint8Array): void {
    this.stack.host.copy(this.scratch, ROOM, reply, 0, reply.length);
    this.send(path, port, ROOM, ROOM + reply.length, 0x88);
  }

  /* Out */

  private enqueue(peer: Peer, frame: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const head = new Uint8Array(2);
    head[0] = length >> 8;
    head[1] = length;
    const stack = this.stack;
    if (
      peer.queue.length + length + 2 > QUEUE_BYTES ||
      !peer.queue.put(head, 2, frame, start, length, stack.pool.limit >> 2)
    ) {
      this.counters.dropped++;
      return;
    }
    peer.waiting++;
  }

  private sendPacket(peer: Peer, session: Session, frame: Uint8Array, start: number, end: number): number {
    const scratch = this.scratch;
    const job = this.job;
    const length = end - start;
    const at = ROOM + wire.TRANSPORT_HEADER;
    const tos = tosOf(frame, start, end);
    if (frame !== scratch || start !== at) this.stack.host.copy(scratch, at, frame, start, length);
    let padded = (length + 15) & ~15;
    if (padded > this.mtu) padded = length > this.mtu ? length : this.mtu;
    for (let i = at + length; i < at + padded; i++) scratch[i] = 0;
    const counter = session.sendNext++;
    put32(scratch, ROOM, wire.TRANSPORT << 24);
    wire.putLittle32(scratch, ROOM + wire.RECEIVER, session.remote);
    wire.putLittle32(scratch, ROOM + wire.COUNTER, counter);
    put32(scratch, ROOM + wire.COUNTER + 4, 0);
    wire.putLittle32(job.nonce, 4, counter);
    job.data = scratch;
    job.start = at;
    job.end = job.tag = at + padded;
    if (!session.sends || session.sends.seal(job) !== CIPHER_DONE) {
      this.counters.failed++;
      return 0;
    }
    if (length > 0) this.counters.sent++;
    peer.sent += length;
    const code = this.send(peer.path as Path, peer.port, ROOM, at + padded + wire.TAG, tos & 3);
    peer.said(session, length > 0);
    return code;
  }

  /** Sends `scratch[start..end)` to a port at the end of a path. */
  private send(path: Path, port: number, start: number, end: number, tos: number): number {
    const stack = this.stack;
    const counters = this.counters;
    const net = path.net;
    const socket = this.socket;
    if (!socket) return 0;
    let code = net.route(path);
    if (code === EADDRNOTAVAIL) {
      // The address that the peer has reached us at is gone: any other will do, it learns of that.
      net.setLocal(path, "");
      code = net.route(path);
    }
    if (code < 0) {
      counters.failed++;
      return 0;
    }
    if (path.nif === (this.receiver as unknown as Interface)) {
      counters.nested++;
      return 0;
    }
    const packet = this.packet;
    const scratch = this.scratch;
    const at = start - UDP_HEADER;
    packet.data = scratch;
    packet.start = at;
    packet.end = end;
    packet.flags = 0;
    packet.nif = null;
    packet.checksumField = -1;
    packet.segmentSize = 0;
    put32(scratch, at, (socket.port << 16) | port);
    put32(scratch, at + UDP_LENGTH, (end - at) << 16);
    path.tos = tos;
    fillChecksum(stack, packet, path, PROTOCOL_UDP, at + UDP_CHECKSUM, 0xffff);
    stack.wrapping++;
    code = net.output(packet, path, PROTOCOL_UDP);
    stack.wrapping--;
    if (code < 0) counters.failed++;
    return 0;
  }

  /* Helpers */

  /** @internal */
  find(index: number): Session | null {
    let session = this.sessions.first(index);
    while (session && session.hash !== index) session = session.nextInBucket;
    return session;
  }

  /** @internal */
  peerOf(key: Uint8Array, at: number): Peer | null {
    for (let i = 0; i < this.peers.length; i++) {
      const own = this.peers[i].key;
      let k = 0;
      while (k < KEY && own[k] === key[at + k]) k++;
      if (k === KEY) return this.peers[i];
    }
    return null;
  }

  /** Is it a key that makes a secret? */
  private agrees(key: Uint8Array): boolean {
    return this.key.agree(key) !== null;
  }

  /** @internal */
  random(bytes: Uint8Array): boolean {
    const host = this.stack.host;
    if (!host.secure(bytes.length)) return false;
    for (let i = 0; i < bytes.length; i += 2) {
      const two = host.random16();
      bytes[i] = two;
      if (i + 1 < bytes.length) bytes[i + 1] = two >> 8;
    }
    return true;
  }

  private paths(): Path[] {
    const paths: Path[] = [];
    const networks = this.stack.networks;
    for (let i = 0; i < networks.length; i++) paths.push(networks[i].createPath());
    return paths;
  }
}

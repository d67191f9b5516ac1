/** What comes in on a WireGuard interface (sections 5.4 and 6.5): parsed here, once; who it is from is a peer's business. */
import { CIPHER_DONE } from "../../hypercall/crypto.js";
import { get16 } from "../core/bytes.js";
import type { Network, Path } from "../core/network.js";
import type { Packet } from "../core/packet.js";
import { joinMarks } from "../tunnel/ecn.js";
import { NESTING } from "../tunnel/tunnel.js";
import { IPV4_HEADER, IPV4_SOURCE } from "../wire/ipv4.js";
import { IPV6_HEADER, IPV6_SOURCE } from "../wire/ipv6.js";
import * as wire from "../wire/wireguard.js";
import type { Device } from "./device.js";
import { REJECT_AFTER_MESSAGES, REJECT_AFTER_TIME } from "./peer.js";
import type { Peer } from "./peer.js";

/** Takes a datagram that came to the port, from port `port`. */
export function input(own: Device, packet: Packet, port: number): void {
  const data = packet.data;
  const at = packet.start;
  const length = packet.end - at;
  const type = length < 4 ? 0 : wire.getLittle32(data, at);
  if (type === wire.TRANSPORT && length >= wire.TRANSPORT_HEADER + wire.TAG) transport(own, packet, port);
  else if (type === wire.INITIATION && length === wire.INITIATION_LENGTH) handshake(own, packet, port, type);
  else if (type === wire.RESPONSE && length === wire.RESPONSE_LENGTH) handshake(own, packet, port, type);
  else if (type === wire.COOKIE_REPLY && length === wire.COOKIE_LENGTH) {
    const session = own.find(wire.getLittle32(data, at + wire.RECEIVER));
    const reply = copy(data, at, packet.end);
    if (session && session.peer.cookies.take(reply, own.stack.now())) own.counters.cookiesReceived++;
    else own.counters.unknown++;
  } else own.counters.malformed++;
}

/** An initiation, or a response. */
function handshake(own: Device, packet: Packet, port: number, type: number): void {
  const counters = own.counters;
  const now = own.stack.now();
  const message = copy(packet.data, packet.start, packet.end);
  // The MAC comes first: it costs little, and who does not know our key has none.
  if (!own.checker.knows(message)) {
    counters.badMac++;
    return;
  }
  const loaded = !own.load.take(now);
  const from = endOf(packet, port);
  if (loaded && !own.checker.proves(message, from, now)) {
    if (!own.replies.take(now)) {
      counters.limited++;
      return;
    }
    const reply = new Uint8Array(wire.COOKIE_LENGTH);
    if (!own.checker.reply(message, from, now, reply, (bytes) => own.random(bytes))) return;
    counters.cookiesSent++;
    own.sendCookie(back(own, packet), port, reply);
    return;
  }
  if (loaded && !own.proven.take(now)) {
    counters.limited++;
    return;
  }
  if (type === wire.RESPONSE) {
    const session = own.find(wire.getLittle32(message, wire.RESPONSE_RECEIVER));
    if (!session || !session.peer.complete(message, session, back(own, packet), port)) counters.unknown++;
    return;
  }
  const heard = own.heard;
  const peer = heard.identify(message, own.key) ? own.peerOf(message, wire.INITIATION_STATIC) : null;
  if (!peer || !heard.finish(message, own.key, peer.key)) counters.unknown++;
  else peer.respond(message, heard, back(own, packet), port);
  heard.close();
}

function transport(own: Device, packet: Packet, port: number): void {
  const stack = own.stack;
  const counters = own.counters;
  const data = packet.data;
  const at = packet.start;
  const session = own.find(wire.getLittle32(data, at + wire.RECEIVER));
  if (!session || !session.receives || ((stack.now() - session.born) | 0) >= REJECT_AFTER_TIME) {
    counters.unknown++;
    return;
  }
  const counter = wire.getLittle32(data, at + wire.COUNTER);
  const job = own.job;
  // Windows of IPsec begin at 1.
  if (
    wire.getLittle32(data, at + wire.COUNTER + 4) !== 0 ||
    counter < 0 ||
    counter >= REJECT_AFTER_MESSAGES ||
    !session.window.check(counter + 1)
  ) {
    counters.replayed++;
    return;
  }
  const start = at + wire.TRANSPORT_HEADER;
  wire.putLittle32(job.nonce, 4, counter);
  job.data = data;
  job.start = start;
  job.end = job.tag = packet.end - wire.TAG;
  if (session.receives.open(job) !== CIPHER_DONE) {
    counters.forged++;
    return;
  }
  if (!session.window.accept(counter + 1)) {
    counters.replayed++;
    return;
  }
  const peer = session.peer;
  const path = peer.path;
  if (!path || peer.port !== port || path.net !== packet.net || !path.net.matchesRemote(path, packet)) {
    peer.moved(back(own, packet), port);
  }
  peer.confirm(session);
  peer.heard();
  if (job.end === start) {
    counters.keepalivesReceived++;
    return;
  }
  peer.heardData();
  deliver(own, peer, packet, start, job.end);
}

/** What was in a transport message: a packet from an address that its peer may have. */
function deliver(own: Device, peer: Peer, packet: Packet, start: number, end: number): void {
  const stack = own.stack;
  const counters = own.counters;
  const data = packet.data;
  const four = data[start] >> 4 === 4;
  const least = four ? IPV4_HEADER : IPV6_HEADER;
  const length =
    end - start < least || (!four && data[start] >> 4 !== 6)
      ? 0
      : four
        ? get16(data, start + 2)
        : IPV6_HEADER + get16(data, start + 4);
  if (length < least || length > end - start) {
    counters.malformed++;
    return;
  }
  if (own.allowed.lookup(data, start + (four ? IPV4_SOURCE : IPV6_SOURCE), four) !== peer) {
    counters.notAllowed++;
    return;
  }
  if (stack.unwrapping >= NESTING || !own.receiver) {
    counters.nested++;
    return;
  }
  if (!joinMarks(data, start, start + length, packet.tos)) {
    counters.congested++;
    return;
  }
  counters.received++;
  peer.received += length;
  stack.unwrapping++;
  own.receiver.receive(data, start, start + length);
  stack.unwrapping--;
}

/** The path back to a packet's sender: good until the next packet. */
function back(own: Device, packet: Packet): Path {
  const net = packet.net as Network;
  if (!own.from || own.from.net !== net) own.from = net.createPath();
  net.setReply(own.from, packet);
  return own.from;
}

/** A packet's sender as bytes: what a cookie is for. */
function endOf(packet: Packet, port: number): Uint8Array {
  const net = packet.net as Network;
  const ends = new Uint8Array(2 * net.addressSize);
  net.saveEnds(packet, ends, 0);
  const end = new Uint8Array(net.addressSize + 2);
  end.set(ends.subarray(0, net.addressSize));
  end[net.addressSize] = port >> 8;
  end[net.addressSize + 1] = port;
  return end;
}

function copy(data: Uint8Array, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(to - from);
  bytes.set(data.subarray(from, to));
  return bytes;
}

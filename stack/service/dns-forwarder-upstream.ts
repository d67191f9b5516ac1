/**
 * Questions of a forwarder to its servers (RFC 5452, RFC 5625, RFC 7766): each from a new random port, with a new random id and in
 * rAnDoM case; only a reply from there that repeats all that is looked at. A truncated one is asked for again over TCP, a server
 * that cannot answer or keeps quiet gives way to the next.
 */
import { copyRange, get16, put16 } from "../core/bytes.js";
import { ELOOP } from "../core/errors.js";
import type { NameServer } from "../core/name-servers.js";
import { Timer } from "../core/timers.js";
import type { TcpSocket } from "../tcp/socket.js";
import type { UdpSocket } from "../udp/socket.js";
import * as wire from "../wire/dns.js";
import { readAnswer } from "./dns-answer.js";
import type { Answer } from "./dns-answer.js";
import { FLAG_UNCHECKED, OPT, SERVER_FAILURE, emitOpt } from "./dns-forwarder-message.js";
import type { DnsForwarder } from "./dns-forwarder.js";

/** Bytes of replies that may wait at a socket; of the longest query, with its length for TCP. */
const QUEUE = 8192;
const QUERY = 2 + wire.DNS_HEADER + wire.NAME_LIMIT + 4 + OPT;
/** Wrong replies to one question after which somebody is guessing. */
const ALARM = 100;
const TYPE_SIGNATURE = 46;
const TYPE_DNAME = 39;

/** Who waits for the answer: takes the response, or null and the code that is the answer instead. */
export interface Waiter {
  answered(response: Uint8Array | null, answer: Answer | null, code: number): void;
}

/** A question on its way. */
export class Exchange {
  readonly waiters: Waiter[] = [];
  readonly timer: Timer;
  /** Servers asked, one after the other and round again. */
  tries = 0;
  wrong = 0;
  /** Without EDNS and in lower case: a server did not understand. */
  plain = false;
  index = 0;
  server: NameServer = null as never;
  query: Uint8Array = null as never;
  /** Where the question ends in `query`. */
  end = 0;
  udp: UdpSocket | null = null;
  tcp: TcpSocket | null = null;
  body: Uint8Array | null = null;
  have = 0;

  constructor(
    readonly forwarder: DnsForwarder,
    /** What tells it from others. */
    readonly key: string,
    readonly name: string,
    readonly type: number,
    /** DNSSEC is wanted; what fails its checks, too. */
    readonly secure: boolean,
    readonly unchecked: boolean,
  ) {
    this.timer = new Timer(next, this);
  }
}

/** Asks the next server, or answers that none could. */
export function next(x: Exchange): void {
  const f = x.forwarder;
  const servers = f.servers();
  for (;;) {
    release(x);
    if (servers.length === 0 || x.tries >= servers.length * f.attempts) {
      f.counters.failures++;
      finish(x, null, null, SERVER_FAILURE);
      return;
    }
    x.index = (f.first + x.tries) % servers.length;
    x.server = servers[x.index];
    if (x.tries++ >= servers.length) x.plain = true;
    if (begin(x)) return;
  }
}

/** Takes the question off the list and gives back what it holds. */
export function drop(x: Exchange): void {
  const list = x.forwarder.exchanges;
  const at = list.indexOf(x);
  if (at >= 0) list.splice(at, 1);
  release(x);
  x.forwarder.stack.timers.clear(x.timer);
}

function finish(x: Exchange, response: Uint8Array | null, answer: Answer | null, code: number): void {
  drop(x);
  for (let i = 0; i < x.waiters.length; i++) x.waiters[i].answered(response, answer, code);
}

function release(x: Exchange): void {
  if (x.udp) x.udp.close();
  if (x.tcp) x.tcp.close();
  x.udp = x.tcp = x.body = null;
}

function wait(x: Exchange, ms: number): void {
  const stack = x.forwarder.stack;
  stack.timers.set(x.timer, (stack.now() + ms) | 0);
}

function begin(x: Exchange): boolean {
  const f = x.forwarder;
  const host = f.stack.host;
  const query = new Uint8Array(QUERY);
  if (!host.secure(2)) return false;
  put16(query, 2, host.random16());
  put16(query, 4, wire.FLAG_RECURSE | (x.unchecked ? FLAG_UNCHECKED : 0));
  put16(query, 6, 1);
  let at = wire.emitName(x.name, query, 14);
  if (at < 0) return false;
  for (let i = 14; i < at && !x.plain; i++) {
    // Lengths of labels are below 64, letters are here in lower case.
    if (query[i] > 96 && query[i] < 123 && host.random16() & 1) query[i] -= 32;
  }
  put16(query, at, x.type);
  put16(query, at + 2, wire.CLASS_IN);
  x.end = at += 4;
  if (!x.plain) {
    put16(query, 2 + wire.DNS_ADDITIONAL, 1);
    at = emitOpt(query, at, f.udpSize, x.secure, 0);
  }
  put16(query, 0, at - 2);
  x.query = query.subarray(0, at);
  f.counters.queries++;
  try {
    x.udp = f.udp.open({
      interface: x.server.interface || undefined,
      receiveBuffer: QUEUE,
      onReadable: () => readUdp(x),
      onError: () => next(x),
    });
    if (x.udp.connect(x.server.address, f.upstreamPort) < 0) return false;
    x.udp.send(query, 2, at);
    wait(x, f.timeout);
    return true;
  } catch {
    return false;
  }
}

function readUdp(x: Exchange): void {
  const buffer = x.forwarder.buffer;
  while (x.udp) {
    const length = x.udp.receive(buffer);
    if (length < 0) return;
    input(x, buffer, length, false);
  }
}

/** Takes a message that came from the server. */
function input(x: Exchange, data: Uint8Array, end: number, overTcp: boolean): void {
  const f = x.forwarder;
  const counters = f.counters;
  let good =
    end >= x.end - 2 &&
    get16(data, 0) === get16(x.query, 2) &&
    (get16(data, wire.DNS_FLAGS) & (wire.FLAG_RESPONSE | wire.OPCODE)) === wire.FLAG_RESPONSE &&
    get16(data, wire.DNS_QUESTIONS) === 1;
  for (let i = wire.DNS_HEADER; good && i < x.end - 2; i++) good = data[i] === x.query[i + 2];
  const code = data[wire.DNS_FLAGS + 1] & wire.RCODE;
  if (!good) {
    counters.unmatched++;
    if (++x.wrong === ALARM) f.stack.host.log("dns: forged replies for " + x.name + "?");
    if (overTcp) next(x);
  } else if (!overTcp && get16(data, wire.DNS_FLAGS) & wire.FLAG_TRUNCATED) {
    counters.truncated++;
    openTcp(x);
  } else if ((code === wire.FORMAT_ERROR || code === wire.NOT_IMPLEMENTED) && !x.plain) {
    x.plain = true;
    x.tries--;
    next(x);
  } else if (code !== 0 && code !== wire.NAME_ERROR) next(x);
  else {
    const answer = readAnswer(data, end, x.name, x.type, x.type, 0);
    if (!answer || !isClean(data, answer, x.name)) {
      counters.malformed++;
      next(x);
      return;
    }
    f.first = x.index;
    // Of the rest of the message nothing is believed, nor passed on.
    const response = copyRange(data, 0, answer.end);
    if (answer.code === 0 || answer.code === ELOOP) put16(response, wire.DNS_AUTHORITIES, 0);
    put16(response, wire.DNS_ADDITIONAL, 0);
    finish(x, response, answer, code);
  }
}

/** Is every record of the answer section about the name, or what its aliases lead to (RFC 2181 section 5.4.1)? */
function isClean(data: Uint8Array, answer: Answer, name: string): boolean {
  const cursor = new wire.Cursor(data, wire.DNS_HEADER, answer.end);
  const count = get16(data, wire.DNS_ANSWERS);
  const names = [name, answer.target];
  for (let i = 0; i < answer.records.length; i++) names.push(answer.records[i].name);
  wire.parseName(cursor);
  cursor.at += 4;
  for (let i = 0; i < count; i++) {
    if (!wire.parseRecord(cursor)) return false;
    const above = (cursor.type === TYPE_DNAME || cursor.type === TYPE_SIGNATURE) && cursor.name;
    let known = names.indexOf(cursor.name) >= 0;
    for (let k = 0; above && !known && k < names.length; k++) {
      known = names[k].slice(-above.length - 1) === "." + above;
    }
    if (!known) return false;
  }
  return true;
}

function openTcp(x: Exchange): void {
  const f = x.forwarder;
  release(x);
  if (!f.tcp) {
    next(x);
    return;
  }
  x.body = new Uint8Array(2);
  x.have = 0;
  try {
    x.tcp = f.tcp.connect({
      address: x.server.address,
      port: f.upstreamPort,
      interface: x.server.interface || undefined,
      onConnect(): void {
        if (this.write(x.query) < 0) next(x);
      },
      onReadable: () => readTcp(x),
      onEnd: () => next(x),
      onClose: () => next(x),
    });
    wait(x, 2 * f.timeout);
  } catch {
    next(x);
  }
}

function readTcp(x: Exchange): void {
  while (x.tcp && x.body) {
    const length = x.tcp.read(x.body, x.have, x.body.length);
    if (length <= 0) return;
    x.have += length;
    if (x.have < x.body.length) continue;
    if (x.have > 2) {
      input(x, x.body, x.have, true);
      return;
    }
    const size = get16(x.body, 0);
    const body = size > 2 ? x.forwarder.stack.host.allocate(size) : null;
    if (!body) {
      next(x);
      return;
    }
    x.body = body;
    x.have = 0;
  }
}

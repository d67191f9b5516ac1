/**
 * A question on its way (RFC 5452, RFC 7766): one server after the other is asked, each time from a new random port with a new
 * random id. Only a reply from there, with that id and that very question, is looked at; all others are counted, and the
 * question goes on waiting. A truncated reply is asked for once more over TCP.
 */
import { get16, put16 } from "../core/bytes.js";
import {
  ECONNRESET,
  EIO,
  EMSGSIZE,
  ENETUNREACH,
  ENOBUFS,
  EPROTO,
  ESERVFAIL,
  ETIMEDOUT,
} from "../core/errors.js";
import type { NameServer } from "../core/name-servers.js";
import { nameServers } from "../core/name-servers.js";
import { Timer } from "../core/timers.js";
import type { TcpSocket } from "../tcp/socket.js";
import type { UdpSocket } from "../udp/socket.js";
import * as wire from "../wire/dns.js";
import { readAnswer } from "./dns-answer.js";
import type { Dns, DnsRequest } from "./dns.js";

/** Bytes of replies that may wait at a socket. */
const QUEUE = 8192;
/** Bytes of the longest query: length prefix, header, name, type and class, OPT record. */
const QUERY = 2 + wire.DNS_HEADER + wire.NAME_LIMIT + 4 + 11;
/** After this many wrong replies to one question somebody is guessing: that is worth a line in the log. */
const ALARM = 100;
/** An ICMP error shortens the wait for the only server to this, ms: it may be forged, or the server be restarting. */
const REFUSED = 1000;

export class Question {
  readonly waiters: DnsRequest[] = [];
  readonly timer: Timer;
  /** Times that a server was asked, and how many of them said that it could not answer. */
  tries = 0;
  failures = 0;
  /** Times that all servers have been asked. */
  round = 0;
  /** What was last in the way. */
  code = 0;
  wrong = 0;
  /** Ask as of 1987: without EDNS, in lower case. */
  plain = false;
  /** The server that is being asked, and its place in the list. */
  server: NameServer = null as never;
  index = 0;
  /** The query: length as TCP wants it, then the message; and where the message's question ends. */
  query: Uint8Array = null as never;
  end = 0;
  udp: UdpSocket | null = null;
  tcp: TcpSocket | null = null;
  /** What has come over TCP, `have` bytes of it: first the length, then the message. */
  body: Uint8Array | null = null;
  have = 0;

  constructor(
    readonly dns: Dns,
    readonly name: string,
    readonly type: number,
    /** Place in the list of the server that is asked first. */
    readonly first: number,
  ) {
    this.timer = new Timer(late, this);
  }
}

/** Asks the next server, or ends the question when all had their chance. */
export function ask(q: Question): void {
  const dns = q.dns;
  const servers = nameServers(dns.stack).list();
  const count = servers.length;
  for (;;) {
    release(q);
    if (q.tries >= count * dns.attempts || q.failures >= count) {
      drop(q);
      const code = count === 0 ? ENETUNREACH : q.code;
      for (let i = 0; i < q.waiters.length; i++) dns.finish(q.waiters[i], code);
      return;
    }
    q.round = (q.tries / count) | 0;
    q.index = (q.first + q.tries++) % count;
    q.server = servers[q.index];
    if (q.round > 0) q.plain = true;
    const code = begin(q);
    if (code === 0) {
      wait(q, dns.timeout << q.round);
      return;
    }
    q.code = code;
  }
}

/** Takes the question off the list and gives back what it holds; those who wait for it are the caller's business. */
export function drop(q: Question): void {
  const questions = q.dns.questions;
  const at = questions.indexOf(q);
  if (at >= 0) questions.splice(at, 1);
  release(q);
  q.dns.stack.timers.clear(q.timer);
}

function wait(q: Question, ms: number): void {
  const stack = q.dns.stack;
  stack.timers.set(q.timer, (stack.now() + ms) | 0);
}

function late(q: Question): void {
  q.dns.counters.timeouts++;
  q.code = q.code || ETIMEDOUT;
  ask(q);
}

/** The server cannot answer: the next one. */
function failed(q: Question, code: number): void {
  q.dns.counters.failures++;
  q.failures++;
  q.code = code;
  ask(q);
}

function release(q: Question): void {
  if (q.udp) q.udp.close();
  if (q.tcp) q.tcp.close();
  if (q.body) q.dns.held -= q.body.length;
  q.udp = q.tcp = q.body = null;
}

/** Sends the query from a new socket. */
function begin(q: Question): number {
  const dns = q.dns;
  const host = dns.stack.host;
  const query = new Uint8Array(QUERY);
  if (!host.secure(2)) return EIO;
  put16(query, 2, host.random16());
  put16(query, 4, wire.FLAG_RECURSE);
  put16(query, 6, 1);
  let at = wire.emitName(q.name, query, 14);
  for (let i = 14; i < at && dns.mixCase && !q.plain; i++) {
    // Lengths of labels are below 64, letters are here in lower case.
    if (query[i] > 96 && query[i] < 123 && host.random16() & 1) query[i] -= 32;
  }
  put16(query, at, q.type);
  put16(query, at + 2, wire.CLASS_IN);
  q.end = at += 4;
  if (dns.udpSize > 512 && !q.plain) {
    put16(query, 2 + wire.DNS_ADDITIONAL, 1);
    put16(query, at + 1, wire.TYPE_OPT);
    put16(query, at + 3, dns.udpSize);
    at += 11;
  }
  put16(query, 0, at - 2);
  q.query = query.subarray(0, at);
  dns.counters.queries++;
  try {
    const socket = dns.udp.open({
      interface: q.server.interface || undefined,
      receiveBuffer: QUEUE,
      onReadable: () => readUdp(q),
      onError: (code) => refused(q, code),
    });
    q.udp = socket;
    const code = socket.connect(q.server.address, dns.port);
    // What cannot be sent now is as good as lost on the way.
    if (code === 0) socket.send(query, 2, at);
    return code;
  } catch {
    return ENOBUFS;
  }
}

function refused(q: Question, code: number): void {
  const ms = nameServers(q.dns.stack).list().length > 1 ? 0 : REFUSED;
  q.code = code;
  if (((q.timer.at - q.dns.stack.now()) | 0) > ms) wait(q, ms);
}

function readUdp(q: Question): void {
  const buffer = q.dns.buffer;
  while (q.udp) {
    const length = q.udp.receive(buffer);
    if (length < 0) return;
    input(q, buffer, length, false);
  }
}

/** Takes a message; false: it is no answer to the question. */
function input(q: Question, data: Uint8Array, end: number, overTcp: boolean): boolean {
  const dns = q.dns;
  const counters = dns.counters;
  const query = q.query;
  let good =
    end >= q.end - 2 &&
    get16(data, 0) === get16(query, 2) &&
    (get16(data, wire.DNS_FLAGS) & (wire.FLAG_RESPONSE | wire.OPCODE)) === wire.FLAG_RESPONSE &&
    get16(data, wire.DNS_QUESTIONS) === 1;
  for (let i = wire.DNS_HEADER; good && i < q.end - 2; i++) good = data[i] === query[i + 2];
  if (!good) {
    counters.unmatched++;
    if (++q.wrong === ALARM) dns.stack.host.log("dns: forged replies for " + q.name + "?");
    return false;
  }
  const rcode = data[wire.DNS_FLAGS + 1] & wire.RCODE;
  if (!overTcp && get16(data, wire.DNS_FLAGS) & wire.FLAG_TRUNCATED) {
    counters.truncated++;
    if (dns.tcp) openTcp(q);
    else failed(q, EMSGSIZE);
  } else if ((rcode === wire.FORMAT_ERROR || rcode === wire.NOT_IMPLEMENTED) && !q.plain) {
    q.plain = true;
    q.tries--;
    ask(q);
  } else if (rcode !== 0 && rcode !== wire.NAME_ERROR) failed(q, ESERVFAIL);
  else {
    const waiters = q.waiters;
    const answer = readAnswer(data, end, q.name, q.type, waiters[0].label, 0);
    if (!answer) {
      counters.malformed++;
      return false;
    }
    dns.first = q.index;
    dns.keep(q, data, answer);
    drop(q);
    for (let i = 0; i < waiters.length; i++) dns.take(waiters[i], answer);
  }
  return true;
}

function openTcp(q: Question): void {
  const dns = q.dns;
  release(q);
  q.body = new Uint8Array(2);
  dns.held += 2;
  q.have = 0;
  try {
    q.tcp = (dns.tcp as NonNullable<Dns["tcp"]>).connect({
      address: q.server.address,
      port: dns.port,
      interface: q.server.interface || undefined,
      onConnect(): void {
        if (this.write(q.query) < 0) failed(q, ECONNRESET);
      },
      onReadable: () => readTcp(q),
      onEnd: () => failed(q, ECONNRESET),
      onClose: (code) => failed(q, code || ECONNRESET),
    });
    // Three round trips and more: twice the time.
    wait(q, (2 * dns.timeout) << q.round);
  } catch {
    failed(q, ENOBUFS);
  }
}

function readTcp(q: Question): void {
  const dns = q.dns;
  while (q.tcp && q.body) {
    const length = q.tcp.read(q.body, q.have, q.body.length);
    if (length <= 0) return;
    q.have += length;
    if (q.have < q.body.length) continue;
    if (q.have > 2) {
      if (!input(q, q.body, q.have, true)) failed(q, EPROTO);
      return;
    }
    const size = get16(q.body, 0);
    const body = size > 2 && dns.held + size <= dns.memory ? dns.stack.host.allocate(size) : null;
    if (!body) {
      failed(q, ENOBUFS);
      return;
    }
    dns.held += size - 2;
    q.body = body;
    q.have = 0;
  }
}

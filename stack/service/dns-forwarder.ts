/**
 * DNS forwarder (RFC 5625, RFC 1035, 2181, 2308, 5452, 6147, 6303, 6891, 7766, 8482): the component. It answers hosts of its links from
 * what it knows itself and what it remembers, and asks servers for the rest.
 *
 * Strangers are not answered: a forwarder that anybody may ask floods whomever they name. Of a server's response only what is about
 * the name that was asked is passed on and kept. Bounds: questions under way (`limit`), who waits for each, connections, the cache.
 */
import { ENOTFOUND, fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { nameServers } from "../core/name-servers.js";
import type { NameServer } from "../core/name-servers.js";
import type { Path } from "../core/network.js";
import type { Component, Stack } from "../core/stack.js";
import type { Tcp } from "../tcp/tcp.js";
import type { DatagramInfo, Udp, UdpSocket } from "../udp/udp.js";
import * as wire from "../wire/dns.js";
import type { Answer, DnsRecord } from "./dns-answer.js";
import { Cache } from "./dns-cache.js";
import type { Dns64 } from "./dns64.js";
import { isDenial, synthesize } from "./dns-forwarder-dns64.js";
import { Hosts, hostName } from "./dns-forwarder-hosts.js";
import {
  ClientQuery,
  REFUSED,
  SERVER_FAILURE,
  SILENT,
  ageRecords,
  beginResponse,
  emitAnswer,
  endResponse,
  parseQuery,
} from "./dns-forwarder-message.js";
import { StreamServer } from "./dns-forwarder-stream.js";
import { Exchange, drop, next } from "./dns-forwarder-upstream.js";
import type { Waiter } from "./dns-forwarder-upstream.js";

const DNS_PORT = 53;
/** Bytes of queries that may wait, and of the longest that is read. */
const QUEUE = 65536;
const QUERY = 1232;
/** Who may wait for the answer to one question. */
const WAITERS = 64;

export class DnsForwarderCounters {
  /** Queries of clients that could be read. */
  asked = 0;
  /** Answered from what is known here, and from memory. */
  local = 0;
  hits = 0;
  /** Sent to servers, repetitions included. */
  queries = 0;
  /** Queries that make no sense, and replies of servers. */
  malformed = 0;
  /** Replies that are no answer to what was asked. */
  unmatched = 0;
  /** Asked for again over TCP. */
  truncated = 0;
  /** Questions that no server could answer. */
  failures = 0;
  /** Clients that are not on a link of ours. */
  strangers = 0;
  /** Queries refused for want of room, and those that have come back from a server. */
  refused = 0;
  loops = 0;
  /** Answers held back by `filter`. */
  filtered = 0;
  synthesized = 0;
}

export interface DnsForwarderOptions {
  /** Addresses of servers, best first. Default: what DHCP, router advertisements or `nameServers(stack)` say. */
  servers?: string[];
  /** Milliseconds that a server has to answer. Default 1500. */
  timeout?: number;
  /** How often each server is asked. Default 2. */
  attempts?: number;
  /** Questions under way. Default 128. */
  limit?: number;
  /** Responses that are remembered, and bytes that they may take. Default 1024 and 262144. */
  entries?: number;
  bytes?: number;
  /** Largest datagram in either direction, 512..4096. Default 1232. */
  udpSize?: number;
  /** Names that are known here: `[{ name: "printer.home.arpa", address: "10.0.0.9" }]`. See `add`. */
  hosts?: { name: string; address: string }[];
  /** Such names and addresses at most, two records each. Default 2048. */
  hostLimit?: number;
  /** Domains that nobody outside knows, besides those of RFC 6303 and RFC 8375: `["lan"]`. */
  localDomains?: string[];
  /** Answers everybody who reaches it, not only hosts of its links. */
  strangers?: boolean;
  /** Says which records are passed on: `publicOnly()` of dns-filter.ts, against names that lead to the inside. */
  filter?: (record: DnsRecord) => boolean;
  /** `dns64("64:ff9b::/96")`. */
  dns64?: Dns64;
  /** Connections of clients at most. Default 32. */
  connections?: number;
  /** The servers' port. Default 53. */
  port?: number;
}

/** A client that waits. */
class Client implements Waiter {
  constructor(
    private readonly forwarder: DnsForwarder,
    private readonly query: ClientQuery,
    private readonly reply: (data: Uint8Array, end: number) => void,
    private readonly overTcp: boolean,
  ) {}

  answered(response: Uint8Array | null, answer: Answer | null, code: number): void {
    this.forwarder.respond(this.query, response, answer, code, 0, this.overTcp, this.reply);
  }
}

/**
 * A AAAA question that had no answer, and waits for A records (RFC 6147 section 5.1.6). Servers that refuse it, fail or keep quiet have said
 * nothing of names (section 5.1.2): then there is no denial, and without A records what is told is that they failed.
 */
class Synthesis implements Waiter {
  constructor(
    private readonly forwarder: DnsForwarder,
    private readonly exchange: Exchange,
    private readonly waiter: Waiter,
    private readonly denied: Uint8Array | null,
    private readonly denial: Answer | null,
    private readonly code: number,
  ) {}

  answered(_response: Uint8Array | null, answer: Answer | null, code: number): void {
    const made = answer && code === 0 ? this.forwarder.synthesize(this.exchange, answer, this.denial) : null;
    if (made) this.waiter.answered(made.response, made.answer, 0);
    else this.waiter.answered(this.denied, this.denial, this.code);
  }
}

/** The service on one interface. */
export class DnsService {
  constructor(
    private readonly forwarder: DnsForwarder,
    readonly nif: Interface,
    readonly udp: UdpSocket,
  ) {}

  /** Ends it. Legal twice. */
  close(): void {
    this.forwarder.end(this);
  }
}

export class DnsForwarder implements Component {
  readonly name = "dnsforwarder";
  readonly counters = new DnsForwarderCounters();
  readonly exchanges: Exchange[] = [];
  readonly timeout: number;
  readonly attempts: number;
  readonly udpSize: number;
  readonly upstreamPort: number;
  readonly connections: number;
  /** For replies of servers over UDP. */
  readonly buffer: Uint8Array;
  stack: Stack = null as never;
  udp: Udp = null as never;
  tcp: Tcp | null = null;
  /** Place of the server that answered last. */
  first = 0;
  private stream: StreamServer | null = null;
  private hosts: Hosts = null as never;
  private cache: Cache = null as never;
  private readonly list: NameServer[] = [];
  private readonly limit: number;
  private readonly services: DnsService[] = [];
  private readonly paths: Path[] = [];
  private readonly request = new Uint8Array(QUERY);
  private readonly info: DatagramInfo = {
    address: "",
    port: 0,
    length: 0,
    truncated: false,
    localAddress: "",
    interface: null,
  };

  constructor(private readonly options: DnsForwarderOptions) {
    this.timeout = setting(options.timeout, 1500, 1, 60000, "timeout");
    this.attempts = setting(options.attempts, 2, 1, 8, "attempts");
    this.limit = setting(options.limit, 128, 1, 4096, "limit");
    this.udpSize = setting(options.udpSize, 1232, 512, 4096, "udpSize");
    this.upstreamPort = setting(options.port, DNS_PORT, 1, 65535, "port");
    this.connections = setting(options.connections, 32, 1, 1024, "connections");
    this.buffer = new Uint8Array(this.udpSize);
    const servers = options.servers || [];
    for (let i = 0; i < servers.length; i++) {
      this.list.push({ address: servers[i], interface: null, origin: "manual" });
    }
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "dnsforwarder");
    const options = this.options;
    this.stack = stack;
    stack.counters.dnsforwarder = this.counters as never;
    this.cache = new Cache(
      stack,
      setting(options.entries, 1024, 1, 1000000, "entries"),
      setting(options.bytes, 262144, 0, 0x7fffffff, "bytes"),
    );
    this.hosts = new Hosts(stack, 2 * setting(options.hostLimit, 2048, 2, 1000000, "hostLimit"));
    const hosts = options.hosts || [];
    for (let i = 0; i < hosts.length; i++) this.add(hosts[i].name, hosts[i].address);
    const domains = options.localDomains || [];
    for (let i = 0; i < domains.length; i++) this.hosts.zones.push(hostName(domains[i]));
  }

  start(): void {
    const stack = this.stack;
    this.udp = stack.transport(17) as unknown as Udp;
    this.tcp = stack.transport(6) as unknown as Tcp | null;
    if (!this.udp) fail("ENOPROTOOPT", "dnsforwarder needs udp");
    for (let i = 0; i < stack.networks.length; i++) this.paths.push(stack.networks[i].createPath());
    nameServers(stack).onChange.push(() => this.cache.clear());
  }

  rekeyed(): void {
    if (this.hosts) this.hosts.rehash();
    if (this.cache) this.cache.clear();
  }

  /** Serves the hosts of a link, over UDP and, where the stack has it, TCP. Errors (thrown): `EBUSY`, `EADDRINUSE`, `ENOBUFS`. */
  serve(nif: Interface): DnsService {
    if (!nif || nif.removed) fail("EINVAL", "interface");
    for (let i = 0; i < this.services.length; i++) if (this.services[i].nif === nif) fail("EBUSY", nif.name);
    const socket = this.udp.open({
      port: DNS_PORT,
      interface: nif,
      receiveBuffer: QUEUE,
      onReadable: () => this.readable(socket),
    });
    try {
      // Connections come on any interface, and are let in where there is a service.
      if (this.tcp && !this.stream) this.stream = new StreamServer(this, this.tcp, DNS_PORT);
    } catch (error) {
      socket.close();
      throw error;
    }
    const service = new DnsService(this, nif, socket);
    this.services.push(service);
    return service;
  }

  /** Knows that address of that name from now on, and the name of the address; false: there is no room. Throws `EINVAL`. */
  add(name: string, address: string): boolean {
    return this.hosts.add(name, address);
  }

  /** Undoes `add`. */
  remove(name: string, address: string): void {
    this.hosts.remove(name, address);
  }

  /** Forgets all answers. */
  flush(): void {
    this.cache.clear();
  }

  interfaceRemoved(nif: Interface): void {
    for (let i = this.services.length - 1; i >= 0; i--) {
      if (this.services[i].nif === nif) this.end(this.services[i]);
    }
  }

  close(): void {
    while (this.services.length > 0) this.end(this.services[0]);
    while (this.exchanges.length > 0) drop(this.exchanges[0]);
    this.cache.clear();
  }

  /* For the parts of this service. */

  end(service: DnsService): void {
    const at = this.services.indexOf(service);
    if (at < 0) return;
    this.services.splice(at, 1);
    service.udp.close();
    if (this.services.length > 0 || !this.stream) return;
    this.stream.close();
    this.stream = null;
  }

  /** Whom to ask: never this host itself. */
  servers(): NameServer[] {
    const all = this.list.length > 0 ? this.list : nameServers(this.stack).list();
    return all.filter((each) => {
      for (let i = 0; i < this.paths.length; i++) {
        if (this.paths[i].net.setLocal(this.paths[i].net.createPath(), each.address) === 0) return false;
      }
      return true;
    });
  }

  /** May whoever has this address be answered: is it on a link of ours? */
  isNear(address: string): boolean {
    if (this.options.strangers) return true;
    for (let i = 0; i < this.paths.length; i++) {
      const path = this.paths[i];
      for (let k = 0; k < this.services.length; k++) {
        path.bound = this.services[k].nif;
        if (path.net.setRemote(path, address) !== 0) break;
        if (path.net.route(path) === 0 && path.onLink) return true;
      }
    }
    return false;
  }

  /** Answers the query in `data[0..end)`, now or later. */
  ask(
    data: Uint8Array,
    end: number,
    from: string,
    overTcp: boolean,
    reply: (data: Uint8Array, end: number) => void,
  ): void {
    const counters = this.counters;
    const q = new ClientQuery();
    let code = parseQuery(q, data, end);
    if (code === SILENT || !this.isNear(from)) {
      if (code === SILENT) counters.malformed++;
      else counters.strangers++;
      return;
    }
    if (code !== 0) counters.malformed++;
    else {
      counters.asked++;
      if (this.known(q, overTcp, reply)) return;
      code = this.forward(q, from, overTcp, reply);
      if (code === 0) return;
    }
    this.respond(q, null, null, code, 0, overTcp, reply);
  }

  /**
   * Gives a client its answer.
   *
   * @param response what a server said, or null: nothing but `code`
   * @param age seconds since it came
   */
  respond(
    q: ClientQuery,
    response: Uint8Array | null,
    answer: Answer | null,
    code: number,
    age: number,
    overTcp: boolean,
    reply: (data: Uint8Array, end: number) => void,
  ): void {
    const filter = this.options.filter;
    if (filter && answer && answer.code === 0 && !passes(answer, filter)) {
      this.counters.filtered++;
      response = null;
      code = 0;
    }
    const body = response ? response.length : 0;
    const out = new Uint8Array(wire.DNS_HEADER + q.question.length + (body > 0 ? body : 0) + 32);
    let at = beginResponse(out, q, 0, code);
    if (response) {
      out.set(response.subarray(at), at);
      for (let i = wire.DNS_ANSWERS; i < wire.DNS_ADDITIONAL; i++) out[i] = response[i];
      if ((q.secure || q.flags & 0x20) && response[3] & 0x20) out[3] |= 0x20;
      ageRecords(out, body, age);
      at = body;
    }
    const size = q.size < this.udpSize ? q.size : this.udpSize;
    const limit = overTcp ? 65535 : size;
    if (at + (q.edns ? 11 : 0) > limit) at = beginResponse(out, q, wire.FLAG_TRUNCATED, code);
    at = endResponse(out, at, q, this.udpSize, code);
    reply(out, at);
  }

  /** Makes AAAA records of A records, and remembers them. Null: there are none. */
  synthesize(
    x: Exchange,
    answer: Answer,
    denial: Answer | null,
  ): { response: Uint8Array; answer: Answer } | null {
    const made = synthesize(this.options.dns64 as Dns64, x.name, answer, denial);
    if (!made) return null;
    this.counters.synthesized++;
    const response = made.response;
    this.cache.add(x.key, x.type, response, response.length, made.ttl, this.stack.now());
    return { response: response, answer: answer };
  }

  private readable(socket: UdpSocket): void {
    const info = this.info;
    while (!socket.closed && socket.receive(this.request, info) >= 0) {
      const address = info.address;
      const port = info.port;
      if (info.truncated) this.counters.malformed++;
      else {
        this.ask(this.request, info.length, address, false, (data, end) => {
          // What cannot be sent is asked for again.
          socket.sendTo(address, port, data, 0, end);
        });
      }
    }
  }

  /** Answers from what is known here, or remembered; false: it is not. */
  private known(q: ClientQuery, overTcp: boolean, reply: (data: Uint8Array, end: number) => void): boolean {
    const values = this.hosts.find(q.name, q.type);
    const counters = this.counters;
    if (values) {
      const out = new Uint8Array(512 + q.question.length + values.length * 300);
      let at = beginResponse(out, q, wire.FLAG_AUTHORITATIVE, 0);
      for (let i = 0; i < values.length && at > 0; i++) at = emitAnswer(out, at, "", q.type, 60, values[i]);
      counters.local++;
      const limit = overTcp ? 65535 : q.size < this.udpSize ? q.size : this.udpSize;
      if (at < 0 || at + 11 > limit) at = beginResponse(out, q, wire.FLAG_TRUNCATED, 0);
      reply(out, endResponse(out, at, q, this.udpSize, 0));
      return true;
    }
    // A name of one label is nobody's outside, where hosts are looked for.
    const short = q.name.indexOf(".") < 0 && (q.type === wire.TYPE_A || q.type === wire.TYPE_AAAA);
    if (short || this.hosts.isLocal(q.name)) {
      counters.local++;
      this.respond(q, null, null, wire.NAME_ERROR, 0, overTcp, reply);
      return true;
    }
    const now = this.stack.now();
    const entry = this.cache.find(keyOf(q), q.type, now);
    if (!entry) return false;
    counters.hits++;
    const code = entry.data[3] & wire.RCODE;
    this.respond(q, entry.data, null, code, (((now - entry.since) | 0) / 1000) | 0, overTcp, reply);
    return true;
  }

  /** Asks servers; a code: that cannot be. */
  private forward(
    q: ClientQuery,
    from: string,
    overTcp: boolean,
    reply: (data: Uint8Array, end: number) => void,
  ): number {
    const counters = this.counters;
    if ((q.flags & wire.FLAG_RECURSE) === 0) return REFUSED;
    const key = keyOf(q);
    const client = new Client(this, q, reply, overTcp);
    const x = this.exchangeOf(key, q.type);
    if (x) {
      // The server that is asked asks us: it forwards to this host.
      if (x.server && x.server.address === from) {
        counters.loops++;
        return REFUSED;
      }
      if (x.waiters.length >= WAITERS) {
        counters.refused++;
        return SERVER_FAILURE;
      }
      x.waiters.push(client);
      return 0;
    }
    return this.begin(key, q.name, q.type, q.secure, (q.flags & 0x10) !== 0, client);
  }

  private begin(
    key: string,
    name: string,
    type: number,
    secure: boolean,
    unchecked: boolean,
    waiter: Waiter,
  ): number {
    if (this.exchanges.length >= this.limit) {
      this.counters.refused++;
      return SERVER_FAILURE;
    }
    const x = new Exchange(this, key, name, type, secure, unchecked);
    // First of those who wait: what is remembered is there before anybody is told.
    x.waiters.push({ answered: (response, answer, code) => this.keep(x, response, answer, code) });
    x.waiters.push(this.wantsIpv6(x) ? this.throughDns64(x, waiter) : waiter);
    this.exchanges.push(x);
    next(x);
    return 0;
  }

  private exchangeOf(key: string, type: number): Exchange | null {
    for (let i = 0; i < this.exchanges.length; i++) {
      const x = this.exchanges[i];
      if (x.key === key && x.type === type && !this.wantsIpv6(x)) return x;
    }
    return null;
  }

  /** Who checks signatures itself makes addresses itself, too (RFC 6147 section 5.5). */
  private wantsIpv6(x: Exchange): boolean {
    return this.options.dns64 !== undefined && x.type === wire.TYPE_AAAA && !(x.secure && x.unchecked);
  }

  private throughDns64(x: Exchange, waiter: Waiter): Waiter {
    return {
      answered: (response, answer, code) => {
        const none = answer === null || (code === 0 && this.isDenial(answer));
        if (!none) waiter.answered(response, answer, code);
        else {
          const synthesis = new Synthesis(this, x, waiter, response, answer, code);
          if (this.begin(x.key, x.name, wire.TYPE_A, false, false, synthesis) !== 0) {
            waiter.answered(response, answer, code);
          }
        }
      },
    };
  }

  private isDenial(answer: Answer): boolean {
    return isDenial(this.options.dns64 as Dns64, answer);
  }

  private keep(x: Exchange, response: Uint8Array | null, answer: Answer | null, code: number): void {
    if (!response || !answer) return;
    // A denial that DNS64 is about to turn into an answer is not remembered as one.
    if (this.wantsIpv6(x) && code === 0 && this.isDenial(answer)) return;
    // That there is no such name holds for all types; behind an alias it is another name that is not.
    const type = answer.code === ENOTFOUND && answer.aliases === 0 ? 0 : x.type;
    this.cache.add(x.key, type, response, response.length, answer.ttl, this.stack.now());
  }
}

/** Names under which responses are remembered: what DNSSEC wants is another answer. A blank is in no name's text. */
function keyOf(q: ClientQuery): string {
  return (q.secure ? " " : "") + (q.flags & 0x10 ? "  " : "") + q.name;
}

function passes(answer: Answer, filter: (record: DnsRecord) => boolean): boolean {
  for (let i = 0; i < answer.records.length; i++) {
    const record = answer.records[i];
    const type = typeof record.type === "number" ? wire.typeName(record.type) : record.type;
    if (!filter({ name: record.name, type, ttl: record.ttl, data: record.data })) return false;
  }
  return true;
}

function setting(
  value: number | undefined,
  standard: number,
  low: number,
  high: number,
  what: string,
): number {
  return requireInteger(value === undefined ? standard : value, low, high, what);
}

/**
 * The DNS forwarder; needs `udp`, and `tcp` for what is long. Counters: `dnsforwarder`. Throws `EINVAL`.
 *
 * ```ts
 * const names = dnsForwarder({ hosts: [{ name: "gateway.home.arpa", address: "10.0.0.1" }] });
 * names.serve(lan);
 * ```
 */
export function dnsForwarder(options: DnsForwarderOptions = {}): DnsForwarder {
  return new DnsForwarder(options);
}

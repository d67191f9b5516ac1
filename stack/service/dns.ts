/**
 * DNS stub resolver (RFC 1034 section 5.3.1, RFC 1035, 2181, 2308, 5452, 6891, 7766, 9267): the component.
 *
 * Answers are believed for the name that was asked and what its aliases lead to, and nothing else of a response is kept.
 * They may hold any address: a name of the outside can point to this host or its network ("DNS rebinding"). Who lets strangers
 * choose names passes `filter: publicOnly()` (dns-filter.ts).
 */
import {
  ECANCELED,
  ELOOP,
  ENOBUFS,
  ENODATA,
  ENOTFOUND,
  fail,
  requireInteger,
  setting,
} from "../core/errors.js";
import { nameServers } from "../core/name-servers.js";
import type { Component, Deferred, Stack } from "../core/stack.js";
import type { Tcp } from "../tcp/tcp.js";
import type { Udp } from "../udp/udp.js";
import { canonicalName, typeName, typeNumber } from "../wire/dns.js";
import { ALIAS, ALIASES, readAnswer } from "./dns-answer.js";
import type { Answer, DnsRecord } from "./dns-answer.js";
import { CACHE_ENTRY_BYTES, Cache } from "./dns-cache.js";
import { Question, ask, drop } from "./dns-query.js";

export type { DnsRecord } from "./dns-answer.js";

export class DnsCounters {
  /** Questions that were answered from memory. */
  hits = 0;
  /** Queries sent, repetitions included. */
  queries = 0;
  /** Replies that are no answer to what was asked: wrong id, question, flags. */
  unmatched = 0;
  /** Replies that match, but whose records lie. */
  malformed = 0;
  /** Replies that were asked for again over TCP. */
  truncated = 0;
  timeouts = 0;
  /** Servers that said they cannot answer, or failed over TCP. */
  failures = 0;
  /** Requests refused for want of room. */
  refused = 0;
}

export interface DnsOptions {
  /** Addresses of servers, best first. Default: what DHCP or `nameServers(stack)` says. */
  servers?: string[];
  /** Domains to append to short names. Default likewise. */
  search?: string[];
  /** A name with this many dots is tried as it is before the search domains. Default 1. */
  ndots?: number;
  /** Names that are not asked for: `[{ name: "printer", address: "10.0.0.9" }]`. */
  hosts?: { name: string; address: string }[];
  /** Port of the servers. Default 53. */
  port?: number;
  /** Milliseconds that a server has to answer, doubled each time that all have been asked, and for TCP. Default 2000. */
  timeout?: number;
  /** How often each server is asked. Default 3. */
  attempts?: number;
  /** Requests that may be under way. Default 128, or what a 16th of `StackOptions.budget` holds. */
  limit?: number;
  /** Responses that are remembered. Default 128, or what a 16th of `StackOptions.budget` holds. */
  entries?: number;
  /** Bytes that they may take. Default 16384, or a 16th of `StackOptions.budget`; 0: none are. */
  bytes?: number;
  /** Largest reply over UDP, 512..4096 bytes. Default 1232; 512: without EDNS. */
  udpSize?: number;
  /** Asks in rAnDoM case, which replies must repeat: harder to forge, but a few servers answer only when asked again. */
  mixCase?: boolean;
  /** Says which records are delivered: see dns-filter.ts. */
  filter?: (record: DnsRecord) => boolean;
}

/** Bytes of a request with its question, besides the sockets that it asks by: see `Stack.reserve`. */
export const QUESTION_BYTES = 3072;

/** What has been asked for. */
export class DnsRequest implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  code = 0;
  result: unknown[] = [];
  question: Question | null = null;
  aliases = 0;
  /** Of a look-up: the requests that it consists of. */
  parts: { cancel(): void }[] = [];

  constructor(
    private readonly dns: Dns,
    /** The name to ask for now: the request's, or where an alias has led. */
    public name: string,
    readonly type: number,
    readonly label: string | number,
    private callback: ((code: number, result: any[]) => void) | null,
  ) {}

  /** Wants no answer any more: the callback is not called. Legal at any time. */
  cancel(): void {
    if (!this.callback) return;
    const q = this.question;
    this.callback = this.question = null;
    this.dns.waiting--;
    for (let i = 0; i < this.parts.length; i++) this.parts[i].cancel();
    if (!q) return;
    q.waiters.splice(q.waiters.indexOf(this), 1);
    if (q.waiters.length === 0) drop(q);
  }

  /** See `Stack.defer`. */
  run(): void {
    const callback = this.callback;
    const filter = this.label ? this.dns.filter : null;
    if (!callback) return;
    if (filter && this.code === 0) {
      this.result = this.result.filter((record) => filter(record as DnsRecord));
      const last = this.result[this.result.length - 1] as DnsRecord | undefined;
      if (!last || last.type !== this.label) {
        this.code = ENODATA;
        this.result = [];
      }
    }
    this.callback = null;
    this.dns.waiting--;
    callback(this.code, this.result);
  }
}

export class Dns implements Component {
  readonly name = "dns";
  readonly counters = new DnsCounters();
  readonly questions: Question[] = [];
  readonly timeout: number;
  readonly attempts: number;
  readonly port: number;
  readonly udpSize: number;
  readonly mixCase: boolean;
  readonly filter: ((record: DnsRecord) => boolean) | null;
  /** For a reply over UDP. */
  readonly buffer: Uint8Array;
  cache: Cache = null as never;
  stack: Stack = null as never;
  udp: Udp = null as never;
  tcp: Tcp | null = null;
  /** Requests under way. */
  waiting = 0;
  /** Bytes of replies that are coming in over TCP, and how many there may be: 256 KiB, or a 16th of the budget. */
  held = 0;
  memory = 0;
  /** Place of the server that answered last: it is asked first. */
  first = 0;
  /** What mdns adds: takes requests for names below `.local` (RFC 6762 section 3), and finishes them; false: it is none. */
  multicast: ((request: DnsRequest) => boolean) | null = null;
  private limit: number;
  private readonly ndots: number;
  private readonly hosts: { name: string; address: string }[] = [];

  constructor(private readonly options: DnsOptions) {
    this.timeout = setting(options.timeout, 2000, 1, 60000, "timeout");
    this.attempts = setting(options.attempts, 3, 1, 8, "attempts");
    this.port = setting(options.port, 53, 1, 65535, "port");
    this.udpSize = setting(options.udpSize, 1232, 512, 4096, "udpSize");
    this.limit = setting(options.limit, -1, 1, 65536, "limit");
    this.ndots = setting(options.ndots, 1, 0, 15, "ndots");
    this.mixCase = options.mixCase === true;
    this.filter = options.filter || null;
    this.buffer = new Uint8Array(this.udpSize);
    const hosts = options.hosts || [];
    for (let i = 0; i < hosts.length; i++) {
      this.hosts.push({ name: plain(hosts[i].name), address: hosts[i].address });
    }
  }

  attach(stack: Stack): void {
    if (this.stack) fail("EBUSY", "dns");
    this.stack = stack;
    stack.counters.dns = this.counters as never;
    const options = this.options;
    this.memory = stack.reserve(-1, 1 << 18, 4, 1);
    this.limit = stack.reserve(this.limit, 128, 4, QUESTION_BYTES);
    this.cache = new Cache(
      stack,
      stack.reserve(setting(options.entries, -1, 1, 1000000, "entries"), 128, 4, CACHE_ENTRY_BYTES),
      stack.reserve(setting(options.bytes, -1, 0, 0x7fffffff, "bytes"), 16384, 4, 1),
    );
  }

  start(): void {
    const stack = this.stack;
    const names = nameServers(stack);
    const options = this.options;
    this.udp = stack.transport(17) as unknown as Udp;
    this.tcp = stack.transport(6) as unknown as Tcp | null;
    if (!this.udp) fail("ENOPROTOOPT", "dns needs udp");
    names.set("manual", null, options.servers || [], options.search || []);
    // Another network may know other names.
    names.onChange.push(() => this.cache.clear());
  }

  /** Ends everything that is under way with `ECANCELED`. */
  close(): void {
    while (this.questions.length > 0) {
      const q = this.questions[0];
      drop(q);
      for (let i = 0; i < q.waiters.length; i++) this.finish(q.waiters[i], ECANCELED);
    }
    this.cache.clear();
  }

  /** Forgets all answers. */
  flush(): void {
    this.cache.clear();
  }

  /**
   * Asks for the records of a name, which is taken as it is (no search domains).
   *
   * @param type `"A"`, `"AAAA"`, `"CNAME"`, `"MX"`, `"NS"`, `"PTR"`, `"SRV"`, `"TXT"`, or the number of any other, whose data
   *   come as bytes
   * @param callback takes 0 and the records, those of aliases on the way first; or a code and an empty list: `ENOTFOUND` there is
   *   no such name, `ENODATA` it has no such records, `ESERVFAIL` no server could say, `ETIMEDOUT` none answered, `ENETUNREACH`
   *   there is none, `ECONNREFUSED` nobody listens there, `ELOOP` more than 8 aliases, `EMSGSIZE` the answer needs TCP, `ENOBUFS`
   *   too many requests, `ECANCELED` the stack was closed. Never called before this returns.
   * @returns what `cancel()` may be called on. Throws `EINVAL`.
   */
  resolve(
    name: string,
    type: string | number,
    callback: (code: number, records: DnsRecord[]) => void,
  ): DnsRequest {
    const number = requireInteger(typeNumber(type), 1, 65535, "type");
    const label = typeName(number);
    const request = this.request(name, number, label, callback);
    const plain = canonicalName(name);
    if (request.code !== 0 || plain === null) this.finish(request, request.code || ENOTFOUND);
    else {
      request.name = plain.toLowerCase();
      this.advance(request);
    }
    return request;
  }

  /**
   * Finds the addresses of a name: addresses are their own, then come `hosts` and `localhost` (RFC 6761), then A and AAAA records,
   * as it is or in the search domains.
   *
   * @param options.family 4 or 6; default: what the stack has
   * @param callback takes 0 and the addresses, those of IPv4 first, or a code (see `resolve`) and an empty list
   */
  lookup(
    name: string,
    options: { family?: number },
    callback: (code: number, addresses: string[]) => void,
  ): DnsRequest {
    const family = options.family || 0;
    if (family !== 0 && family !== 4 && family !== 6) fail("EINVAL", "family");
    const request = this.request(name, 0, "", callback);
    const known = this.local(plain(name), name);
    if (request.code !== 0) this.finish(request, request.code);
    else if (known.length > 0) {
      request.result = known.filter((text) => {
        const own = this.familyOf(text);
        return own !== 0 && (family === 0 || own === family);
      });
      this.finish(request, request.result.length > 0 ? 0 : ENODATA);
    } else {
      const domains = name.slice(-1) === "." ? [] : nameServers(this.stack).search();
      const names: string[] = [];
      for (let i = 0; i < domains.length; i++) names.push(name + "." + domains[i]);
      if (name.split(".").length > this.ndots) names.unshift(name);
      else names.push(name);
      const labels: string[] = [];
      if (family !== 6 && (family || this.stack.network(4))) labels.push("A");
      if (family !== 4 && (family || this.stack.network(6))) labels.push("AAAA");
      this.search(request, names, labels);
    }
    return request;
  }

  /** For the parts of this service. */

  /** Goes on with `request.name`: from memory, or with others who ask the same, or with a new question. */
  advance(request: DnsRequest): void {
    const name = request.name;
    if (this.multicast && this.multicast(request)) return;
    const now = this.stack.now();
    const entry = this.cache.find(name, request.type, now);
    const age = entry ? (((now - entry.since) | 0) / 1000) | 0 : 0;
    const known = entry && readAnswer(entry.data, entry.data.length, name, request.type, request.label, age);
    if (known) {
      this.counters.hits++;
      this.take(request, known);
      return;
    }
    for (let i = 0; i < this.questions.length; i++) {
      const q = this.questions[i];
      if (q.name !== name || q.type !== request.type) continue;
      request.question = q;
      q.waiters.push(request);
      return;
    }
    const q = new Question(this, name, request.type, this.first);
    request.question = q;
    q.waiters.push(request);
    this.questions.push(q);
    ask(q);
  }

  /** Gives `request` what a response says, and follows an alias that it ends with. */
  take(request: DnsRequest, answer: Answer): void {
    request.question = null;
    request.result = request.result.concat(answer.records);
    request.aliases += answer.aliases;
    if (answer.code !== ALIAS) this.finish(request, answer.code);
    else if (request.aliases > ALIASES) this.finish(request, ELOOP);
    else {
      request.name = answer.target;
      this.advance(request);
    }
  }

  /** Remembers the response to `q`. */
  keep(q: Question, data: Uint8Array, answer: Answer): void {
    // That there is no such name holds for all types of records; behind an alias it is another name that is not.
    const type = answer.code === ENOTFOUND && answer.aliases === 0 ? 0 : q.type;
    this.cache.add(q.name, type, data, answer.end, answer.ttl, this.stack.now());
  }

  finish(request: DnsRequest, code: number): void {
    request.question = null;
    request.code = code;
    if (code !== 0) request.result = [];
    this.stack.defer(request);
  }

  private request(
    name: string,
    type: number,
    label: string | number,
    callback: (code: number, result: never[]) => void,
  ): DnsRequest {
    if (typeof name !== "string") fail("EINVAL", "name");
    if (typeof callback !== "function") fail("EINVAL", "callback");
    const request = new DnsRequest(this, name, type, label, callback as never);
    if (this.waiting++ >= this.limit) {
      this.counters.refused++;
      request.code = ENOBUFS;
    }
    return request;
  }

  /** The family whose address `text` is, or 0. */
  private familyOf(text: string): number {
    const networks = this.stack.networks;
    for (let i = 0; i < networks.length; i++) {
      if (networks[i].setRemote(networks[i].createPath(), text) === 0) return networks[i].family;
    }
    return 0;
  }

  /** The addresses of a name that nobody need be asked for; an empty list: it is none. */
  private local(name: string, text: string): string[] {
    // A colon is in addresses alone, perhaps of a family that is not here.
    if (name.indexOf(":") >= 0 || this.familyOf(text) !== 0) return [text];
    const found: string[] = [];
    for (let i = 0; i < this.hosts.length; i++) {
      if (this.hosts[i].name === name) found.push(this.hosts[i].address);
    }
    if (found.length === 0 && ("." + name).slice(-10) === ".localhost") found.push("127.0.0.1", "::1");
    return found;
  }

  /** Tries the names in turn until one has addresses, for `request`. */
  private search(request: DnsRequest, names: string[], labels: string[]): void {
    let best = ENOTFOUND;
    let at = 0;
    const next = () => {
      const name = names[at++];
      const found: string[][] = [];
      let left = labels.length;
      let error = 0;
      request.parts = [];
      for (let i = 0; i < labels.length; i++) {
        found.push([]);
        request.parts.push(
          this.resolve(name, labels[i], (code, records) => {
            for (let k = 0; k < records.length; k++) {
              if (records[k].type === labels[i]) found[i].push(records[k].data as string);
            }
            if (code === ENODATA) best = code;
            else if (code !== 0 && code !== ENOTFOUND) error = code;
            if (--left > 0) return;
            request.result = found.length > 1 ? found[0].concat(found[1]) : found[0];
            if (request.result.length > 0) request.code = 0;
            else if (error === 0 && at < names.length) return next();
            else request.code = error || best;
            request.run();
          }),
        );
      }
    };
    next();
  }
}

/** Lower case, without a dot at the end. */
function plain(name: string): string {
  return (name.slice(-1) === "." ? name.slice(0, -1) : name).toLowerCase();
}

/** The resolver. Needs `udp`; with `tcp` it takes answers of any size. Counters: `dns`. */
export function dns(options: DnsOptions = {}): Dns {
  return new Dns(options);
}

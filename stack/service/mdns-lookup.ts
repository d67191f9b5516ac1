/** One answer to one question by multicast (RFC 6762 section 5.1): records of a name, addresses of a host. */
import { ENOBUFS, ENODATA, ENOTFOUND, fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Deferred } from "../core/stack.js";
import { Timer } from "../core/timers.js";
import * as wire from "../wire/dns.js";
import type { RecordData } from "../wire/dns.js";
import type { Heard } from "./mdns-message.js";
import type { Querier } from "./mdns-querier.js";
import type { Query } from "./mdns-query.js";

/** Milliseconds for an answer, by default; and for addresses of the other family once one is there. */
const TIMEOUT = 3000;
const GRACE = 200;

/** A record that was heard: plain data. */
export interface MdnsRecord {
  /** The owner, in lower case. */
  name: string;
  /** `"A"`, `"SRV"`, ...; the number of a type that has no name here. */
  type: string | number;
  /** Seconds for which it held when it came. */
  ttl: number;
  /** See `RecordData` of wire/dns.ts; link-local addresses have their zone. */
  data: RecordData;
  interface: Interface;
}

export function recordOf(heard: Heard, nif: Interface): MdnsRecord {
  let data = heard.value;
  // fe80::/10
  if (heard.type === wire.TYPE_AAAA && heard.data[0] === 0xfe && (heard.data[1] & 0xc0) === 0x80) {
    data = data + "%" + nif.name;
  }
  return { name: heard.name, type: wire.typeName(heard.type), ttl: heard.ttl, data, interface: nif };
}

/** The number of a type. Throws `EINVAL`. */
export function typeNumber(type: string | number): number {
  return requireInteger(wire.typeNumber(type), 1, 65535, "type");
}

export interface LookupOptions {
  /** 4 or 6; default: what the stack has. */
  family?: number;
  /** Milliseconds for which somebody may answer. Default 3000. */
  timeout?: number;
}

/** A request for the records of a name. */
export class RecordRequest implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  private query: Query | null = null;
  private readonly found: MdnsRecord[] = [];

  constructor(
    private readonly querier: Querier,
    name: string,
    type: number,
    timeout: number,
    private callback: ((code: number, records: MdnsRecord[]) => void) | null,
  ) {
    if (querier.full()) {
      querier.port.stack.defer(this);
      return;
    }
    this.query = querier.ask(name, type, null, {
      change: (heard, present, nif) => {
        if (present) this.found.push(recordOf(heard, nif));
      },
      settled: () => this.finish(0),
      none: () => this.finish(ENODATA),
      late: () => this.finish(ENOTFOUND),
    });
    this.query.expireIn(timeout);
  }

  /** Wants no answer any more: the callback is not called. Legal at any time. */
  cancel(): void {
    this.callback = null;
    if (this.query) this.querier.end(this.query);
    this.query = null;
  }

  /** The same as `cancel`. */
  close(): void {
    this.cancel();
  }

  /** There was no room for the question. */
  run(): void {
    this.finish(ENOBUFS);
  }

  private finish(code: number): void {
    const callback = this.callback;
    if (code === 0 && this.found.length === 0) return;
    this.cancel();
    if (callback) callback(code, this.found);
  }
}

/** A request for the addresses of a host. */
export class AddressRequest implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  private readonly parts: RecordRequest[] = [];
  private readonly found: string[][] = [[], []];
  private waiting = 0;
  private code = ENOTFOUND;
  private readonly timer: Timer;

  constructor(
    private readonly querier: Querier,
    name: string,
    options: LookupOptions,
    private callback: ((code: number, addresses: string[]) => void) | null,
  ) {
    const family = options.family || 0;
    const stack = querier.port.stack;
    const timeout = lookupTimeout(options.timeout);
    if (family !== 0 && family !== 4 && family !== 6) fail("EINVAL", "family");
    if (typeof callback !== "function") fail("EINVAL", "callback");
    this.timer = new Timer(later, this);
    const ask = (index: number, type: number) => {
      this.waiting++;
      this.parts.push(
        new RecordRequest(querier, name, type, timeout, (code, records) => this.take(index, code, records)),
      );
    };
    if (isLocal(name)) {
      if (family !== 6 && (family || stack.network(4))) ask(0, wire.TYPE_A);
      if (family !== 4 && (family || stack.network(6))) ask(1, wire.TYPE_AAAA);
    } else stack.defer(this);
  }

  /** Wants no answer any more: the callback is not called. Legal at any time. */
  cancel(): void {
    this.callback = null;
    this.querier.port.stack.timers.clear(this.timer);
    for (let i = 0; i < this.parts.length; i++) this.parts[i].cancel();
  }

  /** The same as `cancel`. */
  close(): void {
    this.cancel();
  }

  /** See `Stack.defer`. */
  run(): void {
    const callback = this.callback;
    const addresses = this.found[0].concat(this.found[1]);
    this.cancel();
    if (callback) callback(addresses.length > 0 ? 0 : this.code, addresses);
  }

  /** The other family has had its time. */
  expire(): void {
    this.querier.port.stack.defer(this);
  }

  private take(index: number, code: number, records: MdnsRecord[]): void {
    for (let i = 0; i < records.length; i++) this.found[index].push(records[i].data as string);
    // That the host is there, and has no such address, says more than silence.
    if (code !== 0 && this.code === ENOTFOUND) this.code = code;
    const stack = this.querier.port.stack;
    if (--this.waiting === 0) this.run();
    else if (code === 0) stack.timers.set(this.timer, (stack.now() + GRACE) | 0);
  }
}

function later(request: AddressRequest): void {
  request.expire();
}

export function lookupTimeout(timeout: number | undefined): number {
  return requireInteger(timeout === undefined ? TIMEOUT : timeout, 1, 0x7fffffff, "timeout");
}

/** Is it a name that multicast DNS alone may be asked for (RFC 6762 sections 3, 4)? */
export function isLocal(name: string): boolean {
  if (typeof name !== "string") return fail("EINVAL", "name");
  const text = "." + (name.slice(-1) === "." ? name.slice(0, -1) : name).toLowerCase();
  const ends = (suffix: string) => text.slice(-suffix.length) === suffix;
  const reverse6 = text.slice(-15);
  return (
    ends(".local") ||
    ends(".254.169.in-addr.arpa") ||
    (ends(".e.f.ip6.arpa") && "89ab".indexOf(reverse6.charAt(1)) >= 0 && reverse6.charAt(0) === ".")
  );
}

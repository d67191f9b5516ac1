/**
 * Multicast DNS querier (RFC 6762) with service discovery (RFC 6763): asks all on the link. A component of its own for those who
 * look, and need not be found; `mdns()` has both.
 *
 * Bounds: `queries` questions at a time; what is remembered of others, see mdns-cache.ts.
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import type { Dns, DnsRecord } from "./dns.js";
import { Browser, Resolution, TypeBrowser } from "./dnssd-browse.js";
import type { BrowseOptions, ResolveOptions, ServiceInstance, TypesOptions } from "./dnssd-browse.js";
import { Memory } from "./mdns-cache.js";
import {
  AddressRequest,
  RecordRequest,
  isLocal,
  lookupTimeout,
  recordOf,
  typeNumber,
} from "./mdns-lookup.js";
import type { LookupOptions, MdnsRecord } from "./mdns-lookup.js";
import { nameOf } from "./mdns-message.js";
import type { Heard, Message, Question } from "./mdns-message.js";
import { MdnsPort } from "./mdns-port.js";
import type { Asker, MdnsLink, MdnsOptions, MdnsPart } from "./mdns-port.js";
import { Ear, Query, forgetAll, hear, listen, overhear, unlisten } from "./mdns-query.js";
import type { QueryHandlers } from "./mdns-query.js";

export type { MdnsOptions } from "./mdns-port.js";
export { Browser, Resolution, TypeBrowser } from "./dnssd-browse.js";
export type {
  BrowseOptions,
  ResolveOptions,
  ResolvedService,
  ServiceInstance,
  TypesOptions,
} from "./dnssd-browse.js";
export type { LookupOptions, MdnsRecord } from "./mdns-lookup.js";

export interface WatchOptions {
  interface?: Interface;
  /** There is such a record. */
  onRecord(this: Watch, record: MdnsRecord): void;
  /** It has been withdrawn, replaced, or not heard of any more. */
  onGone?(this: Watch, record: MdnsRecord): void;
}

/** What `watch` gives back. */
export class Watch {
  private readonly query: Query;

  constructor(
    private readonly querier: Querier,
    name: string,
    type: number,
    options: WatchOptions,
  ) {
    this.query = querier.ask(name, type, options.interface || null, {
      change: (heard, present, nif) => {
        if (present) options.onRecord.call(this, recordOf(heard, nif));
        else if (options.onGone) options.onGone.call(this, recordOf(heard, nif));
      },
    });
  }

  /** Asks no more. Legal twice. */
  close(): void {
    this.querier.end(this.query);
  }
}

export class Querier implements MdnsPart {
  readonly ears: Ear[] = [];
  readonly queries: Query[] = [];
  /** Our own records that answer a question; null: there is no responder. */
  own: ((link: MdnsLink, question: Question) => Heard[]) | null = null;
  private readonly limit: number;
  private readonly entries: number;
  private readonly bytes: number;

  constructor(
    readonly port: MdnsPort,
    options: MdnsOptions,
  ) {
    const setting = (value: number | undefined, none: number, what: string) =>
      value === undefined ? none : requireInteger(value, 1, 0x7fffffff, what);
    this.limit = setting(options.queries, 64, "queries");
    this.entries = setting(options.entries, 256, "entries");
    this.bytes = setting(options.bytes, 32768, "bytes");
    port.parts.push(this);
  }

  /** Is there no room for another question? */
  full(): boolean {
    return this.queries.length >= this.limit;
  }

  /** Begins to ask, on one interface or all. Throws `EINVAL` name, or no stack yet, `ENOBUFS`. */
  ask(name: string, type: number, nif: Interface | null, handlers: QueryHandlers): Query {
    if (!this.port.stack) fail("EINVAL", "mdns: no stack yet");
    const query = new Query(this.port.stack, nameOf(name), type, nif, handlers);
    if (this.full()) fail("ENOBUFS", "queries");
    this.queries.push(query);
    for (let i = 0; i < this.ears.length; i++) listen(this.ears[i], query);
    return query;
  }

  /** Ends a question; no callback comes after it. Legal twice. */
  end(query: Query): void {
    const at = this.queries.indexOf(query);
    query.close();
    if (at < 0) return;
    this.queries.splice(at, 1);
    for (let i = 0; i < this.ears.length; i++) unlisten(this.ears[i], query);
  }

  resolve(service: string | ServiceInstance, options: ResolveOptions): Resolution {
    if (typeof service === "string") return new Resolution(this, service, options);
    const copy: ResolveOptions = {
      interface: options.interface || service.interface,
      timeout: options.timeout,
      onResolved: options.onResolved,
      onLost: options.onLost,
      onError: options.onError,
    };
    return new Resolution(this, service.fullName, copy);
  }

  request(
    name: string,
    type: string | number,
    timeout: number | undefined,
    callback: (code: number, records: MdnsRecord[]) => void,
  ): RecordRequest {
    if (typeof callback !== "function") fail("EINVAL", "callback");
    return new RecordRequest(this, name, typeNumber(type), lookupTimeout(timeout), callback);
  }

  /** From now on the resolver of dns.ts, if there is one, leaves names below `.local` to us. */
  serveDns(): void {
    const components = this.port.stack.components;
    for (let i = 0; i < components.length; i++) {
      if (components[i].name !== "dns") continue;
      const dns = components[i] as Dns;
      dns.multicast = (request) => {
        if (!isLocal(request.name)) return false;
        const part = this.request(request.name, request.type, undefined, (code, records) => {
          request.result = request.result.concat(records as DnsRecord[]);
          dns.finish(request, code);
        });
        request.parts.push(part);
        return true;
      };
    }
  }

  /* From the port */

  linkUp(link: MdnsLink): void {
    const memory = new Memory(this.port.stack, this.entries, this.bytes);
    const ear = new Ear(this.port, link, memory, (on, question) => (this.own ? this.own(on, question) : []));
    this.ears.push(ear);
    for (let i = 0; i < this.queries.length; i++) listen(ear, this.queries[i]);
  }

  linkDown(link: MdnsLink): void {
    const ear = this.ear(link);
    if (!ear) return;
    this.ears.splice(this.ears.indexOf(ear), 1);
    forgetAll(ear);
  }

  linkChanged(): void {}

  query(link: MdnsLink, message: Message, asker: Asker): void {
    const ear = this.ear(link);
    if (ear) overhear(ear, message, asker);
  }

  response(link: MdnsLink, message: Message): void {
    const ear = this.ear(link);
    if (ear) hear(ear, message);
  }

  private ear(link: MdnsLink): Ear | null {
    for (let i = 0; i < this.ears.length; i++) if (this.ears[i].link === link) return this.ears[i];
    return null;
  }

  close(): void {
    while (this.queries.length > 0) this.end(this.queries[0]);
  }
}

/** The component with the querier alone. */
export class MdnsQuerier implements Component {
  readonly name = "mdns";
  readonly port: MdnsPort;
  readonly querier: Querier;

  constructor(options: MdnsOptions) {
    this.port = new MdnsPort(options);
    this.querier = new Querier(this.port, options);
  }

  /** See `Mdns.browse`. */
  browse(type: string, options: BrowseOptions): Browser {
    return new Browser(this.querier, type, options);
  }

  /** See `Mdns.browseTypes`. */
  browseTypes(options: TypesOptions): TypeBrowser {
    return new TypeBrowser(this.querier, options);
  }

  /** See `Mdns.resolve`. */
  resolve(service: string | ServiceInstance, options: ResolveOptions): Resolution {
    return this.querier.resolve(service, options);
  }

  /** See `Mdns.lookup`. */
  lookup(
    name: string,
    options: LookupOptions,
    callback: (code: number, addresses: string[]) => void,
  ): AddressRequest {
    return new AddressRequest(this.querier, name, options, callback);
  }

  /** See `Mdns.watch`. */
  watch(name: string, type: string | number, options: WatchOptions): Watch {
    return new Watch(this.querier, name, typeNumber(type), options);
  }

  attach(stack: Stack): void {
    this.port.attach(stack);
  }

  start(): void {
    this.port.start();
    this.querier.serveDns();
  }

  interfaceAdded(): void {
    this.port.changed();
  }

  interfaceChanged(): void {
    this.port.changed();
  }

  interfaceRemoved(nif: Interface): void {
    this.port.removed(nif);
  }

  close(): void {
    this.port.close();
    this.querier.close();
  }
}

/** The querier. Needs `udp`, and `igmp` where there is IPv4. Counters: `mdns`. */
export function mdnsQuerier(options: MdnsOptions = {}): MdnsQuerier {
  return new MdnsQuerier(options);
}

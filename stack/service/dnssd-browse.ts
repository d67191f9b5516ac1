/** Finding services (RFC 6763): browsing for instances (section 4), and resolving one to what a connection needs (sections 5, 6). */
import { ETIMEDOUT, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Deferred } from "../core/stack.js";
import * as wire from "../wire/dns.js";
import type { Service } from "../wire/dns.js";
import { decodeTxt, fromLabel, labelEnd, serviceType, toLabel } from "./dnssd-text.js";
import type { Heard } from "./mdns-message.js";
import { recordOf } from "./mdns-lookup.js";
import type { Querier } from "./mdns-querier.js";
import type { Query } from "./mdns-query.js";

/** An instance of a service: plain data. */
export interface ServiceInstance {
  /** What people read: `"Sensor in the attic"`. */
  name: string;
  /** `"_http._tcp"`. */
  type: string;
  /** The whole name, as `resolve` takes it as well. */
  fullName: string;
  /** Where it was found. */
  interface: Interface;
}

export interface BrowseOptions {
  /** Only those that have this subtype: `"_printer"`. */
  subtype?: string;
  /** Looks on this interface alone. */
  interface?: Interface;
  /** There is one; found on two interfaces, it is told twice. */
  onFound(this: Browser, service: ServiceInstance): void;
  /** It has said goodbye, or was not heard of any more, or its interface is down. */
  onLost?(this: Browser, service: ServiceInstance): void;
}

/** What `browse` gives back. */
export class Browser {
  private readonly query: Query;

  constructor(
    private readonly querier: Querier,
    type: string,
    options: BrowseOptions,
  ) {
    const kind = serviceType(type);
    const name = (options.subtype === undefined ? "" : toLabel(options.subtype) + "._sub.") + kind + ".local";
    this.query = querier.ask(name, wire.TYPE_PTR, options.interface || null, {
      change: (heard, present, nif) => {
        const fullName = heard.value as string;
        const service = { name: fromLabel(fullName), type: kind, fullName, interface: nif };
        // What is no instance of the service that was asked for is a lie.
        if (fullName.substring(labelEnd(fullName)).toLowerCase() !== "." + kind.toLowerCase() + ".local")
          return;
        if (present) options.onFound.call(this, service);
        else if (options.onLost) options.onLost.call(this, service);
      },
    });
  }

  /** Looks no further. Legal twice. */
  close(): void {
    this.querier.end(this.query);
  }
}

export interface TypesOptions {
  interface?: Interface;
  /** Somebody offers services of this type: `"_http._tcp"`. */
  onFound(this: TypeBrowser, type: string, nif: Interface): void;
  onLost?(this: TypeBrowser, type: string, nif: Interface): void;
}

/** What `browseTypes` gives back (section 9). */
export class TypeBrowser {
  private readonly query: Query;

  constructor(
    private readonly querier: Querier,
    options: TypesOptions,
  ) {
    this.query = querier.ask("_services._dns-sd._udp.local", wire.TYPE_PTR, options.interface || null, {
      change: (heard, present, nif) => {
        const name = heard.value as string;
        const type = name.slice(-6) === ".local" ? name.slice(0, -6) : name;
        if (present) options.onFound.call(this, type, nif);
        else if (options.onLost) options.onLost.call(this, type, nif);
      },
    });
  }

  close(): void {
    this.querier.end(this.query);
  }
}

/** All that a connection needs: plain data. */
export interface ResolvedService {
  fullName: string;
  /** `"sensor.local"` */
  host: string;
  port: number;
  priority: number;
  weight: number;
  /** IPv4 first; link-local ones with their zone. */
  addresses: string[];
  /** Keys in lower case; `true`: there was no value. */
  txt: { [key: string]: string | boolean };
  /** The TXT record's strings, bytes as characters 0..255. */
  strings: string[];
  interface: Interface;
}

export interface ResolveOptions {
  /** Asks on this interface alone: the one where the instance was found. */
  interface?: Interface;
  /** Milliseconds until `onError`. Default 5000. */
  timeout?: number;
  /** Host, port, text and at least one address are known; called again when they change. */
  onResolved(this: Resolution, service: ResolvedService): void;
  /** It was resolved, and is gone. */
  onLost?(this: Resolution): void;
  /** Nobody has answered in time: `ETIMEDOUT`. The search goes on until it is closed. */
  onError?(this: Resolution, code: number): void;
}

/** What `resolve` gives back. */
export class Resolution implements Deferred {
  queued = false;
  nextDeferred: Deferred | null = null;
  private readonly text: Query;
  private readonly service: Query;
  private readonly services: Found[] = [];
  private readonly texts: Found[] = [];
  /** The host whose addresses are asked for, and the questions. */
  private host = "";
  private hostQueries: Query[] = [];
  private addresses: Found[] = [];
  private done = false;
  private told = "";

  constructor(
    private readonly querier: Querier,
    private readonly fullName: string,
    private readonly options: ResolveOptions,
  ) {
    this.service = this.add(fullName, wire.TYPE_SRV, this.services);
    this.text = this.add(fullName, wire.TYPE_TXT, this.texts);
    const timeout = requireInteger(
      options.timeout === undefined ? 5000 : options.timeout,
      1,
      0x7fffffff,
      "timeout",
    );
    this.service.expireIn(timeout);
  }

  /** Asks no more. Legal twice. */
  close(): void {
    this.done = true;
    this.querier.end(this.service);
    this.querier.end(this.text);
    this.find("");
  }

  private add(name: string, type: number, into: Found[]): Query {
    return this.querier.ask(name, type, this.options.interface || null, {
      change: (heard, present, nif) => {
        if (present) into.push({ heard, nif });
        for (let i = into.length - 1; i >= 0 && !present; i--) {
          if (into[i].heard === heard) into.splice(i, 1);
        }
      },
      // Host, text and addresses may come together: looked at when all of them have been told.
      settled: () => this.querier.port.stack.defer(this),
      late: () => {
        if (this.told === "" && this.options.onError) this.options.onError.call(this, ETIMEDOUT);
      },
    });
  }

  /** Asks for the addresses of another host, or of none; false: it is the same. */
  private find(host: string): boolean {
    if (host.toLowerCase() === this.host) return false;
    while (this.hostQueries.length > 0) this.querier.end(this.hostQueries.pop() as Query);
    this.host = host.toLowerCase();
    this.addresses = [];
    const stack = this.querier.port.stack;
    if (host && stack.network(4)) this.hostQueries.push(this.add(host, wire.TYPE_A, this.addresses));
    if (host && stack.network(6)) this.hostQueries.push(this.add(host, wire.TYPE_AAAA, this.addresses));
    return true;
  }

  /** Something has changed: is all there that there must be? See `Stack.defer`. */
  run(): void {
    const options = this.options;
    if (this.done) return;
    // Of two the last that was heard: it takes the place of the other.
    const found = this.services[this.services.length - 1] as Found | undefined;
    const text = this.texts[this.texts.length - 1] as Found | undefined;
    const service = found && (found.heard.value as Service);
    let other = false;
    try {
      other = this.find(service ? service.target : "");
    } catch {
      // A target that cannot be asked for, or too many questions: as if it had no address.
    }
    if (!found || !service || !text || this.addresses.length === 0) {
      // Another host's addresses may be known, and are told next.
      const lost = this.told !== "" && (!found || (this.addresses.length === 0 && !other));
      if (lost) this.told = "";
      if (lost && options.onLost) options.onLost.call(this);
      return;
    }
    const four: string[] = [];
    const six: string[] = [];
    for (let i = 0; i < this.addresses.length; i++) {
      const each = this.addresses[i];
      (each.heard.type === wire.TYPE_A ? four : six).push(recordOf(each.heard, each.nif).data as string);
    }
    const strings = text.heard.value as string[];
    const resolved: ResolvedService = {
      fullName: this.fullName,
      host: service.target,
      port: service.port,
      priority: service.priority,
      weight: service.weight,
      addresses: four.concat(six),
      txt: decodeTxt(strings),
      strings,
      interface: found.nif,
    };
    const all = [service.target, service.port, service.priority, service.weight].concat(
      resolved.addresses,
      strings,
    );
    const now = all.join("\n");
    if (now === this.told) return;
    this.told = now;
    options.onResolved.call(this, resolved);
  }
}

interface Found {
  heard: Heard;
  nif: Interface;
}

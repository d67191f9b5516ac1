/**
 * Multicast DNS (RFC 6762) and service discovery (RFC 6763): the component with the responder and the querier. This host has a
 * name below `.local`, its services are found, and it finds those of others, over IPv4 and IPv6, without a server.
 *
 * Not there: other domains than `.local`, wide-area discovery, sleep proxies, passive observation of failures (section 10.5).
 * Everybody on the link may say anything: what was found by multicast is no more to be trusted than the link is.
 */
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import * as wire from "../wire/dns.js";
import { Browser, TypeBrowser } from "./dnssd-browse.js";
import type {
  BrowseOptions,
  Resolution,
  ResolveOptions,
  ServiceInstance,
  TypesOptions,
} from "./dnssd-browse.js";
import type { Publication, ServiceOptions } from "./dnssd-publish.js";
import type { Owned } from "./mdns-claim.js";
import { AddressRequest, typeNumber } from "./mdns-lookup.js";
import type { LookupOptions } from "./mdns-lookup.js";
import type { Heard } from "./mdns-message.js";
import { MdnsPort } from "./mdns-port.js";
import type { MdnsOptions } from "./mdns-port.js";
import { Querier, Watch } from "./mdns-querier.js";
import type { WatchOptions } from "./mdns-querier.js";
import { Responder } from "./mdns-responder.js";
import type { HostName, HostOptions } from "./mdns-responder.js";

export type { MdnsOptions } from "./mdns-port.js";
export { MdnsCounters } from "./mdns-port.js";
export { HostName, Publication } from "./mdns-responder.js";
export type { HostOptions, ServiceOptions } from "./mdns-responder.js";
export { Browser, Resolution, TypeBrowser, Watch } from "./mdns-querier.js";
export type {
  BrowseOptions,
  LookupOptions,
  MdnsRecord,
  ResolveOptions,
  ResolvedService,
  ServiceInstance,
  TypesOptions,
  WatchOptions,
} from "./mdns-querier.js";
export type { TxtPairs } from "./dnssd-text.js";

export class Mdns implements Component {
  readonly name = "mdns";
  readonly port: MdnsPort;
  readonly responder: Responder;
  readonly querier: Querier;

  constructor(options: MdnsOptions) {
    this.port = new MdnsPort(options);
    this.responder = new Responder(this.port, options);
    this.querier = new Querier(this.port, options);
    this.querier.own = (link, question) => {
      const heard: Heard[] = [];
      const records = this.responder.own(link, question);
      for (let i = 0; i < records.length; i++) heard.push(asHeard(records[i]));
      return heard;
    };
  }

  /**
   * Claims `"sensor"` as `sensor.local`, with the addresses of each interface. When somebody has the name already it becomes
   * `sensor-2.local`, and `onName` says so. Throws `EINVAL` name, `EEXIST` claimed already, `ENOBUFS` too many claims.
   */
  claim(name: string, options: HostOptions = {}): HostName {
    return this.responder.claim(name, options);
  }

  /**
   * Offers a service: `publish({ name: "Attic", type: "_http._tcp", port: 80, txt: { path: "/" } })`. Its host is the first name
   * that was claimed, unless `host` says another. Throws `EINVAL`, `EEXIST` published already, `ENOBUFS` too many claims.
   */
  publish(options: ServiceOptions): Publication {
    return this.responder.publish(options);
  }

  /**
   * Looks for instances of a service, `"_http._tcp"`, until it is closed; this host's own are among them.
   * Throws `EINVAL` type, `ENOBUFS` too many questions.
   */
  browse(type: string, options: BrowseOptions): Browser {
    return new Browser(this.querier, type, options);
  }

  /** Looks for the types of services that there are. Throws `ENOBUFS`. */
  browseTypes(options: TypesOptions): TypeBrowser {
    return new TypeBrowser(this.querier, options);
  }

  /**
   * Finds host, port, text and addresses of an instance (of `browse`, or its full name), and follows their changes until it is
   * closed. Throws `EINVAL` name, `ENOBUFS` too many questions.
   */
  resolve(service: string | ServiceInstance, options: ResolveOptions): Resolution {
    return this.querier.resolve(service, options);
  }

  /**
   * Finds the addresses of `"sensor.local"`, IPv4 first; link-local ones have their zone.
   *
   * @param callback takes 0 and the addresses, or a code and an empty list: `ENOTFOUND` nobody has answered, or the name is not
   *   of this link; `ENODATA` the host has no such address; `ENOBUFS` too many questions. Never called before this returns.
   * @returns what `cancel()` or `close()` may be called on: then no callback comes. Throws `EINVAL`.
   */
  lookup(
    name: string,
    options: LookupOptions,
    callback: (code: number, addresses: string[]) => void,
  ): AddressRequest {
    return new AddressRequest(this.querier, name, options, callback);
  }

  /** Follows the records of any name and type (`"A"`, ..., or a number; 255: all). Throws `EINVAL`, `ENOBUFS`. */
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

/** A record of ours as if somebody else had said it. */
function asHeard(record: Owned): Heard {
  const data = record.data;
  const cursor = new wire.Cursor(data, data.length, data.length);
  cursor.type = record.type;
  const bitmap = record.type === wire.TYPE_NSEC ? record.owner.bytes.length : 0;
  return {
    name: record.owner.key,
    type: record.type,
    unique: record.unique,
    ttl: record.ttl,
    value: wire.parseData(cursor) as Heard["value"],
    data: data.subarray(bitmap),
  };
}

/** The component. Needs `udp`, and `igmp` where there is IPv4. List it behind them: then it can say goodbye. Counters: `mdns`. */
export function mdns(options: MdnsOptions = {}): Mdns {
  return new Mdns(options);
}

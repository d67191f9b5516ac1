/**
 * Multicast DNS responder (RFC 6762) with service registration (RFC 6763): this host has a name that needs no server, and its
 * services can be found. A component of its own for those who want not to ask, but to be found; `mdns()` has both.
 *
 * Bounds: `claims` names. Nothing is remembered of those who ask.
 */
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Component, Stack } from "../core/stack.js";
import * as wire from "../wire/dns.js";
import { Publication, denial } from "./dnssd-publish.js";
import type { ServiceOptions } from "./dnssd-publish.js";
import { toLabel } from "./dnssd-text.js";
import { answer, answersTo, overheard, query, say } from "./mdns-answer.js";
import {
  ANNOUNCING,
  Claim,
  Owned,
  WAITING,
  Zone,
  begin,
  enter,
  farewell,
  heard,
  leave,
  renew,
} from "./mdns-claim.js";
import type { ClaimKind } from "./mdns-claim.js";
import { HOST_TTL, nameOf } from "./mdns-message.js";
import type { Message, Name, Question } from "./mdns-message.js";
import { MdnsPort } from "./mdns-port.js";
import type { Asker, MdnsLink, MdnsOptions, MdnsPart } from "./mdns-port.js";

export type { MdnsOptions } from "./mdns-port.js";
export { Publication } from "./dnssd-publish.js";
export type { ServiceOptions } from "./dnssd-publish.js";

export interface HostOptions {
  /** The name has been won: `"sensor.local"`, or `"sensor-2.local"`. Called again when it is lost. */
  onName?(this: HostName, name: string): void;
  /** Claims it on this interface alone. */
  interface?: Interface;
}

/** A name of this host. */
export class HostName {
  /** `"sensor.local"`; until it has been won, the one that is being tried. */
  name = "";
  /** For the responder. */
  claim: Claim = null as never;

  constructor(private readonly responder: Responder) {}

  /** Gives it up, with all services that are offered under it, and says so. Legal twice. */
  close(): void {
    this.responder.withdraw(this.claim);
  }
}

export class Responder implements MdnsPart {
  readonly zones: Zone[] = [];
  readonly claims: Claim[] = [];
  private readonly limit: number;

  constructor(
    private readonly port: MdnsPort,
    options: MdnsOptions,
  ) {
    this.limit = requireInteger(options.claims === undefined ? 32 : options.claims, 1, 1024, "claims");
    port.parts.push(this);
    if (options.host !== undefined) this.claim(options.host, { onName: options.onHost });
  }

  claim(label: string, options: HostOptions): HostName {
    const at = typeof label === "string" ? label.indexOf(".local") : -1;
    const text = at > 0 && at + 6 === label.length ? label.substring(0, at) : label;
    const host = new HostName(this);
    host.claim = this.add({
      nif: options.interface || null,
      host: null,
      isHost: true,
      name: (tries) => {
        const name = nameOf(toLabel(text, tries > 1 ? "-" + tries : "") + ".local");
        host.name = name.text;
        return name;
      },
      records: (claim, link) => hostRecords(claim.name, link.addresses),
      told: () => {
        if (options.onName) options.onName.call(host, host.name);
      },
    });
    return host;
  }

  publish(options: ServiceOptions): Publication {
    const service = new Publication(options, (claim) => this.withdraw(claim));
    let host: Claim | null = null;
    for (let i = this.claims.length - 1; i >= 0; i--) {
      const claim = this.claims[i];
      if (claim.kind.isHost && (!claim.kind.nif || claim.kind.nif === options.interface)) host = claim;
    }
    service.claim = this.add(service.kind(host));
    service.renewed = () => this.renew(service.claim);
    return service;
  }

  withdraw(claim: Claim): void {
    if (claim.closed) return;
    claim.closed = true;
    this.claims.splice(this.claims.indexOf(claim), 1);
    for (let i = this.claims.length - 1; i >= 0; i--) {
      if (this.claims[i] && this.claims[i].kind.host === claim) this.withdraw(this.claims[i]);
    }
    for (let i = 0; i < this.zones.length; i++) leave(this.zones[i], claim, false);
  }

  /** Our records that answer a question on a link: our own querier asks. */
  own(link: MdnsLink, question: Question): Owned[] {
    const zone = this.zone(link);
    return zone ? answersTo(zone, question) : [];
  }

  /* From the port */

  linkUp(link: MdnsLink): void {
    const zone = new Zone(this.port, link, answer, say, (claim) => this.rename(claim));
    this.zones.push(zone);
    for (let i = 0; i < this.claims.length; i++) enter(zone, this.claims[i]);
  }

  linkDown(link: MdnsLink, gone: boolean): void {
    const zone = this.zone(link);
    if (!zone) return;
    this.zones.splice(this.zones.indexOf(zone), 1);
    const all: Owned[] = [];
    for (let i = 0; i < zone.presences.length; i++) {
      const presence = zone.presences[i];
      if (presence.state >= ANNOUNCING)
        for (let k = 0; k < presence.records.length; k++) all.push(presence.records[k]);
    }
    while (zone.presences.length > 0) zone.presences.pop();
    if (!gone) farewell(zone, all);
    this.port.stack.timers.clear(zone.timer);
  }

  linkChanged(link: MdnsLink): void {
    const zone = this.zone(link);
    for (let i = 0; zone && i < zone.presences.length; i++) {
      if (zone.presences[i].claim.kind.isHost) renew(zone, zone.presences[i]);
    }
  }

  query(link: MdnsLink, message: Message, asker: Asker): void {
    const zone = this.zone(link);
    if (zone) query(zone, message, asker);
  }

  response(link: MdnsLink, message: Message): void {
    const zone = this.zone(link);
    if (!zone) return;
    heard(zone, message);
    overheard(zone, message);
  }

  private add(kind: ClaimKind): Claim {
    if (this.claims.length >= this.limit) fail("ENOBUFS", "claims");
    const claim = new Claim(kind);
    for (let i = 0; i < this.claims.length; i++) {
      if (this.claims[i].name.key === claim.name.key) fail("EEXIST", claim.name.text);
    }
    this.claims.push(claim);
    for (let i = 0; i < this.zones.length; i++) enter(this.zones[i], claim);
    return claim;
  }

  /** The claim's data have changed. */
  private renew(claim: Claim): void {
    for (let i = 0; i < this.zones.length; i++) {
      const presences = this.zones[i].presences;
      for (let k = 0; k < presences.length; k++)
        if (presences[k].claim === claim) renew(this.zones[i], presences[k]);
    }
  }

  /** Somebody else has the claim's name: the next one is tried, on all interfaces, and what leads to it waits for that. */
  private rename(claim: Claim): void {
    let taken = true;
    while (taken) {
      claim.name = claim.kind.name(++claim.tries);
      taken = false;
      for (let i = 0; i < this.claims.length; i++) {
        if (this.claims[i] !== claim && this.claims[i].name.key === claim.name.key) taken = true;
      }
    }
    for (let i = 0; i < this.zones.length; i++) {
      const zone = this.zones[i];
      for (let k = 0; k < zone.presences.length; k++) {
        const presence = zone.presences[k];
        if (presence.claim === claim) {
          const old = presence.state >= ANNOUNCING ? presence.records : [];
          presence.state = WAITING;
          farewell(zone, old);
          begin(zone, presence);
        } else if (presence.claim.kind.host === claim) presence.state = WAITING;
      }
    }
  }

  private zone(link: MdnsLink): Zone | null {
    for (let i = 0; i < this.zones.length; i++) if (this.zones[i].link === link) return this.zones[i];
    return null;
  }
}

/** The addresses of a name, that it has no other records, and the name of the addresses (RFC 6762 section 4). */
function hostRecords(name: Name, addresses: Uint8Array[]): Owned[] {
  const list: Owned[] = [];
  const types: number[] = [];
  for (let i = 0; i < addresses.length; i++) {
    const bytes = addresses[i];
    const type = bytes.length === 4 ? wire.TYPE_A : wire.TYPE_AAAA;
    types.push(type);
    list.push(new Owned(name, type, HOST_TTL, true, bytes));
    list.push(new Owned(reverseName(bytes), wire.TYPE_PTR, HOST_TTL, true, name.bytes));
  }
  list.push(denial(name, types));
  return list;
}

function reverseName(address: Uint8Array): Name {
  let text = address.length === 4 ? "in-addr.arpa" : "ip6.arpa";
  for (let i = 0; i < address.length; i++) {
    const byte = address[i];
    text =
      (address.length === 4 ? byte : (byte & 15).toString(16) + "." + (byte >> 4).toString(16)) + "." + text;
  }
  return nameOf(text);
}

/** The component with the responder alone. */
export class MdnsResponder implements Component {
  readonly name = "mdns";
  readonly port: MdnsPort;
  readonly responder: Responder;

  constructor(options: MdnsOptions) {
    this.port = new MdnsPort(options);
    this.responder = new Responder(this.port, options);
  }

  /** See `Mdns.claim`. */
  claim(name: string, options: HostOptions = {}): HostName {
    return this.responder.claim(name, options);
  }

  /** See `Mdns.publish`. */
  publish(options: ServiceOptions): Publication {
    return this.responder.publish(options);
  }

  attach(stack: Stack): void {
    this.port.attach(stack);
  }

  start(): void {
    this.port.start();
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
  }
}

/** The responder. Needs `udp`, and `igmp` where there is IPv4. Counters: `mdns`. */
export function mdnsResponder(options: MdnsOptions = {}): MdnsResponder {
  return new MdnsResponder(options);
}

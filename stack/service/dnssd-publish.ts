/** A service that this host offers, as records (RFC 6763 sections 4, 5, 6, 7, 9). */
import { put16 } from "../core/bytes.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import * as wire from "../wire/dns.js";
import { encodeTxt, fromLabel, serviceType, toLabel } from "./dnssd-text.js";
import type { TxtPairs } from "./dnssd-text.js";
import { Owned } from "./mdns-claim.js";
import type { Claim, ClaimKind } from "./mdns-claim.js";
import { HOST_TTL, OTHER_TTL, nameOf } from "./mdns-message.js";
import type { Name } from "./mdns-message.js";

export interface ServiceOptions {
  /** What people read, 1..63 bytes of UTF-8: `"Sensor in the attic"`. */
  name: string;
  /** `"_http._tcp"`. */
  type: string;
  /** 1..65535; 0: there is nothing to connect to. */
  port: number;
  /** What there is to know before one connects. At most 1300 bytes, 255 a pair. */
  txt?: TxtPairs;
  /** `["_printer"]`: found by those who browse `_printer._sub._http._tcp` as well. */
  subtypes?: string[];
  /** The host that offers it, `"other.local"`, where that is not this one. Its addresses are its own business. */
  host?: string;
  /** Of several instances those with the lowest number first; among equals by weight (RFC 2782). Default 0. */
  priority?: number;
  weight?: number;
  /** Offers it on this interface alone. */
  interface?: Interface;
  /** The name has been won: the one that was asked for, or `"Name (2)"` when somebody else had it. Called again when it is lost. */
  onName?(this: Publication, name: string): void;
}

/** What `publish` gives back. */
export class Publication {
  /** The instance's name as people read it; until it has been won, the one that is being tried. */
  name = "";
  /** The whole name: `Sensor\\032in\\032the\\032attic._http._tcp.local`. */
  fullName = "";
  /** See `Responder` in mdns-responder.ts. */
  claim: Claim = null as never;
  /** Calls for the records to be made again. */
  renewed: (() => void) | null = null;
  private readonly type: string;
  private port: number;
  private txt: Uint8Array;
  private readonly subtypes: Name[] = [];
  private readonly foreign: Name | null;

  constructor(
    private readonly options: ServiceOptions,
    private readonly onClose: (claim: Claim) => void,
  ) {
    this.type = serviceType(options.type) + ".local";
    this.port = requireInteger(options.port, 0, 65535, "port");
    this.txt = encodeTxt(options.txt || {});
    this.foreign = options.host === undefined ? null : nameOf(options.host);
    requireInteger(options.priority || 0, 0, 65535, "priority");
    requireInteger(options.weight || 0, 0, 65535, "weight");
    const subtypes = options.subtypes || [];
    if (subtypes.length > 16) fail("EINVAL", "subtypes");
    for (let i = 0; i < subtypes.length; i++) {
      this.subtypes.push(nameOf(toLabel(subtypes[i]) + "._sub." + this.type));
    }
  }

  /** Gives the service another port or text; announced at once. Throws `EINVAL`. Not more than ten times a minute, please. */
  update(changes: { port?: number; txt?: TxtPairs }): void {
    if (changes.port !== undefined) this.port = requireInteger(changes.port, 0, 65535, "port");
    if (changes.txt !== undefined) this.txt = encodeTxt(changes.txt);
    if (this.renewed && !this.claim.closed) this.renewed();
  }

  /** Offers it no more, and says so. Legal twice. */
  close(): void {
    this.onClose(this.claim);
  }

  /** For the responder: what makes this claim that of a service. `host`: the claim of this host's name, or null. */
  kind(host: Claim | null): ClaimKind {
    if (!host && !this.foreign) fail("EINVAL", "host: this one has no name");
    const options = this.options;
    return {
      nif: options.interface || null,
      host: this.foreign ? null : host,
      isHost: false,
      name: (tries) => {
        const name = nameOf(toLabel(options.name, tries > 1 ? " (" + tries + ")" : "") + "." + this.type);
        this.fullName = name.text;
        this.name = fromLabel(name.text);
        return name;
      },
      records: (claim) => this.records(claim.name, this.foreign || (host as Claim).name),
      told: () => {
        if (options.onName) options.onName.call(this, this.name);
      },
    };
  }

  private records(name: Name, host: Name): Owned[] {
    const type = nameOf(this.type);
    const service = new Uint8Array(6 + host.bytes.length);
    put16(service, 0, this.options.priority || 0);
    put16(service, 2, this.options.weight || 0);
    put16(service, 4, this.port);
    service.set(host.bytes, 6);
    const pointer = (owner: Name, to: Name) => new Owned(owner, wire.TYPE_PTR, OTHER_TTL, false, to.bytes);
    const list = [
      pointer(type, name),
      new Owned(name, wire.TYPE_SRV, HOST_TTL, true, service),
      new Owned(name, wire.TYPE_TXT, OTHER_TTL, true, this.txt),
      denial(name, [wire.TYPE_TXT, wire.TYPE_SRV]),
    ];
    list[0].target = name.key;
    list[1].target = host.key;
    for (let i = 0; i < this.subtypes.length; i++) list.push(pointer(this.subtypes[i], name));
    for (let i = 4; i < list.length; i++) list[i].target = name.key;
    // Which types of services there are at all (section 9).
    list.push(pointer(nameOf("_services._dns-sd._udp.local"), type));
    return list;
  }
}

/** The NSEC record that says which types a name of ours has, and so that it has no others (RFC 6762 section 6.1). */
export function denial(name: Name, types: number[]): Owned {
  const before = name.bytes.length;
  let last = 0;
  for (let i = 0; i < types.length; i++) if (types[i] > last) last = types[i];
  const data = new Uint8Array(before + 3 + (last >> 3));
  data.set(name.bytes);
  data[before + 1] = 1 + (last >> 3);
  for (let i = 0; i < types.length; i++) data[before + 2 + (types[i] >> 3)] |= 128 >> (types[i] & 7);
  return new Owned(name, wire.TYPE_NSEC, HOST_TTL, true, data);
}

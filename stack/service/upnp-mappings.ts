/** The mappings that hosts have asked for by UPnP: bounded, each for the host that asked, each with a lease (WANIPConnection:1 section 2.4.16). */
import type { PortMapper } from "../core/port-mapper.js";
import { NOT_THAT_PORT } from "../core/port-mapper.js";

/** Error codes of UPnP (Device Architecture section 3.2.2, WANIPConnection:1 section 2.4). */
export const DONE = 0;
export const INVALID_ACTION = 401;
export const INVALID_ARGS = 402;
export const ACTION_FAILED = 501;
export const ARGUMENT_VALUE = 600;
export const NOT_AUTHORIZED = 606;
export const INVALID_INDEX = 713;
export const NO_SUCH_ENTRY = 714;
export const NO_WILDCARD_PORT = 716;
export const CONFLICT = 718;
export const ONLY_ANY_REMOTE = 726;

export class UpnpMapping {
  row = -1;
  description = "";
  /** When the lease ends, stack time. */
  expires = 0;

  constructor(
    readonly protocol: number,
    readonly outerPort: number,
    readonly address: number,
    readonly port: number,
  ) {}
}

export class UpnpMappings {
  readonly list: UpnpMapping[] = [];

  constructor(
    private readonly mapper: PortMapper,
    private readonly limit: number,
    private readonly perHost: number,
  ) {}

  /** The mapping of an outer port, or null. */
  find(protocol: number, outerPort: number): UpnpMapping | null {
    for (let i = 0; i < this.list.length; i++) {
      if (this.list[i].protocol === protocol && this.list[i].outerPort === outerPort) return this.list[i];
    }
    return null;
  }

  /** Gives a host an outer port, renews that, or leads it to another of its ports. Returns an error code. */
  add(
    protocol: number,
    outerPort: number,
    address: number,
    port: number,
    description: string,
    expires: number,
  ): number {
    const old = this.find(protocol, outerPort);
    if (old && old.address !== address) return CONFLICT;
    let mapping = old;
    if (!old || old.port !== port) {
      let own = 0;
      for (let i = 0; i < this.list.length; i++) if (this.list[i].address === address) own++;
      if (!old && (own >= this.perHost || this.list.length >= this.limit)) return ACTION_FAILED;
      if (old) this.drop(old);
      mapping = new UpnpMapping(protocol, outerPort, address, port);
      const code = this.take(mapping);
      if (code !== DONE) {
        // Its flows still use the port, or the other end has one: all is as before.
        if (old) this.take(old);
        return code;
      }
    }
    (mapping as UpnpMapping).description = description;
    (mapping as UpnpMapping).expires = expires;
    return DONE;
  }

  /** Ends a host's mapping. Returns an error code. */
  end(protocol: number, outerPort: number, address: number): number {
    const mapping = this.find(protocol, outerPort);
    if (!mapping) return NO_SUCH_ENTRY;
    if (mapping.address !== address) return NOT_AUTHORIZED;
    this.drop(mapping);
    return DONE;
  }

  /** Ends what is over at `now`. Returns ms until the next end, or -1. */
  expire(now: number): number {
    let soonest = -1;
    for (let i = this.list.length - 1; i >= 0; i--) {
      const left = (this.list[i].expires - now) | 0;
      if (left <= 0) this.drop(this.list[i]);
      else if (soonest < 0 || left < soonest) soonest = left;
    }
    return soonest;
  }

  clear(): void {
    while (this.list.length > 0) this.drop(this.list[this.list.length - 1]);
  }

  private take(mapping: UpnpMapping): number {
    const row = this.mapper.map(mapping.protocol, mapping.address, mapping.port, mapping.outerPort, true);
    if (row < 0) return row === NOT_THAT_PORT ? CONFLICT : ACTION_FAILED;
    mapping.row = row;
    this.list.push(mapping);
    return DONE;
  }

  private drop(mapping: UpnpMapping): void {
    this.list.splice(this.list.indexOf(mapping), 1);
    this.mapper.unmap(mapping.row);
  }
}

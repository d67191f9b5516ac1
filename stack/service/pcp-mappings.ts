/** The mappings that hosts have asked for by PCP or NAT-PMP: bounded, each with a lifetime and, of PCP, a nonce (RFC 6887 section 11). */
import type { PortMapper } from "../core/port-mapper.js";
import { NO_OUTER, NOT_THAT_PORT } from "../core/port-mapper.js";
import {
  CANNOT_PROVIDE_EXTERNAL,
  MAP_NONCE,
  NETWORK_FAILURE,
  NOT_AUTHORIZED,
  NO_RESOURCES,
  SUCCESS,
  USER_EX_QUOTA,
} from "../wire/pcp.js";

const NONCE = 12;

class Mapping {
  expires = 0;
  readonly nonce = new Uint8Array(NONCE);
  constructor(
    readonly protocol: number,
    readonly address: number,
    readonly port: number,
    readonly row: number,
  ) {}
}

export class PcpMappings {
  readonly list: Mapping[] = [];
  /** The outer port of the mapping that `obtain` has given. */
  port = 0;

  constructor(
    private readonly mapper: PortMapper,
    private readonly limit: number,
    private readonly perHost: number,
  ) {}

  /** Gives a host a mapping until `expires`, or renews it. `message` has the nonce; NAT-PMP's is null. Returns a result code of PCP. */
  obtain(
    protocol: number,
    address: number,
    port: number,
    wanted: number,
    exact: boolean,
    message: Uint8Array | null,
    expires: number,
  ): number {
    let mapping: Mapping | null = null;
    let own = 0;
    for (let i = 0; i < this.list.length; i++) {
      const each = this.list[i];
      if (each.address === address) own++;
      if (isOf(each, protocol, address, port)) mapping = each;
    }
    if (mapping && !sameNonce(mapping, message)) return NOT_AUTHORIZED;
    if (!mapping) {
      if (own >= this.perHost) return USER_EX_QUOTA;
      if (this.list.length >= this.limit) return NO_RESOURCES;
      const row = this.mapper.map(protocol, address, port, wanted, exact);
      if (row === NO_OUTER) return NETWORK_FAILURE;
      if (row === NOT_THAT_PORT) return CANNOT_PROVIDE_EXTERNAL;
      if (row < 0) return NO_RESOURCES;
      mapping = new Mapping(protocol, address, port, row);
      if (message) for (let i = 0; i < NONCE; i++) mapping.nonce[i] = message[MAP_NONCE + i];
      this.list.push(mapping);
    } else if (exact && this.mapper.mappedPort(mapping.row) !== wanted) return CANNOT_PROVIDE_EXTERNAL;
    mapping.expires = expires;
    this.port = this.mapper.mappedPort(mapping.row);
    return SUCCESS;
  }

  /** Ends a host's mapping, all of the protocol with port 0. Returns a result code. */
  end(protocol: number, address: number, port: number, message: Uint8Array | null): number {
    for (let i = this.list.length - 1; i >= 0; i--) {
      const each = this.list[i];
      if (!isOf(each, protocol, address, port)) continue;
      if (sameNonce(each, message)) this.drop(i);
      else if (port !== 0) return NOT_AUTHORIZED;
    }
    return SUCCESS;
  }

  /** Ends what is over at `now`. Returns ms until the next end, or -1. */
  expire(now: number): number {
    let soonest = -1;
    for (let i = this.list.length - 1; i >= 0; i--) {
      const left = (this.list[i].expires - now) | 0;
      if (left <= 0) this.drop(i);
      else if (soonest < 0 || left < soonest) soonest = left;
    }
    return soonest;
  }

  clear(): void {
    while (this.list.length > 0) this.drop(this.list.length - 1);
  }

  private drop(index: number): void {
    const mapping = this.list[index];
    this.list.splice(index, 1);
    this.mapper.unmap(mapping.row);
  }
}

/** Port 0: any. */
function isOf(mapping: Mapping, protocol: number, address: number, port: number): boolean {
  return (
    mapping.address === address && mapping.protocol === protocol && (mapping.port === port || port === 0)
  );
}

/** NAT-PMP's mappings have a nonce of zeros. */
function sameNonce(mapping: Mapping, message: Uint8Array | null): boolean {
  for (let i = 0; i < NONCE; i++)
    if (mapping.nonce[i] !== (message ? message[MAP_NONCE + i] : 0)) return false;
  return true;
}

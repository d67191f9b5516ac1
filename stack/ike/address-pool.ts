/** Virtual addresses (RFC 7296 section 2.19), given from a pool. */
import { put32 } from "../core/bytes.js";
import { fail } from "../core/errors.js";
import { parse4, splitPrefix } from "../core/text4.js";
import * as wire from "../wire/ike.js";
import { IP4_ADDRESS, IP4_DNS, REPLY, REQUEST, attributes } from "./cp.js";
import type { Addresses } from "./features.js";
import { sameIdentity } from "./identity.js";
import type { Identity } from "./identity.js";
import type { IkeSa } from "./ike-sa.js";
import type { Message, Writer } from "./message.js";

export interface AddressPoolOptions {
  /** `"10.9.0.0/24"`: all but the first and the last are given. IPv4, 65536 addresses at most. */
  pool: string;
  /** DNS servers that are named beside. */
  servers?: string[];
}

interface Lease {
  readonly identity: Identity;
  readonly offset: number;
  sa: IkeSa | null;
}

class Pool implements Addresses {
  private readonly base: number;
  private readonly size: number;
  /** Who had which address has it again; the oldest that is free goes when there is no other. */
  private readonly leases: Lease[] = [];
  private readonly servers: number[] = [];

  constructor(options: AddressPoolOptions) {
    const parts = splitPrefix(options.pool, 32);
    const base = parts ? parse4(parts.address) : null;
    if (!parts || base === null || parts.length < 16 || parts.length > 30) fail("EINVAL", "pool");
    this.size = 1 << (32 - parts.length);
    this.base = base & -this.size;
    const servers = options.servers || [];
    for (let i = 0; i < servers.length; i++) {
      const server = parse4(servers[i]);
      this.servers.push(server === null ? fail("EINVAL", "servers") : server);
    }
  }

  request(): void {
    // Who has a pool asks nobody.
  }

  take(): void {
    // As above.
  }

  assign(sa: IkeSa, message: Message, out: Writer): number {
    const at = message.find(wire.PAYLOAD_CP);
    const body = at < 0 ? null : message.body(at);
    if (!body || body[0] !== REQUEST) return 0;
    let wanted = false;
    let dns = false;
    if (
      !attributes(body, (type) => {
        if (type === IP4_ADDRESS) wanted = true;
        if (type === IP4_DNS) dns = true;
      })
    ) {
      return wire.INVALID_SYNTAX;
    }
    const address = new Uint8Array(4);
    if (wanted) {
      const lease = this.lease(sa);
      if (!lease) return wire.INTERNAL_ADDRESS_FAILURE;
      put32(address, 0, this.base + lease.offset);
      sa.addresses.push(address);
    }
    out.begin(wire.PAYLOAD_CP).put8(REPLY).put8(0).put16(0);
    if (wanted) out.put16(IP4_ADDRESS).put16(4).bytes(address);
    for (let i = 0; dns && i < this.servers.length; i++) out.put16(IP4_DNS).put16(4).put32(this.servers[i]);
    return 0;
  }

  release(sa: IkeSa): void {
    for (let i = 0; i < this.leases.length; i++)
      if (this.leases[i].sa === sa || isAfter(this.leases[i].sa, sa)) this.leases[i].sa = null;
  }

  private lease(sa: IkeSa): Lease | null {
    const leases = this.leases;
    let free = -1;
    for (let i = 0; i < leases.length; i++) {
      const lease = leases[i];
      const idle = !lease.sa || (lease.sa.dead && !lease.sa.successor);
      if (sameIdentity(lease.identity, sa.peer!) && idle) {
        lease.sa = sa;
        return lease;
      }
      if (idle && free < 0) free = i;
    }
    let offset = leases.length + 1;
    if (offset >= this.size - 1) {
      if (free < 0) return null;
      offset = leases[free].offset;
      leases.splice(free, 1);
    }
    const lease: Lease = { identity: sa.peer!, offset, sa };
    leases.push(lease);
    return lease;
  }
}

/** Has `first` become `last` by rekeys? */
function isAfter(first: IkeSa | null, last: IkeSa): boolean {
  let sa = first;
  while (sa && sa !== last) sa = sa.successor;
  return sa === last;
}

/** Gives peers addresses: `ike({ responder: ikeResponder(), addresses: addressPool({ pool: "10.9.0.0/24" }) })`. Throws `EINVAL`. */
export function addressPool(options: AddressPoolOptions): Addresses {
  return new Pool(options);
}

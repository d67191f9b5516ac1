/** Names that a forwarder knows itself: addresses by name, names by address, and what nobody outside need be asked about. */
import { fail } from "../core/errors.js";
import type { Stack } from "../core/stack.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { parse4 } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import { TYPE_A, TYPE_AAAA, TYPE_PTR, canonicalName, nameBytes } from "../wire/dns.js";
import { hashName } from "./dns-cache.js";

/** A record of a name. */
class HostRecord implements TableEntry {
  nextInBucket: this | null = null;

  constructor(
    public hash: number,
    readonly name: string,
    readonly type: number,
    readonly value: Uint8Array,
  ) {}
}

/** Zones below which nothing is known to the outside: reverse names of private addresses (RFC 6303), and special names. */
const PRIVATE = [
  "10.in-addr.arpa",
  "168.192.in-addr.arpa",
  "254.169.in-addr.arpa",
  "127.in-addr.arpa",
  "d.f.ip6.arpa",
  "8.e.f.ip6.arpa",
  "9.e.f.ip6.arpa",
  "a.e.f.ip6.arpa",
  "b.e.f.ip6.arpa",
  "local",
  "invalid",
  "localhost",
  "onion",
  "home.arpa",
];

export class Hosts {
  private readonly table = new Table<HostRecord>();
  readonly zones: string[] = PRIVATE.slice();

  constructor(
    private readonly stack: Stack,
    private readonly limit: number,
  ) {
    for (let i = 16; i < 32; i++) this.zones.push(i + ".172.in-addr.arpa");
    this.add("localhost", "127.0.0.1");
    this.add("localhost", "::1");
  }

  /** Knows `address` of `name`, and the way back; false: there is no room. `EINVAL`: no name, or no address. */
  add(name: string, address: string): boolean {
    const plain = hostName(name);
    const four = parse4(address);
    const six = four === null ? parse6(address) : null;
    let bytes: Uint8Array;
    if (four !== null) {
      bytes = new Uint8Array(4);
      for (let i = 0; i < 4; i++) bytes[i] = four >> (24 - 8 * i);
    } else bytes = six || fail("EINVAL", "address " + address);
    this.remove(name, address);
    if (this.table.size + 2 > this.limit) return false;
    this.insert(plain, four !== null ? TYPE_A : TYPE_AAAA, bytes);
    this.insert(reverseName(bytes), TYPE_PTR, nameBytes(plain));
    return true;
  }

  /** Forgets `address` of `name`. */
  remove(name: string, address: string): void {
    const plain = hostName(name);
    const four = parse4(address);
    const bytes = new Uint8Array(four === null ? 16 : 4);
    const six = four === null ? parse6(address) : null;
    if (six) bytes.set(six);
    for (let i = 0; four !== null && i < 4; i++) bytes[i] = four >> (24 - 8 * i);
    this.take(plain, four !== null ? TYPE_A : TYPE_AAAA, bytes);
    this.take(reverseName(bytes), TYPE_PTR, nameBytes(plain));
  }

  /** The values of `name` and `type`; null: there is no such name here. */
  find(name: string, type: number): Uint8Array[] | null {
    let found: Uint8Array[] | null = null;
    for (let each = this.table.first(hashName(this.stack, name)); each; each = each.nextInBucket) {
      if (each.name !== name) continue;
      if (!found) found = [];
      if (each.type === type) found.push(each.value);
    }
    return found;
  }

  /** Is the name in a zone that is not asked for outside? */
  isLocal(name: string): boolean {
    for (let i = 0; i < this.zones.length; i++) {
      const zone = this.zones[i];
      if (name === zone || name.slice(-zone.length - 1) === "." + zone) return true;
    }
    return false;
  }

  rehash(): void {
    const all: HostRecord[] = [];
    this.table.each((each) => all.push(each));
    for (let i = 0; i < all.length; i++) this.table.remove(all[i]);
    for (let i = 0; i < all.length; i++) {
      all[i].hash = hashName(this.stack, all[i].name);
      this.table.insert(all[i]);
    }
  }

  private insert(name: string, type: number, value: Uint8Array): void {
    this.table.insert(new HostRecord(hashName(this.stack, name), name, type, value));
  }

  private take(name: string, type: number, value: Uint8Array): void {
    let each = this.table.first(hashName(this.stack, name));
    for (; each; each = each.nextInBucket) {
      if (each.name !== name || each.type !== type || each.value.length !== value.length) continue;
      let same = true;
      for (let i = 0; i < value.length; i++) if (each.value[i] !== value[i]) same = false;
      if (!same) continue;
      this.table.remove(each);
      return;
    }
  }
}

/** A name in the form that queries have it in. */
export function hostName(name: string): string {
  const plain = typeof name === "string" ? canonicalName(name) : null;
  return plain ? plain.toLowerCase() : fail("EINVAL", "name " + name);
}

/** The name under which an address is looked for: 4 or 16 bytes. */
function reverseName(bytes: Uint8Array): string {
  let text = "";
  for (let i = bytes.length - 1; i >= 0; i--) {
    if (bytes.length === 4) text += bytes[i] + ".";
    else text += (bytes[i] & 15).toString(16) + "." + (bytes[i] >> 4).toString(16) + ".";
  }
  return text + (bytes.length === 4 ? "in-addr.arpa" : "ip6.arpa");
}

/**
 * What a DHCPv6 server has given: addresses and prefixes by value and by client, under one bound; and their records in a store,
 * `6 N 20010db8...01/128 DUID IAID END VALID`: family, kind (N address, P prefix), value, the client's DUID, the association's number,
 * end (seconds since 1970; 0: unknown) and valid lifetime. `VALID` of 0 is a binding that has gone.
 */
import type { Stack } from "../core/stack.js";
import { hashOf } from "../core/hash.js";
import { Table } from "../core/table.js";
import type { TableEntry } from "../core/table.js";
import { equal6 } from "../wire/ipv6.js";
import { sameBytes } from "./dhcp-server-leases.js";
import { hex, unhex } from "./dhcp-server-store.js";
import type { LeaseStore } from "./lease-store.js";

export class Binding implements TableEntry {
  hash = 0;
  nextInBucket: this | null = null;
  /** When it ends: the server's clock, ms. */
  end = 0;
  /** Seconds that were promised. */
  valid = 0;
  /** Takes back what else was done for it (a route), or null. */
  undo: (() => void) | null = null;
  readonly owner: Owner;

  constructor(
    /** A prefix, not an address. */
    readonly delegated: boolean,
    readonly bytes: Uint8Array,
    readonly length: number,
    duid: Uint8Array,
    iaid: number,
  ) {
    this.owner = new Owner(this, duid, iaid);
  }
}

class Owner implements TableEntry {
  hash = 0;
  nextInBucket: this | null = null;

  constructor(
    readonly binding: Binding,
    /** Empty: nobody may have it for now, it was declined. */
    readonly duid: Uint8Array,
    readonly iaid: number,
  ) {}
}

export class Bindings {
  readonly byValue = new Table<Binding>();
  private readonly byOwner = new Table<Owner>();
  /** Records in the store. */
  private records = 0;

  constructor(
    private readonly stack: Stack,
    readonly limit: number,
    private readonly store: LeaseStore | null,
    private readonly onFailure: () => void,
  ) {}

  find(delegated: boolean, duid: Uint8Array, iaid: number): Binding | null {
    for (let o = this.byOwner.first(this.hash(duid, iaid)); o; o = o.nextInBucket) {
      if (o.binding.delegated === delegated && o.iaid === iaid && sameBytes(o.duid, duid, duid.length))
        return o.binding;
    }
    return null;
  }

  /** Who has that address, or prefix of that length. */
  holder(bytes: Uint8Array, length: number): Binding | null {
    for (let b = this.byValue.first(this.hash(bytes, length)); b; b = b.nextInBucket) {
      if (b.length === length && equal6(b.bytes, 0, bytes, 0)) return b;
    }
    return null;
  }

  /** Adds a binding; null: there is no room. */
  add(delegated: boolean, bytes: Uint8Array, length: number, duid: Uint8Array, iaid: number): Binding | null {
    if (this.byValue.size >= this.limit) return null;
    const made = new Binding(delegated, bytes, length, duid, iaid);
    made.hash = this.hash(bytes, length);
    made.owner.hash = this.hash(duid, iaid);
    this.byValue.insert(made);
    this.byOwner.insert(made.owner);
    return made;
  }

  remove(binding: Binding): void {
    if (binding.undo) binding.undo();
    binding.undo = null;
    this.byValue.remove(binding);
    this.byOwner.remove(binding.owner);
  }

  rehash(): void {
    const all: Binding[] = [];
    this.byValue.each((each) => all.push(each));
    for (let i = 0; i < all.length; i++) {
      this.byValue.remove(all[i]);
      this.byOwner.remove(all[i].owner);
      all[i].hash = this.hash(all[i].bytes, all[i].length);
      all[i].owner.hash = this.hash(all[i].owner.duid, all[i].owner.iaid);
      this.byValue.insert(all[i]);
      this.byOwner.insert(all[i].owner);
    }
  }

  /** A number that is always the same for a client's association, and that strangers cannot foresee. */
  hash(bytes: Uint8Array, number: number): number {
    const hash = hashOf(this.stack);
    hash.begin(1);
    hash.word(number);
    for (let i = 0; i < bytes.length; i++) hash.word(bytes[i]);
    return hash.end();
  }

  /* The store */

  /** Writes down what is now true of `binding`; `valid` 0: it has gone. */
  save(binding: Binding, clock: number, valid: number): void {
    const store = this.store;
    if (!store) return;
    let good = false;
    try {
      if (this.records > 2 * this.byValue.size + 64) good = this.rewrite(clock);
      else {
        good = store.append(this.record(binding, clock, valid));
        this.records++;
      }
    } catch {
      // As if it had said so.
    }
    if (!good) this.onFailure();
  }

  /** Reads the store; returns how many of its records make no sense. */
  load(clock: number): number {
    const store = this.store;
    let bad = 0;
    if (!store) return 0;
    const wall = store.time ? store.time() : 0;
    try {
      store.load((text) => {
        this.records++;
        if (!this.take(text, clock, wall)) bad++;
      });
      if (this.records > 0 && !this.rewrite(clock)) this.onFailure();
    } catch {
      this.onFailure();
    }
    return bad;
  }

  private rewrite(clock: number): boolean {
    const all: string[] = [];
    this.byValue.each((each) => {
      if (each.owner.duid.length > 0) all.push(this.record(each, clock, each.valid));
    });
    this.records = all.length;
    return (this.store as LeaseStore).rewrite(all);
  }

  private record(binding: Binding, clock: number, valid: number): string {
    const store = this.store as LeaseStore;
    const wall = store.time ? Math.floor(store.time()) : 0;
    const end = wall > 0 && binding.end !== Infinity ? wall + Math.ceil((binding.end - clock) / 1000) : 0;
    const owner = binding.owner;
    return [
      "6",
      binding.delegated ? "P" : "N",
      hex(binding.bytes) + "/" + binding.length,
      hex(owner.duid),
      owner.iaid >>> 0,
      end,
      valid,
    ].join(" ");
  }

  private take(text: string, clock: number, wall: number): boolean {
    const parts = typeof text === "string" ? text.split(" ") : [];
    const value = parts.length === 7 ? parts[2].split("/") : [];
    const bytes = value.length === 2 ? unhex(value[0]) : null;
    const duid = parts.length === 7 ? unhex(parts[3]) : null;
    const length = Number(value[1]);
    const end = Number(parts[5]);
    const valid = Number(parts[6]);
    if (parts[0] !== "6" || (parts[1] !== "N" && parts[1] !== "P") || !bytes || bytes.length !== 16 || !duid)
      return false;
    if (!(
      length > 0 &&
      length <= 128 &&
      end >= 0 &&
      valid >= 0 &&
      valid <= 0xffffffff &&
      Number(parts[4]) >= 0
    ))
      return false;
    const old = this.holder(bytes, length);
    if (old) this.remove(old);
    let left = wall && end ? end - wall : valid;
    if (left > valid) left = valid;
    if (left <= 0) return true;
    const made = this.add(parts[1] === "P", bytes, length, duid, Number(parts[4]) | 0);
    if (!made) return false;
    made.valid = valid;
    made.end = valid === 0xffffffff ? Infinity : clock + left * 1000;
    return true;
  }
}

/** Which peer has which addresses (section 2, "cryptokey routing"): a trie over prefixes for each family, for ::/0 has no IPv4 in it. */
import { fail } from "../core/errors.js";
import { parse4 } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import { put32 } from "../core/bytes.js";
import { CHILDREN, nibble, NODE_SHIFT, Trie } from "../route/trie.js";

class Family<T> {
  readonly trie: Trie;
  readonly values: (T | null)[] = [];
  readonly key: Uint8Array;

  constructor(size: number, limit: number) {
    this.trie = new Trie(size, limit);
    this.key = new Uint8Array(size);
  }

  /** False: there is no room. */
  add(bytes: Uint8Array, length: number, value: T): boolean {
    for (let i = length >> 3; i < bytes.length; i++)
      bytes[i] &= i === length >> 3 ? 0xff00 >> (length & 7) : 0;
    let id = this.trie.find(bytes, length);
    if (id < 0) id = this.trie.insert(bytes, length);
    if (id < 0) return false;
    this.values[id] = value;
    return true;
  }

  remove(value: T): void {
    for (let id = 0; id < this.values.length; id++) {
      if (this.values[id] !== value) continue;
      this.values[id] = null;
      this.trie.remove(id);
    }
  }

  longest(): T | null {
    const trie = this.trie;
    const key = this.key;
    const nodes = trie.nodes;
    let best = -1;
    let node = 0;
    for (;;) {
      const base = node << NODE_SHIFT;
      const position = nodes[base] & 255;
      const four = nibble(key, 0, position);
      for (let bits = 3; bits >= 0; bits--) {
        const id = nodes[base + ((1 << bits) | (four >> (4 - bits)))] - 1;
        if (id < 0 || trie.common(key, id) < trie.lengths[id]) continue;
        best = id;
        break;
      }
      node = nodes[base + CHILDREN + four];
      if (node > 0) continue;
      if (node < 0 && trie.common(key, ~node) >= trie.lengths[~node]) best = ~node;
      return best < 0 ? null : this.values[best];
    }
  }
}

export class AllowedIps<T> {
  private readonly four: Family<T>;
  private readonly six: Family<T>;

  /** @param limit prefixes of each family */
  constructor(limit: number) {
    this.four = new Family(4, limit);
    this.six = new Family(16, limit);
  }

  /** Gives a prefix ("10.0.0.0/8", "fd00::1") to `value`; another's goes over. `EINVAL`, `ENOBUFS`. */
  add(text: string, value: T): void {
    const slash = text.indexOf("/");
    const address = slash < 0 ? text : text.substring(0, slash);
    const four = parse4(address);
    const bytes = four === null ? parse6(address) : new Uint8Array(4);
    if (!bytes) return fail("EINVAL", "allowedIps " + text);
    if (four !== null) put32(bytes, 0, four);
    const most = bytes.length * 8;
    const length = slash < 0 ? most : lengthOf(text.substring(slash + 1));
    if (length < 0 || length > most) fail("EINVAL", "allowedIps " + text);
    if (!(four === null ? this.six : this.four).add(bytes, length, value)) fail("ENOBUFS", "allowedIps");
  }

  /** Takes all prefixes of `value` away. */
  remove(value: T): void {
    this.four.remove(value);
    this.six.remove(value);
  }

  /** Whose is the address of a packet, at `data[at..]`: 4 or 16 bytes? Null: nobody's. */
  lookup(data: Uint8Array, at: number, four: boolean): T | null {
    const family = four ? this.four : this.six;
    const key = family.key;
    for (let i = 0; i < key.length; i++) key[i] = data[at + i];
    return family.longest();
  }
}

function lengthOf(text: string): number {
  let value = 0;
  if (text.length < 1 || text.length > 3) return -1;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

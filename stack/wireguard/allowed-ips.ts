/** Which peer has which addresses (section 2, "cryptokey routing"): a trie over prefixes of both families, IPv4's in mapped form. */
import { fail } from "../core/errors.js";
import { CHILDREN, nibble, NODE_SHIFT, Trie } from "../route/trie.js";
import { mapTo, mask, parseAddress, isV4, MAPPED } from "../routing/prefix.js";

const BITS = 128;

export class AllowedIps<T> {
  private readonly trie: Trie;
  private readonly values: (T | null)[] = [];
  private readonly key = new Uint8Array(16);

  constructor(limit: number) {
    this.trie = new Trie(16, limit);
  }

  /** Gives a prefix ("10.0.0.0/8", "fd00::1") to `value`; another's goes over. `EINVAL`, `ENOBUFS`. */
  add(text: string, value: T): void {
    const slash = text.indexOf("/");
    const bytes = parseAddress(slash < 0 ? text : text.substring(0, slash));
    if (!bytes) return fail("EINVAL", "allowedIps " + text);
    const most = isV4(bytes) ? 32 : BITS;
    const length = slash < 0 ? most : lengthOf(text.substring(slash + 1));
    if (length < 0 || length > most) fail("EINVAL", "allowedIps " + text);
    const bits = most === 32 ? length + MAPPED : length;
    mask(bytes, bits);
    let id = this.trie.find(bytes, bits);
    if (id < 0) id = this.trie.insert(bytes, bits);
    if (id < 0) fail("ENOBUFS", "allowedIps");
    this.values[id] = value;
  }

  /** Takes all prefixes of `value` away. */
  remove(value: T): void {
    for (let id = 0; id < this.values.length; id++) {
      if (this.values[id] !== value) continue;
      this.values[id] = null;
      this.trie.remove(id);
    }
  }

  /** Whose is the address of a packet, at `data[at..]`: 4 or 16 bytes? Null: nobody's. */
  lookup(data: Uint8Array, at: number, four: boolean): T | null {
    const key = this.key;
    if (four) {
      mapTo(key, 0);
      for (let i = 0; i < 4; i++) key[12 + i] = data[at + i];
    } else for (let i = 0; i < 16; i++) key[i] = data[at + i];
    const id = this.longest(key);
    return id < 0 ? null : this.values[id];
  }

  private longest(key: Uint8Array): number {
    const trie = this.trie;
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
      const child = nodes[base + CHILDREN + four];
      if (child <= 0) {
        return child < 0 && trie.common(key, ~child) >= trie.lengths[~child] ? ~child : best;
      }
      node = child;
    }
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

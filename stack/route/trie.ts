/**
 * A path-compressed trie over prefixes, four bits a step: the index of a large routing table. It lies in one typed array.
 *
 * A node stands at a bit position, a multiple of 4, and holds what is longer: 15 places for the prefixes that end within its four
 * bits (numbered as a heap: 1 is the node's own prefix, 2 and 3 are one bit longer, ...) and 16 children, each another node or
 * a single prefix. Bits between a node and its parent are not compared on the way down, but once, with the prefix that is found.
 * So a million prefixes are five steps deep, and adding or removing one touches a node or two.
 */
import { requireInteger } from "../core/errors.js";

/** int32 words of a node: [0] its bit position and, from bit 8, how many places are taken; [1..15] prefixes; [16..31] children. */
export const NODE_SHIFT = 5;
export const CHILDREN = 16;

/** Four bits of `data[at..]` at the bit position `position`. */
export function nibble(data: Uint8Array, at: number, position: number): number {
  const byte = data[at + (position >> 3)];
  return position & 4 ? byte & 15 : byte >> 4;
}

export class Trie {
  /** Prefixes that it holds. */
  count = 0;
  /** Nodes, end to end; 0 is the root. A place holds 0: none, an id + 1 (a prefix); a child 0, a node's number, or ~id. */
  nodes = new Int32Array(8 << NODE_SHIFT);
  /** Prefix of each id, `size` bytes. */
  keys: Uint8Array;
  /** Length in bits of each id's prefix. */
  lengths = new Uint8Array(8);
  /** Ids that have been given out so far, those that are free again included. */
  ids = 0;
  private readonly freeIds: number[] = [];
  private used = 1;
  private readonly freeNodes: number[] = [];
  /** The way down to what is removed: [node, child] pairs. */
  private readonly way: Int32Array;

  constructor(
    /** Bytes of a key, 4 or 16. */
    readonly size: number,
    private readonly limit: number,
  ) {
    requireInteger(limit, 1, 1 << 26, "limit");
    this.keys = new Uint8Array(8 * size);
    this.way = new Int32Array(size * 4 + 2);
  }

  /** The id of a prefix, or -1. */
  find(key: Uint8Array, length: number): number {
    const nodes = this.nodes;
    let node = 0;
    for (;;) {
      const base = node << NODE_SHIFT;
      const position = nodes[base] & 255;
      if (length < position) return -1;
      let id: number;
      if (length < position + 4) id = nodes[base + place(key, position, length)] - 1;
      else {
        const child = nodes[base + CHILDREN + nibble(key, 0, position)];
        if (child > 0) {
          node = child;
          continue;
        }
        id = child < 0 ? ~child : -1;
      }
      return id >= 0 && this.lengths[id] === length && this.common(key, id) >= length ? id : -1;
    }
  }

  /** Adds a prefix that is not there, its bits beyond `length` zero; its id, or -1: there is no room. */
  insert(key: Uint8Array, length: number): number {
    if (this.count >= this.limit) return -1;
    const id = this.obtainId(key, length);
    let node = 0;
    for (;;) {
      const base = node << NODE_SHIFT;
      const position = this.nodes[base] & 255;
      if (length < position + 4) break;
      const at = base + CHILDREN + nibble(key, 0, position);
      const child = this.nodes[at];
      if (child === 0) break;
      const other = child > 0 ? this.any(child) : ~child;
      let shared = this.common(key, other);
      if (shared > length) shared = length;
      if (child > 0) {
        if (shared >= (this.nodes[child << NODE_SHIFT] & 255)) {
          node = child;
          continue;
        }
      } else if (shared > this.lengths[other]) shared = this.lengths[other];
      // A node where the two part.
      const middle = this.obtainNode(shared & ~3);
      this.nodes[at] = middle;
      if (child > 0) this.put(middle, CHILDREN + nibble(this.keys, other * this.size, shared & ~3), child);
      else this.place(middle, other);
      node = middle;
    }
    this.place(node, id);
    this.count++;
    return id;
  }

  /** Removes a prefix by its id. */
  remove(id: number): void {
    const size = this.size;
    const key = this.keys.subarray(id * size, (id + 1) * size);
    const length = this.lengths[id];
    const way = this.way;
    const nodes = this.nodes;
    let depth = 0;
    let node = 0;
    let at: number;
    for (;;) {
      const base = node << NODE_SHIFT;
      const position = nodes[base] & 255;
      at =
        base + (length < position + 4 ? place(key, position, length) : CHILDREN + nibble(key, 0, position));
      if (at < base + CHILDREN || nodes[at] <= 0) break;
      way[depth++] = at;
      node = nodes[at];
    }
    nodes[at] = 0;
    nodes[node << NODE_SHIFT] -= 256;
    const base = node << NODE_SHIFT;
    if (depth > 0 && nodes[base] >> 8 === 1) {
      // What is left alone in a node takes its place. The root stays.
      let i = 1;
      while (nodes[base + i] === 0) i++;
      const rest = nodes[base + i];
      nodes[base + i] = nodes[base] = 0;
      nodes[way[depth - 1]] = i < CHILDREN ? -rest : rest;
      this.freeNodes.push(node);
    }
    this.freeIds.push(id);
    this.lengths[id] = 0;
    this.count--;
  }

  /** Bits at the start that `key` and the prefix `id` have in common, as bytes go on. */
  common(key: Uint8Array, id: number): number {
    const size = this.size;
    const keys = this.keys;
    const from = id * size;
    for (let i = 0; i < size; i++) {
      const differ = keys[from + i] ^ key[i];
      if (differ !== 0) {
        let bits = i << 3;
        for (let bit = 0x80; (differ & bit) === 0; bit >>= 1) bits++;
        return bits;
      }
    }
    return size << 3;
  }

  /** Bytes of memory that the index takes. */
  bytes(): number {
    return this.nodes.length * 4 + this.keys.length + this.lengths.length;
  }

  /** Some prefix below `node`. */
  private any(node: number): number {
    const nodes = this.nodes;
    for (;;) {
      const base = node << NODE_SHIFT;
      let next = 0;
      for (let i = 31; i > 0; i--) {
        const value = nodes[base + i];
        if (value === 0) continue;
        if (i < CHILDREN) return value - 1;
        if (value < 0) return ~value;
        next = value;
        break;
      }
      node = next;
    }
  }

  /** Puts the prefix `id` into the free place that it has in `node`. */
  private place(node: number, id: number): void {
    const key = this.keys.subarray(id * this.size, (id + 1) * this.size);
    const position = this.nodes[node << NODE_SHIFT] & 255;
    const length = this.lengths[id];
    if (length < position + 4) this.put(node, place(key, position, length), id + 1);
    else this.put(node, CHILDREN + nibble(key, 0, position), ~id);
  }

  private put(node: number, at: number, value: number): void {
    const base = node << NODE_SHIFT;
    this.nodes[base + at] = value;
    this.nodes[base] += 256;
  }

  private obtainNode(position: number): number {
    const free = this.freeNodes.pop();
    const node = free === undefined ? this.used++ : free;
    if ((node + 1) << NODE_SHIFT > this.nodes.length) {
      const more = new Int32Array(this.nodes.length * 2);
      more.set(this.nodes);
      this.nodes = more;
    }
    this.nodes[node << NODE_SHIFT] = position;
    return node;
  }

  private obtainId(key: Uint8Array, length: number): number {
    const free = this.freeIds.pop();
    const id = free === undefined ? this.ids++ : free;
    if (id >= this.lengths.length) {
      const keys = new Uint8Array(this.keys.length * 2);
      keys.set(this.keys);
      this.keys = keys;
      const lengths = new Uint8Array(this.lengths.length * 2);
      lengths.set(this.lengths);
      this.lengths = lengths;
    }
    this.keys.set(key, id * this.size);
    this.lengths[id] = length;
    return id;
  }
}

/** The place in a node at `position` of a prefix that ends within its four bits. */
function place(key: Uint8Array, position: number, length: number): number {
  const bits = length - position;
  // A prefix as long as the key ends in a child, never here: so there are bits to read.
  return bits === 0 ? 1 : (1 << bits) | (nibble(key, 0, position) >> (4 - bits));
}

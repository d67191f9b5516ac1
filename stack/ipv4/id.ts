/** IPv4 identifications (RFC 6864, RFC 7739 section 5.3): no stranger foretells them, no flow sees one twice in 65536 datagrams. */
import { hashOf } from "../core/hash.js";
import type { Stack } from "../core/stack.js";
import type { Path4 } from "./path.js";

/** Flows share this many counters, by their keyed hash. */
const COUNTERS = 64;

export class Identifications {
  private readonly counters = new Uint16Array(COUNTERS);
  /** A secret permutation of the bytes. */
  private readonly box = new Uint8Array(256);

  constructor(private readonly stack: Stack) {
    const box = this.box;
    for (let i = 0; i < 256; i++) {
      const j = stack.host.random16() % (i + 1);
      box[i] = box[j];
      box[j] = i;
    }
  }

  /**
   * The next identification from `path.source` to `path.remote` for `protocol`: a permutation of the 16-bit numbers (a Feistel
   * network of four rounds under the flow's own keys), applied to a counter. What one flow sees tells nothing of another's.
   */
  next(path: Path4, protocol: number): number {
    if (path.idProtocol !== protocol) {
      // The flow's keys stay as long as its route: hashing them anew cost as much as the rest of the header.
      const hash = hashOf(this.stack);
      hash.begin(1);
      hash.word(path.source);
      hash.word(path.remote);
      hash.word(protocol);
      path.idLow = hash.end();
      path.idHigh = hash.high;
      path.idProtocol = protocol;
    }
    const low = path.idLow;
    const high = path.idHigh;
    const box = this.box;
    const counter = (low ^ high) & (COUNTERS - 1);
    const count = this.counters[counter]++;
    let left = count >> 8;
    let right = count & 255;
    for (let shift = 0; shift < 32; shift += 8) {
      const mixed = box[(box[(right ^ (low >> shift)) & 255] + (high >> shift)) & 255] ^ left;
      left = right;
      right = mixed;
    }
    return (left << 8) | right;
  }
}

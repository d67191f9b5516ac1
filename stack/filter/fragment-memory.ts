/** Which flow a datagram's first fragment belonged to: the later ones, which have no ports, follow it. A new datagram may take an old one's place. */
import type { SipHash } from "../core/hash.js";
import type { Flows } from "./flows.js";
import type { Tuple } from "./tuple.js";

const PLACES = 256;
/** Words of a place: addresses, protocol, identification, flow * 2 + direction, serial of the flow, time. */
const WORDS = 13;
/** How long fragments of a datagram may take, ms; hosts give up after 15 to 60 s. */
const LIFETIME = 15000;

export class FragmentMemory {
  private readonly words = new Int32Array(PLACES * WORDS);

  constructor(
    private readonly flows: Flows,
    private readonly hash: SipHash,
  ) {
    for (let i = 0; i < PLACES; i++) this.words[i * WORDS + 10] = -1;
  }

  /** The first fragment, `tuple`, belongs to `entry`: flow * 2 + direction. */
  remember(tuple: Tuple, entry: number, now: number): void {
    const words = this.words;
    const at = this.place(tuple);
    for (let i = 0; i < 8; i++) words[at + i] = tuple.key[i];
    words[at + 8] = tuple.key[9];
    words[at + 9] = tuple.fragmentId;
    words[at + 10] = entry;
    words[at + 11] = this.flows.serials[entry >> 1];
    words[at + 12] = now;
  }

  /** The entry that a later fragment belongs to, or -1. */
  find(tuple: Tuple, now: number): number {
    const words = this.words;
    const at = this.place(tuple);
    const entry = words[at + 10];
    if (entry < 0 || words[at + 8] !== tuple.key[9] || words[at + 9] !== tuple.fragmentId) return -1;
    for (let i = 0; i < 8; i++) if (words[at + i] !== tuple.key[i]) return -1;
    if (words[at + 11] !== this.flows.serials[entry >> 1] || ((now - words[at + 12]) | 0) > LIFETIME)
      return -1;
    return entry;
  }

  private place(tuple: Tuple): number {
    const hash = this.hash;
    hash.begin(1);
    for (let i = 0; i < 8; i++) hash.word(tuple.key[i]);
    hash.word(tuple.fragmentId);
    return (hash.end() & (PLACES - 1)) * WORDS;
  }
}

/**
 * Packet memory in large arenas, for engines with a compiler: what lies in one arena is copied by `copyWithin`, which makes no
 * view, and its checksum finds its words without a search. `ports/wasm/accelerator.ts` puts its arenas into WebAssembly.
 */
import type { Hypercalls } from "../../hypercall/index.js";
import { sum } from "../../stack/core/checksum.js";
import { sumWords, wordSum } from "../../stack/core/checksum-words.js";

/** Bytes of an arena; pages that are never touched cost nothing. Few large ones: copies between two of them want a view. */
export const ARENA = 8 << 20;
/** Up to this many bytes a loop is faster than a view and `set` (64 bytes: 54 ns against 60 to 110, and no garbage) ... */
const LOOP = 64;
/** ... and faster than `copyWithin`, which costs 45 ns. */
const LOOP_WITHIN = 32;
/** Below this the set-up of a checksum by words costs more than the bytes. */
const SMALL = 48;
/** Views of packet memory that are kept, a power of two: the frames of a burst are read at the same places again and again. */
const VIEWS = 256;

export interface Arena {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** Copies within the arena. */
  copy(to: number, from: number, length: number): void;
  sum(at: number, end: number, initial: number): number;
  /** Views of it that are kept, where each begins and how long it is. */
  readonly views: (Uint8Array | null)[];
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
}

export type Accelerator = Required<Pick<Hypercalls, "allocate" | "checksum" | "copy">>;

/** An arena in `buffer`; `copy` and `sum` where something faster than this engine's own does them. */
export function createArena(buffer: ArrayBuffer, copy?: Arena["copy"], sum?: Arena["sum"]): Arena {
  const bytes = new Uint8Array(buffer);
  const words = new Int32Array(buffer);
  return {
    bytes,
    words,
    copy: copy || ((to, from, length) => void bytes.copyWithin(to, from, from + length)),
    sum: sum || ((at, end, initial) => sumWords(words, 0, bytes, at, end, initial)),
    views: Array.from({ length: VIEWS }, () => null),
    starts: new Int32Array(VIEWS),
    lengths: new Int32Array(VIEWS),
  };
}

/** Arrays of packet memory that are recognised: those allocated last. A stack has a few (see `Pool`), a link one. */
const KNOWN = 16;
const arrays: Uint8Array[] = [];
const arenas: Arena[] = [];
const bases: number[] = [];
let oldest = 0;
/** The array seen last that is none of them. */
let stranger: Uint8Array | null = null;

/**
 * The index of `data` among the known, or -1. A property of the array would be simpler, but arrays with a property of their own
 * have another hidden class than others: all that reads bytes then asks for both (UDP echo: 15 %). To ask an array for its buffer
 * or its offset costs 20 to 50 ns.
 */
function indexOf(data: Uint8Array): number {
  if (data === stranger) return -1;
  for (let i = 0; i < arrays.length; i++) {
    if (arrays[i] === data) return i;
  }
  stranger = data;
  return -1;
}

function remember(data: Uint8Array, arena: Arena, base: number): void {
  const at = arrays.length < KNOWN ? arrays.length : oldest;
  oldest = (at + 1) % KNOWN;
  arrays[at] = data;
  arenas[at] = arena;
  bases[at] = base;
  stranger = null;
}

/** The checksum of packet memory where the arena's own `sum` does it; -1: `data` is none. */
export function sumArena(data: Uint8Array, start: number, end: number, initial: number): number {
  const at = indexOf(data);
  return at < 0 ? -1 : arenas[at].sum(bases[at] + start, bases[at] + end, initial);
}

/** `allocate` from `arena`, from its byte `used` on, and from those that `create` makes then. */
export function allocator(create: () => Arena, arena: Arena, used: number): (size: number) => Uint8Array {
  return (size) => {
    const room = (size + 63) & ~63;
    if (room > ARENA) return new Uint8Array(size);
    if (used + room > ARENA) {
      arena = create();
      used = 0;
    }
    const memory = arena.bytes.subarray(used, used + size);
    remember(memory, arena, used);
    used += room;
    return memory;
  };
}

/** See `Hypercalls.copy`. */
export function copyArena(
  target: Uint8Array,
  targetStart: number,
  source: Uint8Array,
  sourceStart: number,
  length: number,
): void {
  if (length > LOOP_WITHIN) {
    const from = indexOf(source);
    const to = from < 0 ? -1 : indexOf(target);
    if (to >= 0 && arenas[from] === arenas[to]) {
      arenas[from].copy(bases[to] + targetStart, bases[from] + sourceStart, length);
      return;
    }
    if (length > LOOP) {
      const view =
        from < 0
          ? source.subarray(sourceStart, sourceStart + length)
          : viewOf(arenas[from], bases[from] + sourceStart, length);
      target.set(view, targetStart);
      return;
    }
  }
  const end = sourceStart + length;
  // Eight at a time: the loop's own work is half of a byte's.
  for (; sourceStart + 7 < end; sourceStart += 8, targetStart += 8) {
    target[targetStart] = source[sourceStart];
    target[targetStart + 1] = source[sourceStart + 1];
    target[targetStart + 2] = source[sourceStart + 2];
    target[targetStart + 3] = source[sourceStart + 3];
    target[targetStart + 4] = source[sourceStart + 4];
    target[targetStart + 5] = source[sourceStart + 5];
    target[targetStart + 6] = source[sourceStart + 6];
    target[targetStart + 7] = source[sourceStart + 7];
  }
  for (; sourceStart < end; sourceStart++, targetStart++) target[targetStart] = source[sourceStart];
}

/** A view of `length` bytes at `at`: the one of last time, or a new one. */
function viewOf(arena: Arena, at: number, length: number): Uint8Array {
  const slot = ((at >> 9) ^ at ^ (length << 4)) & (VIEWS - 1);
  let view = arena.views[slot];
  if (!view || arena.starts[slot] !== at || arena.lengths[slot] !== length) {
    view = arena.views[slot] = arena.bytes.subarray(at, at + length);
    arena.starts[slot] = at;
    arena.lengths[slot] = length;
  }
  return view;
}

/** `allocate`, `checksum` and `copy` for one host, in plain JS. */
export function plainAccelerator(): Accelerator {
  const create = () => createArena(new ArrayBuffer(ARENA));
  return {
    allocate: allocator(create, create(), 0),
    checksum(data, start, end, initial) {
      if (end - start < SMALL) return sum(data, start, end, initial);
      const result = sumArena(data, start, end, initial);
      return result < 0 ? wordSum(data, start, end, initial) : result;
    },
    copy: copyArena,
  };
}

/**
 * Packet memory in large arenas, for engines with a compiler: what lies in one arena is copied by `copyWithin`, which makes no
 * view, and its checksum finds its words without a search. `ports/wasm/accelerator.ts` puts its arenas into WebAssembly.
 */
import type { Hypercalls } from "../../hypercall/index.js";
import { fold, sum } from "../../stack/core/checksum.js";
import { sumWords, wordSum } from "../../stack/core/checksum-words.js";

/** Bytes of an arena; pages that are never touched cost nothing. Few large ones: copies between two of them want a view. */
export const ARENA = 8 << 20;
/** Up to this many bytes a loop of words is faster than an array's view and `set` (64 bytes: 25 ns against 66, and no garbage) ... */
const LOOP = 256;
/** ... and faster than `copyWithin`, which costs 35 ns. */
const LOOP_WITHIN = 112;
/** Below this it costs more than the bytes to find out where they lie. */
const TINY = 12;
/** Up to this size it is most often a header that has just been written byte by byte: the processor would wait before it reads words of it. */
const HEADER = 48;
/** Below this the set-up of a checksum by the arena's words costs more than a loop that needs none. */
const SMALL = 128;
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

/** Arrays that are recognised: packet memory allocated last (a stack has a few, see `Pool`, a link one), behind a few of others. */
const KNOWN = 16;
const GUESTS = 4;
const EMPTY = /* @__PURE__ */ new Uint8Array(0);
const NOTHING = /* @__PURE__ */ new DataView(/* @__PURE__ */ new ArrayBuffer(0));
const NO_WORDS = /* @__PURE__ */ new Int32Array(0);
const arrays: Uint8Array[] = [EMPTY, EMPTY, EMPTY, EMPTY];
/** They are read by words where words are unaligned: one check of bounds for four bytes, and for copies and sums of a header's size a third of the time. */
const words: DataView[] = [NOTHING, NOTHING, NOTHING, NOTHING];
/** Aligned words of the buffer of each, in which copies take half the time of a DataView's; and where in the buffer it begins. */
const aligned: Int32Array[] = [NO_WORDS, NO_WORDS, NO_WORDS, NO_WORDS];
const bases: number[] = [0, 0, 0, 0];
/** The arena of each, the whole buffer; null for guests. */
const arenas: (Arena | null)[] = [null, null, null, null];
/** The last two that were found: most often they are those of the next call. */
let recent = 0;
let recentOther = 0;
let oldest = 0;
let oldestGuest = 0;
/** The array seen last that is none of them: seen once more it becomes a guest. */
let stranger: Uint8Array | null = null;

/**
 * The index of `data` among the known, or -1. A property of the array would be simpler, but arrays with a property of their own
 * have another hidden class than others: all that reads bytes then asks for both (UDP echo: 15 %). To ask an array for its buffer
 * or its offset costs 20 to 50 ns.
 */
function indexOf(data: Uint8Array): number {
  if (arrays[recent] === data) return recent;
  if (arrays[recentOther] === data) return recentOther;
  for (let i = 0; i < arrays.length; i++) {
    if (arrays[i] !== data) continue;
    recentOther = recent;
    return (recent = i);
  }
  return welcome(data);
}

function welcome(data: Uint8Array): number {
  if (data !== stranger) {
    stranger = data;
    return -1;
  }
  const at = oldestGuest;
  oldestGuest = (at + 1) % GUESTS;
  keep(at, data, null);
  return at;
}

function remember(data: Uint8Array, arena: Arena): void {
  keep(GUESTS + oldest, data, arena);
  oldest = (oldest + 1) % KNOWN;
}

function keep(at: number, data: Uint8Array, arena: Arena | null): void {
  const { buffer, byteOffset, byteLength } = data;
  arrays[at] = data;
  words[at] = new DataView(buffer, byteOffset, byteLength);
  aligned[at] = arena ? arena.words : new Int32Array(buffer, 0, buffer.byteLength >> 2);
  bases[at] = byteOffset;
  arenas[at] = arena;
  stranger = null;
}

/** The checksum of what is recognised; -1: `data` is not. */
export function sumArena(data: Uint8Array, start: number, end: number, initial: number): number {
  if (end - start < HEADER) return sum(data, start, end, initial);
  const at = indexOf(data);
  if (at < 0) return -1;
  if (end - start < SMALL) return sumUnaligned(words[at], start, end, initial);
  const arena = arenas[at];
  return arena ? arena.sum(bases[at] + start, bases[at] + end, initial) : -1;
}

/** See `Hypercalls.checksum`; less than 2^17 bytes. */
function sumUnaligned(view: DataView, start: number, end: number, initial: number): number {
  // As `block` in checksum-words.ts: the lower halves are what is missing to the whole.
  let whole = 0;
  let upper = 0;
  for (; start + 7 < end; start += 8) {
    const a = view.getInt32(start);
    const b = view.getInt32(start + 4);
    whole = (whole + a + b) | 0;
    upper = (upper + (a >>> 16) + (b >>> 16)) | 0;
  }
  let rest = initial;
  for (; start + 1 < end; start += 2) rest += view.getUint16(start);
  if (start < end) rest += view.getUint8(start) << 8;
  return fold(((whole - (upper << 16)) | 0) + fold(upper) + rest);
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
    remember(memory, arena);
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
  if (length < TINY) {
    for (let i = 0; i < length; i++) target[targetStart + i] = source[sourceStart + i];
    return;
  }
  const from = indexOf(source);
  const to = indexOf(target);
  // The place of one guest may just have been given to the other.
  if (from >= 0 && to >= 0 && arrays[from] === source) {
    const arena = arenas[from];
    if (length > LOOP_WITHIN && arena && arena === arenas[to]) {
      arena.copy(bases[to] + targetStart, bases[from] + sourceStart, length);
      return;
    }
    if (length <= LOOP) {
      copyWords(to, targetStart, from, sourceStart, length);
      return;
    }
  }
  const arena = from < 0 ? null : arenas[from];
  target.set(
    arena
      ? viewOf(arena, bases[from] + sourceStart, length)
      : source.subarray(sourceStart, sourceStart + length),
    targetStart,
  );
}

/** Copies between two known arrays: by aligned words where both lie alike. */
function copyWords(to: number, targetStart: number, from: number, sourceStart: number, length: number): void {
  const shift = bases[from] + sourceStart;
  if ((bases[to] + targetStart - shift) & 3) {
    copyUnaligned(words[to], targetStart, words[from], sourceStart, length);
    return;
  }
  const target = arrays[to];
  const source = arrays[from];
  const end = sourceStart + length;
  // Frames begin two bytes before a word, for the sake of the headers behind Ethernet's.
  const head = sourceStart + (-shift & 3);
  while (sourceStart < head) target[targetStart++] = source[sourceStart++];
  const targetWords = aligned[to];
  const sourceWords = aligned[from];
  let i = (bases[from] + sourceStart) >> 2;
  let j = (bases[to] + targetStart) >> 2;
  const last = (bases[from] + end) >> 2;
  const bytes = (last - i) << 2;
  for (; i + 3 < last; i = (i + 4) | 0, j = (j + 4) | 0) {
    const a = sourceWords[i];
    const b = sourceWords[i + 1];
    const c = sourceWords[i + 2];
    const d = sourceWords[i + 3];
    targetWords[j] = a;
    targetWords[j + 1] = b;
    targetWords[j + 2] = c;
    targetWords[j + 3] = d;
  }
  for (; i < last; i++, j++) targetWords[j] = sourceWords[i];
  sourceStart += bytes;
  targetStart += bytes;
  while (sourceStart < end) target[targetStart++] = source[sourceStart++];
}

function copyUnaligned(
  target: DataView,
  targetStart: number,
  source: DataView,
  sourceStart: number,
  length: number,
): void {
  const end = sourceStart + length;
  for (; sourceStart + 15 < end; sourceStart += 16, targetStart += 16) {
    target.setInt32(targetStart, source.getInt32(sourceStart, true), true);
    target.setInt32(targetStart + 4, source.getInt32(sourceStart + 4, true), true);
    target.setInt32(targetStart + 8, source.getInt32(sourceStart + 8, true), true);
    target.setInt32(targetStart + 12, source.getInt32(sourceStart + 12, true), true);
  }
  for (; sourceStart + 3 < end; sourceStart += 4, targetStart += 4) {
    target.setInt32(targetStart, source.getInt32(sourceStart, true), true);
  }
  for (; sourceStart < end; sourceStart++, targetStart++) {
    target.setUint8(targetStart, source.getUint8(sourceStart));
  }
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
      const result = sumArena(data, start, end, initial);
      return result < 0 ? wordSum(data, start, end, initial) : result;
    },
    copy: copyArena,
  };
}

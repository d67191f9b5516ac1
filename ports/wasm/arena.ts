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
/** ... and a loop of aligned words, where both lie alike. */
const LOOP_WORDS = 256;
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

/** An array that is recognised, and its buffer by words and halves: each has one check of bounds, however wide it is. */
class Known {
  /** The array by words that are not aligned. */
  readonly view: DataView;
  readonly words: Int32Array;
  readonly halves: Int16Array;
  readonly base: number;

  /** @param arena the arena in which it lies; null: it is a guest */
  constructor(
    readonly array: Uint8Array,
    readonly arena: Arena | null,
  ) {
    const { buffer, byteOffset, byteLength } = array;
    this.view = new DataView(buffer, byteOffset, byteLength);
    this.words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
    this.halves = new Int16Array(buffer, 0, buffer.byteLength >> 1);
    this.base = byteOffset;
  }
}

/** Arrays that are recognised: packet memory allocated last (a stack has a few, see `Pool`, a link one), behind a few of others. */
const KNOWN = 16;
const GUESTS = 4;
const NOBODY = /* @__PURE__ */ new Known(/* @__PURE__ */ new Uint8Array(0), null);
const known: Known[] = [NOBODY, NOBODY, NOBODY, NOBODY];
let oldest = 0;
let oldestGuest = 0;
/** The array seen last that is none of them: seen once more it becomes a guest. */
let stranger: Uint8Array | null = null;

/**
 * What is known of `data`, or null. A property of the array would be simpler, but arrays with a property of their own
 * have another hidden class than others: all that reads bytes then asks for both (UDP echo: 15 %). To ask an array for its buffer
 * or its offset costs 20 to 50 ns.
 */
function find(data: Uint8Array): Known | null {
  for (let i = 0; i < known.length; i = (i + 1) | 0) {
    const each = known[i];
    if (each.array === data) return each;
  }
  return welcome(data);
}

function welcome(data: Uint8Array): Known | null {
  // Views of a buffer that may shrink would be empty then.
  if (data !== stranger || (data.buffer as { resizable?: boolean }).resizable) {
    stranger = data;
    return null;
  }
  stranger = null;
  const guest = new Known(data, null);
  known[oldestGuest] = guest;
  oldestGuest = (oldestGuest + 1) % GUESTS;
  return guest;
}

function remember(data: Uint8Array, arena: Arena): void {
  known[GUESTS + oldest] = new Known(data, arena);
  oldest = (oldest + 1) % KNOWN;
}

/** The checksum of what is recognised; -1: `data` is not. */
export function sumArena(data: Uint8Array, start: number, end: number, initial: number): number {
  if (end - start < HEADER) return sum(data, start, end, initial);
  const at = find(data);
  if (at === null) return -1;
  if (end - start < SMALL) return sumUnaligned(at.view, start, end, initial);
  return at.arena ? at.arena.sum(at.base + start, at.base + end, initial) : -1;
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

/** See `Hypercalls.copy`. All in one function: most copies are short, and a call is a tenth of one. */
export function copyArena(
  target: Uint8Array,
  targetStart: number,
  source: Uint8Array,
  sourceStart: number,
  length: number,
): void {
  if (length < TINY) {
    for (let i = 0; i < length; i = (i + 1) | 0)
      target[(targetStart + i) | 0] = source[(sourceStart + i) | 0];
    return;
  }
  const from = find(source);
  const to = find(target);
  if (length > LOOP_WORDS || from === null || to === null) {
    copyOther(to, target, targetStart, from, source, sourceStart, length);
    return;
  }
  let at = (from.base + sourceStart) | 0;
  const between = (to.base + targetStart - at) | 0;
  if ((between & 3) + (at & 1) !== 0) {
    copyOther(to, target, targetStart, from, source, sourceStart, length);
    return;
  }
  const end = (at + length) | 0;
  // Frames begin two bytes before a word, for the sake of the headers behind Ethernet's.
  if (at & 2) {
    to.halves[(at + between) >> 1] = from.halves[at >> 1];
    at = (at + 2) | 0;
  }
  const out = to.words;
  const words = from.words;
  const last = end >> 2;
  let i = at >> 2;
  let j = (at + between) >> 2;
  // Eight at a time: V8 asks once in a turn what the arrays are; and it checks no sum that is cut to 32 bits.
  for (; ((i + 7) | 0) < last; i = (i + 8) | 0, j = (j + 8) | 0) {
    const a = words[i];
    const b = words[(i + 1) | 0];
    const c = words[(i + 2) | 0];
    const d = words[(i + 3) | 0];
    const e = words[(i + 4) | 0];
    const f = words[(i + 5) | 0];
    const g = words[(i + 6) | 0];
    const h = words[(i + 7) | 0];
    out[j] = a;
    out[(j + 1) | 0] = b;
    out[(j + 2) | 0] = c;
    out[(j + 3) | 0] = d;
    out[(j + 4) | 0] = e;
    out[(j + 5) | 0] = f;
    out[(j + 6) | 0] = g;
    out[(j + 7) | 0] = h;
  }
  for (; i < last; i = (i + 1) | 0, j = (j + 1) | 0) out[j] = words[i];
  at = last << 2;
  if (end & 2) {
    to.halves[(at + between) >> 1] = from.halves[at >> 1];
    at = (at + 2) | 0;
  }
  if (end & 1) to.view.setUint8((at + between - to.base) | 0, from.view.getUint8((at - from.base) | 0));
}

function copyOther(
  to: Known | null,
  target: Uint8Array,
  targetStart: number,
  from: Known | null,
  source: Uint8Array,
  sourceStart: number,
  length: number,
): void {
  if (from && to) {
    if (length > LOOP_WITHIN && from.arena && from.arena === to.arena) {
      from.arena.copy(to.base + targetStart, from.base + sourceStart, length);
      return;
    }
    if (length <= LOOP) {
      copyUnaligned(to.view, targetStart, from.view, sourceStart, length);
      return;
    }
  }
  const arena = from && from.arena;
  target.set(
    from && arena
      ? viewOf(arena, from.base + sourceStart, length)
      : source.subarray(sourceStart, sourceStart + length),
    targetStart,
  );
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

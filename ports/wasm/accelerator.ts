/**
 * Packet memory inside a WebAssembly memory, and the Internet checksum over it by 128-bit vectors (checksum.wat): for the ports
 * to hosts that have WebAssembly, which are Node and browsers.
 */
import type { Hypercalls } from "../../hypercall/index.js";
import { copyBytes } from "../../stack/core/bytes.js";
import { wordSum } from "../../stack/core/checksum-words.js";
import { CHECKSUM_WASM } from "./checksum-wasm.js";

/** Bytes of a WebAssembly memory, a whole number of its pages; pages that are never touched cost nothing. */
const ARENA = 1 << 20;
/** Below this the call costs more than the bytes. */
const SMALL = 128;
/** Below this a loop copies faster. */
const SMALL_COPY = 24;
/** What lies elsewhere is copied to the scratch memory first, from this size on ... */
const WORTH_COPYING = 400;
/** ... up to this one, the size of the scratch memory. */
const SCRATCH = 1 << 16;
/** Arrays that are remembered. */
const VIEWS = 16;

/** What a WebAssembly instance does in its memory. */
interface Arena {
  sum(at: number, end: number, initial: number): number;
  copy(to: number, from: number, length: number): void;
}

export type Accelerator = Required<Pick<Hypercalls, "allocate" | "checksum" | "copy">>;

/** `allocate`, `checksum` and `copy` for one host; null where the engine has no WebAssembly with vectors. */
export function wasmAccelerator(): Accelerator | null {
  const code = compile();
  if (!code) return null;
  let bytes = new Uint8Array(0);
  let arena: Arena = null as never;
  let used = 0;
  /** The arrays seen last, where in their arenas they begin (-1: in none), and which these are. */
  const arrays: Uint8Array[] = [];
  const bases: number[] = [];
  const arenas: Arena[] = [];
  let oldest = 0;

  function addArena(): void {
    const memory = new WebAssembly.Memory({ initial: ARENA >> 16 });
    const { exports } = new WebAssembly.Instance(code!, { host: { memory } });
    bytes = new Uint8Array(memory.buffer);
    arena = exports as unknown as Arena;
    used = 0;
  }

  addArena();
  const scratch = bytes.subarray(0, SCRATCH);
  const sumInScratch = arena.sum;
  const first = arena;
  used = SCRATCH;

  function remember(data: Uint8Array, base: number, where: Arena): number {
    const at = arrays.length < VIEWS ? arrays.length : oldest;
    oldest = (at + 1) % VIEWS;
    arrays[at] = data;
    bases[at] = base;
    arenas[at] = where;
    return at;
  }

  function find(data: Uint8Array): number {
    for (let i = 0; i < arrays.length; i++) {
      if (arrays[i] === data) return i;
    }
    if (data.buffer === bytes.buffer) return remember(data, data.byteOffset, arena);
    if (data.buffer === scratch.buffer) return remember(data, data.byteOffset, first);
    return remember(data, -1, first);
  }

  return {
    allocate(size) {
      const room = (size + 15) & ~15;
      if (room > ARENA) return new Uint8Array(size);
      if (used + room > ARENA) addArena();
      const memory = bytes.subarray(used, used + size);
      used += room;
      return memory;
    },

    checksum(data, start, end, initial) {
      const length = end - start;
      if (length < SMALL || length > SCRATCH) return wordSum(data, start, end, initial);
      const index = find(data);
      const base = bases[index];
      if (base >= 0) return arenas[index].sum(base + start, base + end, initial);
      if (length < WORTH_COPYING) return wordSum(data, start, end, initial);
      scratch.set(data.subarray(start, end));
      return sumInScratch(0, length, initial);
    },

    copy(target, targetStart, source, sourceStart, length) {
      if (length >= SMALL_COPY) {
        const to = find(target);
        const base = bases[to];
        const where = arenas[to];
        // This may take the place at which the target is remembered.
        const from = find(source);
        if (base >= 0 && bases[from] >= 0 && where === arenas[from]) {
          where.copy(base + targetStart, bases[from] + sourceStart, length);
          return;
        }
      }
      copyBytes(target, targetStart, source, sourceStart, length);
    },
  };
}

/** The module, compiled once for the process; null: the engine cannot. */
let compiled: WebAssembly.Module | null | undefined;

function compile(): WebAssembly.Module | null {
  if (compiled === undefined) {
    try {
      const text = atob(CHECKSUM_WASM);
      const bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      compiled = new WebAssembly.Module(bytes);
    } catch {
      compiled = null;
    }
  }
  return compiled;
}

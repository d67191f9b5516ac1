/**
 * Packet memory inside a WebAssembly memory, and the Internet checksum over it by 128-bit vectors (checksum.wat): for the ports
 * to hosts that have WebAssembly, which are Node and browsers.
 */
import type { Hypercalls } from "../../hypercall/index.js";
import { copyBytes } from "../../stack/core/bytes.js";
import { wordSum } from "../../stack/core/checksum-words.js";
import { CHECKSUM_WASM } from "./checksum-wasm.js";

/**
 * Bytes of a WebAssembly memory, a whole number of its pages; pages that are never touched cost nothing. What lies in one memory
 * is copied inside of it, so that few large ones are better than many small ones.
 */
const ARENA = 8 << 20;
/** Below this the call costs more than the bytes. */
const SMALL = 128;
/** Below this a loop copies faster. */
const SMALL_COPY = 24;
/** What lies elsewhere is copied to the scratch memory first, from this size on ... */
const WORTH_COPYING = 400;
/** ... up to this one, the size of the scratch memory. */
const SCRATCH = 1 << 16;

/** What a WebAssembly instance does in its memory. */
interface Arena {
  sum(at: number, end: number, initial: number): number;
  copy(to: number, from: number, length: number): void;
}

/**
 * Packet memory knows where it lies: in which arena, and from which byte on. To ask an array for its buffer costs 50 ns, to look
 * for it among those seen before 30 ns, to load a property 1 ns.
 */
interface PacketMemory extends Uint8Array {
  arena?: Arena;
  base?: number;
}

export type Accelerator = Required<Pick<Hypercalls, "allocate" | "checksum" | "copy">>;

/** `allocate`, `checksum` and `copy` for one host: in WebAssembly where the engine can and `wanted` says so, else in plain JS. */
export function accelerator(wanted: boolean): Accelerator {
  const wasm = wanted ? wasmAccelerator() : null;
  return wasm || { allocate: (size) => new Uint8Array(size), checksum: wordSum, copy: copyBytes };
}

/** `allocate`, `checksum` and `copy` for one host; null where the engine has no WebAssembly with vectors. */
export function wasmAccelerator(): Accelerator | null {
  const code = compile();
  if (!code) return null;
  let bytes = new Uint8Array(0);
  let arena: Arena = null as never;
  let used = 0;

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
  used = SCRATCH;

  return {
    allocate(size) {
      const room = (size + 15) & ~15;
      if (room > ARENA) return new Uint8Array(size);
      if (used + room > ARENA) addArena();
      const memory = bytes.subarray(used, used + size);
      // Not enumerable: who prints or compares it sees bytes.
      Object.defineProperties(memory, { arena: { value: arena }, base: { value: used } });
      used += room;
      return memory;
    },

    checksum(data: PacketMemory, start, end, initial) {
      const length = end - start;
      if (length < SMALL || length > SCRATCH) return wordSum(data, start, end, initial);
      if (data.arena) return data.arena.sum(data.base! + start, data.base! + end, initial);
      if (length < WORTH_COPYING) return wordSum(data, start, end, initial);
      scratch.set(data.subarray(start, end));
      return sumInScratch(0, length, initial);
    },

    copy(target: PacketMemory, targetStart, source: PacketMemory, sourceStart, length) {
      if (length >= SMALL_COPY && target.arena && target.arena === source.arena) {
        target.arena.copy(target.base! + targetStart, source.base! + sourceStart, length);
      } else copyBytes(target, targetStart, source, sourceStart, length);
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

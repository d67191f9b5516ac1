/**
 * Packet memory inside a WebAssembly memory, and the Internet checksum over it by 128-bit vectors (checksum.wat): for the ports
 * to hosts that have WebAssembly, which are Node and browsers.
 */
import { wordSum } from "../../stack/core/checksum-words.js";
import { ARENA, allocator, copyArena, createArena, plainAccelerator, sumArena } from "./arena.js";
import type { Accelerator, Arena } from "./arena.js";
import { CHECKSUM_WASM } from "./checksum-wasm.js";

/** What lies elsewhere is copied to the scratch memory first, from this size on ... */
const WORTH_COPYING = 400;
/** ... up to this one, the size of the scratch memory. */
const SCRATCH = 1 << 16;

export type { Accelerator };

/** `allocate`, `checksum` and `copy` for one host: in WebAssembly where the engine can and `wanted` says so, else in plain JS. */
export function accelerator(wanted: boolean): Accelerator {
  return (wanted && wasmAccelerator()) || plainAccelerator();
}

/** `allocate`, `checksum` and `copy` for one host; null where the engine has no WebAssembly with vectors. */
export function wasmAccelerator(): Accelerator | null {
  const code = compile();
  if (!code) return null;

  function create(): Arena {
    const memory = new WebAssembly.Memory({ initial: ARENA >> 16 });
    const { exports } = new WebAssembly.Instance(code!, { host: { memory } });
    const { copy, sum } = exports as unknown as Arena;
    return createArena(memory.buffer, copy, sum);
  }

  const first = create();
  const scratch = first.bytes.subarray(0, SCRATCH);

  return {
    allocate: allocator(create, first, SCRATCH),

    checksum(data, start, end, initial) {
      const length = end - start;
      if (length > SCRATCH) return wordSum(data, start, end, initial);
      const result = sumArena(data, start, end, initial);
      if (result >= 0) return result;
      if (length < WORTH_COPYING) return wordSum(data, start, end, initial);
      scratch.set(data.subarray(start, end));
      return first.sum(0, length, initial);
    },

    copy: copyArena,
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

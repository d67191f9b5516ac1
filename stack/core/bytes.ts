/** Big-endian integers in byte arrays ("network order"), and the one routine that copies. */

export function get16(data: Uint8Array, at: number): number {
  return (data[at] << 8) | data[at + 1];
}

/** Reads 32 bits as an int32. */
export function get32(data: Uint8Array, at: number): number {
  return (data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3];
}

export function put16(data: Uint8Array, at: number, value: number): void {
  data[at] = value >> 8;
  data[at + 1] = value;
}

export function put32(data: Uint8Array, at: number, value: number): void {
  data[at] = value >> 24;
  data[at + 1] = value >> 16;
  data[at + 2] = value >> 8;
  data[at + 3] = value;
}

/** Signature of `copyBytes` and of the `copy` hypercall. */
export type Copy = (
  target: Uint8Array,
  targetStart: number,
  source: Uint8Array,
  sourceStart: number,
  length: number,
) => void;

/** Below this a loop is cheaper than making the view that `set` wants (V8: 45 ns for view and `set`, 1.7 ns a byte). */
const LOOP_LIMIT = 24;

/** Copies `length` bytes; the ranges may overlap only where target comes first in the same array. */
export function copyBytes(
  target: Uint8Array,
  targetStart: number,
  source: Uint8Array,
  sourceStart: number,
  length: number,
): void {
  if (length < LOOP_LIMIT) {
    for (let i = 0; i < length; i++) target[targetStart + i] = source[sourceStart + i];
  } else {
    target.set(source.subarray(sourceStart, sourceStart + length), targetStart);
  }
}

/** A copy of `data[start..end)`. */
export function copyRange(data: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start);
  copy.set(data.subarray(start, end));
  return copy;
}

export function zeroBytes(data: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) data[i] = 0;
}

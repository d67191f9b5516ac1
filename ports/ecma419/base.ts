/** What the classes of ECMA-419 share: the Base Class Pattern (clause 8) and the IO Class Pattern (clause 9). */
import { errorName } from "../../stack/core/error-name.js";
import type { Deferred, Stack } from "../../stack/core/stack.js";

/** ArrayBuffer, SharedArrayBuffer, Uint8Array, Int8Array or DataView. */
export type ByteBuffer = ArrayBufferLike | Uint8Array | Int8Array | DataView;

/** What all constructors take. Options that a class does not know are ignored. */
export interface BaseOptions {
  /** Becomes the instance's `target`. */
  target?: unknown;
  /** For host providers: ignored. */
  io?: unknown;
}

/** An error as these classes throw and report it. */
export interface IoError extends Error {
  /** A POSIX name, such as `"ECONNRESET"`. */
  code?: string;
}

export function ioError(code: number | string, what: string): IoError {
  const name = typeof code === "number" ? errorName(code) : code;
  const error = new Error(`${what}: ${name}`) as IoError;
  error.code = name;
  return error;
}

/** Throws unless `options` is an object. */
export function requireOptions(options: unknown): void {
  if (typeof options !== "object" || options === null) throw ioError("EINVAL", "options");
}

/** A callback of the options: a function, or null where there is none. */
export function callbackOf<T>(options: object, name: string): T | null {
  const value = (options as Record<string, unknown>)[name];
  if (value === undefined || value === null) return null;
  if (typeof value !== "function") throw ioError("EINVAL", name);
  return value as T;
}

/** An integer option in `low..high`; undefined where there is none. */
export function integerOf(value: unknown, low: number, high: number, name: string): number | undefined {
  if (value === undefined) return undefined;
  const number = +(value as number);
  if (!(number >= low && number <= high) || number % 1 !== 0) throw ioError("EINVAL", name);
  return number;
}

/** A string option; undefined where there is none. */
export function stringOf(value: unknown, name: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value === "") throw ioError("EINVAL", name);
  return value;
}

/** Sets `target` where the options have one. */
export function adoptTarget(instance: object, options: BaseOptions): void {
  if (options.target !== undefined) (instance as BaseOptions).target = options.target;
}

/** `instance[Symbol.dispose]` is `close`, in engines that know of it. */
export function makeDisposable(constructor: { prototype: any }): void {
  const dispose =
    typeof Symbol === "undefined" ? undefined : (Symbol as unknown as Record<string, symbol>).dispose;
  if (dispose) constructor.prototype[dispose] = constructor.prototype.close;
}

/** The bytes of a byte buffer, not copied; throws for anything else. */
export function bytesOf(buffer: unknown): Uint8Array {
  if (buffer instanceof Uint8Array) return buffer;
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  if (typeof SharedArrayBuffer !== "undefined" && buffer instanceof SharedArrayBuffer)
    return new Uint8Array(buffer);
  if (buffer instanceof Int8Array || buffer instanceof DataView)
    return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  throw ioError("EINVAL", "no byte buffer");
}

/** Calls `task` once no script is running. */
export function later(stack: Stack, task: () => void): void {
  const deferred: Deferred = { queued: false, nextDeferred: null, run: task };
  stack.defer(deferred);
}

/** The few functions of the C library that TUN devices need and Node lacks, over the npm package koffi, an optional peer. */
import { createRequire } from "node:module";
import { isMainThread } from "node:worker_threads";
import { errorName, systemError } from "./errors.js";

const RTLD_NOW = 2;
const RTLD_NODELETE = 0x1000;

type Koffi = typeof import("koffi");
export interface Libc {
  koffi: Koffi;
  ioctl(fd: number, request: number, argument: Uint8Array | Int32Array): number;
  ioctlValue(fd: number, request: number, value: number): number;
  /** `address`: where the bytes lie; see `addressOf`. */
  read(fd: number, address: number, size: number): number;
  write(fd: number, address: number, size: number): number;
  /** `address`: where `count` times struct iovec lies. */
  readv(fd: number, address: number, count: number): number;
  /** Where the memory of an array begins. It stays there for as long as the array is not detached. */
  addressOf(array: Uint8Array | Uint32Array): number;
  socket(family: number, type: number, protocol: number): number;
  setns(fd: number, type: number): number;
}

let libc: Libc | null = null;

/** The package koffi; `hint`: what else there is to do. */
export function loadKoffi(hint: string): Koffi {
  const require = createRequire(import.meta.url);
  let koffi: Koffi;
  try {
    koffi = require("koffi") as Koffi;
  } catch (cause) {
    const text = `the package koffi cannot be loaded: npm install koffi, ${hint}`;
    throw Object.assign(systemError("ENOENT", text), { cause });
  }
  if (!isMainThread && process.platform === "linux") {
    // A worker that is terminated unloads koffi before the event loop has let go of koffi's poll handle, and the process
    // crashes (seen with koffi 3.3.4). A library that was opened with RTLD_NODELETE stays.
    const binary = Object.keys(require.cache).find((path) => path.endsWith("koffi.node"));
    if (binary) koffi.load(null).func("void *dlopen(const char *, int)")(binary, RTLD_NOW | RTLD_NODELETE);
  }
  return koffi;
}

export function loadLibc(): Libc {
  if (libc) return libc;
  if (process.platform !== "linux") throw systemError("ENOSYS", "TUN and TAP devices are Linux's");
  const koffi = loadKoffi("or start the program through tap-launcher.pl and use openInheritedTap");
  const library = koffi.load(null);
  libc = {
    koffi,
    ioctl: library.func("int ioctl(int, unsigned long, void *)"),
    ioctlValue: library.func("ioctl", "int", ["int", "unsigned long", "unsigned long"]),
    read: library.func("read", "intptr_t", ["int", "uintptr_t", "size_t"]),
    write: library.func("write", "intptr_t", ["int", "uintptr_t", "size_t"]),
    readv: library.func("readv", "intptr_t", ["int", "uintptr_t", "int"]),
    addressOf: (array) => Number(koffi.address(array)),
    socket: library.func("int socket(int, int, int)"),
    setns: library.func("int setns(int, int)"),
  };
  return libc;
}

/** Runs a system call; throws what it fails with. */
export function check(c: Libc, result: number, what: string, advice: Record<string, string> = {}): number {
  if (result >= 0) return result;
  const code = errorName(c.koffi.errno());
  throw systemError(code, advice[code] ? `${what}: ${advice[code]}` : what);
}

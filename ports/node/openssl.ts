/**
 * Ciphers for packets straight from OpenSSL, through the npm package koffi (an optional peer): a context with its key is kept, a packet
 * changes its IV and nothing else. node:crypto makes an object for each packet, which takes longer than AES does.
 */
import type { Cipher, CipherJob } from "../../hypercall/crypto.js";
import { KeyedCipher } from "../crypto/keyed-cipher.js";
import { nodeCrypto } from "./crypto.js";
import { systemError } from "./errors.js";
import { loadKoffi } from "./libc.js";

const GET_TAG = 0x10;
const SET_TAG = 0x11;
const TAG = 16;
const NONCE = 12;
/** Where things lie in the memory that all ciphers share: nonce or IV, what is authenticated as well, OpenSSL's count, a hash. */
const AAD_AT = 16;
const AAD_SIZE = 64;
const COUNT_AT = AAD_AT + AAD_SIZE;
const HASH_AT = COUNT_AT + 8;
const HASH_SIZE = 64;

const AEADS: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  "aes-gcm-16": { 16: "EVP_aes_128_gcm", 24: "EVP_aes_192_gcm", 32: "EVP_aes_256_gcm" },
  "chacha20-poly1305": { 32: "EVP_chacha20_poly1305" },
};
const CBC: Readonly<Record<number, string>> = {
  16: "EVP_aes_128_cbc",
  24: "EVP_aes_192_cbc",
  32: "EVP_aes_256_cbc",
};
const MACS: Readonly<Record<string, readonly [hash: string, tag: number]>> = {
  "hmac-sha2-256-128": ["EVP_sha256", 16],
  "hmac-sha2-384-192": ["EVP_sha384", 24],
  "hmac-sha2-512-256": ["EVP_sha512", 32],
};

export interface OpensslOptions {
  /** Path of an OpenSSL 3 libcrypto. Default: Node's own, whose functions it exports. */
  library?: string;
}

/** An address; 0 is null. Numbers are what koffi hands over fastest. */
type Pointer = number;

/** Functions of libcrypto, and a little memory for their arguments. */
class Libcrypto {
  readonly memory = new Uint8Array(HASH_AT + HASH_SIZE);
  readonly at: Pointer;
  readonly addressOf: (array: Uint8Array) => Pointer;
  readonly method: (name: string) => Pointer;
  readonly newContext: () => Pointer;
  readonly freeContext: (context: Pointer) => void;
  readonly init: (c: Pointer, type: Pointer, engine: 0, key: Pointer, iv: Pointer, seal: number) => number;
  readonly update: (c: Pointer, out: Pointer, count: Pointer, data: Pointer, length: number) => number;
  readonly final: (c: Pointer, out: Pointer, count: Pointer) => number;
  readonly control: (c: Pointer, command: number, size: number, data: Pointer) => number;
  readonly setPadding: (c: Pointer, padding: 0) => number;
  readonly newMac: () => Pointer;
  readonly freeMac: (context: Pointer) => void;
  readonly initMac: (c: Pointer, key: Pointer, length: number, hash: Pointer, engine: 0) => number;
  readonly updateMac: (c: Pointer, data: Pointer, length: number) => number;
  readonly finalMac: (c: Pointer, out: Pointer, count: Pointer) => number;
  /** Arrays that were asked about last, as a rule those that packets come in and go out in, and where they lie: to ask takes as long as 200 bytes of AES. */
  private near: Uint8Array | null = null;
  private nearAt: Pointer = 0;
  private other: Uint8Array | null = null;
  private otherAt: Pointer = 0;
  /** Contexts of ciphers that nobody has closed are erased when they are forgotten. */
  readonly forgotten = new FinalizationRegistry<() => void>((free) => free());

  constructor(path: string | null) {
    const koffi = loadKoffi("OpenSSL's functions are called through it");
    const pointer = "uintptr_t";
    try {
      const library = koffi.load(path);
      this.addressOf = (array) => Number(koffi.address(array));
      this.at = this.addressOf(this.memory);
      // Each function that koffi makes stays for good.
      const methods = new Map<string, Pointer>();
      this.method = (name) => {
        const known = methods.get(name) ?? (library.func(name, pointer, [])() as Pointer);
        methods.set(name, known);
        return known;
      };
      this.newContext = library.func("EVP_CIPHER_CTX_new", pointer, []);
      this.freeContext = library.func("EVP_CIPHER_CTX_free", "void", [pointer]);
      const init = [pointer, pointer, pointer, pointer, pointer, "int"];
      this.init = library.func("EVP_CipherInit_ex", "int", init);
      this.update = library.func("EVP_CipherUpdate", "int", [pointer, pointer, pointer, pointer, "int"]);
      this.final = library.func("EVP_CipherFinal_ex", "int", [pointer, pointer, pointer]);
      this.control = library.func("EVP_CIPHER_CTX_ctrl", "int", [pointer, "int", "int", pointer]);
      this.setPadding = library.func("EVP_CIPHER_CTX_set_padding", "int", [pointer, "int"]);
      this.newMac = library.func("HMAC_CTX_new", pointer, []);
      this.freeMac = library.func("HMAC_CTX_free", "void", [pointer]);
      this.initMac = library.func("HMAC_Init_ex", "int", [pointer, pointer, "int", pointer, pointer]);
      this.updateMac = library.func("HMAC_Update", "int", [pointer, pointer, "size_t"]);
      this.finalMac = library.func("HMAC_Final", "int", [pointer, pointer, pointer]);
    } catch (cause) {
      const where = path ?? "this Node";
      throw Object.assign(systemError("ENOSYS", `${where} has no functions of OpenSSL 3`), { cause });
    }
  }

  /** Where a job's data lie. They stay there for as long as the array is not detached, when it has no length and `requireRanges` throws. */
  placeOf(data: Uint8Array): Pointer {
    if (data === this.near) return this.nearAt;
    const at = data === this.other ? this.otherAt : this.addressOf(data);
    this.other = this.near;
    this.otherAt = this.nearAt;
    this.near = data;
    this.nearAt = at;
    return at;
  }
}

const libraries = new Map<string | null, Libcrypto>();

/** Throws where the job's ranges are not in its arrays: behind them is other memory. */
function requireRanges(job: CipherJob, tagSize: number): void {
  const { data, start, end, tag, aad, aadStart, aadEnd } = job;
  if (
    !(start >= 0 && start <= end && end <= data.length && tag >= 0 && tag + tagSize <= data.length) ||
    !(aadStart >= 0 && aadStart <= aadEnd && aadEnd <= aad.length)
  )
    throw new RangeError("ranges of a job");
}

/** A cipher with contexts, one for each direction, made when it is asked for first. */
abstract class Contexts extends KeyedCipher {
  /** Of `open` and of `seal`; 0: none yet. */
  private readonly contexts: [Pointer, Pointer] = [0, 0];

  constructor(
    protected readonly lib: Libcrypto,
    key: Uint8Array,
    private readonly method: Pointer,
  ) {
    super(key);
    const { contexts } = this;
    lib.forgotten.register(this, () => contexts.forEach((context) => lib.freeContext(context)), this);
  }

  override close(): void {
    super.close();
    this.lib.forgotten.unregister(this);
    // OpenSSL erases what it frees.
    for (const i of [0, 1]) {
      if (this.contexts[i]) this.lib.freeContext(this.contexts[i]!);
      this.contexts[i] = 0;
    }
  }

  /** The context of a direction with the job's nonce. */
  protected begin(job: CipherJob, key: Uint8Array, seal: boolean): Pointer {
    const { lib, contexts } = this;
    const way = seal ? 1 : 0;
    for (let i = 0; i < this.nonceSize; i++) lib.memory[i] = job.nonce[i]!;
    let context = contexts[way];
    let keyAt = 0;
    let method = 0;
    if (context === 0) {
      context = contexts[way] = lib.newContext();
      if (context === 0) throw new Error("no memory");
      keyAt = lib.addressOf(key);
      method = this.method;
    }
    need(lib.init(context, method, 0, keyAt, lib.at, way));
    return context;
  }
}

function need(result: number): void {
  if (result !== 1) throw new Error("refused");
}

class Aead extends Contexts {
  readonly nonceSize = NONCE;
  readonly tagSize = TAG;

  /** @param macOnly GMAC: the data is what else would be additional (RFC 4543) */
  constructor(
    lib: Libcrypto,
    key: Uint8Array,
    method: Pointer,
    private readonly macOnly: boolean,
  ) {
    super(lib, key, method);
  }

  protected run(job: CipherJob, key: Uint8Array, seal: boolean): boolean {
    requireRanges(job, TAG);
    const { lib, macOnly } = this;
    const { start, end } = job;
    const context = this.begin(job, key, seal);
    const count = lib.at + COUNT_AT;
    const data = lib.placeOf(job.data);
    if (!macOnly && job.aadEnd > job.aadStart) {
      need(lib.update(context, 0, count, this.aadAt(job), job.aadEnd - job.aadStart));
    }
    if (end > start) need(lib.update(context, macOnly ? 0 : data + start, count, data + start, end - start));
    if (!seal) need(lib.control(context, SET_TAG, TAG, data + job.tag));
    need(lib.final(context, lib.at + HASH_AT, count));
    if (seal) need(lib.control(context, GET_TAG, TAG, data + job.tag));
    return true;
  }

  /** A few bytes are copied sooner than asked where they lie. */
  private aadAt({ aad, aadStart, aadEnd }: CipherJob): Pointer {
    const { lib } = this;
    if (aadEnd - aadStart > AAD_SIZE) return lib.addressOf(aad) + aadStart;
    for (let i = aadStart; i < aadEnd; i++) lib.memory[AAD_AT + i - aadStart] = aad[i]!;
    return lib.at + AAD_AT;
  }
}

class Cbc extends Contexts {
  readonly nonceSize = 16;
  readonly tagSize = 0;
  override readonly blockSize = 16;

  protected run(job: CipherJob, key: Uint8Array, seal: boolean): boolean {
    requireRanges(job, 0);
    const { lib } = this;
    const { start, end } = job;
    if ((end - start) & 15) return false;
    const context = this.begin(job, key, seal);
    need(lib.setPadding(context, 0));
    const text = lib.placeOf(job.data) + start;
    if (end > start) need(lib.update(context, text, lib.at + COUNT_AT, text, end - start));
    return true;
  }
}

class Mac extends KeyedCipher {
  readonly nonceSize = 0;
  private context: Pointer;

  constructor(
    private readonly lib: Libcrypto,
    key: Uint8Array,
    hash: Pointer,
    readonly tagSize: number,
  ) {
    super(key);
    const context = (this.context = lib.newMac());
    if (context === 0) throw new Error("no memory");
    lib.forgotten.register(this, () => lib.freeMac(context), this);
    need(lib.initMac(context, lib.addressOf(key), key.length, hash, 0));
  }

  override close(): void {
    super.close();
    this.lib.forgotten.unregister(this);
    if (this.context) this.lib.freeMac(this.context);
    this.context = 0;
  }

  protected run(job: CipherJob, _key: Uint8Array, seal: boolean): boolean {
    const { lib, context, tagSize } = this;
    const { data, start, end, tag } = job;
    requireRanges(job, tagSize);
    need(lib.initMac(context, 0, 0, 0, 0));
    need(lib.updateMac(context, lib.placeOf(data) + start, end - start));
    need(lib.finalMac(context, lib.at + HASH_AT, lib.at + COUNT_AT));
    let difference = 0;
    for (let i = 0; i < tagSize; i++) {
      const byte = lib.memory[HASH_AT + i]!;
      if (seal) data[tag + i] = byte;
      else difference |= byte ^ data[tag + i]!;
    }
    return difference === 0;
  }
}

function make(lib: Libcrypto, algorithm: string, key: Uint8Array): Cipher | null {
  const aead = AEADS[algorithm === "aes-gmac" ? "aes-gcm-16" : algorithm]?.[key.length];
  if (aead) return new Aead(lib, key, lib.method(aead), algorithm === "aes-gmac");
  if (algorithm === "aes-cbc")
    return CBC[key.length] ? new Cbc(lib, key, lib.method(CBC[key.length]!)) : null;
  const mac = MACS[algorithm];
  return mac && key.length > 0 ? new Mac(lib, key, lib.method(mac[0]), mac[1]) : null;
}

/**
 * `nodeCrypto()` with ciphers that are several times as fast for packets: `nodeHost({ crypto: opensslCrypto() })`. Tried on Linux. Errors
 * (thrown): `ENOENT` the package koffi is not there, `ENOSYS` no OpenSSL 3 in the library.
 */
export function opensslCrypto(options: OpensslOptions = {}): ReturnType<typeof nodeCrypto> {
  const path = options.library ?? null;
  let lib = libraries.get(path);
  if (!lib) libraries.set(path, (lib = new Libcrypto(path)));
  const found = lib;
  return { ...nodeCrypto(), cipher: (algorithm, key) => make(found, algorithm, key) };
}

/**
 * Duktape's bytecode as it is to lie in ROM: what `duk_dump_function` wrote becomes words that rom-script.c reads in place. The
 * instructions stay where they are; names of functions go, and only what is called by `new` (or asked for by `instanceof`) keeps the
 * object that Duktape makes for `prototype`, twice for each function.
 *
 * A function: its counts of instructions, constants, inner functions; registers and arguments; flags; the instructions; the
 * constants; the inner functions; its name, variables and parameters. All in little-endian words; texts are filled up to words.
 */

const MARKER = 0xbf;
const STRING = 0;
const NONE = 0xffffffff;
/** Flags of Duktape 2.7's objects: DUK_HOBJECT_FLAG_CONSTRUCTABLE, DUK_HOBJECT_FLAG_NAMEBINDING. */
const CONSTRUCTABLE = 1 << 8;
const NAMEBINDING = 1 << 19;

/** The names of functions in `source` that are constructors. Throws when one has no name of its own. */
export function constructors(source: string): Set<string> {
  const names = new Set<string>();
  for (const [text, name, next] of source.matchAll(/\b(?:new|instanceof) *([\w$]*)(.?)/g)) {
    if (!name || next === "." || next === "[") throw new Error(`a constructor without a name: ${text}`);
    names.add(name);
  }
  for (const [, name] of source.matchAll(/([\w$]*)\.prototype\b/g)) {
    if (!name) throw new Error("a prototype of a function without a name");
    names.add(name);
  }
  return names;
}

/** `dump` for rom-script.c; `source` is what it was compiled of. */
export function romScript(dump: Buffer, source: string): Buffer {
  if (dump[0] !== MARKER) throw new Error("not a dump of Duktape 2");
  const keep = constructors(source);
  const parts: Buffer[] = [];
  let at = 1;
  const read = () => dump.readUInt32BE((at += 4) - 4);
  const bytes = (length: number) => dump.subarray(at, (at += length));
  const text = () => bytes(read());
  const write = (...words: number[]) => {
    const part = Buffer.alloc(4 * words.length);
    words.forEach((word, i) => part.writeUInt32LE(word >>> 0, 4 * i));
    parts.push(part);
  };
  const writeText = (string: Buffer) => {
    write(string.length);
    parts.push(string, Buffer.alloc(-string.length & 3));
  };

  const convert = () => {
    const [instructions, constants, functions, sizes] = [read(), read(), read(), read()];
    at += 8; // Line numbers.
    const head = Buffer.alloc(20);
    parts.push(head);
    const flags = read();
    parts.push(Buffer.from(bytes(4 * instructions)).swap32());
    for (let i = 0; i < constants; i++) {
      if (bytes(1)[0] === STRING) writeText(text());
      else {
        write(NONE);
        parts.push(Buffer.from(bytes(8)).swap64());
      }
    }
    for (let i = 0; i < functions; i++) convert();
    read(); // `length` is the number of arguments.
    const name = text();
    const kept = keep.has(name.toString("latin1")) ? flags : flags & ~CONSTRUCTABLE;
    [instructions, constants, functions, sizes, kept].forEach((word, i) =>
      head.writeUInt32LE(word >>> 0, 4 * i),
    );
    writeText(flags & NAMEBINDING ? name : Buffer.alloc(0));
    for (let variable; (variable = text()).length > 0;) {
      writeText(variable);
      write(read());
    }
    write(0);
    const formals = read();
    write(formals);
    for (let i = 0; formals !== NONE && i < formals; i++) writeText(text());
  };
  convert();
  if (at !== dump.length) throw new Error("not a dump of this configuration of Duktape");
  return Buffer.concat(parts);
}

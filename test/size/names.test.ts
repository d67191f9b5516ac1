/** The names that the firmware chain leaves alone: they are there, and they are all that applications outside need. */
import { join } from "node:path";
import test from "ava";
import ts from "typescript";
import { HYPERCALL_VERSION } from "../../hypercall/index.js";
import { API, bundle, reservedNames } from "../../rollup.config.js";
import { filesBelow, ROOT } from "../support/files.js";

/** The public members of the classes below stack/, by the classes' names. */
function classes(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const file of filesBelow("stack")) {
    const text = ts.sys.readFile(join(ROOT, file)) ?? "";
    for (const statement of ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true).statements) {
      if (!ts.isClassDeclaration(statement)) continue;
      const members: ts.Declaration[] = [...statement.members];
      for (const member of statement.members)
        if (ts.isConstructorDeclaration(member)) members.push(...member.parameters);
      found.set(
        statement.name!.text,
        new Set(members.filter(isPublic).map((member) => ts.getNameOfDeclaration(member)?.getText() ?? "")),
      );
    }
  }
  return found;
}

function isPublic(node: ts.Declaration): boolean {
  const modifiers = ts.getCombinedModifierFlags(node);
  return !(modifiers & ts.ModifierFlags.Private) && !(ts.isParameter(node) && modifiers === 0);
}

test("each name of the API is a public member of its class", (t) => {
  const known = classes();
  for (const [type, names] of Object.entries(API)) {
    const missing = names.split(" ").filter((name) => !known.get(type)?.has(name));
    t.deepEqual(missing, [], type);
  }
});

/** What the API gives into an application's hands and takes back again, without being asked for anything. */
const OPAQUE = new Set(["Route4", "Route6"]);

test("what the methods of the API return has its names in the API as well", (t) => {
  const known = classes();
  const missing = new Set<string>();
  for (const file of filesBelow("stack")) {
    const text = ts.sys.readFile(join(ROOT, file)) ?? "";
    for (const statement of ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true).statements) {
      if (!ts.isClassDeclaration(statement)) continue;
      const names = API[statement.name!.text]?.split(" ") ?? [];
      for (const member of statement.members) {
        if (!ts.isMethodDeclaration(member) || !names.includes(member.name.getText()) || !member.type)
          continue;
        for (const name of member.type.getText().match(/\b[A-Z]\w*/g) ?? [])
          if (known.has(name) && !(name in API) && !OPAQUE.has(name)) missing.add(name);
      }
    }
  }
  t.deepEqual([...missing], []);
});

test("an application that is outside can use what mDNS gives it", async (t) => {
  const source = `import { mdns } from "../../stack/service/mdns.js"; export { mdns };`;
  const { code } = await bundle(join(ROOT, "test/size/services.ts"), { source });
  for (const name of [
    "fullName",
    "update",
    "browseTypes",
    "cancel",
    "close",
    "interface",
    "priority",
    "strings",
  ])
    t.true(new RegExp(`[.,{ "]${name}\\b`).test(code), name);
});

test("in a script whose application is outside, options, counters, sockets and the entry's own names keep", (t) => {
  const entry = join(ROOT, "test/size/combinations/tcp4.ts");
  const names = reservedNames("", [entry, join(ROOT, "stack/tcp/tcp.ts")], {});
  for (const name of [
    "port",
    "onReadable",
    "badsum",
    "sendTo",
    "truncated",
    "tcp",
    "dns",
    "transmit",
    "length",
  ]) {
    t.true(names.has(name), name);
  }
  t.false(names.has("sndUna"));
});

test("what is inside has short names, though the API knows the words", async (t) => {
  const source = `import { udp } from "../../stack/udp/udp.js"; import { ipv4 } from "../../stack/ipv4/ipv4.js"; export { ipv4, udp };`;
  const { code } = await bundle(join(ROOT, "test/size/inside.ts"), { source });
  // Packet.destination, Path4.remote; a socket's own, and those of options.
  for (const name of ["segmentSize", "remote", "destination"])
    t.false(new RegExp(`\\.${name}\\b`).test(code), name);
  for (const name of ["address", "closed", "receiveBuffer", "gateway", "sendTo"])
    t.true(new RegExp(`[.,{]${name}\\b`).test(code), name);
});

test("in a closed script only what the host and the language call keeps", (t) => {
  const names = reservedNames("x['quoted'] = 'wanted' in x", [], { closed: true, reserved: ["mine"] });
  for (const name of ["transmit", "poll", "length", "quoted", "wanted", "mine"])
    t.true(names.has(name), name);
  for (const name of ["sendTo", "onReadable", "badsum"]) t.false(names.has(name), name);
});

test("whoever closes a script can still poll its stack", async (t) => {
  const source = `import { createStack } from "../../stack/index.js"; export const start = (host) => createStack(host, []);`;
  const { code } = await bundle(join(ROOT, "test/size/polled.ts"), { source, closed: true });
  const script = new Function(`${code}; return anystack;`)() as {
    start(host: unknown): { poll(): void };
  };
  let readings = 0;
  const now = () => ++readings;
  const stack = script.start({ version: HYPERCALL_VERSION, now, wake() {}, random: () => false, log() {} });
  const before = readings;
  stack.poll();
  t.true(readings > before);
});

const CLASSES = `
class A { constructor() { this.total = 0; } once(by) { this.total += by; return this; } twice() { return this.once(2).once(2); } same() { return 1; } }
class B { same() { return 2; } unused() { return "gone"; } held() { return () => this.same(); } }
export function run() { const a = new A(), b = new B(), list = [a, b], f = b.held; return [a.twice().once(1).total, list[0].same(), list[1].same(), f.call(b)()]; }
`;

test("methods become functions where that is no difference", async (t) => {
  const { code } = await bundle(join(ROOT, "test/size/classes.ts"), { source: CLASSES, closed: true });
  const script = new Function(`${code}; return anystack;`)() as { run(): unknown };
  t.deepEqual(script.run(), [5, 1, 2, 2]);
  t.false(/gone|once|twice|total|prototype\.same/.test(code), code);
});

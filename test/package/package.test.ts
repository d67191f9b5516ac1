/** The package as a stranger gets it: packed, installed in an empty project, imported, type-checked, judged by publint. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import test from "ava";
import { publint } from "publint";
import { bundle } from "../../rollup.config.js";
import { checkBundle } from "../profile/bundle.js";
import { ROOT } from "../support/files.js";
import { build } from "./build.js";
import { components, factoryName, parts } from "./components.js";

const work = mkdtempSync(join(tmpdir(), "package-test-"));
const staging = join(work, "staging");
const consumer = join(work, "consumer");
const vendor = join(work, "vendor");

/** The component names that the build found. */
function built(): string[] {
  return readdirSync(join(staging, "dist/component"))
    .filter((file) => file.endsWith(".js"))
    .map((file) => file.replace(/\.js$/, ""));
}

/** Every name under which something can be imported, except ports/. */
function entries(): string[] {
  const contract = readdirSync(join(staging, "dist/hypercall")).filter((file) => file.endsWith(".js"));
  const hypercall = contract.map((file) => `hypercall/${file.replace(/\.js$/, "")}`.replace(/\/index$/, ""));
  return ["anystack", ...[...hypercall, ...built()].map((name) => `anystack/${name}`)];
}

function ports(): string[] {
  return readdirSync(join(staging, "dist/ports"))
    .filter((host) => existsSync(join(staging, "dist/ports", host, "index.js")))
    .map((host) => `anystack/ports/${host}`);
}

test.before(() => {
  build(join(staging, "dist"));
  for (const file of ["package.json", "LICENSE", "README.md", "CHANGELOG.md", "docs", "examples/firmware"]) {
    cpSync(join(ROOT, file), join(staging, file), { recursive: true });
  }
  execFileSync("npm", ["pack", "--ignore-scripts", "--pack-destination", work], {
    cwd: staging,
    stdio: "pipe",
  });
  const tarball = join(
    work,
    readdirSync(work).find((name) => name.endsWith(".tgz"))!,
  );
  mkdirSync(consumer);
  writeFileSync(join(consumer, "package.json"), '{ "name": "consumer", "private": true, "type": "module" }');
  execFileSync("npm", ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", tarball], {
    cwd: consumer,
    stdio: "pipe",
  });
  makeVendor();
});

/** A project of a vendor's, with the recipe and the entries of examples/firmware copied into it. */
function makeVendor(): void {
  const modules = join(vendor, "node_modules");
  mkdirSync(modules, { recursive: true });
  writeFileSync(join(vendor, "package.json"), '{ "name": "vendor", "private": true, "type": "module" }');
  cpSync(join(consumer, "node_modules/anystack"), join(modules, "anystack"), { recursive: true });
  for (const tool of ["rollup", "terser", "typescript"]) {
    symlinkSync(join(ROOT, "node_modules", tool), join(modules, tool));
  }
  cpSync(join(modules, "anystack/examples/firmware"), vendor, { recursive: true });
}

test.after.always(() => rmSync(work, { recursive: true, force: true }));

test("it brings no dependency along", (t) => {
  t.deepEqual(
    readdirSync(join(consumer, "node_modules")).filter((name) => !name.startsWith(".")),
    ["anystack"],
  );
});

test("it holds what is built and no source, no test", (t) => {
  const folder = join(consumer, "node_modules/anystack");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  t.deepEqual(
    files.filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts") && !file.startsWith("examples/")),
    [],
  );
  const allowed = ["CHANGELOG.md", "LICENSE", "README.md", "dist", "docs", "examples", "package.json"];
  t.deepEqual(
    readdirSync(folder).filter((file) => !allowed.includes(file)),
    [],
  );
  t.true(readFileSync(join(folder, "LICENSE"), "utf8").startsWith("MIT License"));
  // What the README sends its readers to is there.
  for (const [, page] of readFileSync(join(folder, "README.md"), "utf8").matchAll(/\]\((docs\/[^)#]+)/g))
    t.true(existsSync(join(folder, page!)), page);
});

test("every entry can be imported, and every component has its factory", (t) => {
  const names = [...entries(), ...ports()];
  const script =
    "const found = {}; for (const name of process.argv.slice(1)) found[name] = Object.keys(await import(name));" +
    "console.log(JSON.stringify(found));";
  // The ciphers of ports/noble and the certificates of ports/x509 are optional peers, which their user installs.
  const peers = ["@noble", "@peculiar"];
  for (const peer of peers)
    symlinkSync(join(ROOT, "node_modules", peer), join(consumer, "node_modules", peer));
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script, ...names], {
    cwd: consumer,
  });
  for (const peer of peers) rmSync(join(consumer, "node_modules", peer));
  const found = JSON.parse(output.toString()) as Record<string, string[]>;
  t.true(found.anystack!.includes("createStack"));
  t.true(found["anystack/hypercall"]!.includes("HYPERCALL_VERSION"));
  for (const name of components().keys())
    t.true(found[`anystack/${name}`]!.includes(factoryName(name)), name);
});

test("the inside cannot be imported", (t) => {
  const inside = "await import('anystack/dist/stack/core/stack.js')";
  t.regex(runScript(inside).stderr, /ERR_PACKAGE_PATH_NOT_EXPORTED|ERR_MODULE_NOT_FOUND/);
});

function runScript(script: string, parameters: string[] = []): { stdout: string; stderr: string } {
  const options = ["--input-type=module", "-e", script, ...parameters];
  return spawnSync(process.execPath, options, { cwd: consumer, encoding: "utf8" });
}

/** Type-checks a module that imports `names`, and returns what the compiler says. */
function typeCheck(names: string[], options: Record<string, unknown>): string {
  const text = names
    .map((name, i) => `import * as m${i} from "${name}";\nexport const v${i} = m${i};`)
    .join("\n");
  writeFileSync(join(consumer, "main.ts"), text);
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: "ES2022",
    lib: ["ES2022"],
    types: [],
    ...options,
  };
  writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["main.ts"] }));
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  return spawnSync(process.execPath, [compiler, "-p", consumer], { cwd: consumer, encoding: "utf8" }).stdout;
}

test.serial("stack and hypercalls type-check without Node's or the browser's types", (t) => {
  t.is(typeCheck(entries(), { module: "NodeNext", moduleResolution: "NodeNext" }), "");
  t.is(typeCheck(entries(), { module: "ESNext", moduleResolution: "Bundler" }), "");
});

test.serial("the ports type-check with Node's types, that of browsers with theirs", (t) => {
  const modules = { module: "NodeNext", moduleResolution: "NodeNext" };
  const types = { types: ["node"], typeRoots: [join(ROOT, "node_modules/@types")] };
  const browser = "anystack/ports/browser";
  t.is(
    typeCheck(
      ports().filter((name) => name !== browser),
      { ...modules, ...types },
    ),
    "",
  );
  t.is(typeCheck([browser], { ...modules, lib: ["ES2022", "DOM"] }), "");
});

test("publint has nothing to say", async (t) => {
  const pkgDir = join(consumer, "node_modules/anystack");
  const { messages } = await publint({ pkgDir, strict: true, pack: false });
  t.deepEqual(messages, []);
});

/* Firmware */

const ENTRIES = {
  udp: ["ethernet", "arp", "ipv4", "icmp", "udp"],
  tcp: ["ethernet", "arp", "ipv4", "icmp", "udp", "tcp", "congestion", "recovery", "dhcp", "name-servers"],
};

/** What the chain makes of an entry of examples/firmware in the repository. */
async function fromSources(entry: string): Promise<string> {
  const path = join(ROOT, "examples/firmware", entry);
  const files = parts();
  const source = readFileSync(path, "utf8").replace(/"anystack(?:\/([\w-]+))?"/g, (_, part?: string) => {
    const file = part === undefined ? "stack/index.ts" : (files.get(part) ?? `${part}/index.ts`);
    return `"../../${file.replace(/ts$/, "js")}"`;
  });
  return (await bundle(path, { source })).code;
}

const made = new Map<string, Awaited<ReturnType<typeof bundle>>>();

/** The same of the vendor's copy of the entry, by the package's chain. */
function fromPackage(entry: string): Awaited<ReturnType<typeof bundle>> {
  const known = made.get(entry);
  if (known) return known;
  const script = `import { bundle } from "anystack/firmware";
    console.log(JSON.stringify(await bundle("${entry}")));`;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: vendor });
  const result = JSON.parse(output.toString()) as Awaited<ReturnType<typeof bundle>>;
  made.set(entry, result);
  return result;
}

test("firmware: the entries type-check in a vendor's project", (t) => {
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  t.is(spawnSync(process.execPath, [compiler, "-p", vendor], { encoding: "utf8" }).stdout, "");
});

for (const [name, wanted] of Object.entries(ENTRIES)) {
  test(`firmware: the chain makes ${name}.ts one ES5 script, with no component but its own`, async (t) => {
    const { code, modules } = fromPackage(`${name}.ts`);
    t.deepEqual(checkBundle(code), []);
    t.is(typeof (new Function(`${code}; return anystack;`)() as { start: unknown }).start, "function");
    // No byte more than from the sources.
    t.is(code, await fromSources(`${name}.ts`));
    const dist = join(vendor, "node_modules/anystack/dist");
    const present = Object.keys(modules).map((path) => relative(dist, path).replace(/\.js$/, ".ts"));
    const others = [...parts()].filter(([part]) => !wanted.includes(part)).map(([, file]) => file);
    t.deepEqual(
      present.filter((file) => others.includes(file)),
      [],
    );
    t.true(present.includes("stack/core/stack.ts"));
  });
}

test("firmware: the recipe, run by rollup, writes that script", (t) => {
  const rollup = join(vendor, "node_modules/rollup/dist/bin/rollup");
  const parameters = ["-c", "--configEntry", "udp.ts", "--configFile", "build/udp.js"];
  const { status, stderr } = spawnSync(process.execPath, [rollup, ...parameters], {
    cwd: vendor,
    encoding: "utf8",
  });
  t.is(status, 0, stderr);
  t.is(readFileSync(join(vendor, "build/udp.js"), "utf8").trim(), fromPackage("udp.ts").code.trim());
});

/**
 * The firmware chain: from an entry file with a list of components to one script for an engine that knows ES5 alone.
 *
 * TypeScript strips the types, rollup drops what is not imported, methods that one class alone has become functions,
 * TypeScript again lowers the single script to ES5, terser shortens it, property names included. Whatever would need a
 * helper of the compiler (`__extends`, `__spreadArray`, ...) fails the build instead.
 *
 * Names that the world outside of the script knows keep: see `reservedNames`. With `closed` the application is inside,
 * and the names of the components' own API are shortened as well.
 *
 * From a command line:  npx rollup -c --configEntry examples/firmware/udp.ts --configFile build/udp.js [--configSingle] [--configClosed]
 * From a program:       const { code } = await bundle("examples/firmware/udp.ts", { format: "es5" });
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { rollup } from "rollup";
import { minify } from "terser";
import ts from "typescript";
import { aliasThis, methodsToFunctions, plainClasses } from "./ports/bare/chain/classes.js";
import { inlineConstants } from "./ports/bare/chain/constants.js";
import { withoutFixed } from "./ports/bare/chain/fixed.js";
import { inlineOnce } from "./ports/bare/chain/inline.js";
import { foldNames, markMembers, markResults, membersOf } from "./ports/bare/chain/members.js";
import { singleInstances } from "./ports/bare/chain/single.js";
import { polish } from "./ports/bare/chain/polish.js";
import { parse, walk } from "./ports/bare/chain/syntax.js";
import { withoutUnused } from "./ports/bare/chain/unused.js";

const FOLDER = import.meta.dirname;

/**
 * Options of terser for the small engines. Espruino does not hoist, therefore `hoist_funs` and `hoist_vars`; to
 * MicroQuickJS a catch variable is one more variable of the function, therefore `ie8`. No property of ours is a getter,
 * and the script is not served to strangers who compare floats: therefore `pure_getters`, `unsafe_comps`.
 *
 * @param {string} name the one global that must keep its name
 * @returns {import("terser").MinifyOptions}
 */
export function es5Options(name) {
  return {
    ecma: 5,
    ie8: true,
    toplevel: true,
    compress: {
      passes: 3,
      hoist_funs: true,
      hoist_vars: true,
      keep_fargs: false,
      pure_getters: true,
      unsafe_comps: true,
      top_retain: [name],
    },
    mangle: { reserved: [name] },
  };
}

/** @type {import("terser").MinifyOptions} */
export const esmOptions = { ecma: 2020, module: true, compress: { passes: 2 } };

/** Functions of one room may call each other across files; an entry may need nothing. */
const HARMLESS = new Set(["CIRCULAR_DEPENDENCY", "EMPTY_BUNDLE"]);

/**
 * @typedef {object} BundleOptions
 * @property {"es5" | "esm"} [format] `"es5"` (default): a script; `"esm"`: an ES2022 module
 * @property {string} [name] the global variable that holds the entry's exports in a script; default `"anystack"`
 * @property {boolean} [minify] default true
 * @property {boolean} [closed] the application is inside of the script: only the hypercalls keep their names, and the stack's `poll` (what
 *   `inspect` says of counters is then not for people), fields that nobody reads go, counters among them. Default false
 * @property {boolean} [single] what is made at one place and once has no object, and a second stack beside the first is refused
 *   with `EBUSY` (see ports/bare/chain/single.js). Default: as `closed`
 * @property {readonly string[]} [reserved] names of properties that keep besides: what the application shares with others
 * @property {readonly string[]} [external] what the names of modules begin with that stay imports (a module, not a script)
 * @property {string} [source] the entry's text, when there is no such file; its path still says what it imports from where
 */

/**
 * Bundles `entry` with everything it imports.
 *
 * @param {string} entry path of the entry file
 * @param {BundleOptions} [options]
 * @returns {Promise<{ code: string, modules: Record<string, number> }>} the text, and the bytes that each file gave to it
 *   before the lowering and shortening
 */
export async function bundle(entry, options = {}) {
  const { format = "es5", name = "anystack" } = options;
  const build = await rollup({
    input: resolve(entry),
    plugins: [
      typescript(
        options.source === undefined ? {} : { [resolve(entry)]: options.source },
        format === "es5" && options.minify !== false,
        options.external,
      ),
    ],
    onwarn(warning) {
      if (!HARMLESS.has(warning.code ?? "")) throw new Error(`${entry}: ${warning.message}`);
    },
  });
  const { output } = await build.generate(outputOptions(format, name, options));
  await build.close();
  /** @type {Record<string, number>} */
  const modules = {};
  for (const [id, { renderedLength }] of Object.entries(output[0].modules)) {
    if (renderedLength > 0) modules[id] = renderedLength;
  }
  return { code: output[0].code, modules };
}

/**
 * @param {"es5" | "esm"} format
 * @param {string} name
 * @param {BundleOptions} options
 * @returns {import("rollup").OutputOptions}
 */
function outputOptions(format, name, options) {
  const es5 = format === "es5";
  const short = options.minify !== false;
  /** @type {(code: string, modules: readonly string[]) => Set<string>} */
  const keep = (code, modules) => reservedNames(code, modules, options);
  const terser = es5 ? shrink(es5Options(name), keep) : shrink(esmOptions);
  return {
    format: es5 ? "iife" : "es",
    name,
    exports: "named",
    esModule: false,
    freeze: false,
    strict: !es5,
    plugins: [...(es5 ? [lower(short ? keep : undefined, options)] : []), ...(short ? [terser] : [])],
  };
}

/**
 * Rollup plugin: finds TypeScript sources under the `.js` names they are imported by, and strips their types.
 *
 * @param {Record<string, string>} [virtual] texts of files that do not exist
 * @param {boolean} [marked] the members of classes have their classes' names behind their own: see members.js
 * @param {readonly string[]} [external] see `BundleOptions`
 * @returns {import("rollup").Plugin}
 */
export function typescript(virtual = {}, marked = false, external = []) {
  return {
    name: "typescript",
    resolveId(source, importer) {
      if (source in virtual) return source;
      if (importer === undefined) return resolve(source);
      // The host's own modules stay imports; ports/ alone has any.
      if (["node:", ...external].some((start) => source.startsWith(start))) {
        return { id: source, external: true, moduleSideEffects: false };
      }
      if (!/^\.{0,2}\//.test(source)) return createRequire(importer).resolve(source);
      const path = resolve(dirname(importer), source);
      const sibling = path.replace(/\.js$/, ".ts");
      return existsSync(sibling) ? sibling : path;
    },
    load: (id) => virtual[id] ?? null,
    transform(code, id) {
      const file = nameOf(id);
      let text = code;
      if (marked && file.startsWith("stack/") && !(id in virtual)) text = markMembers(FOLDER, file, code);
      else if (marked && this.getModuleInfo(id)?.isEntry) text = markResults(code);
      if (!id.endsWith(".ts")) return text === code ? null : text;
      const known = stripped.get(text) ?? transpile(text, id);
      stripped.set(text, known);
      return known;
    },
  };
}

/**
 * Sources without their types: who makes many bundles in one process (the byte ledger) pays once.
 *
 * @type {Map<string, string>}
 */
const stripped = new Map();

/**
 * Rollup output plugin: lowers the finished script to ES5.
 *
 * @param {Keep} [keep] the names that stay; without it no method becomes a function
 * @param {{ closed?: boolean, single?: boolean }} [options] as `bundle` has them
 * @returns {import("rollup").Plugin}
 */
export function lower(keep, options = {}) {
  return {
    name: "lower-to-es5",
    renderChunk(code, chunk) {
      const modules = Object.keys(chunk.modules);
      const flat = keep === undefined ? code : flatten(code, keep(code, modules), options, homesOf(modules));
      // As a "module" the script would import its helpers by name: that tells which, if any.
      const lowered = transpile(flat, `${chunk.name}.js`, ts.ScriptTarget.ES5).replace(
        /^export \{\};\n?/m,
        "",
      );
      const helpers = /^import \{(.*)\} from "tslib";/m.exec(lowered);
      if (helpers !== null) throw new Error(`${chunk.name}: needs compiler helpers:${helpers[1]}`);
      // Quotation marks: what the script exports keeps its name.
      const plain = aliasThis(plainClasses(lowered));
      return (keep === undefined ? plain : inlineConstants(plain)).replace(
        /^(\s*exports)\.(\w+) = /gm,
        '$1["$2"] = ',
      );
    },
  };
}

/** Interfaces between the components, which no application sees. */
const INSIDE =
  /^(Path|Network|Transport|Deferred|TableEntry|LinkProtocol|Component|Congestion|Recovery|SlowStart|AnyFib|(Policy)?Fib[46]|Lender|LeaseClient|Icmp(v6)?Hooks|Times|Resolver|Medium|Waiter|Echo(Transport|User)|Prefix(Text|Bytes)|Zoned)$/;

/**
 * Whether applications outside may mention a member: it is in the API, or in plain data, or in an interface that is not known to
 * be inside, of those that come with the script.
 *
 * @param {string} name
 * @param {string} owner
 * @param {ReadonlySet<string>} present files
 */
function isVisible(name, owner, present) {
  const { interfaces, owners, homes } = membersOf(FOLDER);
  return (owners[`${name}$${owner}`] ?? [owner]).some((each) => {
    if (homes[each] !== undefined && !present.has(homes[each])) return false;
    // Of two types of one name the second has a number.
    const type = each.replace(/_\d+$/, "");
    if (DATA.test(type) || API[type]?.split(" ").includes(name)) return true;
    return interfaces.includes(each) && !INSIDE.test(type);
  });
}

/** @param {string} id a module's path */
function nameOf(id) {
  return relative(FOLDER, id).replaceAll("\\", "/");
}

/**
 * The files whose types a script of `modules` can have to do with: these, what they import, and through files that have no part
 * in the script (types alone) what those import.
 *
 * @param {readonly string[]} modules
 * @returns {Set<string>}
 */
function homesOf(modules) {
  const { imports } = membersOf(FOLDER);
  const found = new Set(modules.map(nameOf));
  const visit = (/** @type {readonly string[]} */ files) => {
    for (const file of files) {
      if (found.has(file)) continue;
      found.add(file);
      visit(imports[file] ?? []);
    }
  };
  for (const id of modules) {
    visit(imports[nameOf(id)] ?? []);
    // The entry: what it takes types of alone.
    if (nameOf(id) in imports || !existsSync(id)) continue;
    for (const { fileName } of ts.preProcessFile(readFileSync(id, "utf8")).importedFiles) {
      const path = nameOf(resolve(dirname(id), fileName));
      visit([path in imports ? path : path.replace(/\.js$/, ".ts")]);
    }
  }
  return found;
}

/**
 * @param {string} code a script whose members may be marked with their classes
 * @param {ReadonlySet<string>} kept
 * @param {{ closed?: boolean, single?: boolean }} options
 * @param {ReadonlySet<string>} present files whose types the script can have to do with
 */
function flatten(code, kept, { closed = false, single = closed }, present) {
  const { interfaces, owners, homes } = membersOf(FOLDER);
  const isOurs = (/** @type {string} */ each) =>
    !interfaces.includes(each) || !present.has(homes[each] ?? "") || INSIDE.test(each.replace(/_\d+$/, ""));
  const folded = foldNames(
    code,
    (name, owner) =>
      closed ? name === "poll" && owner === "Stack" : kept.has(name) && isVisible(name, owner, present),
    (marked) => owners[marked]?.every(isOurs) ?? false,
  );
  const fixed = withoutFixed(folded, kept);
  let script = methodsToFunctions(single ? singleInstances(fixed, kept) : fixed, kept);
  for (let before = ""; script !== before;) {
    before = script;
    script = withoutFixed(withoutUnused(script, kept), kept);
  }
  return inlineOnce(script);
}

/**
 * @param {string} code
 * @param {string} fileName
 * @param {ts.ScriptTarget} [target]
 */
export function transpile(code, fileName, target = ts.ScriptTarget.ES2022) {
  const { outputText, diagnostics } = ts.transpileModule(code, {
    fileName,
    reportDiagnostics: true,
    compilerOptions: {
      target,
      module: ts.ModuleKind.ESNext,
      moduleDetection: ts.ModuleDetectionKind.Force,
      ignoreDeprecations: "6.0", // ES5 is deprecated in TypeScript 6 and gone in 7.
      alwaysStrict: false,
      allowJs: true,
      importHelpers: true,
      useDefineForClassFields: false,
      verbatimModuleSyntax: true,
    },
  });
  const problem = diagnostics?.[0];
  if (problem) throw new Error(`${fileName}: ${ts.flattenDiagnosticMessageText(problem.messageText, "\n")}`);
  return outputText;
}

/**
 * Rollup output plugin: terser.
 *
 * @param {import("terser").MinifyOptions} options
 * @param {Keep} [keep] the names of properties that stay; without it all of them do
 * @returns {import("rollup").Plugin}
 */
export function shrink(options, keep) {
  return {
    name: "shrink",
    async renderChunk(code, chunk) {
      if (keep === undefined) return (await minify(code, options)).code ?? "";
      const kept = keep(code, Object.keys(chunk.modules));
      const short = (await minify(code, shrinking(options, code, kept))).code ?? "";
      // What was inlined last declares its variables below their use.
      const hoist = { defaults: false, hoist_funs: true, hoist_vars: true };
      const hoisted = (await minify(short, { ...options, compress: hoist, mangle: false })).code ?? "";
      const last = (await minify(polish(hoisted), { ...options, compress: false })).code ?? "";
      // `ie8` means more than what is wanted of it: since ES5 a property may have a reserved word for its name.
      return last.replaceAll('["interface"]', ".interface").replaceAll('"interface":', "interface:");
    },
  };
}

/**
 * Options of terser for `code` alone: each property has its new name.
 *
 * @param {import("terser").MinifyOptions} options
 * @param {string} code
 * @param {ReadonlySet<string>} kept
 * @returns {import("terser").MinifyOptions}
 */
export function shrinking(options, code, kept) {
  const properties = {
    builtins: true,
    keep_quoted: /** @type {const} */ ("strict"),
    reserved: [...kept],
  };
  const mangle = { ...(typeof options.mangle === "object" ? options.mangle : {}), properties };
  return { ...options, mangle, nameCache: { props: { props: shortNames(code, kept) } } };
}

/**
 * What `npx rollup -c` does.
 *
 * @param {{ configEntry?: string, configFile?: string, configFormat?: "es5" | "esm", configName?: string,
 *   configClosed?: boolean, configSingle?: boolean }} options
 * @returns {import("rollup").RollupOptions}
 */
export default function config(options) {
  const { configEntry = "stack/index.ts", configFile = "build/anystack.js", configFormat = "es5" } = options;
  return {
    input: configEntry,
    plugins: [typescript({}, configFormat === "es5")],
    onwarn(warning, warn) {
      if (!HARMLESS.has(warning.code ?? "")) warn(warning);
    },
    output: {
      file: configFile,
      ...outputOptions(configFormat, options.configName ?? "anystack", {
        closed: options.configClosed === true,
        single: options.configSingle ?? options.configClosed === true,
      }),
    },
  };
}

/* Names of properties */

/** @typedef {(code: string, modules: readonly string[]) => Set<string>} Keep */

/**
 * What applications call, by class: where they are outside of the script, these names keep, with those of options,
 * information and counters (`DATA`). test/size/names.test.ts checks that each is a public member of its class; what an
 * application calls beyond them it names in `reserved`.
 *
 * @type {Readonly<Record<string, string>>}
 */
export const API = {
  Stack:
    "addInterface removeInterface setInterface findInterface poll close now counters interfaces nameServers",
  Interface: "name mtu enabled removed up counters index",
  NameServers: "list search set",
  Ipv4: "addAddress removeAddress addRoute removeRoute addresses",
  Address4: "address length state origin",
  Ipv6: "addAddress removeAddress addRoute removeRoute addresses",
  Address6: "state origin temporary",
  LinkLocal: "enable disable",
  Udp: "open",
  UdpSocket: "readable address port closed sendTo send connect disconnect receive join leave close",
  Raw: "open",
  RawSocket: "readable sendTo receive close",
  Ping: "open",
  PingSocket: "send close",
  Tcp: "connect listen",
  FastOpen: "connect",
  Listener: "accept close port closed",
  TcpSocket:
    "handle readable writable read write shutdown close abort state error setNoDelay setKeepAlive setUserTimeout " +
    "localAddress localPort remoteAddress remotePort",
  Dhcp: "open clients",
  DhcpClient: "lease state renew release close closed",
  Mdns: "claim publish browse browseTypes resolve lookup watch",
  MdnsResponder: "claim publish",
  HostName: "name close",
  Publication: "name fullName update close",
  Browser: "close",
  TypeBrowser: "close",
  Resolution: "close",
  AddressRequest: "cancel close",
  Watch: "close",
  Dhcp6: "open find",
  Dhcp6Client: "renew release close",
  Dns: "resolve lookup flush",
  DnsRequest: "cancel",
  HappyConnection: "cancel",
};

/** Interfaces and classes of plain data that applications write or read. */
const DATA =
  /(Options|Configuration|Handlers|Info|Filter|Counters|View|Lease|Record|Reply|Error|ServiceInstance|ResolvedService)$/;

/** What the language gives: interfaces of TypeScript's library for ES5. */
const LANGUAGE =
  /^(Object|Function|Callable|Array|ReadonlyArray|String|Number|Boolean|Math|U?[Ii]nt\d+|Float64)/;

/**
 * Members' names of interfaces and classes, by file; files do not change while bundles are made.
 *
 * @type {Map<string, [string, string][]>}
 */
const members = new Map();

/**
 * @param {string} file
 * @param {(type: string) => boolean} wanted which interfaces and classes
 * @returns {string[]} the names of their members
 */
function memberNames(file, wanted) {
  // In the package there are declarations instead of sources.
  if (!existsSync(file)) file = file.replace(/\.ts$/, ".d.ts");
  if (!members.has(file)) {
    /** @type {[string, string][]} */
    const found = [];
    for (const statement of ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.ESNext)
      .statements) {
      if (!ts.isInterfaceDeclaration(statement) && !ts.isClassDeclaration(statement)) continue;
      for (const { name } of statement.members) {
        if (name && ts.isIdentifier(name)) found.push([statement.name?.text ?? "", name.text]);
      }
    }
    members.set(file, found);
  }
  return (members.get(file) ?? []).filter(([type]) => wanted(type)).map(([, name]) => name);
}

/**
 * The names of properties that must stay: the language's, the hypercalls', those that the script has in quotation marks;
 * and unless it is `closed`, the API of the components, and whatever files outside of stack/ (the entry) mention.
 *
 * @param {string} code
 * @param {readonly string[]} modules
 * @param {BundleOptions} options
 * @returns {Set<string>}
 */
export function reservedNames(code, modules, { closed = false, reserved = [], source }) {
  const library = createRequire(import.meta.url).resolve("typescript/lib/lib.es5.d.ts");
  const { imports } = membersOf(FOLDER);
  const ciphers =
    /\bcrypto\b/.test(code) ||
    modules.some((id) => imports[nameOf(id)]?.some((file) => /^hypercall\/crypto\./.test(file)));
  const names = new Set([
    ...["code", "message", "prototype", "buffer", "poll", ...reserved],
    ...memberNames(library, (type) => LANGUAGE.test(type)),
    ...["index.ts", "link.ts", ...(ciphers ? ["crypto.ts"] : [])].flatMap((file) =>
      memberNames(join(FOLDER, "hypercall", file), () => true),
    ),
  ]);
  walk(parse(code), (node) => {
    // The script's exports are quoted where it makes them (see `lower`): the same name elsewhere is another property.
    if (ts.isElementAccessExpression(node) && node.expression.getText() !== "exports") {
      if (ts.isStringLiteral(node.argumentExpression)) names.add(node.argumentExpression.text);
    }
    // What classes with accessors are lowered to: a name in quotation marks, and a descriptor.
    if (ts.isCallExpression(node) && node.expression.getText().endsWith(".defineProperty")) {
      const [, name, descriptor] = node.arguments;
      if (ts.isStringLiteral(name)) names.add(name.text);
      if (ts.isObjectLiteralExpression(descriptor)) {
        for (const { name } of descriptor.properties) if (name) names.add(name.getText());
      }
    }
    if (
      ts.isBinaryExpression(node) &&
      node.operatorToken.kind === ts.SyntaxKind.InKeyword &&
      ts.isStringLiteral(node.left)
    )
      names.add(node.left.text);
  });
  if (closed) return names;
  // By what name a component counts: `stack.counters.tcp`.
  walk(parse(code), (node) => {
    if (!ts.isPropertyAccessExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return;
    if (node.expression.name.text === "counters") names.add(node.name.text);
  });
  for (const type of Object.keys(API)) for (const name of API[type].split(" ")) names.add(name);
  for (const file of readdirSync(join(FOLDER, "stack"), { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    for (const name of memberNames(join(FOLDER, "stack", file), (type) => DATA.test(type))) names.add(name);
  }
  for (const id of modules) {
    if (/^(stack|hypercall)\//.test(relative(FOLDER, id))) continue;
    walk(parse(source ?? readFileSync(id, "utf8"), id), (node) => {
      if (ts.isPropertyAccessExpression(node)) names.add(node.name.text);
      if (ts.isObjectLiteralElement(node) && node.name && ts.isIdentifier(node.name))
        names.add(node.name.text);
    });
  }
  return names;
}

/**
 * Names of which one short name can stand for all, those that are mentioned most first: no object has two of them.
 *
 * @param {ReadonlyMap<string, number>} uses
 * @param {ReadonlyMap<string, ReadonlySet<string>>} owners who has them; of others nothing is known
 * @returns {string[][]}
 */
function shares(uses, owners) {
  /** @type {{ names: string[], owners: Set<string>, total: number }[]} */
  const shared = [];
  for (const [name, count] of [...uses].sort(([, a], [, b]) => b - a)) {
    const own = owners.get(name);
    const fitting =
      own && shared.find((each) => each.owners.size > 0 && ![...own].some((owner) => each.owners.has(owner)));
    const share = fitting ?? { names: [], owners: new Set(), total: 0 };
    if (!fitting) shared.push(share);
    share.names.push(name);
    share.total += count;
    own?.forEach((owner) => share.owners.add(owner));
  }
  return shared.sort((a, b) => b.total - a.total).map(({ names }) => names);
}

/**
 * New names for the properties of `code`, the shortest for those that are mentioned most.
 *
 * @param {string} code
 * @param {ReadonlySet<string>} kept names that stay, and that nothing else may get
 * @returns {Record<string, string>} in the form of terser's name cache
 */
function shortNames(code, kept) {
  /** @type {Map<string, number>} */
  const uses = new Map();
  const use = (/** @type {string} */ name) => kept.has(name) || uses.set(name, (uses.get(name) ?? 0) + 1);
  walk(parse(code), (node) => {
    if (ts.isPropertyAccessExpression(node)) use(node.name.text);
    if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name)) use(node.name.text);
  });
  const { owners: having, asked } = membersOf(FOLDER);
  const owners = new Map(
    Object.entries(having).map(([name, list]) => [name, new Set([...list, ...(asked[name] ?? [])])]),
  );
  // Methods of one class, and whatever stands in one literal.
  walk(parse(code), (node) => {
    if (!ts.isObjectLiteralExpression(node)) return;
    for (const { name } of node.properties) if (name) owners.get(name.getText())?.add(`literal ${node.pos}`);
  });
  const letters = "etnrisouaflchpdvmgybwkxjqzETSCNRIOAMLPDUFBHVGWKYXJQZ_$";
  const reserved = new Set([...kept, ..."at do if in is of as fill find".split(" ")]);
  const candidates = [
    ...letters,
    ...[...letters].flatMap((first) => [...letters, ..."0123456789"].map((next) => first + next)),
  ];
  const free = candidates.filter((name) => !reserved.has(name));
  /** @type {Record<string, string>} */
  const names = {};
  // Names beyond the first few thousand are left to terser.
  shares(uses, owners)
    .slice(0, free.length)
    .forEach((share, i) => share.forEach((name) => (names[`$${name}`] = free[i])));
  return names;
}

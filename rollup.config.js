/**
 * The firmware chain: from an entry file with a list of components to one script for an engine that knows ES5 alone.
 *
 * TypeScript strips the types, rollup drops what is not imported, TypeScript again lowers the single script to ES5, terser
 * shortens it. Whatever would need a helper of the compiler (`__extends`, `__spreadArray`, ...) fails the build instead.
 *
 * From a command line:  npx rollup -c --configEntry examples/firmware/udp.ts --configFile build/udp.js
 * From a program:       const { code } = await bundle("examples/firmware/udp.ts", { format: "es5" });
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { rollup } from "rollup";
import { minify } from "terser";
import ts from "typescript";

/**
 * Options of terser for the small engines. Espruino does not hoist, therefore `hoist_funs` and `hoist_vars`; to
 * MicroQuickJS a catch variable is one more variable of the function, therefore `ie8`.
 *
 * @param {string} name the one global that must keep its name
 * @returns {import("terser").MinifyOptions}
 */
export function es5Options(name) {
  return {
    ecma: 5,
    ie8: true,
    toplevel: true,
    compress: { passes: 2, hoist_funs: true, hoist_vars: true, top_retain: [name] },
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
    plugins: [typescript(options.source === undefined ? {} : { [resolve(entry)]: options.source })],
    onwarn(warning) {
      if (!HARMLESS.has(warning.code ?? "")) throw new Error(`${entry}: ${warning.message}`);
    },
  });
  const { output } = await build.generate(outputOptions(format, name, options.minify));
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
 * @param {boolean} [shorten]
 * @returns {import("rollup").OutputOptions}
 */
function outputOptions(format, name, shorten = true) {
  const es5 = format === "es5";
  return {
    format: es5 ? "iife" : "es",
    name,
    exports: "named",
    esModule: false,
    freeze: false,
    strict: !es5,
    plugins: [...(es5 ? [lower()] : []), ...(shorten ? [shrink(es5 ? es5Options(name) : esmOptions)] : [])],
  };
}

/**
 * Rollup plugin: finds TypeScript sources under the `.js` names they are imported by, and strips their types.
 *
 * @param {Record<string, string>} [virtual] texts of files that do not exist
 * @returns {import("rollup").Plugin}
 */
export function typescript(virtual = {}) {
  return {
    name: "typescript",
    resolveId(source, importer) {
      if (source in virtual) return source;
      if (importer === undefined) return resolve(source);
      // The host's own modules stay imports; ports/ alone has any.
      if (source.startsWith("node:")) return { id: source, external: true, moduleSideEffects: false };
      if (!/^\.{0,2}\//.test(source)) return createRequire(importer).resolve(source);
      const path = resolve(dirname(importer), source);
      const sibling = path.replace(/\.js$/, ".ts");
      return existsSync(sibling) ? sibling : path;
    },
    load: (id) => virtual[id] ?? null,
    transform(code, id) {
      if (!id.endsWith(".ts")) return null;
      const known = stripped.get(code) ?? transpile(code, id, ts.ScriptTarget.ES2022);
      stripped.set(code, known);
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
 * @returns {import("rollup").Plugin}
 */
export function lower() {
  return {
    name: "lower-to-es5",
    renderChunk(code, chunk) {
      // As a "module" the script would import its helpers by name: that tells which, if any.
      const lowered = transpile(code, `${chunk.name}.js`, ts.ScriptTarget.ES5).replace(
        /^export \{\};\n?/m,
        "",
      );
      const helpers = /^import \{(.*)\} from "tslib";/m.exec(lowered);
      if (helpers !== null) throw new Error(`${chunk.name}: needs compiler helpers:${helpers[1]}`);
      // Rollup knows a class when it sees one, terser only when it is told.
      return shortPrototypes(lowered.replaceAll("/** @class */", "/*@__PURE__*/"));
    },
  };
}

/**
 * Names each lowered class's prototype once, instead of at each of its methods: three bytes of a hundred.
 *
 * @param {string} lowered
 */
function shortPrototypes(lowered) {
  const seen = new Set();
  return lowered.replace(/^( +)(\w+)\.prototype(?=\.\w+ = function )/gm, (_, indent, name, at) => {
    // Two files may each have a class of that name: rollup renames the variable, and not what is inside.
    const constructor = lowered.lastIndexOf(`function ${name}(`, at);
    const declaration = seen.has(constructor) ? "" : `${indent}var ${name}$ = ${name}.prototype;\n`;
    seen.add(constructor);
    return `${declaration}${indent}${name}$`;
  });
}

/**
 * @param {string} code
 * @param {string} fileName
 * @param {ts.ScriptTarget} target
 */
function transpile(code, fileName, target) {
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
 * @returns {import("rollup").Plugin}
 */
export function shrink(options) {
  return {
    name: "shrink",
    async renderChunk(code) {
      return (await minify(code, options)).code ?? "";
    },
  };
}

/**
 * What `npx rollup -c` does.
 *
 * @param {{ configEntry?: string, configFile?: string, configFormat?: "es5" | "esm", configName?: string }} options
 * @returns {import("rollup").RollupOptions}
 */
export default function config(options) {
  const { configEntry = "stack/index.ts", configFile = "build/anystack.js", configFormat = "es5" } = options;
  return {
    input: configEntry,
    plugins: [typescript()],
    output: { file: configFile, ...outputOptions(configFormat, options.configName ?? "anystack") },
  };
}

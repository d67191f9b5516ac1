/** The firmware chain: methods become functions, classes the shortest ES5 that they can. */
import ts from "typescript";
import { edited, parse, thisOf, walk } from "./syntax.js";

/** @typedef {import("./syntax.js").Edit} Edit */

/**
 * Makes a function of each method whose name nothing else has, and that is only ever called: `x.m(y)` to `m(x, y)`. A
 * function has a name of one letter, and goes when nobody calls it; terser can do neither to a method.
 *
 * @param {string} code
 * @param {ReadonlySet<string>} kept names that must stay
 */
export function methodsToFunctions(code, kept) {
  const file = parse(code);
  /** @type {Map<string, ts.MethodDeclaration>} */
  const methods = new Map();
  /** @type {Map<string, ts.PropertyAccessExpression[]>} */
  const calls = new Map();
  const others = new Set(kept);
  /** @type {ts.ClassDeclaration[]} */
  const classes = [];
  walk(file, (node) => {
    if (ts.isClassDeclaration(node)) classes.push(node);
    // Only inside of its class may a private name be read.
    const method = ts.isPrivateIdentifier(node) ? ts.findAncestor(node, ts.isMethodDeclaration) : undefined;
    if (method && ts.isIdentifier(method.name)) others.add(method.name.text);
    if (ts.isMethodDeclaration(node) && ts.isClassDeclaration(node.parent) && ts.isIdentifier(node.name)) {
      if (methods.has(node.name.text) || node.modifiers) others.add(node.name.text);
      methods.set(node.name.text, node);
    } else if (ts.isPropertyAccessExpression(node)) {
      const name = node.name.text;
      const call = node.parent;
      if (
        !ts.isCallExpression(call) ||
        call.expression !== node ||
        call.questionDotToken ||
        node.questionDotToken
      )
        others.add(name);
      else calls.set(name, [...(calls.get(name) ?? []), node]);
    } else if (ts.isClassElement(node) || ts.isObjectLiteralElement(node) || ts.isBindingElement(node)) {
      if (node.name && "text" in node.name) others.add(node.name.text);
    }
  });
  /** @type {Edit[]} */
  const edits = [];
  /** @type {Edit[]} */
  const outer = [];
  /** @type {Set<ts.Node>} */
  const moved = new Set();
  for (const [name, method] of methods) {
    if (others.has(name)) continue;
    moved.add(method);
    const open = code.indexOf("(", method.name.end) + 1;
    edits.push([
      method.getStart(file),
      open,
      `function ${name}$of(self$${method.parameters.length > 0 ? ", " : ""}`,
    ]);
    for (const node of thisOf(method)) edits.push([node.getStart(file), node.end, "self$"]);
    for (const access of calls.get(name) ?? []) {
      const call = /** @type {ts.CallExpression} */ (access.parent);
      outer.push([access.getStart(file), access.end, `${name}$of(`]);
      edits.push([
        access.expression.end,
        code.indexOf("(", access.name.end) + 1,
        call.arguments.length > 0 ? ", " : "",
      ]);
    }
  }
  // Of calls that begin together (`x.m().n()`) the last is the outermost.
  outer.sort((a, b) => b[1] - a[1]);
  edits.unshift(...outer.map(([start, , text]) => /** @type {Edit} */ ([start, start, text])));
  edits.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let out = "";
  let at = 0;
  for (const declaration of classes) {
    let functions = "";
    for (const member of declaration.members) {
      if (!moved.has(member)) continue;
      out += edited(code, edits, at, member.getFullStart());
      functions += `\n${edited(code, edits, member.getStart(file), member.end)}`;
      at = member.end;
    }
    out += edited(code, edits, at, declaration.end) + functions;
    at = declaration.end;
  }
  return out + edited(code, edits, at);
}

/**
 * TypeScript makes of a class a function that is called at once, so that statements stay together. Here they may stand by
 * themselves, and one object holds all methods. A class whose variable rollup has renamed (`A$1`) stays as it is.
 *
 * @param {string} lowered
 */
export function plainClasses(lowered) {
  const file = parse(lowered);
  /** @type {Edit[]} */
  const edits = [];
  walk(file, (node) => {
    if (!ts.isVariableStatement(node)) return;
    const match = /^(?:let|var) (\w+) = \/\*\* @class \*\/ \(function \(\) \{/.exec(node.getText(file));
    if (!match) return;
    const text = node.getText(file);
    const [, name] = match;
    const body = parse(text.slice(match[0].length, text.lastIndexOf(`return ${name};`)), "class.js");
    const [constructor, ...rest] = body.statements;
    const methods = rest.map((statement) =>
      /^\w+\.prototype\.([\w$]+) = (function \([^]*\});$/.exec(statement.getText(body)),
    );
    if (!constructor || methods.some((method) => method === null)) return;
    const prototype = methods.map((method) => `${method?.[1]}: ${method?.[2]}`).join(",\n");
    const assignment = methods.length > 0 ? `\n${name}.prototype = {\n${prototype}\n};` : "";
    edits.push([node.getStart(file), node.end, constructor.getText(body) + assignment]);
  });
  return edited(lowered, edits);
}

/**
 * Gives `this` a name, which terser shortens, in functions that mention it often enough for that to pay.
 *
 * @param {string} code ES5
 */
export function aliasThis(code) {
  const file = parse(code);
  /** @type {Edit[]} */
  const edits = [];
  walk(file, (node) => {
    if ((!ts.isFunctionDeclaration(node) && !ts.isFunctionExpression(node)) || !node.body) return;
    const mentions = thisOf(node);
    if (mentions.length < 4) return;
    const at = node.body.getStart(file) + 1;
    edits.push([at, at, " var this$ = this;"]);
    for (const mention of mentions) edits.push([mention.getStart(file), mention.end, "this$"]);
  });
  return edited(
    code,
    edits.sort((a, b) => a[0] - b[0] || a[1] - b[1]),
  );
}

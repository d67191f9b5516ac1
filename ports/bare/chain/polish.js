/**
 * The firmware chain: the last touches, between terser's shortening of the code and that of the names.
 *
 * Terser gives the shortest names to what is declared first: here that is what is mentioned most. And fields that get the same value
 * one after the other get it together: `a.x = a.y = 0`.
 */
import ts from "typescript";
import { containerOf, edited, isMention, isPure, mentionsIn, parse, walk } from "./syntax.js";

/** @typedef {import("./syntax.js").Edit} Edit */

/** @param {string} code ES5, each function above the variables of its scope */
export function polish(code) {
  return frequentFirst(sharedTexts(chained(hoisted(code))));
}

/**
 * `undefined` is longer than `void 0`, and what misuse is told by (`fail("EINVAL", ...)`: on no fast path) stands once.
 *
 * @param {string} code
 */
function sharedTexts(code) {
  const file = parse(code);
  const container = /** @type {ts.Block} */ (containerOf(file));
  /** @type {Map<string, ts.Node[]>} */
  const texts = new Map();
  /** @type {Edit[]} */
  const edits = [];
  walk(file, (node) => {
    if (ts.isIdentifier(node) && node.text === "undefined" && isMention(node))
      edits.push([node.getStart(file), node.end, "void 0"]);
    if (ts.isStringLiteral(node) && ts.isCallExpression(node.parent) && /^E[A-Z]+$/.test(node.text))
      texts.set(node.text, [...(texts.get(node.text) ?? []), node]);
  });
  let declared = "";
  for (const [text, uses] of texts) {
    // A name of two letters, and its declaration.
    if (uses.length * text.length <= text.length + 6) continue;
    const name = `text$${text}`;
    declared += `${declared ? "," : ""}${name}="${text}"`;
    for (const use of uses) edits.push([use.getStart(file), use.end, name]);
  }
  const first = container.statements.find((each) => !ts.isFunctionDeclaration(each));
  if (declared && first) edits.push([first.getStart(file), first.getStart(file), `var ${declared};`]);
  return edited(
    code,
    edits.sort((a, b) => a[0] - b[0] || a[1] - b[1]),
  );
}

/**
 * Terser hoists nothing where a function has one `var` alone: a mere declaration, of what was inlined above it, goes to the top.
 *
 * @param {string} code
 */
function hoisted(code) {
  const file = parse(code);
  /** @type {Edit[]} */
  const edits = [];
  walk(file, (node) => {
    if (!ts.isFunctionDeclaration(node) && !ts.isFunctionExpression(node)) return;
    const statements = /** @type {ts.Block} */ (node.body).statements;
    const at = statements.findIndex(
      (each) =>
        ts.isVariableStatement(each) &&
        each.declarationList.declarations.every(({ initializer }) => !initializer),
    );
    if (at <= 0) return;
    const text = statements[at].getText(file);
    const start = statements[0].getStart(file);
    edits.push([start, start, text.endsWith(";") ? text : `${text};`]);
    edits.push([statements[at].getStart(file), statements[at].end, ""]);
  });
  // Functions lie in functions: the inner ones' edits between the outer one's.
  return edited(
    code,
    edits.sort((a, b) => a[0] - b[0] || a[1] - b[1]),
  );
}

/** How many names of one letter there are. */
const SHORT = 54;

/**
 * Orders the declarations of the script's own functions and variables by how often they are mentioned.
 *
 * @param {string} code
 */
function frequentFirst(code) {
  const file = parse(code);
  const container = /** @type {ts.Block} */ (containerOf(file));
  const mentions = mentionsIn(container);
  const count = (/** @type {ts.Identifier} */ name) => mentions.get(name.text)?.length ?? 0;
  /** @type {{ name: ts.Identifier, node: ts.FunctionDeclaration | ts.VariableDeclaration }[]} */
  const found = [];
  /** @type {ts.Statement[]} */
  const moved = [];
  for (const statement of container.statements) {
    if (ts.isFunctionDeclaration(statement) && statement.name) {
      found.push({ name: statement.name, node: statement });
      moved.push(statement);
    } else if (ts.isVariableStatement(statement)) {
      const { declarations } = statement.declarationList;
      if (declarations.some((each) => each.initializer || !ts.isIdentifier(each.name))) continue;
      for (const each of declarations)
        found.push({ name: /** @type {ts.Identifier} */ (each.name), node: each });
      moved.push(statement);
    }
  }
  found.sort((a, b) => count(b.name) - count(a.name));
  const variables = found.filter(({ node }) => ts.isVariableDeclaration(node)).map(({ name }) => name.text);
  const functions = found.filter(({ node }) => ts.isFunctionDeclaration(node));
  const hot = found.slice(0, SHORT).filter(({ node }) => ts.isVariableDeclaration(node)).length;
  const declare = (/** @type {string[]} */ names) => (names.length > 0 ? `var ${names.join(",")};` : "");
  const first = moved[0];
  if (!first) return code;
  const head =
    declare(variables.slice(0, hot)) +
    functions.map(({ node }) => node.getText(file)).join("") +
    declare(variables.slice(hot));
  /** @type {Edit[]} */
  const edits = moved.map((each) => [each.getStart(file), each.end, each === first ? head : ""]);
  return edited(code, edits);
}

/**
 * Neighbouring assignments of one constant to fields or variables become one. No property of ours is a setter, and none of
 * the targets depends on another.
 *
 * @param {string} code
 */
function chained(code) {
  const file = parse(code);
  /** @type {Edit[]} */
  const edits = [];
  walk(file, (node) => {
    if (!isComma(node) || isComma(node.parent)) return;
    const parts = partsOf(node);
    for (let from = 0; from < parts.length;) {
      let to = from;
      while (to < parts.length && constantOf(parts[to], file) !== undefined) to++;
      const run = parts.slice(from, to);
      if (run.length > 1 && isIndependent(run)) {
        /** @type {Map<string, string[]>} */
        const byValue = new Map();
        for (const each of run) {
          const value = constantOf(each, file) ?? "";
          const left = /** @type {ts.BinaryExpression} */ (each).left.getText(file);
          byValue.set(value, [...(byValue.get(value) ?? []), left]);
        }
        const last = /** @type {ts.Expression} */ (run.at(-1));
        // The value of all of it is the last one's.
        const lastValue = constantOf(last, file) ?? "";
        const order = [...byValue].sort(([a], [b]) => Number(a === lastValue) - Number(b === lastValue));
        const text = order.map(([value, targets]) => `${targets.join("=")}=${value}`).join(",");
        edits.push([run[0].getStart(file), last.end, text]);
      }
      from = Math.max(to, from + 1);
    }
  });
  return edited(
    code,
    edits.sort((a, b) => a[0] - b[0]),
  );
}

/** @param {ts.Node} node @returns {node is ts.BinaryExpression} */
function isComma(node) {
  return ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.CommaToken;
}

/** @param {ts.Expression} node @returns {ts.Expression[]} */
function partsOf(node) {
  return isComma(node) ? [...partsOf(node.left), ...partsOf(node.right)] : [node];
}

/**
 * @param {ts.Expression} node
 * @param {ts.SourceFile} file
 * @returns {string | undefined} the text of the constant that is assigned, if that is what happens
 */
function constantOf(node, file) {
  if (!ts.isBinaryExpression(node) || node.operatorToken.kind !== ts.SyntaxKind.EqualsToken) return undefined;
  const { left, right } = node;
  const isTarget = ts.isIdentifier(left) || (ts.isPropertyAccessExpression(left) && isPure(left.expression));
  if (!isTarget) return undefined;
  // What is numbered or quoted, `null`, `!0`, `!1`, `-1`.
  return /^(null|[!-]?\d+|"[^"]*")$/.test(right.getText(file)) ? right.getText(file) : undefined;
}

/**
 * No assignment changes the object that another's target is in.
 *
 * @param {ts.Expression[]} run
 */
function isIndependent(run) {
  const lefts = run.map((each) => /** @type {ts.BinaryExpression} */ (each).left);
  const targets = lefts.map((each) => each.getText());
  if (new Set(targets).size < targets.length) return false;
  const roots = new Set(
    lefts.flatMap((each) => (ts.isPropertyAccessExpression(each) ? [each.expression.getText()] : [])),
  );
  return targets.every((target) =>
    [...roots].every((root) => root !== target && !root.startsWith(`${target}.`)),
  );
}

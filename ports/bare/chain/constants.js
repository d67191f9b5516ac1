/**
 * The firmware chain: numbers that have a name get their value back.
 *
 * Terser does this as well, but not once functions stand above the variables (`hoist_funs`): then a function might be called
 * before the variable has its value. Modules are in the order of their needs, and a `const` is not read before.
 */
import ts from "typescript";
import { containerOf, edited, isAssignment, mentionsIn, parse } from "./syntax.js";

/** @typedef {import("./syntax.js").Edit} Edit */

/**
 * @param {string} code ES5
 */
export function inlineConstants(code) {
  const file = parse(code);
  const container = containerOf(file);
  const mentions = mentionsIn(container);
  /** @type {Map<string, number>} */
  const values = new Map();
  /** @type {Edit[]} */
  const edits = [];
  for (const statement of /** @type {ts.Block} */ (container).statements) {
    if (!ts.isVariableStatement(statement)) continue;
    for (const { name, initializer } of statement.declarationList.declarations) {
      if (!initializer || !ts.isIdentifier(name)) continue;
      const value = valueOf(initializer, values);
      const uses = mentions.get(name.text) ?? [];
      if (value === undefined || uses.some(isChanged)) continue;
      // Spelled out everywhere it may be longer than its short name.
      if (uses.length > 1 && text(value).length > 5) continue;
      values.set(name.text, value);
      for (const use of uses) edits.push([use.getStart(file), use.end, text(value)]);
    }
  }
  edits.sort((a, b) => a[0] - b[0]);
  return edited(code, edits);
}

/** @param {number} value */
function text(value) {
  return value < 0 ? `(${value})` : String(value);
}

/**
 * @param {ts.Expression} node
 * @param {ReadonlyMap<string, number>} values of the constants above
 * @returns {number | undefined}
 */
function valueOf(node, values) {
  if (ts.isParenthesizedExpression(node)) return valueOf(node.expression, values);
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (ts.isIdentifier(node)) return values.get(node.text);
  if (ts.isPrefixUnaryExpression(node)) {
    const value = valueOf(node.operand, values);
    if (value === undefined) return undefined;
    if (node.operator === ts.SyntaxKind.MinusToken) return -value;
    return node.operator === ts.SyntaxKind.TildeToken ? ~value : undefined;
  }
  if (!ts.isBinaryExpression(node)) return undefined;
  const a = valueOf(node.left, values);
  const b = valueOf(node.right, values);
  if (a === undefined || b === undefined) return undefined;
  switch (node.operatorToken.kind) {
    case ts.SyntaxKind.PlusToken:
      return a + b;
    case ts.SyntaxKind.MinusToken:
      return a - b;
    case ts.SyntaxKind.AsteriskToken:
      return a * b;
    case ts.SyntaxKind.BarToken:
      return a | b;
    case ts.SyntaxKind.LessThanLessThanToken:
      return a << b;
    default:
      return undefined;
  }
}

/** @param {ts.Identifier} node */
function isChanged(node) {
  const { parent } = node;
  if (ts.isPrefixUnaryExpression(parent)) {
    return (
      parent.operator === ts.SyntaxKind.PlusPlusToken || parent.operator === ts.SyntaxKind.MinusMinusToken
    );
  }
  if (ts.isPostfixUnaryExpression(parent)) return true;
  return isAssignment(parent) && parent.left === node;
}

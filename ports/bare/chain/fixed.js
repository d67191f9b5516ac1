/**
 * The firmware chain: in a closed script, a member that nothing is ever put into is what it begins with.
 *
 * The seams between the components are such members: `this.filter = null`, and where no firewall comes along nobody gives it
 * another value. What is asked of it goes, and with that what the answer led to.
 */
import ts from "typescript";
import { isAssignment, isPure, parse, rewritten, walk } from "./syntax.js";

const { factory, SyntaxKind } = ts;

/**
 * Runs once members carry their classes' names: all writes to a member can be seen then.
 *
 * @param {string} code
 * @param {ReadonlySet<string>} kept names of members that others write
 */
export function withoutFixed(code, kept) {
  for (let round = 0; round < 4; round++) {
    const file = parse(code);
    const fixed = fixedMembers(file, kept);
    if (fixed.size === 0) break;
    const text = rewritten(file, (node, deeper) => {
      const isRead = ts.isPropertyAccessExpression(node) && !isTarget(node) && isPure(node.expression);
      const value = isRead ? fixed.get(node.name.text) : undefined;
      return value === undefined ? folded(deeper(node)) : constant(value);
    });
    if (text === code) break;
    code = text;
  }
  return code;
}

/**
 * The members of one class of which each write is of the same constant, and that the class's constructor makes.
 *
 * @param {ts.SourceFile} file
 * @param {ReadonlySet<string>} kept
 */
function fixedMembers(file, kept) {
  /** @type {Map<string, string>} */
  const values = new Map();
  const others = new Set(kept);
  walk(file, (node) => {
    if (ts.isPropertyAccessExpression(node)) {
      const name = node.name.text;
      // Only a class's member is there before anybody can ask: what may be absent (`Q_`) is not.
      if (!/\$(?!Q_)[A-Z]/.test(name)) return;
      const { parent } = node;
      if (isAssignment(parent) && parent.left === node) {
        const text = parent.right.getText(file);
        const isFirst = isMaking(parent);
        const isSame = parent.operatorToken.kind === SyntaxKind.EqualsToken && CONSTANT.test(text);
        if (!isSame || (values.get(name) ?? text) !== text) others.add(name);
        else if (isFirst) values.set(name, text);
        else others.add(name);
      } else if (isTarget(node)) others.add(name);
    } else if (ts.isClassElement(node) || ts.isObjectLiteralElement(node) || ts.isBindingElement(node)) {
      if (node.name && "text" in node.name) others.add(node.name.text);
    }
  });
  for (const name of others) values.delete(name);
  return values;
}

const CONSTANT = /^(null|true|false)$/;

/** `this.x = null;`, at the beginning of all. @param {ts.BinaryExpression} node */
function isMaking({ left, parent }) {
  return (
    ts.isPropertyAccessExpression(left) &&
    left.expression.kind === SyntaxKind.ThisKeyword &&
    ts.isExpressionStatement(parent) &&
    ts.isConstructorDeclaration(parent.parent.parent)
  );
}

/** @param {ts.PropertyAccessExpression} node */
function isTarget(node) {
  const { parent } = node;
  if (isAssignment(parent)) return parent.left === node;
  if (ts.isDeleteExpression(parent)) return true;
  const isUnary = ts.isPrefixUnaryExpression(parent) || ts.isPostfixUnaryExpression(parent);
  return isUnary && [SyntaxKind.PlusPlusToken, SyntaxKind.MinusMinusToken].includes(parent.operator);
}

/** @param {string} text */
function constant(text) {
  if (text === "null") return factory.createNull();
  return text === "true" ? factory.createTrue() : factory.createFalse();
}

/**
 * What a constant decides, is decided.
 *
 * @param {ts.Node} node
 * @returns {ts.Node}
 */
function folded(node) {
  if (ts.isParenthesizedExpression(node) && truth(node.expression) !== undefined) return node.expression;
  if (ts.isPrefixUnaryExpression(node) && node.operator === SyntaxKind.ExclamationToken) {
    const value = truth(node.operand);
    return value === undefined ? node : constant(String(!value));
  }
  if (ts.isConditionalExpression(node)) {
    const value = truth(node.condition);
    if (value !== undefined) return value ? node.whenTrue : node.whenFalse;
  }
  if (ts.isIfStatement(node)) {
    const value = truth(node.expression);
    if (value !== undefined)
      return value ? node.thenStatement : (node.elseStatement ?? factory.createEmptyStatement());
  }
  if (!ts.isBinaryExpression(node)) return node;
  const { left, right } = node;
  const value = truth(left);
  switch (node.operatorToken.kind) {
    case SyntaxKind.AmpersandAmpersandToken:
      if (value !== undefined) return value ? right : left;
      break;
    case SyntaxKind.BarBarToken:
      if (value !== undefined) return value ? left : right;
      break;
    case SyntaxKind.QuestionQuestionToken:
      if (left.kind === SyntaxKind.NullKeyword) return right;
      break;
    case SyntaxKind.EqualsEqualsEqualsToken:
      if (value !== undefined && truth(right) !== undefined)
        return constant(String(left.kind === right.kind));
      break;
    case SyntaxKind.ExclamationEqualsEqualsToken:
      if (value !== undefined && truth(right) !== undefined)
        return constant(String(left.kind !== right.kind));
  }
  return node;
}

/** @param {ts.Node} node @returns {boolean | undefined} */
function truth(node) {
  if (ts.isParenthesizedExpression(node)) return truth(node.expression);
  if (node.kind === SyntaxKind.TrueKeyword) return true;
  return node.kind === SyntaxKind.NullKeyword || node.kind === SyntaxKind.FalseKeyword ? false : undefined;
}

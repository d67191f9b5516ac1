/**
 * The firmware chain: in a closed script, a member that nothing is ever put into is what it begins with.
 *
 * The seams between the components are such members: `this.filter = null`, and where no firewall comes along nobody gives it
 * another value. What is asked of it goes, and with that what the answer led to.
 */
import ts from "typescript";
import { isAssignment, isMention, isPure, parse, rewritten, walk } from "./syntax.js";

const { factory, SyntaxKind } = ts;

/**
 * Runs once members carry their classes' names: all writes to a member can be seen then. The only object of a class may have
 * become variables (`x$v`) already.
 *
 * @param {string} code
 * @param {ReadonlySet<string>} kept names of members that others write
 */
export function withoutFixed(code, kept) {
  for (let round = 0; round < 4; round++) {
    const file = parse(code);
    const fixed = fixedMembers(file, kept);
    const empty = emptyLists(file, fixed);
    if (fixed.size === 0 && empty.size === 0) break;
    const text = rewritten(file, (node, deeper) => {
      if (isRead(node)) {
        const value = fixed.get(nameOf(node));
        if (value !== undefined && value !== "[]") return constant(value);
      }
      if (ts.isForStatement(node) && node.condition && isNever(node.condition, empty))
        return factory.createEmptyStatement();
      // What it is given to is not mentioned any more.
      if (isMember(node) && empty.has(node) && ts.isVariableDeclaration(node.parent))
        return factory.createVoidZero();
      if (ts.isForOfStatement(node) && empty.has(node.expression)) return factory.createEmptyStatement();
      if (ts.isPropertyAccessExpression(node) && empty.has(node.expression)) return constant("0");
      if (ts.isElementAccessExpression(node) && empty.has(node.expression)) return factory.createVoidZero();
      return folded(deeper(node));
    });
    if (text === code) break;
    code = text;
  }
  return code;
}

/** A field of an object, or the variable that it has become. @typedef {ts.PropertyAccessExpression | ts.Identifier} Member */

/** @param {ts.Node} node @returns {node is Member} */
function isMember(node) {
  if (ts.isPropertyAccessExpression(node)) return true;
  return ts.isIdentifier(node) && node.text.endsWith("$v") && isMention(node);
}

/** @param {ts.Node} node @returns {node is Member} */
function isRead(node) {
  return isMember(node) && !isTarget(node) && (ts.isIdentifier(node) || isPure(node.expression));
}

/** @param {Member} node */
function nameOf(node) {
  return ts.isIdentifier(node) ? node.text : node.name.text;
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
    if (isMember(node)) {
      const name = nameOf(node);
      // Only a class's member is there before anybody can ask: what may be absent (`Q_`) is not.
      if (!/\$(?!Q_)[A-Z]/.test(name)) return;
      const { parent } = node;
      if (isAssignment(parent) && parent.left === node) {
        const text = parent.right.getText(file);
        const isFirst = ts.isIdentifier(node) || isMaking(parent);
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

/**
 * The expressions that are a list into which nothing is ever put: nothing else happens to it than that its items are read.
 *
 * @param {ts.SourceFile} file
 * @param {ReadonlyMap<string, string>} fixed
 */
function emptyLists(file, fixed) {
  /** @type {Map<string, ts.Expression[]>} */
  const reads = new Map();
  const others = new Set();
  walk(file, (node) => {
    if (!isMember(node) || fixed.get(nameOf(node)) !== "[]" || isTarget(node)) return;
    const uses = isRead(node) ? usesOfList(node) : undefined;
    if (uses) reads.set(nameOf(node), [...(reads.get(nameOf(node)) ?? []), ...uses]);
    else others.add(nameOf(node));
  });
  return new Set([...reads].flatMap(([name, uses]) => (others.has(name) ? [] : uses)));
}

/**
 * A list itself, or the mentions of the constant that it is given to.
 *
 * @param {Member} node
 * @returns {ts.Expression[] | undefined} undefined: anything may happen to it
 */
function usesOfList(node) {
  if (isListRead(node)) return [node];
  const { parent } = node;
  if (!ts.isVariableDeclaration(parent) || !ts.isIdentifier(parent.name)) return undefined;
  const scope = parent.parent.parent.parent;
  if ((parent.parent.flags & ts.NodeFlags.Const) === 0 || !ts.isBlock(scope)) return undefined;
  // Those in inner functions as well.
  /** @type {ts.Identifier[]} */
  const uses = [];
  const { text } = parent.name;
  walk(scope, (each) => {
    if (ts.isIdentifier(each) && each.text === text && isMention(each)) uses.push(each);
  });
  return uses.every(isListRead) ? [...uses, node] : undefined;
}

/** @param {ts.Expression} node */
function isListRead(node) {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name.text === "length" && !isTarget(parent);
  if (ts.isForOfStatement(parent)) return parent.expression === node;
  if (!ts.isElementAccessExpression(parent) || parent.expression !== node) return false;
  return !isAssignment(parent.parent) || parent.parent.left !== parent;
}

/** `i < list.length`. @param {ts.Expression} node @param {ReadonlySet<ts.Node>} empty */
function isNever(node, empty) {
  if (!ts.isBinaryExpression(node) || node.operatorToken.kind !== SyntaxKind.LessThanToken) return false;
  return ts.isPropertyAccessExpression(node.right) && empty.has(node.right.expression);
}

const CONSTANT = /^(null|true|false|-?\d+|\[\])$/;

/** `this.x = null;`, at the beginning of all. @param {ts.BinaryExpression} node */
function isMaking({ left, parent }) {
  return (
    ts.isPropertyAccessExpression(left) &&
    left.expression.kind === SyntaxKind.ThisKeyword &&
    ts.isExpressionStatement(parent) &&
    ts.isConstructorDeclaration(parent.parent.parent)
  );
}

/** @param {Member} node */
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
  if (text === "true") return factory.createTrue();
  if (text === "false") return factory.createFalse();
  const number = factory.createNumericLiteral(text.replace("-", ""));
  return text.startsWith("-")
    ? factory.createParenthesizedExpression(
        factory.createPrefixUnaryExpression(SyntaxKind.MinusToken, number),
      )
    : number;
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
    case SyntaxKind.EqualsEqualsToken:
    case SyntaxKind.EqualsEqualsEqualsToken:
      if (literal(left) && literal(right)) return constant(String(literal(left) === literal(right)));
      break;
    case SyntaxKind.ExclamationEqualsToken:
    case SyntaxKind.ExclamationEqualsEqualsToken:
      if (literal(left) && literal(right)) return constant(String(literal(left) !== literal(right)));
  }
  return node;
}

/** @param {ts.Node} node @returns {boolean | undefined} */
function truth(node) {
  const text = literal(node);
  return text === undefined ? undefined : !/^(null|false|0)$/.test(text);
}

/** The text of a constant. @param {ts.Node} node @returns {string | undefined} */
function literal(node) {
  if (ts.isParenthesizedExpression(node)) return literal(node.expression);
  if (ts.isNumericLiteral(node)) return node.text;
  if (ts.isPrefixUnaryExpression(node) && node.operator === SyntaxKind.MinusToken) {
    return ts.isNumericLiteral(node.operand) ? `-${node.operand.text}` : undefined;
  }
  if (node.kind === SyntaxKind.TrueKeyword) return "true";
  if (node.kind === SyntaxKind.FalseKeyword) return "false";
  return node.kind === SyntaxKind.NullKeyword ? "null" : undefined;
}

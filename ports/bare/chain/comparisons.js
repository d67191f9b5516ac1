/**
 * The firmware chain: comparisons that the types make shorter, while TypeScript still knows them.
 *
 * `a === b` of two numbers is `a == b`. `n === 0` is `!n` where `n` is a number that the stack has made: what an application or
 * a host gives may be NaN, or nothing at all.
 */
import ts from "typescript";
import { walk } from "./syntax.js";

const { SyntaxKind, TypeFlags } = ts;

/**
 * @param {ts.SourceFile} source
 * @param {ts.TypeChecker} checker
 * @returns {import("./syntax.js").Edit[]}
 */
export function shortComparisons(source, checker) {
  /** @type {import("./syntax.js").Edit[]} */
  const edits = [];
  walk(source, (node) => {
    if (!ts.isBinaryExpression(node)) return;
    const { left, operatorToken, right } = node;
    const isEqual = operatorToken.kind === SyntaxKind.EqualsEqualsEqualsToken;
    if (!isEqual && operatorToken.kind !== SyntaxKind.ExclamationEqualsEqualsToken) return;
    const isZero = ts.isNumericLiteral(right) && right.text === "0" && isMade(left, checker, 3);
    const isNull = right.kind === SyntaxKind.NullKeyword && kindOf(left, checker) === "object";
    if (isZero || isNull) {
      const at = left.getStart(source);
      edits.push([at, at, isEqual ? "!(" : "!!("], [left.end, node.end, ")"]);
      return;
    }
    const kind = kindOf(left, checker);
    if (kind === undefined || kind !== kindOf(right, checker)) return;
    edits.push([operatorToken.getStart(source), operatorToken.end, isEqual ? "==" : "!="]);
  });
  return edits;
}

/**
 * What a value is, if it is of one kind: a number, a text, or an object or null.
 *
 * @param {ts.Expression} node
 * @param {ts.TypeChecker} checker
 */
function kindOf(node, checker) {
  const type = checker.getTypeAtLocation(node);
  const kinds = new Set((type.isUnion() ? type.types : [type]).map(kindOfType));
  return kinds.size === 1 ? [...kinds][0] : undefined;
}

/** @param {ts.Type} type */
function kindOfType({ flags }) {
  if (flags & TypeFlags.NumberLike) return "number";
  if (flags & TypeFlags.StringLike) return "string";
  return flags & (TypeFlags.Object | TypeFlags.Null) ? "object" : undefined;
}

const BITWISE = new Set([
  ...[
    SyntaxKind.AmpersandToken,
    SyntaxKind.BarToken,
    SyntaxKind.CaretToken,
    SyntaxKind.LessThanLessThanToken,
  ],
  ...[SyntaxKind.GreaterThanGreaterThanToken, SyntaxKind.GreaterThanGreaterThanGreaterThanToken],
]);
const ARITHMETIC = new Set([SyntaxKind.PlusToken, SyntaxKind.MinusToken, SyntaxKind.AsteriskToken]);

/**
 * Whether a number comes from the stack itself.
 *
 * @param {ts.Expression} node
 * @param {ts.TypeChecker} checker
 * @param {number} depth
 * @returns {boolean}
 */
function isMade(node, checker, depth) {
  if (depth < 0 || kindOf(node, checker) !== "number") return false;
  if (ts.isParenthesizedExpression(node)) return isMade(node.expression, checker, depth);
  if (ts.isNumericLiteral(node)) return true;
  if (ts.isPrefixUnaryExpression(node))
    return node.operator === SyntaxKind.TildeToken || isMade(node.operand, checker, depth);
  if (ts.isPostfixUnaryExpression(node)) return isMade(node.operand, checker, depth);
  if (ts.isBinaryExpression(node)) {
    const { kind } = node.operatorToken;
    if (BITWISE.has(kind)) return true;
    if (kind === SyntaxKind.EqualsToken) return isMade(node.right, checker, depth - 1);
    return ARITHMETIC.has(kind) && isMade(node.left, checker, depth) && isMade(node.right, checker, depth);
  }
  if (ts.isPropertyAccessExpression(node)) return isOwn(checker.getSymbolAtLocation(node.name));
  if (ts.isCallExpression(node)) {
    const { declaration } = checker.getResolvedSignature(node) ?? {};
    return declaration !== undefined && /\/stack\//.test(declaration.getSourceFile().fileName);
  }
  // An item of an array that is not there is no number.
  if (ts.isElementAccessExpression(node))
    return /^U?[Ii]nt\d+Array$/.test(checker.getTypeAtLocation(node.expression).symbol?.name ?? "");
  if (!ts.isIdentifier(node)) return false;
  const declaration = checker.getSymbolAtLocation(node)?.valueDeclaration;
  if (declaration === undefined) return false;
  if (ts.isParameter(declaration)) return ts.isFunctionDeclaration(declaration.parent);
  return (
    ts.isVariableDeclaration(declaration) &&
    declaration.initializer !== undefined &&
    isMade(declaration.initializer, checker, depth - 1)
  );
}

/** Whether a member is declared by the stack, of what is not the application's. @param {ts.Symbol | undefined} symbol */
function isOwn(symbol) {
  const declaration = symbol?.valueDeclaration;
  if (!declaration || !/\/stack\//.test(declaration.getSourceFile().fileName)) return false;
  return ts.isClassDeclaration(declaration.parent) || ts.isParameter(declaration);
}

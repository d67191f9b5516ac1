/** The firmware chain: what can be said of statements and expressions before one of them takes a function in. See inline.js. */
import ts from "typescript";
import { isAssignment, isUpdate, walk } from "./syntax.js";

/** Statements that can have something done before them. @param {ts.Node} node */
export function isPlainStatement(node) {
  return (
    ts.isExpressionStatement(node) ||
    ts.isReturnStatement(node) ||
    (ts.isVariableStatement(node) && node.declarationList.declarations.length > 0) ||
    ts.isIfStatement(node)
  );
}

/** @param {ts.Node} node @returns {node is ts.BinaryExpression & { readonly operatorToken: ts.Token<ts.LogicalOperator | ts.SyntaxKind.QuestionQuestionToken> }} */
export function isLogical(node) {
  if (!ts.isBinaryExpression(node)) return false;
  return [
    ts.SyntaxKind.AmpersandAmpersandToken,
    ts.SyntaxKind.BarBarToken,
    ts.SyntaxKind.QuestionQuestionToken,
  ].includes(node.operatorToken.kind);
}

/** @param {ts.Identifier} node */
export function isChanged(node) {
  const { parent } = node;
  return (isAssignment(parent) && parent.left === node) || isUpdate(parent);
}

/** Whether the variable that `use` mentions is `scope`'s and that is the function's own. @param {ts.Node} use @param {ts.Node} callee @param {ts.Node} scope */
export function isInner(use, callee, scope) {
  return (
    ts.findAncestor(scope, ts.isFunctionLike) === callee &&
    ts.findAncestor(use, (node) => node === scope) !== undefined
  );
}

/** Whether functions are made in it. @param {ts.FunctionDeclaration} callee */
export function hasFunctions(callee) {
  let found = false;
  walk(/** @type {ts.Block} */ (callee.body), (node) => (found ||= ts.isFunctionLike(node)));
  return found;
}

/** Whether a function or a class is declared in it. @param {ts.FunctionDeclaration} callee */
export function declaresInside(callee) {
  let found = false;
  walk(/** @type {ts.Block} */ (callee.body), (node) => {
    if (ts.isFunctionDeclaration(node) || ts.isClassLike(node)) found = true;
  });
  return found;
}

/** @param {ts.Node} root @returns {boolean} */
export function hasReturn(root) {
  if (ts.isReturnStatement(root)) return true;
  if (ts.isFunctionLike(root)) return false;
  return ts.forEachChild(root, (node) => hasReturn(node) || undefined) ?? false;
}

/** Whether whatever happens in it, it returns. @param {ts.Statement} statement @returns {boolean} */
export function returns(statement) {
  if (ts.isReturnStatement(statement)) return true;
  if (ts.isBlock(statement)) return statement.statements.some(returns);
  if (!ts.isIfStatement(statement) || !statement.elseStatement) return false;
  return returns(statement.thenStatement) && returns(statement.elseStatement);
}

/** @param {ts.Expression} node */
export function isConstant(node) {
  if (ts.isPrefixUnaryExpression(node)) return ts.isNumericLiteral(node.operand);
  return (
    ts.isLiteralExpression(node) ||
    [ts.SyntaxKind.NullKeyword, ts.SyntaxKind.TrueKeyword, ts.SyntaxKind.FalseKeyword].includes(node.kind)
  );
}

/** Whether a variable or a field gets another value in it. @param {ts.Node} root */
export function hasUpdate(root) {
  let found = false;
  walk(root, (node) => (found ||= isAssignment(node) || isUpdate(node)));
  return found;
}

/** @param {ts.Node} root @param {string} name */
export function mentionsName(root, name) {
  let found = false;
  walk(root, (node) => (found ||= ts.isIdentifier(node) && node.text === name));
  return found;
}

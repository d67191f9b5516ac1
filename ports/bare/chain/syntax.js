/** The firmware chain: texts, their syntax trees, and edits. */
import ts from "typescript";

/**
 * @param {string} code
 * @param {string} [name]
 */
export function parse(code, name = "chunk.js") {
  if (last.text !== code || last.fileName !== name)
    last = ts.createSourceFile(name, code, ts.ScriptTarget.ESNext, true);
  return last;
}

/** Several steps ask for the tree of one text, and none changes it. */
let last = ts.createSourceFile("", "", ts.ScriptTarget.ESNext, true);

/**
 * @param {ts.Node} node
 * @param {(node: ts.Node) => void} visit
 */
export function walk(node, visit) {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

/** @typedef {[start: number, end: number, text: string]} Edit */

/**
 * The text `code[from..to)` with those edits that lie in it.
 *
 * @param {string} code
 * @param {readonly Edit[]} edits in order
 */
export function edited(code, edits, from = 0, to = code.length) {
  let out = "";
  let at = from;
  for (const [start, end, text] of edits) {
    if (start < at || end > to) continue;
    out += code.slice(at, start) + text;
    at = end;
  }
  return out + code.slice(at, to);
}

/**
 * The mentions of `this` that mean the one of the function `root`.
 *
 * @param {ts.Node} root
 * @returns {ts.Node[]}
 */
export function thisOf(root) {
  /** @type {ts.Node[]} */
  const found = [];
  const visit = (/** @type {ts.Node} */ node) => {
    if (node.kind === ts.SyntaxKind.ThisKeyword) found.push(node);
    if (!ts.isFunctionDeclaration(node) && !ts.isFunctionExpression(node) && !ts.isClassLike(node)) {
      ts.forEachChild(node, visit);
    }
  };
  ts.forEachChild(root, visit);
  return found;
}

/**
 * The script after `visit` has replaced what it wants; what it does not want it hands to `deeper`.
 *
 * @param {ts.SourceFile} file
 * @param {(node: ts.Node, deeper: (node: ts.Node) => ts.Node) => ts.VisitResult<ts.Node | undefined>} visit
 */
export function rewritten(file, visit) {
  const { transformed } = ts.transform(file, [
    (context) => (root) => {
      /** @type {(node: ts.Node) => ts.VisitResult<ts.Node | undefined>} */
      const each = (node) => visit(node, (inner) => ts.visitEachChild(inner, each, context));
      return /** @type {ts.SourceFile} */ (ts.visitEachChild(root, each, context));
    },
  ]);
  return ts.createPrinter().printFile(transformed[0]);
}

/**
 * The statements of the whole script: rollup puts them into one function.
 *
 * @param {ts.SourceFile} file
 * @returns {ts.Node} the function's body, or the file
 */
export function containerOf(file) {
  /** @type {ts.Node} */
  let found = file;
  for (const statement of file.statements) {
    const value = ts.isVariableStatement(statement)
      ? statement.declarationList.declarations[0].initializer
      : ts.isExpressionStatement(statement)
        ? statement.expression
        : undefined;
    if (!value || !ts.isCallExpression(value)) continue;
    const callee = ts.isParenthesizedExpression(value.expression)
      ? value.expression.expression
      : value.expression;
    if (ts.isFunctionExpression(callee)) found = callee.body;
  }
  return found;
}

/**
 * Whether an identifier is a variable's, rather than the name of a member or a declaration.
 *
 * @param {ts.Identifier} node
 */
export function isMention(node) {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  return (
    /** @type {ts.NamedDeclaration} */ (parent).name !== node || ts.isShorthandPropertyAssignment(parent)
  );
}

/**
 * The mentions of the variables that `root` itself declares, by their names.
 *
 * @param {ts.Node} root
 */
export function mentionsIn(root) {
  /** @type {Map<string, ts.Identifier[]>} */
  const mentions = new Map();
  /** @type {Set<string>[]} */
  const scopes = [];
  const visit = (/** @type {ts.Node} */ node) => {
    const names = node === root ? new Set() : declaredBy(node);
    if (names.size > 0) scopes.push(names);
    if (ts.isIdentifier(node) && isMention(node) && !scopes.some((scope) => scope.has(node.text))) {
      const list = mentions.get(node.text);
      if (list) list.push(node);
      else mentions.set(node.text, [node]);
    }
    ts.forEachChild(node, visit);
    if (names.size > 0) scopes.pop();
  };
  visit(root);
  return mentions;
}

/**
 * The names that `node` declares for what is inside of it. (In the sources no variable is a `var`.)
 *
 * @param {ts.Node} node
 * @returns {Set<string>}
 */
export function declaredBy(node) {
  /** @type {Set<string>} */
  const names = new Set();
  const add = (/** @type {ts.Node | undefined} */ name) => {
    if (name && ts.isIdentifier(name)) names.add(name.text);
  };
  const list = (/** @type {ts.Node | undefined} */ declarations) => {
    if (declarations && ts.isVariableDeclarationList(declarations))
      declarations.declarations.forEach(({ name }) => add(name));
  };
  if (ts.isFunctionLike(node)) {
    node.parameters.forEach(({ name }) => add(name));
    if (ts.isFunctionExpression(node)) add(node.name);
  } else if (ts.isBlock(node) || ts.isCaseBlock(node)) {
    const statements = ts.isBlock(node)
      ? node.statements
      : node.clauses.flatMap((clause) => [...clause.statements]);
    for (const statement of statements) {
      if (ts.isVariableStatement(statement)) list(statement.declarationList);
      else if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) add(statement.name);
    }
  } else if (ts.isForStatement(node) || ts.isForInStatement(node) || ts.isForOfStatement(node))
    list(node.initializer);
  else if (ts.isCatchClause(node)) add(node.variableDeclaration?.name);
  return names;
}

/**
 * @param {ts.Node} node
 * @returns {node is ts.AssignmentExpression<ts.AssignmentOperatorToken>}
 */
export function isAssignment(node) {
  if (!ts.isBinaryExpression(node)) return false;
  const { kind } = node.operatorToken;
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment;
}

/** `x++`, `--x`. @param {ts.Node} node @returns {node is ts.PrefixUnaryExpression | ts.PostfixUnaryExpression} */
export function isUpdate(node) {
  return (
    ts.isPostfixUnaryExpression(node) ||
    (ts.isPrefixUnaryExpression(node) &&
      (node.operator === ts.SyntaxKind.PlusPlusToken || node.operator === ts.SyntaxKind.MinusMinusToken))
  );
}

/**
 * Whether an expression can go when nobody wants its value. No property of ours is a getter.
 *
 * @param {ts.Expression} node
 * @returns {boolean}
 */
export function isPure(node) {
  if (ts.isParenthesizedExpression(node)) return isPure(node.expression);
  if (ts.isPropertyAccessExpression(node)) return isPure(node.expression);
  if (ts.isPrefixUnaryExpression(node)) {
    const { operator } = node;
    return (
      operator !== ts.SyntaxKind.PlusPlusToken &&
      operator !== ts.SyntaxKind.MinusMinusToken &&
      isPure(node.operand)
    );
  }
  if (ts.isVoidExpression(node)) return isPure(node.expression);
  if (ts.isConditionalExpression(node)) return [node.condition, node.whenTrue, node.whenFalse].every(isPure);
  if (ts.isBinaryExpression(node)) {
    const { left, right } = node;
    return !isAssignment(node) && isPure(left) && isPure(right);
  }
  if (ts.isArrayLiteralExpression(node)) return node.elements.every(isPure);
  if (ts.isObjectLiteralExpression(node)) return node.properties.length === 0;
  if (ts.isElementAccessExpression(node)) return isPure(node.expression) && isPure(node.argumentExpression);
  return (
    ts.isIdentifier(node) ||
    ts.isLiteralExpression(node) ||
    ts.isArrowFunction(node) ||
    ts.isFunctionExpression(node) ||
    [
      ts.SyntaxKind.ThisKeyword,
      ts.SyntaxKind.NullKeyword,
      ts.SyntaxKind.TrueKeyword,
      ts.SyntaxKind.FalseKeyword,
    ].includes(node.kind)
  );
}

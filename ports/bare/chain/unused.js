/**
 * The firmware chain: in a closed script, what nobody reads goes.
 *
 * Fields that are only written (the counters that the application does not ask for are of them), parameters that the function
 * does not mention or that are the same in all calls, options that the application does not give. Terser does this to
 * variables; it does not know who calls a function from where, nor which objects a field's name belongs to.
 */
import ts from "typescript";
import {
  containerOf,
  isAssignment,
  isMention,
  isPure,
  isUpdate,
  mentionsIn,
  parse,
  rewritten,
  walk,
} from "./syntax.js";

const { factory, SyntaxKind } = ts;

/**
 * @param {string} code
 * @param {ReadonlySet<string>} kept names of members that others read
 */
export function withoutUnused(code, kept) {
  for (let round = 0; round < 6; round++) {
    const before = code;
    code = withoutFields(code, kept);
    code = withoutParameters(code);
    code = withoutOptions(code);
    if (code === before) break;
  }
  return code;
}

/* Fields */

/**
 * @param {string} code
 * @param {ReadonlySet<string>} kept
 */
function withoutFields(code, kept) {
  const file = parse(code);
  const read = new Set(kept);
  /** @type {Set<string>} */
  const written = new Set();
  let enumerates = false;
  walk(file, (node) => {
    if (ts.isForInStatement(node)) enumerates = true;
    if (ts.isPropertyAccessExpression(node))
      (isWritten(node) || isFilled(node) ? written : read).add(node.name.text);
    else if (isVariable(node)) (isWritten(node) || isFilled(node) ? written : read).add(node.text);
    else if (ts.isClassElement(node) || ts.isObjectLiteralElement(node) || ts.isBindingElement(node)) {
      if (node.name && "text" in node.name) read.add(node.name.text);
    } else if (
      ts.isStringLiteral(node) &&
      (ts.isElementAccessExpression(node.parent) || ts.isBinaryExpression(node.parent))
    ) {
      read.add(node.text);
    }
  });
  // Somebody lists what is in an object.
  if (enumerates) return code;
  const dead = new Set([...written].filter((name) => !read.has(name)));
  if (dead.size === 0) return code;
  const isDead = (/** @type {ts.Node} */ node) =>
    (ts.isPropertyAccessExpression(node) && dead.has(node.name.text)) ||
    (ts.isIdentifier(node) && dead.has(node.text));
  return rewritten(file, (node, deeper) => {
    if (ts.isExpressionStatement(node)) {
      const { expression } = node;
      // The object it was to be a field of is an expression without effects: see `isWritten`.
      if (isUpdate(expression) && isDead(expression.operand)) return factory.createEmptyStatement();
      const filled = filledBy(expression);
      if (filled && isDead(filled)) return factory.createEmptyStatement();
      if (isAssignment(expression) && isDead(expression.left)) {
        return isPure(expression.right) || isNewCounters(expression.right)
          ? factory.createEmptyStatement()
          : factory.createExpressionStatement(
              /** @type {ts.Expression} */ (deeperOf(expression.right, deeper)),
            );
      }
    }
    if (isAssignment(node) && isDead(node.left)) {
      return factory.createParenthesizedExpression(
        /** @type {ts.Expression} */ (deeperOf(node.right, deeper)),
      );
    }
    return deeper(node);
  });

  /** @param {ts.Expression} node @param {(node: ts.Node) => ts.Node} deeper */
  function deeperOf(node, deeper) {
    // An assignment inside of an assignment.
    if (isAssignment(node) && isDead(node.left)) return deeperOf(node.right, deeper);
    return deeper(node);
  }
}

/** @param {ts.Expression} node */
function isNewCounters(node) {
  return ts.isNewExpression(node) && /Counters/.test(node.expression.getText()) && !node.arguments?.length;
}

/** A variable that has been a field of the only object of its class: see single.js. @param {ts.Node} node @returns {node is ts.Identifier} */
function isVariable(node) {
  return ts.isIdentifier(node) && node.text.endsWith("$v") && isMention(node);
}

/**
 * The field that holds an object or a list into which a statement puts what nobody may ever ask for: `x.counters.ip = counters`,
 * `x.list.push(each)`.
 *
 * @param {ts.Expression} expression a statement's
 * @returns {ts.Expression | undefined}
 */
function filledBy(expression) {
  if (ts.isCallExpression(expression) && ts.isPropertyAccessExpression(expression.expression)) {
    const { expression: list, name } = expression.expression;
    return name.text === "push" && expression.arguments.every(isPure) ? list : undefined;
  }
  if (!ts.isBinaryExpression(expression) || expression.operatorToken.kind !== SyntaxKind.EqualsToken)
    return undefined;
  const { left, right } = expression;
  return ts.isPropertyAccessExpression(left) && isPure(right) && isPure(left.expression)
    ? left.expression
    : undefined;
}

/** @param {ts.PropertyAccessExpression | ts.Identifier} node */
function isFilled(node) {
  if (ts.isPropertyAccessExpression(node) && !isPure(node.expression)) return false;
  const statement = ts.findAncestor(node, ts.isExpressionStatement);
  return statement !== undefined && filledBy(statement.expression) === node;
}

/**
 * Whether a field is only written here.
 *
 * @param {ts.PropertyAccessExpression | ts.Identifier} node
 */
function isWritten(node) {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(node)) {
    if (!isPure(node.expression) || node.expression.getText() === "exports") return false;
  }
  if (isUpdate(parent)) return ts.isExpressionStatement(parent.parent);
  if (!isAssignment(parent) || parent.left !== node) return false;
  if (parent.operatorToken.kind === SyntaxKind.EqualsToken) return true;
  return ts.isExpressionStatement(parent.parent) && isPure(parent.right);
}

/* Parameters */

/**
 * Functions and constructors whose calls are all known, by name.
 *
 * @param {ts.SourceFile} file
 * @returns {{ name: string, parameters: readonly ts.ParameterDeclaration[], body: ts.Block, calls: (ts.CallExpression | ts.NewExpression)[] }[]}
 */
function knownFunctions(file) {
  const container = containerOf(file);
  const mentions = mentionsIn(container);
  /** @type {ReturnType<typeof knownFunctions>} */
  const found = [];
  if (!ts.isBlock(container)) return found;
  for (const statement of container.statements) {
    if (!ts.isFunctionDeclaration(statement) && !ts.isClassDeclaration(statement)) continue;
    const name = statement.name?.text ?? "";
    const uses = mentions.get(name) ?? [];
    if (ts.isFunctionDeclaration(statement)) {
      if (!statement.body) continue;
      const calls = uses.flatMap(({ parent }, i) =>
        ts.isCallExpression(parent) && parent.expression === uses[i] ? [parent] : [],
      );
      if (calls.length === uses.length)
        found.push({ name, parameters: statement.parameters, body: statement.body, calls });
    } else if (!statement.heritageClauses) {
      const made = statement.members.find(ts.isConstructorDeclaration);
      const calls = uses.flatMap(({ parent }) => (ts.isNewExpression(parent) ? [parent] : []));
      const isHidden = uses.every(
        ({ parent }) =>
          ts.isNewExpression(parent) ||
          (ts.isBinaryExpression(parent) && parent.operatorToken.kind === SyntaxKind.InstanceOfKeyword) ||
          ts.isPropertyAccessExpression(parent),
      );
      if (made?.body && isHidden) found.push({ name, parameters: made.parameters, body: made.body, calls });
    }
  }
  return found;
}

/** @param {string} code */
function withoutParameters(code) {
  const file = parse(code);
  /** By the parameter: the argument that all calls give, undefined where none does. @type {Map<ts.ParameterDeclaration, ts.Expression | undefined>} */
  const constant = new Map();
  /** Mentions of a parameter that is a constant. @type {Map<ts.Node, ts.Expression>} */
  const replaced = new Map();
  /** @type {Map<ts.Node, Set<number>>} */
  const dropped = new Map();
  for (const { parameters, body, calls } of knownFunctions(file)) {
    if (calls.some((call) => call.arguments?.some(ts.isSpreadElement))) continue;
    parameters.forEach((parameter, i) => {
      if (!ts.isIdentifier(parameter.name)) return;
      const values = calls.map((call) => call.arguments?.[i]);
      if (!values.every((value) => value === undefined || isPure(value))) return;
      const { text } = parameter.name;
      const isMentioned =
        mentions(body, text) ||
        parameters.some((each) => each.initializer && mentions(each.initializer, text));
      if (isMentioned) {
        const [first] = values;
        const isSame = values.every(
          (value) => (value && isConstant(value) ? value.getText() : undefined) === first?.getText(),
        );
        const isNone = values.every((value) => value === undefined);
        if (values.length === 0 || !(isNone || (isSame && first)) || isChanged(body, text)) return;
        // Later parameters' defaults may mention it.
        if (
          parameters.some(
            (each) => each.initializer && each !== parameter && mentions(each.initializer, text),
          )
        )
          return;
        const value = isNone ? parameter.initializer : first;
        constant.set(parameter, value);
        const uses = mentionsIn(body.parent).get(text) ?? [];
        if (value && isPlain(value) && !uses.some((use) => ts.isShorthandPropertyAssignment(use.parent)))
          for (const use of uses) replaced.set(use, value);
      } else if (parameter.initializer && !isPure(parameter.initializer)) return;
      else constant.set(parameter, undefined);
      for (const call of calls) dropped.set(call, (dropped.get(call) ?? new Set()).add(i));
    });
  }
  if (constant.size === 0) return code;
  return rewritten(file, (node, deeper) => {
    const value = replaced.get(node);
    if (value)
      return ts.isPrefixUnaryExpression(value) ? factory.createParenthesizedExpression(value) : value;
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      const gone = dropped.get(node);
      const done = /** @type {ts.CallExpression | ts.NewExpression} */ (deeper(node));
      if (!gone) return done;
      const list = (done.arguments ?? []).filter((_, i) => !gone.has(i));
      return ts.isCallExpression(done)
        ? factory.updateCallExpression(done, done.expression, undefined, list)
        : factory.updateNewExpression(
            /** @type {ts.NewExpression} */ (done),
            done.expression,
            undefined,
            list,
          );
    }
    if (
      (ts.isFunctionDeclaration(node) || ts.isConstructorDeclaration(node)) &&
      node.parameters.some((each) => constant.has(each))
    ) {
      const done = /** @type {typeof node} */ (deeper(node));
      const parameters = done.parameters.filter((_, i) => !constant.has(node.parameters[i]));
      const locals = node.parameters
        .filter((each) => constant.has(each) && remains(node.body, each.name.getText()))
        .map((each) => {
          const value = constant.get(each) ?? factory.createVoidZero();
          const declaration = factory.createVariableDeclaration(
            each.name.getText(),
            undefined,
            undefined,
            value,
          );
          return factory.createVariableStatement(
            undefined,
            factory.createVariableDeclarationList([declaration], ts.NodeFlags.Const),
          );
        });
      const body = factory.createBlock([...locals, ...(done.body?.statements ?? [])], true);
      return ts.isFunctionDeclaration(done)
        ? factory.updateFunctionDeclaration(
            done,
            undefined,
            undefined,
            done.name,
            undefined,
            parameters,
            undefined,
            body,
          )
        : factory.updateConstructorDeclaration(
            /** @type {ts.ConstructorDeclaration} */ (done),
            undefined,
            parameters,
            body,
          );
    }
    return deeper(node);
  });

  /** @param {ts.Node | undefined} root @param {string} name */
  function remains(root, name) {
    let found = false;
    if (root)
      walk(root, (node) => {
        if (ts.isIdentifier(node) && node.text === name && isMention(node) && !replaced.has(node))
          found = true;
      });
    return found;
  }
}

/** A constant that is no longer than a name. @param {ts.Expression} node */
function isPlain(node) {
  return isConstant(node) && !ts.isObjectLiteralExpression(node) && !ts.isStringLiteral(node);
}

/** @param {ts.Node | undefined} root @param {string} name */
function mentions(root, name) {
  let found = false;
  if (root) walk(root, (node) => (found ||= ts.isIdentifier(node) && node.text === name && isMention(node)));
  return found;
}

/** Whether a variable gets another value. @param {ts.Node} root @param {string} name */
function isChanged(root, name) {
  let found = false;
  walk(root, (node) => {
    const target = isAssignment(node) ? node.left : isUpdate(node) ? node.operand : undefined;
    if (target && ts.isIdentifier(target) && target.text === name) found = true;
    if (/** @type {ts.NamedDeclaration} */ (node).name?.getText() === name && ts.isVariableDeclaration(node))
      found = true;
  });
  return found;
}

/** What means the same wherever it stands. @param {ts.Expression} node */
function isConstant(node) {
  if (ts.isObjectLiteralExpression(node)) return node.properties.length === 0;
  if (ts.isPrefixUnaryExpression(node)) return ts.isNumericLiteral(node.operand);
  if (ts.isVoidExpression(node)) return true;
  return (
    ts.isLiteralExpression(node) ||
    [SyntaxKind.TrueKeyword, SyntaxKind.FalseKeyword, SyntaxKind.NullKeyword].includes(node.kind)
  );
}

/* Options */

/**
 * Of `const options = {}` nothing has been given: `options.ttl` is undefined. Where it is handed on, it is handed on empty, if
 * all that happens to it there is that it is read.
 *
 * @param {string} code
 */
function withoutOptions(code) {
  const file = parse(code);
  const functions = new Map(knownFunctions(file).map((each) => [each.name, each]));
  /** @type {Set<ts.Node>} */
  const reads = new Set();
  /** @type {Set<ts.Node>} */
  const handed = new Set();
  walk(file, (node) => {
    if (!ts.isVariableDeclaration(node) || !node.initializer || !ts.isIdentifier(node.name)) return;
    if (!ts.isObjectLiteralExpression(node.initializer) || node.initializer.properties.length > 0) return;
    const block = node.parent.parent.parent;
    if (!ts.isBlock(block)) return;
    const uses = usesOf(block, node.name.text);
    if (uses.length === 0 || !uses.every((use) => isOnlyRead(use, functions, []))) return;
    for (const use of uses) {
      if (ts.isPropertyAccessExpression(use.parent)) reads.add(use.parent);
      else handed.add(use);
    }
  });
  if (reads.size + handed.size === 0) return code;
  return rewritten(file, (node, deeper) => {
    if (reads.has(node)) return factory.createVoidZero();
    if (handed.has(node)) return factory.createObjectLiteralExpression();
    return deeper(node);
  });
}

/** @param {ts.Node} root @param {string} name */
function usesOf(root, name) {
  /** @type {ts.Identifier[]} */
  const uses = [];
  walk(root, (node) => {
    if (ts.isIdentifier(node) && node.text === name && isMention(node)) uses.push(node);
  });
  return uses;
}

/**
 * Whether an object is only asked for its fields: here, or by the function that it is handed to.
 *
 * @param {ts.Identifier} use
 * @param {ReadonlyMap<string, ReturnType<typeof knownFunctions>[number]>} functions
 * @param {readonly ts.Node[]} above functions that have handed it on, against going round
 * @returns {boolean}
 */
function isOnlyRead(use, functions, above) {
  const { parent } = use;
  if (ts.isPropertyAccessExpression(parent)) return !isAssigned(parent);
  if ((!ts.isCallExpression(parent) && !ts.isNewExpression(parent)) || parent.expression === use)
    return false;
  const callee = functions.get(parent.expression.getText());
  const parameter = callee?.parameters[parent.arguments?.indexOf(use) ?? -1];
  if (!callee?.calls.includes(parent) || !parameter || above.includes(callee.body)) return false;
  const uses = usesOf(callee.body, parameter.name.getText());
  return uses.every((each) => isOnlyRead(each, functions, [...above, callee.body]));
}

/** @param {ts.Expression} node */
function isAssigned(node) {
  const { parent } = node;
  if (isUpdate(parent)) return true;
  if (ts.isCallExpression(parent)) return parent.expression === node;
  return isAssignment(parent) && parent.left === node;
}

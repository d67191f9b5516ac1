/**
 * The firmware chain: a function that is called at one place alone stands at that place.
 *
 * Terser does this by a function expression that is called at once, unless the function is one expression: a frame, a closure
 * at each call, and the text of both. Here a call becomes a block. Where the function returns from inside of a loop, and the call
 * is neither a `return` itself nor the last that its function does, it stays: the way out would be a label, which not all engines know.
 */
import ts from "typescript";
import {
  declaresInside,
  hasFunctions,
  hasReturn,
  hasUpdate,
  isChanged,
  isConstant,
  isInner,
  isLogical,
  isPlainStatement,
  mentionsName,
  returns,
} from "./statements.js";
import {
  containerOf,
  declaredBy,
  edited,
  isAssignment,
  isUpdate,
  mentionsIn,
  parse,
  walk,
} from "./syntax.js";

/** @typedef {import("./syntax.js").Edit} Edit */

/**
 * @param {string} code before it is lowered: each block has its own variables
 */
export function inlineOnce(code) {
  for (let round = 0; round < 20; round++) {
    const text = inlined(code, round);
    if (text === code) break;
    code = text;
  }
  return code;
}

/**
 * @param {string} code
 * @param {number} round
 */
function inlined(code, round) {
  const file = parse(code);
  const container = containerOf(file);
  if (!ts.isBlock(container)) return code;
  const mentions = mentionsIn(container);
  const top = new Set(
    container.statements.flatMap((each) =>
      ts.isFunctionDeclaration(each) && each.name ? [each.name.text] : [],
    ),
  );
  /** What goes, and what takes it in: not the same in one round. @type {Set<ts.Node>} */
  const gone = new Set();
  /** @type {Set<ts.Node>} */
  const hosts = new Set();
  /** @type {Edit[]} */
  const edits = [];
  for (const callee of container.statements) {
    if (!ts.isFunctionDeclaration(callee) || !callee.name || hosts.has(callee)) continue;
    const [mention, ...others] = mentions.get(callee.name.text) ?? [];
    if (!mention || others.length > 0) continue;
    const call = mention.parent;
    if (!ts.isCallExpression(call) || call.expression !== mention) continue;
    const host = outermost(call, container);
    if (host === callee || gone.has(host)) continue;
    const site = new Site(file, callee, call, top, `$${round}_${edits.length}`);
    const edit = site.edit();
    if (!edit || edits.some(([start, end]) => edit[0] < end && start < edit[1])) continue;
    hosts.add(host);
    edits.push(edit);
    if (site.isOpened) continue;
    gone.add(callee);
    edits.push([callee.getStart(file), callee.end, ""]);
  }
  return edited(
    code,
    edits.sort((a, b) => a[0] - b[0]),
  );
}

/**
 * The statement of the script that `node` is in.
 *
 * @param {ts.Node} node
 * @param {ts.Node} container
 */
function outermost(node, container) {
  while (node.parent !== container) node = node.parent;
  return node;
}

/**
 * Whether the function that `statement` is in ends with it, and says nothing by that.
 *
 * @param {ts.Statement} statement
 */
function isLast(statement) {
  /** @type {ts.Node} */
  let node = statement;
  for (;;) {
    const { parent } = node;
    if (ts.isBlock(parent)) {
      if (parent.statements.at(-1) !== node) return false;
    } else if (!ts.isIfStatement(parent))
      return ts.isFunctionDeclaration(parent) || ts.isMethodDeclaration(parent);
    node = parent;
  }
}

/** A call, and the function that is to stand in its place. */
class Site {
  /**
   * @param {ts.SourceFile} file
   * @param {ts.FunctionDeclaration} callee
   * @param {ts.CallExpression} call
   * @param {ReadonlySet<string>} top names of functions that nothing changes
   * @param {string} suffix makes the names of variables new ones
   */
  constructor(file, callee, call, top, suffix) {
    this.file = file;
    this.code = file.text;
    this.callee = callee;
    this.call = call;
    this.top = top;
    this.suffix = suffix;
    this.body = /** @type {ts.Block} */ (callee.body);
    // No variable of the sources begins like that.
    this.value = `$value${suffix}`;
    /** Edits of the body: its variables have new names. @type {Edit[]} */
    this.renames = [];
    /** The call stays for now, and its statement is in parts. */
    this.isOpened = false;
  }

  /** @returns {Edit | null} null: it stays */
  edit() {
    const { call, file } = this;
    const statement = /** @type {ts.Statement | undefined} */ (ts.findAncestor(call, isPlainStatement));
    if (!statement || !this.isReachedFrom(statement)) return null;
    if (hasFunctions(this.callee) && ts.findAncestor(call, (node) => ts.isIterationStatement(node, false)))
      return null;
    if (this.isHidden() || declaresInside(this.callee)) return null;
    const known = this.parameters();
    if (known === null) return null;
    // For test/size/functions.ts.
    const parameters = `/* ${this.callee.name?.text} */ ${known}`;
    const at = /** @type {const} */ ([statement.getStart(file), statement.end]);

    if (ts.isReturnStatement(statement) && statement.expression === call) {
      const last = this.body.statements.at(-1);
      const end = last && ts.isReturnStatement(last) ? "" : "return;";
      const text = this.body.statements.map((each) => this.text(each)).join("\n");
      return [...at, `{ ${parameters}${text}\n${end} }`];
    }
    if (ts.isExpressionStatement(statement) && statement.expression === call) {
      const text =
        this.tail([...this.body.statements], (value) => (value ? `${value};` : "")) ??
        (isLast(statement) ? this.ending() : null);
      return text === null ? null : [...at, `{ ${parameters}${text} }`];
    }
    const declaration = ts.isVariableStatement(statement)
      ? statement.declarationList.declarations[0]
      : undefined;
    // In a block inside of the function TypeScript would make a variable undefined first: there may be a loop around it.
    const isOuter = ts.isFunctionLike(statement.parent.parent);
    if (declaration && declaration.initializer === call && ts.isVariableStatement(statement) && isOuter) {
      if (statement.declarationList.declarations.length > 1 || !ts.isIdentifier(declaration.name))
        return null;
      const { text } = declaration.name;
      const body = this.tail([...this.body.statements], (value) => (value ? `${text} = ${value};` : ""));
      return body === null ? null : [...at, `let ${text}; { ${parameters}${body} }`];
    }
    const assignment = ts.isExpressionStatement(statement) ? statement.expression : undefined;
    if (
      assignment &&
      isAssignment(assignment) &&
      assignment.right === call &&
      this.isFresh(assignment.left)
    ) {
      const { text } = /** @type {ts.Identifier} */ (assignment.left);
      if (assignment.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
        const body = this.tail([...this.body.statements], (value) => `${text} = ${value ?? "void 0"};`);
        return body === null ? null : [...at, `{ ${parameters}${body} }`];
      }
    }
    const body = this.tail([...this.body.statements], (value) => `${this.value} = ${value ?? "void 0"};`);
    if (body === null) return null;
    const block = `{ ${parameters}${body} }`;
    const hoisted = this.hoist(statement, block) ?? this.open(statement);
    return hoisted === null ? null : [...at, hoisted];
  }

  /**
   * The statement with the value of the block in place of the call.
   *
   * @param {ts.Statement} statement
   * @param {string} block
   * @returns {string | null}
   */
  hoist(statement, block) {
    const { call, code, file, value } = this;
    const first = ts.isVariableStatement(statement)
      ? statement.declarationList.declarations[0].initializer
      : /** @type {ts.ExpressionStatement} */ (statement).expression;
    if (!first || call.pos < first.pos || call.end > first.end) return null;
    const start = statement.getStart(file);
    // `if (a && f()) ...` is `if (a) if (f()) ...`.
    if (ts.isIfStatement(statement) && !statement.elseStatement) {
      const test = statement.expression;
      if (isLogical(test) && test.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken) {
        if (test.right.pos <= call.pos && this.isFirst(call, test.right)) {
          const inner =
            code.slice(test.right.pos, call.getStart(file)) + value + code.slice(call.end, test.right.end);
          const then = code.slice(statement.thenStatement.pos, statement.thenStatement.end);
          return `if (${code.slice(test.left.pos, test.left.end)}) { var ${value}; ${block} if (${inner}) ${then} }`;
        }
      }
    }
    if (!this.isFirst(call, first)) return null;
    const rest = code.slice(start, call.getStart(file)) + value + code.slice(call.end, statement.end);
    const text = `var ${value}; ${block} ${rest}`;
    return ts.isVariableStatement(statement) ? text : `{ ${text} }`;
  }

  /**
   * A statement that calls on a condition, as an `if` that calls.
   *
   * @param {ts.Statement} statement
   * @returns {string | null}
   */
  open(statement) {
    const { call, file, value } = this;
    const isIf = ts.isIfStatement(statement);
    const declaration = ts.isVariableStatement(statement)
      ? statement.declarationList.declarations[0]
      : undefined;
    if (ts.isVariableStatement(statement) && statement.declarationList.declarations.length > 1) return null;
    /** @type {ts.Expression | undefined} */
    let root = declaration
      ? declaration.initializer
      : /** @type {ts.ExpressionStatement} */ (statement).expression;
    let put = (/** @type {string} */ text) => `${text};`;
    let begin = "";
    let end = "";
    if (declaration) {
      if (!ts.isIdentifier(declaration.name)) return null;
      const name = declaration.name.text;
      begin = `let ${name};`;
      put = (text) => `${name} = ${text};`;
    } else if (ts.isReturnStatement(statement)) put = (text) => `return ${text};`;
    else if (isIf) {
      begin = `var ${value};`;
      put = (text) => `${value} = ${text};`;
      const otherwise = statement.elseStatement ? ` else ${statement.elseStatement.getText(file)}` : "";
      end = `if (${value}) ${statement.thenStatement.getText(file)}${otherwise}`;
    } else if (root && isAssignment(root)) {
      const { left, operatorToken } = root;
      if (operatorToken.kind !== ts.SyntaxKind.EqualsToken || !ts.isIdentifier(left)) return null;
      put = (text) => `${left.text} = ${text};`;
      root = root.right;
      // It gets the left side's value before the right side is asked.
      if (isLogical(root) && (!this.isLocal(left.text) || mentionsName(root, left.text))) return null;
    }
    if (!root || call.pos < root.pos || call.end > root.end) return null;
    const has = (/** @type {ts.Node} */ node) => node.pos <= call.pos && call.end <= node.end;
    let text;
    if (ts.isConditionalExpression(root) && !has(root.condition)) {
      const [yes, no] = [root.whenTrue.getText(file), root.whenFalse.getText(file)];
      text = `if (${root.condition.getText(file)}) { ${put(yes)} } else { ${put(no)} }`;
    } else if (
      isLogical(root) &&
      has(root.right) &&
      root.operatorToken.kind !== ts.SyntaxKind.QuestionQuestionToken
    ) {
      const isAnd = root.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken;
      const [left, right] = [root.left.getText(file), root.right.getText(file)];
      if (ts.isExpressionStatement(statement) && statement.expression === root)
        text = `if (${isAnd ? left : `!(${left})`}) { ${put(right)} }`;
      else {
        const own = ts.isReturnStatement(statement) ? value : "";
        const set = own ? (/** @type {string} */ it) => `${own} = ${it};` : put;
        const name = set("").split(" ")[0];
        const test = isAnd ? name : `!${name}`;
        text = `${own ? `var ${own}; ` : ""}${set(left)} if (${test}) { ${set(right)} } ${own ? `return ${own};` : ""}`;
      }
    } else return null;
    this.isOpened = true;
    const all = `${begin} ${text} ${end}`;
    return declaration ? all : `{ ${all} }`;
  }

  /**
   * Whether nothing is done before `call` when `root` is evaluated, save what the call cannot change.
   *
   * @param {ts.Expression} call
   * @param {ts.Expression} root
   */
  isFirst(call, root) {
    /** @type {ts.Node} */
    let node = call;
    for (; node !== root; node = node.parent) {
      const { parent } = node;
      if (ts.isParenthesizedExpression(parent)) continue;
      if (ts.isPrefixUnaryExpression(parent)) {
        if (isUpdate(parent)) return false;
        continue;
      }
      if (ts.isPropertyAccessExpression(parent)) {
        if (parent.questionDotToken) return false;
        continue;
      }
      if (ts.isElementAccessExpression(parent)) {
        if (node === parent.expression || this.isStable(parent.expression)) continue;
        return false;
      }
      if (ts.isBinaryExpression(parent)) {
        if (node === parent.left) {
          if (isAssignment(parent)) return false;
          continue;
        }
        if (isLogical(parent)) return false;
        if (isAssignment(parent)) {
          if (parent.operatorToken.kind !== ts.SyntaxKind.EqualsToken) return false;
          const { left } = parent;
          if (ts.isIdentifier(left)) continue;
          if (ts.isPropertyAccessExpression(left) && this.isStable(left.expression)) continue;
          return false;
        }
        if (this.isStable(parent.left)) continue;
        return false;
      }
      if (ts.isConditionalExpression(parent) && node === parent.condition) continue;
      if (ts.isCallExpression(parent) || ts.isNewExpression(parent)) {
        if (node === parent.expression) continue;
        const isKnown =
          ts.isIdentifier(parent.expression) &&
          (this.top.has(parent.expression.text) || ts.isNewExpression(parent));
        const before = (parent.arguments ?? []).slice(
          0,
          parent.arguments?.indexOf(/** @type {ts.Expression} */ (node)),
        );
        if (isKnown && before.every((each) => this.isStable(each))) continue;
        return false;
      }
      return false;
    }
    return true;
  }

  /**
   * Whether a call of another function of the script cannot change what `node` is.
   *
   * @param {ts.Expression} node
   * @returns {boolean}
   */
  isStable(node) {
    if (ts.isParenthesizedExpression(node)) return this.isStable(node.expression);
    if (ts.isBinaryExpression(node))
      return !isAssignment(node) && !isLogical(node) && this.isStable(node.left) && this.isStable(node.right);
    if (ts.isPrefixUnaryExpression(node)) {
      const { operand } = node;
      return !isUpdate(node) && this.isStable(operand);
    }
    if (ts.isIdentifier(node)) return this.isLocal(node.text) || this.top.has(node.text);
    return (
      ts.isLiteralExpression(node) ||
      [
        ts.SyntaxKind.ThisKeyword,
        ts.SyntaxKind.NullKeyword,
        ts.SyntaxKind.TrueKeyword,
        ts.SyntaxKind.FalseKeyword,
      ].includes(node.kind)
    );
  }

  /** Whether a variable of the calling function has this name, and no function inside of that changes it. @param {string} name */
  isLocal(name) {
    for (let node = this.call.parent; !ts.isSourceFile(node); node = node.parent) {
      if (node === this.callee.parent) return false;
      if (!declaredBy(node).has(name)) continue;
      return !(mentionsIn(node).get(name) ?? []).some(
        (each) =>
          isChanged(each) &&
          ts.findAncestor(each, ts.isFunctionLike) !== ts.findAncestor(this.call, ts.isFunctionLike),
      );
    }
    return false;
  }

  /** Whether it is a variable of the calling function that the call is not given. @param {ts.Expression} node */
  isFresh(node) {
    if (!ts.isIdentifier(node) || !this.isLocal(node.text)) return false;
    return !this.call.arguments.some((each) => mentionsName(each, node.text));
  }

  /** @param {ts.Statement} statement */
  isReachedFrom(statement) {
    for (let node = this.call.parent; node !== statement; node = node.parent) {
      if (!node || ts.isFunctionLike(node) || ts.isStatement(node)) return false;
    }
    return true;
  }

  /** Whether a name that the function uses means something else where it is called. */
  isHidden() {
    const free = new Set(mentionsIn(this.callee).keys());
    for (const { name } of this.callee.parameters) free.delete(name.getText());
    for (let node = this.call.parent; node !== this.callee.parent; node = node.parent) {
      for (const name of declaredBy(node)) if (free.has(name)) return true;
    }
    return false;
  }

  /**
   * Declares what the function's parameters are, and gives its variables new names.
   *
   * @returns {string | null}
   */
  parameters() {
    const { call, callee, file, suffix } = this;
    const own = mentionsIn(callee);
    let text = "";
    if (call.arguments.length > callee.parameters.length || call.questionDotToken) return null;
    for (const [i, parameter] of callee.parameters.entries()) {
      if (!ts.isIdentifier(parameter.name)) return null;
      const name = parameter.name.text;
      const uses = own.get(name) ?? [];
      const value = /** @type {ts.Expression | undefined} */ (call.arguments[i]);
      if (parameter.initializer && (value || !isConstant(parameter.initializer))) return null;
      const isSame = value && !uses.some(isChanged) && this.isSubstitute(value, uses);
      if (isSame) for (const use of uses) this.rename(use, value.getText(file));
      else {
        for (const use of uses) this.rename(use, name + suffix);
        const first = value ?? parameter.initializer;
        text += first ? `let ${name}${suffix} = ${first.getText(file)}; ` : `let ${name}${suffix}; `;
      }
    }
    walk(this.body, (node) => {
      if (ts.isFunctionLike(node)) return;
      for (const name of declaredBy(node)) {
        for (const use of mentionsIn(node).get(name) ?? []) {
          if (isInner(use, this.callee, node)) this.rename(use, name + suffix);
        }
      }
      const declared = /** @type {ts.NamedDeclaration} */ (node).name;
      const isVariable = ts.isVariableDeclaration(node) || ts.isFunctionDeclaration(node);
      if (
        isVariable &&
        declared &&
        ts.isIdentifier(declared) &&
        ts.findAncestor(node.parent, ts.isFunctionLike) === callee
      )
        this.renames.push([declared.getStart(file), declared.end, declared.text + suffix]);
    });
    const byPlace = new Map(this.renames.map((each) => [each[0], each]));
    this.renames = [...byPlace.values()].sort((a, b) => a[0] - b[0]);
    return text;
  }

  /**
   * Whether an argument can stand wherever the parameter stood.
   *
   * @param {ts.Expression} value
   * @param {ts.Identifier[]} uses
   */
  isSubstitute(value, uses) {
    const isCaught = uses.some((use) => ts.findAncestor(use, ts.isFunctionLike) !== this.callee);
    if (ts.isIdentifier(value)) {
      // In a function inside of it the name may be another's; and another argument may change the variable.
      return !isCaught && this.isLocal(value.text) && !this.call.arguments.some(hasUpdate);
    }
    if (value.kind === ts.SyntaxKind.ThisKeyword) return !isCaught;
    return (
      ts.isNumericLiteral(value) ||
      [ts.SyntaxKind.NullKeyword, ts.SyntaxKind.TrueKeyword, ts.SyntaxKind.FalseKeyword].includes(value.kind)
    );
  }

  /** @param {ts.Identifier} use @param {string} text */
  rename(use, text) {
    const isShort = ts.isShorthandPropertyAssignment(use.parent);
    this.renames.push([use.getStart(this.file), use.end, isShort ? `${use.text}: ${text}` : text]);
  }

  /** @param {ts.Node} node */
  text(node) {
    return edited(this.code, this.renames, node.getStart(this.file), node.end);
  }

  /**
   * Statements without their returns, if each of these ends all of it.
   *
   * @param {ts.Statement[]} statements
   * @param {(value: string | undefined) => string} sink what is done with the value
   * @returns {string | null}
   */
  tail(statements, sink) {
    const [statement, ...rest] = statements;
    if (!statement) return sink(undefined);
    if (ts.isReturnStatement(statement))
      return sink(statement.expression && `(${this.text(statement.expression)})`);
    if (!hasReturn(statement)) {
      const after = this.tail(rest, sink);
      return after === null ? null : `${this.text(statement)}\n${after}`;
    }
    if (ts.isBlock(statement)) return this.tail([...statement.statements, ...rest], sink);
    if (ts.isIterationStatement(statement, false)) return this.loop(statement, rest, sink);
    if (!ts.isIfStatement(statement)) return null;
    const { thenStatement: then, elseStatement: otherwise } = statement;
    const others = otherwise ? [otherwise] : [];
    let yes;
    let no;
    if (returns(then)) {
      yes = this.tail([then], sink);
      no = this.tail([...others, ...rest], sink);
    } else if (otherwise && returns(otherwise)) {
      yes = this.tail([then, ...rest], sink);
      no = this.tail(others, sink);
    } else if (rest.length === 0) {
      yes = this.tail([then], sink);
      no = this.tail(others, sink);
    }
    if (typeof yes !== "string" || typeof no !== "string") return null;
    return `if (${this.text(statement.expression)}) { ${yes} }${no ? ` else { ${no} }` : ""}`;
  }

  /** The statements where nothing comes after them: what ends the function ends its caller, which returns nothing. */
  ending() {
    /** @type {Edit[]} */
    const texts = [];
    walk(this.body, (node) => {
      if (!ts.isReturnStatement(node) || !node.expression) return;
      if (ts.findAncestor(node, ts.isFunctionLike) !== this.callee) return;
      texts.push([node.getStart(this.file), node.end, `{ ${this.text(node.expression)}; return; }`]);
    });
    const edits = [...texts, ...this.renames].sort((a, b) => a[0] - b[0] || b[1] - a[1]);
    const { statements } = this.body;
    return edited(this.code, edits, statements.pos, statements.end);
  }

  /**
   * A loop that is left by returning, and what is returned when it ends: that is the value until something else is.
   *
   * @param {ts.IterationStatement} loop
   * @param {ts.Statement[]} rest
   * @param {(value: string | undefined) => string} sink
   */
  loop(loop, rest, sink) {
    const [end, ...none] = rest;
    if (none.length > 0 || (end && !ts.isReturnStatement(end))) return null;
    const last = end && ts.isReturnStatement(end) ? end.expression : undefined;
    if (last && !isConstant(last)) return null;
    /** @type {ts.ReturnStatement[]} */
    const found = [];
    let isDeep = false;
    const visit = (/** @type {ts.Node} */ node, /** @type {boolean} */ deep) => {
      if (ts.isFunctionLike(node)) return;
      if (ts.isReturnStatement(node)) {
        found.push(node);
        isDeep ||= deep;
      }
      const inner = deep || ts.isSwitchStatement(node) || ts.isIterationStatement(node, false);
      ts.forEachChild(node, (child) => visit(child, inner));
    };
    ts.forEachChild(loop, (child) => visit(child, false));
    if (isDeep) return null;
    const texts = found.map(
      (each) =>
        /** @type {Edit} */ ([
          each.getStart(this.file),
          each.end,
          `{ ${sink(each.expression && `(${this.text(each.expression)})`)} break; }`,
        ]),
    );
    const edits = [...texts, ...this.renames].sort((a, b) => a[0] - b[0] || b[1] - a[1]);
    return sink(last?.getText(this.file)) + edited(this.code, edits, loop.getStart(this.file), loop.end);
  }
}

/**
 * The firmware chain: what exists once needs no object.
 *
 * A firmware has one stack, and with it one of each component. Where a script makes an object of a class at one place, and
 * comes by there once, its fields become variables and its methods functions without a receiver: `stack.host.time` is `time`.
 * The proof is in the syntax (`Once`): what it does not cover stays an object. Whoever calls an exported function that makes
 * such an object a second time, while the first stack is not closed, gets an `Error`.
 */
import ts from "typescript";
import { containerOf, isPure, mentionsIn, parse, rewritten, thisOf, walk } from "./syntax.js";

const { factory } = ts;

/**
 * @param {string} code
 * @param {ReadonlySet<string>} kept names of members that stay
 */
export function singleInstances(code, kept) {
  const file = parse(code);
  const once = new Once(file);
  const members = new Members(file, kept);
  if (once.classes.size === 0) return code;

  /** Of the methods that become functions: their classes. @type {Map<string, ts.ClassDeclaration>} */
  const methods = new Map();
  /** @type {Set<string>} */
  const fields = new Set();
  for (const declaration of once.classes) {
    for (const name of members.methodsOf(declaration)) methods.set(name, declaration);
    for (const name of members.fieldsOf(declaration)) fields.add(name);
  }
  /** Classes whose methods need the object itself. @type {Set<ts.ClassDeclaration>} */
  const needed = new Set();
  for (const declaration of once.classes) {
    for (const member of declaration.members) {
      if (!isMoved(member, methods)) continue;
      if (thisOf(member).some((node) => !isOfMember(node, methods, fields))) needed.add(declaration);
    }
  }
  const itself = (/** @type {ts.ClassDeclaration} */ owner) => `${owner.name?.text}$it`;
  /** @type {ts.ClassDeclaration | undefined} */
  let inside;
  const container = containerOf(file);

  /** @type {Parameters<typeof rewritten>[1]} */
  const visit = (node, deeper) => {
    if (node === container) {
      const body = /** @type {ts.Block} */ (deeper(node));
      const names = [
        ...[...fields].map(variable),
        ...[...needed].map(itself),
        ...(once.roots.size > 0 ? ["made$"] : []),
      ];
      const variables = factory.createVariableStatement(
        undefined,
        factory.createVariableDeclarationList(
          names.map((name) => factory.createVariableDeclaration(name)),
          ts.NodeFlags.Let,
        ),
      );
      return factory.updateBlock(body, [variables, ...body.statements]);
    }
    if (ts.isClassDeclaration(node) && once.classes.has(node)) {
      const functions = node.members
        .filter((member) => isMoved(member, methods))
        .map((member) => {
          const method = /** @type {ts.MethodDeclaration} */ (member);
          inside = node;
          const parameters = method.parameters.map(
            (each) => /** @type {ts.ParameterDeclaration} */ (visit(each, deeper)),
          );
          const body = /** @type {ts.Block} */ (visit(/** @type {ts.Block} */ (method.body), deeper));
          inside = undefined;
          const name = `${/** @type {ts.Identifier} */ (method.name).text}$of`;
          return factory.createFunctionDeclaration(
            undefined,
            undefined,
            name,
            undefined,
            parameters,
            undefined,
            body,
          );
        });
      const members = node.members
        .filter((member) => !isMoved(member, methods))
        .map((member) => /** @type {ts.ClassElement} */ (visit(member, deeper)));
      if (needed.has(node)) {
        const at = members.findIndex(ts.isConstructorDeclaration);
        const own = factory.createExpressionStatement(
          factory.createAssignment(factory.createIdentifier(itself(node)), factory.createThis()),
        );
        const old = /** @type {ts.ConstructorDeclaration | undefined} */ (members[at]);
        const body = factory.createBlock([own, ...(old?.body?.statements ?? [])], true);
        const made = factory.createConstructorDeclaration(undefined, old?.parameters ?? [], body);
        if (at < 0) members.unshift(made);
        else members[at] = made;
      }
      return [
        factory.updateClassDeclaration(
          node,
          node.modifiers,
          node.name,
          undefined,
          node.heritageClauses,
          members,
        ),
        ...functions,
      ];
    }
    if (ts.isFunctionDeclaration(node) && once.roots.has(node)) {
      const done = /** @type {ts.FunctionDeclaration} */ (deeper(node));
      const check = factory.createExpressionStatement(factory.createIdentifier(GUARD));
      const body = factory.createBlock([check, ...(done.body?.statements ?? [])], true);
      return factory.updateFunctionDeclaration(
        done,
        done.modifiers,
        undefined,
        done.name,
        undefined,
        done.parameters,
        undefined,
        body,
      );
    }
    if (
      ts.isCallExpression(node) &&
      ts.isPropertyAccessExpression(node.expression) &&
      methods.has(node.expression.name.text)
    ) {
      const list = node.arguments.map((each) => /** @type {ts.Expression} */ (visit(each, deeper)));
      return factory.createCallExpression(
        factory.createIdentifier(`${node.expression.name.text}$of`),
        undefined,
        list,
      );
    }
    if (ts.isPropertyAccessExpression(node) && fields.has(node.name.text))
      return factory.createIdentifier(variable(node.name.text));
    if (node.kind === ts.SyntaxKind.ThisKeyword && inside) return factory.createIdentifier(itself(inside));
    if (
      inside &&
      (ts.isFunctionExpression(node) ||
        ts.isFunctionDeclaration(node) ||
        (ts.isMethodDeclaration(node) && ts.isObjectLiteralExpression(node.parent)))
    ) {
      const outer = inside;
      inside = undefined;
      const result = deeper(node);
      inside = outer;
      return result;
    }
    return deeper(node);
  };
  const closed = fields.has("closed$Stack") ? ` && !${variable("closed$Stack")}` : "";
  const guard = `if (made$${closed}) throw new Error("EBUSY: one stack"); made$ = true;`;
  return rewritten(file, visit).replaceAll(`${GUARD};`, guard);
}

/** Stands where a second stack is refused. */
const GUARD = "guard$";

const variable = (/** @type {string} */ field) => `${field}$v`;

/**
 * @param {ts.Node} member
 * @param {ReadonlyMap<string, ts.ClassDeclaration>} methods
 */
function isMoved(member, methods) {
  return (
    ts.isMethodDeclaration(member) &&
    ts.isIdentifier(member.name) &&
    methods.get(member.name.text) === member.parent
  );
}

/**
 * Whether `node` stands only before the name of a member that will need it no more.
 *
 * @param {ts.Node} node
 * @param {ReadonlyMap<string, unknown>} methods
 * @param {ReadonlySet<string>} fields
 */
function isOfMember({ parent }, methods, fields) {
  return (
    ts.isPropertyAccessExpression(parent) && (methods.has(parent.name.text) || fields.has(parent.name.text))
  );
}

/** Which fields may become variables, and which methods functions. */
class Members {
  /** @param {ts.SourceFile} file @param {ReadonlySet<string>} kept */
  constructor(file, kept) {
    /** Names that something else has, or that are used in another way. */
    this.others = new Set(kept);
    /** How often a method of the name is declared. @type {Map<string, number>} */
    this.methods = new Map();
    /** Names that are used otherwise than as `x.m()`. @type {Set<string>} */
    this.values = new Set();
    /** Names that are called. @type {Set<string>} */
    this.called = new Set();
    /** How many classes make a field of the name. @type {Map<string, number>} */
    this.makers = new Map();
    walk(file, (node) => {
      if (!ts.isClassDeclaration(node)) return;
      for (const name of madeBy(node)) this.makers.set(name, (this.makers.get(name) ?? 0) + 1);
    });
    walk(file, (node) => {
      if (ts.isPropertyAccessExpression(node)) {
        const name = node.name.text;
        if (!isPure(node.expression) || hasQuestion(node)) this.others.add(name);
        if (ts.isDeleteExpression(node.parent)) this.others.add(name);
        const isCall = ts.isCallExpression(node.parent) && node.parent.expression === node;
        if (isCall && node.parent.questionDotToken) this.others.add(name);
        if (!isCall) this.values.add(name);
        // A function in a field may be called for its object: `this`.
        else this.called.add(name);
      } else if (
        ts.isMethodDeclaration(node) &&
        ts.isClassDeclaration(node.parent) &&
        ts.isIdentifier(node.name)
      ) {
        this.methods.set(node.name.text, (this.methods.get(node.name.text) ?? 0) + 1);
        if (node.modifiers) this.others.add(node.name.text);
      } else if (ts.isClassElement(node) || ts.isObjectLiteralElement(node) || ts.isBindingElement(node)) {
        if (node.name && "text" in node.name) this.others.add(node.name.text);
      }
    });
  }

  /** @param {ts.ClassDeclaration} declaration */
  methodsOf(declaration) {
    return declaration.members.flatMap(({ name }) =>
      name &&
      ts.isIdentifier(name) &&
      this.methods.get(name.text) === 1 &&
      !this.others.has(name.text) &&
      !this.values.has(name.text)
        ? [name.text]
        : [],
    );
  }

  /** Those that the class alone can have: marked with its name. @param {ts.ClassDeclaration} declaration */
  fieldsOf(declaration) {
    return [...madeBy(declaration)].filter(
      (name) =>
        /\$(?!Q_)[A-Z]/.test(name) &&
        this.makers.get(name) === 1 &&
        !this.called.has(name) &&
        !this.others.has(name) &&
        !this.methods.has(name),
    );
  }
}

/** The fields that a class's constructor makes. @param {ts.ClassDeclaration} declaration */
function madeBy(declaration) {
  /** @type {Set<string>} */
  const names = new Set();
  const made = declaration.members.find(ts.isConstructorDeclaration);
  if (!made?.body) return names;
  walk(made.body, (node) => {
    if (!ts.isPropertyAccessExpression(node) || node.expression.kind !== ts.SyntaxKind.ThisKeyword) return;
    const isAssigned = ts.isBinaryExpression(node.parent) && node.parent.left === node;
    if (isAssigned && node.parent.operatorToken.kind === ts.SyntaxKind.EqualsToken) names.add(node.name.text);
  });
  return names;
}

/** @param {ts.PropertyAccessExpression} node */
function hasQuestion(node) {
  /** @type {ts.Expression} */
  let each = node;
  for (; ts.isPropertyAccessExpression(each); each = each.expression) if (each.questionDotToken) return true;
  return false;
}

/** Which places a script comes by once, if each exported function is called once; and so, of which classes it makes one object. */
class Once {
  /** @param {ts.SourceFile} file */
  constructor(file) {
    this.container = containerOf(file);
    this.mentions = mentionsIn(this.container);
    /** @type {Set<ts.ClassDeclaration>} */
    this.classes = new Set();
    /** Exported functions in which objects are made that must be alone. @type {Set<ts.FunctionDeclaration>} */
    this.roots = new Set();
    /** @type {Map<string, ts.Node[]>} */
    this.calls = new Map();
    let enumerates = false;
    /** @type {ts.ClassDeclaration[]} */
    const candidates = [];
    walk(file, (node) => {
      if (ts.isForInStatement(node)) enumerates = true;
      if (ts.isClassDeclaration(node) && node.name && !node.heritageClauses) candidates.push(node);
      if (ts.isPropertyAccessExpression(node))
        this.calls.set(node.name.text, [...(this.calls.get(node.name.text) ?? []), node]);
    });
    // A class may stand in the constructor of one that is found later.
    for (let before = -1; before < this.classes.size;) {
      before = this.classes.size;
      for (const declaration of candidates) {
        const name = declaration.name?.text ?? "";
        // Counters are told by their names where something enumerates.
        if (this.classes.has(declaration) || (enumerates && /Counters/.test(name))) continue;
        const made = (this.mentions.get(name) ?? []).filter(({ parent }) => ts.isNewExpression(parent));
        const uses = (this.mentions.get(name) ?? []).filter((node) => !isQuestion(node));
        /** @type {Set<ts.FunctionDeclaration>} */
        const roots = new Set();
        if (made.length !== 1 || uses.length !== 1 || !this.isOnce(made[0], roots, new Set())) continue;
        this.classes.add(declaration);
        for (const root of roots) this.roots.add(root);
      }
    }
  }

  /**
   * @param {ts.Node} place
   * @param {Set<ts.FunctionDeclaration>} roots takes the exported functions that the answer depends on
   * @param {Set<ts.Node>} visited
   * @returns {boolean}
   */
  isOnce(place, roots, visited) {
    for (let node = place.parent; node !== this.container; node = node.parent) {
      if (!node || visited.has(node)) return false;
      if (ts.isIterationStatement(node, false) || ts.isArrowFunction(node) || ts.isFunctionExpression(node))
        return false;
      if (ts.isConstructorDeclaration(node))
        return this.classes.has(/** @type {ts.ClassDeclaration} */ (node.parent));
      visited.add(node);
      if (ts.isMethodDeclaration(node)) return this.isMethodOnce(node, roots, visited);
      if (ts.isFunctionDeclaration(node)) {
        if (node.parent !== this.container || !node.name) return false;
        const [mention, ...others] = this.mentions.get(node.name.text) ?? [];
        if (!mention || others.length > 0) return false;
        if (isExport(mention)) return roots.add(node) !== undefined;
        const { parent } = mention;
        return (
          ts.isCallExpression(parent) && parent.expression === mention && this.isOnce(parent, roots, visited)
        );
      }
      if (ts.isClassLike(node)) return false;
    }
    return true;
  }

  /**
   * The stack attaches and starts a component once; other methods must be called at one place.
   *
   * @param {ts.MethodDeclaration} node
   * @param {Set<ts.FunctionDeclaration>} roots
   * @param {Set<ts.Node>} visited
   */
  isMethodOnce(node, roots, visited) {
    if (!ts.isClassDeclaration(node.parent) || !this.classes.has(node.parent) || !ts.isIdentifier(node.name))
      return false;
    const isComponent = node.parent.members.some(({ name }) => name?.getText() === "attach");
    if (isComponent && /^(attach|start)$/.test(node.name.text)) return true;
    const [call, ...others] = this.calls.get(node.name.text) ?? [];
    if (!call || others.length > 0 || !ts.isCallExpression(call.parent) || call.parent.expression !== call)
      return false;
    return this.isOnce(call, roots, visited);
  }
}

/** `x instanceof C`, or C as what `stack.component(C)` looks for. @param {ts.Identifier} node */
function isQuestion({ parent }) {
  if (ts.isBinaryExpression(parent)) return parent.operatorToken.kind === ts.SyntaxKind.InstanceOfKeyword;
  return (
    ts.isCallExpression(parent) &&
    ts.isPropertyAccessExpression(parent.expression) &&
    parent.expression.name.text.startsWith("component")
  );
}

/** `exports.name = name` @param {ts.Identifier} node */
function isExport({ parent }) {
  return ts.isBinaryExpression(parent) && /^exports\.\w+$/.test(parent.left.getText());
}

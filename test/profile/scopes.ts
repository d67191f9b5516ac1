/**
 * Names and scopes of an ES5 script, as an engine without hoisting sees them.
 *
 * Espruino runs statements as it reads them: a `function` or `var` does not exist above its line, and a `var` in a branch
 * that was not taken does not exist at all. To MicroQuickJS a catch variable is one more variable of its function.
 */

/** A node of the syntax tree (ESTree); its fields depend on `type`. */
export type Node = any;

interface Scope {
  readonly parent: Scope | null;
  readonly names: Map<string, Declaration>;
  /** Names used in this function, or in one inside it, that are not its own. */
  readonly foreign: Node[];
  /** Its catch clauses. */
  readonly catches: Node[];
}

interface Declaration {
  /** Where the name comes into being. */
  readonly start: number;
  /** The statement outside of which a `var` may never have been run; null: it always is. */
  readonly branch: Node | null;
}

interface Problem {
  readonly node: Node;
  readonly message: string;
}

export interface Analysis {
  /** Names that are used where an engine without hoisting does not know them. */
  readonly problems: Problem[];
  /** Catch variables whose name the function needs for something else. */
  readonly catches: Problem[];
  /** References that nothing in the script declares. */
  readonly globals: Node[];
}

/** Walks a whole script. */
export function analyse(program: Node): Analysis {
  const result: Analysis = { problems: [], catches: [], globals: [] };
  new Walker(result).inFunction(program.body, [], null, true);
  return result;
}

class Walker {
  /** Scopes whose statements are being run at this point: the function's own, and those around an immediate call. */
  private running: Scope[] = [];
  private scope: Scope | null = null;

  constructor(private readonly result: Analysis) {}

  /**
   * @param body statements of a function
   * @param params its parameters
   * @param self its own name, for a named function expression
   * @param immediate it runs where it stands: the program, or a function that is called at once
   */
  inFunction(body: Node[], params: Node[], self: Node | null, immediate: boolean): void {
    const { scope: outer, running } = this;
    const scope: Scope = { parent: outer, names: new Map(), foreign: [], catches: [] };
    for (const known of self === null ? params : [self, ...params]) {
      scope.names.set(known.name, { start: known.start, branch: null });
    }
    for (const statement of body) declare(statement, scope, null, this.result.problems, true);
    this.scope = scope;
    this.running = immediate ? [...running, scope] : [scope];
    for (const statement of body) this.visit(statement);
    for (const clause of scope.catches) this.catchVariable(clause, scope);
    this.scope = outer;
    this.running = running;
  }

  private visit(node: Node): void {
    switch (node.type) {
      case "Identifier":
        return this.reference(node);
      case "FunctionDeclaration":
        return this.inFunction(node.body.body, node.params, null, false);
      case "FunctionExpression":
        return this.inFunction(node.body.body, node.params, node.id, false);
      case "CallExpression":
        for (const argument of node.arguments) this.visit(argument);
        if (node.callee.type === "FunctionExpression") {
          return this.inFunction(node.callee.body.body, node.callee.params, node.callee.id, true);
        }
        return this.visit(node.callee);
      case "VariableDeclarator":
        if (node.init) this.visit(node.init);
        return;
      case "MemberExpression":
        this.visit(node.object);
        if (node.computed) this.visit(node.property);
        return;
      case "Property":
        if (node.computed) this.visit(node.key);
        return this.visit(node.value);
      case "LabeledStatement":
        return this.visit(node.body);
      case "BreakStatement":
      case "ContinueStatement":
        return;
      case "CatchClause":
        this.scope!.catches.push(node);
        return this.visit(node.body);
    }
    for (const value of Object.values(node)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (typeof (child as Node)?.type === "string") this.visit(child);
      }
    }
  }

  private reference(node: Node): void {
    const { name, start } = node;
    let scope = this.scope;
    for (; scope !== null && !scope.names.has(name); scope = scope.parent) {
      if (scope.catches.some((clause) => clause.param.name === name && isInside(node, clause))) return;
      scope.foreign.push(node);
    }
    if (scope === null) {
      this.result.globals.push(node);
      return;
    }
    if (!this.running.includes(scope)) return;
    const { start: declared, branch } = scope.names.get(name)!;
    if (start < declared) this.result.problems.push({ node, message: `\`${name}\` is used above its line` });
    else if (branch !== null && !isInside(node, branch)) {
      this.result.problems.push({ node, message: `\`${name}\` is declared in a branch that may not run` });
    }
  }

  /** To an engine that knows no blocks, the variable of `clause` hides the name in all of the function. */
  private catchVariable(clause: Node, scope: Scope): void {
    const { name } = clause.param;
    if (scope.names.has(name) || scope.foreign.some((node) => node.name === name)) {
      this.result.catches.push({ node: clause, message: `the function has another \`${name}\`` });
    }
  }
}

function isInside(node: Node, around: Node): boolean {
  return node.start >= around.start && node.start < around.end;
}

/** Enters what `node` declares into `scope`: its `var`s and functions, not those of functions inside. */
function declare(
  node: Node,
  scope: Scope,
  branch: Node | null,
  problems: Problem[],
  outermost = false,
): void {
  if (node === null || typeof node.type !== "string") return;
  const inside = (child: Node, within: Node | null = branch) => declare(child, scope, within, problems);
  switch (node.type) {
    case "FunctionDeclaration":
      if (!outermost)
        problems.push({ node, message: `function \`${node.id.name}\` is declared inside a block` });
      return add(scope, node.id.name, { start: node.start, branch });
    case "VariableDeclaration":
      for (const { id } of node.declarations) add(scope, id.name, { start: id.start, branch });
      return;
    case "IfStatement":
      inside(node.consequent, node.consequent);
      return inside(node.alternate, node.alternate);
    case "ForStatement":
    case "ForInStatement":
      inside(node.type === "ForStatement" ? node.init : node.left);
      return inside(node.body, node.body);
    case "WhileStatement":
      return inside(node.body, node.body);
    case "SwitchStatement":
      for (const one of node.cases) for (const statement of one.consequent) inside(statement, one);
      return;
    case "CatchClause":
      return inside(node.body, node.body);
    case "BlockStatement":
    case "DoWhileStatement":
    case "LabeledStatement":
    case "TryStatement":
      for (const child of [node.body, node.block, node.handler, node.finalizer].flat())
        if (child) inside(child);
  }
}

function add(scope: Scope, name: string, declaration: Declaration): void {
  const known = scope.names.get(name);
  // The same name twice: the one that surely runs counts, or the first.
  if (known === undefined || (known.branch !== null && declaration.branch === null))
    scope.names.set(name, declaration);
}

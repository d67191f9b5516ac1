/**
 * The language profile on a finished ES5 script: a walk over its syntax tree.
 *
 * The sources have been checked with types (source.ts); this finds what the tools brought in: syntax that was not lowered,
 * a helper that calls `Object.assign`, a name used above its line, a catch variable that an engine cannot have.
 */
import { parseAst } from "rollup/parseAst";
import { GLOBALS, isTypedArray, LATE_METHODS, MEMBERS } from "./names.js";
import { analyse, type Node } from "./scopes.js";

export interface Finding {
  readonly rule: string;
  readonly message: string;
  /** The script's text at the place. */
  readonly excerpt: string;
}

/** The node types of ES5 (ESTree), without `with`, `debugger` and labels. */
const SYNTAX = new Set(
  (
    "Program FunctionDeclaration FunctionExpression VariableDeclaration VariableDeclarator ExpressionStatement " +
    "BlockStatement EmptyStatement ReturnStatement BreakStatement ContinueStatement IfStatement SwitchStatement " +
    "SwitchCase ThrowStatement TryStatement CatchClause WhileStatement DoWhileStatement ForStatement ForInStatement " +
    "ThisExpression ArrayExpression ObjectExpression Property UnaryExpression UpdateExpression BinaryExpression " +
    "AssignmentExpression LogicalExpression MemberExpression ConditionalExpression CallExpression NewExpression " +
    "SequenceExpression Identifier Literal"
  ).split(" "),
);
const LATE_OPERATORS = new Set(["**", "**=", "??", "??=", "||=", "&&="]);

/**
 * @param code a script
 * @param provided globals that the host gives it
 */
export function checkBundle(code: string, provided: readonly string[] = []): Finding[] {
  const findings: Finding[] = [];
  const report = (node: Node, rule: string, message: string) =>
    findings.push({ rule, message, excerpt: code.slice(node.start, node.end).slice(0, 60) });

  const tree = parseAst(code, { allowReturnOutsideFunction: true }) as unknown as Node;
  const own = new Set<string>();
  walk(tree, (node) => ownName(node, own));
  walk(tree, (node) => {
    syntax(node, report);
    library(node, own, report);
  });
  // Scopes are understood for ES5 alone.
  if (findings.some((finding) => finding.rule === "syntax")) return findings;
  const scopes = analyse(tree);
  for (const { node, message } of scopes.problems) report(node, "order", message);
  for (const { node, message } of scopes.catches) report(node, "catch", message);
  for (const node of scopes.globals) {
    if (!GLOBALS.has(node.name) && !provided.includes(node.name)) report(node, "global", `\`${node.name}\``);
  }
  return findings;
}

type Report = (node: Node, rule: string, message: string) => void;

function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const [key, value] of Object.entries(node)) {
    if (key.startsWith("_rollup")) continue; // The parser's own remarks, not syntax.
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child?.type === "string") walk(child, visit);
    }
  }
}

function syntax(node: Node, report: Report): void {
  if (!SYNTAX.has(node.type)) report(node, "syntax", node.type);
  else if (LATE_OPERATORS.has(node.operator)) report(node, "syntax", `operator ${node.operator}`);
  else if (node.type === "VariableDeclaration" && node.kind !== "var") report(node, "syntax", node.kind);
  else if (node.type === "CatchClause" && node.param === null)
    report(node, "syntax", "catch without a variable");
  else if (/^Function/.test(node.type) && (node.async || node.generator))
    report(node, "syntax", "async or generator");
  else if (node.type === "Property") {
    if (node.kind !== "init") report(node, "accessor", "getters and setters");
    else if (node.shorthand || node.method || node.computed)
      report(node, "syntax", "shorthand or computed property");
  } else if (node.type === "ArrayExpression" && node.elements.includes(null)) {
    report(node, "array-sparse", "an array with holes");
  } else if (node.type === "Literal") {
    if (node.regex) report(node, "regexp", "regular expressions");
    else if (node.bigint) report(node, "syntax", "BigInt");
    else if (/[^\0-\xff]/.test(String(node.value))) report(node, "character", "a character above 255");
  }
}

/** The name of a member expression, when it is known. */
function memberName(node: Node): string | undefined {
  return node.computed
    ? typeof node.property.value === "string"
      ? node.property.value
      : undefined
    : node.property.name;
}

/** Collects the names of methods that the script itself defines. */
function ownName(node: Node, own: Set<string>): void {
  if (node.type === "Property") own.add(node.key.name ?? String(node.key.value));
  if (node.type === "AssignmentExpression" && node.left.type === "MemberExpression") {
    const name = memberName(node.left);
    if (name !== undefined) own.add(name);
  }
}

function library(node: Node, own: Set<string>, report: Report): void {
  if (node.type === "MemberExpression" && node.object.type === "Identifier") {
    const { name } = node.object;
    const allowed =
      name === "Math" ? MEMBERS.Math : isTypedArray(name) ? new Set<string>() : MEMBERS[`${name}Constructor`];
    const member = memberName(node);
    if (allowed && member !== undefined && !allowed.has(member))
      report(node, "member", `\`${name}.${member}\``);
  }
  if (node.type === "CallExpression" && node.callee.type === "MemberExpression") {
    const name = memberName(node.callee);
    if (name !== undefined && LATE_METHODS.has(name) && !own.has(name))
      report(node.callee, "member", `a call of \`.${name}\``);
  }
  if (node.type === "NewExpression" && node.callee.name === "Array") report(node, "array-new", "`new Array`");
}

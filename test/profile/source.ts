/**
 * The language profile on TypeScript sources, with types: what the type checker says under ES5's library alone, and what
 * it cannot say (see `RULES`).
 */
import ts from "typescript";
import { GLOBALS, isTypedArray, MEMBERS } from "./names.js";

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

/** A rule looks at one node and says what is wrong with it, or nothing. */
type Rule = (node: ts.Node, checker: ts.TypeChecker) => string | undefined;

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES5,
  lib: ["lib.es5.d.ts"],
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  ignoreDeprecations: "6.0",
  types: [],
  strict: true,
  noEmit: true,
  // Without tslib, which another package may have brought and is hidden below, this makes the checker refuse every construct that needs a helper.
  importHelpers: true,
  useDefineForClassFields: false,
};

export const RULES: Record<string, Rule> = {
  accessor: (node) => say(ts.isAccessor(node), "getters and setters"),
  arguments: (node) => say(ts.isIdentifier(node) && node.text === "arguments", "`arguments`"),
  "array-length": arrayLength,
  "array-new": (node, checker) =>
    say(ts.isNewExpression(node) && isLibrary(node.expression, "Array", checker), "`new Array`: push to []"),
  "array-sparse": (node) => say(ts.isOmittedExpression(node), "an array with holes"),
  async: (node) =>
    say(
      node.kind === ts.SyntaxKind.AsyncKeyword || ts.isAwaitExpression(node),
      "async functions and Promises",
    ),
  bigint: (node) => say(ts.isBigIntLiteral(node), "BigInt"),
  character: (node) => say(isText(node) && /[^\0-\xff]/.test(node.text), "a character above 255"),
  decorator: (node) => say(ts.isDecorator(node), "decorators"),
  destructuring: (node) => say(isPattern(node), "destructuring"),
  enum: (node) =>
    say(ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node), "enum and namespace: export const"),
  "element-name": elementName,
  "for-of": forOf,
  generator: (node) => say(ts.isYieldExpression(node) || isGenerator(node), "generators"),
  import: (node) =>
    say(
      ts.isMetaProperty(node) ||
        (node.kind === ts.SyntaxKind.ImportKeyword && ts.isCallExpression(node.parent)),
      "import() and import.meta",
    ),
  inheritance: (node) =>
    say(
      ts.isHeritageClause(node) && node.token === ts.SyntaxKind.ExtendsKeyword && ts.isClassLike(node.parent),
      "class inheritance",
    ),
  label: (node) => say(ts.isLabeledStatement(node), "labels"),
  library: library,
  private: (node) => say(ts.isPrivateIdentifier(node), "#private names"),
  regexp: (node) => say(ts.isRegularExpressionLiteral(node), "regular expressions"),
  spread: (node) =>
    say(
      ts.isSpreadElement(node) ||
        ts.isSpreadAssignment(node) ||
        (ts.isParameter(node) && !!node.dotDotDotToken),
      "spread and rest",
    ),
  tagged: (node) => say(ts.isTaggedTemplateExpression(node), "tagged templates"),
  "top-level": topLevel,
  "typed-array-new": typedArrayNew,
};

/**
 * Checks files.
 *
 * @param files the files' paths
 * @param texts texts of files that do not exist, by absolute path (a test's snippets)
 */
export function checkSources(files: string[], texts: Map<string, string> = new Map()): Violation[] {
  const host = ts.createCompilerHost(OPTIONS);
  const { fileExists, readFile } = host;
  host.fileExists = (path) => texts.has(path) || (!path.includes("/node_modules/tslib/") && fileExists(path));
  host.readFile = (path) => texts.get(path) ?? readFile(path);
  const program = ts.createProgram(files, OPTIONS, host);
  const checker = program.getTypeChecker();
  const violations: Violation[] = [];

  for (const path of files) {
    const file = program.getSourceFile(path)!;
    const report = (position: number, rule: string, message: string) => {
      const line = file.getLineAndCharacterOfPosition(position).line + 1;
      violations.push({ file: path, line, rule, message });
    };
    for (const { start, messageText } of [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ]) {
      report(start ?? 0, "types", ts.flattenDiagnosticMessageText(messageText, " "));
    }
    const visit = (node: ts.Node) => {
      if (isErased(node)) return;
      for (const [rule, test] of Object.entries(RULES)) {
        const message = test(node, checker);
        if (message !== undefined) report(node.getStart(file), rule, message);
      }
      ts.forEachChild(node, visit);
    };
    ts.forEachChild(file, visit);
  }
  return violations;
}

/** What the compiler erases may look as it likes. */
function isErased(node: ts.Node): boolean {
  return (
    (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isImportDeclaration(node) ||
    ts.isExportDeclaration(node) ||
    (ts.isHeritageClause(node) && node.token === ts.SyntaxKind.ImplementsKeyword) ||
    (ts.canHaveModifiers(node) &&
      !!ts.getModifiers(node)?.some((m) => m.kind === ts.SyntaxKind.DeclareKeyword))
  );
}

function say(wrong: boolean, message: string): string | undefined {
  return wrong ? message : undefined;
}

/** The firmware chain renames properties, and cannot know those that the program asks for by a text (TXT attributes are the application's). */
function elementName(node: ts.Node, checker: ts.TypeChecker): string | undefined {
  if (
    !ts.isElementAccessExpression(node) ||
    /\/ports\/|\/(inspect|dnssd-text)\.ts$/.test(node.getSourceFile().fileName)
  )
    return undefined;
  const { flags } = checker.getTypeAtLocation(node.argumentExpression);
  return say((flags & ts.TypeFlags.StringLike) !== 0, "a property whose name is a text");
}

function isText(node: ts.Node): node is ts.LiteralLikeNode {
  return ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node);
}

function isGenerator(node: ts.Node): boolean {
  return ts.isFunctionLike(node) && (node as ts.FunctionDeclaration).asteriskToken !== undefined;
}

function isPattern(node: ts.Node): boolean {
  return (
    ts.isObjectBindingPattern(node) ||
    ts.isArrayBindingPattern(node) ||
    (isAssignment(node) &&
      (ts.isArrayLiteralExpression(node.left) || ts.isObjectLiteralExpression(node.left)))
  );
}

function isAssignment(node: ts.Node): node is ts.BinaryExpression {
  return (
    ts.isBinaryExpression(node) &&
    node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
    node.operatorToken.kind <= ts.SyntaxKind.LastAssignment
  );
}

function arrayLength(node: ts.Node, checker: ts.TypeChecker): string | undefined {
  if (!isAssignment(node) || !ts.isPropertyAccessExpression(node.left)) return undefined;
  const owner = checker.getTypeAtLocation(node.left.expression);
  return say(node.left.name.text === "length" && checker.isArrayLikeType(owner), "writing an array's length");
}

function forOf(node: ts.Node, checker: ts.TypeChecker): string | undefined {
  if (!ts.isForOfStatement(node)) return undefined;
  return say(
    !checker.isArrayLikeType(checker.getTypeAtLocation(node.expression)),
    "for..of over anything but an array",
  );
}

/** Module level declares; it does nothing. That is what `"sideEffects": false` promises. */
function topLevel(node: ts.Node): string | undefined {
  if (!ts.isSourceFile(node.parent)) return undefined;
  const declares =
    ts.isDeclarationStatement(node) ||
    ts.isVariableStatement(node) ||
    node.kind === ts.SyntaxKind.EndOfFileToken;
  return say(!declares, "a statement at module level");
}

/** `new Uint8Array(n)` and `new Uint8Array(buffer, offset, length)`: the forms that all engines share. */
function typedArrayNew(node: ts.Node, checker: ts.TypeChecker): string | undefined {
  if (!ts.isNewExpression(node) || !ts.isIdentifier(node.expression) || !isTypedArray(node.expression.text))
    return undefined;
  if (!isLibrary(node.expression, node.expression.text, checker)) return undefined;
  const first = node.arguments?.[0];
  if (first === undefined) return "a typed array without a size";
  const type = checker.getBaseTypeOfLiteralType(checker.getTypeAtLocation(first));
  const good = (type.flags & ts.TypeFlags.NumberLike) !== 0 || /Buffer/.test(type.symbol?.name ?? "");
  return say(!good, "a typed array from anything but a size or a buffer");
}

/** Whether `node` names the library's global `name` (and not a local variable of that name). */
function isLibrary(node: ts.Node, name: string, checker: ts.TypeChecker): boolean {
  return (
    ts.isIdentifier(node) && node.text === name && owners(checker.getSymbolAtLocation(node)) !== undefined
  );
}

/** The library's interfaces that declare `symbol`; `[""]` for a global; undefined when it is not the library's. */
function owners(symbol: ts.Symbol | undefined): string[] | undefined {
  const declarations = symbol?.declarations ?? [];
  if (
    declarations.length === 0 ||
    !declarations.every((d) => /\/lib\.[^/]*\.d\.ts$/.test(d.getSourceFile().fileName))
  ) {
    return undefined;
  }
  return declarations.map((d) => (ts.isInterfaceDeclaration(d.parent) ? d.parent.name.text : ""));
}

function library(node: ts.Node, checker: ts.TypeChecker): string | undefined {
  if (!ts.isIdentifier(node) && !isKey(node)) return undefined;
  const symbol =
    ts.isShorthandPropertyAssignment(node.parent) && ts.isIdentifier(node)
      ? checker.getShorthandAssignmentValueSymbol(node.parent)
      : checker.getSymbolAtLocation(node);
  if (node.getText() === "globalThis") return "`globalThis`";
  const declaredBy = owners(symbol);
  if (declaredBy === undefined) return undefined;
  const name = symbol!.name;
  for (const owner of declaredBy) {
    if (owner === "" ? !GLOBALS.has(name) : !MEMBERS[owner]?.has(name)) {
      return owner === "" ? `\`${name}\`` : `\`${name}\` of ${owner.replace("Constructor", "")}`;
    }
  }
  return undefined;
}

/** `"slice"` in `data["slice"]`. */
function isKey(node: ts.Node): boolean {
  return (
    ts.isStringLiteral(node) &&
    ts.isElementAccessExpression(node.parent) &&
    node.parent.argumentExpression === node
  );
}

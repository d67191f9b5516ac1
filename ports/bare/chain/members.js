/**
 * The firmware chain's knowledge of types: which class a member that a source mentions belongs to.
 *
 * Once the types are stripped, `x.port` may be any class's. While TypeScript still knows, the member of a class gets the class
 * into its name: `x.port$UdpSocket`. What is mentioned through an interface, a union or `any` keeps its name, and with it,
 * in each script, all members of that name (`foldNames`). Two classes of which one could stand for the other, since TypeScript
 * compares their shapes, keep the names that they share. `x.length$Library` is a member of the language or of a hypercall.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { shortComparisons } from "./comparisons.js";
import { edited, isAssignment, isUpdate, mentionsIn, parse, walk } from "./syntax.js";

/**
 * @typedef {import("./syntax.js").Edit} Mark
 * @typedef {object} Members
 * @property {Record<string, Mark[]>} marks by file
 * @property {Record<string, string[]>} owners by marked name: the classes and interfaces that have it
 * @property {Record<string, string[]>} asked by marked name: those that may be asked for it, and do not have it
 * @property {string[]} interfaces of these, those that are no classes
 * @property {Record<string, string>} homes the files that they are declared in
 * @property {Record<string, string[]>} imports the files below stack/ and hypercall/ that a file mentions, types included
 */

const HERE = fileURLToPath(import.meta.url);

/** @type {Map<string, Members>} */
const known = new Map();

/**
 * The text of the source `file`, each member with the name of its class.
 *
 * @param {string} root the folder that holds stack/
 * @param {string} file path below it
 * @param {string} code
 */
export function markMembers(root, file, code) {
  return edited(code, membersOf(root).marks[file] ?? []);
}

/**
 * What is known of the sources below stack/: found out once, and kept in build/ for as long as no source changes. The package
 * has no sources; what was known when it was built lies beside its files, as edits of them (`packedMembers`).
 *
 * @param {string} root
 * @returns {Members}
 */
export function membersOf(root) {
  const found = known.get(root);
  if (found) return found;
  const packed = join(root, PACKED);
  if (existsSync(packed)) {
    const members = JSON.parse(readFileSync(packed, "utf8"));
    known.set(root, members);
    return members;
  }
  const files = readdirSync(join(root, "stack"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => `stack/${name.replaceAll("\\", "/")}`)
    .sort();
  const hash = createHash("sha256").update(ts.version);
  for (const file of [HERE, join(dirname(HERE), "comparisons.js")]) hash.update(readFileSync(file));
  for (const file of files) hash.update(file).update(readFileSync(join(root, file)));
  const cache = join(root, "build/members", `${hash.digest("hex").slice(0, 16)}.json`);
  /** @type {Members} */
  let members;
  if (existsSync(cache)) members = JSON.parse(readFileSync(cache, "utf8"));
  else {
    members = new Analysis(root, files).result();
    mkdirSync(dirname(cache), { recursive: true });
    writeFileSync(`${cache}.${process.pid}`, JSON.stringify(members));
    renameSync(`${cache}.${process.pid}`, cache);
  }
  known.set(root, members);
  return members;
}

/** The file of a package's that `membersOf` reads. */
export const PACKED = "members.json";

/**
 * The same knowledge for files without types.
 *
 * @param {string} root the folder that holds stack/
 * @param {(code: string, file: string) => string} compile what the package's files were made by: lines stay lines
 * @returns {Members}
 */
export function packedMembers(root, compile) {
  const { marks, homes, imports, ...others } = membersOf(root);
  const script = (/** @type {string} */ file) => file.replace(/\.ts$/, ".js");
  /** @type {Record<string, Mark[]>} */
  const packed = {};
  for (const [file, list] of Object.entries(marks)) {
    if (list.length === 0) continue;
    const code = readFileSync(join(root, file), "utf8");
    const edits = lineEdits(compile(code, file), compile(markMembers(root, file, code), file));
    if (edits.length > 0) packed[script(file)] = edits;
  }
  return {
    ...others,
    marks: packed,
    homes: Object.fromEntries(Object.entries(homes).map(([name, file]) => [name, script(file)])),
    imports: Object.fromEntries(
      Object.entries(imports).map(([file, list]) => [script(file), list.map(script)]),
    ),
  };
}

/**
 * What makes `after` of `before`: in each line, what lies between its equal beginning and end.
 *
 * @param {string} before
 * @param {string} after of as many lines
 */
function lineEdits(before, after) {
  /** @type {Mark[]} */
  const edits = [];
  const lines = after.split("\n");
  let at = 0;
  for (const [i, line] of before.split("\n").entries()) {
    const other = lines[i];
    let start = 0;
    while (start < line.length && line[start] === other[start]) start++;
    let end = 0;
    while (
      end < line.length - start &&
      end < other.length - start &&
      line.at(-1 - end) === other.at(-1 - end)
    )
      end++;
    if (line !== other)
      edits.push([at + start, at + line.length - end, other.slice(start, other.length - end)]);
    at += line.length + 1;
  }
  return edits;
}

/**
 * @typedef {ts.ClassDeclaration | ts.InterfaceDeclaration | ts.TypeLiteralNode} Shape
 * @typedef {{ node: Shape, type: ts.Type, keys: Map<string, ts.Symbol>, generic: boolean }} Known
 */

class Analysis {
  /** @param {string} root @param {string[]} files */
  constructor(root, files) {
    const paths = files.map((file) => join(root, file));
    const program = ts.createProgram(paths, {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      lib: ["lib.es5.d.ts"],
      types: [],
      strict: true,
      skipLibCheck: true,
      noEmit: true,
    });
    this.checker = program.getTypeChecker();
    this.files = files;
    this.sources = paths.map((path) => /** @type {ts.SourceFile} */ (program.getSourceFile(path)));
    /** Where a member is declared: the representative of those that may mean the same. @type {Map<ts.Node, ts.Node>} */
    this.parents = new Map();
    /** A name for each class, interface and type literal that no other has. @type {Map<ts.Node, string>} */
    this.names = new Map();
    /** Of each pair the second may be taken for the first. @type {[Known, Known][]} */
    this.views = [];
    /** @type {Known[]} */
    this.shapes = [];
    /** What follows the names of a group's members. @type {Map<ts.Node, string> | undefined} */
    this.suffixes = undefined;
    const contract = program.getSourceFiles().filter(({ fileName }) => /\/hypercall\/[^/]*$/.test(fileName));
    this.relate([...this.sources, ...contract]);
  }

  /** @param {ts.Node} member @returns {ts.Node} */
  representative(member) {
    const parent = this.parents.get(member);
    if (parent === undefined) return member;
    const found = this.representative(parent);
    this.parents.set(member, found);
    return found;
  }

  /** @param {ts.Symbol | undefined} a @param {ts.Symbol | undefined} b */
  join(a, b) {
    const all = [...(a?.declarations ?? []), ...(b?.declarations ?? [])].map((each) =>
      this.representative(each),
    );
    for (const each of all) if (each !== all[0]) this.parents.set(each, all[0]);
  }

  /**
   * Members of types of which one can stand for the other are one.
   *
   * @param {ts.SourceFile[]} sources
   */
  relate(sources) {
    const { checker } = this;
    const { shapes } = this;
    const taken = new Set(["Library"]);
    /** @type {[ts.Type, ts.Type][]} */
    const casts = [];
    const visit = (/** @type {ts.Node} */ node) => {
      ts.forEachChild(node, visit);
      if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node) || ts.isTypeLiteralNode(node)) {
        let name = ts.isTypeLiteralNode(node) ? "Literal" : (node.name?.text ?? "Class");
        for (let i = 2; taken.has(name); i++) name = `${name.replace(/_\d+$/, "")}_${i}`;
        taken.add(name);
        this.names.set(node, name);
        const type = checker.getTypeAtLocation(node);
        const keys = new Map(type.getProperties().map((symbol) => [symbol.name, symbol]));
        const generic = !ts.isTypeLiteralNode(node) && (node.typeParameters?.length ?? 0) > 0;
        shapes.push({ node, type, keys, generic });
      } else if (ts.isAsExpression(node)) {
        casts.push([checker.getTypeAtLocation(node.expression), checker.getTypeAtLocation(node.type)]);
      }
    };
    sources.forEach(visit);
    const flows = this.flows(sources);
    for (const one of shapes) {
      for (const other of shapes) {
        if (one === other) continue;
        let shared = 0;
        let missing = 0;
        for (const [key, symbol] of one.keys) {
          if (other.keys.has(key)) shared++;
          else if ((symbol.flags & ts.SymbolFlags.Optional) === 0) missing++;
        }
        if (shared === 0 || missing > 0) continue;
        if (isWeak(one) && !isWeak(other) && !flows.get(one.node)?.has(other.node)) continue;
        // A type parameter is nobody's subtype: taken for related.
        if (!one.generic && !other.generic && !checker.isTypeAssignableTo(other.type, one.type)) continue;
        for (const [key, symbol] of one.keys) if (other.keys.has(key)) this.join(symbol, other.keys.get(key));
        this.views.push([one, other]);
      }
    }
    for (const [from, to] of casts) {
      for (const symbol of checker.getNonNullableType(to).getProperties()) {
        const other = checker.getNonNullableType(from).getProperty(symbol.name);
        if (other) this.join(symbol, other);
      }
    }
  }

  /**
   * Types that ask for nothing (options) would take almost every object: which are in fact given to them.
   *
   * @param {ts.SourceFile[]} sources
   * @returns {Map<ts.Node, Set<ts.Node>>} by the type that is asked for
   */
  flows(sources) {
    const { checker } = this;
    /** @type {Map<ts.Node, Set<ts.Node>>} */
    const flows = new Map();
    /** @type {(type: ts.Type, found: Set<ts.Node>) => Set<ts.Node>} */
    const shapesOf = (type, found) => {
      if (type.isUnionOrIntersection()) type.types.forEach((each) => shapesOf(each, found));
      for (const node of type.symbol?.declarations ?? []) if (this.names.has(node)) found.add(node);
      if (checker.isArrayType(type))
        checker
          .getTypeArguments(/** @type {ts.TypeReference} */ (type))
          .forEach((each) => shapesOf(each, found));
      return found;
    };
    const add = (/** @type {ts.Type} */ from, /** @type {ts.Type} */ to) => {
      if (from === to) return;
      const given = shapesOf(from, new Set());
      for (const node of shapesOf(to, new Set())) {
        const list = flows.get(node) ?? new Set();
        given.forEach((each) => list.add(each));
        flows.set(node, list);
      }
    };
    const visit = (/** @type {ts.Node} */ node) => {
      ts.forEachChild(node, visit);
      if (ts.isExpressionWithTypeArguments(node) && ts.isHeritageClause(node.parent))
        add(checker.getTypeAtLocation(node.parent.parent), checker.getTypeAtLocation(node));
      else if (ts.isExpression(node) && !ts.isFunctionLike(node)) {
        const wanted = checker.getContextualType(node);
        if (wanted) add(checker.getTypeAtLocation(node), wanted);
      }
    };
    sources.forEach(visit);
    return flows;
  }

  /**
   * What follows a member's name, when it is known whose it is.
   *
   * @param {ts.Symbol | undefined} symbol
   */
  suffixOf(symbol) {
    const declarations = symbol?.declarations ?? [];
    if (declarations.length === 0) return "";
    const [one, ...others] = new Set(declarations.map((each) => this.representative(each)));
    if (declarations.every(isLibrary)) return "$Library";
    if (others.length > 0) return "";
    this.suffixes ??= this.nameGroups();
    return this.suffixes.get(one) ?? (isLibrary(one) ? "$Library" : "");
  }

  /** A suffix for each group of members. */
  nameGroups() {
    /** @type {Map<ts.Node, ts.Node[]>} */
    const groups = new Map();
    for (const [owner] of this.names) {
      /** @type {ts.Node[]} */
      const list = [];
      for (const member of /** @type {Shape} */ (owner).members) {
        if (ts.isConstructorDeclaration(member)) list.push(...member.parameters.filter(isField));
        else list.push(member);
      }
      for (const member of list) {
        const one = this.representative(member);
        groups.set(one, [...(groups.get(one) ?? []), member]);
      }
    }
    /** @type {Map<ts.Node, string>} */
    const suffixes = new Map();
    for (const [one, members] of groups) {
      if (members.some((member) => isLibrary(member))) suffixes.set(one, "$Library");
      else if (members.every((member) => isOrdinary(member))) {
        const owners = members.map((member) => ownerOf(member));
        const owner = owners.find((each) => each && ts.isClassDeclaration(each)) ?? owners[0];
        // `x.attach` may be asked for: only a class knows that it has a member.
        const optional = members.some((each) => /** @type {ts.PropertySignature} */ (each).questionToken)
          ? "Q_"
          : "";
        if (owner) suffixes.set(one, `$${optional}${this.names.get(owner)}`.replace(/\$(?=[^A-Z])/, "$C_"));
      } else suffixes.set(one, "");
    }
    return suffixes;
  }

  /** @returns {Members} */
  result() {
    /** @type {Members} */
    const result = { marks: {}, owners: {}, asked: {}, interfaces: [], homes: {}, imports: {} };
    const fileOf = new Map(this.sources.map((source, i) => [source, this.files[i]]));
    for (const [node, name] of this.names) {
      const file = fileOf.get(node.getSourceFile());
      if (file !== undefined) result.homes[name] = file;
    }
    for (const [node, name] of this.names) if (!ts.isClassDeclaration(node)) result.interfaces.push(name);
    this.sources.forEach((source, i) => {
      const file = this.files[i];
      result.marks[file] = this.marksOf(source);
      result.imports[file] = ts
        .preProcessFile(source.text)
        .importedFiles.map(({ fileName }) =>
          posix.join(posix.dirname(file), fileName.replace(/\.js$/, ".ts")),
        );
    });
    const note = (
      /** @type {Record<string, string[]>} */ lists,
      /** @type {ts.Symbol} */ symbol,
      /** @type {Shape} */ node,
    ) => {
      const suffix = this.suffixOf(symbol);
      if (suffix === "" || suffix === "$Library") return;
      const list = (lists[symbol.name + suffix] ??= []);
      const name = this.names.get(node) ?? "";
      if (!list.includes(name)) list.push(name);
    };
    for (const { node, keys } of this.shapes)
      for (const [, symbol] of keys) note(result.owners, symbol, node);
    // What an object does not have it may be asked for: `if (component.rekeyed)`.
    for (const [one, other] of this.views) {
      for (const [name, symbol] of one.keys)
        if (!other.keys.has(name)) note(result.asked, symbol, other.node);
    }
    return result;
  }

  /** @param {ts.SourceFile} source */
  marksOf(source) {
    const { checker } = this;
    /** @type {Mark[]} */
    const list = [];
    const visit = (/** @type {ts.Node} */ node) => {
      ts.forEachChild(node, visit);
      if (!ts.isIdentifier(node)) return;
      const { parent } = node;
      if (ts.isShorthandPropertyAssignment(parent)) {
        const value = checker.getShorthandAssignmentValueSymbol(parent)?.valueDeclaration;
        const name = this.suffixOf(this.keyOf(parent));
        const own =
          value && isField(value)
            ? this.suffixOf(checker.getSymbolAtLocation(/** @type {ts.ParameterDeclaration} */ (value).name))
            : "";
        if (name + own !== "") list.push([node.end, node.end, `${name}: ${node.text}${own}`]);
        return;
      }
      let symbol;
      if (
        ts.isObjectLiteralElement(parent) &&
        ts.isObjectLiteralExpression(parent.parent) &&
        parent.name === node
      ) {
        symbol = this.keyOf(parent);
      } else if (ts.isPropertyAccessExpression(parent) ? parent.name === node : ownName(parent) === node) {
        symbol = checker.getSymbolAtLocation(node);
      } else if (!ts.isPropertyAccessExpression(parent) || parent.name !== node) {
        // A parameter that is a field: its mentions in the constructor.
        const mentioned = checker.getSymbolAtLocation(node);
        if (mentioned?.valueDeclaration && isField(mentioned.valueDeclaration)) symbol = mentioned;
      }
      if (ts.isPropertyAccessExpression(parent) && parent.expression === node) {
        const mentioned = checker.getSymbolAtLocation(node);
        symbol = mentioned?.valueDeclaration && isField(mentioned.valueDeclaration) ? mentioned : undefined;
      }
      const suffix = this.isKey(node) ? "$Library" : this.suffixOf(symbol);
      if (suffix !== "") list.push([node.end, node.end, suffix]);
    };
    visit(source);
    list.push(...shortComparisons(source, checker));
    return list.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  }

  /**
   * Whether it is a key of a table, `stack.counters.tcp`: no class's member, whatever it is called.
   *
   * @param {ts.Identifier} node
   */
  isKey(node) {
    const { parent } = node;
    if (!ts.isPropertyAccessExpression(parent) || parent.name !== node) return false;
    const type = this.checker.getTypeAtLocation(parent.expression);
    return type.getStringIndexType() !== undefined && type.getProperty(node.text) === undefined;
  }

  /**
   * The member that a key of an object literal is to be.
   *
   * @param {ts.ObjectLiteralElement} element
   */
  keyOf(element) {
    const literal = element.parent;
    if (!ts.isObjectLiteralExpression(literal) || !element.name || !ts.isIdentifier(element.name))
      return undefined;
    const wanted = this.checker.getContextualType(literal);
    if (!wanted) return undefined;
    const type = this.checker.getNonNullableType(wanted);
    const name = element.name.text;
    const found = type.getProperty(name);
    if (found || !type.isUnion()) return found;
    // Of a text or an object it is the object's.
    const [one, ...others] = type.types.flatMap((each) => each.getProperty(name) ?? []);
    return others.length === 0 ? one : undefined;
  }
}

/** Whether all that a type has is optional. @param {Known} type */
function isWeak({ keys }) {
  return [...keys.values()].every(({ flags }) => (flags & ts.SymbolFlags.Optional) !== 0);
}

/** @param {ts.Node} declaration */
function isLibrary(declaration) {
  return /(\/lib\.[^/]*\.d\.ts|\/hypercall\/[^/]*)$/.test(declaration.getSourceFile().fileName);
}

/** @param {ts.Node} node */
function isField(node) {
  return ts.isParameter(node) && ts.isParameterPropertyDeclaration(node, node.parent);
}

/**
 * The name of a declaration, if that is a member.
 *
 * @param {ts.Node} node
 */
function ownName(node) {
  return ts.isClassElement(node) || isField(node)
    ? /** @type {ts.NamedDeclaration} */ (node).name
    : undefined;
}

/**
 * The class, interface or type literal that a member is declared in.
 *
 * @param {ts.Node} declaration
 */
function ownerOf(declaration) {
  return isField(declaration) ? declaration.parent.parent : declaration.parent;
}

/**
 * Neither an accessor, nor static, nor a class's that inherits; nor the signature of an index, whose keys are texts.
 *
 * @param {ts.Node} declaration
 */
function isOrdinary(declaration) {
  const owner = ownerOf(declaration);
  const isStatic =
    (ts.getCombinedModifierFlags(/** @type {ts.Declaration} */ (declaration)) & ts.ModifierFlags.Static) !==
    0;
  const inherits =
    ts.isClassDeclaration(owner) &&
    owner.heritageClauses?.some(({ token }) => token === ts.SyntaxKind.ExtendsKeyword);
  return (
    !isStatic && !inherits && !ts.isAccessor(declaration) && !ts.isIndexSignatureDeclaration(declaration)
  );
}

/**
 * The entry of a script, with marks at the names of what its functions return to those outside, `{ tcp: sockets }`: no class of
 * the stack has a member by that.
 *
 * @param {string} code
 */
export function markResults(code) {
  const file = parse(code);
  const mentions = mentionsIn(file);
  /** @type {Mark[]} */
  const marks = [];
  for (const each of file.statements) {
    if (!ts.isFunctionDeclaration(each) || !each.name || !each.body) continue;
    const isExported = each.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
    // Whoever calls it here may give to the stack what it returns.
    if (!isExported || (mentions.get(each.name.text) ?? []).some((other) => other !== each.name)) continue;
    const last = each.body.statements.at(-1);
    const result = last && ts.isReturnStatement(last) ? last.expression : undefined;
    if (!result || !ts.isObjectLiteralExpression(result)) continue;
    for (const property of result.properties) {
      if (ts.isPropertyAssignment(property) && ts.isIdentifier(property.name))
        marks.push([property.name.end, property.name.end, "$Library"]);
    }
  }
  return edited(code, marks);
}

/** A member's name with its class behind it. */
export const MARKED = /^(\w+)\$([A-Z]\w*)$/;

/** Letters that a second name must save to be worth its place in each object. */
const WORTH = 30;

/**
 * The script with plain names for the members that are mentioned without their class, or that `plain` says.
 *
 * Of the latter those that get their value in constructors alone, and are mentioned often, have both names: the script itself
 * uses the one that becomes short.
 *
 * @param {string} code
 * @param {(name: string, owner: string) => boolean} plain
 * @param {(marked: string) => boolean} ours whether only the stack makes objects that have the member
 */
export function foldNames(code, plain, ours) {
  const file = parse(code);
  /** @type {Set<string>} */
  const mentioned = new Set();
  /** @type {ts.Identifier[]} */
  const marked = [];
  walk(file, (node) => {
    if (ts.isStringLiteral(node) && (ts.isElementAccessExpression(node.parent) || isKeyOfIn(node))) {
      mentioned.add(node.text);
    }
    if (!ts.isIdentifier(node)) return;
    if (MARKED.test(node.text)) marked.push(node);
    else if (isMemberName(node)) mentioned.add(node.text);
  });
  /** @type {Map<string, ts.Identifier[]>} */
  const uses = new Map();
  for (const node of marked) uses.set(node.text, [...(uses.get(node.text) ?? []), node]);
  /** @type {import("./syntax.js").Edit[]} */
  const edits = [];
  for (const [text, nodes] of uses) {
    const [, name, owner] = MARKED.exec(text) ?? [];
    const isMentioned = owner === "Library" || mentioned.has(name);
    if (!isMentioned && !plain(name, owner)) continue;
    const first = isMentioned ? [] : nodes.filter(isInitialized);
    const others = nodes.filter((node) => !first.includes(node));
    const saved = others.length * (name.length - 1) - first.length * (name.length + 4);
    if (first.length > 0 && saved >= WORTH && ours(text) && !others.some(isPut))
      for (const { end } of first) edits.push([end, end, ` = this.${name}`]);
    else for (const node of nodes) edits.push([node.getStart(file), node.end, name]);
  }
  return edited(
    code,
    edits.sort((a, b) => a[0] - b[0]),
  );
}

/** Whether a member gets its value in a constructor: `this.x = ...;`. @param {ts.Identifier} node */
function isInitialized({ parent }) {
  if (!ts.isPropertyAccessExpression(parent) || parent.expression.kind !== ts.SyntaxKind.ThisKeyword)
    return false;
  const put = parent.parent;
  return (
    ts.isBinaryExpression(put) &&
    put.left === parent &&
    put.operatorToken.kind === ts.SyntaxKind.EqualsToken &&
    ts.isExpressionStatement(put.parent) &&
    ts.isConstructorDeclaration(put.parent.parent.parent)
  );
}

/** Whether it is not only asked for: it is put into, or is a method or a literal's. @param {ts.Identifier} node */
function isPut(node) {
  const { parent } = node;
  if (!ts.isPropertyAccessExpression(parent) || parent.name !== node) return true;
  const above = parent.parent;
  return (
    (isAssignment(above) && above.left === parent) ||
    ((ts.isPrefixUnaryExpression(above) || ts.isPostfixUnaryExpression(above)) && isUpdate(above)) ||
    ts.isDeleteExpression(above) ||
    (ts.isCallExpression(above) && above.expression === parent)
  );
}

/** @param {ts.StringLiteral} node */
function isKeyOfIn({ parent }) {
  return ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.InKeyword;
}

/** @param {ts.Identifier} node */
function isMemberName(node) {
  const { parent } = node;
  // What the script exports has its name in quotation marks in the end.
  if (ts.isPropertyAccessExpression(parent) && parent.expression.getText() === "exports") return false;
  return (
    (ts.isPropertyAccessExpression(parent) ||
      ts.isClassElement(parent) ||
      ts.isObjectLiteralElement(parent) ||
      ts.isBindingElement(parent)) &&
    parent.name === node
  );
}

/**
 * Which file is which part of the package: `anystack/NAME` is the file NAME.ts below stack/ that exports a factory of that
 * name (`anystack/arp` is stack/ipv4/arp.ts with its `arp(): Arp`; link-local.ts would have `linkLocal(): LinkLocal`). So a
 * new component needs no entry in any list.
 */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import ts from "typescript";
import { filesBelow, ROOT } from "../support/files.js";

/** Parts of the package that are no component, or whose file is not called after one. */
const PARTS: Readonly<Record<string, string>> = {
  congestion: "stack/tcp/congestion.ts",
  "distance-vector": "stack/routing/distance-vector.ts",
  "dns-filter": "stack/service/dns-filter.ts",
  fragments6: "stack/ipv6/fragments.ts",
  "home-rules": "stack/filter/home-rules.ts",
  inspect: "stack/inspect.ts",
  "ip-link": "stack/link/ip.ts",
  "link-local": "stack/ipv4/linklocal.ts",
  pcapng: "stack/link/pcapng.ts",
  pmtu6: "stack/ipv6/pmtu.ts",
  recovery: "stack/tcp/recovery.ts",
};

/** Everything that has a name in the package: the components, and `PARTS`. */
export function parts(): Map<string, string> {
  return new Map([...components(), ...Object.entries(PARTS)].sort());
}

/** The components' files by name, relative to the project's folder. */
export function components(): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of filesBelow("stack")) {
    const name = basename(file, ".ts");
    if (!hasFactory(readFileSync(join(ROOT, file), "utf8"), factoryName(name))) continue;
    const other = found.get(name);
    if (other !== undefined) throw new Error(`two components are called ${name}: ${other} and ${file}`);
    found.set(name, file);
  }
  return found;
}

/** `link-local` to `linkLocal`. */
export function factoryName(component: string): string {
  return component.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** Whether the module `text` exports a function `name` that is declared to return something with a capital letter. */
export function hasFactory(text: string, name: string): boolean {
  return ts
    .createSourceFile("module.ts", text, ts.ScriptTarget.Latest)
    .statements.some(
      (statement) =>
        ts.isFunctionDeclaration(statement) &&
        statement.name?.text === name &&
        statement.modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.ExportKeyword) === true &&
        statement.type !== undefined &&
        ts.isTypeReferenceNode(statement.type) &&
        ts.isIdentifier(statement.type.typeName) &&
        /^[A-Z]/.test(statement.type.typeName.text),
    );
}

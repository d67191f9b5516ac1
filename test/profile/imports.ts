/** Which room may import from which (see "Rooms" in ARCHITECTURE.md): arrows go one way, a higher room registers with a lower one. */
import { readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import ts from "typescript";
import type { Violation } from "./source.js";

const NETWORK = ["hypercall", "stack/core", "stack/wire", "stack/link", "stack/route"];
const TRANSPORT = ["hypercall", "stack/core", "stack/wire", "stack/route"];

/**
 * What each room may import beside itself. The two networks do not know each other, the transports know no network and no
 * other transport: all of them meet in core/.
 */
export const ARROWS: Record<string, string[]> = {
  hypercall: [],
  "stack/core": ["hypercall"],
  "stack/wire": ["hypercall", "stack/core"],
  "stack/link": ["hypercall", "stack/core", "stack/wire"],
  "stack/route": ["hypercall", "stack/core", "stack/wire", "stack/link"],
  "stack/ipv4": NETWORK,
  "stack/ipv6": NETWORK,
  // Forwarding stands above the networks: it registers with them.
  "stack/router": [...NETWORK, "stack/ipv4", "stack/ipv6"],
  // Routing protocols speak through sockets, and write into the tables of both networks.
  "stack/routing": [...NETWORK, "stack/ipv4", "stack/ipv6", "stack/udp", "stack/router"],
  "stack/filter": [...NETWORK, "stack/ipv4", "stack/ipv6"],
  "stack/queue": NETWORK,
  "stack/translator": [...NETWORK, "stack/ipv4", "stack/ipv6"],
  // What goes through a security gateway answers with the errors of both networks.
  "stack/ipsec": [...NETWORK, "stack/ipv4", "stack/ipv6"],
  // IKE speaks through UDP sockets; what it makes keys for registers with it.
  "stack/ike": ["hypercall", "stack/core", "stack/wire", "stack/udp", "stack/ipsec"],
  // Tunnels are links over networks, PPP configures them.
  "stack/tunnel": [...NETWORK, "stack/ipv4", "stack/ipv6", "stack/udp"],
  "stack/wireguard": [...NETWORK, "stack/ipsec", "stack/route", "stack/tunnel", "stack/udp"],
  "stack/ppp": [...NETWORK, "stack/ipv4", "stack/ipv6"],
  "stack/udp": TRANSPORT,
  "stack/tcp": TRANSPORT,
  "stack/raw": TRANSPORT,
  // Services speak through sockets; those that configure a network (DHCP) call what it offers for that.
  "stack/service": [
    "hypercall",
    "stack/core",
    "stack/wire",
    "stack/ipv4",
    "stack/ipv6",
    "stack/udp",
    "stack/tcp",
    "stack/raw",
  ],
  stack: ["hypercall", "stack/*"],
  // Of the ports only those that keep to the language of stack/ are checked.
  ports: ["hypercall", "stack/*"],
};

/** The room of a file: the first two folders below the project's, or `stack` for stack/index.ts itself. */
export function room(file: string): string {
  const parts = dirname(file).split("/");
  return parts[0] === "stack" ? parts.slice(0, 2).join("/") : parts[0]!;
}

/**
 * @param root the project's folder
 * @param file a source below it, relative
 * @param text its text, when not the file's own
 */
export function checkImports(
  root: string,
  file: string,
  text = readFileSync(join(root, file), "utf8"),
): Violation[] {
  const violations: Violation[] = [];
  const from = room(file);
  const arrows = ARROWS[from];
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  for (const statement of source.statements) {
    if (!(ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement))) continue;
    if (statement.moduleSpecifier === undefined) continue;
    const specifier = (statement.moduleSpecifier as ts.StringLiteral).text;
    const line = source.getLineAndCharacterOfPosition(statement.getStart(source)).line + 1;
    const report = (message: string) => violations.push({ file, line, rule: "imports", message });

    if (!specifier.startsWith(".")) {
      report(`${from} imports the package "${specifier}"`);
      continue;
    }
    const to = room(relative(root, join(root, normalize(join(dirname(file), specifier)))));
    if (arrows === undefined)
      report(`room ${from} is not in the plan: say in test/profile/imports.ts what it may import`);
    else if (
      to !== from &&
      !arrows.includes(to) &&
      !(arrows.includes("stack/*") && to.startsWith("stack/"))
    ) {
      report(`${from} imports ${to}`);
    }
  }
  return violations;
}

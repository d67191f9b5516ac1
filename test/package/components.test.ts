import test from "ava";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { filesBelow, ROOT } from "../support/files.js";
import { needs } from "../size/needs.js";
import { components, factoryName, hasFactory, parts } from "./components.js";

test("a component is the file that exports a factory of its own name", (t) => {
  t.true(
    hasFactory(
      "export class Arp {}\nexport function arp(a = {},\n b?: number): Arp { return new Arp(); }",
      "arp",
    ),
  );
  t.false(hasFactory("export function input(packet: Packet): void {}", "input"));
  t.false(hasFactory("export function errorName(code: number): string { return ''; }", "errorName"));
  t.false(hasFactory("function arp(): Arp { return new Arp(); }", "arp"));
  t.is(factoryName("link-local"), "linkLocal");
});

test("the first components are found where they live", (t) => {
  const found = components();
  t.is(found.get("ethernet"), "stack/link/ethernet.ts");
  t.is(found.get("arp"), "stack/ipv4/arp.ts");
  t.is(found.get("udp"), "stack/udp/udp.ts");
});

test("every class that is a component has a name in the package", (t) => {
  const named = new Set(parts().values());
  const isComponent = (file: string) =>
    /^export class .* implements .*\bComponent\b/m.test(readFileSync(join(ROOT, file), "utf8"));
  t.deepEqual(
    filesBelow("stack").filter((file) => isComponent(file) && !named.has(file)),
    [],
    "call the file after its factory (arp.ts: arp), or name it in PARTS of test/package/components.ts",
  );
});

test("every part's file exists", (t) => {
  const files = filesBelow("stack");
  t.deepEqual(
    [...parts()].filter(([, file]) => !files.includes(file)),
    [],
  );
});

test("what a component needs is in the package", (t) => {
  const all = parts();
  for (const [name, file] of components()) {
    const { components: others } = needs(name, file).without;
    for (const other of others) t.true(all.has(other), `${name} needs ${other}`);
  }
});

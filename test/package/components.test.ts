import test from "ava";
import { components, factoryName, hasFactory } from "./components.js";

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

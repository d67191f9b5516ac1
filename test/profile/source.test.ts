import { resolve } from "node:path";
import test from "ava";
import { checkSources, RULES, type Violation } from "./source.js";

/** For each rule, what must make it fire. */
const BAD: Record<string, string[]> = {
  accessor: [
    "export class A { get b(): number { return 1; } }",
    "export const a = { set b(value: number) {} };",
  ],
  arguments: ["export function f(): number { return arguments.length; }"],
  "array-length": ["export function f(a: number[]): void { a.length = 0; }"],
  "array-new": ["export const a: number[] = new Array(3);"],
  "array-sparse": ["export const a = [1, , 3];"],
  async: [
    "export async function f(): Promise<void> {}",
    "export const f = async (): Promise<void> => {};",
    "export async function f(p: Promise<void>): Promise<void> { await p; }",
  ],
  bigint: ["export const a = 1n;"],
  character: [
    'export const a = "\u2192";',
    "export const a = `\u0100${1}`;",
    "export const a = `${1}\u0100`;",
  ],
  decorator: ["declare const d: any; @d export class A {}"],
  destructuring: [
    "export function f(o: { a: number }): number { const { a } = o; return a; }",
    "export function f([a]: number[]): number { return a; }",
    "export function f(a: number, b: number): number { [a, b] = [b, a]; return a; }",
  ],
  "element-name": ["export const f = (a: { [name: string]: number }, b: string): number => a[b];"],
  enum: ["export enum A { B }", "export namespace A { export const b = 1; }"],
  "for-of": ['export function f(): void { for (const c of "abc") c; }'],
  generator: ["export function* f() { yield 1; }", "export const a = { *b() {} };"],
  import: ['export const f = (): unknown => import("./a.js");', "export const a = import.meta;"],
  inheritance: ["class A {} export class B extends A {}", "export class E extends Error {}"],
  label: ["export function f(): void { a: for (;;) break a; }"],
  library: [
    "export const a = new DataView(new ArrayBuffer(1));",
    "export const a = (): Date => new Date();",
    "export const a = (): string => JSON.stringify(1);",
    "export const a = (): unknown => Object.freeze({});",
    "export const a = (): unknown => Object.create(null);",
    "export const a = (): number => Math.random();",
    'export const a = (b: string): string => b.replace("a", "b");',
    "export const a = (b: Uint8Array): Uint8Array => b.fill(0);",
    "export const a = (b: Uint8Array): Uint8Array => b.slice(1);",
    'export const a = (b: Uint8Array): Uint8Array => b["slice"](1);',
    "export const a = (b: Int32Array): number => b.indexOf(1);",
    "export const a = (b: Uint8Array): Uint8Array => b.copyWithin(0, 1, 2);",
    "export const a = (b: number[]): Uint8Array => Uint8Array.from(b);",
    "export const a = (b: () => void): unknown => b.bind(null);",
    "export const a = (): unknown => ({ eval });",
    "export const a = (): unknown => globalThis;",
    'export const a = (): unknown => new RegExp("a");',
    'export const a = (): unknown => Function("return 1");',
  ],
  private: ["export class A { #b = 1; c(): number { return this.#b; } }"],
  regexp: ["export const a = /b/;"],
  spread: [
    "export const f = (a: number[]): number[] => [...a];",
    "export const f = (a: object): object => ({ ...a });",
    "export function f(...a: number[]): number[] { return a; }",
    "export const f = (a: number[]): number => Math.max(...a);",
  ],
  tagged: ["declare const t: any; export const a = t`b`;"],
  "top-level": [
    "let a = 1; a = 2; export const b = a;",
    "export const a: number[] = []; a.push(1);",
    "if (true) {}",
  ],
  "typed-array-new": [
    "export const a = new Uint8Array([1, 2]);",
    "export const a = new Uint8Array(new Uint8Array(2));",
    "export const a = new Uint8Array();",
  ],
};

/** What the type checker finds by itself, knowing only ES5's library and no helpers. */
const TYPES = [
  "export const a = new Map();",
  "export const a = Symbol.iterator;",
  "export const a = (b: number): number => Math.imul(b, b);",
  "export const a = (): unknown => Promise.resolve();",
  "export const a = (): void => console.log();",
  "export const a = (): unknown => setTimeout(() => {}, 1);",
  'export const a = (): unknown => Buffer.from("");',
  "export const a = (): unknown => new TextEncoder();",
  "export const a = (): unknown => Object.assign({}, {});",
  "export const a = (): unknown => Object.entries({});",
  'export const a = (b: string): boolean => b.startsWith("c");',
  "export const a = (b: number[]): boolean => b.includes(1);",
  "export const a = new Proxy({}, {});",
  "export function f(b: Uint8Array): void { for (const c of b) c; }",
  "export const f = (a: number[]): number[] => [...a];",
];

const GOOD = `
/** \u2192 is allowed in a comment, a\u0100 too. */
export interface Shape { get area(): number; readonly data?: Uint8Array }
export type Late = PromiseLike<bigint>;
const VIEW = new Uint8Array(4);
export class Box implements Shape {
  area = 0;
  constructor(public size: number, readonly list: Shape[] = []) {}
  grow(by = 1): string { this.size += by; return \`\${this.size} units\`; }
}
export function total(list: readonly Shape[], length: { length: number }): number {
  let sum = 0;
  for (const one of list) sum += one.area;
  for (let i = 0; i < list.length; i++) { const f = (): number => i; sum += f() | 0; }
  VIEW.set(new Uint8Array(VIEW.buffer, 0, 2).subarray(1), 1);
  length.length = 2;
  const half = new Uint8Array(sum >> 1);
  try { sum = Math.floor(half[0] / 2); } catch { sum = -1; }
  return list[0]?.data?.length ?? sum;
}
`;

/** Checks all snippets as one program, and sorts what is found by snippet. */
function check(snippets: string[]): Violation[][] {
  const texts = new Map(snippets.map((text, i) => [resolve(`stack/core/snippet-${i}.ts`), text]));
  const violations = checkSources([...texts.keys()], texts);
  return snippets.map((_, i) => violations.filter((v) => v.file.endsWith(`/snippet-${i}.ts`)));
}

test("every rule has a snippet that it must reject", (t) => {
  t.deepEqual(Object.keys(BAD).sort(), Object.keys(RULES).sort());
});

test("every rule fires", (t) => {
  const cases = Object.entries(BAD).flatMap(([rule, texts]) => texts.map((text) => ({ rule, text })));
  check(cases.map(({ text }) => text)).forEach((found, i) => {
    const { rule, text } = cases[i]!;
    t.true(
      found.some((v) => v.rule === rule && v.line === 1),
      `${rule} accepts: ${text}`,
    );
  });
});

test("the type checker refuses what came after ES5 and what needs a helper", (t) => {
  check(TYPES).forEach((found, i) => {
    t.true(
      found.some((v) => v.rule === "types"),
      `accepted: ${TYPES[i]}`,
    );
  });
});

test("good code passes, whatever its types and comments say", (t) => {
  t.deepEqual(check([GOOD])[0], []);
});

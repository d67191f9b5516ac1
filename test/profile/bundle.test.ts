import test from "ava";
import ts from "typescript";
import { bundle } from "../../rollup.config.js";
import { checkBundle } from "./bundle.js";

const rules = (code: string): string[] => checkBundle(code).map((finding) => finding.rule);

function rejects(rule: string, ...scripts: string[]) {
  test(`${rule}: rejected`, (t) => {
    for (const script of scripts) t.deepEqual([...new Set(rules(script))], [rule], script);
  });
}

rejects(
  "syntax",
  "var a=()=>1;",
  "let a=1;",
  "const a=1;",
  "class A{}",
  "var a=`b`;",
  "function f(...a){}",
  "function f(a=1){}",
  "var {a}={};",
  "var a={b(){}};",
  "var b=1,a={b};",
  "async function f(){}",
  "function*f(){}",
  "for(var a of []);",
  "var a=2**3;",
  "var b,a=b?.c;",
  "var a=null??1;",
  "var a=1n;",
  "try{}catch{}",
  "a:for(;;)break a;",
  "debugger;",
  "var a=import('b');",
);
rejects("accessor", "var a={get b(){return 1}};", "var a={set b(c){}};");
rejects("array-sparse", "var a=[1,,2];");
rejects("array-new", "var a=new Array(3);");
rejects("regexp", "var a=/b/;");
rejects("character", 'var a="\u2192";', 'var a="\\u0100";');
rejects(
  "global",
  "var a=Symbol;",
  "var a=new Map;",
  "var a=JSON.stringify(1);",
  "var a=new Date;",
  "var a=new DataView(new ArrayBuffer(1));",
  "Promise.resolve();",
  "console.log(1);",
  "setTimeout(function(){},1);",
  "undeclared=1;",
  "function f(){return arguments}",
  "eval('1');",
);
rejects(
  "member",
  "Object.assign({},{});",
  "Object.freeze({});",
  "Object.create(null);",
  "Object.defineProperty({},'a',{});",
  "var a=Math.imul(1,2);",
  "var a=Math.clz32(1);",
  "var a=Math['trunc'](1);",
  "var a=Math.random();",
  "var a=Uint8Array.from([1]);",
  "var a=Array.from([1]);",
  "var a=new Uint8Array(3);a.fill(1);",
  "var a=new Uint8Array(3);a.copyWithin(0,1,2);",
  "var a='b'.startsWith('c');",
  "var a='b'.replace('b','c');",
);
rejects(
  "order",
  "f();function f(){}",
  "var b=a;var a=1;",
  "function f(){return g();function g(){}}",
  "var b=function(){return a}();var a=1;",
  "function f(b){if(b){var a=1}return a}",
  "function f(b){for(;b;)var a=1;return a}",
  "function f(b){switch(b){case 1:var a=1;break;case 2:return a}}",
  "if(true){function f(){}}",
);
rejects(
  "catch",
  "function f(a){try{a()}catch(a){}}",
  "function f(){var a;try{a=1}catch(a){}}",
  "var a=1;function f(){try{f()}catch(a){}return a}",
  "var a=1;function f(){try{f()}catch(a){}return function(){return a}}",
);

test("what the engines share passes", (t) => {
  const script =
    "var anystack=function(x){function A(b){this.b=b}function f(c){return g(c)+late}function g(c){var d,i;" +
    "for(d=0,i=0;i<c.length;i++)d+=c[i];try{d=h(d)}catch(e){d=e.code}try{d=h(d)}catch(e){return function(){return e}}" +
    "return d}var late,h=function n(c){return c>9?n(c-1):c};late=new Uint8Array(Math.min(4,8)),A.prototype.find=function(){" +
    "for(var k in this)if(this.hasOwnProperty(k))return k;return void 0};x.f=f;x.g=new A([1].indexOf(1)).find();" +
    "return x}({});";
  t.deepEqual(checkBundle(script), []);
});

test("a global is allowed when the host provides it", (t) => {
  t.deepEqual(checkBundle("transmit(1);", ["transmit"]), []);
});

test("what the chain makes of classes, defaults, closures and catch passes", async (t) => {
  const source = `
    export class Box { size = 1; constructor(readonly name: string) {} grow(by = 1) { return \`\${this.name}\${(this.size += by)}\`; } }
    export function each(list: readonly { run?: (n: number) => void }[]) {
      const calls = [];
      for (const one of list) calls.push(() => one.run?.(list.length ?? 0));
      for (let i = 0; i < calls.length; i++) { const call = calls[i]!; try { call(); } catch (e) { late((e as Error).message); } }
    }
    function late(e: string) { return e.length > LIMIT ? new Box(e) : null; }
    const LIMIT = 3;`;
  const { code } = await bundle("stack/core/snippet.ts", { source });
  t.deepEqual(checkBundle(code), []);
});

test("the chain refuses what needs a compiler helper", async (t) => {
  const lower = (source: string) => bundle("stack/core/snippet.ts", { source });
  await t.throwsAsync(lower("export const f = (a: number[]) => [...a, 1];"), { message: /__spreadArray/ });
  await t.throwsAsync(lower("export const f = (a: object) => ({ ...a, b: 1 });"), { message: /__assign/ });
  await t.throwsAsync(lower("export class A extends Array<number> {}"), { message: /__extends/ });
  await t.throwsAsync(lower("export async function f() {}"), { message: /__awaiter/ });
  await t.throwsAsync(lower("export class A { #b = 1; c() { return this.#b; } }"), {
    message: /__classPrivateField/,
  });
});

for (const [helper, source] of Object.entries({
  __extends: "class A {} class B extends A {}",
  __assign: "var a = {}, b = { ...a, c: 1 };",
  __spreadArray: "var a = [1], b = [...a, 2];",
  __rest: "var { a, ...b } = { a: 1, c: 2 };",
  __generator: "function* f() { yield 1; }",
  __awaiter: "async function f() { await 1; }",
  __values: "for (var a of [1]);",
  __read: "var [a] = [1];",
  __makeTemplateObject: "function f(a, b) {} f`a${1}b`;",
})) {
  test(`the text of the compiler's ${helper} is rejected`, (t) => {
    const target = ts.ScriptTarget.ES5;
    const options = { target, downlevelIteration: true, ignoreDeprecations: "6.0", alwaysStrict: false };
    const { outputText } = ts.transpileModule(source, { compilerOptions: options });
    t.true(outputText.includes(helper), outputText);
    t.not(rules(outputText).length, 0);
  });
}

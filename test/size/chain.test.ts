/** The closed mode's steps on small scripts: what becomes a variable, what goes, and above all what must stay. */
import test from "ava";
import { inlineConstants } from "../../ports/bare/chain/constants.js";
import { withoutFixed } from "../../ports/bare/chain/fixed.js";
import { inlineOnce } from "../../ports/bare/chain/inline.js";
import { foldNames } from "../../ports/bare/chain/members.js";
import { polish } from "../../ports/bare/chain/polish.js";
import { singleInstances } from "../../ports/bare/chain/single.js";
import { withoutUnused } from "../../ports/bare/chain/unused.js";

/** The script as rollup wraps it, and what its `run` returns. */
const script = (body: string) =>
  `var anystack = (function (exports) {\n${body}\nexports.run = run;\nreturn exports;\n})({});`;
const run = (code: string): unknown => (new Function(`${code}; return anystack.run();`) as () => unknown)();
const none = new Set<string>();

const BOX = `
class Box { constructor(n) { this.count$Box = n; } add$Box(by) { this.count$Box += by; return this; } get$Box() { return this.count$Box; } }
function box(n) { return new Box(n); }`;

test("an object that is made once goes: its fields are variables, its methods functions", (t) => {
  const code = singleInstances(
    script(`${BOX}\nfunction run() { const b = box(2); b.add$Box(3); return b.get$Box(); }`),
    none,
  );
  t.false(/\.count\$Box|\.get\$Box|\.add\$Box/.test(code), code);
  t.is(run(code), 5);
});

test("objects that may be made twice stay", (t) => {
  for (const body of [
    "function run() { const a = box(1), b = box(2); a.add$Box(5); return a.get$Box() * 10 + b.get$Box(); }",
    "function run() { const l = []; for (let i = 1; i < 3; i++) l.push(box(i)); l[0].add$Box(5); return l[0].get$Box() * 10 + l[1].get$Box(); }",
    "function run() { const f = (n) => box(n), a = f(1), b = f(2); a.add$Box(5); return a.get$Box() * 10 + b.get$Box(); }",
    "function run(again) { if (again) return box(2); const b = run(true), a = new Box(1); a.add$Box(5); return a.get$Box() * 10 + b.get$Box(); }",
  ]) {
    const code = singleInstances(script(BOX + body), none);
    t.true(code.includes(".count$Box"), code);
    t.is(run(code), 62, body);
  }
});

test("a function in a field gets its object", (t) => {
  const code = singleInstances(
    script(
      "function get() { return this.n$P; }\nclass P { constructor() { this.n$P = 4; this.get$P = get; } }\n" +
        "function run() { const p = new P(); return p.get$P(); }",
    ),
    none,
  );
  t.is(run(code), 4);
});

test("a second object is refused", (t) => {
  const code = singleInstances(script(`${BOX}\nfunction run() { return box(1).get$Box; }`), none);
  const twice = new Function(`${code}; anystack.run(); anystack.run();`);
  t.throws(twice as () => void, { message: /EBUSY/ });
});

test("a local variable of a function's name is not that function", (t) => {
  const code = singleInstances(
    script(
      `${BOX}\nfunction other(box) { return box + 1; }\nfunction run() { const b = box(other(1)); return b.get$Box(); }`,
    ),
    none,
  );
  t.false(code.includes(".count$Box"), code);
  t.is(run(code), 2);
});

test("fields that nobody reads go with what raises them, unless something lists them", (t) => {
  const body =
    "class C { constructor() { this.lost = 0; this.kept = 1; } }\nfunction run() { const c = new C(); c.lost++; c.lost += 2;";
  t.false(withoutUnused(script(`${body} return c.kept; }`), none).includes("lost"));
  t.true(withoutUnused(script(`${body} return c.lost; }`), none).includes("lost"));
  t.true(
    withoutUnused(script(`${body} let n = 0; for (const k in c) n += c[k]; return n; }`), none).includes(
      "lost",
    ),
  );
  t.true(withoutUnused(script(`${body} return c["lost"]; }`), none).includes("lost"));
});

test("parameters that are always the same, and options that nobody gives", (t) => {
  const code = withoutUnused(
    script(
      "function limit(n, low, high) { return n < low ? low : n > high ? high : n; }\n" +
        "function make(options = {}) { return limit(options.ttl || 64, 1, 255); }\nfunction run() { return make() + limit(7, 1, 255); }",
    ),
    none,
  );
  t.false(code.includes("options.ttl"), code);
  t.regex(code, /limit\(7\)/);
  t.is(run(code), 71);
});

test("an empty object that is filled elsewhere is not empty", (t) => {
  const code = withoutUnused(
    script(
      "function fill(info) { info.port = 7; }\nfunction run() { const info = {}; fill(info); return info.port; }",
    ),
    none,
  );
  t.is(run(code), 7);
});

test("a name that is mentioned without its class is every class's", (t) => {
  const code = foldNames(
    script("function run(x, y) { return x.a$One + y.a + x.b$One + x.c$Library; }"),
    () => false,
    () => false,
  );
  t.true(code.includes("x.a + y.a + x.b$One + x.c;"), code);
});

test("a name of the API that is mentioned often has a short one beside it, unless it is put into", (t) => {
  const fold = (rest: string, ours: boolean) =>
    foldNames(
      script(
        `class Box { constructor() { this.contents$Box = [1, 2]; } }\nfunction run() { const b = new Box(), list = []; ` +
          `for (let i = 0; i < b.contents$Box.length; i++) list.push(b.contents$Box[i]); ${rest}` +
          `return list.concat(b.contents$Box, b.contents$Box, b.contents$Box, b.contents$Box, b.contents$Box)["length"] + b.contents.length; }`,
      ).replace("b.contents.length", "b[['contents'][0]].length"),
      () => true,
      () => ours,
    );
  t.true(fold("", true).includes("this.contents$Box = this.contents = [1, 2]"));
  t.is(run(fold("", true)), 14);
  t.false(fold("", false).includes("$"));
  t.false(fold("b.contents$Box = []; ", true).includes("$"));
});

test("a number that has a name stands where the name was, unless it changes or is long", (t) => {
  const code = inlineConstants(
    script(
      "var AT = 4, END = AT + 8, HUGE = 4294967295, LOW = -1, n = 3, text = 'AT';\n" +
        "function step() { n++; return n; }\nfunction mine(AT) { return AT; }\n" +
        "function run() { return [AT, END << 1, HUGE, HUGE, 5 - LOW, step(), step(), mine(9), text].join(); }",
    ),
  );
  t.regex(code, /\[4, 12 << 1, HUGE, HUGE, 5 - \(-1\), step\(\)/);
  t.is(run(code), "4,24,4294967295,4294967295,6,4,5,9,AT");
});

test("what is mentioned most is declared first", (t) => {
  const code = polish(
    script(
      "function seldom(){return often()}function often(){return count}var other=1;function run(){count=often()||1;return often()+seldom()+other}var none,count;",
    ),
  );
  t.regex(code, /var count,none;function often.*function seldom|var count;function often.*var none;/);
  t.is(run(code), 3);
});

test("equal values are assigned together, unless one assignment changes where another goes", (t) => {
  const body = (text: string) => script(`var a,b,c;function run(){${text}}`);
  const together = polish(body("a={},a.x=0,a.y=null,a.z=0,a.w=null;return a.x+[a.y,a.z,a.w].join()"));
  t.true(together.includes("a.x=a.z=0,a.y=a.w=null"), together);
  t.is(run(together), "0,0,");
  // The value of the whole stays the last one's.
  t.is(run(polish(body("a={};return a.x=1,a.y=2,a.z=1"))), 1);
  t.is(run(polish(body("b={x:5},a={};a.x=0,a=0,c=0;return b.x+a"))), 5);
  t.is(run(polish(body("b=a={b:{x:5}};c=b.b;b.b=0,b.b.x=0;return c.x"))), 5);
});

test("what misuse is told by stands once", (t) => {
  const code = polish(
    script(
      'function fail(c,w){throw new Error(c+w)}function run(n){if(n!==undefined)fail("EINVAL","a");if(n===7)fail("EINVAL","b");if(n===8)fail("EINVAL","c");return [n,"EINVAL"].join()}',
    ),
  );
  t.is(code.split('"EINVAL"').length, 3, code);
  t.true(code.includes("n!==void 0"));
  t.is(run(code), ",EINVAL");
});

test("a variable is declared above its use", (t) => {
  const code = polish(
    script("function run(){return f(function(){return x=2})||x;var x}function f(g){return g()}"),
  );
  t.regex(code, /function run\(\)\{var x;return/);
  t.is(run(code), 2);
});

const SEAM = `
class Net { constructor() { this.filter$Net = null; this.trace$Net = false; this.count$Net = 0; } }
function input(net) { net.count$Net++; if (net.filter$Net && !net.filter$Net.pass(net)) return "dropped"; return net.trace$Net ? "traced" : net.filter$Net === null ? "in" : "out"; }`;

test("a seam that nobody uses goes", (t) => {
  const code = withoutFixed(script(`${SEAM}\nfunction run() { return input(new Net()); }`), none);
  t.false(/dropped|traced|\.pass|"out"/.test(code), code);
  t.is(run(code), "in");
});

test("a seam that somebody uses stays, by whatever way", (t) => {
  for (const use of [
    "net.filter$Net = { pass() { return false; } };",
    "const f = { pass() { return false; } }; let g = net.filter$Net = f;",
    "fill(net); function fill(x) { x.filter$Net ||= { pass() { return false; } }; }",
  ]) {
    const code = withoutFixed(
      script(`${SEAM}\nfunction run() { const net = new Net(); ${use} return input(net); }`),
      none,
    );
    t.is(run(code), "dropped", code);
  }
  // Members of objects that are written otherwise, or whose names others use.
  const literal = script(
    `${SEAM}\nfunction run() { return input({ filter$Net: { pass() { return false; } }, trace$Net: true, count$Net: 1 }); }`,
  );
  t.is(run(withoutFixed(literal, none)), "dropped");
  const late = script(
    `${SEAM}\nfunction run() { const net = new Net(); net.trace$Net = true; return input(net); }`,
  );
  t.is(run(withoutFixed(late, none)), "traced");
  t.true(withoutFixed(late, new Set(["filter$Net"])).includes("dropped"));
});

test("a function that is called at one place stands there, whatever way it returns", (t) => {
  for (const [body, value] of [
    ["function f(x) { if (x > 2) return; n += x; } function run() { f(1); return n; }", 1],
    [
      "function f(x) { if (x > 2) { n = 9; return; } else n += x; n *= 2; } function run() { for (let i = 1; i < 4; i++) f(i); return n; }",
      9,
    ],
    [
      "function f(x) { for (let i = 0; i < 5; i++) if (x[i] === 3) return i; return -1; } function run() { const at = f([1, 3]); return at + n; }",
      1,
    ],
    [
      "function f(x) { for (let i = 0; i < 5; i++) if (x[i] === 7) return i; return -1; } function run() { const l = [1]; if (f(l) < 0 && g(l, 2)) n = 4; return n; } function g(l, k) { if (!l) return false; l.push(k); return l.length === k; }",
      4,
    ],
    [
      "function f(x) { x = x + 1; if (x > 5) return x; return -x; } function run() { const x = 5; return x + f(x) + x; }",
      16,
    ],
    [
      "function f(x) { const n = x * 2; return [n, () => n]; } function run() { const n = 3, l = f(n); return l[0] + l[1]() + n; }",
      15,
    ],
    [
      "function f(x) { while (x) { if (x === 3) return x; x--; } return 0; } function run() { return n ? 8 : f(5); }",
      3,
    ],
    ["function f(x) { n = 5; return x; } function run() { let r = n + f(2); r += n || f(1); return r; }", 7],
    [
      "function f(x) { n = x; return x; } function g() { return { n: 1 }; } function run() { const o = g(); return o.n + f(2) + n; }",
      5,
    ],
    [
      "function f(a, b = 3) { if (a) return b; return a; } function run() { const l = []; for (let i = 0; i < 3; i++) { const k = f(i); l.push(() => k); } return l[0]() + l[1]() + l[2](); }",
      6,
    ],
    [
      "function f(a, b) { return [a, b, a + b]; } function run() { let i = 1; const l = f(i, i++); return l.join() + i; }",
      "1,1,22",
    ],
    [
      "function f(l, k) { return l.filter((e) => e > k).length; } function run() { const e = 2; return f([1, 2, 3], e); }",
      1,
    ],
    [
      "function f(x) { const value = [x]; if (x > 8) return false; for (let i = 0; i < value.length; i++) if (value[i] !== x) return false; return true; } function run() { if (!f(3)) n = 1; else n = 2; return n; }",
      2,
    ],
    [
      "function f(x) { for (let i = 0; i < 5; i++) { if (x[i] > n) { n = x[i]; return; } if (x[i] < 0) return g(i); } n = 3; } function g(i) { n = i - 9; } function h(x) { if (x.length > 1) { n++; f(x); } else n = 2; } function run() { h([0, 8]); const a = n; h([0, -1]); return a + n * 100 + (h([]), n); }",
      -790,
    ],
    [
      "function f(x) { function g() { return x + 1; } return g() + g(); } function run() { return f(2) + 1; }",
      7,
    ],
    [
      "function f(x) { class G { get() { return x; } } return [G, new G()]; } function run() { const l = f(2); return l[1].get(); }",
      2,
    ],
    ["function f(x) { return n + x; } function run() { n = 3; n = n > 5 && f(1); return n; }", false],
    ["function f(x) { return n + x; } function run() { n = 3; n = n < 5 && f(1); return n; }", 4],
    [
      "function f(a, b = a + 1) { if (a) return b; return -b; } function run() { const l = f(4); return l * 2; }",
      10,
    ],
  ] as const) {
    const code = script(`let n = 0;\n${body}`);
    t.is(run(code), value, body);
    t.is(run(inlineOnce(code)), value, `${body}\n${inlineOnce(code)}`);
  }
});

test("a name that means something else where the call is keeps the function out", (t) => {
  const code = script(
    "let n = 1;\nfunction f(x) { if (x) n += x; return n; }\nfunction run() { const n = 5, y = f(n); return y * 10 + n; }",
  );
  t.is(run(inlineOnce(code)), 65);
  t.true(inlineOnce(code).includes("function f"));
});

test("lists that stay empty, objects that are only filled, numbers that never change", (t) => {
  const code = (body: string) =>
    script(
      "class Net { constructor() { this.hooks$Net = []; this.all$Net = {}; this.list$Net = []; this.mark$Net = 0; this.deep$Net = -1; } }\n" +
        "function input(net) { const hooks = net.hooks$Net; let n = 1; for (let i = 0; i < hooks.length; i++) n += hooks[i](n); net.all$Net.x = n; net.list$Net.push(n); " +
        `return net.mark$Net == 0 && net.deep$Net != 0 ? n : "marked"; }\nfunction run() { const net = new Net(); ${body} return input(net); }`,
    );
  const small = (body: string) => withoutFixed(withoutUnused(withoutFixed(code(body), none), none), none);
  t.false(/hooks\$|all\$|list\$|mark|deep/.test(small("")), small(""));
  t.is(run(small("")), 1);
  t.is(run(small("net.hooks$Net.push((n) => n + 5);")), 7);
  t.is(run(small("add(net.hooks$Net); function add(list) { list[0] = () => 2; }")), 3);
  t.is(run(small("net.mark$Net = 2;")), "marked");
  t.is(run(small("net.deep$Net++;")), "marked");
  t.is(run(small("net.list$Net.push(4); if (net.list$Net.length != 1) net.mark$Net = 1;")), 1);
  t.true(small("net.all$Net.y = 1; if (net.all$Net.y) net.mark$Net = 1;").includes("all$Net"));
});

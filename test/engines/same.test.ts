/** The same bundle in every engine: the vectors of all parsers, thousands of broken inputs, and conversations byte for byte. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { checkBundle } from "../profile/bundle.js";
import { ENGINES, have, runScripts } from "./engines.js";
import type { Engine } from "./engines.js";
import { difference, scriptLine, summary } from "./verdict.js";
import { VECTORS } from "./vectors.js";
import { bundle } from "../support/bundle.js";

const program = bundle("test/engines/program/index.ts").then(({ code }) => code);

/** Calls one of the bundle's functions and returns what it prints. */
const call = async (engine: Engine, expression: string) =>
  runScripts(engine, [await program, `anystack.${expression};`]);

const reference = ENGINES[0]!;
const results = new Map<string, Promise<string[]>>();

/** What V8 prints: asked once. */
function expected(expression: string): Promise<string[]> {
  const known = results.get(expression) ?? call(reference, expression);
  results.set(expression, known);
  return known;
}

/** Fails with the first line in which an engine differs from V8, and where in it. */
function compare(t: ExecutionContext, lines: string[], from: string[]): void {
  t.is(difference(lines, from), null);
}

test("the bundle keeps to the profile", async (t) => {
  t.deepEqual(checkBundle(await program, []), []);
});

const vectors = `vectors(${JSON.stringify(VECTORS.map(scriptLine))}, print)`;
// Every fourth vector is material enough; each is broken in many ways.
const good = VECTORS.filter(({ kind }, i) => i % 4 === 0 || kind.startsWith("d")).map(scriptLine);
const mutations = `mutations(${JSON.stringify(good)}, 40, 2026, print)`;

test("vectors: names are told once", (t) => {
  t.is(new Set(VECTORS.map(({ kind, name }) => `${kind} ${name}`)).size, VECTORS.length);
});

for (const engine of ENGINES) {
  test.serial(`${engine.name}: ${VECTORS.length} vectors`, async (t) => {
    if (!(await have(t, engine))) return;
    const lines = await call(engine, vectors);
    t.is(lines.length, VECTORS.length);
    VECTORS.forEach((vector, i) => t.is(summary(vector, lines[i]!), vector.expect, vector.name));
    compare(t, lines, await expected(vectors));
  });
}

for (const engine of ENGINES.slice(1)) {
  test.serial(`${engine.name}: ${good.length * 40} broken inputs end as in V8`, async (t) => {
    if (await have(t, engine)) compare(t, await call(engine, mutations), await expected(mutations));
  });

  for (const family of [4, 6]) {
    for (const seed of [7, 8]) {
      test.serial(`${engine.name}: conversation over IPv${family}, seed ${seed}: V8's trace`, async (t) => {
        const conversation = `conversation${family}(${seed}, print)`;
        if (await have(t, engine)) compare(t, await call(engine, conversation), await expected(conversation));
      });
    }
  }
}

for (const family of [4, 6]) {
  test.serial(`the conversation over IPv${family} is a whole one`, async (t) => {
    const lines = await expected(`conversation${family}(7, print)`);
    for (const line of ["end after 40000, wrong 0", "closed 0", "datagram 2000", "chunks 0 0"]) {
      t.true(lines.includes(line), line);
    }
    if (family === 4) t.true(lines.includes("bound 10.0.0.2") && lines.includes("found 0 10.0.0.1"));
    t.regex(lines.at(-3)!, /tcp\.retransmitted=/);
    t.true(lines.some((line) => line.startsWith("pong")));
  });
}

test("the first packet that differs is shown", async (t) => {
  const lines = ["0 4 0800aabb", "10 4 0800ccdd", "20 4 0800eeff"];
  t.is(difference(lines, lines), null);
  const other = [lines[0]!, "10 4 0800ccde", "x"];
  t.is(difference(other, lines), "line 1, column 12:\n10 4 0800ccde\n10 4 0800ccdd is V8's");
  t.is(difference(lines.slice(0, 2), lines), "line 2, column 0:\n(nothing)\n20 4 0800eeff is V8's");
  t.is(difference(lines, lines.slice(0, 2)), "line 2, column 0:\n20 4 0800eeff\n(nothing) is V8's");
});

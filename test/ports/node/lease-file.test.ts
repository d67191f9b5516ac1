/** The store of leases in a file: kill -9 between any two appends, torn lines, compaction, a disk that is full. */
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { leaseFile } from "../../../ports/node/index.js";
import { ROOT } from "../../support/files.js";

function scratch(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), "anystack-leases-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return join(folder, "leases");
}

function load(path: string): string[] {
  const store = leaseFile(path);
  const records: string[] = [];
  store.load((record) => records.push(record));
  store.close();
  return records;
}

test("records come back in their order; rewriting replaces them", (t) => {
  const path = scratch(t);
  t.deepEqual(load(path), []);
  const store = leaseFile(path, { sync: true });
  t.true(store.append("one"));
  t.true(store.append("two"));
  t.deepEqual(load(path), ["one", "two"]);
  t.true(store.rewrite(["three"]));
  t.true(store.append("four"));
  t.deepEqual(load(path), ["three", "four"]);
  t.false(existsSync(path + ".new"));
  t.true(Math.abs(store.time!() - Date.now() / 1000) < 2);
  store.close();
});

test("a line that was cut is left out, and the next record does not hang on to it", (t) => {
  const path = scratch(t);
  writeFileSync(path, "one\ntw");
  const store = leaseFile(path);
  const records: string[] = [];
  store.load((record) => records.push(record));
  t.deepEqual(records, ["one"]);
  t.true(store.append("three"));
  store.close();
  t.deepEqual(load(path), ["one", "tw", "three"]);
  appendFileSync(path, "x".repeat(2000) + "\n");
  t.is(load(path).length, 3);
});

test("a store that cannot write says so", (t) => {
  const store = leaseFile("/dev/full");
  t.false(store.append("one"));
  t.false(store.append("two"));
  store.close();
  t.throws(() => leaseFile("/nowhere/leases"), { code: "ENOENT" });
});

test("what was appended is there after kill -9", async (t) => {
  const path = scratch(t);
  const script = `
    import { leaseFile } from ${JSON.stringify(join(ROOT, "ports/node/index.ts"))};
    const store = leaseFile(process.argv[2]);
    let n = 0;
    for (;;) {
      if (n % 100 === 99) store.rewrite(["base " + n]);
      else store.append("record " + n);
      process.stdout.write(n++ + "\\n");
      if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }`;
  const program = path + ".mts";
  writeFileSync(program, script);
  const child = spawn(process.execPath, ["--import", "tsx", program, path], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  const dead = new Promise((resolve) => child.once("close", resolve));
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    if (said.length > 5000) child.kill("SIGKILL");
  });
  await dead;
  const last = Number(said.trim().split("\n").at(-1));
  const records = load(path);
  t.is(readFileSync(path, "latin1").at(-1), "\n");
  // It may have got further than it could say.
  t.true(Number(records.at(-1)!.split(" ")[1]) >= last, `${records.at(-1)} after ${last}`);
  const numbers = records.map((record) => Number(record.split(" ")[1]));
  t.deepEqual(
    numbers,
    numbers.map((_, i) => numbers[0]! + i),
  );
});

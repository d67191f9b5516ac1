/** The classes in another engine: the program (program.ts) prints the same there. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { bundle } from "../../../rollup.config.js";
import { ROOT } from "../../support/files.js";
import { need } from "../../support/need.js";
import { run } from "./program.js";

test("the classes do the same in V8 and in Duktape", async (t) => {
  if (!need(t, { programs: ["duk"] })) return;
  const lines: string[] = [];
  run((line) => lines.push(line));
  t.deepEqual(lines, [
    "eth0 500 10.0.0.1 02:00:00:00:00:01",
    "two.test 10.0.0.2",
    "time is asked by 10.0.0.1",
    "datagrams 1 echo",
    lines[4]!,
    "listener 1",
    "server 5 hello",
    "client 14 you said hello",
    "client ends well",
    "closed: EBADF",
  ]);
  t.regex(lines[4]!, /^time 17\d{11}$/);
  const { code } = await bundle(join(ROOT, "test/ports/ecma419/program.ts"), { name: "program" });
  const folder = mkdtempSync(join(tmpdir(), "ecma419-"));
  try {
    const file = join(folder, "program.js");
    writeFileSync(file, `${code};program.run(function(line){print(line)});`);
    t.deepEqual(execFileSync("duk", [file], { encoding: "utf8" }).trim().split("\n"), lines);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

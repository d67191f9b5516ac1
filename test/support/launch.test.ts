import { spawnSync } from "node:child_process";
import test from "ava";
import { ROOT } from "./files.js";

const launch = (...parameters: string[]) =>
  spawnSync(process.execPath, ["examples/launch.js", ...parameters], { cwd: ROOT, encoding: "utf8" });

test("a program gets its own path and its parameters", (t) => {
  const { status, stdout } = launch("test/interop/run.ts", "--list");
  t.is(status, 0);
  t.regex(stdout, /^ipv4 /m);
});

test("the exit code is the program's", (t) => {
  t.is(launch("test/interop/run.ts", "no-such-suite").status, 2);
});

test("a program that is not there is named", (t) => {
  const { status, stderr } = launch("examples/nothing.ts");
  t.is(status, 2);
  t.regex(stderr, /examples\/nothing\.ts/);
});

import test from "ava";
import { countAva, digest, runProgram } from "./ava.js";

test("the closing lines of ava are counted", (t) => {
  const output =
    "\n  ✔ a › one (1.2s)\n  ✘ [fail]: a › two\n  ✔ a › three\n  ─\n\n  a › two\n\n  5 tests passed\n\n  ─\n\n";
  t.deepEqual(countAva(output + "  2 tests failed\n  1 test skipped\n  3 tests todo\n"), {
    passed: 2,
    failed: 2,
    skipped: 4,
  });
  t.deepEqual(countAva("  ✔ a\n  ✔ b\n  ─\n\n  1 test passed\n  1 known failure\n"), {
    passed: 2,
    failed: 0,
    skipped: 0,
  });
});

test("crashes and rejections count as failures", (t) => {
  const closing =
    "  ✔ a\n  ─\n\n  1 test passed\n  1 uncaught exception\n  2 unhandled rejections\n  1 hook failed\n";
  t.deepEqual(countAva(closing), { passed: 1, failed: 4, skipped: 0 });
});

test("a program counts as one check", async (t) => {
  t.like(await runProgram("tsc", ["--version"]), { passed: 1, failed: 0 });
  t.like(await runProgram("tsc", ["--noSuchOption"]), { passed: 0, failed: 1 });
});

test("of a failure the marks and what is said of it are told, within bounds", (t) => {
  const closing = "  ─\n\n  two\n\n  Difference:\n\n  ─\n\n  1 test failed\n";
  t.is(
    digest(`  ✔ one\n    ℹ a note\n  ✘ [fail]: two\n  ◌ three\n${closing}`),
    "✘ [fail]: two\n  ◌ three\n  two\n  Difference:\n  1 test failed",
  );
  t.is(digest("error TS1: no\n"), "error TS1: no");
  t.is(digest("x".repeat(7000)).length, 6000 + "\n[...]".length);
});

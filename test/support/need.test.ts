import test from "ava";
import { findProgram, missing } from "./need.js";

test("what is there is found", (t) => {
  t.regex(findProgram("sh") ?? "", /\/sh$/);
  t.deepEqual(missing({ programs: ["sh"], files: ["/dev/null"], packages: ["ava"] }), []);
});

test("what is not there is named with the line that installs it", (t) => {
  t.is(findProgram("no-such-program"), null);
  t.deepEqual(
    missing({ programs: ["no-such-program", "sh"], files: ["/no/such/file"], packages: ["no-such-package"] }),
    [
      "no-such-program: apt-get install -y --no-install-recommends no-such-program",
      "the file /no/such/file",
      "no-such-package: npm install",
    ],
  );
});

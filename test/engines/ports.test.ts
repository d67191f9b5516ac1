/** The ports' bundles in every engine: a program for each (test/ports/NAME/program.ts) prints the same lines. */
import test from "ava";
import { checkBundle } from "../profile/bundle.js";
import { ENGINES, have, runScripts } from "./engines.js";
import { bundle } from "../support/bundle.js";

const PROGRAMS: Record<string, (string | RegExp)[]> = {
  espruino: [
    "server: listening on 80",
    "10.0.0.2 says hello",
    "client: connected",
    "server: connection from 10.0.0.2",
    "server: close false",
    "client: received got 5000, left 0, end -1",
  ],
  ecma419: [
    "eth0 500 10.0.0.1 02:00:00:00:00:01",
    "two.test 10.0.0.2",
    "time is asked by 10.0.0.1",
    "datagrams 1 echo",
    /^time 17\d{11}(\.\d+)?$/,
    "listener 1",
    "server 5 hello",
    "client 14 you said hello",
    "client ends well",
    "closed: EBADF",
  ],
};

const bundles = new Map(
  Object.keys(PROGRAMS).map((name) => [name, bundle(`test/ports/${name}/program.ts`, { name: "program" })]),
);

test("Espruino's keeps to the profile", async (t) => {
  const { code } = await bundles.get("espruino")!;
  t.deepEqual(checkBundle(code, ["getTime", "setTime", "setTimeout", "clearTimeout", "E", "print"]), []);
});

for (const engine of ENGINES) {
  for (const [name, expected] of Object.entries(PROGRAMS)) {
    test.serial(`${engine.name}: ${name}`, async (t) => {
      if (!(await have(t, engine))) return;
      const { code } = await bundles.get(name)!;
      const lines = await runScripts(engine, [code, "program.run(print);"]);
      t.is(lines.length, expected.length, lines.join("\n"));
      expected.forEach((want, i) =>
        typeof want === "string" ? t.is(lines[i], want) : t.regex(lines[i]!, want),
      );
    });
  }
}

/** The ten lines of the README: they compile against the stack as it is, and each import is a part of the package. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import ts from "typescript";
import { parts } from "../package/components.js";
import { ROOT } from "../support/files.js";

test("the README's example compiles", (t) => {
  const block = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, "README.md"), "utf8"))![1];
  const source = block.replace(/"anystack(?:\/([^"]*))?"/g, (_, name: string | undefined) => {
    const file = name === undefined ? "stack/index.ts" : (parts().get(name) ?? `${name}/index.ts`);
    return JSON.stringify("../../" + file.replace(/\.ts$/, ".js"));
  });
  const file = join(ROOT, "test/examples/readme-example.ts");
  writeFileSync(file, source);
  t.teardown(() => rmSync(file));
  const { config } = ts.readConfigFile(join(ROOT, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const program = ts.createProgram([file], options);
  const messages = ts
    .getPreEmitDiagnostics(program)
    .map((diagnostic) => ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n"));
  t.deepEqual(messages, []);
});

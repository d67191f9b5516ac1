/** `"sideEffects": false` in package.json is a promise. Rollup, told to trust nothing, must find it kept. */
import { join } from "node:path";
import test from "ava";
import { bundle } from "../../rollup.config.js";
import { filesBelow, ROOT } from "../support/files.js";

/** Bundles modules that are imported and not used; what is left is their effects. */
async function effects(files: string[], source = ""): Promise<{ code: string; modules: string[] }> {
  const imports = files.map((file) => `import "../${file.replace(/\.ts$/, ".js")}";\n`).join("");
  const { code, modules } = await bundle(join(ROOT, "build/nothing.ts"), {
    format: "esm",
    external: ["@noble/", "@peculiar/"], // Optional peers: what they do is theirs.
    source: imports + source,
  });
  return { code: code.trim(), modules: Object.keys(modules) };
}

test("importing anystack alone adds no byte", async (t) => {
  t.deepEqual(await effects(["stack/index.ts"]), { code: "", modules: [] });
});

test("no module of stack/ and hypercall/ does anything when it is imported", async (t) => {
  t.deepEqual(await effects([...filesBelow("stack"), ...filesBelow("hypercall")]), { code: "", modules: [] });
});

test("no module of ports/ does, beside loading what it builds on", async (t) => {
  const { code, modules } = await effects(filesBelow("ports"));
  t.is(code.replace(/import"(node:|@noble\/|@peculiar\/)[a-z0-9/._-]+";/g, ""), "");
  t.deepEqual(modules, []);
});

test("an effect would be seen", async (t) => {
  const { code } = await effects(["stack/index.ts"], "console.log(1);");
  t.is(code, "console.log(1);");
});

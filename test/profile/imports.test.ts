import test from "ava";
import { checkImports } from "./imports.js";

const found = (file: string, specifier: string) =>
  checkImports("/project", file, `import type { A } from "${specifier}";`).map((v) => v.message);

test("stack/ never imports ports/ or examples/", (t) => {
  t.deepEqual(found("stack/tcp/tcp.ts", "../../ports/sim/index.js"), ["stack/tcp imports ports"]);
  t.deepEqual(found("stack/index.ts", "../examples/device/main.js"), ["stack imports examples"]);
});

test("hypercall/ imports nothing", (t) => {
  t.deepEqual(found("hypercall/index.ts", "../stack/core/errors.js"), ["hypercall imports stack/core"]);
  t.deepEqual(found("hypercall/index.ts", "./link.js"), []);
});

test("no package is imported", (t) => {
  t.deepEqual(found("stack/core/stack.ts", "node:fs"), ['stack/core imports the package "node:fs"']);
});

test("a lower room never imports a higher one", (t) => {
  t.deepEqual(found("stack/core/stack.ts", "../wire/ipv4.js"), ["stack/core imports stack/wire"]);
  t.deepEqual(found("stack/link/ethernet.ts", "../ipv4/arp.js"), ["stack/link imports stack/ipv4"]);
  t.deepEqual(found("stack/ipv4/ipv4.ts", "../udp/udp.js"), ["stack/ipv4 imports stack/udp"]);
  t.deepEqual(found("stack/service/dns.ts", "../udp/udp.js"), []);
});

test("the transports know no network, the networks not each other", (t) => {
  t.deepEqual(found("stack/tcp/tcp.ts", "../ipv4/ipv4.js"), ["stack/tcp imports stack/ipv4"]);
  t.deepEqual(found("stack/tcp/tcp.ts", "../udp/udp.js"), ["stack/tcp imports stack/udp"]);
  t.deepEqual(found("stack/ipv6/nd.ts", "../ipv4/ipv4.js"), ["stack/ipv6 imports stack/ipv4"]);
});

test("re-exports count as imports", (t) => {
  const violations = checkImports("/project", "hypercall/index.ts", '\nexport * from "../stack/index.js";');
  t.deepEqual(violations, [
    { file: "hypercall/index.ts", line: 2, rule: "imports", message: "hypercall imports stack" },
  ]);
});

test("a new room must be given its place in the plan", (t) => {
  t.regex(found("stack/attic/a.ts", "../core/errors.js")[0] ?? "", /not in the plan/);
});

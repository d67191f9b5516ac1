/** The published combinations as ES5 scripts: nothing unimported came along, the profile is kept, and the script works. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import test from "ava";
import ts from "typescript";
import { type Hypercalls, HYPERCALL_VERSION, type Link, type LinkReceiver } from "../../hypercall/index.js";
import { parts } from "../package/components.js";
import { checkBundle } from "../profile/bundle.js";
import { bundle } from "../support/bundle.js";
import { ROOT } from "../support/files.js";

const FOLDER = join(ROOT, "test/size/combinations");

/** The files that an entry imports by itself. */
function imports(entry: string): string[] {
  return ts
    .preProcessFile(readFileSync(entry, "utf8"))
    .importedFiles.map(({ fileName }) => relative(ROOT, join(FOLDER, fileName)).replace(/\.js$/, ".ts"));
}

const scripts = new Map<string, ReturnType<typeof bundle>>();

for (const file of readdirSync(FOLDER)) {
  const name = basename(file, ".ts");
  const entry = join(FOLDER, file);
  const script = bundle(entry);
  scripts.set(name, script);

  test(`${name}: only the components that are imported are in the script`, async (t) => {
    const { modules } = await script;
    const present = Object.keys(modules).map((path) => relative(ROOT, path));
    // Of TCP's exchangeable parts the default ones come with it.
    const expected = new Set([...imports(entry), "stack/core/name-servers.ts"]);
    if (expected.has("stack/tcp/tcp.ts"))
      ["congestion", "recovery"].forEach((part) => expected.add(`stack/tcp/${part}.ts`));
    // Autoconfiguration asks for duplicate address detection by its class.
    if (expected.has("stack/ipv6/slaac.ts")) expected.add("stack/ipv6/dad.ts");
    const components = new Set(parts().values());
    t.deepEqual(
      present.filter((path) => components.has(path) && !expected.has(path)),
      [],
    );
    t.true(present.includes("stack/core/stack.ts"));
  });

  test(`${name}: the script keeps to the profile`, async (t) => {
    t.deepEqual(checkBundle((await script).code), []);
  });
}

/** What the script answers to an ARP request, and how it makes a stack. */
function resolved(code: string) {
  const sent: number[][] = [];
  let receiver: LinkReceiver | undefined;
  const host: Hypercalls = {
    version: HYPERCALL_VERSION,
    now: () => 0,
    random: (target) => target.fill(7) === target,
    wake: () => {},
  };
  const link: Link = {
    medium: "ethernet",
    mtu: 1500,
    mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    open: (above) => void (receiver = above),
    transmit: (frame, start, end) => sent.push(Array.from(frame.subarray(start, end))) && 0,
    close: () => {},
  };
  const script = new Function(`${code}; return anystack;`)() as typeof import("./combinations/udp4.js");
  const start = () => script.start(host, link, "10.0.0.2/24");
  const sockets = start();
  sent.length = 0;

  const sender = [2, 0, 0, 0, 0, 9, 10, 0, 0, 9];
  const request = [0, 1, 8, 0, 6, 4, 0, 1, ...sender, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];
  const frame = Uint8Array.from([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 8, 6, ...request]);
  receiver!.receive(frame, 0, frame.length);
  return { start, sockets, answers: sent.map((bytes) => bytes.slice(0, 42)) };
}

const REPLY = [
  ...[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2],
  ...[2, 0, 0, 0, 0, 1, 10, 0, 0, 2, 2, 0, 0, 0, 0, 9, 10, 0, 0, 9],
];

test("the ES5 script answers ARP", async (t) => {
  const { answers, start } = resolved((await scripts.get("udp4")!).code);
  t.deepEqual(answers, [REPLY]);
  t.notThrows(start);
});

test("a script of one stack has no objects for what is there once, keeps the API's names, and refuses a second stack", async (t) => {
  const { code } = await bundle(join(FOLDER, "udp4.ts"), { single: true });
  t.true(code.length < (await scripts.get("udp4")!).code.length);
  t.deepEqual(checkBundle(code), []);
  const { answers, sockets, start } = resolved(code);
  t.deepEqual(answers, [REPLY]);
  const socket = sockets.open({ port: 7, multicastTtl: 9 });
  t.is(socket.port, 7);
  t.is(socket.sendTo("10.0.0.9", 9, Uint8Array.of(1, 2, 3)), 3);
  t.is(socket.sendTo("192.0.2.1", 9, Uint8Array.of(1, 2, 3)), -101);
  t.throws(start, { message: /EBUSY/ });
});

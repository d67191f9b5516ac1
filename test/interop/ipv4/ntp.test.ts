/** The SNTP client and chrony: the time that it says, and a server that has none itself. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import test from "ava";
import { EPROTO } from "../../../stack/index.js";
import { type NtpTime, ntp } from "../../../stack/service/ntp.js";
import { createHost, KERNEL } from "../support/host.js";

/** Starts chronyd, which leaves the machine's clock alone, with further lines of its configuration. */
async function withChrony(t: ExecutionContext, lines: string[]) {
  const client = ntp({ servers: [KERNEL], interval: 0 });
  const host = await createHost(t, { components: [client] });
  const folder = mkdtempSync(join(tmpdir(), "chrony-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "chrony.conf");
  const all = [
    "allow all",
    "cmdport 0",
    `bindaddress ${KERNEL}`,
    `pidfile ${folder}/pid`,
    `dumpdir ${folder}`,
    ...lines,
  ];
  writeFileSync(file, all.join("\n") + "\n");
  await host.ns.serve("udp", 123, "chronyd", ["-x", "-d", "-u", "root", "-f", file]);
  const ask = () =>
    new Promise<{ code: number; time: NtpTime | null }>((done) =>
      client.query((code, time) => done({ code, time })),
    );
  return { ask, client };
}

test("it says what time it is", async (t) => {
  const { ask, client } = await withChrony(t, ["local stratum 3"]);
  for (let i = 0; i < 3; i++) {
    const { code, time } = await ask();
    const off = time!.time - Date.now();
    t.is(code, 0);
    t.is(time!.stratum, 3);
    t.true(Math.abs(off) <= time!.error + 5, `${off} ms off, ${time!.error} allowed`);
  }
  t.like(client.counters, { sent: 3, received: 3, unmatched: 0 });
});

test("a server without a source is not believed", async (t) => {
  const { ask } = await withChrony(t, []);
  t.is((await ask()).code, EPROTO);
});

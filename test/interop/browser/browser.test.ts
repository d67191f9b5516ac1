/** The port to browsers in Chromium: a page, on a cable to the kernel, with DHCP, ping, and the web both ways. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { LimitedCapture } from "../support/capture.js";
import { describe, examine } from "../support/judge.js";
import { Namespace } from "../support/namespace.js";
import { pingFrom } from "../support/ping.js";
import { bodyFile, serveNginx } from "../support/site.js";
import { bodyHash } from "../support/http.js";
import { openPage } from "./browser.js";
import type { Page } from "./page.js";

declare const globalThis: Page;

const KERNEL = "10.77.0.1";
const LENGTH = 8_000_000;

test("a page gets an address, answers ping, fetches and serves; two stacks talk within the browser, by ESP of Web Crypto", async (t) => {
  t.timeout(120_000);
  const ns = new Namespace();
  t.teardown(() => ns.close());
  const folder = mkdtempSync(join(tmpdir(), "anystack-browser-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "capture.pcapng");
  const writer = new LimitedCapture(file, 8 << 20);
  const { page, errors, url, script } = await openPage(t, ns.name, (link) => writer.around(link, "tap0"));
  ns.ip("address", "add", `${KERNEL}/24`, "dev", "tap0");
  ns.ip("link", "set", "tap0", "up");
  ns.start("dnsmasq", [
    "--no-daemon",
    "--conf-file=/dev/null",
    "--port=0",
    "--no-ping",
    "--dhcp-range=10.77.0.50,10.77.0.60,1h",
    `--dhcp-leasefile=${folder}/leases`,
  ]);

  const address = await page.evaluate((url) => globalThis.start(url), url);
  t.regex(address, /^10\.77\.0\.(5\d|60)$/);
  await pingFrom(t, ns, address, { count: 20, interval: 0.02, size: 1400 });

  bodyFile(folder, LENGTH);
  await serveNginx(ns, KERNEL, folder);
  const fetched = await page.evaluate(
    (address, path) => globalThis.get(address, 8080, path),
    KERNEL,
    `/${LENGTH}`,
  );
  t.is(fetched, bodyHash(LENGTH));
  t.is(await page.evaluate((address) => globalThis.get(address, 81, "/"), KERNEL), "ECONNREFUSED");

  const expected = await page.evaluate((length) => globalThis.serve(80, length), LENGTH);
  const target = join(folder, "answer");
  const curl = await ns.run("curl", ["-sS", "-o", target, `http://${address}/${LENGTH}`]);
  t.is(curl.code, 0, curl.stderr);
  t.is(createHash("sha256").update(readFileSync(target)).digest("hex"), expected);

  const echo = await page.evaluate((script) => globalThis.overPort(script, 2_000_000), script);
  t.deepEqual({ ...echo, packets: 0 }, { same: true, later: true, bad: 0, packets: 0 }, "a worker's echo");
  t.true(echo.packets > 1300);

  const facts = await page.evaluate(() => globalThis.facts());
  t.deepEqual(facts, { accelerated: true, errors: 0, badsum: 0, used: 0 });
  t.deepEqual(errors, []);
  writer.close();
  const { frames, findings } = await examine(file);
  t.true(frames > 1000);
  t.deepEqual(describe(findings), "");
});

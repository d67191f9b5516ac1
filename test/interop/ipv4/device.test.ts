/** `npm start -- --tap`: the device of the example on a kernel interface, as a user reaches it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { need } from "../../support/need.js";
import { Namespace } from "../support/namespace.js";
import { run } from "../support/process.js";
import { pingFrom } from "../support/ping.js";

const START = fileURLToPath(new URL("../../../examples/start.js", import.meta.url));
const PROGRAMS = ["ip", "ping", "curl", "traceroute", "dnsmasq", "tshark"];

test("ping, curl and traceroute reach the device on a TAP; its capture is clean", async (t) => {
  if (!need(t, { root: true, programs: PROGRAMS, files: ["/dev/net/tun"] })) return;
  const folder = mkdtempSync(join(tmpdir(), "anystack-device-"));
  const ns = new Namespace();
  t.teardown(async () => {
    await ns.close();
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, "frames.pcapng");
  const words = [
    "--tap",
    "device0",
    "--address",
    "10.77.0.2/24",
    "--gateway",
    "10.77.0.1",
    "--capture",
    file,
  ];
  const device = ns.start(process.execPath, [START, ...words]);
  await device.until(() => device.output.includes("Ctrl-C"), 60_000);
  ns.ip("address", "add", "10.77.0.1/24", "dev", "device0");
  ns.ip("link", "set", "device0", "up");
  await pingFrom(t, ns, "10.77.0.2", { count: 5 });
  const page = await ns.run("curl", ["-s", "-m", "20", "http://10.77.0.2/"]);
  t.regex(page.stdout, /anystack device/);
  const size = [
    "-s",
    "-m",
    "60",
    "-o",
    "/dev/null",
    "-w",
    "%{size_download}",
    "http://10.77.0.2/bytes?n=5000000",
  ];
  t.is((await ns.run("curl", size)).stdout, "5000000");
  const route = await ns.run("traceroute", ["-n", "-w", "20", "10.77.0.2"]);
  t.regex(route.stdout, / 1 {2}10\.77\.0\.2 /);
  await device.stop();
  const judged = await run("tshark", [
    "-r",
    file,
    "-o",
    "tcp.check_checksum:TRUE",
    "-Y",
    // 0xffff is as right as the 0 that tshark wants (RFC 1071); the kernel sends it, one segment in 65,536.
    "_ws.malformed || (tcp.checksum.status==0 && tcp.checksum!=0xffff)",
  ]);
  t.is(judged.stdout, "");
});

test("the device asks dnsmasq for its address", async (t) => {
  if (!need(t, { root: true, programs: PROGRAMS, files: ["/dev/net/tun"] })) return;
  const ns = new Namespace();
  t.teardown(() => ns.close());
  const device = ns.start(process.execPath, [START, "--tap", "device0", "--dhcp", "--no-capture"]);
  await device.until(() => device.output.includes("Asking"), 60_000);
  ns.ip("address", "add", "10.77.0.1/24", "dev", "device0");
  ns.ip("link", "set", "device0", "up");
  const words = [
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--port=0",
    "--interface=device0",
    "--user=root",
  ];
  ns.start("dnsmasq", [
    ...words,
    "--dhcp-range=10.77.0.50,10.77.0.60,2m",
    "--dhcp-leasefile=/dev/null",
    "--bind-interfaces",
    "--no-ping",
  ]);
  await device.until(() => device.output.includes("serves its page"), 60_000);
  const url = /http:\/\/10\.77\.0\.\d+\//.exec(device.output)![0];
  t.regex((await ns.run("curl", ["-s", "-m", "20", url])).stdout, /anystack device/);
});

/** Router advertisements, and who reads them in Linux: the kernel's autoconfiguration, rdisc6, radvdump, rdnssd. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { routerAdvertiser } from "../../../stack/ipv6/router-advertiser.js";
import type { AdvertisementOptions } from "../../../stack/ipv6/router-advertiser.js";
import { forwarding6 } from "../../../stack/router/forwarding6.js";
import { until } from "../../support/until.js";
import { pingFrom } from "../support/ping.js";
import { GATEWAY6, createServices } from "../support/services.js";

async function advertise(t: ExecutionContext, options: Partial<AdvertisementOptions> = {}) {
  const routers = routerAdvertiser();
  const host = await createServices(t, { components: [routers, forwarding6()] });
  host.ns.sysctl(`net.ipv6.conf.${host.device}.accept_ra`, 1);
  host.ns.sysctl(`net.ipv6.conf.${host.device}.accept_ra_rt_info_max_plen`, 128);
  const advertisement = routers.advertise({ interface: host.nif, interval: 4, ...options });
  const addresses = () => host.ns.ip("-6", "address", "show", "dev", host.device, "scope", "global");
  const routes = () => host.ns.ip("-6", "route", "show", "dev", host.device);
  return { ...host, routers, advertisement, addresses, routes };
}

test("the kernel makes an address, takes routes and MTU, and reaches us; it loses us when we say so", async (t) => {
  const host = await advertise(t, {
    routes: [{ prefix: "fd99::/48", preference: "high" }],
    mtu: 1400,
  });
  await until("address", () => /inet6 fd77:/.test(host.addresses()));
  t.regex(host.addresses(), /valid_lft 5[34]\d\dsec preferred_lft 2[67]\d\dsec/);
  await until("routes", () => /default via fe80/.test(host.routes()));
  t.regex(host.routes(), /fd99::\/48 via fe80.* pref high/);
  t.regex(host.routes(), /default via fe80:.* mtu 1400 .*pref medium/);
  await pingFrom(t, host.ns, GATEWAY6, { interval: 0.2 });
  t.regex(host.ns.ip("-6", "neigh", "show", "dev", host.device), /router/);
  host.advertisement.close();
  await until("farewell", () => !/default|fd99/.test(host.routes()));
});

test("a prefix that goes is deprecated in the kernel, the new one is used", async (t) => {
  const host = await advertise(t);
  await until("address", () => /inet6 fd77:/.test(host.addresses()));
  host.ip6.addAddress(host.nif, "fd78::1/64");
  host.ip6.removeAddress(host.nif, GATEWAY6 + "/64");
  await until("new", () => /inet6 fd78:/.test(host.addresses()));
  await until("old", () => /inet6 fd77:.* deprecated/.test(host.addresses()));
  const { stdout } = await host.ns.run("ping", ["-6", "-c", "1", "fd78::1"]);
  t.regex(stdout, / 0% packet loss/);
});

test("rdisc6 asks and reads; radvdump says the same in radvd's words", async (t) => {
  const host = await advertise(t, {
    interval: 600,
    other: true,
    preference: "high",
    nameServers: [GATEWAY6, "fd77::9"],
    search: ["home.test", "example.org"],
    nat64: "64:ff9b::/96",
  });
  await until("the first", () => host.routers.counters.sent > 0);
  const dump = host.ns.start("radvdump", ["-d", "1"]);
  const { stdout } = await host.ns.run("rdisc6", ["-1", "-w", "4000", host.device]);
  t.regex(stdout, /Stateful other conf\.\s+:\s+Yes/);
  t.regex(stdout, /Router preference\s+:\s+high/);
  t.regex(stdout, /Router lifetime\s+:\s+1800 /);
  t.regex(stdout, /Prefix\s+: fd77::\/64/);
  t.regex(stdout, /Recursive DNS server\s+: fd77::1/);
  t.regex(stdout, /DNS servers lifetime\s+:\s+1800 /);
  t.regex(stdout, /DNS search list\s+: home\.test example\.org/);
  t.true(host.routers.counters.solicitations >= 1);
  await dump.until(/DNSSL home\.test example\.org/);
  t.regex(dump.output, /AdvDefaultPreference high/);
  t.regex(dump.output, /RDNSS fd77::1 fd77::9/);
  t.regex(
    dump.output,
    /prefix fd77::\/64\s*\{\s*AdvValidLifetime 5400;\s*AdvPreferredLifetime 2700;\s*AdvOnLink on;\s*AdvAutonomous on;/,
  );
  await dump.stop();
});

test("rdnssd writes our name servers, and takes out what is over", async (t) => {
  const host = await advertise(t, { nameServers: [GATEWAY6] });
  const file = join(host.folder, "resolv.conf");
  const daemon = host.ns.start("rdnssd", [
    "-f",
    "-u",
    "root",
    "-r",
    file,
    "-p",
    join(host.folder, "pid"),
    "-H",
    "/bin/true",
  ]);
  await daemon.until(() => existsSync(file) && readFileSync(file, "utf8").includes(GATEWAY6));
  host.advertisement.update({ interface: host.nif, interval: 4, nameServers: ["fd77::53"] });
  await daemon.until(() => {
    const text = readFileSync(file, "utf8");
    return text.includes("fd77::53") && !/fd77::1\b/.test(text);
  });
  await daemon.stop();
  t.pass();
});

/** The DHCPv6 client against dnsmasq, Kea and Dibbler, on a host that has no IPv4. */
import { createHmac } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { dad } from "../../../stack/ipv6/dad.js";
import { slaac } from "../../../stack/ipv6/slaac.js";
import { DHCP6_INFORMED, numberInterface } from "../../../stack/service/dhcpv6.js";
import type { Dhcp6Lease } from "../../../stack/service/dhcpv6.js";
import { dhcp6Test } from "../support/dhcpv6.js";
import type { Dhcp6Test } from "../support/dhcpv6.js";

const RANGE = "--dhcp-range=fd77::100,fd77::1ff,64,2m";
const count = (text: string, what: RegExp) => [...text.matchAll(new RegExp(what, "g"))].length;

/** Does the kernel reach the address? Its own is on the link, as an advertisement would say. */
async function reaches(c: Dhcp6Test, address: string): Promise<boolean> {
  c.ip6.addRoute("fd77::/64", { interface: c.nif });
  const { stdout } = await c.ns.run("ping", ["-6", "-c", "1", "-W", "10", address], {
    codes: null,
  });
  return / 0% packet loss/.test(stdout);
}

/* dnsmasq */

test("dnsmasq, stateless: name servers, domains and when to ask again", async (t) => {
  const c = await dhcp6Test(t);
  await c.dnsmasq(
    "--dhcp-range=fd77::,static",
    "--dhcp-option=option6:dns-server,[fd77::53],[fe80::53]",
    "--dhcp-option=option6:domain-search,example.org,lab.example.org",
    "--dhcp-option=option6:information-refresh-time,1h",
  );
  const client = c.open({ stateless: true });
  await c.until(1);
  t.is(client.state, DHCP6_INFORMED);
  t.like(client.lease, {
    addresses: [],
    nameServers: ["fd77::53", "fe80::53%" + c.nif.name],
    search: ["example.org", "lab.example.org"],
    renewTime: 3600,
  });
  t.regex(c.log(), /DHCPINFORMATION-REQUEST/);
  client.close();
});

test("dnsmasq's advertisements set the client going: O for parameters, M for an address", async (t) => {
  for (const [range, addresses] of [
    ["--dhcp-range=fd77::,ra-stateless", 0],
    [RANGE, 1],
  ] as const) {
    const c = await dhcp6Test(t, {
      // The first solicitation of a router comes before there is one, the next one four seconds later.
      speed: 10,
      with: (service) => [
        dad(),
        slaac({ addresses: false, onAdvertisement: (each) => service.advertised(each) }),
      ],
    });
    await c.dnsmasq(range, "--enable-ra", "--dhcp-option=option6:dns-server,[fd77::53]");
    const client = c.open({ auto: true });
    await c.until(1);
    t.is(client.lease!.addresses.length, addresses);
    t.deepEqual(client.lease!.nameServers, ["fd77::53"]);
    client.close();
    await c.stopServer();
  }
});

test("dnsmasq, stateful: the address is tried and used, renewed again and again, and given back", async (t) => {
  const c = await dhcp6Test(t, { components: [dad()], speed: 60 });
  const server = await c.dnsmasq(RANGE, "--dhcp-option=option6:dns-server,[fd77::53]");
  const client = c.open();
  await c.until(1);
  const [{ address, valid }] = client.lease!.addresses as [Dhcp6Lease["addresses"][0]];
  t.regex(address, /^fd77::1[0-9a-f][0-9a-f]$/);
  t.is(valid, 120);
  t.like(client.lease, { renewTime: 60, rebindTime: 105, nameServers: ["fd77::53"] });
  t.true(await reaches(c, address));
  await c.until(3);
  t.is(new Set(c.events).size, 1);
  t.true(count(c.log(), /DHCPRENEW/) >= 2);
  t.notRegex(c.log(), /DHCPRENEW[^]*DHCPSOLICIT/);
  t.true(readFileSync(join(c.folder, "leases"), "utf8").includes(address));
  client.release();
  await server.until(/DHCPRELEASE/);
  await server.until(() => client.closed);
  t.false(readFileSync(join(c.folder, "leases"), "utf8").includes(address));
  t.false(c.ip6.addresses.some(({ origin }) => origin === "dhcpv6"));
});

test("dnsmasq: rapid commit takes two messages", async (t) => {
  const c = await dhcp6Test(t);
  await c.dnsmasq(RANGE);
  const client = c.open({ rapidCommit: true });
  await c.until(1);
  t.is(c.stack.counters.dhcpv6!.sent, 1);
  t.regex(c.log(), /DHCPSOLICIT/);
  t.notRegex(c.log(), /DHCPREQUEST/);
  client.close();
});

test("dnsmasq: a lease of before a restart is confirmed; one of another link is refused, and another address comes", async (t) => {
  const c = await dhcp6Test(t);
  await c.dnsmasq(RANGE);
  const first = c.open();
  await c.until(1);
  const lease = JSON.parse(JSON.stringify(first.lease)) as Dhcp6Lease;
  first.close();
  const again = c.open({ lease });
  await c.until(2);
  t.is(c.events[1], c.events[0]);
  t.regex(c.log(), /DHCPCONFIRM[^]*DHCPRENEW/);
  t.notRegex(c.log(), /DHCPCONFIRM[^]*DHCPSOLICIT/);
  again.close();
  const moved = c.open({
    lease: { ...lease, addresses: [{ address: "fd99::1", preferred: 10, valid: 20 }] },
  });
  await c.until(3);
  t.is(c.events[2], c.events[0]);
  t.regex(c.log(), /DHCPCONFIRM[^]*DHCPCONFIRM[^]*DHCPSOLICIT/);
  moved.close();
});

test("dnsmasq: an address that the kernel has is declined, and another one taken", async (t) => {
  const c = await dhcp6Test(t, { components: [dad()], speed: 10 });
  c.ns.ip("address", "add", "fd77::100/128", "dev", c.device, "nodad");
  c.ns.ip("address", "add", "fd77::101/128", "dev", c.device, "nodad");
  await c.dnsmasq("--dhcp-range=fd77::100,fd77::102,64,2m", "--no-ping", "--dhcp-sequential-ip");
  const client = c.open();
  await c.until(1, 60_000);
  t.deepEqual(c.events, ["bound fd77::102"]);
  t.regex(c.log(), /DHCPDECLINE/);
  t.true(c.stack.counters.dhcpv6!.conflicts! >= 1);
  client.close();
});

test("dnsmasq is gone: the client rebinds, then the lease expires; dnsmasq is back: a new one", async (t) => {
  const c = await dhcp6Test(t, { speed: 60 });
  await c.dnsmasq(RANGE);
  const client = c.open();
  await c.until(1);
  await c.stopServer();
  await c.until(2);
  t.is(c.events[1], "lost -110");
  t.false(c.ip6.addresses.some(({ origin }) => origin === "dhcpv6"));
  await c.dnsmasq(RANGE);
  await c.until(3);
  t.is(c.events[2], c.events[0]);
  client.close();
});

/* Kea */

const POOLS = {
  pools: [{ pool: "fd77::1000 - fd77::10ff" }],
  "pd-pools": [{ prefix: "fd79::", "prefix-len": 40, "delegated-len": 56 }],
  "renew-timer": 12,
  "rebind-timer": 20,
  "preferred-lifetime": 25,
  "valid-lifetime": 40,
};

test("Kea: an address and a prefix, whose subnets number the networks behind; both are renewed and given back", async (t) => {
  const c = await dhcp6Test(t, { components: [dad()], speed: 10 });
  const options = [
    { name: "dns-servers", data: "fd77::53" },
    { name: "domain-search", data: "kea.test" },
  ];
  const server = await c.kea({ ...POOLS, "option-data": options });
  const numbered: string[][] = [];
  const client = c.open({
    prefix: { length: 56 },
    onBound(lease) {
      c.events.push("bound");
      numbered.push(numberInterface(c.ip6, c.nif, lease, 3));
    },
  });
  await c.until(1);
  const lease = client.lease!;
  t.regex(lease.addresses[0]!.address, /^fd77::10[0-9a-f][0-9a-f]$/);
  t.regex(lease.prefixes[0]!.prefix, /^fd79:[^/]*:\/56$/);
  t.like(lease, { renewTime: 12, rebindTime: 20, nameServers: ["fd77::53"], search: ["kea.test"] });
  t.like(lease.prefixes[0], { preferred: 25, valid: 40 });
  t.is(numbered[0]!.length, 1);
  t.true(await reaches(c, lease.addresses[0]!.address));
  await c.until(3);
  t.deepEqual(client.lease!.addresses, lease.addresses);
  t.deepEqual(client.lease!.prefixes, lease.prefixes);
  t.deepEqual(numbered[2], numbered[0]);
  t.true(count(c.log(), /DHCP6_PACKET_RECEIVED.*RENEW/) >= 2, c.log());
  client.release();
  await server.until(/DHCP6_RELEASE_NA/);
  await server.until(/DHCP6_RELEASE_PD/);
  await server.until(() => client.closed);
  numberInterface(c.ip6, c.nif, null, 3);
});

test("Kea: rapid commit where the subnet allows it, four messages where not", async (t) => {
  for (const allowed of [true, false]) {
    const c = await dhcp6Test(t);
    await c.kea({ ...POOLS, "rapid-commit": allowed });
    const client = c.open({ rapidCommit: true, prefix: {} });
    await c.until(1);
    t.is(c.stack.counters.dhcpv6!.sent, allowed ? 1 : 2);
    t.is(client.lease!.prefixes.length, 1);
    client.close();
    await c.stopServer();
  }
});

test("Kea: the cable was pulled: addresses are confirmed, prefixes rebound; a stored prefix as well", async (t) => {
  const c = await dhcp6Test(t);
  await c.kea({
    ...POOLS,
    "renew-timer": 1000,
    "rebind-timer": 1600,
    "preferred-lifetime": 2000,
    "valid-lifetime": 4000,
  });
  const client = c.open({ prefix: {} });
  await c.until(1);
  c.nif.carrier(false);
  await new Promise((resolve) => setTimeout(resolve, 50));
  c.nif.carrier(true);
  await c.until(2);
  t.regex(c.log(), /DHCP6_PACKET_RECEIVED.*REBIND/);
  const lease = JSON.parse(JSON.stringify(client.lease)) as Dhcp6Lease;
  client.close();
  const again = c.open({ prefix: {}, lease });
  await c.until(3);
  t.is(new Set(c.events).size, 1);
  t.is(c.stack.counters.dhcpv6!.sent, 4);
  again.close();
});

test("Kea has forgotten the lease: asked for anew, the same comes; out of prefixes: an address all the same", async (t) => {
  const c = await dhcp6Test(t);
  const long = {
    "renew-timer": 1000,
    "rebind-timer": 1600,
    "preferred-lifetime": 2000,
    "valid-lifetime": 4000,
  };
  await c.kea({ ...POOLS, ...long, "pd-pools": [] });
  const client = c.open({ prefix: {} });
  await c.until(1);
  t.is(client.lease!.prefixes.length, 0);
  await c.stopServer();
  await c.kea({ ...POOLS, ...long });
  client.renew();
  await c.until(2);
  t.is(client.lease!.prefixes.length, 1, "there are prefixes now");
  t.true(c.events[1]!.startsWith(c.events[0]!));
  client.close();
});

/* Dibbler: Kea and dnsmasq send no Reconfigure */

test("Dibbler renumbers: its Reconfigure, which the key proves, makes the client renew", async (t) => {
  const hmac = (key: Uint8Array, message: Uint8Array) => createHmac("md5", key).update(message).digest();
  const c = await dhcp6Test(t, { dhcp: { hmac } });
  const settings = (pool: string) => `
    reconfigure-enabled 1
    iface "${c.device}" { T1 1000 T2 1600 prefered-lifetime 2000 valid-lifetime 3000 class { pool ${pool} } }`;
  const server = await c.dibbler(settings("fd77::5:0/112"));
  const client = c.open();
  await c.until(1);
  t.truthy(client.key, c.log());
  // It writes its memory after it has answered.
  const memory = join(c.folder, "state/server-AddrMgr.xml");
  const { address } = client.lease!.addresses[0]!;
  await server.until(() => {
    const text = existsSync(memory) ? readFileSync(memory, "utf8") : "";
    return text.includes(address) && text.includes("</AddrMgr>");
  });
  await c.stopServer();
  await c.dibbler(settings("fd77::6:0/112"));
  await c.until(2);
  t.regex(c.log(), /Sending RECONFIGURE/);
  t.regex(c.events.join(), /^bound fd77::5:[0-9a-f]+,bound fd77::6:[0-9a-f]+$/);
  t.like(c.stack.counters.dhcpv6, { reconfigureRefused: 0, expired: 0 });
  client.close();
});

/** The gateway's configuration: what is wrong is told with its line, the example that is given is right, and all of it can be put into force. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { parseConfig } from "../../examples/gateway/config.js";
import { rulesOf } from "../../examples/gateway/parts/rules.js";
import { startGateway } from "../../examples/gateway/gateway.js";
import { report } from "../../examples/gateway/site.js";
import { KEYS, LAN, MISTAKES, file } from "./gateway-mistakes.js";
import { memoryCable } from "../../ports/node/index.js";
import { ConfigError, parseJson } from "../../examples/gateway/json.js";
import { compile } from "../../stack/filter/rules.js";

test("the example is good, and what is left out has defaults", (t) => {
  const config = parseConfig(readFileSync("examples/gateway/gateway.json", "utf8"));
  t.deepEqual(config.wan[0].link, { uplink: { loopback: false } });
  t.is(config.lan[0].reservations[0].name, "printer");
  const readme = readFileSync("examples/gateway/README.md", "utf8");
  const [shown, second] = [...readme.matchAll(/```json\n([^]*?)```/g)].map(([, text]) => parseConfig(text));
  t.is(second.policy.length, 3);
  t.notThrows(() => compile(rulesOf(second)));
  t.is(shown.wireguard[0].peers[0].keepalive, 25);
  t.notThrows(() => compile(rulesOf(shown)));
  const short = parseConfig(file(""));
  t.like(short, { domain: "home.arpa", statusPort: 80, flows: 16384, pingFromOutside: true });
  t.like(short.wan[0], { ipv4: "dhcp", ipv6: "auto", upload: 0 });
  t.notThrows(() => compile(rulesOf(short)));
});

test("what is wrong is told with its line", (t) => {
  for (const [text, line, reason] of MISTAKES) {
    const error = t.throws(() => parseConfig(text), { instanceOf: ConfigError }, text);
    t.is(error?.line, line, `${error?.message}\n${text}`);
    t.regex(error?.reason ?? "", reason);
  }
});

/** A file with everything in it. */
const ALL = file(
  `"uplinks": "balance", "nat64": "fd64::/96", "queue": "drr", "mdns": true,
  "portMapping": { "pcp": true, "upnp": true, "on": ["lan", "guests"] },
  "tunnels": [
    { "name": "site", "kind": "gre", "remote": "192.0.2.9", "key": 7, "address": "10.99.0.1/30", "trusted": true },
    { "name": "six", "kind": "ip", "remote": "192.0.2.8", "address6": "2001:db8:9::2/64", "routes": ["2001:db8::/32"] },
    { "name": "line", "kind": "slip", "remote": "/nobody/here", "address": "10.94.0.1/30" },
    { "name": "lab", "kind": "vxlan", "key": 42, "remote": "192.0.2.7", "address": "10.98.0.1/24" }
  ],
  "routes": [
    { "to": "10.50.0.0/16", "via": "192.168.7.2" },
    { "to": "10.51.0.0/16", "type": "unreachable" },
    { "to": "fd51::/48", "type": "blackhole" },
    { "to": "10.52.0.0/16", "hops": [{ "via": "192.168.7.2", "weight": 2 }, { "via": "10.98.0.7" }] },
    { "to": "10.53.0.0/16", "via": "10.98.0.8" },
    { "to": "0.0.0.0/0", "via": "198.51.100.1", "on": "lte", "table": 7 }
  ],
  "policy": [
    { "from": "192.168.7.50/32", "table": 7 },
    { "mark": 3, "on": "site", "table": 7, "priority": 5 },
    { "table": 254, "suppress": 0, "priority": 1 }
  ],
  "marks": [{ "mark": 3, "from": "lan", "protocol": "tcp", "port": [25, 587] }],
  "vrf": [{ "table": 9, "on": ["lab", "guests"] }],
  "nptv6": [{ "inside": "fd00:7::/48", "outside": "2001:db8:77::/48" }],
  "wireguard": [
    { "name": "home", "address": "10.97.0.1/24", "peers": [
      { "publicKey": "${KEYS[0]}", "allowedIps": ["10.97.0.2/32", "fd97::2/128"], "endpoint": "home.example:51820" },
      { "publicKey": "${KEYS[1]}", "allowedIps": ["10.96.0.0/24", "0.0.0.0/0"], "presharedKey": "${KEYS[0]}", "keepalive": 25 }
    ] },
    { "name": "work", "port": 51821, "privateKey": "${KEYS[1]}", "trusted": true }
  ],
  "rip": { "on": ["lan"], "key": { "secret": "open sesame" } },
  "babel": { "on": ["site", "lan"], "keys": [{ "secret": "a" }, { "secret": "hex:0b", "algorithm": "blake2s" }] }, "multicast": ["lan"],
  "proxy": [{ "on": "lan", "for": "203.0.113.8/29" }, { "on": "wan", "for": "2001:db8::7" }]`,
  `{ "name": "lan", "link": { "bridge": [{ "tap": "l" }, { "tap": "m", "untagged": 9, "edge": true }], "snooping": true },
     "address": "192.168.7.1/24", "vrrp": { "id": 51, "addresses": ["192.168.7.254"], "withoutUplink": 50 } },
   { "name": "guests", "link": { "vlan": 9, "on": "lan" }, "address": "192.168.9.1/24", "subnet": 1, "isolated": true,
     "relay": { "servers": ["192.0.2.53", "2001:db8::53"], "circuitId": "port9" } }`,
  `[{ "link": { "tap": "w" }, "vlan": 7, "ipv4": { "address": "192.0.2.2/24", "gateway": "192.0.2.1" }, "ipv6": "off", "upload": 40, "download": 100, "probe": "192.0.2.1" },
    { "name": "lte", "link": { "tap": "w2" }, "ipv4": { "address": "198.51.100.2/24", "gateway": "198.51.100.1" }, "weight": 2, "upload": 5, "download": 20 }]`,
);

test("a file with everything in it starts, is shown, reloads each part of it, and ends", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "anystack-gateway-"));
  const parse = (text: string) => ({ ...parseConfig(text), state: folder });
  const lines: string[] = [];
  const [wan, lte, one, two] = [memoryCable()[0], memoryCable()[0], memoryCable()[0], memoryCable()[0]];
  const given = { wan, lte, "lan-1": one, "lan-2": two };
  const gateway = await startGateway(parse(ALL), (line) => lines.push(line), given);
  t.teardown(() => {
    gateway.close();
    rmSync(folder, { recursive: true });
  });
  const { stack } = gateway.parts;
  const shown = () => Object.fromEntries(report(gateway).services.map((one) => [one.name, one.state]));
  const first = shown();
  for (const name of [
    "wan",
    "lte",
    "line",
    "site",
    "six",
    "lab",
    "home",
    "work",
    `home ${KEYS[0].slice(0, 8)}`,
    "bridge lan",
    "VRRP on lan",
    "queue of wan",
    "queue of lan",
    "relay for guests",
    "routes",
    "policy",
    "marks",
    "VRF 9",
    "NPTv6 of fd00:7::/48",
    "RIP",
    "Babel",
    "multicast",
    "NAT64",
    "PCP",
    "UPnP",
    "mDNS",
    "proxy",
  ])
    t.truthy(first[name], `${name}: ${JSON.stringify(first)}`);
  for (const name of ["site", "six", "lab", "wan-tag"]) t.truthy(stack.findInterface(name), name);
  t.is(gateway.parts.wall.zone(stack.findInterface("lte")!), "wan");
  // What has not changed is left alone; what has, is made anew; what has gone is gone.
  const site = stack.findInterface("site");
  const six = stack.findInterface("six");
  const next = parse(ALL);
  next.tunnels = next.tunnels.filter(({ name }) => name !== "lab");
  next.tunnels[1].mtu = 1300;
  Object.assign(next, {
    routes: next.routes.slice(1, 2),
    multicast: [],
    proxy: [],
    mdns: false,
    uplinks: "failover",
  });
  next.rip.on = next.babel.on = [];
  // One peer of two has another keepalive, and there is a third; the interface and the first one's session stay.
  const { devices, peers } = gateway.wireguards;
  const known = KEYS.map((key) => peers.get(`home ${key}`));
  const [home, work] = [devices.get("home"), devices.get("work")];
  next.wireguard[0].peers[1].keepalive = 30;
  next.wireguard[1].port = 51822;
  const { routes } = gateway.parts;
  const within = (table: number) =>
    routes
      .table(table)
      .list()
      .map(({ nif, prefix, length }) => `${nif.name} ${(prefix >>> 16) & 255}/${length}`)
      .sort();
  t.true(within(254).includes("home 97/32"));
  // All that has no other way goes by a peer, but not in the main table, where its own packets look.
  t.false(within(254).includes("home 0/0"));
  t.deepEqual(within(65536 + stack.findInterface("home")!.index), ["home 0/0"]);
  t.true(within(254).includes("nowhere 51/16") && within(254).includes("lan 52/16"));
  t.deepEqual(within(7), ["lte 0/0"]);
  t.deepEqual(within(9), ["guests 168/24", "lab 53/16", "lab 98/24"]);
  t.regex(first.routes, /^4 unicast, 1 unreachable, 1 blackhole$/);
  t.is(first.policy, "3 rules");
  t.is(first["NPTv6 of fd00:7::/48"], "2001:db8:77::/48 on wan");
  next.policy = next.policy.slice(0, 2);
  next.marks = next.vrf = next.nptv6 = [];
  next.lan[1].relay = null;
  next.portMapping.upnp = next.portMapping.pcp = false;
  next.lan[0].vrrp = null;
  next.wan[0].upload = 0;
  const nowhere = () => routes.list().find(({ nif, length }) => nif.name === "nowhere" && length === 16);
  const unreachable = nowhere();
  t.true(unreachable !== undefined);
  await gateway.reload(next);
  t.is(stack.findInterface("site"), site);
  t.not(stack.findInterface("six"), six);
  t.is(stack.findInterface("six")?.mtu, 1300);
  t.is(stack.findInterface("lab"), null);
  t.is(devices.get("home"), home);
  t.not(devices.get("work"), work);
  t.is(peers.get(`home ${KEYS[0]}`), known[0]);
  t.not(peers.get(`home ${KEYS[1]}`), known[1]);
  t.deepEqual(Object.keys(shown()).sort(), [
    "NAT64",
    "bridge lan",
    "home",
    ...KEYS.map((key) => `home ${key.slice(0, 8)}`),
    "line",
    "lte",
    "policy",
    "queue of lan",
    "queue of lte",
    "routes",
    "site",
    "six",
    "wan",
    "work",
  ]);
  t.true(nowhere() === unreachable);
  t.deepEqual(within(9), []);
  t.true(within(254).includes("guests 168/24"));
  t.deepEqual(within(7), []);
  await gateway.reload(parse(ALL));
  t.deepEqual(within(9), ["guests 168/24", "lab 53/16", "lab 98/24"]);
  t.deepEqual(Object.keys(shown()).sort(), Object.keys(first).sort());
  await t.throwsAsync(gateway.reload({ ...parse(ALL), nat64: "" }), {
    message: /nat64 changed: that needs a restart/,
  });
  // A bridge's ports come and go, and those that stay are the same; one that does not open is tried again.
  const { ports } = gateway.parts.bridges.get("lan")!.bridge;
  const [stays, goes] = ports;
  const bridged = (more: string) => parse(ALL.replace('{ "tap": "m", "untagged": 9, "edge": true }', more));
  t.regex((await gateway.reload(bridged('{ "tap": "n", "tagged": [9] }'))).join(), /^lan-2: .*is closed/);
  t.deepEqual([...ports], [stays]);
  given["lan-2"] = memoryCable()[0];
  t.deepEqual(await gateway.reload(bridged('{ "tap": "n", "tagged": [9] }')), []);
  t.is(ports.length, 2);
  t.is(ports[0], stays);
  t.not(ports[1], goes);
  t.deepEqual(ports[1]!.tagged, [9]);
});

test("IPv6 alone outside: the CLAT and NPTv6 have what is delegated, or what the file says; a reload ends and begins them", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "anystack-gateway-"));
  const prefix = { prefix: "2001:db8:a000::/56", valid: 7200, preferred: 3600 };
  const none = {
    server: "000400112233",
    addresses: [],
    nameServers: [],
    search: [],
    renewTime: 3600,
    rebindTime: 7200,
  };
  writeFileSync(join(folder, "gateway.json"), JSON.stringify({ lease6: { ...none, prefixes: [prefix] } }));
  const parse = (more: string) => ({
    ...parseConfig(file(more, LAN, `{ "link": { "tap": "w" }, "ipv4": "off", "ipv6": "auto" }`)),
    state: folder,
  });
  const given = { wan: memoryCable()[0], lan: memoryCable()[0] };
  const NPT = `"nptv6": [{ "inside": "fd00:7::/64", "subnet": 3 }]`;
  const gateway = await startGateway(parse(`${NPT}, "clat": { "prefix": "64:ff9b::/96" }`), () => {}, given);
  t.teardown(() => {
    gateway.close();
    rmSync(folder, { recursive: true });
  });
  const { stack, wall, routes } = gateway.parts;
  const shown = () => Object.fromEntries(report(gateway).services.map((one) => [one.name, one.state]));
  t.is(shown().CLAT, "by 64:ff9b::/96, as 2001:db8:a000:7f::464");
  t.is(shown()["NPTv6 of fd00:7::/64"], "2001:db8:a000:3::/64 on wan");
  const nif = stack.findInterface("clat")!;
  t.is(wall.zone(nif), "wan");
  t.true(routes.list().some((route) => route.length === 0 && route.nif === nif));
  // From outside to outside only what it has made of IPv4.
  const six = new Uint8Array(60);
  six.set([0x60, 0, 0, 0, 0, 20, 6, 64, 0x20, 0x01, 0x0d, 0xb8, 0xa0, 0, 0, 0x7f]);
  six.set([0x04, 0x64], 22);
  six.set([0x20, 0x01, 0x0d, 0xb8], 24);
  six[52] = 0x50;
  six[53] = 2;
  t.is(wall.test(six, "wan", "wan").action, "accept");
  six[23] = 0x65;
  t.not(wall.test(six, "wan", "wan").action, "accept");
  await gateway.reload(parse(`${NPT}, "domain": "home.arpa", "clat": { "prefix": "64:ff9b::/96" }`));
  t.is(stack.findInterface("clat"), nif);
  await gateway.reload(parse(`"clat": { "prefix": "64:ff9b::/96", "subnet": 5 }`));
  t.is(shown().CLAT, "by 64:ff9b::/96, as 2001:db8:a000:5::464");
  t.false("NPTv6 of fd00:7::/64" in shown());
  // Nobody has told of a prefix.
  await gateway.reload(parse(`"clat": {}, "nptv6": [{ "inside": "fd00:7::/64", "subnet": 300 }]`));
  t.is(shown().CLAT, "knows no prefix, or no address yet");
  t.is(shown()["NPTv6 of fd00:7::/64"], "nothing is delegated on wan");
  t.is(stack.findInterface("clat"), null);
  t.false(rulesOf(gateway.config).some(({ from, to }) => from === "wan" && to === "wan"));
});

test("JSON is read as JSON.parse has it; other texts raise nothing but a ConfigError", (t) => {
  const plain = (node: ReturnType<typeof parseJson>): unknown => {
    const { value } = node;
    if (value instanceof Map)
      return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]));
    return Array.isArray(value) ? value.map(plain) : value;
  };
  t.notThrows(() => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        const expected = JSON.parse(text) as unknown;
        // "__proto__" is no name for a member of a plain object.
        if (!text.includes("__proto__")) t.deepEqual(plain(parseJson(text)), expected);
      }),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseConfig(text);
        } catch (error) {
          return error instanceof ConfigError;
        }
        return false;
      }),
    );
  });
});

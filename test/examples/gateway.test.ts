/** The gateway's configuration: what is wrong is told with its line, and the example that is given is right. */
import { readFileSync } from "node:fs";
import test from "ava";
import fc from "fast-check";
import { parseConfig } from "../../examples/gateway/config.js";
import { rulesOf } from "../../examples/gateway/gateway.js";
import { ConfigError, parseJson } from "../../examples/gateway/json.js";
import { compile } from "../../stack/filter/rules.js";

const LAN = `{ "name": "lan", "link": { "tap": "lan0" }, "address": "192.168.7.1/24" }`;
const file = (more: string, lan = LAN, wan = `{ "link": { "tap": "wan0" } }`) =>
  `{\n"state": "s",\n"wan": ${wan},\n"lan": [${lan}]${more && ",\n" + more}\n}`;

test("the example is good, and what is left out has defaults", (t) => {
  const config = parseConfig(readFileSync("examples/gateway/gateway.json", "utf8"));
  t.deepEqual(config.wan.link, { uplink: { loopback: false } });
  t.is(config.lan[0].reservations[0].name, "printer");
  const short = parseConfig(file(""));
  t.like(short, { domain: "home.arpa", statusPort: 80, flows: 16384, pingFromOutside: true });
  t.like(short.wan, { ipv4: "dhcp", ipv6: "auto", upload: 0 });
  t.notThrows(() => compile(rulesOf(short)));
});

test("what is wrong is told with its line", (t) => {
  const cases: [text: string, line: number, reason: RegExp][] = [
    ["", 1, /a value expected, not the end/],
    ["{\n\n  'state': 1 }", 3, /a name in quotes expected/],
    ['{ "state": "s", "state": "t" }', 1, /"state" is there twice/],
    ['{ "state": "s"\n "wan": 1 }', 2, /, expected/],
    ["[]", 1, /the file must be an object|must be an object/],
    ['// nothing\n{ "state": "s" }', 2, /lacks "wan"/],
    [file(`"flows": 1`), 5, /flows must be a whole number from 16/],
    [file(`"flow": 100`), 5, /knows no "flow", but wan, lan/],
    [file(`"domain": "a b"`), 5, /domain must be a domain/],
    [
      file(`"forward": [{ "protocol": "sctp", "port": 1, "to": "192.168.7.2" }]`),
      5,
      /forward\[0\]\.protocol must be "tcp" or "udp"/,
    ],
    [
      file(
        `"forward": [\n{ "protocol": "tcp", "port": 1, "to": "192.168.7.2" },\n{ "protocol": "tcp", "port": 1, "to": "192.168.7.3" }]`,
      ),
      7,
      /tcp port 1 is forwarded twice/,
    ],
    [file(`"rules": [\n{ "action": "let" }]`), 6, /rules\[0\]: .*action/],
    [
      file("", `\n{ "name": "lan", "link": { "tap": "x" }, "address": "192.168.7.1" }`),
      5,
      /lan\[0\]\.address must be an IPv4 address with its prefix length/,
    ],
    [file("", `\n{ "name": "wan", "link": { "tap": "x" }, "address": "192.168.7.1/24" }`), 5, /another name/],
    [
      file(
        "",
        `{ "name": "lan", "link": { "tap": "x" }, "address": "192.168.7.1/24", "pool": "192.168.8.1-192.168.8.2" }`,
      ),
      4,
      /a range within 192\.168\.7\.1\/24/,
    ],
    [
      file(
        "",
        `{ "name": "lan", "link": { "tap": "x" }, "address": "192.168.7.1/24", "reservations": [\n{ "mac": "02:00:00:00:00:07", "address": "10.0.0.1" }] }`,
      ),
      5,
      /does not lie in/,
    ],
    [
      file(
        "",
        `${LAN},\n{ "name": "two", "link": { "vlan": 7, "on": "three" }, "subnet": 1, "address": "192.168.8.1/24" }`,
      ),
      5,
      /no network "three" before/,
    ],
    [
      file("", `${LAN},\n{ "name": "two", "link": { "tap": "y" }, "address": "192.168.8.1/24" }`),
      5,
      /subnet 0 is another network's/,
    ],
    [
      file("", `\n{ "name": "lan", "link": { "uplink": {} }, "address": "192.168.7.1/24" }`),
      5,
      /can be the WAN alone/,
    ],
    [file("", LAN, `{ "link": { "tap": "w", "udp": {} } }`), 3, /wan\.link must be one of/],
    [file("", LAN, `{ "link": { "tap": "w" }, "ipv4": "pppoe" }`), 3, /wan\.ipv4 must be "dhcp", "off" or/],
    ["[".repeat(100), 1, /nested too deeply/],
  ];
  for (const [text, line, reason] of cases) {
    const error = t.throws(() => parseConfig(text), { instanceOf: ConfigError }, text);
    t.is(error?.line, line, `${error?.message}\n${text}`);
    t.regex(error?.reason ?? "", reason);
  }
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

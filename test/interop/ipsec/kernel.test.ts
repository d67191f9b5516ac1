/**
 * ESP and AH with static keys against Linux: mode x family outside x family inside x algorithm; each with ping, UDP (also in fragments)
 * and TCP, begun by either side. One kernel does for all. The table goes to docs/ipsec.md by hand: run with IPSEC_TABLE=1.
 */
import test from "ava";
import { nodeHost } from "../../../ports/node/host.js";
import { openUdpFrame } from "../../../ports/node/udp-frame.js";
import { createStack } from "../../../stack/core/stack.js";
import { ah } from "../../../stack/ipsec/ah.js";
import { esp } from "../../../stack/ipsec/esp.js";
import { ipsec } from "../../../stack/ipsec/ipsec.js";
import { natTraversal } from "../../../stack/ipsec/nat-traversal.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ipLink } from "../../../stack/link/ip.js";
import { ping } from "../../../stack/raw/ping.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import { SUITES } from "../../ipsec/support.js";
import type { Suite } from "../../ipsec/support.js";
import { Uml } from "./uml.js";

/** Addresses: ours, the kernel's; outside and inside. */
const OUTER = { 4: ["10.9.0.1", "10.9.0.2"], 6: ["fd09::1", "fd09::2"] } as const;
const INNER = { 4: ["10.99.0.1", "10.99.0.2"], 6: ["fd99::1", "fd99::2"] } as const;
const SETUP = `
ip addr add 10.9.0.2/24 dev vec0; ip -6 addr add fd09::2/64 dev vec0 nodad; ip link set vec0 up
ip addr add 10.99.0.2/32 dev lo; ip -6 addr add fd99::2/128 dev lo nodad
ip route add 10.99.0.1/32 dev vec0 src 10.99.0.2; ip -6 route add fd99::1/128 dev vec0 src fd99::2
`;
const STREAM = 20000;

const hex = (bytes: Uint8Array): string => "0x" + Buffer.from(bytes).toString("hex");

/** The algorithms in the words of `ip xfrm state`. */
function words({ options }: Suite): string {
  const { encryption = "aes-gcm-16", key, integrity, integrityKey, protocol } = options;
  const [, bits, cut] = /hmac-sha2-(\d+)-(\d+)/.exec(integrity ?? "") ?? [];
  const auth = bits ? `auth-trunc 'hmac(sha${bits})' ${hex(integrityKey!)} ${cut}` : "";
  if (protocol === "ah") return auth;
  const aead: Record<string, string> = {
    "aes-gcm-16": "rfc4106(gcm(aes))",
    "aes-gmac": "rfc4543(gcm(aes))",
    "chacha20-poly1305": "rfc7539esp(chacha20,poly1305)",
  };
  if (encryption in aead) return `aead '${aead[encryption]}' ${hex(key!)} 128`;
  return encryption === "null" ? `enc 'ecb(cipher_null)' '' ${auth}` : `enc 'cbc(aes)' ${hex(key!)} ${auth}`;
}

interface Case {
  mode: "transport" | "tunnel" | "beet";
  outer: 4 | 6;
  inner: 4 | 6;
  suite: Suite;
  esn: boolean;
  udp?: boolean;
}

function cases(): Case[] {
  const list: Case[] = [];
  for (const mode of ["transport", "tunnel", "beet"] as const) {
    for (const outer of [4, 6] as const) {
      for (const inner of [4, 6] as const) {
        if (mode === "transport" && outer !== inner) continue;
        for (const [index, suite] of SUITES.entries()) {
          if (mode === "beet" && suite.options.protocol === "ah") continue;
          // Extended numbers in every second case; the other half in the family next to it.
          list.push({ mode, outer, inner, suite, esn: (index + outer / 2) % 2 === 0 });
        }
      }
    }
  }
  for (const mode of ["transport", "tunnel"] as const) {
    list.push({ mode, outer: 4, inner: 4, suite: SUITES[0]!, esn: false, udp: true });
  }
  return list;
}

test("the product of modes, families and algorithms: ping, UDP and TCP both ways", async (t) => {
  const near = 20000 + (process.pid % 20000);
  const link = await openUdpFrame({
    local: { port: near },
    remote: { port: near + 1 },
    l2tpv3: { receiveSession: 1, transmitSession: 2 },
    mac: "02:00:0a:09:00:01",
  });
  const uml = await Uml.boot(near + 1, near, SETUP);
  const host = nodeHost();
  const ip = ipv4();
  const ip6 = ipv6();
  const pings = ping();
  const datagrams = udp();
  const streams = tcp();
  const security = ipsec({ otherwise: "bypass" });
  const components = [
    ethernet(),
    ipLink(),
    arp(),
    ip,
    icmp(),
    fragments(),
    ip6,
    icmpv6(),
    nd(),
    fragments6(),
  ];
  const stack = host.drive(
    createStack(host, [...components, pings, datagrams, streams, security, esp(), ah(), natTraversal()]),
  );
  t.teardown(async () => {
    stack.close();
    await uml.halt();
  });
  const nif = stack.addInterface(link);
  for (const address of [OUTER[4][0], INNER[4][0]]) ip.addAddress(nif, address + "/24");
  for (const address of [OUTER[6][0], INNER[6][0]]) ip6.addAddress(nif, address + "/64");

  const buffer = new Uint8Array(65536);
  const echo = datagrams.open({
    port: 7,
    onReadable() {
      const from = {
        address: "",
        port: 0,
        length: 0,
        truncated: false,
        localAddress: "",
        interface: null,
        ttl: 0,
      };
      for (let n; (n = echo.receive(buffer, from)) >= 0;) echo.sendTo(from.address, from.port, buffer, 0, n);
    },
  });
  streams.listen({
    port: 7,
    onConnection(socket) {
      socket.handle({
        onReadable() {
          for (let n; (n = socket.read(buffer)) > 0;) socket.write(buffer.slice(0, n));
        },
        onEnd: () => socket.shutdown(),
        onClose: () => void socket.close(),
      });
    },
  });

  const pattern = (size: number): Uint8Array<ArrayBuffer> =>
    Uint8Array.from({ length: size }, (_, i) => (i * 7) & 255);
  const within = <T>(ms: number, value: T, start: (done: (value: T) => void) => void): Promise<T> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => resolve(value), ms);
      start((result) => {
        clearTimeout(timer);
        resolve(result);
      });
    });
  const ourPing = (address: string, size: number): Promise<boolean> =>
    within(2000, false, (done) => {
      const socket = pings.open({
        address,
        onReply() {
          socket.close();
          done(true);
        },
      });
      const send = (left: number): void => {
        if (socket.send(pattern(size)) < 0 && left > 0) setTimeout(send, 50, left - 1);
      };
      send(5);
    });
  const ourUdp = (address: string, size: number): Promise<boolean> =>
    within(2000, false, (done) => {
      const socket = datagrams.open({
        onReadable() {
          const n = socket.receive(buffer);
          socket.close();
          done(Buffer.from(buffer.subarray(0, n)).equals(pattern(size)));
        },
      });
      socket.sendTo(address, 7, pattern(size));
    });
  const ourTcp = (address: string, size: number): Promise<boolean> =>
    within(4000, false, (done) => {
      const got: number[] = [];
      const socket = streams.connect({
        address,
        port: 7,
        onConnect() {
          socket.write(pattern(size));
          socket.shutdown();
        },
        onReadable() {
          for (let n; (n = socket.read(buffer)) > 0;) got.push(...buffer.subarray(0, n));
        },
        onClose() {
          socket.close();
          done(Buffer.from(got).equals(Buffer.from(pattern(size))));
        },
      });
    });

  const failures: string[] = [];
  const table = new Map<string, string[]>();
  let count = 0;
  let encapsulating = false;
  for (const one of cases()) {
    const { mode, outer, inner, suite, esn } = one;
    count++;
    const [us, kernel] = OUTER[outer];
    const ends = mode === "transport" ? OUTER[outer] : INNER[inner];
    const protocol = suite.options.protocol ?? "esp";
    const policy = security.addPolicy({ action: "protect", local: ends[0], remote: ends[1] });
    const common = {
      ...{ mode, esn, policy, local: us, remote: kernel, innerLocal: ends[0], innerRemote: ends[1] },
      ...(one.udp ? { encapsulation: { localPort: 4500, remotePort: 4500 } } : {}),
      ...suite.options,
    };
    const spi = 0x1000 + count * 2;
    security.addSa({ ...common, direction: "in", spi });
    security.addSa({ ...common, direction: "out", spi: spi + 1 });
    const state = (from: number, number: number): string => {
      const selector = mode === "beet" ? `sel src ${ends[from]} dst ${ends[1 - from]}` : "";
      // Left alone, Linux makes AH's header a multiple of 8 bytes in IPv4 too.
      const align = protocol === "ah" && outer === 4 ? "align4" : "";
      const flags = [align, esn ? "esn" : "", mode === "tunnel" && outer !== inner ? "af-unspec" : ""].filter(
        Boolean,
      );
      const encap = one.udp ? "encap espinudp 4500 4500 0.0.0.0" : "";
      const flag = flags.length ? "flag " + flags.join(" ") : "";
      return `state add src ${OUTER[outer][from]} dst ${OUTER[outer][1 - from]} proto ${protocol} spi ${number} reqid ${count} mode ${mode} replay-window ${esn ? 64 : 32} ${flag} ${words(suite)} ${encap} ${selector}`;
    };
    const rule = (direction: string, from: number): string =>
      `policy add src ${ends[from]} dst ${ends[1 - from]} dir ${direction} priority 9 tmpl src ${OUTER[outer][from]} dst ${OUTER[outer][1 - from]} proto ${protocol} reqid ${count} mode ${mode}`;
    // The datagrams themselves are policy's too, and must be let through to the socket.
    const through = one.udp
      ? [`policy add src ${us} dst ${kernel} proto udp dport 4500 dir in priority 1 action allow`]
      : [];
    const lines = [
      ...["state flush", "policy flush"],
      ...through,
      ...[state(0, spi + 1), state(1, spi), rule("in", 0), rule("out", 1)],
    ];
    if (one.udp && !encapsulating) encapsulating = (await uml.ask("encapsulate", 4500)) === true;
    await uml.ip(lines.map((line) => `xfrm ${line}`));
    const before = stack.counters.esp!.received! + stack.counters.ah!.received!;
    // An AH packet over IPv4 is not cut: see docs/ipsec.md.
    const large = protocol === "ah" && outer === 4 ? 1000 : 3000;
    const checks: [string, unknown][] = [];
    const both = async (what: string, ours: Promise<boolean>, theirs: Promise<unknown>): Promise<void> => {
      checks.push([what + " out", await ours], [what + " in", await theirs]);
    };
    await both("ping", ourPing(ends[1], 56), uml.ask("ping", ends[0], 56));
    await both("UDP", ourUdp(ends[1], 512), uml.ask("udp", ends[0], 512));
    await both(`UDP ${large}`, ourUdp(ends[1], large), uml.ask("udp", ends[0], large));
    await both("TCP", ourTcp(ends[1], STREAM), uml.ask("tcp", ends[0], STREAM));
    const { esp: inEsp, ah: inAh } = stack.counters;
    checks.push(["all of it protected", inEsp!.received! + inAh!.received! - before > 20]);
    const name = `${mode} ${inner} in ${outer}${one.udp ? " in UDP" : ""}, ${suite.name}${esn ? ", esn" : ""}`;
    const wrong = checks.filter(([, good]) => good !== true).map(([what, why]) => `${what} (${String(why)})`);
    if (wrong.length > 0) failures.push(`${name}: ${wrong.join(", ")}`);
    const row = `${mode}, IPv${inner} in IPv${outer}${one.udp ? " in UDP" : ""}`;
    table.set(row, [...(table.get(row) ?? []), `${suite.name}${esn ? " (ESN)" : ""}`]);
    security.removePolicy(policy);
  }
  if (process.env.IPSEC_TABLE)
    for (const [row, suites] of table) console.log(`| ${row} | ${suites.join(", ")} |`);
  t.log(`${count} cases, ${count * 8} exchanges`);
  t.deepEqual(failures, []);
  const { malformed, auth, replay } = stack.counters.esp as Record<string, number>;
  t.deepEqual([malformed, auth, replay], [0, 0, 0]);
});

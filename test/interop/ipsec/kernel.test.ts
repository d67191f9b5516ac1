/**
 * ESP and AH with static keys against Linux: mode x family outside x family inside x algorithm; each with ping, UDP (also in fragments)
 * and TCP, begun by either side. One kernel does for all. The table goes to docs/ipsec.md by hand: run with IPSEC_TABLE=1.
 */
import test from "ava";
import { memoryCable, nodeHost } from "../../../ports/node/index.js";
import { openUdpFrame } from "../../../ports/node/udp-frame.js";
import { INPUT } from "../../../stack/core/network.js";
import { createStack } from "../../../stack/core/stack.js";
import { ah } from "../../../stack/ipsec/ah.js";
import { esp } from "../../../stack/ipsec/esp.js";
import { ipsec } from "../../../stack/ipsec/ipsec.js";
import { natTraversal } from "../../../stack/ipsec/nat-traversal.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { pmtu } from "../../../stack/ipv4/pmtu.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { pmtu6 } from "../../../stack/ipv6/pmtu.js";
import { sumHeader } from "../../../stack/ipsec/header.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ipLink } from "../../../stack/link/ip.js";
import { ping } from "../../../stack/raw/ping.js";
import type { Ping } from "../../../stack/raw/ping.js";
import { forwarding } from "../../../stack/router/forwarding.js";
import { forwarding6 } from "../../../stack/router/forwarding6.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import type { Tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import type { Udp } from "../../../stack/udp/udp.js";
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
ip route add 10.98.0.0/24 dev vec0 src 10.99.0.2; ip -6 route add fd98::/64 dev vec0 src fd99::2
`;
const STREAM = 20000;
/** Nobody waits for this long unless an answer is lost, ms. */
const LONG = 30000;

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
  /** Traffic flow confidentiality: packets are padded up to this. */
  pad?: number;
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
    list.push({ mode, outer: 6, inner: 6, suite: SUITES[0]!, esn: true, udp: true });
  }
  list.push({ mode: "tunnel", outer: 4, inner: 4, suite: SUITES[0]!, esn: false, pad: 1000 });
  list.push({ mode: "tunnel", outer: 6, inner: 4, suite: SUITES[3]!, esn: true, pad: 700 });
  return list;
}

/** Echoes, on port 7. */
function serve(datagrams: Udp, streams: Tcp): void {
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
}

/** Asks echoes of others: are they what was said? */
function questions(pings: Ping, datagrams: Udp, streams: Tcp) {
  const buffer = new Uint8Array(65536);
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
  const askPing = (address: string, size: number): Promise<boolean> =>
    within(LONG, false, (done) => {
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
  const askUdp = (address: string, size: number): Promise<boolean> =>
    within(LONG, false, (done) => {
      const socket = datagrams.open({
        onReadable() {
          const n = socket.receive(buffer);
          socket.close();
          done(Buffer.from(buffer.subarray(0, n)).equals(pattern(size)));
        },
      });
      socket.sendTo(address, 7, pattern(size));
    });
  const askTcp = (address: string, size: number): Promise<boolean> =>
    within(LONG, false, (done) => {
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
  return { askPing, askUdp, askTcp };
}

/** Boots the kernel, and makes our stack at the other end of its cable. */
async function setUp() {
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
    pmtu(),
    forwarding(),
    ip6,
    icmpv6(),
    nd(),
    fragments6(),
    pmtu6(),
    forwarding6(),
  ];
  const stack = host.drive(
    createStack(host, [...components, pings, datagrams, streams, security, esp(), ah(), natTraversal()]),
  );
  const nif = stack.addInterface(link);
  for (const address of [OUTER[4][0], INNER[4][0]]) ip.addAddress(nif, address + "/24");
  for (const address of [OUTER[6][0], INNER[6][0]]) ip6.addAddress(nif, address + "/64");

  serve(datagrams, streams);
  /** ESP as it passed our end of the cable; changes what passes, where a test wants that. */
  const seen = { smallest: 65535, mark: -1 };
  const look = (frame: Uint8Array, start: number, end: number): void => {
    const six = frame[start + 12] === 0x86;
    const ip = start + 14;
    if ((six ? frame[ip + 6] : frame[ip + 9]) !== 50) return;
    // A last fragment is as short as it likes.
    const piece = !six && ((frame[ip + 6]! & 0x3f) | frame[ip + 7]!) !== 0;
    if (!piece) seen.smallest = Math.min(seen.smallest, end - ip);
    if (seen.mark < 0) return;
    if (six) frame[ip + 1] = (frame[ip + 1]! & 0xcf) | (seen.mark << 4);
    else {
      frame[ip + 1] = (frame[ip + 1]! & 0xfc) | seen.mark;
      sumHeader(frame, ip);
    }
  };
  const [transmit, receive] = [link.transmit.bind(link), nif.receive.bind(nif)];
  link.transmit = (frame, start, end) => {
    look(frame, start, end);
    return transmit(frame, start, end);
  };
  nif.receive = (frame, start, end, checksum) => {
    look(frame, start, end);
    receive(frame, start, end, checksum);
  };
  return {
    uml,
    stack,
    ip,
    ip6,
    nif,
    pings,
    datagrams,
    streams,
    security,
    seen,
    ...questions(pings, datagrams, streams),
  };
}

let site: Awaited<ReturnType<typeof setUp>>;

test.before(async () => {
  site = await setUp();
});

test.after.always(async () => {
  site.stack.close();
  await site.uml.halt();
});

test.serial("the product of modes, families and algorithms: ping, UDP and TCP both ways", async (t) => {
  const { uml, stack, security, seen, askPing, askUdp, askTcp } = site;
  const failures: string[] = [];
  const table = new Map<string, string[]>();
  let count = 0;
  const encapsulating: number[] = [];
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
      padTo: one.pad,
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
      const any = outer === 4 ? "0.0.0.0" : "::";
      const encap = one.udp ? `encap espinudp 4500 4500 ${any}` : one.pad ? `tfcpad ${one.pad}` : "";
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
    if (one.udp && !encapsulating.includes(outer)) {
      encapsulating.push(outer);
      t.true(await uml.ask("encapsulate", 4500, outer === 4 ? "0.0.0.0" : "::"));
    }
    seen.smallest = 65535;
    await uml.ip(lines.map((line) => `xfrm ${line}`));
    const before = stack.counters.esp!.received! + stack.counters.ah!.received!;
    // An AH packet over IPv4 is not cut: see docs/ipsec.md.
    const large = protocol === "ah" && outer === 4 ? 1000 : 3000;
    const checks: [string, unknown][] = [];
    const both = async (what: string, ours: Promise<boolean>, theirs: Promise<unknown>): Promise<void> => {
      checks.push([what + " out", await ours], [what + " in", await theirs]);
    };
    await both("ping", askPing(ends[1], 56), uml.ask("ping", ends[0], 56));
    await both("UDP", askUdp(ends[1], 512), uml.ask("udp", ends[0], 512));
    await both(`UDP ${large}`, askUdp(ends[1], large), uml.ask("udp", ends[0], large));
    await both("TCP", askTcp(ends[1], STREAM), uml.ask("tcp", ends[0], STREAM));
    const { esp: inEsp, ah: inAh } = stack.counters;
    if (one.pad) checks.push([`nothing is shorter, ${seen.smallest}`, seen.smallest >= one.pad]);
    checks.push(["all of it protected", inEsp!.received! + inAh!.received! - before > 20]);
    const name = `${mode} ${inner} in ${outer}${one.udp ? " in UDP" : one.pad ? " padded" : ""}, ${suite.name}${esn ? ", esn" : ""}`;
    const wrong = checks.filter(([, good]) => good !== true).map(([what, why]) => `${what} (${String(why)})`);
    if (wrong.length > 0) failures.push(`${name}: ${wrong.join(", ")}`);
    const row = `${mode}, IPv${inner} in IPv${outer}${one.udp ? " in UDP" : one.pad ? ", padded" : ""}`;
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

/** SAs and a policy at both ends: a tunnel between the outer addresses, for `local` and `remote` as we see them. */
async function tunnel(
  outer: 4 | 6,
  local: string,
  remote: string,
  options: { suite?: Suite; spi: number; mode?: "transport" | "tunnel"; flag?: string },
) {
  const { uml, security } = site;
  const { suite = SUITES[0]!, spi, mode = "tunnel", flag = "" } = options;
  const [us, kernel] = OUTER[outer];
  const protocol = suite.options.protocol ?? "esp";
  const policy = security.addPolicy({ action: "protect", local, remote });
  const common = { mode, policy, local: us, remote: kernel, ...suite.options };
  security.addSa({ ...common, direction: "in", spi });
  const sa = security.addSa({ ...common, direction: "out", spi: spi + 1 });
  const state = (from: string, to: string, number: number): string =>
    `xfrm state add src ${from} dst ${to} proto ${protocol} spi ${number} reqid ${spi} mode ${mode} replay-window 32 ${flag} ${words(suite)}`;
  const rule = (direction: string, from: string, to: string, start: string, end: string): string =>
    `xfrm policy add src ${from} dst ${to} dir ${direction} priority 9 tmpl src ${start} dst ${end} proto ${protocol} reqid ${spi} mode ${mode}`;
  await uml.ip([
    ...["xfrm state flush", "xfrm policy flush", state(us, kernel, spi + 1), state(kernel, us, spi)],
    ...[rule("in", local, remote, us, kernel), rule("out", remote, local, kernel, us)],
  ]);
  return { policy, sa };
}

test.serial(
  "RFC 6040: DSCP and ECN into a tunnel and out of it, with marks on the way, both ways",
  async (t) => {
    const { uml, stack, ip, ip6, datagrams, security, seen } = site;
    for (const family of [4, 6] as const) {
      const [ours, theirs] = INNER[family];
      const { policy } = await tunnel(family, ours, theirs, { spi: 0x9000 + family * 2 });
      // What our own datagrams say: as the kernel's copy of them comes back is not to be seen, so its echo is asked by hand.
      const net = family === 4 ? ip : ip6;
      let inner = -1;
      net.hook = (packet, point) => {
        if (point === INPUT && packet.protocol === 17) inner = packet.tos;
        return true;
      };
      const back = async (tos: number): Promise<unknown> => {
        inner = -1;
        seen.mark = mark;
        const answer = await uml.ask("tos", ours, tos, mark === 3 && (tos & 3) === 0 ? 1 : 30);
        seen.mark = -1;
        return [inner, answer];
      };
      let mark = -1;
      // The echo of ours has no marks of its own.
      t.deepEqual(await back(0xb8), [0xb8, [0]], "DSCP");
      t.deepEqual(await back(0xba), [0xba, [0]], "ECT(0)");
      // A router marks each packet, there and back: of who knows marks they are told, of others the packet is dropped.
      mark = 3;
      const before = security.counters.ecn;
      // Linux lets those pass that are marked outside and do not know marks inside; RFC 6040 does not, nor do we.
      t.deepEqual(await back(0x02), [0x03, [0]], "ECT(0), marked");
      t.deepEqual(await back(0x00), [-1, []], "not ECT, marked");
      t.is(security.counters.ecn, before + 1);
      mark = 1;
      t.deepEqual(await back(0x02), [0x01, [0]], "ECT(1) outside");
      mark = -1;
      // Ours to the kernel: a socket of ours with marks, which its echo server does not tell; its counter of marks does.
      net.hook = null;
      const count = async (): Promise<number> => {
        const [, text] = (await uml.ask(
          "run",
          `nstat -asz ${family === 4 ? "IpExtInCEPkts" : "Ip6InCEPkts"}`,
        )) as [number, string];
        return Number(/CEPkts\s+(\d+)/.exec(text)![1]);
      };
      void stack;
      const client = datagrams.open({ address: ours });
      for (const path of client.paths) path.tos = 0xba;
      const had = await count();
      seen.mark = 3;
      client.sendTo(theirs, 7, Uint8Array.of(1, 2, 3));
      while ((await count()) < had + 2) await new Promise((resolve) => setTimeout(resolve, 50));
      seen.mark = -1;
      t.is(await count(), had + 2, "the outer packet and the inner one");
      client.close();
      security.removePolicy(policy);
    }
  },
);

test.serial("AH as Linux makes it by default, 8 bytes in IPv4 too, is taken", async (t) => {
  const { uml, stack, security } = site;
  for (const suite of SUITES.filter(({ options }) => options.protocol === "ah")) {
    const { policy } = await tunnel(4, ...OUTER[4], { suite, spi: 0x9100, mode: "transport" });
    const before = { ...stack.counters.ah };
    // Our answer has 4, which the kernel takes with "align4" alone: see the product above.
    await uml.ask("tos", OUTER[4][0], 0, 1);
    t.true(stack.counters.ah!.received! > before.received!, suite.name);
    t.true(stack.counters.ah!.sent! > before.sent!, suite.name);
    const { malformed, auth } = stack.counters.ah!;
    t.deepEqual([malformed, auth], [before.malformed, before.auth], suite.name);
    security.removePolicy(policy);
  }
});

test.serial(
  "a gateway: what a host behind us says goes to the kernel by a tunnel of either family, large and small",
  async (t) => {
    const { uml, stack, ip, ip6, security } = site;
    const [cable, far] = memoryCable();
    const lan = stack.addInterface(cable, "lan");
    ip.addAddress(lan, "10.98.0.1/24");
    ip6.addAddress(lan, "fd98::1/64");
    const host = nodeHost();
    const [four, six, pings, datagrams, streams] = [ipv4(), ipv6(), ping(), udp(), tcp()];
    const inside = host.drive(
      createStack(host, [
        ...[ethernet(), arp(), four, icmp(), fragments(), pmtu(), six, icmpv6(), nd(), fragments6(), pmtu6()],
        ...[pings, datagrams, streams],
      ]),
    );
    t.teardown(() => {
      inside.close();
      stack.removeInterface(lan);
    });
    const nif = inside.addInterface(far);
    four.addAddress(nif, "10.98.0.2/24");
    four.addRoute("0.0.0.0/0", { gateway: "10.98.0.1" });
    six.addAddress(nif, "fd98::2/64");
    six.addRoute("::/0", { gateway: "fd98::1" });
    const { askPing, askUdp, askTcp } = questions(pings, datagrams, streams);
    serve(datagrams, streams);
    let spi = 0x9200;
    for (const outer of [4, 6] as const) {
      for (const inner of [4, 6] as const) {
        const near = inner === 4 ? "10.98.0.2" : "fd98::2";
        const target = INNER[inner][1];
        const { policy } = await tunnel(outer, inner === 4 ? "10.98.0.0/24" : "fd98::/64", target, {
          spi: (spi += 2),
          flag: inner === outer ? "" : "flag af-unspec",
        });
        const label = `${inner} in ${outer}`;
        const before = { ...stack.counters.esp };
        t.true(await askPing(target, 56), `${label} ping`);
        t.true(await askUdp(target, 1300), `${label} UDP`);
        // What is too large for the tunnel: the host learns so (DF, IPv6), or its fragments are cut once more outside.
        await askUdp(target, 3000);
        t.true(await askUdp(target, 3000), `${label} UDP 3000`);
        t.true(await askTcp(target, STREAM), `${label} TCP`);
        t.true(await uml.ask("ping", near, 1300), `${label} ping in`);
        t.true(await uml.ask("udp", near, 3000), `${label} UDP in`);
        t.true(await uml.ask("tcp", near, STREAM), `${label} TCP in`);
        const { received, sent, auth, malformed } = stack.counters.esp!;
        t.true(received! - before.received! > 15 && sent! - before.sent! > 15, label);
        t.deepEqual([auth, malformed], [0, 0]);
        security.removePolicy(policy);
      }
    }
  },
);

/** The bare port over a fake set of C functions: the conformance kit, the main loop, and what is refused without entropy. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { checkHost } from "../../../hypercall/conformance.js";
import { CIPHER_DONE, CIPHER_FAILED } from "../../../hypercall/crypto.js";
import type { Cipher } from "../../../hypercall/crypto.js";
import { HYPERCALL_VERSION } from "../../../hypercall/index.js";
import { bareHost } from "../../../ports/bare/index.js";
import type { BareCalls, BareHost } from "../../../ports/bare/index.js";
import { nodeCrypto } from "../../../ports/node/crypto.js";
import { copyBytes } from "../../../stack/core/bytes.js";
import { sum } from "../../../stack/core/checksum.js";
import { EIO } from "../../../stack/core/errors.js";
import { createStack } from "../../../stack/index.js";
import type { Stack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ipLink } from "../../../stack/link/ip.js";
import { dhcp } from "../../../stack/service/dhcp.js";
import { dns } from "../../../stack/service/dns.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import { ROOT } from "../../support/files.js";
import { Bench } from "./board.js";
import type { FakeBoard } from "./board.js";

/** Runs the kit on a board whose two links are wired to each other; the findings' codes. */
function findings(board: FakeBoard, bench: Bench): string[] {
  const host = bareHost(board.calls);
  const codes: string[] = [];
  bench.wire(board.links[0]!, board.links[1]!);
  const check = checkHost(host, (code) => void codes.push(code), [host.link(0), host.link(1)]);
  host.drive(check);
  board.stopAt = bench.time + 10_000;
  host.run();
  check.finish();
  return codes;
}

for (const [name, mac] of [
  ["Ethernet", undefined],
  ["bare IP", [0, 0, 0, 0, 0, 0]],
] as const) {
  test(`the port conforms, over ${name}`, (t) => {
    const bench = new Bench();
    const board = bench.board();
    for (let i = 0; i < 2; i++) board.link({ mac: mac?.slice() });
    t.deepEqual(findings(board, bench), []);
    t.deepEqual(board.logged, ["conformance check: this is a test"]);
  });
}

test("it conforms with accelerators, and while its clock wraps", (t) => {
  const bench = new Bench();
  const board = bench.board({ origin: 0xffffffff - 2000 });
  for (let i = 0; i < 2; i++) board.link();
  Object.assign(board.calls, { checksum: sum, copy: copyBytes }, new FakeCiphers(2));
  t.deepEqual(findings(board, bench), []);
});

/** A board's ciphers over node:crypto: `room` keys, AES-GCM of 128 bits and ChaCha20-Poly1305. */
class FakeCiphers {
  readonly keys: (Cipher | null)[];

  constructor(room: number) {
    this.keys = Array.from({ length: room }, () => null);
  }

  readonly cipherOpen = (name: string, key: Uint8Array): number => {
    const number = this.keys.indexOf(null);
    if (number < 0 || (name === "aes-gcm-16" && key.length !== 16)) return -1;
    this.keys[number] = nodeCrypto().cipher(name, key, true);
    return this.keys[number] ? number : -1;
  };
  readonly cipherRun: BareCalls["cipherRun"] = (
    number,
    seal,
    data,
    start,
    end,
    tag,
    nonce,
    aad,
    aadStart,
    aadEnd,
  ) => {
    const job = { data, start, end, tag, nonce, aad, aadStart, aadEnd, done() {} };
    const cipher = this.keys[number]!;
    return (seal ? cipher.seal(job) : cipher.open(job)) === CIPHER_DONE;
  };
  readonly cipherClose = (number: number): void => {
    this.keys[number]!.close();
    this.keys[number] = null;
  };
}

test("bare.h has a dozen functions: eight that a board must have, four that it may have", (t) => {
  const header = readFileSync(join(ROOT, "ports/bare/bare.h"), "utf8").replace(/\/\*[^]*?\*\//g, "");
  const declared = header.match(/^.*\bbare_\w+\(.*;$/gm)!;
  t.is(declared.length, 12);
  t.is(declared.filter((line) => line.startsWith("__attribute__((weak))")).length, 4);
});

test("a board's ciphers: what they seal another provider opens; keys that there is no room for, forgeries and closed ones", (t) => {
  const board = new Bench().board();
  const ciphers = new FakeCiphers(2);
  Object.assign(board.calls, ciphers);
  const crypto = bareHost(board.calls).crypto!;
  t.deepEqual(crypto.algorithms, ["aes-gcm-16", "chacha20-poly1305"]);
  t.deepEqual(ciphers.keys, [null, null], "asked, and given back");
  for (const [name, size] of [
    ["aes-gcm-16", 16],
    ["chacha20-poly1305", 32],
  ] as const) {
    const key = new Uint8Array(size).fill(7);
    const cipher = crypto.cipher!(name, key, true)!;
    t.like(cipher, { nonceSize: 12, tagSize: 16, blockSize: 1, deferred: false });
    const data = Uint8Array.from({ length: 100 }, (_, i) => i);
    const nonce = new Uint8Array(16).fill(3);
    const job = { data, start: 10, end: 70, tag: 72, nonce, aad: data, aadStart: 1, aadEnd: 9, done() {} };
    t.is(cipher.seal(job), CIPHER_DONE);
    const sealed = data.slice();
    t.is(nodeCrypto().cipher(name, key, true)!.open(job), CIPHER_DONE);
    t.deepEqual(
      data.subarray(0, 72),
      Uint8Array.from({ length: 72 }, (_, i) => i),
    );
    for (const at of [1, 10, 69, 72, 87]) {
      data.set(sealed);
      data[at]! ^= 128;
      t.is(cipher.open(job), CIPHER_FAILED, `byte ${at}`);
    }
    const other = crypto.cipher!(name, key, true);
    t.truthy(other);
    t.is(crypto.cipher!(name, key, true), null, "no room");
    cipher.close();
    cipher.close();
    other!.close();
    data.set(sealed);
    t.is(cipher.open(job), CIPHER_FAILED);
    t.is(cipher.seal(job), CIPHER_FAILED);
    t.is(crypto.cipher!(name, new Uint8Array(17), true), null);
  }
  t.is(crypto.cipher!("aes-cbc", new Uint8Array(16), true), null);
});

test("the kit finds a board that says it has room and has none", (t) => {
  const bench = new Bench();
  const board = bench.board();
  for (let i = 0; i < 2; i++) board.link();
  board.links[0]!.room = false;
  t.deepEqual(findings(board, bench), ["link-full"]);
});

test("what a board has not is absent", (t) => {
  const host = bareHost(new Bench().board().calls);
  t.is(host.version, HYPERCALL_VERSION);
  t.is(host.checksum, undefined);
  t.is(host.copy, undefined);
  t.is(host.crypto, undefined);
  t.throws(() => host.link(0), { code: "ENODEV" });
});

interface Machine {
  board: FakeBoard;
  host: BareHost;
  stack: Stack;
  tcp: ReturnType<typeof tcp>;
  dns: ReturnType<typeof dns>;
  leases: ReturnType<typeof dhcp>;
}

function machine(bench: Bench, address: string, options: Partial<FakeBoard> = {}): Machine {
  const board = bench.board(options);
  board.link();
  const host = bareHost(board.calls);
  const ip = ipv4();
  const parts = { tcp: tcp(), leases: dhcp(), dns: dns({ servers: ["10.0.0.2"] }) };
  const { tcp: sockets, leases, dns: names } = parts;
  const stack = host.drive(createStack(host, [ethernet(), arp(), ip, icmp(), udp(), sockets, leases, names]));
  ip.addAddress(stack.addInterface(host.link()), address);
  return { board, host, stack, ...parts };
}

/** Two machines take turns until `time`. */
function live(bench: Bench, a: Machine, b: Machine, time: number): void {
  while (bench.time < time) {
    const delays = [a.host.step(), b.host.step()].map((delay) => (delay < 0 ? Infinity : bench.time + delay));
    bench.time = Math.max(bench.time, Math.min(...delays, a.board.next(), b.board.next(), time));
  }
}

test("two boards talk TCP, over queues of four frames", (t) => {
  const bench = new Bench();
  const a = machine(bench, "10.0.0.1/24", { origin: 0x7fffff00 });
  const b = machine(bench, "10.0.0.2/24");
  bench.wire(a.board.links[0]!, b.board.links[0]!);
  const sent = Uint8Array.from({ length: 200_000 }, (_, i) => i * 7 + (i >> 8));
  const received: number[] = [];
  const buffer = new Uint8Array(4096);
  b.tcp.listen({
    port: 80,
    onConnection: (socket) =>
      socket.handle({
        onReadable() {
          let count: number;
          while ((count = this.read(buffer)) > 0) received.push(...buffer.subarray(0, count));
        },
        onEnd() {
          this.close();
        },
      }),
  });
  let at = 0;
  let closed = -1;
  const pump = (socket: {
    write(data: Uint8Array, start: number, end: number): number;
    shutdown(): void;
  }) => {
    while (at < sent.length) {
      const count = socket.write(sent, at, Math.min(sent.length, at + 1000));
      if (count < 0) return;
      at += count;
    }
    socket.shutdown();
  };
  a.tcp.connect({
    address: "10.0.0.2",
    port: 80,
    onConnect() {
      pump(this);
    },
    onWritable() {
      pump(this);
    },
    onClose(code) {
      closed = code;
    },
  });
  live(bench, a, b, 120_000);
  t.is(closed, 0);
  t.deepEqual(Uint8Array.from(received), sent);
  t.deepEqual([a.board.panics, b.board.panics], [[], []]);
});

test("without entropy there is no TCP, no DNS, no DHCP: not one frame; with it they start", (t) => {
  const bench = new Bench();
  const a = machine(bench, "10.0.0.1/24", { entropy: false });
  const b = machine(bench, "10.0.0.2/24");
  bench.wire(a.board.links[0]!, b.board.links[0]!);
  live(bench, a, b, 10_000);
  const before = a.board.links[0]!.sent;
  t.throws(() => a.tcp.listen({ port: 80, onConnection() {} }), { code: "EIO" });
  const codes: number[] = [];
  a.tcp.connect({ address: "10.0.0.2", port: 80, onClose: (code) => codes.push(code) });
  a.dns.lookup("server.lan", {}, (code) => codes.push(code));
  const client = a.leases.open(a.stack.interfaces[0]!, { delay: 0 });
  live(bench, a, b, 60_000);
  t.deepEqual(codes, [EIO, EIO]);
  t.is(a.board.links[0]!.sent, before);
  a.board.entropy = true;
  a.tcp.listen({ port: 80, onConnection() {} });
  live(bench, a, b, 180_000);
  t.true(a.board.links[0]!.sent > before, "DHCP has tried again by itself");
  client.close();
});

test("a board without entropy answers pings all the same", (t) => {
  const bench = new Bench();
  const a = machine(bench, "10.0.0.1/24", { entropy: false });
  const b = machine(bench, "10.0.0.2/24");
  bench.wire(a.board.links[0]!, b.board.links[0]!);
  const echo = Uint8Array.from([
    ...[2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 2, 0, 8, 0],
    ...[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0x66, 0xdf, 10, 0, 0, 2, 10, 0, 0, 1],
    ...[8, 0, 0xf7, 0xfe, 0, 1, 0, 0],
  ]);
  b.board.calls.frameOut(0, echo, 0, echo.length);
  live(bench, a, b, 1000);
  t.is(a.stack.counters.icmp!.echoRequests, 1);
  t.true(a.board.links[0]!.sent > 0);
});

test("carrier, lost frames and room are told to the stack", (t) => {
  const bench = new Bench();
  const a = machine(bench, "10.0.0.1/24");
  const link = a.board.links[0]!;
  const nif = a.stack.interfaces[0]!;
  a.host.step();
  t.true(nif.running);
  link.carrier = false;
  link.lost = 3;
  a.host.step();
  t.false(nif.running);
  t.is(nif.counters.rxLost, 3);
  link.carrier = true;
  a.host.step();
  t.true(nif.running);
});

test("run ends when the board says so; sleeps are as long as the stack's", (t) => {
  const bench = new Bench();
  const a = machine(bench, "10.0.0.1/24");
  a.board.stopAt = 3_600_000;
  a.host.run();
  t.is(bench.time, 3_600_000);
  t.true(a.board.idles < 1000, `${a.board.idles} wake-ups in an hour`);
});

test("misuse: links are opened once, a host drives one stack, wake-ups need somebody to poll", (t) => {
  const bench = new Bench();
  const board = bench.board();
  board.link();
  const host = bareHost(board.calls);
  const link = host.link();
  const receiver = { receive() {}, carrier() {}, writable() {}, lost() {} };
  link.open(receiver);
  t.throws(() => link.open(receiver), { code: "EALREADY" });
  link.close();
  link.close();
  t.throws(() => link.open(receiver), { code: "EBADF" });
  t.is(link.transmit(new Uint8Array(60), 0, 60), 0);
  host.wake(0);
  t.throws(() => host.step(), { code: "EINVAL" });
  host.drive({ poll() {} });
  t.throws(() => host.drive({ poll() {} }), { code: "EBUSY" });
});

test("what an application throws is told: to panic, or to the log of a board without", (t) => {
  const board = new Bench().board();
  const host = bareHost(board.calls);
  host.panic("callback threw", new Error("its own fault"));
  host.panic("callback threw", "a word");
  t.deepEqual(board.panics, ["callback threw: Error: its own fault", "callback threw: a word"]);
  delete board.calls.panic;
  host.panic("callback threw", null);
  t.deepEqual(board.logged, ["callback threw: null"]);
});

test("a link of bare IP packets", (t) => {
  const board = new Bench().board();
  board.link({ mac: [0, 0, 0, 0, 0, 0], mtu: 576 });
  const host = bareHost(board.calls);
  const stack = host.drive(createStack(host, [ipLink(), ipv4()]));
  const link = host.link();
  t.like(link, { medium: "ip", mtu: 576, mac: undefined });
  t.is(stack.addInterface(link).name, "tun0");
});

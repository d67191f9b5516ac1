/** Ciphers that answer later: order, back-pressure, bounds, ends of SAs meanwhile; then Web Crypto itself. */
import test from "ava";
import type { Cipher, CipherJob, CryptoHypercalls } from "../../hypercall/crypto.js";
import { CIPHER_PENDING } from "../../hypercall/crypto.js";
import { webCrypto } from "../../ports/browser/index.js";
import { memoryCable, nodeHost } from "../../ports/node/index.js";
import { nodeCrypto } from "../../ports/node/crypto.js";
import type { World } from "../../ports/sim/index.js";
import { EAGAIN } from "../../stack/core/errors.js";
import { createStack } from "../../stack/core/stack.js";
import { cipherQueue } from "../../stack/ipsec/cipher-queue.js";
import { esp } from "../../stack/ipsec/esp.js";
import { ipsec } from "../../stack/ipsec/ipsec.js";
import { arp } from "../../stack/ipv4/arp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { tcp } from "../../stack/tcp/tcp.js";
import { info, textOf } from "../udp/support.js";
import { transfer } from "../support/transfer.js";
import { build, join, key, SUITES } from "./support.js";

const HELLO = Uint8Array.from("hello", (c) => c.charCodeAt(0));
const GCM = SUITES[0]!;

/** Node's AEADs, which answer some milliseconds later; what was asked first may be ready last, and is answered first. */
function slow(world: World, most = 3): CryptoHypercalls {
  const node = nodeCrypto();
  return {
    ...node,
    cipher(name, secret, immediate) {
      const cipher = node.cipher(name, secret, immediate);
      if (!cipher || immediate || cipher.nonceSize !== 12) return cipher;
      const begun: { job: CipherJob; work: (job: CipherJob) => number; ready: boolean }[] = [];
      const answer = (closed: boolean): void => {
        while (begun.length > 0 && (closed || begun[0]!.ready)) {
          const { job, work } = begun.shift()!;
          // The work is done at the last moment: whoever has touched the bytes meanwhile is found out.
          job.done(job, closed ? 0 : work(job));
        }
      };
      const begin = (job: CipherJob, work: (job: CipherJob) => number): number => {
        const each = { job, work, ready: false };
        begun.push(each);
        world.at(world.random() * most, () => {
          each.ready = true;
          answer(false);
        });
        return CIPHER_PENDING;
      };
      const later: Cipher = {
        ...{ nonceSize: 12, tagSize: cipher.tagSize, blockSize: 1, deferred: true },
        seal: (job) => begin(job, (each) => cipher.seal(each)),
        open: (job) => begin(job, (each) => cipher.open(each)),
        close() {
          cipher.close();
          answer(true);
        },
      };
      return later;
    },
  };
}

test("every mode and family, ESN, UDP: datagrams stay in order, fragments, TCP both ways", (t) => {
  for (const [family, mode, more] of [
    [4, "transport", {}],
    [4, "tunnel", { esn: true }],
    [4, "beet", {}],
    [6, "transport", { esn: true }],
    [6, "tunnel", {}],
    [6, "beet", {}],
    [4, "tunnel", { encapsulation: { localPort: 4500, remotePort: 4500 } }],
    [4, "transport", { encapsulation: { localPort: 4500, remotePort: 4500 } }],
  ] as const) {
    const net = build(t, { delay: 1, crypto: (world) => slow(world), waiting: 32 });
    const { a, b } = net;
    const label = `${mode} over IPv${family} ${JSON.stringify(more)}`;
    const across = mode === "beet" || (mode === "tunnel" && !("encapsulation" in more));
    const inner: [string, string] | undefined = !across
      ? undefined
      : family === 4
        ? ["fd01::1", "fd01::2"]
        : ["10.1.0.1", "10.1.0.2"];
    if (inner) {
      for (const [i, end] of [a, b].entries()) {
        if (family === 4) end.ip6.addAddress(end.nif, inner[i] + "/64");
        else end.ip.addAddress(end.nif, inner[i] + "/24");
      }
    }
    const target = inner ? inner[1] : family === 4 ? b.address : b.address6;
    const { sas } = join(net, GCM, { family, mode, inner, ...more });
    t.true(sas.every((sa) => sa.transform.deferred));
    net.run(2000);
    const server = b.udp.open({ port: 7 });
    const client = a.udp.open();
    client.sendTo(target, 7, HELLO);
    net.run(500);
    while (textOf(server) !== undefined);
    for (let i = 0; i < 20; i++) t.is(client.sendTo(target, 7, Uint8Array.of(65 + i)), 1, label);
    client.sendTo(target, 7, new Uint8Array(3000).fill(97));
    net.run(500);
    const heard: string[] = [];
    for (let text; (text = textOf(server, info())) !== undefined;) heard.push(text);
    t.is(heard.join(""), "ABCDEFGHIJKLMNOPQRST" + "a".repeat(3000), label);
    const { near, far } = transfer(a.tcp, b.tcp, target, { forth: 60000, back: 60000 });
    net.run(8000);
    t.deepEqual([near.received, near.wrong, far.received, far.wrong], [60000, -1, 60000, -1], label);
    t.deepEqual([b.esp.counters.auth, b.esp.counters.replay, a.esp.counters.cipher], [0, 0, 0], label);
    server.close();
    client.close();
  }
});

test("back-pressure: who sends too much is told to wait, and then that there is room; what comes in is bounded as well", (t) => {
  const net = build(t, { delay: 1, crypto: (world) => slow(world, 20), waiting: 4 });
  const { a, b } = net;
  join(net, GCM, { mode: "tunnel" });
  let writable = 0;
  const server = b.udp.open({ port: 7 });
  const client = a.udp.open({ onWritable: () => writable++ });
  const codes = Array.from({ length: 6 }, () => client.sendTo("10.0.0.2", 7, HELLO));
  t.deepEqual(codes, [5, 5, 5, 5, EAGAIN, EAGAIN]);
  t.is(writable, 0);
  net.run(200);
  t.true(writable > 0);
  // The same frames thrice: of what finds no room nothing is left, and the window knows the others.
  const frames = net.sent[0].filter((frame) => frame[12] === 8 && frame[13] === 0 && frame[23] === 50);
  t.is(frames.length, 4);
  const { queueFull } = b.security.counters;
  for (const frame of [...frames, ...frames]) b.nif.receive(frame.slice(), 0, frame.length);
  t.true(b.security.counters.queueFull - queueFull + b.esp.counters.replay === 8);
  net.run(200);
  let count = 0;
  while (textOf(server) !== undefined) count++;
  t.is(count, 4);
  server.close();
  client.close();
});

test("SEC-02 SEC-04: copies that wait side by side: one is taken; forged ones leave the window as it is", (t) => {
  const net = build(t, { delay: 1, crypto: (world) => slow(world, 20), waiting: 32 });
  const { a, b } = net;
  const { sas } = join(net, GCM, { mode: "transport", esn: true });
  const server = b.udp.open({ port: 7 });
  const client = a.udp.open();
  client.sendTo("10.0.0.2", 7, HELLO);
  net.run(100);
  while (textOf(server) !== undefined);
  net.links[0].cut(true);
  client.sendTo("10.0.0.2", 7, HELLO);
  net.run(100);
  net.links[0].restore(true);
  const frame = net.sent[0].at(-1)!;
  const forged = frame.slice();
  forged[34 + 4 + 3]! += 50;
  const low = sas[3].window.low;
  const before = { ...b.esp.counters };
  for (const each of [forged, frame, frame, forged, frame]) b.nif.receive(each.slice(), 0, each.length);
  net.run(100);
  t.is(textOf(server), "hello");
  t.is(textOf(server), undefined);
  t.deepEqual([b.esp.counters.auth - before.auth, b.esp.counters.replay - before.replay], [2, 2]);
  t.is(sas[3].window.low, low + 1);
  server.close();
  client.close();
});

test("SEC-10: an SA, a stack ends while packets wait: nothing of them goes on, the queue is empty again", (t) => {
  const net = build(t, { delay: 1, crypto: (world) => slow(world, 20), waiting: 4 });
  const { a, b } = net;
  const { sas, policies } = join(net, GCM, { mode: "tunnel" });
  const server = b.udp.open({ port: 7 });
  const client = a.udp.open();
  for (let i = 0; i < 4; i++) client.sendTo("10.0.0.2", 7, HELLO);
  a.security.remove(sas[0]);
  net.run(100);
  t.is(net.sent[0].filter((frame) => frame[23] === 50).length, 0);
  const common = { mode: "tunnel", local: "10.0.0.1", remote: "10.0.0.2", policy: policies[0] } as const;
  a.security.addSa({ ...common, ...GCM.options, direction: "out", spi: 0x1001 });
  // There is room for as many as before, and b's SA ends while they wait there.
  for (let i = 0; i < 4; i++) t.is(client.sendTo("10.0.0.2", 7, HELLO), 5);
  net.world.runUntil(() => net.sent[0].filter((frame) => frame[23] === 50).length === 4);
  net.run(1.5);
  b.security.remove(sas[3]);
  net.run(100);
  t.is(textOf(server), undefined);
  const { auth, malformed } = b.esp.counters;
  t.deepEqual([auth, malformed], [0, 0]);
  for (let i = 0; i < 4; i++) client.sendTo("10.0.0.2", 7, HELLO);
  a.stack.close();
  net.run(100);
  t.is(net.world.panics.length, 0);
});

test("Web Crypto in Node, two stacks on a cable: a megabyte each way by TCP in a tunnel", async (t) => {
  const [here, there] = memoryCable();
  const node = (link: typeof here, address: string, remote: string, out: number, into: number) => {
    const host = nodeHost({ crypto: webCrypto(nodeCrypto()) });
    const ip = ipv4();
    const streams = tcp();
    const security = ipsec({ queue: cipherQueue() });
    const guard = esp();
    const stack = host.drive(createStack(host, [ethernet(), arp(), ip, streams, security, guard]));
    ip.addAddress(stack.addInterface(link), `${address}/24`);
    const policy = security.addPolicy({ action: "protect", remote });
    const common = { policy, local: address, remote };
    const inbound = security.addSa({ ...common, direction: "in", spi: into, key: key(20, into) });
    security.addSa({ ...common, direction: "out", spi: out, key: key(20, out) });
    t.true(inbound.transform.deferred);
    t.teardown(() => stack.close());
    return { stack, streams, guard };
  };
  const a = node(here, "10.0.0.1", "10.0.0.2", 0x101, 0x102);
  const b = node(there, "10.0.0.2", "10.0.0.1", 0x102, 0x101);
  const { near, far } = transfer(a.streams, b.streams, "10.0.0.2", { forth: 1_000_000, back: 1_000_000 });
  const done = (): boolean => near.received >= 1_000_000 && far.received >= 1_000_000;
  while (!done() && near.closed === null) await new Promise((resolve) => setTimeout(resolve, 5));
  t.deepEqual([near.received, near.wrong, far.received, far.wrong], [1_000_000, -1, 1_000_000, -1]);
  t.true(a.guard.counters.sent > 700 && b.guard.counters.sent > 700);
  t.deepEqual([a.guard.counters.auth, b.guard.counters.auth], [0, 0]);
});

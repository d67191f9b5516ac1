/** What runs in the browser: a host on a WebSocket cable, with a web server and a client on web streams. Bundled by browser.ts. */
import {
  browserHost,
  openPortLink,
  openWebSocketLink,
  tcpStreams,
  webCrypto,
} from "../../../ports/browser/index.js";
import { nobleCrypto } from "../../../ports/noble/index.js";
import { wasmAccelerator } from "../../../ports/wasm/accelerator.js";
import { createStack } from "../../../stack/index.js";
import type { Component } from "../../../stack/index.js";
import { cipherQueue } from "../../../stack/ipsec/cipher-queue.js";
import { esp } from "../../../stack/ipsec/esp.js";
import { ipsec } from "../../../stack/ipsec/ipsec.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { dhcp } from "../../../stack/service/dhcp.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import type { Tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";

const BUDGET = 16 << 20;
/** The bodies are this pattern over and over: of a prime length, so that a shift by whole segments shows. */
const BLOCK = new Uint8Array(65521).map((_, i) => (i * i) >> 3);

const sockets = tcp();
let stack: ReturnType<typeof createStack> | null = null;
let errors = 0;

function host(components: Component[]): ReturnType<typeof createStack> {
  const calls = browserHost({ panic: () => errors++, crypto: webCrypto(nobleCrypto()) });
  return calls.drive(createStack(calls, [ethernet(), arp(), ...components], { packetMemory: BUDGET }));
}

/** Connects the cable and asks for an address. */
async function start(url: string): Promise<string> {
  const client = dhcp();
  stack = host([ipv4(), icmp(), udp(), sockets, client]);
  const nif = stack.addInterface(await openWebSocketLink(url));
  return new Promise((resolve) => client.open(nif, { onBound: (lease) => resolve(lease.address) }));
}

async function hex(data: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function body(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += BLOCK.length) bytes.set(BLOCK.subarray(0, length - at), at);
  return bytes;
}

async function readAll(readable: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(
    await new Response(readable as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer(),
  );
}

/** SHA-256 of what a web server has at `path`, or the error's code. */
async function get(address: string, port: number, path: string): Promise<string> {
  try {
    const { readable, writable } = await tcpStreams(sockets.connect({ address, port })).opened;
    const writer = writable.getWriter();
    await writer.write(new TextEncoder().encode(`GET ${path} HTTP/1.0\r\n\r\n`));
    const answer = await readAll(readable);
    await writer.close();
    let at = 0;
    while (!(answer[at] === 10 && answer[at + 1] === 13)) at++;
    return await hex(answer.slice(at + 3));
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** Serves `GET /N`: N bytes. Returns the hash of `length` of them. */
function serve(port: number, length: number): Promise<string> {
  sockets.listen({
    port,
    onConnection(socket) {
      const { opened } = tcpStreams(socket, true);
      void opened.then(async ({ readable, writable }) => {
        const reader = readable.getReader();
        let head = "";
        while (!head.includes("\r\n\r\n")) head += new TextDecoder().decode((await reader.read()).value);
        const size = Number(/^GET \/(\d+)/.exec(head)![1]);
        const text = `HTTP/1.0 200 OK\r\nContent-Length: ${size}\r\n\r\n`;
        const writer = writable.getWriter();
        await writer.write(new TextEncoder().encode(text));
        await writer.write(body(size));
        await writer.close();
        await reader.cancel();
      });
    },
  });
  return hex(body(length));
}

/** A stack at one end of a port, 10.0.0.`own`; everything that it says to the other end goes by ESP, with Web Crypto's AES-GCM. */
function overEsp(port: MessagePort, own: 1 | 2, streams: Tcp) {
  const ip = ipv4();
  const security = ipsec({ queue: cipherQueue() });
  const guard = esp();
  const nif = host([ip, icmp(), streams, security, guard]).addInterface(openPortLink(port));
  ip.addAddress(nif, `10.0.0.${own}/24`);
  const ends = { local: `10.0.0.${own}`, remote: `10.0.0.${3 - own}` };
  const common = { ...ends, policy: security.addPolicy({ action: "protect", ...ends }) };
  const into = security.addSa({ ...common, direction: "in", spi: 0x100 + own, key: body(20).fill(own) });
  security.addSa({ ...common, direction: "out", spi: 0x103 - own, key: body(20).fill(3 - own) });
  return { guard, later: into.transform.deferred };
}

/** The far end of `overPort`, when this program runs in a worker. */
function echo(port: MessagePort): void {
  const echoes = tcp();
  overEsp(port, 2, echoes);
  echoes.listen({
    port: 7,
    onConnection: (socket) =>
      void tcpStreams(socket, true).opened.then(({ readable, writable }) => readable.pipeTo(writable)),
  });
}

/** Sends `length` bytes to a stack in a worker and back; whether they are the same, and what of it was ESP. */
async function overPort(script: string, length: number) {
  const worker = new Worker(script, { type: "module" });
  const { port1, port2 } = new MessageChannel();
  worker.postMessage(port2, [port2]);
  const client = tcp();
  const { guard, later } = overEsp(port1, 1, client);
  const { readable, writable } = await tcpStreams(client.connect({ address: "10.0.0.2", port: 7 })).opened;
  const sent = body(length);
  const [back] = await Promise.all([readAll(readable), send(writable, sent)]);
  worker.terminate();
  const same = back.length === length && back.every((byte, i) => byte === sent[i]);
  const { sent: out, received, auth, replay, cipher } = guard.counters;
  return { same, later, bad: auth + replay + cipher, packets: Math.min(out, received) };
}

async function send(writable: WritableStream<Uint8Array>, data: Uint8Array): Promise<void> {
  const writer = writable.getWriter();
  await writer.write(data);
  await writer.close();
}

function facts() {
  return {
    accelerated: wasmAccelerator() !== null,
    errors,
    badsum: (sockets as Tcp).counters.badsum,
    used: stack?.pool.used,
  };
}

export interface Page {
  start: typeof start;
  get: typeof get;
  serve: typeof serve;
  overPort: typeof overPort;
  facts: typeof facts;
}

if ("document" in globalThis) Object.assign(globalThis, { start, get, serve, overPort, facts });
else globalThis.onmessage = ({ data }: MessageEvent<MessagePort>) => echo(data);

/**
 * `node examples/launch.js test/bench/ipsec.ts`: a tunnel between two stacks in this process against its cipher alone, by provider.
 *
 * Both directions of the work are in it: UDP datagrams are sealed, cross a link, are opened and read. The cipher's own row seals and
 * opens as many bytes through the same hypercalls. Rounds are interleaved, medians are told.
 */
import { nobleCrypto } from "../../ports/noble/index.js";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { opensslCrypto } from "../../ports/node/openssl.js";
import type { CipherJob, CryptoHypercalls } from "../../hypercall/crypto.js";
import { build, join, key } from "../ipsec/support.js";

const KEYS: Readonly<Record<string, number>> = { "aes-gcm-16": 16, "chacha20-poly1305": 32 };
const ROUNDS = 9;
const MILLISECONDS = 250;

/** Microseconds of processor that this process has had: what others run meanwhile is not in it. */
function processor(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Gbit/s of payload while `step`, which moves `bytes`, is repeated, `batch` times in a row. */
function rate(bytes: number, batch: number, step: () => void): number {
  const begin = processor();
  let count = 0;
  while (processor() - begin < MILLISECONDS * 1000) {
    // Asking for the time costs as much as a packet, and disturbs the next.
    for (let i = 0; i < batch; i++) step();
    count += batch;
  }
  return (count * bytes * 8) / ((processor() - begin) * 1e3);
}

function cipherStep(size: number, crypto: CryptoHypercalls, name: string): () => void {
  const cipher = crypto.cipher!(name, key(KEYS[name]!), true)!;
  const data = new Uint8Array(size + 16);
  const job: CipherJob = {
    ...{ data, start: 0, end: size, tag: size, nonce: new Uint8Array(12) },
    ...{ aad: new Uint8Array(8), aadStart: 0, aadEnd: 8, done() {} },
  };
  return () => {
    cipher.seal(job);
    cipher.open(job);
  };
}

function tunnelStep(size: number, mtu: number, crypto: CryptoHypercalls, name: string | null): () => void {
  const net = build(null, { mtu, accelerate: true, crypto: () => crypto });
  const { a, b } = net;
  if (name) join(net, { name, options: { encryption: name, key: key(KEYS[name]! + 4) } }, { mode: "tunnel" });
  else for (const end of [a, b]) end.security.addPolicy({ action: "bypass" });
  const server = b.udp.open({ port: 7 });
  const client = a.udp.open();
  const message = new Uint8Array(size);
  const target = new Uint8Array(size);
  // Frames go straight across: the simulated wire's own cost is none of this.
  const cross = (from: typeof a, to: typeof b): void => {
    from.nif.link.transmit = (frame, start, end) => {
      inFlight.data.set(frame.subarray(start, end));
      inFlight.end = end - start;
      inFlight.to = to;
      return 0;
    };
  };
  const inFlight = { data: new Uint8Array(mtu + 64), end: 0, to: b };
  client.sendTo("10.0.0.2", 7, message);
  net.run(1000);
  while (server.receive(target) >= 0);
  cross(a, b);
  let lost = 0;
  return () => {
    client.sendTo("10.0.0.2", 7, message);
    b.nif.receive(inFlight.data, 0, inFlight.end);
    if (server.receive(target) !== size && ++lost > 100) throw new Error("lost");
  };
}

const median = (list: number[]): number => list.sort((x, y) => x - y)[list.length >> 1]!;

interface Row {
  name: string;
  step: () => void;
  batch: number;
  figures: number[];
}

for (const [mtu, size] of [
  [1500, 1400],
  [9000, 8800],
] as const) {
  const rows: Row[] = [];
  const row = (name: string, batch: number, step: () => void): number =>
    rows.push({ name, batch, step, figures: [] });
  for (const [host, crypto, batch] of [
    ["node:crypto", nodeCrypto(), 1024],
    ["OpenSSL by koffi", opensslCrypto(), 1024],
    ["@noble", nobleCrypto(), 32],
  ] as const) {
    for (const name of Object.keys(KEYS)) {
      row(`${host}, ${name}: the cipher alone`, batch, cipherStep(size, crypto, name));
      row(`${host}, ${name}: tunnel`, batch, tunnelStep(size, mtu, crypto, name));
    }
  }
  row("no IPsec in the way", 1024, tunnelStep(size, mtu, nodeCrypto(), null));
  for (let round = 0; round < ROUNDS; round++)
    for (const { step, batch, figures } of rows) figures.push(rate(size, batch, step));
  let raw = 0;
  for (const { name, figures } of rows) {
    const value = median(figures);
    if (name.endsWith("alone")) raw = value;
    console.log(`| ${mtu} | ${name} | ${value.toFixed(3)} Gbit/s | ${(value / raw).toFixed(2)} |`);
  }
}
process.exit(0);

/** A conversation between two hosts from one script: shortened in either way it is the same, frame by frame, in V8 and Duktape. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { bundle } from "../support/bundle.js";
import { ROOT } from "../support/files.js";

const DUK = "/usr/bin/duk";

/** An application inside of the script: DNS-less hosts that exchange 20,000 bytes by TCP, datagrams, and a refused port. */
const ENTRY = `
import { createStack } from "../../stack/index.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { arp } from "../../stack/ipv4/arp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { udp } from "../../stack/udp/udp.js";
import { tcp } from "../../stack/tcp/tcp.js";

let time = 0, seed = 1, trace = 0, frames = 0;
const wire = [];
function host(id, address) {
  let wakeAt = -1, receiver = null;
  const link = {
    medium: "ethernet", mtu: 1500, mac: new Uint8Array([2, 0, 0, 0, 0, id]),
    open(above) { receiver = above; },
    transmit(frame, start, end) {
      const copy = new Uint8Array(end - start);
      copy.set(frame.subarray(start, end));
      for (let i = 0; i < copy.length; i++) trace = ((trace << 5) - trace + copy[i]) | 0;
      // Every ninth frame is lost.
      if (++frames % 9 !== 0) wire.push({ id, copy });
      return 0;
    },
    close() {},
  };
  const calls = {
    version: 1, now: () => time,
    random(target) { for (let i = 0; i < target.length; i++) target[i] = seed = (seed * 75 + 74) % 65537; return true; },
    wake(delay) { wakeAt = delay < 0 ? -1 : time + delay; },
  };
  const ip = ipv4(), datagrams = udp(), streams = tcp();
  const stack = createStack(calls, [ethernet(), arp(), ip, icmp(), datagrams, streams]);
  ip.addAddress(stack.addInterface(link), address);
  return { id, ip, datagrams, streams, stack, due: () => wakeAt >= 0 && wakeAt <= time, receive: (f) => receiver.receive(f, 0, f.length), woken() { wakeAt = -1; stack.poll(); } };
}
export function run() {
  const a = host(1, "10.0.0.1/24"), b = host(2, "10.0.0.2/24");
  const log = [], block = new Uint8Array(500);
  let got = 0, sent = 0;
  b.streams.listen({ port: 80, onConnection(socket) {
    socket.handle({
      onReadable() { for (let n; (n = socket.read(block)) > 0; ) { got += n; socket.write(block, 0, n >> 4); } },
      onEnd() { log.push("end " + got); socket.close(); },
    });
  } });
  const fill = (socket) => { while (sent < 20000 && socket.write(block) > 0) sent += 500; if (sent >= 20000) socket.shutdown(); };
  const one = a.streams.connect({ address: "10.0.0.2", port: 80, onConnect() { fill(this); }, onWritable() { fill(this); }, onReadable() { while (this.read(block) > 0); }, onClose(code) { log.push("close " + code); } });
  log.push(one.remoteAddress() + ":" + one.remotePort());
  const info = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
  const server = b.datagrams.open({ port: 7, onReadable() { const n = this.receive(block, info); log.push(info.address + " " + n); this.sendTo(info.address, info.port, block, 0, n); } });
  const client = a.datagrams.open({ onReadable(count) { log.push("echo " + count + " " + this.receive(block)); }, onError(code, address, port) { log.push(code + " " + address + ":" + port); } });
  log.push(client.sendTo("10.0.0.2", 7, block, 0, 33), client.sendTo("10.0.0.2", 9, block, 0, 5), client.sendTo("10.9.0.2", 9, block, 0, 5));
  try { a.datagrams.open({ port: 99999 }); } catch (error) { log.push(error.code + " " + error.message); }
  for (time = 0; time < 60000; time += 5) {
    for (const each of [a, b]) if (each.due()) each.woken();
    for (let i = 0; i < 50 && wire.length > 0; i++) { const { id, copy } = wire.shift(); (id === 1 ? b : a).receive(copy); }
  }
  log.push(frames, trace);
  a.stack.close(); b.stack.close();
  return log.join("; ");
}
`;

const entry = join(ROOT, "test/size/conversation.ts");
const plain = bundle(entry, { source: ENTRY, minify: false });
const variants = {
  "shortened, its API open": bundle(entry, { source: ENTRY }),
  "shortened and closed": bundle(entry, { source: ENTRY, closed: true }),
};

for (const [name, script] of Object.entries(variants)) {
  test(`the script, ${name}, says the same as unshortened`, async (t) => {
    const run = ({ code }: { code: string }) =>
      (new Function(`${code}; return anystack;`)() as { run(): string }).run();
    const expected = run(await plain);
    t.regex(expected, /end 20000; .*close 0/);
    t.regex(expected, /-111 10\.0\.0\.2:9/);
    t.is(run(await script), expected);
    if (!existsSync(DUK)) return;
    const folder = mkdtempSync(join(tmpdir(), "anystack-"));
    t.teardown(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "run.js"), `${(await script).code}; print(anystack.run());`);
    const duk = spawnSync(DUK, [join(folder, "run.js")], { encoding: "utf8" });
    t.is(duk.stdout.trim(), expected, duk.stderr);
  });
}

/** The example port: it conforms, pings, carries TCP over a slow line, survives noise; and the guide names every finding. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { serialCable } from "../../examples/port-to-a-new-host/cable.js";
import { LoopHost } from "../../examples/port-to-a-new-host/host.js";
import { type BytePipe, SlipLink } from "../../examples/port-to-a-new-host/slip.js";
import { checkHost } from "../../hypercall/conformance.js";
import { createStack } from "../../stack/index.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ipLink } from "../../stack/link/ip.js";
import { ping } from "../../stack/raw/ping.js";
import { tcp } from "../../stack/tcp/tcp.js";
import { ROOT, filesBelow } from "../support/files.js";

/** A clock that goes when it is told to, and hosts that go round each quarter of a millisecond. */
function world() {
  let time = 1e9;
  const clock = () => time;
  let state = 1;
  const entropy = (target: Uint8Array) => {
    for (let i = 0; i < target.length; i++)
      target[i] = (state = (Math.imul(state, 1103515245) + 12345) | 0) >> 16;
  };
  const hosts: LoopHost[] = [];
  const host = () => {
    const made = new LoopHost(clock, entropy);
    hosts.push(made);
    return made;
  };
  const run = (ms: number, done = () => false) => {
    for (const end = time + ms; time < end && !done(); time += 0.25) for (const each of hosts) each.turn();
    return done();
  };
  return { clock, host, run };
}

function machines(noise?: (data: Uint8Array, end: number) => void) {
  const { clock, host, run } = world();
  const nodes = serialCable(clock).map((pipe, index) => {
    const noisy: BytePipe = {
      room: () => pipe.room(),
      read: (target) => pipe.read(target),
      write(data, end) {
        noise?.(data, end);
        pipe.write(data, end);
      },
    };
    const link = new SlipLink(noisy);
    const own = host();
    const ip = ipv4();
    const parts = { ping: ping(), tcp: tcp() };
    const stack = own.drive(createStack(own, [ipLink(), ip, icmp(), parts.ping, parts.tcp]), link);
    const nif = stack.addInterface(link);
    ip.addAddress(nif, `10.0.0.${index + 1}/24`);
    return { ...parts, stack, link, nif, own };
  });
  return { a: nodes[0]!, b: nodes[1]!, run };
}

test("it conforms", (t) => {
  const { clock, host, run } = world();
  for (const mtu of [1006, 296]) {
    const links = serialCable(clock).map((pipe) => new SlipLink(pipe, mtu));
    const found: string[] = [];
    const tried = host();
    const check = checkHost(tried, (code, message) => found.push(`${code}: ${message}`), links);
    tried.drive(check, ...links);
    run(12_000);
    check.finish();
    t.deepEqual(found, []);
    t.is(tried.idle(), Infinity);
  }
});

test("ping, and TCP over 115200 baud that fills the line", (t) => {
  const { a, b, run } = machines();
  const replies: number[] = [];
  const socket = a.ping.open({ address: "10.0.0.2", onReply: ({ rtt }) => void replies.push(rtt) });
  socket.send(new Uint8Array(56));
  t.true(run(1000, () => replies.length === 1));
  // 84 bytes each way and four framing bytes, at 11.52 bytes a millisecond.
  t.true(replies[0]! >= 14 && replies[0]! <= 18, `${replies[0]} ms`);
  let received = 0;
  const buffer = new Uint8Array(4096);
  b.tcp.listen({
    port: 80,
    onConnection(accepted) {
      accepted.handle({
        onReadable() {
          for (let n = this.read(buffer); n > 0; n = this.read(buffer)) received += n;
        },
      });
    },
  });
  const total = 60_000;
  let left = total;
  const flush = function (this: { writable(): number; write(data: Uint8Array): number }) {
    while (left > 0) {
      const n = Math.min(left, this.writable() || 1);
      if (this.write(new Uint8Array(n)) < 0) return;
      left -= n;
    }
  };
  a.tcp.connect({ address: "10.0.0.2", port: 80, onConnect: flush, onWritable: flush });
  t.true(
    run(8000, () => received === total),
    `${received} bytes`,
  );
  for (const { stack } of [a, b]) stack.close();
});

test("noise on the line costs packets, nothing else", (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 200 }), (changes) => {
      let at = 0;
      const { a, b, run } = machines((data, end) => {
        for (const [place, value] of changes) if (place >= at && place < at + end) data[place - at] = value;
        at += end;
      });
      let replies = 0;
      const socket = a.ping.open({ address: "10.0.0.2", onReply: () => void replies++ });
      for (let i = 0; i < 4; i++) {
        socket.send(new Uint8Array(200));
        run(100);
      }
      // The noise is over.
      at = 1e9;
      for (let i = 0; i < 2; i++) {
        socket.send(new Uint8Array(200));
        run(100);
      }
      for (const { stack } of [a, b]) stack.close();
      return replies >= 2 && replies <= 6;
    }),
    { numRuns: 50 },
  );
  t.pass();
});

test("a packet longer than the MTU is counted as lost", (t) => {
  const { a, b, run } = machines();
  (a.link as unknown as { pipe: BytePipe }).pipe.write(new Uint8Array(3000).fill(7), 3000);
  (a.link as unknown as { pipe: BytePipe }).pipe.write(Uint8Array.of(0xc0), 1);
  run(1000);
  t.is(b.nif.counters.rxLost, 1);
  t.is(b.nif.counters.rxFrames, 0);
});

test("the program runs", (t) => {
  const main = join(ROOT, "examples/port-to-a-new-host/main.ts");
  const output = execFileSync(process.execPath, ["--import=tsx", main], { cwd: ROOT, encoding: "utf8" });
  t.regex(output, /the port conforms\n56 bytes from 10\.0\.0\.2: seq=\d+ ttl=64 time=\d+ ms\n/);
  t.regex(output, /3 of 3 pings answered\n$/);
});

test("the guide names every finding of the kit", (t) => {
  const guide = readFileSync(join(ROOT, "docs/porting.md"), "utf8");
  const missing = new Set<string>();
  for (const file of filesBelow("hypercall").filter((path) => path.includes("conformance"))) {
    for (const [, code] of readFileSync(join(ROOT, file), "utf8").matchAll(/report\(\s*"([a-z-]+)"/g))
      if (!guide.includes("`" + code + "`")) missing.add(code!);
  }
  t.deepEqual([...missing], []);
});

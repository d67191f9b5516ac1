/** The resolver over TCP (RFC 7766): answers that are too large for UDP, in pieces, late, never, and with lengths that lie. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { ECONNREFUSED, ECONNRESET, ENOBUFS, EPROTO, ETIMEDOUT } from "../../stack/core/errors.js";
import { dns as createDns } from "../../stack/service/dns.js";
import type { Dns, DnsOptions, DnsRecord } from "../../stack/service/dns.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import { concat, hex } from "../support/bytes.js";
import { pair } from "../support/network.js";
import type { NetworkOptions } from "../support/network.js";
import { be16 } from "../support/packets.js";
import { info } from "../udp/support.js";
import { parseQuery, record, reply } from "./dns-support.js";
import type { Query, Reply } from "./dns-support.js";

const COUNT = 200;
/** 200 addresses: 3200 bytes and some. */
const MANY = Array.from({ length: COUNT }, (_, i) => record(be16(0xc00c), "A", 60, "192.0.2." + i));

/** Two hosts; the second truncates over UDP, and does over TCP what `serve` says. */
function truncating(
  t: ExecutionContext,
  serve: ((socket: TcpSocket, query: Query) => void) | null,
  options: DnsOptions = {},
  network: NetworkOptions = {},
) {
  let dns: Dns | undefined;
  const components = () => (dns ? [] : [(dns = createDns({ servers: ["10.0.0.2"], ...options }))]);
  const { a, b, run, world } = pair(t, { delay: 5, ...network, components });
  const asked: Query[] = [];
  const overTcp: Query[] = [];
  b.udp.open({
    port: 53,
    onReadable() {
      const from = info();
      const bytes = new Uint8Array(600);
      for (let n = this.receive(bytes, from); n >= 0; n = this.receive(bytes, from)) {
        const query = parseQuery(bytes.slice(0, n));
        asked.push(query);
        this.sendTo(from.address, from.port, reply(query, { truncated: true, answers: MANY.slice(0, 3) }));
      }
    },
  });
  if (serve) {
    b.tcp.listen({
      port: 53,
      onConnection(socket) {
        socket.handle({
          onReadable() {
            const bytes = new Uint8Array(600);
            const n = this.read(bytes);
            t.is(bytes[0] * 256 + bytes[1], n - 2);
            const query = parseQuery(bytes.slice(2, n));
            overTcp.push(query);
            serve(this, query);
          },
          onEnd() {
            this.close();
          },
        });
      },
    });
  }
  const results: { code: number; list: DnsRecord[] }[] = [];
  const resolve = (name: string, type = "A") =>
    dns!.resolve(name, type, (code, list) => results.push({ code, list }));
  return { a, b, run, world, dns: dns!, asked, overTcp, results, resolve };
}

const whole = (query: Query, fields: Reply = { answers: MANY }) => {
  const bytes = reply(query, fields);
  return concat(be16(bytes.length), bytes);
};

test("a truncated answer is fetched over TCP, once", (t) => {
  const { resolve, run, results, asked, overTcp, dns, a } = truncating(t, (socket, query) => {
    socket.write(whole(query));
  });
  resolve("a.b");
  resolve("a.b");
  run(500);
  t.is(results.length, 2);
  t.is(results[0].list.length, COUNT);
  t.deepEqual(results[0].list[COUNT - 1], { name: "a.b", type: "A", ttl: 60, data: "192.0.2.199" });
  t.deepEqual([asked.length, overTcp.length, dns.counters.truncated], [1, 1, 1]);
  t.is(overTcp[0].name, "a.b");
  resolve("a.b");
  run(10);
  t.is(results[2].list.length, COUNT);
  t.is(asked.length, 1);
  t.deepEqual([dns.held, a.tcp.connections.size], [0, 0]);
});

test("an answer in pieces of a byte, and one that says again that it is truncated", (t) => {
  const { resolve, run, results, asked } = truncating(t, (socket, query) => {
    socket.setNoDelay(true);
    for (const byte of whole(query, { truncated: true, answers: MANY.slice(0, 5) })) {
      socket.write(Uint8Array.of(byte));
    }
  });
  resolve("a.b");
  run(2000);
  t.is(results[0].list.length, 5);
  t.is(asked.length, 1);
});

test("the answer and the end of the connection in one", (t) => {
  const { resolve, run, results } = truncating(t, (socket, query) => {
    socket.write(whole(query));
    socket.shutdown();
  });
  resolve("a.b");
  run(500);
  t.is(results[0].list.length, COUNT);
});

for (const [what, serve, code] of [
  ["nobody listens over TCP", null, ECONNREFUSED],
  ["the connection ends before the answer", (socket: TcpSocket) => socket.close(), ECONNRESET],
  ["the connection is reset", (socket: TcpSocket) => socket.abort(), ECONNRESET],
  [
    "the answer is cut short",
    (socket: TcpSocket, query: Query) => {
      socket.write(whole(query).subarray(0, 100));
      socket.shutdown();
    },
    ECONNRESET,
  ],
  ["the length is 0", (socket: TcpSocket) => void socket.write(hex("0000")), ENOBUFS],
  [
    "the answer is to something else",
    (socket: TcpSocket, query: Query) => void socket.write(whole({ ...query, id: query.id ^ 1 })),
    EPROTO,
  ],
  [
    "the answer lies",
    (socket: TcpSocket, query: Query) => void socket.write(whole(query, { counts: [1, 9, 0, 0] })),
    EPROTO,
  ],
  ["the answer is a byte long", (socket: TcpSocket) => void socket.write(hex("0001 00")), ENOBUFS],
  [
    "the answer is a header",
    (socket: TcpSocket, query: Query) => void socket.write(concat(be16(12), reply(query).subarray(0, 12))),
    EPROTO,
  ],
] as const) {
  test("DNS-09 " + what + ": that server has failed", (t) => {
    const { resolve, run, results, dns, asked, a } = truncating(t, serve);
    resolve("a.b");
    run(5000);
    t.deepEqual(results, [{ code, list: [] }]);
    t.is(asked.length, 1);
    t.is(dns.held, 0);
    t.is(a.tcp.connections.size, 0);
  });
}

test("DNS-09 a server that never answers over TCP is asked no more often than over UDP", (t) => {
  const { resolve, run, results, overTcp, dns } = truncating(t, () => {}, { timeout: 1000, attempts: 3 });
  resolve("a.b");
  run(30000);
  t.deepEqual(results, [{ code: ETIMEDOUT, list: [] }]);
  t.is(overTcp.length, 3);
  t.is(dns.held, 0);
});

test("DNS-09 RES-06 an answer of 65,535 bytes is read, and is not remembered", (t) => {
  const text = record(be16(0xc00c), "TXT", 60, concat(hex("ff"), new Uint8Array(255).fill(120)));
  const count = Math.floor((65535 - 21) / text.length);
  const { resolve, run, results, dns } = truncating(
    t,
    (socket, query) => {
      const bytes = reply(query, { answers: Array(count).fill(text) });
      const padded = concat(bytes, new Uint8Array(65535 - bytes.length));
      t.is(socket.write(concat(be16(65535), padded)), 65537);
    },
    {},
    { tcp: { sendBuffer: 131072 } },
  );
  resolve("a.b", "TXT");
  run(5000);
  t.is(results[0].code, 0);
  t.is(results[0].list.length, count);
  t.is(dns.cache.size, 0);
  t.is(dns.held, 0);
});

test("DNS-09 answers on their way over TCP take a 16th of the budget at most", (t) => {
  const { resolve, run, results, dns } = truncating(
    t,
    (socket) => {
      socket.write(hex("ffff"));
    },
    {},
    { stack: { budget: 1_200_000 } },
  );
  // The neighbour's address first: few packets wait for that.
  resolve("first").cancel();
  run(50);
  for (let i = 0; i < 5; i++) resolve("a" + i);
  run(100);
  t.is(dns.held, 65535);
  t.deepEqual(
    results.map((result) => result.code),
    [ENOBUFS, ENOBUFS, ENOBUFS, ENOBUFS],
  );
  run(60000);
  t.is(results.length, 5);
  t.is(dns.held, 0);
});

test("what is cancelled on its way over TCP leaves nothing", (t) => {
  const { resolve, run, results, dns, a } = truncating(t, (socket) => {
    socket.write(hex("1000 00"));
  });
  const request = resolve("a.b");
  run(60);
  t.is(dns.held, 0x1000);
  request.cancel();
  run(10000);
  t.deepEqual([results.length, dns.held, a.tcp.connections.size], [0, 0, 0]);
});

test("names over a bad line: each is answered once, and in the end", (t) => {
  const { resolve, run, results, dns } = truncating(
    t,
    (socket, query) => {
      socket.write(whole(query));
    },
    { limit: 60, attempts: 8, timeout: 500 },
    { loss: 0.2, delay: 20 } as NetworkOptions,
  );
  for (let i = 0; i < 60; i++) resolve("n" + i);
  run(600000);
  t.is(results.length, 60);
  t.is(results.filter((result) => result.code === 0 && result.list.length === COUNT).length, 60);
  t.deepEqual([dns.waiting, dns.held, dns.questions.length], [0, 0, 0]);
});

/** TCP between our sockets and the kernel's: data in both directions, every way to end, and paths that change. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import {
  EADDRNOTAVAIL,
  ECONNREFUSED,
  ECONNRESET,
  EHOSTUNREACH,
  ENETUNREACH,
  errorName,
} from "../../../stack/index.js";
import type { TcpSocket } from "../../../stack/tcp/socket.js";
import { TCP_CLIENT, tcpClient, tcpEcho } from "../support/apps.js";
import { createHost, KERNEL, OURS } from "../support/host.js";
import type { HostOptions, TestHost } from "../support/host.js";
import { bodyHash, serveHttp } from "../support/http.js";
import { Namespace } from "../support/namespace.js";

const ROOM = { stack: { budget: 16 << 20 } };

const VARIANTS: [string, HostOptions][] = [
  ["TAP", {}],
  ["TAP with offloads", { offloads: true }],
  ["TUN", { mode: "tun" }],
  ["TUN with offloads", { mode: "tun", offloads: true }],
  ["TAP with an MTU of 576", { mtu: 576 }],
  ["TAP with an MTU of 9000", { mtu: 9000 }],
];

for (const [name, options] of VARIANTS) {
  test(`echo of streams of all lengths over ${name}, with half closes`, async (t) => {
    const { ns, tcp } = await createHost(t, { ...options, ...ROOM });
    const ends: string[] = [];
    const listener = tcpEcho(tcp, 7, { onClose: (code) => ends.push(errorName(code)) });
    const lengths = [0, 1, 2, 535, 536, 537, 1447, 1448, 1449, 1460, 1461, 2896, 65535, 65536, 1e6, 2e7];
    t.is(await tcpClient(ns, "echo", OURS, 7, ...lengths), "ok");
    t.deepEqual(ends, []);
    t.is(tcp.counters.badsum, 0);
    listener.close();
  });
}

test("three hundred connections at once, from either side", async (t) => {
  const { ns, tcp } = await createHost(t, ROOM);
  const listener = tcpEcho(tcp, 7);
  t.is(await tcpClient(ns, "many", OURS, 7, 300, 20_000), "ok");
  t.is(tcp.counters.accepts, 300);
  listener.close();

  await ns.serve("tcp", 7, "python3", [TCP_CLIENT, "serve", KERNEL, "7"]);
  const text = new Uint8Array(20_000).map((_, i) => i * 7);
  const echoes = Array.from({ length: 300 }, () => exchange({ tcp }, text));
  for (const back of await Promise.all(echoes)) t.deepEqual(back, text);
});

/** Sends `data` to the kernel's echo, half closes, and takes what comes back. */
function exchange({ tcp }: Pick<TestHost, "tcp">, data: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const back = new Uint8Array(data.length + 1);
    let count = 0;
    tcp.connect({
      address: KERNEL,
      port: 7,
      onConnect() {
        this.write(data);
        this.shutdown();
      },
      onReadable() {
        count += this.read(back, count);
      },
      onEnd() {
        this.close();
        resolve(back.subarray(0, count));
      },
      onClose(code) {
        this.close();
        reject(new Error(errorName(code)));
      },
    });
  });
}

/** Connects to `address`; the code with which it ends. */
function failure({ tcp }: Pick<TestHost, "tcp">, address: string, port: number): Promise<number> {
  return new Promise((resolve) => {
    tcp.connect({
      address,
      port,
      onConnect: () => resolve(0),
      onClose(code) {
        this.close();
        resolve(code);
      },
    });
  });
}

test("connections that cannot be: refused by either side, no such host, no route", async (t) => {
  const host = await createHost(t);
  t.is(await tcpClient(host.ns, "connect", OURS, 9), "ECONNREFUSED");
  t.is(await failure(host, KERNEL, 9), ECONNREFUSED);
  t.is(await failure(host, "10.77.0.99", 9), EHOSTUNREACH);
  t.is(await failure(host, "192.0.2.1", 9), ENETUNREACH);
});

test("a connection that the kernel resets", async (t) => {
  const { ns, tcp } = await createHost(t);
  const ended = new Promise<number>((resolve) => tcpEcho(tcp, 7, { onClose: resolve }));
  t.is(await tcpClient(ns, "reset", OURS, 7), "ok");
  t.is(await ended, ECONNRESET);
});

test("connections that we end: in peace, by abort, with data unread", async (t) => {
  const { ns, tcp } = await createHost(t);
  const data = new Uint8Array(10_000);
  const ends: [number, (socket: TcpSocket) => void][] = [
    [7, (socket) => (socket.write(data), socket.close())],
    [8, (socket) => socket.abort()],
  ];
  for (const [port, onConnection] of ends) tcp.listen({ port, onConnection });
  t.deepEqual(await tcpClient(ns, "outcome", OURS, 7), [10_000, "end"]);
  t.deepEqual(await tcpClient(ns, "outcome", OURS, 8), [0, "ECONNRESET"]);

  tcp.listen({ port: 9, onConnection: (socket) => socket.handle({ onReadable: () => socket.close() }) });
  const script = `import socket, sys
s = socket.create_connection(("${OURS}", 9))
s.sendall(b"unread")
try: print(s.recv(1))
except ConnectionResetError: print("reset")`;
  t.is((await ns.run("python3", ["-c", script])).stdout, "reset\n");
});

test("urgent data stay in the stream", async (t) => {
  const { ns, tcp } = await createHost(t);
  tcpEcho(tcp, 7);
  t.is(await tcpClient(ns, "urgent", OURS, 7), "before!after");
});

test("an application that does not read holds its peer up, whichever side it is on", async (t) => {
  const { ns, tcp, stack } = await createHost(t, { stack: { budget: 4 << 20 } });
  const size = 20 << 20;
  const server = serveHttp(tcp, 80);
  // Without a request nothing would come: the slow reader asks by the port.
  const hash = createHash("sha256");
  let count = 0;
  const done = new Promise<void>((resolve) => {
    tcp.listen({
      port: 5001,
      onConnection(socket) {
        const buffer = new Uint8Array(65536);
        const read = () => {
          let length: number;
          while ((length = socket.read(buffer)) > 0) {
            hash.update(buffer.subarray(0, length));
            count += length;
          }
        };
        setTimeout(() => {
          t.true(stack.pool.used > 0);
          read();
          socket.handle({
            onReadable: read,
            onEnd() {
              socket.close();
              resolve();
            },
          });
        }, 3000);
      },
    });
  });
  const sender = `import socket, hashlib, random
s = socket.create_connection(("${OURS}", 5001))
data = random.randbytes(${size})
s.sendall(data)
s.close()
print(hashlib.sha256(data).hexdigest())`;
  const { stdout } = await ns.run("python3", ["-c", sender]);
  await done;
  t.is(count, size);
  t.is(stdout, hash.digest("hex") + "\n");

  const reader = `import socket, hashlib, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10000)
s.connect(("${OURS}", 80))
s.sendall(b"GET /bytes/${size} HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n")
time.sleep(3)
data = b"".join(iter(lambda: s.recv(65536), b""))
print(hashlib.sha256(data.split(b"\\r\\n\\r\\n", 1)[1]).hexdigest())`;
  const slow = await ns.run("python3", ["-c", reader]);
  t.is(slow.stdout, bodyHash(size) + "\n");
  t.true(tcp.counters.probes > 0);
  t.deepEqual(server.failures, []);
});

test("the cable is pulled for two seconds in the middle of a transfer, in either direction", async (t) => {
  const { ns, tcp, nif, device } = await createHost(t, { ...ROOM, offloads: true });
  const server = serveHttp(tcp, 80);
  const size = 400 << 20;
  const counters = nif.counters;
  const pull = async (moved: () => number) => {
    const start = moved();
    while (moved() - start < size / 8) await sleep(1);
    ns.ip("link", "set", device, "down");
    await sleep(2000);
    ns.ip("link", "set", device, "up");
  };
  const pipe = `set -o pipefail; curl -sS http://${OURS}/bytes/${size} | sha256sum`;
  const [down] = await Promise.all([ns.run("bash", ["-c", pipe]), pull(() => counters.txBytes)]);
  t.is(down.stdout, `${bodyHash(size)}  -\n`);

  const sender = `head -c ${size} /dev/zero | tee >(sha256sum >&2) | curl -sS -T - -H "Content-Length: ${size}" -H "Transfer-Encoding:" http://${OURS}/`;
  const [up] = await Promise.all([ns.run("bash", ["-c", sender]), pull(() => counters.rxBytes)]);
  t.is(up.stdout.trim(), up.stderr.replace("  -", "").trim());
  t.deepEqual(server.failures, []);
  server.listener.close();
});

test("an address that is taken away ends its connections, and others can be made over a new one", async (t) => {
  const { ip, nif, ns, tcp } = await createHost(t);
  const ended = new Promise<number>((resolve) => tcpEcho(tcp, 7, { onClose: resolve }));
  const client = tcpClient(ns, "outcome", OURS, 7);
  while (tcp.connections.size === 0) await sleep(1);
  await sleep(50);
  ip.removeAddress(nif, `${OURS}/24`);
  t.is(await ended, EADDRNOTAVAIL);
  ip.addAddress(nif, "10.77.0.3/24");
  t.is(await tcpClient(ns, "echo", "10.77.0.3", 7, 1, 100_000), "ok");
  await ns.run("ss", ["-K", "dst", OURS], { codes: null });
  void client.catch(() => {});
});

test("a peer that has forgotten the connection", async (t) => {
  const { ns, tcp, device } = await createHost(t);
  const ended = new Promise<number>((resolve) => tcpEcho(tcp, 7, { onClose: resolve }));
  void ended;
  const sockets: TcpSocket[] = [];
  tcp.listen({ port: 8, onConnection: (socket) => void sockets.push(socket) });
  const client = tcpClient(ns, "outcome", OURS, 8);
  while (sockets.length === 0) await sleep(1);
  const socket = sockets[0]!;
  const code = new Promise<number>((resolve) => socket.handle({ onClose: resolve }));
  // The kernel ends its connection while the cable is out: we never hear of it.
  ns.ip("link", "set", device, "down");
  await ns.run("ss", ["-K", "dst", OURS]);
  t.deepEqual(await client, [0, "ECONNABORTED"]);
  ns.ip("link", "set", device, "up");
  socket.write(new Uint8Array(10));
  t.is(await code, ECONNRESET);
  socket.close();
});

for (const blackhole of [false, true]) {
  test(`a router with a smaller MTU behind it${blackhole ? ", which does not say so" : ""}`, async (t) => {
    const { ip, ns, tcp } = await createHost(t, ROOM);
    const far = new Namespace();
    t.teardown(() => far.close());
    ns.ip("link", "add", "veth0", "mtu", "1280", "type", "veth", "peer", "name", "veth0", "netns", far.name);
    ns.ip("address", "add", "10.78.0.1/24", "dev", "veth0");
    ns.ip("link", "set", "veth0", "up");
    far.ip("address", "add", "10.78.0.2/24", "dev", "veth0");
    // The far end announces the MSS of Ethernet: only the router knows better.
    far.ip("link", "set", "veth0", "up");
    far.ip("route", "add", "default", "via", "10.78.0.1", "advmss", "1460");
    ns.sysctl("net.ipv4.ip_forward", 1);
    if (blackhole) ns.ip("rule", "add", "iif", "lo", "ipproto", "icmp", "to", OURS, "blackhole");
    ip.addRoute("0.0.0.0/0", { gateway: KERNEL });
    const server = serveHttp(tcp, 80);
    const size = 5_000_000;
    const pipe = `set -o pipefail; curl -sS http://${OURS}/bytes/${size} | sha256sum`;
    const { stdout } = await far.run("bash", ["-c", pipe]);
    t.is(stdout, `${bodyHash(size)}  -\n`);
    t.is(tcp.counters.blackholes > 0, blackhole);
    t.deepEqual(server.failures, []);
    server.listener.close();
  });
}

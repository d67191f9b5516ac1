/** Ends, stalls and interruptions of TCP connections with the kernel, over whichever family the host has. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import type { ExecutionContext } from "ava";
import { EADDRNOTAVAIL, ECONNRESET } from "../../../stack/index.js";
import type { TcpSocket } from "../../../stack/tcp/socket.js";
import { tcpClient, tcpEcho } from "./apps.js";
import type { CabledHost, HostOptions } from "./host.js";
import { bodyHash, serveHttp } from "./http.js";

const ROOM = { stack: { packetMemory: 16 << 20 } };

export interface TcpSuite<H extends CabledHost> {
  create(t: ExecutionContext, options: HostOptions): Promise<H>;
  /** Our address, and as URLs have it. */
  ours: string;
  host: string;
  /** Takes our address away; gives us another one. */
  take(node: H): void;
  give(node: H): void;
  next: string;
}

/** Declares the tests. */
export function tcpSuite<H extends CabledHost>({ create, ours, host, take, give, next }: TcpSuite<H>): void {
  test("a connection that the kernel resets", async (t) => {
    const { ns, tcp } = await create(t, {});
    const ended = new Promise<number>((resolve) => tcpEcho(tcp, 7, { onClose: resolve }));
    t.is(await tcpClient(ns, "reset", ours, 7), "ok");
    t.is(await ended, ECONNRESET);
  });

  test("connections that we end: in peace, by abort, with data unread", async (t) => {
    const { ns, tcp } = await create(t, {});
    const data = new Uint8Array(10_000);
    const ends: [number, (socket: TcpSocket) => void][] = [
      [7, (socket) => (socket.write(data), socket.close())],
      [8, (socket) => socket.abort()],
    ];
    for (const [port, onConnection] of ends) tcp.listen({ port, onConnection });
    t.deepEqual(await tcpClient(ns, "outcome", ours, 7), [10_000, "end"]);
    t.deepEqual(await tcpClient(ns, "outcome", ours, 8), [0, "ECONNRESET"]);

    tcp.listen({ port: 9, onConnection: (socket) => socket.handle({ onReadable: () => socket.close() }) });
    const script = `import socket, sys
s = socket.create_connection(("${ours}", 9))
s.sendall(b"unread")
try: print(s.recv(1))
except ConnectionResetError: print("reset")`;
    t.is((await ns.run("python3", ["-c", script])).stdout, "reset\n");
  });

  test("urgent data stay in the stream", async (t) => {
    const { ns, tcp } = await create(t, {});
    tcpEcho(tcp, 7);
    t.is(await tcpClient(ns, "urgent", ours, 7), "before!after");
  });

  test("an application that does not read holds its peer up, whichever side it is on", async (t) => {
    const { ns, tcp, stack } = await create(t, { stack: { packetMemory: 4 << 20 } });
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
s = socket.create_connection(("${ours}", 5001))
data = random.randbytes(${size})
s.sendall(data)
s.close()
print(hashlib.sha256(data).hexdigest())`;
    const { stdout } = await ns.run("python3", ["-c", sender], { timeout: 90_000 });
    await done;
    t.is(count, size);
    t.is(stdout, hash.digest("hex") + "\n");

    const reader = `import socket, hashlib, time
s = socket.socket(socket.getaddrinfo("${ours}", 80)[0][0])
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10000)
s.connect(("${ours}", 80))
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
    const { ns, tcp, nif, device } = await create(t, { ...ROOM, offloads: true });
    const server = serveHttp(tcp, 80);
    const size = 200 << 20;
    const counters = nif.counters;
    const pull = async (moved: () => number) => {
      const start = moved();
      while (moved() - start < size / 8) await sleep(1);
      ns.ip("link", "set", device, "down");
      await sleep(2000);
      ns.ip("link", "set", device, "up");
    };
    const pipe = `set -o pipefail; curl -sS http://${host}/bytes/${size} | sha256sum`;
    const [down] = await Promise.all([
      ns.run("bash", ["-c", pipe], { timeout: 90_000 }),
      pull(() => counters.txBytes),
    ]);
    t.is(down.stdout, `${bodyHash(size)}  -\n`);

    const sender = `head -c ${size} /dev/zero | tee >(sha256sum >&2) | curl -sS -T - -H "Content-Length: ${size}" -H "Transfer-Encoding:" http://${host}/`;
    const [up] = await Promise.all([
      ns.run("bash", ["-c", sender], { timeout: 90_000 }),
      pull(() => counters.rxBytes),
    ]);
    t.is(up.stdout.trim(), up.stderr.replace("  -", "").trim());
    t.deepEqual(server.failures, []);
    server.listener.close();
  });

  test("an address that is taken away ends its connections, and others can be made over a new one", async (t) => {
    const node = await create(t, {});
    const { ns, tcp } = node;
    const ended = new Promise<number>((resolve) => tcpEcho(tcp, 7, { onClose: resolve }));
    const client = tcpClient(ns, "outcome", ours, 7);
    while (tcp.connections.size === 0) await sleep(1);
    await sleep(50);
    take(node);
    t.is(await ended, EADDRNOTAVAIL);
    give(node);
    t.is(await tcpClient(ns, "echo", next, 7, 1, 100_000), "ok");
    await ns.run("ss", ["-K", "dst", host], { codes: null });
    void client.catch(() => {});
  });

  test("a peer that has forgotten the connection", async (t) => {
    const { ns, tcp, device } = await create(t, {});
    const ended = new Promise<number>((resolve) => tcpEcho(tcp, 7, { onClose: resolve }));
    void ended;
    const sockets: TcpSocket[] = [];
    tcp.listen({ port: 8, onConnection: (socket) => void sockets.push(socket) });
    const client = tcpClient(ns, "outcome", ours, 8);
    while (sockets.length === 0) await sleep(1);
    const socket = sockets[0]!;
    const code = new Promise<number>((resolve) => socket.handle({ onClose: resolve }));
    // The kernel ends its connection while the cable is out: we never hear of it.
    ns.ip("link", "set", device, "down");
    await ns.run("ss", ["-K", "dst", host]);
    t.deepEqual(await client, [0, "ECONNABORTED"]);
    ns.ip("link", "set", device, "up");
    socket.write(new Uint8Array(10));
    t.is(await code, ECONNRESET);
    socket.close();
  });
}

/** TCP between our sockets and the kernel's: data in both directions, every way to end, and paths that change. */
import test from "ava";
import { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, errorName } from "../../../stack/index.js";
import { TCP_CLIENT, tcpClient, tcpEcho } from "../support/apps.js";
import { createHost, KERNEL, OURS } from "../support/host.js";
import type { HostOptions, TestHost } from "../support/host.js";
import { bodyHash, serveHttp } from "../support/http.js";
import { tcpSuite } from "../support/tcp-suite.js";
import { Namespace } from "../support/namespace.js";

const ROOM = { stack: { packetMemory: 16 << 20 } };

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

tcpSuite({
  create: createHost,
  ours: OURS,
  host: OURS,
  take: ({ ip, nif }) => ip.removeAddress(nif, OURS),
  give: ({ ip, nif }) => void ip.addAddress(nif, "10.77.0.3/24"),
  next: "10.77.0.3",
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

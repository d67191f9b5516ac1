/** TCP over IPv6 alone, between our sockets and the kernel's: streams, link-local addresses with zones, every way to fail. */
import test from "ava";
import { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, errorName } from "../../../stack/index.js";
import { TCP_CLIENT, tcpClient, tcpEcho } from "../support/apps.js";
import { fastOpenSuite } from "../support/fast-open-suite.js";
import type { HostOptions } from "../support/host.js";
import { KERNEL6, KERNEL_LINK, OURS6, createHostOnly6 } from "../support/only6.js";
import type { Host6 } from "../support/only6.js";
import { tcpSuite } from "../support/tcp-suite.js";

const ROOM = { stack: { packetMemory: 16 << 20 } };

const VARIANTS: [string, HostOptions][] = [
  ["TAP", {}],
  ["TAP with offloads", { offloads: true }],
  ["TUN", { mode: "tun" }],
  ["TUN with offloads", { mode: "tun", offloads: true }],
  ["TAP with the smallest MTU", { mtu: 1280 }],
  ["TAP with an MTU of 9000", { mtu: 9000 }],
];

fastOpenSuite(createHostOnly6, KERNEL6, OURS6);

for (const [name, options] of VARIANTS) {
  test(`echo of streams of all lengths over ${name}, with half closes`, async (t) => {
    const { ns, tcp } = await createHostOnly6(t, { ...options, ...ROOM });
    const ends: string[] = [];
    const listener = tcpEcho(tcp, 7, { onClose: (code) => ends.push(errorName(code)) });
    const lengths = [
      0, 1, 2, 1207, 1208, 1209, 1219, 1220, 1221, 1427, 1428, 1429, 1440, 1441, 65536, 1e6, 1e7,
    ];
    t.is(await tcpClient(ns, "echo", OURS6, 7, ...lengths), "ok");
    t.deepEqual(ends, []);
    t.is(tcp.counters.badsum, 0);
    listener.close();
  });
}

/** Sends `data` to an echo, half closes, and takes what comes back. */
function exchange({ tcp }: Host6, address: string, data: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const back = new Uint8Array(data.length + 1);
    let count = 0;
    tcp.connect({
      address,
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
function failure({ tcp }: Host6, address: string, port: number): Promise<number> {
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

const TEXT = new Uint8Array(20_000).map((_, i) => i * 7);

test("a hundred connections at once, from either side", async (t) => {
  const host = await createHostOnly6(t, ROOM);
  const { ns, tcp } = host;
  const listener = tcpEcho(tcp, 7);
  t.is(await tcpClient(ns, "many", OURS6, 7, 100, 20_000), "ok");
  t.is(tcp.counters.accepts, 100);
  listener.close();
  await ns.serve("tcp", 7, "python3", [TCP_CLIENT, "serve", KERNEL6, "7"]);
  const echoes = Array.from({ length: 100 }, () => exchange(host, KERNEL6, TEXT));
  for (const back of await Promise.all(echoes)) t.deepEqual(back, TEXT);
});

test("link-local addresses with zones, from either side", async (t) => {
  const host = await createHostOnly6(t);
  const { ns, tcp, link, device, nif } = host;
  let remote = "";
  const listener = tcp.listen({
    port: 8,
    onConnection(socket) {
      remote = socket.remoteAddress();
      socket.close();
    },
  });
  t.deepEqual(await tcpClient(ns, "outcome", `${link}%${device}`, 8), [0, "end"]);
  t.regex(remote, new RegExp(`^fe80::[0-9a-f:]+%${nif.name}$`));
  listener.close();
  await ns.serve("tcp", 7, "python3", [TCP_CLIENT, "serve", `${KERNEL_LINK}%${device}`, "7"]);
  t.deepEqual(await exchange(host, `${KERNEL_LINK}%${nif.name}`, TEXT), TEXT);
  // By the interface's number too.
  t.deepEqual(await exchange(host, `${KERNEL_LINK}%${nif.index}`, TEXT), TEXT);
});

test("connections that cannot be: refused by either side, no such host, no route", async (t) => {
  const host = await createHostOnly6(t);
  t.is(await tcpClient(host.ns, "connect", OURS6, 9), "ECONNREFUSED");
  t.is(await failure(host, KERNEL6, 9), ECONNREFUSED);
  t.is(await failure(host, "fd77::99", 9), EHOSTUNREACH);
  t.is(await failure(host, "2001:db8::1", 9), ENETUNREACH);
});

tcpSuite({
  create: createHostOnly6,
  ours: OURS6,
  host: `[${OURS6}]`,
  take: ({ ip6, nif }) => ip6.removeAddress(nif, OURS6),
  give: ({ ip6, nif }) => void ip6.addAddress(nif, "fd77::3/64"),
  next: "fd77::3",
});

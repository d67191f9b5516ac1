/** UDP between our sockets and the kernel's: every size, errors in both directions, rates. */
import test from "ava";
import { ECONNREFUSED, EHOSTUNREACH } from "../../../stack/index.js";
import { datagramInfo, udpClient, udpEcho } from "../support/apps.js";
import { createHost, KERNEL, OURS } from "../support/host.js";
import type { HostOptions } from "../support/host.js";
import { Namespace } from "../support/namespace.js";

const LARGEST = 65507;
/** Datagrams that need all their fragments to come: several of the largest wait at once. */
const ROOM = { stack: { packetMemory: 4 << 20 } };

const VARIANTS: [string, HostOptions][] = [
  ["TAP", {}],
  ["TAP with offloads", { offloads: true }],
  ["TUN", { mode: "tun" }],
];

for (const [name, options] of VARIANTS) {
  test(`echo of sizes around every fragment's boundary over ${name}`, async (t) => {
    const { ns, udp } = await createHost(t, { ...options, ...ROOM });
    const failures: number[] = [];
    const socket = udpEcho(udp, 7, failures);
    const ranges: number[] = [];
    let count = 0;
    for (let fragments = 0; fragments <= 44; fragments++) {
      // 1480 bytes of each fragment are the datagram's, 8 of them the UDP header.
      const boundary = fragments * 1480 - 8;
      const first = Math.max(boundary - 2, 0);
      const last = Math.min(boundary + 9, LARGEST);
      ranges.push(first, last);
      count += last - first + 1;
    }
    const { received, lost, wrong } = await udpClient(ns, "sweep", OURS, 7, 4, ...ranges);
    t.deepEqual({ received, lost, wrong }, { received: count, lost: [], wrong: [] });
    t.deepEqual(failures, []);
    socket.close();
  });
}

test("echo of every size, 0 to 65,507", async (t) => {
  const { ns, udp } = await createHost(t, ROOM);
  const failures: number[] = [];
  const socket = udpEcho(udp, 7, failures);
  const { received, lost, wrong, seconds } = await udpClient(ns, "sweep", OURS, 7, 6, 0, LARGEST);
  t.deepEqual(
    { received, lost, wrong, failures },
    { received: LARGEST + 1, lost: [], wrong: [], failures: [] },
  );
  t.log(`${seconds.toFixed(1)} s`);
  socket.close();
});

test("rates of echo", async (t) => {
  const { ns, udp } = await createHost(t, { captureLimit: 1 << 20 });
  const socket = udpEcho(udp, 7);
  for (const [size, window] of [
    [64, 1],
    [64, 32],
    [1472, 32],
  ]) {
    const { received, lost, wrong, seconds } = await udpClient(ns, "rate", OURS, 7, window, size, 20_000);
    t.deepEqual({ received, lost, wrong }, { received: 20_000, lost: [], wrong: [] });
    t.log(`${size} bytes, ${window} on their way: ${Math.round(received / seconds)} /s`);
  }
  socket.close();
});

test("a datagram to a closed port of ours is refused to the kernel's socket", async (t) => {
  const { ns } = await createHost(t);
  t.is(await udpClient<string>(ns, "refused", OURS, 9), "ECONNREFUSED");
});

test("a datagram to a closed port of the kernel's is refused to our socket", async (t) => {
  const { udp } = await createHost(t);
  const error = await new Promise<unknown[]>((resolve) => {
    const socket = udp.open({ onError: (...error) => resolve(error) });
    t.is(socket.sendTo(KERNEL, 9, new Uint8Array(5)), 5);
  });
  t.deepEqual(error, [ECONNREFUSED, KERNEL, 9]);
});

test("a host behind a router: the way there, and an error from the way", async (t) => {
  const { ip, ns, udp } = await createHost(t);
  const far = new Namespace();
  t.teardown(() => far.close());
  ns.ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", far.name);
  ns.ip("address", "add", "10.78.0.1/24", "dev", "veth0");
  ns.ip("link", "set", "veth0", "up");
  far.ip("address", "add", "10.78.0.2/24", "dev", "veth0");
  far.ip("link", "set", "veth0", "up");
  far.ip("route", "add", "default", "via", "10.78.0.1");
  ns.sysctl("net.ipv4.ip_forward", 1);
  ip.addRoute("0.0.0.0/0", { gateway: KERNEL });

  const echo = udpEcho(udp, 7);
  const { received, lost, wrong } = await udpClient(far, "sweep", OURS, 7, 1, 0, 100);
  t.deepEqual({ received, lost, wrong }, { received: 101, lost: [], wrong: [] });
  echo.close();

  const expired = await new Promise<unknown[]>((resolve) => {
    const socket = udp.open({ ttl: 1, onError: (...error) => resolve(error) });
    socket.sendTo("10.78.0.2", 9, new Uint8Array(5));
  });
  t.deepEqual(expired, [EHOSTUNREACH, "10.78.0.2", 9]);
  const unreachable = await new Promise<unknown[]>((resolve) => {
    const socket = udp.open({ onError: (...error) => resolve(error) });
    socket.sendTo("10.78.0.99", 9, new Uint8Array(5));
  });
  t.deepEqual(unreachable, [EHOSTUNREACH, "10.78.0.99", 9]);
});

test("broadcast goes both ways", async (t) => {
  const { ns, udp } = await createHost(t);
  const heard = new Promise<string>((resolve) => {
    const data = new Uint8Array(100);
    const info = datagramInfo();
    udp.open({
      port: 5000,
      broadcast: true,
      onReadable() {
        const length = this.receive(data, info);
        resolve(`${Buffer.from(data.subarray(0, length))} to ${info.localAddress}`);
      },
    });
  });
  const talk = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.bind(("", 5001))
s.sendto(b"hello", ("10.77.0.255", 5000))
s.settimeout(5)
print(*s.recvfrom(100))`;
  const peer = ns.run("python3", ["-c", talk]);
  t.is(await heard, "hello to 10.77.0.255");
  const socket = udp.open({ broadcast: true });
  t.is(socket.sendTo("255.255.255.255", 5001, Buffer.from("everyone")), 8);
  t.is((await peer).stdout, `b'everyone' ('${OURS}', ${socket.port})\n`);
});

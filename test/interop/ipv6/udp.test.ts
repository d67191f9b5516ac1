/** UDP over IPv6 alone, between our sockets and the kernel's: sizes with fragments, zones, errors in both directions, a router. */
import test from "ava";
import { ECONNREFUSED, EHOSTUNREACH } from "../../../stack/index.js";
import { datagramInfo, udpClient, udpEcho } from "../support/apps.js";
import type { HostOptions } from "../support/host.js";
import { FAR6, KERNEL6, KERNEL_LINK, OURS6, behind, createHostOnly6 } from "../support/only6.js";

/** 65,535 bytes without the UDP header. */
const LARGEST = 65527;
/** Datagrams that need all their fragments to come: several of the largest wait at once. */
const ROOM = { stack: { packetMemory: 4 << 20 } };

const VARIANTS: [string, HostOptions][] = [
  ["TAP", {}],
  ["TAP with offloads", { offloads: true }],
  ["TUN", { mode: "tun" }],
  ["TAP with the smallest MTU", { mtu: 1280 }],
];

for (const [name, options] of VARIANTS) {
  test(`echo of sizes around every fragment's boundary over ${name}`, async (t) => {
    const { ns, udp } = await createHostOnly6(t, { ...options, ...ROOM });
    const failures: number[] = [];
    const socket = udpEcho(udp, 7, failures);
    const mtu = options.mtu ?? 1500;
    // The last size that needs no fragments, and each fragment's share: less its headers, in units of eight.
    const whole = mtu - 48;
    const share = (mtu - 48) & -8;
    const ranges = [0, 10, whole - 2, whole + 2];
    let count = 16;
    for (let boundary = share - 8; boundary <= LARGEST + 9; boundary += share) {
      const last = Math.min(boundary + 2, LARGEST);
      const first = Math.min(boundary - 2, last);
      if (first <= whole + 2) continue;
      ranges.push(first, last);
      count += last - first + 1;
    }
    ranges.push(LARGEST, LARGEST);
    const { received, lost, wrong } = await udpClient(ns, "sweep", OURS6, 7, 1, ...ranges);
    t.deepEqual({ received, lost, wrong }, { received: count + 1, lost: [], wrong: [] });
    t.deepEqual(failures, []);
    socket.close();
  });
}

test("link-local addresses with zones, from either side", async (t) => {
  const { ns, udp, link, device, nif } = await createHostOnly6(t, ROOM);
  const echo = udpEcho(udp, 7);
  const { received, lost, wrong } = await udpClient(
    ns,
    "sweep",
    `${link}%${device}`,
    7,
    1,
    0,
    20,
    3000,
    3001,
  );
  t.deepEqual({ received, lost, wrong }, { received: 23, lost: [], wrong: [] });
  echo.close();

  const script = `import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(socket.getaddrinfo("${KERNEL_LINK}%${device}", 5001, type=socket.SOCK_DGRAM)[0][4])
data, peer = s.recvfrom(100)
s.sendto(data.upper(), peer)`;
  await ns.serve("udp", 5001, "python3", ["-c", script]);
  const info = datagramInfo();
  const answer = await new Promise<string>((resolve) => {
    const data = new Uint8Array(100);
    const socket = udp.open({
      onReadable() {
        resolve(Buffer.from(data.subarray(0, this.receive(data, info))).toString());
        this.close();
      },
    });
    t.is(socket.sendTo(`${KERNEL_LINK}%${nif.name}`, 5001, Buffer.from("hello")), 5);
  });
  t.is(answer, "HELLO");
  t.is(info.address, `${KERNEL_LINK}%${nif.name}`);
});

test("a datagram to a closed port is refused, on either side", async (t) => {
  const { ns, udp } = await createHostOnly6(t);
  t.is(await udpClient<string>(ns, "refused", OURS6, 9), "ECONNREFUSED");
  const error = await new Promise<unknown[]>((resolve) => {
    const socket = udp.open({ onError: (...error) => resolve(error) });
    t.is(socket.sendTo(KERNEL6, 9, new Uint8Array(5)), 5);
  });
  t.deepEqual(error, [ECONNREFUSED, KERNEL6, 9]);
});

test("a host behind a router: the way there, and errors from the way", async (t) => {
  const host = await createHostOnly6(t);
  const { udp } = host;
  const far = behind(t, host);
  const echo = udpEcho(udp, 7);
  const { received, lost, wrong } = await udpClient(far, "sweep", OURS6, 7, 1, 0, 50, 2000, 2010);
  t.deepEqual({ received, lost, wrong }, { received: 62, lost: [], wrong: [] });
  echo.close();
  for (const [address, ttl] of [
    [FAR6, 1],
    ["fd78::99", 64],
  ] as const) {
    const error = await new Promise<unknown[]>((resolve) => {
      const socket = udp.open({ ttl, onError: (...error) => resolve(error) });
      socket.sendTo(address, 9, new Uint8Array(5));
    });
    t.deepEqual(error, [EHOSTUNREACH, address, 9]);
  }
});

test("a group goes both ways", async (t) => {
  const { ns, udp, device } = await createHostOnly6(t);
  const data = new Uint8Array(100);
  const info = datagramInfo();
  const heard = new Promise<string>((resolve) => {
    const socket = udp.open({
      port: 5000,
      onReadable() {
        const length = this.receive(data, info);
        resolve(`${Buffer.from(data.subarray(0, length))} to ${info.localAddress}`);
      },
    });
    t.is(socket.join("ff02::7777"), 0);
  });
  const talk = `
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
index = socket.if_nametoindex("${device}")
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
s.bind(("::", 5001))
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, "ff02::7778") + struct.pack("I", index))
s.sendto(b"hello", ("ff02::7777", 5000))
s.settimeout(5)
data, peer = s.recvfrom(100)
print(data, peer[1])`;
  const peer = ns.run("python3", ["-c", talk]);
  t.regex(await heard, /^hello to ff02::7777/);
  const socket = udp.open({});
  t.is(socket.sendTo("ff02::7778", 5001, Buffer.from("everyone")), 8);
  t.is((await peer).stdout, `b'everyone' ${socket.port}\n`);
});

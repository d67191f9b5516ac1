/**
 * Our stack at a TAP device, as an application would set it up: `subject.js NETNS plain|offloads`. It serves what peer.c serves,
 * and HTTP on port 80 (`/N` is N bytes); each line of its input is answered with the microseconds of processor time it has used.
 */
import { createInterface } from "node:readline";
import { ethernet, nodeHost, openTap } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/core/stack.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import type { TcpSocket } from "../../../stack/tcp/socket.js";
import { udp } from "../../../stack/udp/udp.js";

const [netns, mode] = process.argv.slice(2);
const WINDOW = 1 << 20;
/** Bytes written at once. */
const CHUNK = 1 << 16;

const host = nodeHost();
const ip = ipv4();
const datagrams = udp();
const streams = tcp({
  sendBuffer: WINDOW,
  maximumSendBuffer: WINDOW,
  receiveBuffer: WINDOW,
  maximumReceiveBuffer: WINDOW,
});
const stack = host.drive(
  createStack(host, [ethernet(), arp(), ip, icmp(), fragments(), datagrams, streams], {
    packetMemory: 16 << 20,
  }),
);
const link = openTap({ name: "tap0", netns, offloads: mode === "offloads", allocate: host.allocate });
ip.addAddress(stack.addInterface(link), "10.9.0.2/24");

const bytes = host.allocate(1 << 18);

streams.listen({
  port: 5001,
  onConnection: (socket) =>
    socket.handle({
      onReadable() {
        this.read(bytes);
      },
      onEnd() {
        this.close();
      },
    }),
});

function fill(socket: TcpSocket): void {
  while (socket.write(bytes, 0, CHUNK) > 0);
}

streams.listen({
  port: 5002,
  onConnection(socket) {
    socket.handle({
      onWritable() {
        fill(this);
      },
      onEnd() {
        this.abort();
      },
    });
    fill(socket);
  },
});

streams.listen({
  port: 5003,
  onConnection(socket) {
    socket.setNoDelay(true);
    socket.handle({
      onReadable() {
        this.write(bytes, 0, this.read(bytes));
      },
      onEnd() {
        this.close();
      },
    });
  },
});

const from = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
datagrams.open({
  port: 5001,
  onReadable() {
    const length = this.receive(bytes, from);
    this.sendTo(from.address, from.port, bytes, 0, length);
  },
});

/** `GET /N`: N bytes, then the end. */
streams.listen({
  port: 80,
  onConnection(socket) {
    let left = -1;
    const pour = () => {
      while (left > 0) {
        const sent = socket.write(bytes, 0, Math.min(CHUNK, left));
        if (sent <= 0) return;
        left -= sent;
      }
      socket.shutdown();
    };
    socket.handle({
      onReadable() {
        const length = this.read(bytes);
        if (left >= 0) return;
        const request = Buffer.from(bytes.subarray(0, length)).toString("latin1");
        left = Number(/^GET \/(\d+) /.exec(request)?.[1] ?? 0);
        const head = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${left}\r\nConnection: close\r\n\r\n`);
        this.write(head, 0, head.length);
        pour();
      },
      onWritable: pour,
      onEnd() {
        this.close();
      },
    });
  },
});

console.log("ready");
for await (const _line of createInterface({ input: process.stdin })) {
  const { user, system } = process.cpuUsage();
  console.log(user + system);
}
process.exit();

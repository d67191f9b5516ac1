/** Our SLIP and the kernel's (slattach in user-mode-linux) over a serial line: pings and datagrams of every size, either way. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import test from "ava";
import { parseConfig } from "../../../examples/gateway/config.js";
import { startGateway } from "../../../examples/gateway/gateway.js";
import { services } from "../../../examples/gateway/parts/services.js";
import { nodeHost } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ipLink } from "../../../stack/link/ip.js";
import { slip } from "../../../stack/link/slip.js";
import { ping } from "../../../stack/raw/ping.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { findLeaks } from "../../support/leaks.js";
import { Namespace } from "../support/namespace.js";
import { pingFrom } from "../support/ping.js";
import { scratch } from "../support/site.js";
import { startUml } from "../support/uml.js";
import { until } from "../../support/until.js";

/** Perl in user-mode-linux: bytes between its serial line and a pseudo terminal, whose number it prints. */
const RELAY = `
$| = 1; $packed = pack("i", 0);
open($line, "+<", "/dev/ttyS0"); open($pty, "+<", "/dev/ptmx");
ioctl($pty, 0x40045431, $packed); ioctl($pty, 0x80045430, $packed); print unpack("i", $packed);
close(STDOUT);
if (fork) { syswrite($line, $data) while sysread($pty, $data, 4096); }
else { syswrite($pty, $data) while sysread($line, $data, 4096); }
`;

/** user-mode-linux's serial line does not wake who waits to write; a pseudo terminal does. */
const SLATTACH = `stty -F /dev/ttyS0 raw -echo; (perl -e '${RELAY}' >/tmp/line &) ; sleep 0.5;
  slattach -p slip -L /dev/pts/$(cat /tmp/line) & sleep 0.5;
  ip link set sl0 mtu 1006 up; ip address add 10.9.0.2/30 dev sl0`;

test("slattach: pings of either side up to the MTU and in fragments, all bytes that are escaped; TCP; noise on the line", async (t) => {
  const peer = await startUml(t, ["slip"]);
  const host = nodeHost();
  const ip = ipv4();
  const pings = ping();
  const sockets = tcp();
  const stack = host.drive(createStack(host, [ipLink(), ip, icmp(), fragments(), pings, sockets]));
  const line = slip({
    write(data, start, end) {
      // A stream keeps what it is given.
      peer.serial.write(data.slice(start, end));
      return end - start;
    },
  });
  peer.serial.on("data", (data: Uint8Array) => line.input(data, 0, data.length));
  const sl0 = stack.addInterface(line, "sl0");
  ip.addAddress(sl0, "10.9.0.1/30");
  t.teardown(() => {
    stack.close();
    const left = findLeaks(stack);
    if (left.length > 0) throw new Error(left.join("; "));
  });
  await peer.sh(SLATTACH);
  // Pings of the kernel: a pattern that is all escapes, the MTU, fragments.
  for (const [size, pattern] of [
    [56, "c0"],
    [56, "db"],
    [978, "c0dbdcdd"],
    [3000, "00ff"],
  ] as const) {
    const said = await peer.sh(`ping -c 3 -i 0.2 -w 50 -s ${size} -p ${pattern} 10.9.0.1`);
    t.regex(said, / ([3-9]|\d\d+) received/, said);
  }
  // Pings of ours.
  const data = Uint8Array.from({ length: 2500 }, (_, i) => [0xc0, 0xdb, 0xdc, 0xdd, i & 255][i % 5]!);
  const replies: number[] = [];
  const socket = pings.open({
    address: "10.9.0.2",
    onReply: (reply) => {
      t.deepEqual(reply.data, data.subarray(0, reply.data.length));
      replies.push(reply.data.length);
    },
  });
  for (const size of [1, 978, 979, 2500]) {
    // Noise before a packet is a packet of its own, which the kernel drops.
    peer.serial.write(Uint8Array.of(0x00, 0xdb, 0xff, 0x45));
    t.true(socket.send(data, 0, size) >= 0);
    await until(`an answer of ${size} bytes`, () => replies.at(-1) === size);
  }
  socket.close();
  t.deepEqual(replies, [1, 978, 979, 2500]);
  // TCP: 8000 bytes there, and back once all have come.
  sockets.listen({
    port: 7,
    onConnection(connection) {
      const bytes = new Uint8Array(8000);
      let length = 0;
      connection.handle({
        onReadable() {
          for (let n = connection.read(bytes, length); n > 0; n = connection.read(bytes, length)) length += n;
          if (length === bytes.length) t.true(connection.write(bytes) >= 0);
        },
        onEnd: () => connection.shutdown(),
        onClose: () => connection.close(),
      });
    },
  });
  await peer.sh(`head -c 8000 /dev/urandom > /tmp/sent; exec 5<>/dev/tcp/10.9.0.1/7; cat /tmp/sent >&5;
    timeout 50 head -c 8000 <&5 | cmp - /tmp/sent; result=$?; exec 5>&-; (exit $result)`);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.is(line.counters.malformed + line.counters.tooLong + line.counters.tooBig, 0);
  t.log({ ...line.counters });
});

test("the gateway's file has a line to slattach: a host behind it reaches what is there; the line comes back when it has gone", async (t) => {
  const peer = await startUml(t, ["slip"]);
  await peer.sh(SLATTACH);
  await peer.sh("ip route add default via 10.9.0.1");
  const folder = scratch(t);
  const path = join(folder, "line");
  const ends: Socket[] = [];
  const server = createServer((socket) => {
    ends.push(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => peer.serial.write(data));
  });
  peer.serial.on("data", (data: Buffer) => ends.at(-1)?.write(data));
  await once(server.listen(path), "listening");
  t.teardown(() => {
    for (const end of ends) end.destroy();
    server.close();
  });
  const lan = new Namespace();
  t.teardown(() => lan.close());
  const gateway = await startGateway(
    parseConfig(
      JSON.stringify({
        state: join(folder, "state"),
        wan: { link: { uplink: {} } },
        lan: [{ name: "lan", link: { tap: "lan0", netns: lan.name }, address: "192.168.7.1/24" }],
        tunnels: [
          { name: "sl0", kind: "slip", remote: path, address: "10.9.0.1/30", routes: ["10.10.0.0/16"] },
        ],
      }),
    ),
    () => {},
  );
  t.teardown(() => gateway.close());
  lan.ip("link", "set", "lan0", "up");
  lan.ip("address", "add", "192.168.7.2/24", "dev", "lan0");
  lan.ip("route", "add", "default", "via", "192.168.7.1");
  const shown = () => services(gateway).find(({ name }) => name === "sl0")?.state;
  await until("the line", () => shown() === `slip to ${path}`);
  for (const size of [56, 978, 1400])
    await pingFrom(t, lan, "10.9.0.2", { size, interval: 0.2, options: ["-M", "dont"] });
  await peer.sh("ip address add 10.10.0.1/32 dev lo");
  await pingFrom(t, lan, "10.10.0.1", { interval: 0.2 });
  ends[0].destroy();
  await until("it is down", () => shown() === `slip to ${path}, down`);
  await until("it is there again", () => shown() === `slip to ${path}`);
  await pingFrom(t, lan, "10.10.0.1", { interval: 0.2 });
});

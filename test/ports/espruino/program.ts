/**
 * A program for engines other than this one: two boards with their own clocks' globals and a cable between them. One is polled
 * through NetworkJS's device, the other has the modules that are driven by events; what happens is printed.
 */
import {
  type EspruinoGlobals,
  dgramModule,
  espruinoHost,
  espruinoText,
  frameLink,
  netModule,
  networkDriver,
} from "../../../ports/espruino/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { dns } from "../../../stack/service/dns.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import { Clock, type Task } from "../clock.js";

const clock = new Clock();

/** The globals of a board: its clock starts anywhere and may be set, its timers are the program's. */
function board(seed: number): EspruinoGlobals {
  let offset = 1700000000 + seed;
  let state = seed;
  return {
    getTime: () => offset + clock.time / 1000,
    setTime(seconds) {
      offset = seconds - clock.time / 1000;
    },
    setTimeout: (call, delay) => clock.after(delay, call),
    clearTimeout(task: Task) {
      task.call = null;
    },
    E: { hwRand: () => (state = (state * 1103515245 + 12345) | 0) },
  };
}

function node(seed: number, send: (frame: Uint8Array) => void) {
  const globals = board(seed);
  const host = espruinoHost({ globals });
  const ip = ipv4();
  const sockets = tcp();
  const datagrams = udp();
  const names = dns({ hosts: [{ name: "one.test", address: "10.0.0.1" }] });
  const components = [ethernet(), arp(), ip, icmp(), sockets, datagrams, names];
  const stack = host.drive(createStack(host, components, { packetMemory: 32768, chunkSize: 256 }));
  const mac = new Uint8Array(6);
  mac[0] = 2;
  mac[5] = seed;
  const link = frameLink({
    mac,
    send(frame) {
      const copy = new Uint8Array(frame.length);
      copy.set(frame);
      globals.setTimeout(() => send(copy), 1);
      return true;
    },
  });
  ip.addAddress(stack.addInterface(link), "10.0.0." + seed + "/24");
  return { host, link, tcp: sockets, udp: datagrams, names, text: espruinoText(globals) };
}

export function run(print: (line: string) => void): void {
  const one = node(1, (frame) => two.link.input(frame, 0, frame.length));
  const two = node(2, (frame) => one.link.input(frame, 0, frame.length));
  const net = netModule({ tcp: one.tcp, text: one.text });
  const server = net.createServer((socket) => {
    print("server: connection from " + socket.remoteAddress);
    let bytes = 0;
    socket.on("data", (data: string) => {
      bytes += data.length;
      if (bytes === 5000) socket.write("got " + bytes);
    });
    socket.on("close", (failed: boolean) => print("server: close " + failed));
  });
  server.listen(80, () => print("server: listening on " + server.port));
  dgramModule({ udp: one.udp })
    .createSocket("udp4", (text, info) => print(info.address + " says " + text))
    .bind(5000);

  const device = networkDriver({ tcp: two.tcp, udp: two.udp, names: two.names });
  const client = device.create("one.test", 80, 0);
  const datagrams = device.create(null, 6000, 2);
  device.send(datagrams, "\n\0\0\x01\x88\x13\x05\0hello", 2);
  let left = 5000;
  let connected = false;
  let received = "";
  let end = 0;
  two.host.setTime(5);
  clock.pass(5000, () => {
    if (end !== 0) return;
    const answer = device.recv(client, 536, 0);
    if (typeof answer === "number") {
      if (connected || answer !== -11) end = answer;
      return;
    }
    if (!connected) print("client: connected");
    connected = true;
    received += answer;
    if (left > 0) left -= device.send(client, left > 1 ? "xy" : "x", 0);
    if (received !== "") device.close(client);
  });
  print("client: received " + received + ", left " + left + ", end " + end);
}

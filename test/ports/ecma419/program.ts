/**
 * A program for engines other than this one: two stacks with a cable between them, and scripts on both that use the classes of
 * ECMA-419. What happens is printed.
 */
import type { Hypercalls, Link, LinkReceiver } from "../../../hypercall/index.js";
import {
  ethernetClass,
  ntpClass,
  resolverClass,
  tcpClasses,
  udpClass,
} from "../../../ports/ecma419/index.js";
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

/** One end of the cable. */
class Port implements Link {
  readonly medium = "ethernet";
  readonly mtu = 1500;
  readonly mac = new Uint8Array(6);
  receiver: LinkReceiver | null = null;
  peer: Port | null = null;

  constructor(seed: number) {
    this.mac[0] = 2;
    this.mac[5] = seed;
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const copy = new Uint8Array(end - start);
    copy.set(frame.subarray(start, end));
    clock.after(2, () => {
      if (this.peer && this.peer.receiver) this.peer.receiver.receive(copy, 0, copy.length);
    });
    return 0;
  }

  close(): void {
    this.receiver = null;
  }
}

function node(seed: number, port: Port) {
  let state = seed;
  let task: Task | null = null;
  let poll = (): void => {};
  const host: Hypercalls = {
    version: 1,
    now: () => clock.time,
    random(target) {
      for (let i = 0; i < target.length; i++) {
        state = (state * 1103515245 + 12345) | 0;
        target[i] = state >> 16;
      }
      return true;
    },
    wake(delay) {
      if (task) task.call = null;
      task = delay < 0 ? null : clock.after(delay, () => poll());
    },
  };
  const ip = ipv4();
  const sockets = tcp();
  const datagrams = udp();
  const names = dns({ hosts: [{ name: "two.test", address: "10.0.0.2" }] });
  const stack = createStack(host, [ethernet(), arp(), ip, icmp(), sockets, datagrams, names]);
  poll = () => stack.poll();
  ip.addAddress(stack.addInterface(port), "10.0.0." + seed + "/24");
  return { stack, names, tcp: sockets, udp: datagrams };
}

function bytes(text: string): Uint8Array {
  const data = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) data[i] = text.charCodeAt(i);
  return data;
}

function text(buffer: unknown): string {
  const data = new Uint8Array(buffer as ArrayBuffer);
  let result = "";
  for (let i = 0; i < data.length; i++) result += String.fromCharCode(data[i]);
  return result;
}

export function run(print: (line: string) => void): void {
  const ports = [new Port(1), new Port(2)];
  ports[0].peer = ports[1];
  ports[1].peer = ports[0];
  const one = node(1, ports[0]);
  const two = node(2, ports[1]);
  const near = tcpClasses(one.tcp, one.names);
  const far = tcpClasses(two.tcp);
  const nearUdp = udpClass(one.udp);
  const farUdp = udpClass(two.udp);

  const Ethernet = ethernetClass(one.stack).Ethernet;
  const eth0 = new Ethernet({});
  print("eth0 " + eth0.connection + " " + eth0.address + " " + eth0.MAC);

  new far.Listener({
    port: 80,
    onReadable(requests) {
      print("listener " + requests);
      new far.TCP({
        from: this.read(),
        onReadable(count) {
          const asked = text(this.read());
          print("server " + count + " " + asked);
          this.write(bytes("you said " + asked));
          this.close();
        },
      });
    },
  });
  new near.TCP({
    host: "two.test",
    port: 80,
    onWritable() {
      this.write(bytes("hello"));
    },
    onReadable(count) {
      print("client " + count + " " + text(this.read()));
    },
    onError(error) {
      print("client ends " + (error ? error.code : "well"));
      this.close();
      try {
        this.read();
      } catch (thrown) {
        print("closed: " + (thrown as { code: string }).code);
      }
    },
  });
  new farUdp.UDP({
    port: 123,
    onReadable() {
      const packet = this.read();
      if (!packet) return;
      const request = new Uint8Array(packet);
      const reply = new Uint8Array(48);
      reply[0] = 0x24;
      reply[1] = 1;
      for (let i = 0; i < 8; i++) reply[24 + i] = request[40 + i];
      reply[32] = reply[40] = 0xee;
      print("time is asked by " + packet.address);
      this.write(reply, packet.address, packet.port);
    },
  });
  const echo = new nearUdp.UDP({
    onReadable: (count) => print("datagrams " + count + " " + text(echo.read())),
  });
  const back = new farUdp.UDP({
    port: 7,
    onReadable() {
      const packet = this.read();
      if (packet) this.write(packet, packet.address, packet.port);
    },
  });
  echo.write(bytes("echo"), "10.0.0.2", 7);
  const NTP = ntpClass(one.stack, one.names).NTP;
  new NTP({ servers: ["two.test"] }).getTime((error, time) => print("time " + (error ? error.code : time)));
  const Resolver = resolverClass(one.names).Resolver;
  new Resolver({}).resolve({ host: "two.test" }, (error, address) =>
    print("two.test " + (error ? error.code : address)),
  );
  clock.pass(3000, () => {});
  back.close();
}

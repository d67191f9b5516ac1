/**
 * Two stacks talk over a bad cable, and each frame is printed: the trace that all engines must agree on.
 *
 * IPv4: an address by DHCP, a name by DNS, echo requests, datagrams in fragments, a TCP connection that brings everything
 * back, and a port where nobody listens. IPv6: the same without the services.
 */
import type { Component, Stack } from "../../../stack/core/stack.js";
import { createStack } from "../../../stack/core/stack.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { dad } from "../../../stack/ipv6/dad.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { mld } from "../../../stack/ipv6/mld.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ping } from "../../../stack/raw/ping.js";
import { dhcp } from "../../../stack/service/dhcp.js";
import { dns } from "../../../stack/service/dns.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import type { Tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";
import type { DatagramInfo } from "../../../stack/core/datagrams.js";
import type { Udp } from "../../../stack/udp/udp.js";
import { serveDhcp, serveDns } from "./servers.js";
import { World, countersOf } from "./world.js";
import type { Faults } from "./world.js";

/** Bytes that go through the connection in each direction. */
const STREAM = 40000;
/** Bytes of a datagram: three fragments. */
const DATAGRAM = 4000;

export const BAD: Faults = { loss: 0.05, duplicate: 0.02, corrupt: 0.02, delay: 10, jitter: 4 };

type Print = (line: string) => void;

/** A conversation over IPv4 from `seed`; `print` takes the trace. */
export function conversation4(seed: number, print: Print): void {
  const world = new World(seed, print);
  const ends = world.cable(BAD, "ethernet");
  const server = world.host();
  const serverIp = ipv4();
  const serverUdp = udp();
  const serverTcp = tcp();
  const base = (): Component[] => [ethernet(), arp(), icmp(), fragments()];
  const a = server.drive(createStack(server, base().concat([serverIp, serverUdp, serverTcp])));
  serverIp.addAddress(a.addInterface(ends[0]), "10.0.0.1/24");
  serveDhcp(ends[0]);
  serveDns(serverUdp);
  echo(serverUdp, serverTcp);

  const client = world.host();
  const clientUdp = udp();
  const clientTcp = tcp();
  const pings = ping();
  const address = dhcp();
  const names = dns();
  const all = base().concat([ipv4(), clientUdp, clientTcp, pings, address, names]);
  const b = client.drive(createStack(client, all));
  let bound = false;
  address.open(b.addInterface(ends[1]), {
    onBound(lease) {
      print("bound " + lease.address);
      if (bound) return;
      bound = true;
      names.lookup("server.example", { family: 4 }, (code, found) => {
        print("found " + code + " " + found.join());
        if (code === 0) talk(world, found[0] as string, clientUdp, clientTcp, pings);
      });
    },
  });
  finish(world, a, b);
}

/** The same over IPv6, with addresses that duplicate address detection tries. */
export function conversation6(seed: number, print: Print): void {
  const world = new World(seed, print);
  const ends = world.cable(BAD, "ethernet");
  const node = (end: number, text: string) => {
    const host = world.host();
    const ip = ipv6();
    const transports = { udp: udp(), tcp: tcp(), pings: ping() };
    const parts: Component[] = [ethernet(), ip, icmpv6(), nd(), dad(), mld(), fragments6()];
    const all = parts.concat([transports.udp, transports.tcp, transports.pings]);
    const stack = host.drive(createStack(host, all));
    ip.addAddress(stack.addInterface(ends[end]), text);
    return { stack, transports };
  };
  const server = node(0, "2001:db8::1/64");
  const client = node(1, "2001:db8::2/64");
  echo(server.transports.udp, server.transports.tcp);
  world.at(5000, () => {
    const { udp, tcp, pings } = client.transports;
    talk(world, "2001:db8::1", udp, tcp, pings);
  });
  finish(world, server.stack, client.stack);
}

/** Port 7 of UDP and TCP gives everything back. */
export function echo(udp: Udp, tcp: Tcp): void {
  const data = new Uint8Array(DATAGRAM);
  const info = {} as DatagramInfo;
  udp.open({
    port: 7,
    onReadable(count) {
      for (; count > 0; count--) {
        const length = this.receive(data, info);
        if (length >= 0) this.sendTo(info.address, info.port, data, 0, length);
      }
    },
  });
  tcp.listen({
    port: 7,
    onConnection(socket) {
      const forward = () => {
        while (socket.readable() > 0) {
          const room = socket.writable();
          if (room === 0) {
            // Says that we wait for room.
            socket.write(data, 0, 1 + socket.writable());
            return;
          }
          socket.write(data, 0, socket.read(data, 0, room < data.length ? room : data.length));
        }
      };
      socket.handle({ onReadable: forward, onWritable: forward, onEnd: () => socket.shutdown() });
    },
  });
}

export function talk(
  world: Pick<World, "at" | "print">,
  address: string,
  udp: Udp,
  tcp: Tcp,
  pings: ReturnType<typeof ping>,
): void {
  const { print } = world;
  const asked = pings.open({
    address,
    onReply: ({ sequence, rtt, ttl, data }) => print("pong " + [sequence, rtt, ttl, data.length].join()),
  });
  const data = pattern(DATAGRAM);
  const socket = udp.open({
    onReadable(count) {
      for (; count > 0; count--) print("datagram " + this.receive(data));
    },
    onError: (code, from, port) => print("error " + [code, from, port].join()),
  });
  for (let i = 0; i < 5; i++) {
    world.at(i * 300, () => {
      asked.send(data, 0, 56);
      socket.sendTo(address, 7, data, 0, i * 1000);
      if (i === 4) socket.sendTo(address, 9, data, 0, 1);
    });
  }
  world.at(2000, () => stream(print, address, tcp));
  tcp.connect({ address, port: 9, onClose: (code) => print("nobody there: " + code) });
}

/** Sends a pattern and checks what comes back. */
function stream(print: Print, address: string, tcp: Tcp): void {
  const data = pattern(STREAM);
  const back = new Uint8Array(1024);
  let sent = 0;
  let got = 0;
  let wrong = 0;
  const socket = tcp.connect({
    address,
    port: 7,
    onConnect: () => fill(),
    onWritable: () => fill(),
    onReadable() {
      for (let length = socket.read(back); length > 0; length = socket.read(back)) {
        for (let i = 0; i < length; i++) if (back[i] !== data[got++]) wrong++;
      }
    },
    onEnd: () => print("end after " + got + ", wrong " + wrong),
    onClose: (code) => print("closed " + code),
  });
  function fill(): void {
    while (sent < STREAM) {
      const length = STREAM - sent < 3000 ? STREAM - sent : 3000;
      if (socket.write(data, sent, sent + length) < 0) return;
      sent += length;
    }
    socket.shutdown();
  }
}

function pattern(length: number) {
  const data = new Uint8Array(length);
  for (let i = 0; i < length; i++) data[i] = (i * 7 + (i >> 8)) & 255;
  return data;
}

/** Ten minutes are enough for all retransmissions; then nothing may be left. */
function finish(world: World, a: Stack, b: Stack): void {
  world.run(600000);
  world.print("server " + countersOf(a));
  world.print("client " + countersOf(b));
  world.print("chunks " + a.pool.used + " " + b.pool.used);
}

/** Firmware that speaks UDP over IPv4: it gives datagrams to port 7 back, and says on port 13 for how long it has been up. */
import { createStack } from "anystack";
import { arp } from "anystack/arp";
import { ethernet } from "anystack/ethernet";
import type { Hypercalls, Link } from "anystack/hypercall";
import { icmp } from "anystack/icmp";
import { ipv4 } from "anystack/ipv4";
import { udp } from "anystack/udp";
import type { DatagramInfo } from "anystack/udp";

/** Packets and tables, bytes, and the pieces of packet memory: small datagrams are what is expected here. */
const MEMORY = { budget: 24576, chunkSize: 256, maximumPacket: 1500 };

/**
 * Starts the network: the firmware calls it once, with its hypercalls and its Ethernet device.
 *
 * @param address of this host, with its prefix: "192.168.1.9/24"
 * @returns the stack: its `poll` is to be called when the time has come that `hypercalls.wake` was told
 */
export function start(hypercalls: Hypercalls, link: Link, address: string): { poll(): void } {
  const ip = ipv4();
  const sockets = udp({ limit: 4 });
  const stack = createStack(hypercalls, [ethernet(), arp({ limit: 8 }), ip, icmp(), sockets], MEMORY);
  ip.addAddress(stack.addInterface(link), address);

  const data = new Uint8Array(1472);
  const info = {} as DatagramInfo;
  sockets.open({
    port: 7,
    onReadable(count) {
      for (; count > 0; count--) {
        const length = this.receive(data, info);
        if (length >= 0) this.sendTo(info.address, info.port, data, 0, length);
      }
    },
  });
  sockets.open({
    port: 13,
    onReadable(count) {
      for (; count > 0; count--) {
        this.receive(data, info);
        const text = Math.floor(stack.now() / 1000) + " s\n";
        for (let i = 0; i < text.length; i++) data[i] = text.charCodeAt(i);
        this.sendTo(info.address, info.port, data, 0, text.length);
      }
    },
  });
  return stack;
}

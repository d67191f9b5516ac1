/** Firmware with a web page: an address by DHCP, and one page over HTTP that counts its visitors. */
import { createStack } from "anystack";
import { arp } from "anystack/arp";
import { dhcp } from "anystack/dhcp";
import { ethernet } from "anystack/ethernet";
import type { Hypercalls, Link } from "anystack/hypercall";
import { icmp } from "anystack/icmp";
import { ipv4 } from "anystack/ipv4";
import { tcp } from "anystack/tcp";
import { udp } from "anystack/udp";

/** Packets and tables, bytes, and the pieces of packet memory. */
const MEMORY = { budget: 65536, chunkSize: 256, maximumPacket: 1500 };

/**
 * Starts the network: the firmware calls it once, with its hypercalls and its Ethernet device.
 *
 * @param onAddress is told this host's address each time that it gets one
 * @returns the stack: its `poll` is to be called when the time has come that `hypercalls.wake` was told
 */
export function start(
  hypercalls: Hypercalls,
  link: Link,
  onAddress: (address: string) => void,
): { poll(): void } {
  const sockets = tcp({ limit: 8, timeWaitLimit: 8 });
  const configuration = dhcp();
  const parts = [ethernet(), arp({ limit: 8 }), ipv4(), icmp(), udp({ limit: 2 }), sockets, configuration];
  const stack = createStack(hypercalls, parts, MEMORY);
  configuration.open(stack.addInterface(link), { onBound: (lease) => onAddress(lease.address) });

  let visitors = 0;
  sockets.listen({
    port: 80,
    backlog: 4,
    onConnection(socket) {
      const request = new Uint8Array(256);
      // The end of what has come so far: a request ends with an empty line.
      let tail = "";
      socket.handle({
        onReadable() {
          for (let length = socket.read(request); length > 0; length = socket.read(request)) {
            for (let i = 0; i < length; i++) tail = (tail + String.fromCharCode(request[i]!)).slice(-4);
          }
          if (tail !== "\r\n\r\n") return;
          socket.write(page(++visitors));
          socket.shutdown();
        },
        // Without a whole request there is no answer.
        onEnd: () => socket.close(),
      });
    },
  });
  return stack;
}

function page(visitors: number): Uint8Array {
  const body = "<!doctype html><title>anystack</title><p>Visitor " + visitors + "\n";
  const text =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: " +
    body.length +
    "\r\n\r\n" +
    body;
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

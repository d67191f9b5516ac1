/** What is counted in the small engines: two hosts at one cable exchange datagrams and segments. It keeps to the language profile. */
import type { Link, LinkReceiver } from "../../../hypercall/index.js";
import { Random } from "../../../ports/sim/random.js";
import { createStack } from "../../../stack/core/stack.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { udp } from "../../../stack/udp/udp.js";

/** Frames that wait at one end. */
const SLOTS = 64;
const SLOT = 1536;
const PORT = 5001;
/** Payload of a datagram, and of a segment. */
const DATAGRAM = 64;
const SEGMENT = 1448;

class End implements Link {
  readonly medium = "ethernet";
  readonly mtu = 1500;
  readonly mac = new Uint8Array(6);
  far: End = this;
  receiver: LinkReceiver | null = null;
  private readonly ring = new Uint8Array(SLOTS * SLOT);
  private readonly lengths: number[] = [];

  constructor(id: number) {
    this.mac[0] = 2;
    this.mac[5] = id;
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  close(): void {
    this.receiver = null;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const waiting = this.lengths.length;
    if (waiting === SLOTS) return -1;
    this.ring.set(frame.subarray(start, end), waiting * SLOT);
    this.lengths.push(end - start);
    return 0;
  }

  /** Delivers what this end has sent; the number of frames. */
  deliver(): number {
    const count = this.lengths.length;
    for (let i = 0; i < count; i++) {
      (this.far.receiver as LinkReceiver).receive(this.ring, i * SLOT, i * SLOT + this.lengths[i]);
    }
    this.lengths.splice(0, count);
    return count;
  }
}

/** Stands for the clock: every exchange takes a millisecond. */
let time = 0;

function boot(link: End, id: number) {
  const random = new Random(2026, id);
  const host = {
    version: 1,
    now: () => time,
    random(target: Uint8Array): boolean {
      random.fill(target);
      return true;
    },
    wake(): void {},
  };
  const ip = ipv4();
  const datagrams = udp();
  const streams = tcp();
  const stack = createStack(host, [ethernet(), arp(), ip, icmp(), datagrams, streams], {
    packetMemory: 1 << 17,
  });
  ip.addAddress(stack.addInterface(link), "10.0.0." + id + "/24");
  return { stack, datagrams, streams };
}

const bytes = new Uint8Array(SEGMENT * 2);
let answers = 0;
let received = 0;

/**
 * Calls `mark` before and after `count` echoes of 64 bytes by UDP, and after `count` full TCP segments with their
 * acknowledgments, both ends included; all paths have been walked before. Prints what has arrived.
 */
export function exchange(count: number, mark: () => void, print: (line: string) => void): void {
  const a = new End(1);
  const b = new End(2);
  a.far = b;
  b.far = a;
  const client = boot(a, 1);
  const server = boot(b, 2);
  const pump = () => {
    while (a.deliver() + b.deliver() > 0);
    time++;
    client.stack.poll();
    server.stack.poll();
  };
  const from = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
  server.datagrams.open({
    port: PORT,
    onReadable() {
      const length = this.receive(bytes, from);
      this.sendTo(from.address, from.port, bytes, 0, length);
    },
  });
  const datagrams = client.datagrams.open({
    onReadable() {
      this.receive(bytes);
      answers++;
    },
  });
  datagrams.connect("10.0.0.2", PORT);
  server.streams.listen({
    port: PORT,
    onConnection(socket) {
      socket.handle({
        onReadable() {
          received += this.read(bytes);
        },
      });
    },
  });
  const stream = client.streams.connect({ address: "10.0.0.2", port: PORT, noDelay: true });
  const echo = () => {
    datagrams.send(bytes, 0, DATAGRAM);
    pump();
  };
  // Two at once, as much as is acknowledged at once.
  const segments = () => {
    stream.write(bytes, 0, SEGMENT * 2);
    pump();
  };
  pump();
  for (let i = 0; i < 20; i++) {
    echo();
    segments();
  }
  mark();
  for (let i = 0; i < count; i++) echo();
  mark();
  for (let i = 0; i < count; i += 2) segments();
  mark();
  print(answers + " answers, " + received + " bytes");
}

/** The world of firmwares with their applications inside (closed4.ts, closed6.ts): a bad cable between two, or frames for one. */
import type { Hypercalls, Link, LinkReceiver } from "../../../hypercall/index.js";
import { BAD } from "./conversation.js";
import { serveDhcp } from "./servers.js";
import { World, hex, unhex } from "./world.js";

type Print = (line: string) => void;

/** What the closed script exports. */
interface Firmware {
  start(role: string, host: Hypercalls, link: Link, at: World["at"], print: Print): void;
  poll(): void;
  close(): void;
}

/** Two scripts, each with its one stack, talk; the trace goes to `print`. */
export function converse(server: Firmware, client: Firmware, seed: number, print: Print): void {
  const world = new World(seed, print);
  const ends = world.cable(BAD, "ethernet");
  const at: World["at"] = (delay, run) => world.at(delay, run);
  const start = (firmware: Firmware, role: string, end: number) => {
    const host = world.host();
    host.drive({ poll: () => firmware.poll() });
    firmware.start(role, host, ends[end], at, print);
  };
  start(server, "server", 0);
  serveDhcp(ends[0]);
  start(client, "client", 1);
  world.run(600000);
  server.close();
  client.close();
}

/** Each line's frames go to a new stack of the same script; what it sends is printed. */
export function replay(firmware: Firmware, list: string[], print: Print): void {
  for (let i = 0; i < list.length; i++) {
    const frames = list[i].split(" ");
    const sent: string[] = [];
    const world = new World(i, print);
    const host = world.host();
    host.drive({ poll: () => firmware.poll() });
    let receiver: LinkReceiver | null = null;
    const link: Link = {
      medium: "ethernet",
      mtu: 1500,
      mac: unhex("020000000001"),
      open: (above) => void (receiver = above),
      close: () => {},
      transmit: (frame, from, to) => sent.push(hex(frame, from, to)) && 0,
    };
    firmware.start("server", host, link, (delay, run) => world.at(delay, run), print);
    world.run(3000);
    for (let k = 1; k < frames.length; k++) {
      const frame = unhex(frames[k]);
      (receiver as unknown as LinkReceiver).receive(frame, 0, frame.length);
      world.run(10);
    }
    firmware.close();
    print(i + " " + sent.join(" "));
  }
}

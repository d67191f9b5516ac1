/** Datagrams of the campaign: UDP echoes and pings. They may be lost or come twice, but never with other bytes. */
import type { World } from "../../ports/sim/index.js";
import type { UdpSocket } from "../../stack/udp/socket.js";
import { patternByte } from "../support/bytes.js";
import type { Machine } from "./machine.js";
import type { EchoPlan } from "./plan.js";

const LARGEST = 65535;

/** Counts what came of all echoes of a kind. */
export class Tally {
  asked = 0;
  answered = 0;
  readonly wrong: string[] = [];
}

/** Bytes that say which datagram they are of, and where. */
function datagram(size: number, key: number) {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = patternByte(key * 1000 + i);
  return bytes;
}

function same(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A UDP echo server and a client of it. All datagrams of one client are the same: so is what comes back. */
export function echo(world: World, plan: EchoPlan, index: number, machines: Machine[], tally: Tally): void {
  const server = machines[plan.server];
  const client = machines[plan.client];
  const port = 2000 + index;
  const target = new Uint8Array(LARGEST);
  const bytes = datagram(plan.size, index);
  const info = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
  const serve = () => {
    server.udp.open({
      port,
      onReadable(this: UdpSocket) {
        for (let length = this.receive(target, info); length >= 0; length = this.receive(target, info)) {
          if (!same(target.subarray(0, length), bytes)) tally.wrong.push(`datagram ${index} at the server`);
          this.sendTo(info.address, info.port, target, 0, length);
        }
      },
    });
  };
  serve();
  server.onStart.push(serve);
  repeat(world, plan, client, () => {
    const socket = client.udp.open({
      onReadable(this: UdpSocket) {
        for (let length = this.receive(target); length >= 0; length = this.receive(target)) {
          if (!same(target.subarray(0, length), bytes)) tally.wrong.push(`datagram ${index} at the client`);
          tally.answered++;
        }
      },
    });
    return () => {
      if (socket.sendTo(plan.six ? server.address6 : server.address, port, bytes) >= 0) tally.asked++;
    };
  });
}

/** Pings. */
export function pings(world: World, plan: EchoPlan, index: number, machines: Machine[], tally: Tally): void {
  const client = machines[plan.client];
  const server = machines[plan.server];
  const bytes = datagram(plan.size, index);
  repeat(world, plan, client, () => {
    const socket = client.ping.open({
      address: plan.six ? server.address6 : server.address,
      onReply(reply) {
        if (!same(reply.data, bytes)) tally.wrong.push(`ping ${index}`);
        tally.answered++;
      },
    });
    return () => {
      if (socket.send(bytes) >= 0) tally.asked++;
    };
  });
}

/** Sends as often as planned, as long as the client's first life lasts. */
function repeat(world: World, plan: EchoPlan, client: Machine, open: () => () => void): void {
  world.at(plan.at, () => {
    const { life } = client;
    if (!client.on) return;
    let send: () => void;
    try {
      send = open();
    } catch {
      // No entropy for a port, no address to bind to: as the faults will have it.
      return;
    }
    for (let i = 0; i < plan.count; i++) {
      world.at(i * plan.interval, () => {
        if (client.on && client.life === life) send();
      });
    }
  });
}

/**
 * Echo requests out: Node has no socket for ICMP, but every system has a program that may send them. The answer is the request's own
 * bytes, once the program has heard one; what the program says about errors is not passed on.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { put16 } from "../../../stack/core/bytes.js";
import { setting } from "../../../stack/core/errors.js";
import type { Network, Path } from "../../../stack/core/network.js";
import type { Packet } from "../../../stack/core/packet.js";
import { fillChecksum } from "../../../stack/core/transport.js";
import { ECHO_REPLY, ICMP_CHECKSUM, ICMP_HEADER } from "../../../stack/wire/icmp.js";
import { ECHO_REPLY6 } from "../../../stack/wire/icmpv6.js";
import type { UplinkOptions, UserUplink } from "./uplink.js";

const PROTOCOL_ICMPV6 = 58;
/** How long the program waits for an answer, s. */
const PATIENCE = 5;

export class Echoes {
  private readonly running = new Set<ChildProcess>();
  private readonly program: string;
  private readonly limit: number;

  constructor(
    private readonly uplink: UserUplink,
    options: UplinkOptions,
  ) {
    this.program = options.ping ?? "ping";
    this.limit = setting(options.pings, 16, 1, 1024, "pings");
  }

  get size(): number {
    return this.running.size;
  }

  input(packet: Packet): void {
    const { counters, stack } = this.uplink;
    const net = packet.net as Network;
    const { data, start, end } = packet;
    const four = net.family === 4;
    if (four ? stack.host.sum(data, start, end, 0) !== 0xffff : !valid6(this.uplink, packet)) {
      counters.badsum++;
      return;
    }
    if (this.program === "") return;
    const target = this.uplink.target("icmp", net.sourceText(packet), net.destinationText(packet), 0);
    if (!target) return;
    if (this.running.size >= this.limit) {
      counters.full++;
      return;
    }
    counters.echoes++;
    const path = net.createPath();
    net.setReply(path, packet);
    const message = data.slice(start, end);
    const size = String(message.length - ICMP_HEADER);
    const child = spawn(
      this.program,
      [four ? "-4" : "-6", "-n", "-q", "-c", "1", "-W", `${PATIENCE}`, "-s", size, target.address],
      { stdio: "ignore" },
    );
    this.running.add(child);
    child.once("error", () => this.running.delete(child));
    child.once("close", (code) => {
      this.running.delete(child);
      if (code === 0 && !this.uplink.closed) this.answer(path, message);
    });
  }

  close(): void {
    for (const child of this.running) child.kill("SIGKILL");
  }

  private answer(path: Path, message: Uint8Array): void {
    const { counters, stack } = this.uplink;
    const packet = stack.prepare(message.length);
    if (!packet || path.net.route(path) < 0) {
      counters.sendFailed++;
      return;
    }
    const { data, start, end } = packet;
    const four = path.net.family === 4;
    data.set(message, start);
    data[start] = four ? ECHO_REPLY : ECHO_REPLY6;
    const field = start + ICMP_CHECKSUM;
    put16(data, field, 0);
    if (four) put16(data, field, ~stack.host.sum(data, start, end, 0));
    else fillChecksum(stack, packet, path, PROTOCOL_ICMPV6, field, 0);
    if (path.net.output(packet, path, four ? 1 : PROTOCOL_ICMPV6) < 0) counters.sendFailed++;
    else counters.echoReplies++;
  }
}

function valid6(uplink: UserUplink, packet: Packet): boolean {
  const seed = packet.pseudo + PROTOCOL_ICMPV6 + packet.end - packet.start;
  const folded = (seed & 0xffff) + (seed >>> 16);
  return (
    uplink.stack.host.sum(packet.data, packet.start, packet.end, (folded & 0xffff) + (folded >>> 16)) ===
    0xffff
  );
}

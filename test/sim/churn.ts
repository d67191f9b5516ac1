/** Short connections of the campaign, one after the other to one listener: a question, its echo, and the end. */
import type { World } from "../../ports/sim/index.js";
import { errorName } from "../../stack/core/error-name.js";
import { EAGAIN } from "../../stack/core/errors.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import { patternByte } from "../support/bytes.js";
import type { Machine } from "./machine.js";
import type { ChurnPlan } from "./plan.js";

/** Silence after which a server gives a client up, ms. */
const IDLE = 60000;

/** What became of the connections. */
export class Churn {
  asked = 0;
  answered = 0;
  failed = 0;
  /** Connections at the client that have not ended. */
  open = 0;
  readonly wrong: string[] = [];
  private readonly bytes: Uint8Array;
  private readonly target = new Uint8Array(65536);

  constructor(
    world: World,
    private readonly plan: ChurnPlan,
    private readonly index: number,
    machines: Machine[],
  ) {
    this.bytes = Uint8Array.from({ length: plan.size }, (_, i) => patternByte(index * 1000 + i));
    const client = machines[plan.client];
    const server = machines[plan.server];
    this.serve(server);
    server.onStart.push(() => this.serve(server));
    client.onPowerOff.push(() => (this.open = 0));
    world.at(plan.at, () => {
      const { life } = client;
      for (let i = 0; i < plan.count; i++) {
        world.at(i * plan.interval, () => {
          if (client.on && client.life === life)
            this.ask(client, plan.six ? server.address6 : server.address);
        });
      }
    });
  }

  done(): boolean {
    return this.open === 0;
  }

  judge(gentle: boolean): string[] {
    const found = [...this.wrong];
    if (this.open > 0) found.push(`churn ${this.index}: ${this.open} connections stuck`);
    if (gentle && this.failed > 0) found.push(`churn ${this.index}: ${this.failed} of ${this.asked} failed`);
    return found;
  }

  /** Sends everything back that comes, and closes when the client has closed. */
  private serve(server: Machine): void {
    const { target } = this;
    server.tcp.listen({
      port: 3000 + this.index,
      backlog: this.plan.backlog,
      onConnection: (socket) => {
        let length = 0;
        let sent = 0;
        let ended = false;
        const answer = () => {
          sent += write(socket, this.bytes, sent, length);
          if (ended && sent === length) socket.shutdown();
        };
        socket.setKeepAlive(IDLE);
        socket.handle({
          onReadable() {
            for (let n = this.read(target); n > 0; n = this.read(target)) length += n;
            answer();
          },
          onWritable: answer,
          onEnd() {
            ended = true;
            answer();
          },
          onClose() {
            this.close();
          },
        });
      },
    });
  }

  private ask(client: Machine, address: string): void {
    const { bytes, plan, index } = this;
    const { life } = client;
    let sent = 0;
    let received = 0;
    const target = new Uint8Array(65536);
    const ask = () => {
      sent += write(socket, bytes, sent, bytes.length);
    };
    const read = () => {
      for (let n = socket.read(target); n > 0; n = socket.read(target)) {
        for (let i = 0; i < n; i++) {
          if (target[i] !== bytes[received + i])
            this.wrong.push(`churn ${index}: byte ${received + i} is wrong`);
        }
        received += n;
      }
      if (received > bytes.length) this.wrong.push(`churn ${index}: ${received} bytes for ${bytes.length}`);
      if (received === bytes.length) socket.shutdown();
    };
    this.asked++;
    this.open++;
    const socket = client.tcp.connect({
      address,
      port: 3000 + index,
      keepAlive: IDLE,
      onConnect() {
        ask();
        if (plan.size === 0) socket.shutdown();
      },
      onWritable: ask,
      onReadable: read,
      onClose: (code) => {
        if (client.life !== life) this.wrong.push(`churn ${index}: a callback after the power failed`);
        this.open--;
        socket.close();
        if (code === 0 && received === bytes.length) this.answered++;
        else if (code === 0)
          this.wrong.push(`churn ${index}: a good end after ${received} of ${bytes.length} bytes`);
        else this.failed++;
        if (code !== 0 && errorName(code) === "EUNKNOWN") this.wrong.push(`churn ${index}: code ${code}`);
      },
    });
  }
}

/** Writes as much of `bytes[start..end)` as goes; how much. */
function write(socket: TcpSocket, bytes: Uint8Array, start: number, end: number): number {
  if (start >= end) return 0;
  let code = socket.write(bytes, start, end);
  const room = socket.writable();
  if (code === EAGAIN && room > 0) code = socket.write(bytes, start, start + room);
  return code > 0 ? code : 0;
}

/** TCP streams of the campaign: both ends write a pattern, read at their own pace, and say what was not as it had to be. */
import type { World } from "../../ports/sim/index.js";
import { errorName } from "../../stack/core/error-name.js";
import { EAGAIN } from "../../stack/core/errors.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import { patternByte } from "../support/bytes.js";
import type { Machine } from "./machine.js";
import type { EndPlan, FlowPlan } from "./plan.js";

/** Silence after which an end asks whether the other is still there, ms. */
const KEEP_ALIVE = 60000;

/** One end of a stream. */
export class StreamEnd {
  socket: TcpSocket | null = null;
  sent = 0;
  received = 0;
  /** Offset of the first byte that was not what the other end wrote there, or -1. */
  wrong = -1;
  /** It has said that it writes no more. */
  finished = false;
  /** The other end's last byte has been read. */
  ended = false;
  /** The code of `onClose`, or null. */
  closed: number | null = null;
  /** Why this end no longer takes part: it broke off as planned, or its machine lost its power. */
  gone = "";
  private reading = false;

  constructor(
    private readonly world: World,
    readonly name: string,
    private readonly plan: EndPlan,
    /** Where in the pattern this end's own bytes start, and the other's. */
    private readonly own: number,
    private readonly other: number,
  ) {}

  /** The callbacks of its socket. */
  handlers() {
    return {
      onConnect: () => this.pump(),
      onWritable: () => this.pump(),
      onReadable: () => this.read(),
      onEnd: () => {
        this.ended = true;
      },
      onClose: (code: number) => {
        this.closed = code;
        this.drain();
        this.socket!.close();
      },
    };
  }

  /** Nothing more will come of it. */
  over(): boolean {
    return this.closed !== null || this.gone !== "";
  }

  /** Writes as much as goes. */
  pump(): void {
    const { plan, socket } = this;
    if (!socket || this.over() || this.finished) return;
    while (this.sent < plan.total) {
      if (plan.breakAt >= 0 && this.sent >= plan.breakAt) {
        this.break(plan.breakBy);
        return;
      }
      const most = Math.min(plan.piece, plan.total - this.sent);
      let code = socket.write(this.bytes(most));
      if (code === EAGAIN && socket.writable() > 0)
        code = socket.write(this.bytes(Math.min(most, socket.writable())));
      if (code < 0) return;
      this.sent += code;
    }
    this.finished = true;
    socket.shutdown();
  }

  break(by: "abort" | "close"): void {
    this.gone = by;
    if (by === "abort") this.socket!.abort();
    else this.socket!.close();
  }

  private bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = patternByte(this.own + this.sent + i);
    return bytes;
  }

  /** Reads what is there: at once, or one piece after the other with pauses. */
  private read(): void {
    if (this.plan.readDelay === 0) {
      this.drain();
      return;
    }
    if (this.reading) return;
    this.reading = true;
    this.world.at(this.plan.readDelay, () => {
      this.reading = false;
      if (this.over()) return;
      this.take();
      if (this.socket!.readable() > 0) this.read();
    });
  }

  private drain(): void {
    while (this.take() > 0);
  }

  private take(): number {
    const target = new Uint8Array(this.plan.readSize);
    const length = this.socket!.read(target);
    for (let i = 0; i < length; i++) {
      if (target[i] !== patternByte(this.other + this.received + i) && this.wrong < 0)
        this.wrong = this.received + i;
    }
    if (length > 0) this.received += length;
    return length;
  }

  /** What is not as it had to be, seen from this end. */
  judge(peer: StreamEnd | null, gentle: boolean): string[] {
    const found: string[] = [];
    const say = (what: string) => found.push(`${this.name}: ${what}`);
    if (this.wrong >= 0) say(`byte ${this.wrong} is not what was sent`);
    if (!this.over())
      say(`stuck, ${this.sent} sent, ${this.received} received, state ${this.socket?.state()}`);
    if (gentle && this.closed !== 0) say("ended with " + errorName(this.closed ?? 1));
    if (!peer) {
      if (this.ended || this.received > 0 || this.closed === 0) say("talked to nobody");
      return found;
    }
    if (this.received > peer.sent) say(`${this.received} bytes received, ${peer.sent} sent`);
    if (this.ended || this.closed === 0) {
      // The end of a stream, or a good end of a connection, is a promise: all has arrived.
      if (!peer.finished && peer.gone !== "close") say("saw an end that was not said");
      if (this.received !== peer.sent) say(`${this.received} of ${peer.sent} bytes received before the end`);
    }
    if (this.closed === 0 && peer.gone === "" && peer.received !== this.sent) {
      say(`ended well, but ${peer.received} of ${this.sent} bytes arrived`);
    }
    return found;
  }
}

/** A planned stream: a listener on one machine, a connection from another. */
export class Flow {
  readonly near: StreamEnd;
  far: StreamEnd | null = null;

  constructor(
    world: World,
    readonly plan: FlowPlan,
    index: number,
    machines: Machine[],
  ) {
    const client = machines[plan.client];
    const server = machines[plan.server];
    const port = 1000 + index;
    const key = index * 50000000;
    const name = `flow ${index}`;
    this.near = new StreamEnd(world, name + " near", plan.near, key, key + 25000000);
    const listen = () => {
      server.tcp.listen({
        port,
        onConnection: (socket) => {
          // A second connection is one that the client has given up: the first stays the one that counts.
          const end = new StreamEnd(world, name + " far", plan.far, key + 25000000, key);
          if (this.far && this.far.gone === "") this.others.push(this.far);
          this.far = end;
          end.socket = socket;
          socket.setKeepAlive(KEEP_ALIVE);
          socket.setNoDelay(plan.far.noDelay);
          socket.handle(end.handlers());
          end.pump();
        },
      });
    };
    listen();
    server.onStart.push(listen);
    server.onPowerOff.push(() => this.lose(this.far));
    client.onPowerOff.push(() => this.lose(this.near));
    world.at(plan.at, () => this.connect(client, plan.six ? server.address6 : server.address, port));
  }

  /** Ends at the server of connections that the client had given up before they were known there. */
  readonly others: StreamEnd[] = [];

  done(): boolean {
    return this.near.over() && (!this.far || this.far.over()) && this.others.every((end) => end.over());
  }

  judge(gentle: boolean): string[] {
    const { near, far } = this;
    const found = near.judge(far, gentle);
    if (far) found.push(...far.judge(near, gentle));
    for (const end of this.others) if (!end.over()) found.push(end.name + ": stuck, forgotten");
    return found;
  }

  private connect(client: Machine, address: string, port: number): void {
    const { near, plan } = this;
    if (!client.on) {
      near.gone = "off";
      return;
    }
    near.socket = client.tcp.connect({
      address,
      port,
      noDelay: plan.near.noDelay,
      keepAlive: KEEP_ALIVE,
      ...near.handlers(),
    });
  }

  private lose(end: StreamEnd | null): void {
    if (end?.socket && !end.over()) end.gone = "power";
  }
}

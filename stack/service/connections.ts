/** The connections of a service over TCP: each with a deadline, and all gone with the service. */
import type { Stack } from "../core/stack.js";
import type { Timer } from "../core/timers.js";
import type { Listener } from "../tcp/listener.js";
import type { TcpSocket } from "../tcp/socket.js";

export interface Connection {
  closed: boolean;
  readonly socket: TcpSocket;
  /** What it does when the time is over is the service's. */
  readonly timer: Timer;
}

export class Connections<C extends Connection> {
  readonly list: C[] = [];

  constructor(
    private readonly stack: Stack,
    private readonly listener: Listener,
  ) {}

  add(c: C, ms: number): void {
    this.list.push(c);
    this.allow(c, ms);
  }

  /** It has `ms` from now on. */
  allow(c: C, ms: number): void {
    this.stack.timers.set(c.timer, (this.stack.now() + ms) | 0);
  }

  /** Ends a connection. Legal twice. */
  end(c: C): void {
    if (c.closed) return;
    c.closed = true;
    this.stack.timers.clear(c.timer);
    this.list.splice(this.list.indexOf(c), 1);
    c.socket.close();
  }

  close(): void {
    this.listener.close();
    while (this.list.length > 0) this.end(this.list[0]);
  }
}

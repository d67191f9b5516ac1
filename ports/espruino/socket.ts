/** A TCP connection with the methods and events of Espruino's `Socket`, driven by what happens instead of by polling. */
import { fail } from "../../stack/core/errors.js";
import type { Stack } from "../../stack/core/stack.js";
import type { TcpHandlers, TcpSocket } from "../../stack/tcp/socket.js";
import { CLOSED, UNSENT, espruinoCode, espruinoError } from "./codes.js";
import type { Dial } from "./dial.js";
import { Events, later } from "./events.js";
import type { Handler } from "./events.js";
import { putText, textOf, toText } from "./text.js";
import type { ToText } from "./text.js";

/** Bytes that a "data" event brings at most. */
const PIECE = 1024;

/** What the sockets of one module share. */
export interface SocketSettings {
  stack: Stack;
  text: ToText;
  /** Characters that may wait beyond the connection's send buffer. */
  queue: number;
  buffer: Uint8Array;
}

export interface PipeOptions {
  /** Bytes of one `write`. Default: what a "data" event brings. */
  chunkSize?: number;
  /** Ends the destination when the source has ended. Default true. */
  end?: boolean;
  /** Called at the source's end. */
  complete?: () => void;
}

/** Where `pipe` leads to. */
export interface Writable {
  write(data: string): unknown;
  end?(): void;
  on?(event: string, handler: Handler): unknown;
}

/**
 * Events: "connect", "data" (a string of bytes), "drain", "end" (the peer sends no more), "error" (`{ code, message }`, codes as
 * Espruino's: see codes.ts), "close" (true after an error). Without a listener of "data" nothing is read: the peer waits.
 */
export class Socket {
  /** Of the other end, once connected. */
  remoteAddress = "";
  remotePort = 0;
  localPort = 0;
  /** True from the start (of a client) until "connect". */
  connecting = false;
  private readonly events = new Events();
  private readonly handlers: TcpHandlers;
  private tcp: TcpSocket | null = null;
  private dialling: Dial | null = null;
  private pending = "";
  /** The peer has ended; we have ended; "drain" is owed. */
  private ended = false;
  private ending = false;
  private shut = false;
  private owesDrain = false;
  private paused = false;
  private closed = false;

  constructor(private readonly settings: SocketSettings) {
    this.handlers = {
      onReadable: () => this.pump(),
      onWritable: () => this.flush(),
      onEnd: () => this.peerEnded(),
      onClose: (code) => this.lost(code),
    };
  }

  /* For the module */

  /** Waits for `attempt`, or fails with its code. */
  dial(attempt: Dial | number): void {
    this.connecting = true;
    if (typeof attempt === "number") later(this.settings.stack, () => this.failed(attempt));
    else this.dialling = attempt;
  }

  /** Takes a connection that is established. */
  attach(tcp: TcpSocket): void {
    this.dialling = null;
    this.connecting = false;
    this.tcp = tcp;
    this.remoteAddress = tcp.remoteAddress();
    this.remotePort = tcp.remotePort();
    this.localPort = tcp.localPort();
    tcp.handle(this.handlers);
  }

  /** The connection that was dialled is there. */
  connected(tcp: TcpSocket): void {
    this.attach(tcp);
    this.events.emit(this, "connect", this);
    this.flush();
  }

  failed(code: number): void {
    if (this.closed) return;
    this.dialling = null;
    this.finish(code);
  }

  /* For scripts */

  on(event: string, handler: Handler): this {
    this.events.on(event, handler);
    // What has come until now is told after this returns.
    if (event === "data" && this.tcp && !this.closed) this.tcp.handle(this.handlers);
    return this;
  }

  removeListener(event: string, handler: Handler): this {
    this.events.off(event, handler);
    return this;
  }

  removeAllListeners(event?: string): this {
    this.events.off(event);
    return this;
  }

  emit(event: string, first?: unknown, second?: unknown): boolean {
    return this.events.emit(this, event, first, second);
  }

  /** Bytes that `read` finds. */
  available(): number {
    return this.tcp ? this.tcp.readable() : 0;
  }

  /** Takes what has come, `most` bytes at most; `""`: nothing. */
  read(most?: number): string {
    let text = "";
    const tcp = this.tcp;
    while (tcp && (most === undefined || text.length < most)) {
      const room = most === undefined ? PIECE : most - text.length;
      const count = tcp.read(this.settings.buffer, 0, room < PIECE ? room : PIECE);
      if (count <= 0) break;
      text += this.settings.text(this.settings.buffer, 0, count);
    }
    return text;
  }

  /**
   * Sends a string (characters 0 to 255), or bytes. False: not all has been handed on yet, "drain" follows.
   * Throws `EPIPE` after `end`, `ENOBUFS` when more would wait than the module's `queue` allows; then nothing of it is sent.
   */
  write(data: unknown): boolean {
    const text = textOf(data);
    if (this.ending || this.closed) fail("EPIPE", "write after end");
    if (this.pending.length + text.length > this.settings.queue) fail("ENOBUFS", "write: wait for drain");
    this.pending += text;
    this.flush();
    if (this.pending === "") return true;
    this.owesDrain = true;
    return false;
  }

  /** Sends `data` and no more. "close" comes when the peer has ended as well. */
  end(data?: unknown): void {
    if (this.ending || this.closed) return;
    if (data !== undefined) this.write(data);
    this.ending = true;
    this.flush();
  }

  /** Ends at once; what waits is lost. "close" follows. */
  destroy(): void {
    if (this.closed) return;
    if (this.dialling) this.dialling.cancel();
    if (this.tcp) this.tcp.abort();
    this.closed = true;
    later(this.settings.stack, () => this.events.emit(this, "close", false));
  }

  /** Writes what comes to `destination`, no faster than that takes it. Returns `destination`. */
  pipe<T extends Writable>(destination: T, options: PipeOptions = {}): T {
    const size = options.chunkSize || PIECE;
    this.on("data", (data: string) => {
      let taken: unknown = true;
      for (let at = 0; at < data.length; at += size) taken = destination.write(data.substring(at, at + size));
      if (taken === false && destination.on) this.paused = true;
    });
    if (destination.on) destination.on("drain", () => this.resume());
    this.on("end", () => {
      if (options.end !== false && destination.end) destination.end();
      if (options.complete) options.complete();
    });
    return destination;
  }

  /** Brings no "data" until `resume`. */
  pause(): this {
    this.paused = true;
    return this;
  }

  resume(): this {
    if (this.paused) {
      this.paused = false;
      if (this.tcp && !this.closed) this.tcp.handle(this.handlers);
    }
    return this;
  }

  setNoDelay(on?: boolean): this {
    if (this.tcp) this.tcp.setNoDelay(on !== false);
    return this;
  }

  /** Probes a silent peer after `delay` ms. */
  setKeepAlive(on: boolean, delay?: number): this {
    if (this.tcp) this.tcp.setKeepAlive(on ? delay || 7200000 : 0);
    return this;
  }

  /* From the connection */

  private pump(): void {
    const tcp = this.tcp;
    const events = this.events;
    const settings = this.settings;
    while (tcp && !this.closed && !this.paused && events.has("data")) {
      const count = tcp.read(settings.buffer, 0, PIECE);
      if (count <= 0) return;
      events.emit(this, "data", settings.text(settings.buffer, 0, count));
    }
  }

  private flush(): void {
    const tcp = this.tcp;
    const settings = this.settings;
    if (!tcp || this.closed) return;
    let at = 0;
    while (at < this.pending.length) {
      let count = this.pending.length - at;
      const room = tcp.writable();
      if (count > PIECE) count = PIECE;
      if (count > room) count = room;
      putText(this.pending, at, count || 1, settings.buffer, 0);
      // Without room a single byte is refused, and the refusal makes `onWritable` come.
      if (tcp.write(settings.buffer, 0, count || 1) < 0) break;
      at += count || 1;
    }
    if (at > 0) this.pending = this.pending.substring(at);
    if (this.pending !== "") return;
    if (this.ending && !this.shut) {
      this.shut = true;
      tcp.shutdown();
    } else if (this.owesDrain) {
      this.owesDrain = false;
      later(settings.stack, () => {
        if (!this.closed) this.events.emit(this, "drain", this);
      });
    }
  }

  private peerEnded(): void {
    this.ended = true;
    this.events.emit(this, "end");
    // As Espruino does: nobody keeps a connection half open.
    if (!this.closed) this.end();
  }

  private lost(code: number): void {
    if (this.closed) return;
    if (code === 0) this.finish(0);
    else {
      this.pump();
      const unsent = this.pending !== "" && espruinoCode(code) === CLOSED;
      this.finish(unsent ? UNSENT : espruinoCode(code));
    }
  }

  private finish(code: number): void {
    this.closed = true;
    this.connecting = false;
    if (this.tcp) this.tcp.close();
    const failed = code !== 0 && code !== CLOSED;
    if (failed) this.events.emit(this, "error", espruinoError(code));
    if (!this.ended) this.events.emit(this, "end");
    this.events.emit(this, "close", failed);
  }
}

export function socketSettings(stack: Stack, text: ToText | undefined, queue: number): SocketSettings {
  return { stack, text: text || toText, queue, buffer: new Uint8Array(PIECE) };
}

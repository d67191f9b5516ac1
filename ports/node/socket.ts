/**
 * A TCP socket of the stack as a Node stream: what node:http, node:tls and the many modules above them take for a `net.Socket`.
 * Back-pressure works both ways: what nobody reads stays in the stack's receive buffer and closes the window, and `write` says
 * false while the send buffer is full.
 */
import { isIPv6 } from "node:net";
import { Duplex } from "node:stream";
import { errorName } from "../../stack/core/error-name.js";
import { EAGAIN } from "../../stack/core/errors.js";
import type { TcpHandlers, TcpSocket } from "../../stack/tcp/socket.js";

export interface NodeSocketOptions {
  /** Keeps our side open when the peer has ended. Default false: then `end` is called for you. TLS over it wants true. */
  allowHalfOpen?: boolean;
  /** Bytes that the stream itself holds in each direction, beyond the stack's buffers. Default 64 KiB. */
  highWaterMark?: number;
  /** Destroys the socket. */
  signal?: AbortSignal;
}

/** Bytes handed on in one piece at the most. */
const PIECE = 65536;
/** Idle time before the first probe where nobody has set one, ms (RFC 1122 section 4.2.3.6). */
const KEEPALIVE_IDLE = 7200000;
/** Period of the timers that do nothing but keep the process alive. */
const LONG = 0x7fffffff;

type Callback = (error?: Error | null) => void;

/** An error as those of node:net: `read ECONNRESET`, `connect ECONNREFUSED 10.0.0.1:80`. `code` is one of the stack's. */
export function socketError(
  code: number,
  syscall: string,
  address?: string,
  port?: number,
): NodeJS.ErrnoException & { address?: string; port?: number } {
  const name = errorName(code);
  const where = address === undefined ? "" : ` ${address}:${port}`;
  const error = Object.assign(new Error(`${syscall} ${name}${where}`), { code: name, errno: code, syscall });
  return address === undefined ? error : Object.assign(error, { address, port });
}

export function familyOf(address: string): "IPv4" | "IPv6" {
  return isIPv6(address) ? "IPv6" : "IPv4";
}

/** Keeps the process alive until `clearInterval`, as an open descriptor does. */
export function holdProcess(): NodeJS.Timeout {
  return setInterval(() => {}, LONG);
}

/** Made by `connect` and `listen`; it has the methods, properties and events of `net.Socket`. */
export class NodeSocket extends Duplex {
  /** Nobody has answered yet. */
  connecting = true;
  /** As set by `setTimeout`, ms. */
  timeout: number | undefined;
  bytesRead = 0;
  private socket: TcpSocket | null = null;
  private closing = false;
  /** The stream has asked for data. */
  private wantsData = false;
  /** What is being written: the pieces that are left, the offset in the first, whom to tell. */
  private pieces: Uint8Array[] = [];
  private offset = 0;
  private written: Callback | null = null;
  private bytesTaken = 0;
  /** How the connection ended, while what came before is still being read. */
  private failure: Error | null = null;
  private noDelay: boolean | null = null;
  private keepAlive = -1;
  private resets = false;
  private idle: NodeJS.Timeout | null = null;
  private readonly hold = holdProcess();
  private readonly handlers: TcpHandlers = {
    onConnect: () => this.established(),
    onReadable: () => {
      if (this.wantsData) this.pull();
    },
    onWritable: () => this.flush(),
    onEnd: () => {
      this.push(null);
      // Nobody may be reading: without data, "end" comes nevertheless.
      this.read(0);
    },
    onClose: (code) => this.ended(code),
  };

  constructor(options: NodeSocketOptions = {}) {
    const { allowHalfOpen = false, highWaterMark = 65536, signal } = options;
    super({ allowHalfOpen, highWaterMark, signal });
  }

  /** The stack's socket, or null while the peer's name is being looked up. */
  get tcpSocket(): TcpSocket | null {
    return this.socket;
  }

  /** Not yet connected, as node:net has it. */
  get pending(): boolean {
    return this.connecting;
  }

  get readyState(): "opening" | "open" | "readOnly" | "writeOnly" | "closed" {
    if (this.connecting) return "opening";
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** Bytes written, those included that wait in the stream. */
  get bytesWritten(): number {
    return this.bytesTaken + this.writableLength;
  }

  get remoteAddress(): string | undefined {
    return this.socket?.remoteAddress();
  }

  get remotePort(): number | undefined {
    return this.socket?.remotePort();
  }

  get remoteFamily(): string | undefined {
    return this.socket ? familyOf(this.socket.remoteAddress()) : undefined;
  }

  get localAddress(): string | undefined {
    return this.socket?.localAddress();
  }

  get localPort(): number | undefined {
    return this.socket?.localPort();
  }

  get localFamily(): string | undefined {
    return this.socket ? familyOf(this.socket.localAddress()) : undefined;
  }

  address(): { address?: string; family?: string; port?: number } {
    if (!this.socket) return {};
    return { address: this.localAddress, family: this.localFamily, port: this.localPort };
  }

  /** Sends small pieces at once (no Nagle). */
  setNoDelay(on = true): this {
    this.noDelay = on;
    this.socket?.setNoDelay(on);
    return this;
  }

  /** Probes a silent peer after `initialDelay` ms; 0: after those set before, or two hours. */
  setKeepAlive(on = false, initialDelay = 0): this {
    if (!on) this.keepAlive = 0;
    else if (initialDelay > 0) this.keepAlive = Math.min(Math.floor(initialDelay), LONG);
    else if (this.keepAlive <= 0) this.keepAlive = KEEPALIVE_IDLE;
    this.socket?.setKeepAlive(this.keepAlive);
    return this;
  }

  /** Emits "timeout" when nothing has moved for `ms`; 0: never. The socket stays open. */
  setTimeout(ms: number, callback?: () => void): this {
    if (!(ms >= 0 && ms < Infinity)) throw new RangeError(`timeout ${String(ms)}`);
    this.timeout = ms;
    if (this.idle) clearTimeout(this.idle);
    this.idle = null;
    if (ms > 0 && !this.destroyed) {
      this.idle = setTimeout(() => this.emit("timeout"), Math.min(ms, LONG));
      this.idle.unref();
    }
    if (callback) {
      if (ms > 0) this.once("timeout", callback);
      else this.off("timeout", callback);
    }
    return this;
  }

  /** The open socket keeps the process alive. That is the default. */
  ref(): this {
    this.hold.ref();
    return this;
  }

  /** Lets the process end while the socket is open (its link and its host have an `unref` of their own). */
  unref(): this {
    this.hold.unref();
    return this;
  }

  /** Ends our side, and closes once all is written. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  /** Ends the connection with a RST. */
  resetAndDestroy(): this {
    this.resets = true;
    return this.destroy();
  }

  /** @internal The callbacks for a socket that is to be connected. */
  get tcpHandlers(): TcpHandlers {
    return this.handlers;
  }

  /** @internal Takes the socket that this one stands for; `connected`: it has been accepted. */
  attach(socket: TcpSocket, connected: boolean): void {
    this.socket = socket;
    if (this.noDelay !== null) socket.setNoDelay(this.noDelay);
    if (this.keepAlive > 0) socket.setKeepAlive(this.keepAlive);
    if (!connected) return;
    this.connecting = false;
    socket.handle(this.handlers);
    this.read(0);
  }

  override _read(): void {
    this.wantsData = true;
    if (!this.connecting) this.pull();
  }

  override _write(chunk: Uint8Array, _encoding: string, callback: Callback): void {
    this.enqueue([chunk], callback);
  }

  override _writev(chunks: { chunk: Uint8Array }[], callback: Callback): void {
    const list = chunks.map(({ chunk }) => chunk);
    const total = list.reduce((sum, chunk) => sum + chunk.length, 0);
    // Headers and a small body become one segment.
    this.enqueue(total <= PIECE ? [Buffer.concat(list, total)] : list, callback);
  }

  override _final(callback: Callback): void {
    if (this.connecting) {
      this.once("connect", () => this._final(callback));
      return;
    }
    this.socket?.shutdown();
    process.nextTick(callback);
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.closing = true;
    this.connecting = false;
    clearInterval(this.hold);
    if (this.idle) clearTimeout(this.idle);
    if (this.resets) this.socket?.abort();
    else this.socket?.close();
    const written = this.written;
    this.written = null;
    this.pieces = [];
    if (written) written(error ?? Object.assign(new Error("write ECANCELED"), { code: "ECANCELED" }));
    callback(error);
  }

  private established(): void {
    this.connecting = false;
    this.moved();
    this.emit("connect");
    this.emit("ready");
    this.flush();
    // As node:net does, takes data before anybody asks: a socket that is destroyed then need not reset the peer.
    if (this.wantsData) this.pull();
    else this.read(0);
  }

  /** Gives the stream what it has asked for, as far as it is there. */
  private pull(): void {
    const socket = this.socket as TcpSocket;
    while (this.wantsData && !this.closing) {
      const count = socket.readable();
      if (count === 0) break;
      const chunk = Buffer.allocUnsafe(count < PIECE ? count : PIECE);
      socket.read(chunk);
      this.bytesRead += chunk.length;
      this.moved();
      // Whoever gets the data may ask for more before `push` returns, or throw.
      this.wantsData = false;
      let more = true;
      try {
        more = this.push(chunk);
      } finally {
        if (more) this.wantsData = true;
      }
    }
    if (this.failure && socket.readable() === 0) this.destroy(this.failure);
  }

  private enqueue(pieces: Uint8Array[], callback: Callback): void {
    this.pieces = pieces;
    this.offset = 0;
    this.written = callback;
    if (!this.connecting) this.flush();
  }

  /** Moves what is to be written into the send buffer, as far as there is room; `onWritable` goes on. */
  private flush(): void {
    const { socket, written, pieces } = this;
    if (!written || !socket) return;
    this.moved();
    while (pieces.length > 0) {
      const piece = pieces[0];
      while (this.offset < piece.length) {
        // Without room a single byte is refused, and the refusal makes `onWritable` come.
        const end = Math.min(this.offset + (socket.writable() || 1), piece.length);
        const code = socket.write(piece, this.offset, end);
        if (code === EAGAIN) return;
        if (code < 0) {
          this.written = null;
          written(socketError(socket.error() || code, "write"));
          return;
        }
        this.offset = end;
      }
      this.bytesTaken += piece.length;
      this.offset = 0;
      pieces.shift();
    }
    this.written = null;
    written();
  }

  private ended(code: number): void {
    const socket = this.socket as TcpSocket;
    // Both sides have ended; "end" comes when all has been read.
    if (code === 0) return;
    if (this.connecting) {
      this.destroy(socketError(code, "connect", socket.remoteAddress(), socket.remotePort()));
      return;
    }
    const error = socketError(code, "read");
    if (socket.readable() > 0 && !this.wantsData && !this.written) this.failure = error;
    else this.destroy(error);
  }

  /** Something has happened: the idle time starts anew. */
  private moved(): void {
    this.idle?.refresh();
  }
}

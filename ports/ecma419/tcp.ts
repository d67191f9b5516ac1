/** `TCP` and `Listener` of ECMA-419 (clause 10: TCP socket, TCP listener socket; Annex A: formal algorithms). */
import type { HappyConnection, NameLookup } from "../../stack/service/happy.js";
import { happy } from "../../stack/service/happy.js";
import type { Listener as StackListener } from "../../stack/tcp/listener.js";
import type { TcpHandlers, TcpSocket } from "../../stack/tcp/socket.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import {
  adoptTarget,
  bytesOf,
  callbackOf,
  integerOf,
  ioError,
  later,
  makeDisposable,
  requireOptions,
  stringOf,
} from "./base.js";
import type { BaseOptions, ByteBuffer, IoError } from "./base.js";

export interface TcpOptions extends BaseOptions {
  /** The remote endpoint. Required without `from`. */
  address?: string;
  port?: number;
  /** Moddable's: a name (or address) to connect to instead of `address`. */
  host?: string;
  noDelay?: boolean;
  /** Milliseconds between probes of a silent peer. */
  keepAlive?: number;
  /** An instance whose connection is taken over; it is closed. */
  from?: TCP;
  format?: string;
  onReadable?: ((this: TCP, bytes: number) => void) | null;
  /** First called when the connection is there. */
  onWritable?: ((this: TCP, bytes: number) => void) | null;
  /** The connection has failed (with an error) or was ended by the peer and is read to its end (without one). */
  onError?: ((this: TCP, error?: IoError) => void) | null;
}

export interface TcpWriteOptions {
  /** More follows at once: it may wait for that. */
  more?: boolean;
  byteLength?: number;
}

export interface TCP {
  /** Closes after what was written is delivered. Legal twice; all else throws after it. */
  close(): void;
  /** Bytes that are there, `undefined` without any; into `option` where it is a byte buffer: then their number. */
  read(option?: number | ByteBuffer): ArrayBuffer | number | undefined;
  /** Sends all of it or throws. Returns how many bytes may be written now. */
  write(data: number | ByteBuffer, options?: TcpWriteOptions): number;
  /** `"buffer"` (default) or `"number"`. */
  format: string;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  target?: unknown;
}

export interface ListenerOptions extends BaseOptions {
  /** Default 0: a random one. */
  port?: number;
  address?: string;
  format?: string;
  /** `requests` connections wait to be read. */
  onReadable?: ((this: Listener, requests: number) => void) | null;
  onError?: ((this: Listener, error?: IoError) => void) | null;
}

export interface Listener {
  close(): void;
  /** A connection, without callbacks: give it to `new TCP({ from })`. `undefined`: none waits. */
  read(): TCP | undefined;
  readonly port: number;
  /** `"socket/tcp"` */
  format: string;
  target?: unknown;
}

export interface TcpClasses {
  TCP: new (options: TcpOptions) => TCP;
  Listener: new (options: ListenerOptions) => Listener;
}

/** Bytes from which on `more` is not waited for. */
const SEGMENT = 1460;
const NOTHING = new Uint8Array(0);

interface TcpCallbacks {
  readable: ((this: TCP, bytes: number) => void) | null;
  writable: ((this: TCP, bytes: number) => void) | null;
  error: ((this: TCP, error?: IoError) => void) | null;
}

/** The classes over a stack's TCP. `names` resolves `host`. */
export function tcpClasses(tcp: Tcp, names: NameLookup | null = null): TcpClasses {
  /** What the listener gives to the constructor in place of options. */
  class Accepted {
    constructor(readonly socket: TcpSocket) {}
  }

  class TcpIo implements TCP {
    target?: unknown;
    private socket: TcpSocket | null = null;
    private dialling: HappyConnection | null = null;
    private closed = false;
    private kind = "buffer";
    private noDelay = false;
    /** Written with `more`, and not handed on yet. */
    private held = NOTHING;

    constructor(options: TcpOptions | Accepted) {
      if (options instanceof Accepted) {
        this.socket = options.socket;
        return;
      }
      requireOptions(options);
      const callbacks: TcpCallbacks = {
        readable: callbackOf(options, "onReadable"),
        writable: callbackOf(options, "onWritable"),
        error: callbackOf(options, "onError"),
      };
      const moddable = options as { nodelay?: boolean; keepalive?: number };
      const delay = options.noDelay === undefined ? moddable.nodelay : options.noDelay;
      const probes = options.keepAlive === undefined ? moddable.keepalive : options.keepAlive;
      const keepAlive = integerOf(probes, 1, 0x3fffffff, "keepAlive");
      this.noDelay = !!delay;
      if (options.format !== undefined) this.format = options.format;
      if (options.from) this.take(options.from, callbacks, keepAlive || 0);
      else this.connect(options, callbacks, keepAlive || 0);
      adoptTarget(this, options);
    }

    get format(): string {
      return this.kind;
    }

    set format(value: string) {
      if (value !== "buffer" && value !== "number") throw ioError("EINVAL", "format");
      this.kind = value;
    }

    get remoteAddress(): string | undefined {
      return (this.socket && this.socket.remoteAddress()) || undefined;
    }

    get remotePort(): number | undefined {
      return (this.socket && this.socket.remotePort()) || undefined;
    }

    close(): void {
      this.closed = true;
      if (this.dialling) this.dialling.cancel();
      this.flush();
      if (this.socket) this.socket.close();
      this.socket = this.dialling = null;
    }

    read(option?: number | ByteBuffer): ArrayBuffer | number | undefined {
      if (this.closed) throw ioError("EBADF", "read");
      const count = this.socket ? this.socket.readable() : 0;
      if (this.kind === "number") {
        if (option !== undefined) throw ioError("EINVAL", "read");
        const byte = new Uint8Array(1);
        if (count === 0) return undefined;
        (this.socket as TcpSocket).read(byte);
        return byte[0];
      }
      if (option !== undefined && typeof option !== "number") {
        const target = bytesOf(option);
        return count === 0 ? undefined : (this.socket as TcpSocket).read(target);
      }
      const most = integerOf(option, 1, 0x7fffffff, "byteLength");
      if (count === 0) return undefined;
      const data = new Uint8Array(most !== undefined && most < count ? most : count);
      (this.socket as TcpSocket).read(data);
      return data.buffer;
    }

    write(data: number | ByteBuffer, options?: TcpWriteOptions): number {
      const socket = this.socket;
      if (this.closed) throw ioError("EBADF", "write");
      let bytes: Uint8Array;
      if (this.kind === "number") {
        bytes = new Uint8Array(1);
        bytes[0] = integerOf(typeof data === "number" ? data : NaN, 0, 255, "byte") as number;
      } else bytes = bytesOf(data);
      if (!socket) throw ioError("ENOTCONN", "write");
      const whole = this.held.length + bytes.length;
      if (whole <= socket.writable() && (this.held.length > 0 || (options && options.more))) {
        const joined = new Uint8Array(whole);
        joined.set(this.held);
        joined.set(bytes, this.held.length);
        this.held = joined;
        // What belongs together goes together, in whole segments.
        if (options && options.more && whole < SEGMENT) return socket.writable() - whole;
        this.flush();
        return socket.writable();
      }
      this.flush();
      const code = socket.write(bytes);
      if (code < 0) throw ioError(code, "write");
      return socket.writable();
    }

    private flush(): void {
      if (this.held.length > 0 && this.socket) this.socket.write(this.held);
      this.held = NOTHING;
    }

    private take(from: TCP, callbacks: TcpCallbacks, keepAlive: number): void {
      const other = from as TcpIo;
      if (!(from instanceof TcpIo) || !other.socket) throw ioError("EINVAL", "from");
      other.flush();
      this.adopt(other.socket, callbacks, keepAlive);
      other.socket = null;
      other.closed = true;
      if (callbacks.writable) {
        later(tcp.stack, () => {
          const room = this.socket ? this.socket.writable() : 0;
          if (room > 0) (callbacks.writable as (this: TCP, bytes: number) => void).call(this, room);
        });
      }
    }

    private connect(options: TcpOptions, callbacks: TcpCallbacks, keepAlive: number): void {
      const address = stringOf(options.address, "address");
      const host = stringOf(options.host, "host");
      const port = integerOf(options.port, 1, 65535, "port");
      if (port === undefined) throw ioError("EINVAL", "port");
      if (address === undefined && host === undefined) throw ioError("EINVAL", "address");
      if (address === undefined && names) {
        this.dialling = happy(tcp, names, {
          name: host as string,
          port,
          onConnect: (socket) => {
            this.dialling = null;
            this.adopt(socket, callbacks, keepAlive);
          },
          onError: (code) => {
            this.dialling = null;
            if (callbacks.error) callbacks.error.call(this, ioError(code, "connect"));
          },
        });
        return;
      }
      const socket = tcp.connect({ address: address || (host as string), port });
      this.adopt(socket, callbacks, keepAlive);
    }

    private adopt(socket: TcpSocket, callbacks: TcpCallbacks, keepAlive: number): void {
      const handlers: TcpHandlers = {};
      const { readable, writable, error } = callbacks;
      this.socket = socket;
      if (readable) handlers.onReadable = (count) => readable.call(this, count);
      // The stack says so with the connection, too.
      if (writable) handlers.onWritable = (count) => writable.call(this, count);
      if (error) {
        let told = false;
        const tell = (code: number): void => {
          if (told) return;
          told = true;
          if (code === 0) error.call(this);
          else error.call(this, ioError(code, "TCP"));
        };
        handlers.onEnd = () => tell(0);
        handlers.onClose = tell;
      }
      socket.setNoDelay(this.noDelay);
      if (keepAlive > 0) socket.setKeepAlive(keepAlive);
      socket.handle(handlers);
    }
  }

  class ListenerIo implements Listener {
    target?: unknown;
    private listener: StackListener | null = null;

    constructor(options: ListenerOptions) {
      requireOptions(options);
      const readable = callbackOf<(this: Listener, requests: number) => void>(options, "onReadable");
      callbackOf(options, "onError");
      const port = integerOf(options.port, 0, 65535, "port") || 0;
      if (options.format !== undefined) this.format = options.format;
      const listener = (this.listener = tcp.listen({ port, address: stringOf(options.address, "address") }));
      // Connections wait in the stack's backlog, which is bounded, until they are read.
      listener.run = () => {
        if (readable && this.listener && listener.waiting.length > 0) {
          readable.call(this, listener.waiting.length);
        }
      };
      adoptTarget(this, options);
    }

    get format(): string {
      return "socket/tcp";
    }

    set format(value: string) {
      if (value !== "socket/tcp") throw ioError("EINVAL", "format");
    }

    get port(): number {
      if (!this.listener) throw ioError("EBADF", "port");
      return this.listener.port;
    }

    close(): void {
      if (this.listener) this.listener.close();
      this.listener = null;
    }

    read(): TCP | undefined {
      if (!this.listener) throw ioError("EBADF", "read");
      const socket = this.listener.accept();
      return socket ? new TcpIo(new Accepted(socket)) : undefined;
    }

    write(): never {
      throw ioError("EOPNOTSUPP", "write");
    }
  }

  makeDisposable(TcpIo);
  makeDisposable(ListenerIo);
  return { TCP: TcpIo as TcpClasses["TCP"], Listener: ListenerIo };
}

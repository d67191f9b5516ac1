/** Streams of bytes over TCP sockets for tests: a pattern is written at one end and verified at the other. */
import type { Tcp } from "../../stack/tcp/tcp.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";

/** Byte `i` of the pattern: not periodic in any power of two. */
export function patternByte(i: number): number {
  return (i ^ (i >> 8) ^ ((i * 31) >> 16)) & 255;
}

export function pattern(start: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = patternByte(start + i);
  return bytes;
}

/** What happened at one end of a transfer. */
export interface Report {
  socket: TcpSocket | null;
  connected: boolean;
  received: number;
  /** Offset of the first byte that differs from the pattern, or -1. */
  wrong: number;
  ended: boolean;
  /** The code of `onClose`, or null while open. */
  closed: number | null;
  sent: number;
}

function report(): Report {
  return { socket: null, connected: false, received: 0, wrong: -1, ended: false, closed: null, sent: 0 };
}

/** Handlers that write `total` bytes in pieces of `piece`, shut down, read what comes, and close at the end. */
export function worker(r: Report, total: number, piece: number) {
  const target = new Uint8Array(65536);
  const pump = () => {
    const socket = r.socket!;
    while (r.sent < total) {
      const length = Math.min(piece, total - r.sent);
      const code = socket.write(pattern(r.sent, length));
      if (code < 0) return;
      r.sent += length;
    }
    socket.shutdown();
  };
  return {
    pump,
    onConnect() {
      r.connected = true;
      pump();
    },
    onWritable() {
      pump();
    },
    onReadable() {
      for (;;) {
        const n = r.socket!.read(target);
        if (n <= 0) return;
        for (let i = 0; i < n; i++) {
          if (target[i] !== patternByte(r.received + i) && r.wrong < 0) r.wrong = r.received + i;
        }
        r.received += n;
      }
    },
    onEnd() {
      r.ended = true;
    },
    onClose(code: number) {
      r.closed = code;
      r.socket!.close();
    },
  };
}

export interface TransferOptions {
  port?: number;
  /** Bytes from client to server, and back. */
  forth?: number;
  back?: number;
  piece?: number;
}

/** Listens at `server`, connects from `client` to `address`, and moves bytes both ways. Run the world afterwards. */
export function transfer(client: Tcp, server: Tcp, address: string, options: TransferOptions = {}) {
  const port = options.port ?? 80;
  const piece = options.piece ?? 4096;
  const near = report();
  const far = report();
  const listener = server.listen({
    port,
    onConnection(socket) {
      far.socket = socket;
      far.connected = true;
      const handlers = worker(far, options.back ?? 0, piece);
      socket.handle(handlers);
      handlers.pump();
    },
  });
  near.socket = client.connect({ address, port, ...worker(near, options.forth ?? 0, piece) });
  return { near, far, listener, done: () => near.closed !== null && far.closed !== null };
}

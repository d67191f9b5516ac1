/**
 * A TCP socket of the stack as a pair of web streams, named as those of Direct Sockets (WICG): `opened`, `closed`, `readable`,
 * `writable`. What nobody reads stays in the stack's receive buffer and closes the window; a write ends when all of it is queued.
 */
import { errorName } from "../../stack/core/error-name.js";
import { EAGAIN, EPIPE } from "../../stack/core/errors.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";

export interface TcpStreams {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

export interface TcpStreamSocket {
  /** The streams, when the connection is established. Rejects with an error whose `code` says why there is none. */
  readonly opened: Promise<TcpStreams>;
  /** Resolves when both sides have ended. Rejects when the connection breaks. */
  readonly closed: Promise<void>;
  /** Closes: what was written is still delivered, what was not read is lost. Legal twice. */
  close(): void;
}

/** Bytes handed on in one piece at the most. */
const PIECE = 65536;

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

/**
 * @param socket as `tcp.connect` gives it (before it has connected), or a listener's `onConnection`
 * @param connected the socket is a listener's
 */
export function tcpStreams(socket: TcpSocket, connected = false): TcpStreamSocket {
  let failure: Error | null = null;
  let ended = false;
  let cancelled = false;
  let reader: ReadableStreamDefaultController<Uint8Array>;
  let writer: WritableStreamDefaultController;
  let wantsData: (() => void) | null = null;
  let wantsRoom: Waiting | null = null;
  let open: { resolve(streams: TcpStreams): void; reject(error: Error): void };
  let end: Waiting;
  const opened = new Promise<TcpStreams>((resolve, reject) => (open = { resolve, reject }));
  const closed = new Promise<void>((resolve, reject) => (end = { resolve, reject }));
  // Who looks at neither promise has looked at the streams.
  opened.catch(() => {});
  closed.catch(() => {});

  const readable = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        reader = controller;
      },
      pull() {
        if (give()) return;
        return new Promise<void>((resolve) => (wantsData = resolve));
      },
      cancel() {
        cancelled = true;
        discard();
      },
    },
    { highWaterMark: 0 },
  );

  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      writer = controller;
    },
    async write(chunk) {
      for (let at = 0; at < chunk.length;) {
        if (failure) throw failure;
        // Without room a single byte is refused, and the refusal makes `onWritable` come.
        const stop = Math.min(at + (socket.writable() || 1), chunk.length);
        const code = socket.write(chunk, at, stop);
        if (code >= 0) at = stop;
        else if (code === EAGAIN)
          await new Promise<void>((resolve, reject) => (wantsRoom = { resolve, reject }));
        else throw streamError(socket.error() || code);
      }
    },
    close: () => socket.shutdown(),
    abort: () => socket.abort(),
  });

  /** Gives the reader one piece, or the end; false: there is nothing yet. */
  function give(): boolean {
    const count = socket.readable();
    if (count > 0) {
      const piece = new Uint8Array(Math.min(count, PIECE));
      socket.read(piece);
      reader.enqueue(piece);
      return true;
    }
    if (ended) reader.close();
    else if (failure) reader.error(failure);
    return ended || failure !== null;
  }

  function discard(): void {
    while (socket.readable() > 0) socket.read(new Uint8Array(Math.min(socket.readable(), PIECE)));
  }

  function wake(): void {
    if (cancelled) discard();
    if (!wantsData || !give()) return;
    const resolve = wantsData;
    wantsData = null;
    resolve();
  }

  function establish(): void {
    open.resolve({
      readable,
      writable,
      remoteAddress: socket.remoteAddress(),
      remotePort: socket.remotePort(),
      localAddress: socket.localAddress(),
      localPort: socket.localPort(),
    });
  }

  if (connected) establish();
  socket.handle({
    onConnect: establish,
    onReadable: wake,
    onWritable() {
      const waiting = wantsRoom;
      wantsRoom = null;
      waiting?.resolve();
    },
    onEnd() {
      ended = true;
      wake();
    },
    onClose(code) {
      if (code === 0) end.resolve();
      else breakOff(streamError(code));
    },
  });

  /** Whoever reads, writes or waits is told; of several errors the first counts. */
  function breakOff(error: Error): void {
    failure ??= error;
    open.reject(failure);
    end.reject(failure);
    wantsRoom?.reject(failure);
    wantsRoom = null;
    writer.error(failure);
    wake();
  }

  return {
    opened,
    closed,
    close() {
      socket.close();
      end.resolve();
      breakOff(streamError(EPIPE));
    },
  };
}

function streamError(code: number): Error & { code: string } {
  const name = errorName(code);
  return Object.assign(new Error(name), { code: name });
}

/** As much of an HTTP/1.1 server (RFC 9112) as a device needs: GET, one request a connection, bounded in memory and time. */
import { Timer } from "../../stack/core/timers.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import { bytesOf, headersEnd, textOf } from "./text.js";

/** What is sent: the bytes of `body` over and over, `length` of them in all (default: once). */
export interface Reply {
  status: number;
  type: string;
  body: Uint8Array;
  length?: number;
}

/** Bytes of a request's headers at most. */
const REQUEST_LIMIT = 1024;
/** A client that neither asks nor takes for so long is dropped, ms. */
const PATIENCE = 30_000;

const REASONS: { [status: number]: string } = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
};

/** A connection, from its request to the last byte of the answer. */
class Exchange {
  private readonly request = new Uint8Array(REQUEST_LIMIT);
  private received = 0;
  private head: Uint8Array | null = null;
  private body: Uint8Array = new Uint8Array(0);
  private length = 0;
  private sent = 0;
  private readonly timer: Timer;

  constructor(
    private readonly tcp: Tcp,
    private readonly socket: TcpSocket,
    private readonly answer: (path: string) => Reply,
  ) {
    this.timer = new Timer(expire, this);
    this.wait();
    socket.handle({
      onReadable: () => this.read(),
      onWritable: () => this.write(),
      onEnd: () => {
        if (!this.head) this.close();
      },
      onClose: () => this.close(),
    });
  }

  /** Ends without another word. */
  close(): void {
    this.tcp.stack.timers.clear(this.timer);
    this.socket.close();
  }

  /** Nobody has asked or taken in time. */
  expire(): void {
    this.socket.abort();
  }

  private wait(): void {
    const stack = this.tcp.stack;
    stack.timers.set(this.timer, (stack.now() + PATIENCE) | 0);
  }

  private read(): void {
    // What comes behind the request is read, so that closing does not reset the connection, and not looked at.
    if (this.head) {
      while (this.socket.read(this.request) > 0);
      return;
    }
    this.received += this.socket.read(this.request, this.received);
    const end = headersEnd(this.request, this.received);
    if (end < 0 && this.received < REQUEST_LIMIT) return;
    const line = textOf(this.request, 0, end < 0 ? 0 : end)
      .split("\r\n")[0]
      .split(" ");
    if (end < 0) this.reply(failure(431));
    else if (line.length !== 3 || line[2].indexOf("HTTP/1.") !== 0) this.reply(failure(400));
    else if (line[0] !== "GET") this.reply(failure(405));
    else this.reply(this.answer(line[1]));
  }

  private reply(reply: Reply): void {
    this.body = reply.body;
    this.length = reply.length === undefined ? reply.body.length : reply.length;
    this.head = bytesOf(
      "HTTP/1.1 " +
        reply.status +
        " " +
        REASONS[reply.status] +
        "\r\nContent-Type: " +
        reply.type +
        "\r\nContent-Length: " +
        this.length +
        "\r\nConnection: close\r\n\r\n",
    );
    if (this.socket.write(this.head) < 0) this.expire();
    else this.write();
  }

  private write(): void {
    const body = this.body;
    if (!this.head) return;
    while (this.sent < this.length) {
      const at = this.sent % body.length;
      const left = this.length - this.sent;
      const end = body.length - at < left ? body.length : at + left;
      const count = this.socket.write(body, at, end);
      if (count < 0) return;
      this.sent += count;
      this.wait();
    }
    this.socket.shutdown();
  }
}

function expire(exchange: Exchange): void {
  exchange.expire();
}

export function failure(status: number): Reply {
  return { status, type: "text/plain", body: bytesOf(REASONS[status] + "\n") };
}

/** Serves on port 80 what `answer` says of each path. Throws what `tcp.listen` throws. */
export function serve(tcp: Tcp, answer: (path: string) => Reply): void {
  tcp.listen({ port: 80, backlog: 4, onConnection: (socket) => void new Exchange(tcp, socket, answer) });
}

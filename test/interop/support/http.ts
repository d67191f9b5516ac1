/** As much of HTTP/1.1 over our TCP sockets as curl, wrk, nginx and python's server need to talk to us. */
import { createHash, randomFillSync } from "node:crypto";
import type { Listener } from "../../../stack/tcp/listener.js";
import type { TcpSocket } from "../../../stack/tcp/socket.js";
import type { Tcp } from "../../../stack/tcp/tcp.js";
import { errorName } from "../../../stack/index.js";

/** The body of every transfer is this block over and over: of a prime length, so that a shift by whole segments shows. */
const BLOCK = randomFillSync(new Uint8Array(1048573));

/** Calls `take` with the pieces of a body of `length` bytes. */
export function eachPiece(length: number, take: (piece: Uint8Array) => void): void {
  for (let left = length; left > 0; left -= BLOCK.length)
    take(BLOCK.subarray(0, Math.min(left, BLOCK.length)));
}

/** SHA-256 of a body of `length` bytes. */
export function bodyHash(length: number): string {
  const hash = createHash("sha256");
  eachPiece(length, (piece) => hash.update(piece));
  return hash.digest("hex");
}

export interface HttpServer {
  readonly listener: Listener;
  /** Requests answered. */
  requests: number;
  /** Codes with which connections ended otherwise than in peace. */
  readonly failures: string[];
  /** Connections that are open. */
  open: number;
}

/**
 * Serves on `port`: `GET /bytes/N` N bytes of the body, `PUT` anything: the SHA-256 of what was sent, `GET` anything else: a
 * line of text.
 */
export function serveHttp(tcp: Tcp, port: number): HttpServer {
  const server = { requests: 0, failures: [] as string[], open: 0 };
  const listener = tcp.listen({
    port,
    backlog: 256,
    onConnection(socket) {
      server.open++;
      serve(socket, server);
    },
  });
  return Object.assign(server, { listener });
}

function serve(socket: TcpSocket, server: { requests: number; failures: string[]; open: number }): void {
  const input = new Uint8Array(65536);
  let head = "";
  let bodyLeft = -1;
  let hash = createHash("sha256");
  let keep = true;
  /** What is still to be sent: text first, then bytes of the body. */
  let text = "";
  let offset = 0;
  let end = 0;

  const close = () => {
    server.open--;
    socket.close();
  };
  const answer = (body: string, length = body.length) => {
    const connection = keep ? "" : "Connection: close\r\n";
    text += `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n${connection}\r\n${body}`;
    server.requests++;
  };
  const send = () => {
    if (text !== "") {
      const bytes = Buffer.from(text, "latin1");
      if (socket.write(bytes) < 0) return;
      text = "";
    }
    while (offset < end) {
      const at = offset % BLOCK.length;
      const room = Math.max(socket.writable(), 1);
      const length = Math.min(room, end - offset, BLOCK.length - at, 1 << 18);
      if (socket.write(BLOCK, at, at + length) < 0) return;
      offset += length;
    }
    if (!keep) close();
  };
  const request = () => {
    const [, method, path] = /^(\w+) (\S+) HTTP/.exec(head) ?? [];
    keep = !/^connection: close/im.test(head);
    const size = /^\/bytes\/(\d+)$/.exec(path ?? "");
    if (method === "PUT") {
      bodyLeft = Number(/^content-length: (\d+)/im.exec(head)![1]);
      hash = createHash("sha256");
      if (/^expect: 100-continue/im.test(head)) text += "HTTP/1.1 100 Continue\r\n\r\n";
      if (bodyLeft === 0) finishBody();
    } else if (size) {
      answer("", Number(size[1]));
      offset = 0;
      end = Number(size[1]);
    } else answer("hello, this is anystack\n");
    head = "";
  };
  const finishBody = () => {
    answer(hash.digest("hex") + "\n");
    bodyLeft = -1;
  };
  const take = (data: Uint8Array) => {
    while (data.length > 0) {
      if (bodyLeft > 0) {
        const part = data.subarray(0, bodyLeft);
        hash.update(part);
        bodyLeft -= part.length;
        data = data.subarray(part.length);
        if (bodyLeft === 0) finishBody();
      } else {
        const was = head.length;
        head += Buffer.from(data).toString("latin1");
        const stop = head.indexOf("\r\n\r\n");
        if (stop < 0) return;
        data = data.subarray(stop + 4 - was);
        head = head.slice(0, stop + 4);
        request();
      }
    }
  };

  socket.handle({
    onReadable() {
      let length: number;
      while ((length = this.read(input)) > 0) take(input.subarray(0, length));
      send();
    },
    onWritable: send,
    onEnd: () => {
      if (keep && offset === end) close();
    },
    onClose(code) {
      if (code !== 0) server.failures.push(errorName(code));
      close();
    },
  });
}

export interface HttpAnswer {
  readonly status: number;
  readonly length: number;
  /** SHA-256 of the body. */
  readonly hash: string;
}

/** `GET path` from a server; rejects when the connection fails. */
export function httpGet(tcp: Tcp, address: string, port: number, path: string): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const input = new Uint8Array(65536);
    const hash = createHash("sha256");
    let head = "";
    let length = -1;
    let expected = -1;
    const socket = tcp.connect({
      address,
      port,
      onConnect() {
        const host = address.includes(":") ? `[${address}]` : address;
        this.write(Buffer.from(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`));
      },
      onReadable() {
        let count: number;
        while ((count = this.read(input)) > 0) {
          let data = input.subarray(0, count);
          if (length < 0) {
            const was = head.length;
            head += Buffer.from(data).toString("latin1");
            const stop = head.indexOf("\r\n\r\n");
            if (stop < 0) continue;
            data = data.subarray(stop + 4 - was);
            length = 0;
            expected = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? -1);
          }
          hash.update(data);
          length += data.length;
        }
      },
      onEnd() {
        this.close();
        if (expected >= 0 && expected !== length) reject(new Error(`${length} bytes of ${expected}`));
        else resolve({ status: Number(head.split(" ")[1]), length, hash: hash.digest("hex") });
      },
      onClose(code) {
        socket.close();
        reject(new Error(`GET ${path}: ${errorName(code)}`));
      },
    });
  });
}

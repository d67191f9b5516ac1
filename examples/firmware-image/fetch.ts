/** As much of an HTTP/1.1 client (RFC 9112) as a device needs: GET by name, the body counted and checked as it comes. */
import { EINVAL, EPROTO } from "../../stack/core/errors.js";
import type { Dns } from "../../stack/service/dns.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import { bytesOf, headersEnd, textOf } from "./text.js";

/** What came of it. */
export interface Fetched {
  /** 0, or an error code of the stack. */
  code: number;
  /** The address that the name led to, or `""`. */
  address: string;
  /** HTTP's, or 0. */
  status: number;
  /** Bytes of the body, and their CRC-32. */
  bytes: number;
  crc: number;
}

/** Bytes of a response's headers at most. */
const HEAD_LIMIT = 1024;
/** A server that is silent for so long is given up, ms. */
const PATIENCE = 30_000;

class Fetch {
  readonly result: Fetched = { code: 0, address: "", status: 0, bytes: 0, crc: 0 };
  private readonly buffer = new Uint8Array(HEAD_LIMIT);
  private held = 0;
  /** What the server says the length is, or -1. */
  private length = -1;
  private finished = false;

  constructor(
    private readonly crc: (data: Uint8Array, end: number, crc: number) => number,
    private readonly done: (result: Fetched) => void,
  ) {}

  connect(tcp: Tcp, address: string, port: number, host: string, path: string): void {
    this.result.address = address;
    const socket = tcp.connect({
      address,
      port,
      keepAlive: PATIENCE,
      userTimeout: PATIENCE,
      onConnect: () => {
        socket.write(bytesOf("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"));
      },
      onReadable: () => this.read(socket),
      onEnd: () => {
        const result = this.result;
        const complete = result.status > 0 && (this.length < 0 || this.length === result.bytes);
        socket.close();
        this.finish(complete ? 0 : EPROTO);
      },
      onClose: (code) => {
        socket.close();
        this.finish(code || EPROTO);
      },
    });
  }

  finish(code: number): void {
    if (this.finished) return;
    this.finished = true;
    this.result.code = code;
    this.done(this.result);
  }

  private read(socket: TcpSocket): void {
    const result = this.result;
    let count: number;
    while ((count = socket.read(this.buffer, this.held)) > 0) {
      let end = this.held + count;
      if (result.status === 0) {
        const start = headersEnd(this.buffer, end);
        this.held = end;
        if (start < 0 && end < HEAD_LIMIT) continue;
        this.head(start < 0 ? "" : textOf(this.buffer, 0, start));
        if (result.status === 0) {
          socket.abort();
          this.finish(EPROTO);
          return;
        }
        this.buffer.set(this.buffer.subarray(start, end));
        this.held = 0;
        end -= start;
      }
      result.bytes += end;
      result.crc = this.crc(this.buffer, end, result.crc);
    }
  }

  /** Reads status and length; the status stays 0 when this is not HTTP. */
  private head(text: string): void {
    const lines = text.split("\r\n");
    const status = lines[0].split(" ");
    if (status[0].indexOf("HTTP/1.") === 0) this.result.status = parseInt(status[1], 10) || 0;
    for (let i = 1; i < lines.length; i++) {
      const colon = lines[i].indexOf(":");
      if (lines[i].substring(0, colon).toLowerCase() === "content-length") {
        this.length = parseInt(lines[i].substring(colon + 1), 10);
      }
    }
  }
}

/** Fetches `http://HOST[:PORT]/PATH`; `done` is told once, and not before this returns. */
export function fetch(
  tcp: Tcp,
  dns: Dns,
  url: string,
  crc: (data: Uint8Array, end: number, crc: number) => number,
  done: (result: Fetched) => void,
): void {
  const request = new Fetch(crc, done);
  const slash = url.indexOf("/", 7);
  const host = url.substring(7, slash < 0 ? url.length : slash);
  const parts = host.split(":");
  dns.lookup(parts[0], { family: 4 }, (code, addresses) => {
    if (url.indexOf("http://") !== 0) request.finish(EINVAL);
    else if (code < 0) request.finish(code);
    else {
      const port = parts.length > 1 ? parseInt(parts[1], 10) : 80;
      request.connect(tcp, addresses[0], port, host, slash < 0 ? "/" : url.substring(slash));
    }
  });
}

/** DNS over TCP, the server's side (RFC 7766): queries one after the other on a connection, under bounds. */
import { copyRange, get16, put16 } from "../core/bytes.js";
import { Timer } from "../core/timers.js";
import type { TcpSocket } from "../tcp/socket.js";
import type { Tcp } from "../tcp/tcp.js";
import { Connections } from "./connections.js";
import type { DnsForwarder } from "./dns-forwarder.js";

/** Milliseconds without a whole query after which a connection is closed. */
const IDLE = 10000;
/** The longest query that is read. */
const QUERY = 1232;

class Connection {
  readonly data = new Uint8Array(2 + QUERY);
  have = 0;
  closed = false;
  readonly timer: Timer;

  constructor(
    readonly server: StreamServer,
    readonly socket: TcpSocket,
    readonly from: string,
  ) {
    this.timer = new Timer(end, this);
  }
}

export class StreamServer {
  readonly connections: Connections<Connection>;

  constructor(
    readonly forwarder: DnsForwarder,
    tcp: Tcp,
    port: number,
  ) {
    const listener = tcp.listen({ port, onConnection: (socket) => this.accept(socket) });
    this.connections = new Connections<Connection>(forwarder.stack, listener);
  }

  close(): void {
    this.connections.close();
  }

  private accept(socket: TcpSocket): void {
    const forwarder = this.forwarder;
    const from = socket.remoteAddress();
    const full = this.connections.list.length >= forwarder.connections;
    if (full || !forwarder.isNear(from)) {
      if (full) forwarder.counters.refused++;
      else forwarder.counters.strangers++;
      socket.abort();
      return;
    }
    const c = new Connection(this, socket, from);
    this.connections.add(c, IDLE);
    socket.handle({
      onReadable: () => this.readable(c),
      onEnd: () => end(c),
      onClose: () => end(c),
    });
  }

  private readable(c: Connection): void {
    while (!c.closed) {
      const size = c.have < 2 ? 2 : 2 + get16(c.data, 0);
      if (size > c.data.length) {
        this.forwarder.counters.malformed++;
        end(c);
        return;
      }
      const length = c.socket.read(c.data, c.have, size);
      if (length <= 0) return;
      c.have += length;
      if (c.have < 2 || c.have < 2 + get16(c.data, 0)) continue;
      const query = copyRange(c.data, 2, c.have);
      c.have = 0;
      this.connections.allow(c, IDLE);
      this.forwarder.ask(query, query.length, c.from, true, (data, length) => answer(c, data, length));
    }
  }
}

function answer(c: Connection, data: Uint8Array, length: number): void {
  if (c.closed) return;
  const message = new Uint8Array(2 + length);
  put16(message, 0, length);
  message.set(data.subarray(0, length), 2);
  // Who does not read what it asks for is no longer listened to.
  if (c.socket.write(message) < 0) end(c);
}

function end(c: Connection): void {
  c.server.connections.end(c);
}

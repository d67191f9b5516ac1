/**
 * Espruino's side of its network interface, played for tests: what its idle loop does with servers and sockets, as far as a
 * device sees it. Chunks of 536 characters, one `send` and one `recv` a socket and turn, "connect" at the first answer of `recv`
 * that is no code, one `accept` a server and turn, and 8 bytes before each datagram.
 */
import type { NetworkDriver } from "../../../ports/espruino/index.js";

export const CHUNK = 536;
const NOT_CONNECTED = -11;
const CLOSED = -1;
const UNSENT = -8;

export class Peer {
  /** What has happened, in order: "connect", "drain", "end", "error -9", "close". */
  readonly events: string[] = [];
  received = "";
  pending = "";
  connected: boolean;
  /** Close when all is sent; the script takes nothing for now. */
  closing = false;
  paused = false;
  closed = false;
  onData: ((text: string) => void) | null = null;

  constructor(
    readonly number: number,
    readonly type: number,
    accepted: boolean,
  ) {
    this.connected = accepted;
  }

  write(text: string): void {
    this.pending += text;
  }

  end(text = ""): void {
    this.pending += text;
    this.closing = true;
  }
}

export interface Message {
  address: string;
  port: number;
  text: string;
}

export class Loop {
  readonly peers: Peer[] = [];
  readonly servers: { number: number; type: number; onConnection: (peer: Peer) => void }[] = [];
  readonly datagrams: { number: number; pending: string[]; messages: Message[]; events: string[] }[] = [];

  constructor(readonly device: NetworkDriver) {}

  /** A server; its number, or a code. */
  listen(port: number, onConnection: (peer: Peer) => void, type = 0): number {
    const number = this.device.create(null, port, type);
    if (number >= 0) this.servers.push({ number, type, onConnection });
    return number;
  }

  connect(host: string, port: number, type = 0): Peer {
    const number = this.device.create(host, port, type);
    const peer = new Peer(number, type, false);
    if (number >= 0) this.peers.push(peer);
    else peer.events.push(`error ${number}`);
    return peer;
  }

  bind(port: number): (typeof this.datagrams)[0] {
    const socket = {
      number: this.device.create(null, port, 2),
      pending: [],
      messages: [],
      events: [] as string[],
    };
    if (socket.number >= 0) this.datagrams.push(socket);
    else socket.events.push(`error ${socket.number}`);
    return socket;
  }

  close(server: number): void {
    this.device.close(server);
    this.servers.splice(
      this.servers.findIndex(({ number }) => number === server),
      1,
    );
  }

  /** One turn of the idle loop. */
  turn(): void {
    for (const { number, type, onConnection } of this.servers) {
      const accepted = this.device.accept(number);
      if (accepted < 0) continue;
      const peer = new Peer(accepted, type, true);
      this.peers.push(peer);
      onConnection(peer);
    }
    for (const peer of this.peers.slice()) this.serve(peer);
    for (const socket of this.datagrams.slice()) this.serveDatagrams(socket);
  }

  private serve(peer: Peer): void {
    const { device } = this;
    let error = 0;
    if (peer.pending !== "") {
      const sent = device.send(peer.number, peer.pending.slice(0, CHUNK), peer.type);
      if (!Number.isInteger(sent) || sent > Math.min(CHUNK, peer.pending.length))
        throw new Error(`send: ${sent}`);
      if (sent < 0) error = sent;
      else if (sent > 0) {
        peer.pending = peer.pending.slice(sent);
        if (peer.pending === "" && !peer.closing) peer.events.push("drain");
      }
    } else if (peer.closing) error = error || CLOSED;
    if (!peer.paused) {
      const got = device.recv(peer.number, CHUNK, peer.type);
      if (typeof got === "string") {
        if (got.length > CHUNK) throw new Error(`recv: ${got.length} characters`);
        if (!peer.connected) {
          peer.connected = true;
          peer.events.push("connect");
        }
        if (got !== "") {
          peer.received += got;
          peer.onData?.(got);
          // What has been received is processed before anything is closed.
          if (error === CLOSED) return;
        }
      } else if (typeof got !== "number" || got >= 0) throw new Error(`recv: ${String(got)}`);
      // Its TLS takes any code for the end.
      else if (peer.connected || got !== NOT_CONNECTED || peer.type & 4) error = error || got;
    }
    if (error === 0) return;
    if (peer.pending !== "" && error === CLOSED) error = UNSENT;
    device.close(peer.number);
    peer.closed = true;
    this.peers.splice(this.peers.indexOf(peer), 1);
    if (error !== CLOSED) peer.events.push(`error ${error}`);
    peer.events.push("close");
  }

  private serveDatagrams(socket: (typeof this.datagrams)[0]): void {
    const [first] = socket.pending;
    if (first !== undefined) {
      const sent = this.device.send(socket.number, first.slice(0, CHUNK), 2);
      if (sent < 0) {
        socket.events.push(`error ${sent}`);
        socket.pending.shift();
      } else if (sent === first.length) socket.pending.shift();
      else socket.pending[0] = first.slice(sent);
    }
    const got = this.device.recv(socket.number, CHUNK, 2);
    if (typeof got === "number") {
      socket.events.push(`error ${got}`);
      this.datagrams.splice(this.datagrams.indexOf(socket), 1);
    } else if (got !== "") {
      const at = (index: number) => got.charCodeAt(index);
      const length = at(6) | (at(7) << 8);
      if (got.length !== 8 + length) throw new Error("more or less than one datagram");
      const address = [0, 1, 2, 3].map(at).join(".");
      socket.messages.push({ address, port: at(4) | (at(5) << 8), text: got.slice(8) });
    }
  }
}

/** What Espruino sends for a datagram; a name's address is 255.255.255.255. */
export function datagram(address: string, port: number, text: string): string {
  const head = [
    ...address.split(".").map(Number),
    port & 255,
    port >> 8,
    text.length & 255,
    text.length >> 8,
  ];
  return String.fromCharCode(...head) + text;
}

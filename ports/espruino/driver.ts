/**
 * A network device under Espruino's own `net`, `http`, `tls` and `dgram`, as its module NetworkJS wants one:
 *
 * ```ts
 * require("NetworkJS").create(networkDriver({ tcp: sockets, udp: datagrams, names: resolver }));
 * require("http").get("http://example.org/", function (response) { response.pipe(process.stdout); });
 * ```
 * Espruino polls: each socket is asked by `recv` (a server by `accept`) on every turn of its idle loop, tens of thousands of
 * times a second. These two look at a field or two and make nothing while nothing has happened.
 */
import type { DatagramInfo } from "../../stack/core/datagrams.js";
import { EAGAIN, ENOBUFS, requireInteger } from "../../stack/core/errors.js";
import { format4, parse4 } from "../../stack/core/text4.js";
import type { NameLookup } from "../../stack/service/happy.js";
import type { Listener } from "../../stack/tcp/listener.js";
import type { TcpSocket } from "../../stack/tcp/socket.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import type { UdpSocket } from "../../stack/udp/socket.js";
import type { Udp } from "../../stack/udp/udp.js";
import {
  BAD_ARGUMENT,
  CLOSED,
  NOT_CONNECTED,
  NOT_FOUND,
  NO_ROUTE,
  TOO_MANY,
  espruinoCode,
  thrownCode,
} from "./codes.js";
import { dial } from "./dial.js";
import type { Dial } from "./dial.js";
import { putText, toText } from "./text.js";
import type { ToText } from "./text.js";

/** Bits of a socket's type. */
const TYPE_MASK = 3;
const TYPE_UDP = 2;
const TYPE_TLS = 4;

/** The most that Espruino gives or takes in one call, bytes. */
const CHUNK = 536;

/** Before each datagram: IPv4 address, port and length, both little-endian. */
const HEADER = 8;

export interface DriverOptions {
  tcp: Tcp;
  /** Without it `dgram` finds no device. */
  udp?: Udp;
  /** Finds the addresses of names: `dns()`. Without it only addresses can be connected to. */
  names?: NameLookup;
  /** Sockets at most, servers included. Default 16. */
  sockets?: number;
  /** Connections that may wait for `accept`, a server. Default 4. */
  backlog?: number;
  /** Makes strings of bytes. Default: a loop that any engine has. */
  text?: ToText;
}

/** What `require("NetworkJS").create` takes. Codes are those of codes.ts. */
export interface NetworkDriver {
  /** Opens a server (`host` null) or a client; the socket's number, or a code. Names are resolved meanwhile. */
  create(host: string | null | undefined, port: number, type?: number): number;
  close(socket: number): void;
  /** The number of a connection that a server has got, or -1. */
  accept(socket: number): number;
  /** What has arrived, `most` bytes at most: "" is nothing yet, a code is the end. */
  recv(socket: number, most: number, type?: number): string | number;
  /** How many bytes of `data` were taken, 0 too, or a code. */
  send(socket: number, data: string, type?: number): number;
  readonly counters: DriverCounters;
}

export class DriverCounters {
  /** Datagrams longer than a chunk has room for: their rest was lost, as in Espruino's other drivers. */
  truncated = 0;
  /** Sockets refused since there were too many. */
  refused = 0;
}

/** A socket by its number. One of `socket`, `listener`, `udp` and `dialling` is there until its end. */
class Slot {
  socket: TcpSocket | null = null;
  listener: Listener | null = null;
  udp: UdpSocket | null = null;
  dialling: Dial | null = null;
  /** What comes when all is read: 0 (nothing yet), `CLOSED`, or why it has failed. */
  code = 0;
  /** The beginning of a datagram that did not fit into one chunk. */
  partial = "";

  constructor(
    readonly tls: boolean,
    /** Espruino knows that it is connected: nothing is sent or ends before that. Its TLS does not ask. */
    public told: boolean,
  ) {}
}

export function networkDriver(options: DriverOptions): NetworkDriver {
  const tcp = options.tcp;
  const udp = options.udp || null;
  const names = options.names || null;
  const limit = requireInteger(options.sockets || 16, 1, 1024, "sockets");
  const backlog = requireInteger(options.backlog || 4, 1, 1024, "backlog");
  const text = options.text || toText;
  const counters = new DriverCounters();
  const slots: (Slot | null)[] = [];
  const buffer = new Uint8Array(CHUNK);
  const info = { address: "", port: 0 } as DatagramInfo;
  for (let i = 0; i < limit; i++) slots.push(null);

  function freeNumber(): number {
    for (let i = 0; i < limit; i++) {
      if (!slots[i]) return i;
    }
    return TOO_MANY;
  }

  function adopt(slot: Slot, socket: TcpSocket): void {
    slot.dialling = null;
    slot.socket = socket;
    socket.handle({
      onEnd() {
        slot.code = CLOSED;
      },
      onClose(code) {
        slot.code = espruinoCode(code);
      },
    });
  }

  /** Gives `slot` what it stands for; 0 or a code. */
  function open(slot: Slot, host: string | null | undefined, port: number, type: number): number {
    if ((type & TYPE_MASK) === TYPE_UDP) {
      if (!udp) return NO_ROUTE;
      slot.udp = udp.open({ port: host ? 0 : port, family: 4, broadcast: true });
      return 0;
    }
    if (host === null || host === undefined || host === "") {
      slot.listener = tcp.listen({ port, backlog });
      return 0;
    }
    const attempt = dial(tcp, names, "" + host, port, {
      onConnect: (socket) => adopt(slot, socket),
      onFail(code) {
        slot.dialling = null;
        slot.code = code;
      },
    });
    if (typeof attempt === "number") return attempt;
    slot.dialling = attempt;
    return 0;
  }

  function create(host: string | null | undefined, port: number, type?: number): number {
    const number = freeNumber();
    const kind = type || 0;
    if (number < 0) {
      counters.refused++;
      return number;
    }
    const slot = new Slot((kind & TYPE_TLS) !== 0, (kind & TYPE_TLS) !== 0);
    let code: number;
    try {
      code = open(slot, host, port, kind);
    } catch (error) {
      code = thrownCode(error);
    }
    if (code < 0) return code;
    slots[number] = slot;
    return number;
  }

  function close(number: number): void {
    const slot = slots[number];
    if (!slot) return;
    slots[number] = null;
    if (slot.socket) slot.socket.close();
    if (slot.listener) slot.listener.close();
    if (slot.udp) slot.udp.close();
    if (slot.dialling) slot.dialling.cancel();
  }

  function accept(number: number): number {
    const slot = slots[number];
    if (!slot || !slot.listener || slot.listener.waiting.length === 0) return CLOSED;
    // Who finds no number waits: the backlog is bounded, too.
    const accepted = freeNumber();
    const socket = accepted < 0 ? null : slot.listener.accept();
    if (!socket) return CLOSED;
    const taken = new Slot(slot.tls, true);
    slots[accepted] = taken;
    adopt(taken, socket);
    return accepted;
  }

  function receiveDatagram(socket: UdpSocket, most: number): string {
    const room = most < CHUNK ? most : CHUNK;
    if (room <= HEADER) return "";
    const length = socket.receive(buffer, info, HEADER, room);
    if (length < 0) return "";
    if (info.truncated) counters.truncated++;
    const address = parse4(info.address) || 0;
    for (let i = 0; i < 4; i++) buffer[i] = address >>> (24 - 8 * i);
    buffer[4] = info.port;
    buffer[5] = info.port >> 8;
    buffer[6] = length;
    buffer[7] = length >> 8;
    // One datagram a call: Espruino takes what follows it for a part of it.
    return text(buffer, 0, HEADER + length);
  }

  function recv(number: number, most: number): string | number {
    const slot = slots[number];
    if (!slot) return CLOSED;
    const socket = slot.socket;
    if (socket) {
      const ready = socket.readable();
      if (ready === 0) {
        if (slot.told) return slot.code || "";
        slot.told = true;
        return "";
      }
      slot.told = true;
      const room = most < CHUNK ? most : CHUNK;
      return text(buffer, 0, socket.read(buffer, 0, ready < room ? ready : room));
    }
    if (slot.udp) return slot.udp.readable() === 0 ? "" : receiveDatagram(slot.udp, most);
    // Espruino takes the first answer that is no code for "connected"; its TLS takes every code for the end.
    return slot.code || (slot.tls ? "" : NOT_CONNECTED);
  }

  /** Sends the datagram whose header is at `data[at..]`; 0 or a code of the stack, or Espruino's `NOT_FOUND`. */
  function sendDatagram(socket: UdpSocket, data: string, at: number, length: number): number {
    let address = 0;
    for (let i = 0; i < 4; i++) address = (address << 8) | data.charCodeAt(at + i);
    // Espruino found no address for a name.
    if (address === -1) return NOT_FOUND;
    const port = data.charCodeAt(at + 4) | (data.charCodeAt(at + 5) << 8);
    if (port === 0) return BAD_ARGUMENT;
    const bytes = length <= CHUNK ? buffer : new Uint8Array(length);
    putText(data, at + HEADER, length, bytes, 0);
    const code = socket.sendTo(format4(address), port, bytes, 0, length);
    if (code === EAGAIN || code === ENOBUFS) return 1;
    return code < 0 ? espruinoCode(code) : 0;
  }

  function sendDatagrams(slot: Slot, data: string): number {
    const whole = slot.partial + data;
    const before = slot.partial.length;
    let at = 0;
    while (whole.length - at >= HEADER) {
      const length = whole.charCodeAt(at + 6) | (whole.charCodeAt(at + 7) << 8);
      if (whole.length - at < HEADER + length) break;
      const code = sendDatagram(slot.udp as UdpSocket, whole, at, length);
      if (code !== 0) {
        // What went before it has been taken; this one is offered again, or has failed.
        if (at > before) {
          slot.partial = "";
          return at - before;
        }
        return code > 0 ? 0 : code;
      }
      at += HEADER + length;
    }
    slot.partial = whole.substring(at);
    return data.length;
  }

  function send(number: number, data: string): number {
    const slot = slots[number];
    if (!slot) return CLOSED;
    if (slot.udp) return sendDatagrams(slot, data);
    const socket = slot.socket;
    if (!socket) return slot.code;
    if (!slot.told) return 0;
    let count = socket.writable();
    if (count > CHUNK) count = CHUNK;
    if (count > data.length) count = data.length;
    // An error can wait until what came before it has been read.
    if (count === 0) return slot.code < CLOSED && socket.readable() === 0 ? slot.code : 0;
    putText(data, 0, count, buffer, 0);
    return socket.write(buffer, 0, count) < 0 ? 0 : count;
  }

  return { create, close, accept, recv, send, counters };
}

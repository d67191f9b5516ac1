/**
 * A module like Espruino's `dgram` that is driven by events.
 *
 * ```ts
 * const socket = dgramModule({ udp: datagrams }).createSocket("udp4");
 * socket.on("message", function (text, info) { print(info.address + ":" + info.port + " says " + text); });
 * socket.bind(5353);
 * socket.send("hello", 5353, "10.0.0.2");
 * ```
 */
import type { DatagramInfo } from "../../stack/core/datagrams.js";
import { EADDRNOTAVAIL, EAFNOSUPPORT, fail, requireInteger } from "../../stack/core/errors.js";
import type { Interface } from "../../stack/core/interface.js";
import type { Stack } from "../../stack/core/stack.js";
import { parse4 } from "../../stack/core/text4.js";
import type { NameLookup } from "../../stack/service/happy.js";
import type { UdpSocket } from "../../stack/udp/socket.js";
import type { Udp } from "../../stack/udp/udp.js";
import { espruinoCode, espruinoError, thrownCode } from "./codes.js";
import { Events, later } from "./events.js";
import type { Handler } from "./events.js";
import { putText, textOf, toText } from "./text.js";
import type { ToText } from "./text.js";

export interface DgramOptions {
  udp: Udp;
  /** Finds the addresses of names: `dns()`. Without it datagrams go to addresses alone. */
  names?: NameLookup;
  /** Makes strings of bytes. Default: a loop that any engine has. */
  text?: ToText;
}

export interface DgramSocketOptions {
  /** `"udp4"` (default) or `"udp6"`. */
  type?: string;
  /** Others with this option may share the port. */
  reuseAddr?: boolean;
  /** Bytes that may wait to be received. Default 65536. */
  recvBufferSize?: number;
}

/** Who sent a datagram. */
export interface MessageInfo {
  address: string;
  port: number;
  family: string;
  /** Bytes. */
  size: number;
}

/** The largest datagram: an IPv4 packet without its headers. */
const LARGEST = 65507;

/** Events: "listening", "message" (a string of bytes, `MessageInfo`), "error" (`{ code, message }`), "close". */
export class DgramSocket {
  private readonly events = new Events();
  private readonly info = { address: "", port: 0 } as DatagramInfo;
  private buffer: Uint8Array;
  private socket: UdpSocket | null = null;
  private closed = false;
  private multicastTtl = 1;

  constructor(
    private readonly module: DgramOptions,
    private readonly options: DgramSocketOptions,
  ) {
    this.buffer = new Uint8Array(1472);
  }

  on(event: string, handler: Handler): this {
    this.events.on(event, handler);
    return this;
  }

  removeListener(event: string, handler: Handler): this {
    this.events.off(event, handler);
    return this;
  }

  removeAllListeners(event?: string): this {
    this.events.off(event);
    return this;
  }

  emit(event: string, first?: unknown, second?: unknown): boolean {
    return this.events.emit(this, event, first, second);
  }

  /** Receives on `port` (0: a random one). Throws `EINVAL`, `EALREADY`; what else is against it comes as "error". */
  bind(
    port: number | { port?: number; address?: string },
    address?: string | (() => void),
    onBound?: () => void,
  ): this {
    const told = typeof address === "function" ? address : onBound;
    const fields = typeof port === "object";
    const where = fields ? port.address : typeof address === "string" ? address : undefined;
    if (this.closed) fail("EPIPE", "bind");
    if (this.socket) fail("EALREADY", "bind");
    if (told) this.on("listening", told);
    this.open(fields ? port.port || 0 : port, where);
    return this;
  }

  /** Where it is bound; null before that. */
  address(): { address: string; port: number; family: string } | null {
    const socket = this.socket;
    return socket && { address: socket.address(), port: socket.port, family: this.family() };
  }

  /**
   * `send(data, port, address)` or `send(data, offset, length, port, address)`. A socket that is not bound is bound to a random
   * port first. What the network has against it comes as "error".
   */
  send(data: unknown, first: number, second: string | number, third?: number, fourth?: string): void {
    const pieces = typeof second === "number";
    const text = textOf(data);
    const start = pieces ? requireInteger(first, 0, text.length, "offset") : 0;
    const length = pieces ? requireInteger(second, 0, text.length - start, "length") : text.length;
    const port = requireInteger(pieces ? third : first, 1, 65535, "port");
    const address = pieces ? fourth : second;
    if (this.closed) fail("EPIPE", "send");
    if (length > LARGEST) fail("EINVAL", "length");
    if (!this.socket) this.open(0, undefined);
    const bytes = new Uint8Array(length);
    putText(text, start, length, bytes, 0);
    this.sendBytes(bytes, port, address === undefined ? "127.0.0.1" : address);
  }

  /** Joins a multicast group, on the interface that has the IPv4 address or the name `local`. Throws `EINVAL` and `EADDRNOTAVAIL`. */
  addMembership(group: string, local?: string): void {
    this.member(group, local, true);
  }

  dropMembership(group: string, local?: string): void {
    this.member(group, local, false);
  }

  /** For Node's sake: these sockets may always broadcast. */
  setBroadcast(): void {}

  /** Time to live of multicast, 1 to 255; before `bind`. */
  setMulticastTTL(ttl: number): void {
    this.multicastTtl = requireInteger(ttl, 1, 255, "ttl");
  }

  /** "close" follows. Legal twice. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.socket) this.socket.close();
    later(this.module.udp.stack, () => this.events.emit(this, "close"));
  }

  private family(): string {
    return this.options.type === "udp6" ? "IPv6" : "IPv4";
  }

  private open(port: number, address: string | undefined): void {
    const stack = this.module.udp.stack;
    try {
      this.socket = this.module.udp.open({
        port: requireInteger(port, 0, 65535, "port"),
        address,
        family: this.family() === "IPv6" ? 6 : 4,
        broadcast: true,
        reuse: this.options.reuseAddr === true,
        receiveBuffer: this.options.recvBufferSize,
        multicastTtl: this.multicastTtl,
        onReadable: () => this.receive(),
        onError: (code) => this.failed(espruinoCode(code)),
      });
    } catch (error) {
      if ((error as { code?: string }).code === "EINVAL") throw error;
      later(stack, () => this.failed(thrownCode(error)));
      return;
    }
    later(stack, () => {
      if (!this.closed) this.events.emit(this, "listening");
    });
  }

  private sendBytes(bytes: Uint8Array, port: number, address: string): void {
    const names = this.module.names;
    const socket = this.socket;
    if (!socket || this.closed) return;
    const code = socket.sendTo(address, port, bytes);
    if (code >= 0) return;
    if (code !== EAFNOSUPPORT || !names || address.indexOf(":") >= 0) {
      later(this.module.udp.stack, () => this.failed(espruinoCode(code)));
      return;
    }
    names.lookup(address, { family: this.family() === "IPv6" ? 6 : 4 }, (result, addresses) => {
      if (result < 0) this.failed(espruinoCode(result));
      else this.sendBytes(bytes, port, addresses[0]);
    });
  }

  private receive(): void {
    const info = this.info;
    const events = this.events;
    const text = this.module.text || toText;
    while (this.socket && !this.closed && this.socket.readable() > 0) {
      const length = this.socket.receive(this.buffer, info);
      if (length < 0) return;
      if (info.truncated) {
        // Lost; the next one of its size will fit.
        this.buffer = new Uint8Array(info.length);
        continue;
      }
      const sender: MessageInfo = {
        address: info.address,
        port: info.port,
        family: this.family(),
        size: length,
      };
      events.emit(this, "message", text(this.buffer, 0, length), sender);
    }
  }

  private member(group: string, local: string | undefined, join: boolean): void {
    const socket = this.socket;
    if (!socket) fail("EINVAL", "bind first");
    const nif = local ? interfaceOf(this.module.udp.stack, local) : undefined;
    const code = join ? socket.join(group, nif) : socket.leave(group, nif);
    if (code < 0) fail(code === EADDRNOTAVAIL ? "EADDRNOTAVAIL" : "EINVAL", group);
  }

  private failed(code: number): void {
    if (!this.closed) this.events.emit(this, "error", espruinoError(code));
  }
}

export interface DgramModule {
  /** `onMessage` is a listener of "message". */
  createSocket(
    options: string | DgramSocketOptions,
    onMessage?: (text: string, info: MessageInfo) => void,
  ): DgramSocket;
}

export function dgramModule(options: DgramOptions): DgramModule {
  function createSocket(
    wanted: string | DgramSocketOptions,
    onMessage?: (text: string, info: MessageInfo) => void,
  ): DgramSocket {
    const own = typeof wanted === "string" ? { type: wanted } : wanted;
    const type = own.type === undefined ? "udp4" : own.type;
    if (type !== "udp4" && type !== "udp6") fail("EINVAL", "type");
    const socket = new DgramSocket(options, own);
    if (onMessage) socket.on("message", onMessage);
    return socket;
  }
  return { createSocket };
}

/** The interface of that name, or with that IPv4 address. */
function interfaceOf(stack: Stack, local: string): Interface {
  const named = stack.findInterface(local);
  const address = parse4(local);
  const ip = stack.network(4) as { addresses?: { nif: Interface; address: number }[] } | null;
  const list = (ip && ip.addresses) || [];
  for (let i = 0; i < list.length && !named && address !== null; i++) {
    if (list[i].address === address) return list[i].nif;
  }
  return named || fail("EADDRNOTAVAIL", local);
}

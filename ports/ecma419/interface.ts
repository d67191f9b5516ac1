/** `Ethernet` of ECMA-419 (clause 17: Network Interface Class Pattern, Ethernet Network Interface). */
import type { Interface } from "../../stack/core/interface.js";
import type { Stack } from "../../stack/core/stack.js";
import { format4 } from "../../stack/core/text4.js";
import { format6 } from "../../stack/core/text6.js";
import { adoptTarget, callbackOf, ioError, later, makeDisposable, requireOptions } from "./base.js";
import type { BaseOptions } from "./base.js";

/** Values of `connection`: the later the stage, the larger. */
export const UNAVAILABLE = 0;
export const DISCONNECTED = 200;
export const CONNECTED = 400;
export const ADDRESS_ASSIGNED = 500;

export interface EthernetOptions extends BaseOptions {
  /** Name or place of the interface. Default: the first one. */
  port?: string | number;
  /** `"connection"`, `"address"` or `"MAC"` has changed. */
  onChanged?: ((this: Ethernet, name: string) => void) | null;
}

export interface Ethernet {
  /** Unbinds; the interface stays as it is. Legal twice. */
  close(): void;
  /** Takes the interface up. */
  connect(options?: object): void;
  /** Takes it down. */
  disconnect(): void;
  readonly connection: number;
  readonly MAC: string | undefined;
  /** IPv4's where there is one, else a routable IPv6 address. */
  readonly address: string | undefined;
  target?: unknown;
}

export interface EthernetClasses {
  Ethernet: new (options: EthernetOptions) => Ethernet;
}

interface Watcher {
  look(): void;
}

/** The class over a stack's interfaces. */
export function ethernetClass(stack: Stack): EthernetClasses {
  const watchers: Watcher[] = [];
  let waiting = false;

  // Whatever changes of interfaces, addresses and routes makes the stack call this.
  const changed = stack.changed;
  stack.changed = () => {
    changed.call(stack);
    if (waiting || watchers.length === 0) return;
    waiting = true;
    later(stack, () => {
      waiting = false;
      const list = watchers.slice();
      for (let i = 0; i < list.length; i++) list[i].look();
    });
  };

  class EthernetIo implements Ethernet, Watcher {
    target?: unknown;
    private closed = false;
    private readonly nif: Interface;
    private readonly tell: ((this: Ethernet, name: string) => void) | null;
    private knownConnection: number;
    private knownAddress: string | undefined;

    constructor(options: EthernetOptions) {
      requireOptions(options);
      this.tell = callbackOf(options, "onChanged");
      this.nif = find(stack, options.port);
      this.knownConnection = this.connection;
      this.knownAddress = this.address;
      if (this.tell) watchers.push(this);
      adoptTarget(this, options);
    }

    get connection(): number {
      const nif = this.open();
      if (nif.removed) return UNAVAILABLE;
      if (!nif.up()) return DISCONNECTED;
      return addressOf(stack, nif) === undefined ? CONNECTED : ADDRESS_ASSIGNED;
    }

    get MAC(): string | undefined {
      const mac = this.open().link.mac;
      let text = "";
      for (let i = 0; mac && i < 6; i++) text += (i > 0 ? ":" : "") + (256 + mac[i]).toString(16).slice(1);
      return text || undefined;
    }

    get address(): string | undefined {
      return addressOf(stack, this.open());
    }

    close(): void {
      this.closed = true;
      const at = watchers.indexOf(this);
      if (at >= 0) watchers.splice(at, 1);
    }

    connect(): void {
      stack.setInterface(this.open(), { enabled: true });
    }

    disconnect(): void {
      stack.setInterface(this.open(), { enabled: false });
    }

    /** Says what has changed since it was last said. */
    look(): void {
      const tell = this.tell;
      if (this.closed || !tell) return;
      const connection = this.connection;
      const address = this.address;
      const moved = connection !== this.knownConnection;
      const renamed = address !== this.knownAddress;
      this.knownConnection = connection;
      this.knownAddress = address;
      if (moved) tell.call(this, "connection");
      if (renamed && !this.closed) tell.call(this, "address");
    }

    private open(): Interface {
      if (this.closed) throw ioError("EBADF", "Ethernet");
      return this.nif;
    }
  }

  makeDisposable(EthernetIo);
  return { Ethernet: EthernetIo };
}

function find(stack: Stack, port: string | number | undefined): Interface {
  const named = typeof port === "string" ? stack.findInterface(port) : stack.interfaces[port || 0];
  return named || fail();
}

function fail(): never {
  throw ioError("ENODEV", "port");
}

/** Addresses as both networks hold them. */
interface Entry {
  nif: Interface;
  address?: number;
  bytes?: Uint8Array;
}

function addressOf(stack: Stack, nif: Interface): string | undefined {
  let other: string | undefined;
  for (let i = 0; i < stack.networks.length; i++) {
    const list = (stack.networks[i] as unknown as { addresses?: Entry[] }).addresses || [];
    for (let k = 0; k < list.length; k++) {
      const entry = list[k];
      if (entry.nif !== nif) continue;
      if (entry.address !== undefined) return format4(entry.address);
      // fe80::/10 is no address that anybody was assigned.
      if (entry.bytes && (entry.bytes[0] !== 0xfe || (entry.bytes[1] & 0xc0) !== 0x80))
        other = other || format6(entry.bytes, 0);
    }
  }
  return other;
}

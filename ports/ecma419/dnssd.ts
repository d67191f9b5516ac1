/** `DNSSD` of ECMA-419 (DNS-SD class pattern): names, services and discovery on the local link, over multicast DNS. */
import type { Mdns } from "../../stack/service/mdns.js";
import {
  adoptTarget,
  bytesOf,
  callbackOf,
  ioError,
  makeDisposable,
  requireOptions,
  stringOf,
} from "./base.js";
import type { BaseOptions, ByteBuffer } from "./base.js";

/** What stands in a TXT record. A key without value is `undefined`. */
export type TxtMap = Map<string, string | ByteBuffer | undefined>;

export interface DnssdOptions extends BaseOptions {
  /** Present for the standard's sake: the stack's own sockets are used. */
  socket?: unknown;
}

/** Ends what it stands for. */
export interface Handle {
  /** Legal twice. */
  close(): void;
}

export interface ClaimOptions {
  /** `"sensor"`, with or without `.local`. */
  host: string;
  /** The name is this host's. */
  onReady?: ((this: Handle) => void) | null;
  /** Somebody else has it, or has taken it; the claim is closed. */
  onError?: ((this: Handle) => void) | null;
}

export interface AdvertiseOptions {
  /** `"_http._tcp"` */
  serviceType: string;
  /** A name that was claimed, or another host's. */
  host: string;
  /** What people read. Default: `host`. */
  name?: string;
  port: number;
  txt?: TxtMap;
}

export interface Advertisement extends Handle {
  updateTXT(txt: TxtMap): void;
}

/** A service that was found. */
export interface Service {
  name: string;
  /** `"sensor.local"` */
  host: string;
  address: string;
  port: number;
  /** Keys in lower case. */
  txt: Map<string, string | undefined>;
}

export interface DiscoverOptions {
  serviceType: string;
  onFound?: ((this: Handle, service: Service) => void) | null;
  /** Its address, port or text has changed. */
  onUpdate?: ((this: Handle, service: Service) => void) | null;
  onLost?: ((this: Handle, service: Service) => void) | null;
}

export interface DNSSD {
  /** Ends all that its methods have begun. Legal twice. */
  close(): void;
  claim(options: ClaimOptions): Handle;
  advertise(options: AdvertiseOptions): Advertisement;
  discover(options: DiscoverOptions): Handle;
  target?: unknown;
}

export interface DnssdClasses {
  DNSSD: new (options: DnssdOptions) => DNSSD;
}

/** The class over a stack's `mdns()`. */
export function dnssdClass(mdns: Mdns): DnssdClasses {
  class DnssdIo implements DNSSD {
    target?: unknown;
    private readonly handles: Handle[] = [];
    /** Names that have been claimed, `"sensor.local"`. */
    private readonly names: string[] = [];
    private closed = false;

    constructor(options: DnssdOptions) {
      requireOptions(options);
      adoptTarget(this, options);
    }

    close(): void {
      this.closed = true;
      while (this.handles.length > 0) this.handles[0].close();
    }

    claim(options: ClaimOptions): Handle {
      this.check(options, "claim");
      const host = required(options.host, "host");
      const ready = callbackOf<(this: Handle) => void>(options, "onReady");
      const failed = callbackOf<(this: Handle) => void>(options, "onError");
      const wanted = local(host);
      const claim = mdns.claim(wanted.slice(0, -6), {
        onName: (name) => {
          if (name.toLowerCase() === wanted.toLowerCase()) {
            if (ready) ready.call(handle);
            return;
          }
          // The stack would go on with another name; the standard wants this one or none.
          handle.close();
          if (failed) failed.call(handle);
        },
      });
      const handle = this.track(() => {
        this.names.splice(this.names.indexOf(wanted), 1);
        claim.close();
      });
      this.names.push(wanted);
      return handle;
    }

    advertise(options: AdvertiseOptions): Advertisement {
      this.check(options, "advertise");
      const host = local(required(options.host, "host"));
      const publication = mdns.publish({
        name: stringOf(options.name, "name") || host.slice(0, -6),
        type: required(options.serviceType, "serviceType"),
        port: options.port,
        txt: pairsOf(options.txt),
        host: this.names.indexOf(host) < 0 ? host : undefined,
      });
      const handle = this.track(() => publication.close()) as Advertisement;
      handle.updateTXT = (txt) => {
        if (this.handles.indexOf(handle) < 0) throw ioError("EBADF", "updateTXT");
        publication.update({ txt: pairsOf(txt) });
      };
      return handle;
    }

    discover(options: DiscoverOptions): Handle {
      this.check(options, "discover");
      const found = callbackOf<(this: Handle, service: Service) => void>(options, "onFound");
      const update = callbackOf<(this: Handle, service: Service) => void>(options, "onUpdate");
      const lost = callbackOf<(this: Handle, service: Service) => void>(options, "onLost");
      const services: { key: string; told: Service | null; resolution: Handle }[] = [];
      const browser = mdns.browse(required(options.serviceType, "serviceType"), {
        onFound(instance) {
          const key = instance.interface.index + " " + instance.fullName;
          const entry = { key, told: null as Service | null, resolution: null as never as Handle };
          services.push(entry);
          entry.resolution = mdns.resolve(instance, {
            interface: instance.interface,
            onResolved(resolved) {
              const before = entry.told;
              const service = {
                name: instance.name,
                host: resolved.host,
                address: resolved.addresses[0],
                port: resolved.port,
                txt: mapOf(resolved.txt),
              };
              entry.told = service;
              if (!before) {
                if (found) found.call(handle, service);
              } else if (update) update.call(handle, service);
            },
          });
        },
        onLost(instance) {
          const key = instance.interface.index + " " + instance.fullName;
          for (let i = services.length - 1; i >= 0; i--) {
            const entry = services[i];
            if (entry.key !== key) continue;
            services.splice(i, 1);
            entry.resolution.close();
            if (entry.told && lost) lost.call(handle, entry.told);
          }
        },
      });
      const handle = this.track(() => {
        browser.close();
        for (let i = 0; i < services.length; i++) services[i].resolution.close();
      });
      return handle;
    }

    private check(options: object, what: string): void {
      if (this.closed) throw ioError("EBADF", what);
      requireOptions(options);
    }

    /** A handle that is closed once, by its owner or with the instance. */
    private track(end: () => void): Handle {
      const handles = this.handles;
      const handle: Handle = {
        close() {
          const at = handles.indexOf(handle);
          if (at < 0) return;
          handles.splice(at, 1);
          end();
        },
      };
      handles.push(handle);
      return handle;
    }
  }

  makeDisposable(DnssdIo);
  return { DNSSD: DnssdIo };
}

function required(value: unknown, name: string): string {
  const text = stringOf(value, name);
  if (text === undefined) throw ioError("EINVAL", name);
  return text;
}

function local(host: string): string {
  return host.slice(-6).toLowerCase() === ".local" ? host : host + ".local";
}

function pairsOf(txt: TxtMap | undefined): { [key: string]: string | boolean | Uint8Array } {
  const pairs: { [key: string]: string | boolean | Uint8Array } = {};
  if (txt) {
    txt.forEach((value, key) => {
      pairs[key] = value === undefined ? true : typeof value === "string" ? value : bytesOf(value);
    });
  }
  return pairs;
}

function mapOf(pairs: { [key: string]: string | boolean }): Map<string, string | undefined> {
  const map = new Map<string, string | undefined>();
  const keys = Object.keys(pairs);
  for (let i = 0; i < keys.length; i++) {
    const value = pairs[keys[i]];
    map.set(keys[i], typeof value === "string" ? value : undefined);
  }
  return map;
}

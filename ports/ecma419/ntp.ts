/** `NTP` of ECMA-419 (clause 19: NTP Client). */
import type { Stack } from "../../stack/core/stack.js";
import type { NameLookup } from "../../stack/service/happy.js";
import { ntp } from "../../stack/service/ntp.js";
import type { Ntp } from "../../stack/service/ntp.js";
import { adoptTarget, ioError, makeDisposable, requireOptions, stringOf } from "./base.js";
import type { BaseOptions, IoError } from "./base.js";
import type { Resolver } from "./resolver.js";

export interface NtpIoOptions extends BaseOptions {
  /** Names or addresses of servers. Moddable's `host` is one of them. */
  servers?: string[];
  host?: string;
  /** A resolver's options with its class as `io`. Default: the resolver that the port was given. */
  dns?: { io: new (options: any) => Resolver };
  /** Present for the standard's sake: the stack's own sockets are used. */
  socket?: unknown;
}

export interface NTP {
  close(): void;
  /** Asks for the time: ms since 1970. Throws while an answer is awaited. */
  getTime(callback: (this: NTP, error: IoError | null, time?: number) => void): void;
  target?: unknown;
}

export interface NtpClasses {
  NTP: new (options: NtpIoOptions) => NTP;
}

/** The class over a stack with UDP. `names` resolves servers' names where the options have no resolver. */
export function ntpClass(stack: Stack, names?: NameLookup): NtpClasses {
  class NtpIo implements NTP {
    target?: unknown;
    private client: Ntp | null = null;
    private resolver: Resolver | null = null;
    private busy = false;

    constructor(options: NtpIoOptions) {
      requireOptions(options);
      const servers = (options.servers || []).slice();
      const host = stringOf(options.host, "host");
      if (host !== undefined) servers.push(host);
      if (servers.length === 0) throw ioError("EINVAL", "servers");
      const client = ntp({ servers, names: options.dns ? this.foreign(options.dns) : names });
      // A component that joins a stack which is running already.
      client.attach(stack);
      client.start();
      stack.components.push(client);
      this.client = client;
      adoptTarget(this, options);
    }

    close(): void {
      const client = this.client;
      this.client = null;
      if (client) {
        client.close();
        stack.components.splice(stack.components.indexOf(client), 1);
      }
      if (this.resolver) this.resolver.close();
      this.resolver = null;
    }

    getTime(callback: (this: NTP, error: IoError | null, time?: number) => void): void {
      const client = this.client;
      if (!client) throw ioError("EBADF", "getTime");
      if (typeof callback !== "function") throw ioError("EINVAL", "callback");
      if (this.busy) throw ioError("EALREADY", "getTime");
      this.busy = true;
      client.query((code, time) => {
        this.busy = false;
        if (!this.client) return;
        if (time) callback.call(this, null, time.time);
        else callback.call(this, ioError(code, "getTime"));
      });
    }

    private foreign(dns: { io: new (options: any) => Resolver }): NameLookup {
      const resolver = (this.resolver = new dns.io(dns));
      return {
        lookup(name, _options, callback) {
          let wanted = true;
          resolver.resolve({ host: name }, (error, address) => {
            if (wanted) callback(error ? -3008 : 0, error ? [] : [address as string]);
          });
          return { cancel: () => void (wanted = false) };
        },
      };
    }
  }

  makeDisposable(NtpIo);
  return { NTP: NtpIo };
}

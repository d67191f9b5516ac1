/** `Resolver` of ECMA-419 (clause 18: Domain Name Resolver Class Pattern, DNS over UDP). */
import { nameServers } from "../../stack/core/name-servers.js";
import { parse4 } from "../../stack/core/text4.js";
import type { Dns } from "../../stack/service/dns.js";
import { callbackOf, ioError, makeDisposable, requireOptions, stringOf, adoptTarget } from "./base.js";
import type { BaseOptions, IoError } from "./base.js";

export interface ResolverOptions extends BaseOptions {
  /** Addresses of servers: the stack asks them besides those that it knows, until `close`. */
  servers?: string[];
}

export interface ResolveOptions {
  /** The name, or an address, which is its own answer. */
  host: string;
  /** The second edition's way to be told; `resolve` needs no callback then. */
  onResolved?: (this: Resolver, host: string, address: string) => void;
  onError?: (this: Resolver, host: string) => void;
}

export type ResolveCallback = (
  this: Resolver,
  error: IoError | null,
  address?: string,
  host?: string,
) => void;

export interface Resolver {
  /** Nobody who waits is called any more. Legal twice. */
  close(): void;
  /** The callback is called once, and never before this returns. */
  resolve(options: ResolveOptions, callback?: ResolveCallback): void;
  target?: unknown;
}

export interface ResolverClasses {
  Resolver: new (options: ResolverOptions) => Resolver;
}

/** The class over a stack's resolver. */
export function resolverClass(dns: Dns): ResolverClasses {
  let instances = 0;

  class ResolverIo implements Resolver {
    target?: unknown;
    private readonly requests: { cancel(): void }[] = [];
    private readonly origin: string;
    private closed = false;

    constructor(options: ResolverOptions) {
      requireOptions(options);
      const servers = options.servers || [];
      if (!Array.isArray(servers)) throw ioError("EINVAL", "servers");
      for (let i = 0; i < servers.length; i++) {
        const server = stringOf(servers[i], "servers") || "";
        // What has a colon is IPv6's, with its zone or without.
        if (parse4(server) === null && server.indexOf(":") < 0) throw ioError("EINVAL", "servers");
      }
      this.origin = "ecma419-" + ++instances;
      if (servers.length > 0) nameServers(dns.stack).set(this.origin, null, servers, []);
      adoptTarget(this, options);
    }

    close(): void {
      if (this.closed) return;
      this.closed = true;
      while (this.requests.length > 0) (this.requests.pop() as { cancel(): void }).cancel();
      nameServers(dns.stack).set(this.origin, null, [], []);
    }

    resolve(options: ResolveOptions, callback?: ResolveCallback): void {
      if (this.closed) throw ioError("EBADF", "resolve");
      requireOptions(options);
      const host = stringOf(options.host, "host");
      const resolved = callbackOf<(this: Resolver, host: string, address: string) => void>(
        options,
        "onResolved",
      );
      const failed = callbackOf<(this: Resolver, host: string) => void>(options, "onError");
      if (host === undefined) throw ioError("EINVAL", "host");
      if (callback === undefined ? !resolved : typeof callback !== "function")
        throw ioError("EINVAL", "callback");
      const request = dns.lookup(host, {}, (code, addresses) => {
        this.requests.splice(this.requests.indexOf(request), 1);
        if (code < 0) {
          if (callback) callback.call(this, ioError(code, host));
          else if (failed) failed.call(this, host);
        } else if (callback) callback.call(this, null, addresses[0], host);
        else if (resolved) resolved.call(this, host, addresses[0]);
      });
      this.requests.push(request);
    }
  }

  makeDisposable(ResolverIo);
  return { Resolver: ResolverIo };
}

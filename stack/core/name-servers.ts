/** Whom to ask for names: what the user, DHCP or router advertisements said, in one place that the resolver reads. */
import type { Interface } from "./interface.js";
import type { Stack } from "./stack.js";

/** A server to ask: plain data, made by `NameServers.list`. */
export interface NameServer {
  /** IPv4 or IPv6 address as text; a link-local one has its zone. */
  address: string;
  /** The interface that the answer holds for (the server is reached over it), or null: any. */
  interface: Interface | null;
  /** `"manual"`, `"dhcp"`, `"ra"`, ... */
  origin: string;
}

/** What one origin said on one interface. */
class Source {
  constructor(
    readonly origin: string,
    readonly nif: Interface | null,
    readonly servers: string[],
    readonly search: string[],
  ) {}
}

export class NameServers {
  /** Called after each change. */
  readonly onChange: (() => void)[] = [];
  private readonly sources: Source[] = [];

  /**
   * Replaces what `origin` has said on `nif` (null: for all interfaces). Two empty lists take it away.
   *
   * @param servers addresses as text, best first; the lists are copied
   * @param search domains to append to short names, best first
   */
  set(origin: string, nif: Interface | null, servers: string[], search: string[]): void {
    const sources = this.sources;
    let at = 0;
    while (at < sources.length && (sources[at].origin !== origin || sources[at].nif !== nif)) at++;
    const present = at < sources.length;
    if (servers.length + search.length > 0) {
      const source = new Source(origin, nif, servers.slice(), search.slice());
      if (present) sources[at] = source;
      // The user's own word comes first.
      else sources.splice(origin === "manual" ? 0 : at, 0, source);
    } else if (present) sources.splice(at, 1);
    else return;
    for (let i = 0; i < this.onChange.length; i++) this.onChange[i]();
  }

  /** The servers, best first: the user's, then by the age of their origin. */
  list(): NameServer[] {
    const found: NameServer[] = [];
    for (let i = 0; i < this.sources.length; i++) {
      const source = this.sources[i];
      for (let k = 0; k < source.servers.length; k++) {
        found.push({ address: source.servers[k], interface: source.nif, origin: source.origin });
      }
    }
    return found;
  }

  /** The search domains, best first, each once. */
  search(): string[] {
    const found: string[] = [];
    for (let i = 0; i < this.sources.length; i++) {
      const search = this.sources[i].search;
      for (let k = 0; k < search.length; k++) {
        if (found.indexOf(search[k]) < 0) found.push(search[k]);
      }
    }
    return found;
  }
}

/** The list of `stack`, made when it is first asked for: a stack that resolves no names carries none of this. */
export function nameServers(stack: Stack): NameServers {
  if (!stack.nameServers) stack.nameServers = new NameServers();
  return stack.nameServers;
}

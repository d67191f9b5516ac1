/** The links that a relay agent of DHCP or DHCPv6 serves, and its socket towards the servers, which is there while it serves one. */
import { fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { UdpSocket } from "../udp/udp.js";

export interface RelayLink {
  readonly nif: Interface;
  readonly socket: UdpSocket;
}

export class RelayLinks<L extends RelayLink> {
  readonly list: L[] = [];
  upstream: UdpSocket | null = null;

  /** @param openUpstream opens the socket towards the servers; it may throw */
  constructor(private readonly openUpstream: () => UdpSocket) {}

  /** Errors (thrown): `EBUSY` the interface is served. */
  requireFree(nif: Interface): void {
    for (let i = 0; i < this.list.length; i++) if (this.list[i].nif === nif) fail("EBUSY", nif.name);
  }

  add(link: L): L {
    this.list.push(link);
    if (!this.upstream) this.upstream = this.openUpstream();
    return link;
  }

  drop(link: L): void {
    const at = this.list.indexOf(link);
    if (at < 0) return;
    this.list.splice(at, 1);
    link.socket.close();
    if (this.list.length > 0 || !this.upstream) return;
    this.upstream.close();
    this.upstream = null;
  }

  dropOf(nif: Interface): void {
    for (let i = this.list.length - 1; i >= 0; i--) if (this.list[i].nif === nif) this.drop(this.list[i]);
  }

  close(): void {
    while (this.list.length > 0) this.drop(this.list[0]);
  }
}

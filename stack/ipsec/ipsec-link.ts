/**
 * An interface for routes (as VTI and xfrm interfaces of Linux): what is routed to it goes by its SA, what its SAs bring comes in on it.
 * The policies are not asked: a route is the policy. Its MTU is the link's word; what the tunnel cannot carry whole is cut outside.
 */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Packet } from "../core/packet.js";
import { tosOf } from "./header.js";
import type { Ipsec } from "./ipsec.js";
import { nextHeaderOf, protect } from "./output.js";
import { TUNNEL } from "./sa.js";
import type { Sa } from "./sa.js";

export interface IpsecLinkOptions {
  /** Largest inner packet, bytes. Default 1400. */
  mtu?: number;
}

/** The link of such an interface: `stack.addInterface(ipsecLink(security), "vti0")`; SAs name the interface. */
export class IpsecLink implements Link {
  readonly medium = "ip";
  readonly mtu: number;
  /** Policies leave it alone: see `isExempt`. */
  readonly protects = true;
  /** Packets that no SA was there for. */
  noSa = 0;
  private nif: Interface | null = null;

  constructor(
    private readonly ipsec: Ipsec,
    options: IpsecLinkOptions,
  ) {
    this.mtu = requireInteger(options.mtu || 1400, 576, 65535, "mtu");
  }

  open(receiver: LinkReceiver): void {
    if (this.nif) fail("EBUSY", "ipsecLink");
    this.nif = receiver as Interface;
  }

  close(): void {
    this.nif = null;
  }

  /** The newest SA of the interface. */
  private sa(): Sa | null {
    const list = this.ipsec.outbound;
    for (let i = list.length - 1; i >= 0; i--) {
      if (list[i].nif === this.nif && list[i].mode === TUNNEL) return list[i];
    }
    return null;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    const own = this.ipsec;
    const stack = own.stack;
    const sa = this.sa();
    if (!sa) {
      this.noSa++;
      return 0;
    }
    let packet: Packet | null = stack.tx;
    // What this host sends lies in `stack.tx` with room before it; what it forwards does not.
    if (frame !== packet.data) {
      packet = stack.prepare(end - start);
      if (!packet) return 0;
      stack.host.copy(packet.data, packet.start, frame, start, end - start);
    } else {
      packet.start = start;
      packet.end = end;
    }
    const family = frame[start] >> 4;
    // The inner DF stays inside: a link's MTU is its word, and the outer packet may be cut.
    protect(own, packet, sa, nextHeaderOf(family), tosOf(frame, start), false, null);
    return 0;
  }
}

/** A link whose traffic is protected by SAs that name its interface. */
export function ipsecLink(ipsec: Ipsec, options: IpsecLinkOptions = {}): IpsecLink {
  return new IpsecLink(ipsec, options);
}

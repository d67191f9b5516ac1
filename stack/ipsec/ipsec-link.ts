/**
 * An interface for routes (as VTI and xfrm interfaces of Linux): what is routed to it goes by its SA, what its SAs bring comes in on it.
 * The policies are not asked: a route is the policy. Its MTU is the link's word; what the tunnel cannot carry whole is cut outside.
 */
import type { Link, LinkReceiver } from "../../hypercall/link.js";
import { fail, requireInteger } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { Packet } from "../core/packet.js";
import { HEADROOM } from "../core/stack.js";
import { tosOf } from "./header.js";
import type { Ipsec } from "./ipsec.js";
import { nextHeaderOf, protect } from "./output.js";
import { TUNNEL } from "./sa.js";
import type { Sa } from "./sa.js";

export interface IpsecLinkOptions {
  /** Largest inner packet, bytes. Default 1400. */
  mtu?: number;
}

/** Bytes behind the packet: padding to a block, trailer and ICV. */
const TAILROOM = 64;

/** The link of such an interface: `stack.addInterface(ipsecLink(security), "vti0")`; SAs name the interface. */
export class IpsecLink implements Link {
  readonly medium = "ip";
  readonly mtu: number;
  /** Policies leave it alone: see `isExempt`. */
  readonly protects = true;
  /** Its SAs, the newest last: see `Ipsec.addSa`. */
  readonly outbound: Sa[] = [];
  /** Packets that no SA was there for. */
  noSa = 0;
  private nif: Interface | null = null;
  private readonly packet = new Packet(new Uint8Array(0));

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
    const list = this.outbound;
    for (let i = list.length - 1; i >= 0; i--) if (list[i].mode === TUNNEL) return list[i];
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
    // In memory of its own: behind a fragment lies the next one, where the padding and the ICV would be.
    const packet = this.packet;
    const size = HEADROOM + end - start + TAILROOM;
    if (packet.data.length < size)
      packet.data = stack.host.allocate(HEADROOM + this.mtu + TAILROOM) || packet.data;
    if (packet.data.length < size) return 0;
    packet.start = packet.network = HEADROOM;
    packet.end = HEADROOM + end - start;
    stack.host.copy(packet.data, packet.start, frame, start, end - start);
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

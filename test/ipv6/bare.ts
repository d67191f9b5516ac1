/** A stack that speaks IPv6 over a link without hardware addresses, alone with a probe: no neighbour discovery gets in between. */
import type { ExecutionContext } from "ava";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import type { Icmpv6Options } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import type { Ipv6Options } from "../../stack/ipv6/ipv6.js";
import { concat } from "../support/bytes.js";
import type { NetworkOptions } from "../support/network.js";
import { PROBE_IP6, STACK_IP6, be16, be32, frame, ip6 } from "../support/packets.js";
import type { Ip6Fields } from "../support/packets.js";
import { parsePacket } from "../support/parse.js";
import { probed } from "../support/probe.js";
import type { ProbeOptions } from "../support/probe.js";

/** The stack's address that is not of the link alone; everything else is behind the probe. */
export const GLOBAL = "2001:db8::1";
export const FAR = "2001:db8:f::1";

export interface BareOptions extends NetworkOptions {
  ipv6?: Ipv6Options;
  icmpv6?: Icmpv6Options;
  probe?: ProbeOptions;
}

export function bare(t: ExecutionContext | null, options: BareOptions = {}) {
  const ip = ipv6(options.ipv6);
  const icmp = icmpv6(options.icmpv6);
  const node = probed(t, {
    ...options,
    probe: { medium: "ip", ...options.probe },
    components: () => [ip, icmp, ...(options.components?.() ?? [])],
  });
  const { nif, probe } = node;
  ip.addAddress(nif, STACK_IP6 + "/64");
  ip.addAddress(nif, GLOBAL + "/64");
  ip.addRoute("::/0", { gateway: PROBE_IP6, interface: nif });
  /** What the stack has sent, read. */
  const take = () => probe.take().map((bytes) => parsePacket(bytes));
  return { ...node, ip6: ip, icmp6: icmp, take };
}

/** An extension header of `next` header type, with `body` behind its first two bytes; padded to whole units of 8 by zeros. */
export function extension(next: number, body: Uint8Array, length?: number): Uint8Array {
  const whole = new Uint8Array((body.length + 2 + 7) & ~7);
  whole[0] = next;
  whole[1] = length ?? whole.length / 8 - 1;
  whole.set(body, 2);
  return whole;
}

export function fragmentHeader(next: number, offset: number, more: boolean, id: number): Uint8Array {
  return concat(Uint8Array.of(next, 0), be16(offset | (more ? 1 : 0)), be32(id));
}

/** A fragment with bytes `from..to` of what lies behind the headers of a datagram. */
export function piece(
  body: Uint8Array,
  from: number,
  to: number,
  fields: { id?: number; next?: number; more?: boolean; outer?: Ip6Fields } = {},
): Uint8Array {
  const more = fields.more ?? to < body.length;
  const header = fragmentHeader(fields.next ?? 17, from, more, fields.id ?? 1);
  return frame(ip6({ next: 44, ...fields.outer }), concat(header, body.slice(from, to)));
}

/** What lies behind the headers of all of a packet's fragments, put together in order. */
export function behind(packet: Uint8Array): Uint8Array {
  return packet.slice(40);
}

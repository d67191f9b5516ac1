/** What passes through a security gateway (RFC 4301 section 5): the way in is held against policy, the way out goes into a tunnel. */
import { get16, put16 } from "../core/bytes.js";
import { finishSum, updateChecksum } from "../core/checksum.js";
import { EMSGSIZE } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { POSTROUTING } from "../core/network.js";
import type { Network } from "../core/network.js";
import { CHECKSUM_UNFINISHED, DECRYPTED, PROTECTED } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { FRAGMENTATION_NEEDED, UNREACHABLE } from "../wire/icmp.js";
import { FLAG_DF, IPV4_CHECKSUM, IPV4_FRAGMENT, IPV4_TTL, PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.js";
import { PACKET_TOO_BIG } from "../wire/icmpv6.js";
import { IPV6_HOP_LIMIT } from "../wire/ipv6.js";
import type { IcmpHooks } from "../ipv4/ipv4.js";
import type { Icmpv6Hooks } from "../ipv6/hooks.js";
import { tosOf } from "./header.js";
import { isExempt } from "./ipsec.js";
import type { Ipsec } from "./ipsec.js";
import { innerMtu, nextHeaderOf, protect } from "./output.js";
import { BYPASS, PROTECT } from "./policy.js";
import { TUNNEL } from "./sa.js";
import type { Sa } from "./sa.js";

/** See `PacketPolicy.forward`. */
export function forward(own: Ipsec, packet: Packet, out: Interface): boolean {
  const flow = own.flow;
  const data = packet.data;
  if (!flow.parse(data, packet.network, packet.end)) {
    own.counters.badInner++;
    return false;
  }
  const applied = packet.flags & DECRYPTED ? own.applied : null;
  if (!isExempt(packet.nif as Interface)) {
    const policy = own.spd.lookup(flow, false);
    const good = applied
      ? policy === applied.policy && (!applied.selector || applied.selector.matches(flow, false))
      : !policy || policy.action !== PROTECT;
    if (!good) {
      own.counters.policy++;
      return false;
    }
  }
  if (isExempt(out)) return true;
  const policy = own.spd.lookup(flow, true);
  // What has come out of a tunnel by its policy may go on in the clear where no policy says otherwise.
  const action = policy ? policy.action : applied ? BYPASS : own.spd.otherwise;
  if (action === BYPASS) return true;
  const sa = action === PROTECT ? policy!.sa(flow) : null;
  if (action !== PROTECT || (sa && sa.mode !== TUNNEL)) own.counters.discarded++;
  else if (!sa) {
    own.counters.noSa++;
    own.acquire(policy!, flow);
  } else enter(own, packet, sa, out);
  return false;
}

/** The packet goes into the tunnel: copied into `stack.tx`, where there is room around it. */
function enter(own: Ipsec, packet: Packet, sa: Sa, out: Interface): void {
  const stack = own.stack;
  const data = packet.data;
  const at = packet.network;
  const length = packet.end - at;
  const four = data[at] >> 4 === 4;
  const df = !four || (get16(data, at + IPV4_FRAGMENT) & FLAG_DF) !== 0;
  const header = own.flow.transport - at;
  const protocol = own.flow.protocol;
  const mtu = innerMtu(own, sa, four ? 4 : 6, 0);
  if (df && sa.df === "copy" && length > mtu) {
    own.counters.tooBig++;
    tooBig(packet, four, mtu);
    return;
  }
  // Filters remember the flow here, as of what goes on in the clear; what translates addresses leaves it alone.
  packet.flags |= PROTECTED;
  const hook = (packet.net as Network).hook;
  if (hook && !hook(packet, POSTROUTING, out)) return;
  const tx = stack.prepare(length);
  if (!tx) {
    own.counters.tooBig++;
    return;
  }
  const start = tx.start;
  stack.host.copy(tx.data, start, data, at, length);
  if (four) {
    const word = get16(tx.data, start + IPV4_TTL);
    const sum = updateChecksum(get16(tx.data, start + IPV4_CHECKSUM), word, word - 0x100);
    tx.data[start + IPV4_TTL]--;
    put16(tx.data, start + IPV4_CHECKSUM, sum);
  } else tx.data[start + IPV6_HOP_LIMIT]--;
  // What a virtual link has left to us nobody completes behind the tunnel.
  const unfinished = packet.flags & CHECKSUM_UNFINISHED;
  if (unfinished && (protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP)) {
    finishSum(stack.host.sum, tx.data, start + header, tx.end, protocol === PROTOCOL_UDP);
  }
  const tos = tosOf(tx.data, start);
  if (protect(own, tx, sa, nextHeaderOf(four ? 4 : 6), tos, df, null) === EMSGSIZE) {
    own.counters.tooBig++;
    tooBig(packet, four, mtu);
  }
}

/** Tells the sender how much the tunnel takes. */
function tooBig(packet: Packet, four: boolean, mtu: number): void {
  const icmp = (packet.net as unknown as { icmp: unknown }).icmp;
  if (!icmp) return;
  if (four) (icmp as IcmpHooks).sendError(packet, UNREACHABLE, FRAGMENTATION_NEEDED, mtu);
  else (icmp as Icmpv6Hooks).sendError(packet, PACKET_TOO_BIG, 0, mtu);
}

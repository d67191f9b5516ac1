/** A router with a firewall: `lan` (10.0.0.0/24) is inside, `wan` (10.1.0.0/24, we are 10.1.0.1) outside. */
import type { ExecutionContext } from "ava";
import { firewall } from "../../stack/filter/firewall.js";
import type { FirewallOptions } from "../../stack/filter/firewall.js";
import { STACK_MAC, eth, frame, ip4, ip6 } from "../support/packets.js";
import type { Ip4Fields, Ip6Fields, Layer, Payload } from "../support/packets.js";
import { LAN6_HOST, LAN_HOST, WAN6_HOST, WAN_HOST, WAN_MAC, router } from "../router/support.js";
import type { RouterOptions } from "../router/support.js";

export const OUTER = "10.1.0.1";

export function walled(t: ExecutionContext | null, options: FirewallOptions = {}, more: RouterOptions = {}) {
  const wall = firewall(options);
  const node = router(t, { ...more, more: [wall, ...(more.more ?? [])] });
  wall.assign(node.lanNif, "lan");
  wall.assign(node.wanNif, "wan");
  node.lan.take();
  node.wan.take();
  const { lan, wan } = node;
  return {
    ...node,
    wall,
    walls: wall.counters,
    /** Sends a packet from the LAN's host to the outer one, unless `fields` say otherwise. */
    out: (fields: Ip4Fields, ...parts: (Layer | Payload)[]) =>
      lan.send(frame(eth({ dst: STACK_MAC }), ip4({ src: LAN_HOST, dst: WAN_HOST, ...fields }), ...parts)),
    /** Sends a packet from the outer host to the LAN's one. */
    in: (fields: Ip4Fields, ...parts: (Layer | Payload)[]) =>
      wan.send(frame(eth({ dst: WAN_MAC }), ip4({ src: WAN_HOST, dst: LAN_HOST, ...fields }), ...parts)),
    out6: (fields: Ip6Fields, ...parts: (Layer | Payload)[]) =>
      lan.send(frame(eth({ dst: STACK_MAC }), ip6({ src: LAN6_HOST, dst: WAN6_HOST, ...fields }), ...parts)),
    in6: (fields: Ip6Fields, ...parts: (Layer | Payload)[]) =>
      wan.send(frame(eth({ dst: WAN_MAC }), ip6({ src: WAN6_HOST, dst: LAN6_HOST, ...fields }), ...parts)),
  };
}

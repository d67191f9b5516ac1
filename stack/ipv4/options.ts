/** IPv4 options (RFC 791 section 3.1): a bounded walk. Source routes are refused (RFC 7126 section 4.3). */
import { ROUTER_ALERT } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { OPTION_LSRR, OPTION_ROUTER_ALERT, OPTION_SSRR } from "../wire/ipv4.js";
import { optionSize } from "../wire/options.js";

export const OPTIONS_OK = 0;
export const OPTIONS_MALFORMED = 1;
export const OPTIONS_SOURCE_ROUTE = 2;

/** Walks the options in `packet.data[at..end)`; each step advances. Marks a router alert in the packet's flags. */
export function checkOptions(packet: Packet, at: number, end: number): number {
  const data = packet.data;
  while (at < end) {
    const kind = data[at];
    const size = optionSize(data, at, end);
    if (size === 0) break;
    if (size < 0) return OPTIONS_MALFORMED;
    if (kind === OPTION_LSRR || kind === OPTION_SSRR) return OPTIONS_SOURCE_ROUTE;
    if (kind === OPTION_ROUTER_ALERT) packet.flags |= ROUTER_ALERT;
    at += size;
  }
  return OPTIONS_OK;
}

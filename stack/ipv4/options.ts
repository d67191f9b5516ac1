/** IPv4 options (RFC 791 section 3.1): a bounded walk. Source routes are refused (RFC 7126 section 4.3). */
import { ROUTER_ALERT } from "../core/packet.js";
import type { Packet } from "../core/packet.js";
import { OPTION_END, OPTION_LSRR, OPTION_NOP, OPTION_ROUTER_ALERT, OPTION_SSRR } from "../wire/ipv4.js";

export const OPTIONS_OK = 0;
export const OPTIONS_MALFORMED = 1;
export const OPTIONS_SOURCE_ROUTE = 2;

/** Walks the options in `packet.data[at..end)`; each step advances. Marks a router alert in the packet's flags. */
export function checkOptions(packet: Packet, at: number, end: number): number {
  const data = packet.data;
  while (at < end) {
    const kind = data[at];
    if (kind === OPTION_END) break;
    if (kind === OPTION_NOP) {
      at++;
      continue;
    }
    const length = at + 1 < end ? data[at + 1] : 0;
    if (length < 2 || at + length > end) return OPTIONS_MALFORMED;
    if (kind === OPTION_LSRR || kind === OPTION_SSRR) return OPTIONS_SOURCE_ROUTE;
    if (kind === OPTION_ROUTER_ALERT) packet.flags |= ROUTER_ALERT;
    at += length;
  }
  return OPTIONS_OK;
}

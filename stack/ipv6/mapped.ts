/**
 * IPv4-mapped addresses (RFC 4291 section 2.5.5.2, RFC 4038): `::ffff:10.0.0.2` names an IPv4 host to whoever knows IPv6's form alone.
 *
 * A text alone: on the wire there is no such address. Sockets without `family` serve both families; `family: 6` is IPV6_V6ONLY of
 * RFC 3493 section 5.3: no mapped address is bound or reached, and the port stays free for a socket of IPv4. What comes from IPv4
 * is named in IPv4's own form.
 */
import { get32 } from "../core/bytes.js";
import type { Network } from "../core/network.js";
import { format4 } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import { isMapped6, isUnspecified6 } from "../wire/ipv6.js";

/** Makes IPv4 take IPv6's names for its addresses: IPv6 does it, so that a stack of IPv4 alone has nothing of it. */
export function acceptMapped(four: Network): void {
  const setLocal = four.setLocal;
  const setRemote = four.setRemote;
  four.setLocal = (path, text) => {
    const bytes = parse6(text);
    // A socket that is bound to :: has bound the addresses of both families.
    return setLocal.call(four, path, bytes && isUnspecified6(bytes, 0) ? "" : plain(text, bytes));
  };
  four.setRemote = (path, text) => setRemote.call(four, path, plain(text, parse6(text)));
}

function plain(text: string, bytes: Uint8Array | null): string {
  return bytes && isMapped6(bytes, 0) ? format4(get32(bytes, 12)) : text;
}

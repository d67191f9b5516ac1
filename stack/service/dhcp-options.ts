/** DHCP options that are not asked for unless they are given to `dhcp({ options: [...] })`: each brings its own code. */
import { copyRange, get32 } from "../core/bytes.js";
import { format4 } from "../core/text4.js";
import { OPTION_CLASSLESS_ROUTES, OPTION_IPV6_ONLY, OPTION_SEARCH } from "../wire/dhcp.js";
import { mask4 } from "../wire/ipv4.js";
import { hostText } from "./dhcp-lease.js";
import type { DhcpLease, DhcpOption, DhcpRoute } from "./dhcp-lease.js";

/** Routes taken from one lease, and domains. */
const ROUTES = 8;
const DOMAINS = 8;
/** Compression pointers followed in one name. */
const JUMPS = 10;

/**
 * Classless static routes (RFC 3442), 8 at most; with them the router option counts for nothing. Whoever answers our requests
 * first can lead any traffic astray with these, also that meant for a tunnel: therefore they are not among the usual options.
 */
export const classlessRoutes: DhcpOption = {
  code: OPTION_CLASSLESS_ROUTES,
  parse(lease: DhcpLease, value: Uint8Array, length: number): void {
    const routes: DhcpRoute[] = [];
    for (let at = 0; at < length;) {
      const width = value[at++];
      const bytes = (width + 7) >> 3;
      if (width > 32 || bytes + 4 > length - at) return;
      let prefix = 0;
      for (let i = 0; i < bytes; i++) prefix |= value[at + i] << (24 - 8 * i);
      at += bytes;
      if (routes.length < ROUTES) {
        routes.push({
          prefix: format4(prefix & mask4(width)) + "/" + width,
          gateway: format4(get32(value, at)),
        });
      }
      at += 4;
    }
    lease.routes = routes;
  },
};

/** The domain search list (RFC 3397), 8 domains at most. */
export const searchList: DhcpOption = {
  code: OPTION_SEARCH,
  parse(lease: DhcpLease, value: Uint8Array, length: number): void {
    const domains: string[] = [];
    for (let at = 0; at < length;) {
      let name = "";
      let next = 0;
      let jumps = 0;
      // Pointers lead backwards, each further than the one before, so that they come to an end.
      for (let low = at; ;) {
        const size = at < length ? value[at++] : 255;
        if (size >= 192) {
          const target = at < length ? ((size & 63) << 8) | value[at++] : length;
          if (target >= low || ++jumps > JUMPS) return;
          if (!next) next = at;
          at = low = target;
        } else if (size === 0) break;
        else {
          const label = size < 64 && size <= length - at ? hostText(value, at, at + size) : "";
          if (label.length !== size || label.indexOf(".") >= 0) return;
          name += (name && ".") + label;
          if (name.length > 253) return;
          at += size;
        }
      }
      if (next) at = next;
      if (name && domains.length < DOMAINS) domains.push(name);
    }
    lease.search = domains;
  },
};

/**
 * IPv6-only preferred (RFC 8925): this host can do without IPv4, and does so for the time that a server says (300 s at the
 * least) wherever one says so. Only for hosts with IPv6.
 */
export const ipv6Only: DhcpOption = {
  code: OPTION_IPV6_ONLY,
  parse(lease: DhcpLease, value: Uint8Array, length: number): void {
    if (length === 4) lease.ipv6Only = get32(value, 0) >>> 0;
  },
};

/** Any other option: its value is appended to `lease.options`. @param code 1..254 */
export function rawOption(code: number): DhcpOption {
  return {
    code,
    parse(lease: DhcpLease, value: Uint8Array, length: number): void {
      lease.options.push({ code, data: copyRange(value, 0, length) });
    },
  };
}

/**
 * A client identifier that stays the same when the hardware is exchanged (RFC 4361): for `DhcpOptions.clientId`.
 *
 * @param iaid number of the interface within this host, 32 bits
 * @param duid the host's identifier, 3 to 128 bytes, the same as DHCPv6 uses
 */
export function duidClientId(iaid: number, duid: Uint8Array): Uint8Array {
  const id = new Uint8Array(5 + duid.length);
  id[0] = 255;
  for (let i = 0; i < 4; i++) id[1 + i] = iaid >>> (24 - 8 * i);
  id.set(duid, 5);
  return id;
}

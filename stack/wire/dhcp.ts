/** DHCP messages (RFC 2131 section 2, RFC 2132): offsets, numbers, and how options are found and written. */
import { get16, get32, put32 } from "../core/bytes.js";

export const DHCP_CLIENT_PORT = 68;
export const DHCP_SERVER_PORT = 67;

export const DHCP_OP = 0;
export const DHCP_XID = 4;
export const DHCP_SECS = 8;
export const DHCP_FLAGS = 10;
export const DHCP_CIADDR = 12;
export const DHCP_YIADDR = 16;
export const DHCP_CHADDR = 28;
export const DHCP_SNAME = 44;
export const DHCP_FILE = 108;
export const DHCP_COOKIE = 236;
export const DHCP_OPTIONS = 240;
/** Shorter messages are padded: some relay agents know BOOTP alone (RFC 1542 section 2.1). */
export const DHCP_MINIMUM = 300;

export const COOKIE = 0x63825363;
export const BOOT_REQUEST = 1;
export const BOOT_REPLY = 2;

export const DISCOVER = 1;
export const OFFER = 2;
export const REQUEST = 3;
export const DECLINE = 4;
export const ACK = 5;
export const NAK = 6;
export const RELEASE = 7;
export const INFORM = 8;

export const OPTION_MASK = 1;
export const OPTION_ROUTER = 3;
export const OPTION_NAME_SERVERS = 6;
export const OPTION_HOST_NAME = 12;
export const OPTION_DOMAIN = 15;
export const OPTION_MTU = 26;
export const OPTION_NTP = 42;
export const OPTION_ADDRESS = 50;
export const OPTION_LEASE_TIME = 51;
export const OPTION_OVERLOAD = 52;
export const OPTION_MESSAGE_TYPE = 53;
export const OPTION_SERVER = 54;
export const OPTION_PARAMETERS = 55;
export const OPTION_MESSAGE_SIZE = 57;
export const OPTION_RENEW_TIME = 58;
export const OPTION_REBIND_TIME = 59;
export const OPTION_VENDOR_CLASS = 60;
export const OPTION_CLIENT_ID = 61;
export const OPTION_IPV6_ONLY = 108;
export const OPTION_SEARCH = 119;
export const OPTION_CLASSLESS_ROUTES = 121;
export const OPTION_END = 255;

/**
 * Walks the options in `data[at..end)` and appends the values of those with `code` to `target`: long ones come in pieces
 * (RFC 3396).
 *
 * @param to where in `target` to go on; negative: there was an error before
 * @returns where the next value would go, or -1: a length lies, there is no end option, or `target` is full
 */
function collect(
  data: Uint8Array,
  at: number,
  end: number,
  code: number,
  target: Uint8Array,
  to: number,
): number {
  while (to >= 0 && at < end) {
    const found = data[at++];
    if (found === OPTION_END) return to;
    if (found === 0) continue;
    const length = at < end ? data[at++] : end;
    if (length > end - at) return -1;
    if (found === code) {
      if (length > target.length - to) return -1;
      for (let i = 0; i < length; i++) target[to++] = data[at + i];
    }
    at += length;
  }
  return -1;
}

/**
 * Collects the value of option `code` from the message in `data[0..end)`, whose file and sname fields may hold options too.
 *
 * @returns its length in `target`, 0 when there is none, or -1: the message is malformed
 */
export function parseOption(data: Uint8Array, end: number, code: number, target: Uint8Array): number {
  const length = collect(data, DHCP_OPTIONS, end, OPTION_OVERLOAD, target, 0);
  const overload = length > 0 ? target[0] : 0;
  if (length < 0 || length > 1 || overload > 3) return -1;
  let to = collect(data, DHCP_OPTIONS, end, code, target, 0);
  if (overload & 1) to = collect(data, DHCP_FILE, DHCP_COOKIE, code, target, to);
  if (overload & 2) to = collect(data, DHCP_SNAME, DHCP_FILE, code, target, to);
  return to;
}

/* What servers and relay agents have besides. */

export const DHCP_HTYPE = 1;
export const DHCP_HLEN = 2;
export const DHCP_HOPS = 3;
export const DHCP_SIADDR = 20;
export const DHCP_GIADDR = 24;
export const OPTION_BROADCAST = 28;
export const OPTION_RELAY_AGENT = 82;
/** Bit of DHCP_FLAGS: the client takes no unicast before it has an address. */
export const FLAG_BROADCAST = 0x8000;

/**
 * Is `data[0..end)` a request whose every option can be read, from a client whose hardware address has 1..16 bytes? `scratch` is
 * written to.
 */
export function isRequest(data: Uint8Array, end: number, scratch: Uint8Array): boolean {
  return (
    end > DHCP_OPTIONS &&
    data[DHCP_OP] === BOOT_REQUEST &&
    get32(data, DHCP_COOKIE) === COOKIE &&
    data[DHCP_HLEN] > 0 &&
    data[DHCP_HLEN] <= 16 &&
    parseOption(data, end, 0, scratch) >= 0
  );
}

/** Is `data[0..end)` a reply over Ethernet whose every option can be read? `scratch` is written to. */
export function isReply(data: Uint8Array, end: number, scratch: Uint8Array): boolean {
  return (
    end > DHCP_OPTIONS &&
    get32(data, DHCP_COOKIE) === COOKIE &&
    // op, htype, hlen; hops are the relays' business.
    get16(data, DHCP_OP) === ((BOOT_REPLY << 8) | 1) &&
    data[2] === 6 &&
    parseOption(data, end, 0, scratch) >= 0
  );
}

/** Writes an option whose value is an address; returns where the next one goes. */
export function emitAddress(data: Uint8Array, at: number, code: number, address: number): number {
  data[at] = code;
  data[at + 1] = 4;
  put32(data, at + 2, address);
  return at + 6;
}

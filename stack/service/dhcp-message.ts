/** What a DHCP client sends (RFC 2131 section 4.4.1), and what it takes for an answer. */
import { get16, get32, put16, put32, zeroBytes } from "../core/bytes.js";
import { requireInteger } from "../core/errors.js";
import { format4 } from "../core/text4.js";
import * as wire from "../wire/dhcp.js";
import { DHCP_BOUND, DHCP_DECLINING, DHCP_RENEWING, DHCP_REQUESTING } from "./dhcp-state.js";
import type { DhcpClient } from "./dhcp.js";

/** Largest message that is sent or understood, bytes. */
export const MESSAGE = 1024;
/** A message's UDP and IPv4 headers. */
const HEADERS = 28;

/** Composes what is the same in all messages. */
export function compose(c: DhcpClient): void {
  const options = c.options;
  const mac = c.nif.link.mac as Uint8Array;
  const tail = c.tail;
  const extras = c.dhcp.extras;
  const size = c.nif.mtu < MESSAGE + HEADERS ? c.nif.mtu : MESSAGE + HEADERS;
  if (options.clientId) emit(c.id, wire.OPTION_CLIENT_ID, options.clientId);
  else c.id.push(wire.OPTION_CLIENT_ID, 7, 1, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  tail.push(wire.OPTION_MESSAGE_SIZE, 2, size >> 8, size & 255);
  emit(tail, wire.OPTION_HOST_NAME, options.hostname);
  emit(tail, wire.OPTION_VENDOR_CLASS, options.vendorClass);
  tail.push(wire.OPTION_PARAMETERS, extras.length + 9);
  // RFC 3442: the classless routes come before the router.
  for (let i = 0; i < extras.length; i++) tail.push(requireInteger(extras[i].code, 1, 254, "option"));
  tail.push(
    wire.OPTION_MASK,
    wire.OPTION_ROUTER,
    wire.OPTION_NAME_SERVERS,
    wire.OPTION_HOST_NAME,
    wire.OPTION_DOMAIN,
    wire.OPTION_MTU,
    wire.OPTION_NTP,
    wire.OPTION_RENEW_TIME,
    wire.OPTION_REBIND_TIME,
  );
}

/** Appends an option with up to 255 bytes, or as many characters. */
function emit(target: number[], code: number, value: Uint8Array | string | undefined): void {
  if (value === undefined) return;
  target.push(code, requireInteger(value.length, 1, 255, "option " + code));
  for (let i = 0; i < value.length; i++) {
    target.push(typeof value === "string" ? value.charCodeAt(i) & 255 : value[i]);
  }
}

/** Sends a message of `type`; what is in it follows from the state (RFC 2131 section 4.4.1, table 5). */
export function send(c: DhcpClient, type: number): void {
  const d = c.dhcp;
  const data = d.message;
  const state = c.state;
  const last = type === wire.RELEASE || state === DHCP_DECLINING;
  zeroBytes(data, 0, wire.DHCP_MINIMUM);
  data[wire.DHCP_OP] = wire.BOOT_REQUEST;
  data[1] = 1;
  data[2] = 6;
  put32(data, wire.DHCP_XID, c.xid);
  put16(data, wire.DHCP_SECS, c.secs < 65535 ? c.secs : 65535);
  put16(data, wire.DHCP_CHADDR, c.nif.high);
  put32(data, wire.DHCP_CHADDR + 2, c.nif.low);
  put32(data, wire.DHCP_COOKIE, wire.COOKIE);
  let at = wire.DHCP_OPTIONS;
  data[at++] = wire.OPTION_MESSAGE_TYPE;
  data[at++] = 1;
  data[at++] = type;
  if (state >= DHCP_BOUND) put32(data, wire.DHCP_CIADDR, c.address);
  else {
    // Without an address there is nothing that a server could send to but a broadcast.
    if (!last) data[wire.DHCP_FLAGS] = 0x80;
    if (c.address) at = wire.emitAddress(data, at, wire.OPTION_ADDRESS, c.address);
  }
  if (last || state === DHCP_REQUESTING) at = wire.emitAddress(data, at, wire.OPTION_SERVER, c.server);
  for (let i = 0; i < c.id.length; i++) data[at++] = c.id[i];
  for (let i = 0; !last && i < c.tail.length; i++) data[at++] = c.tail[i];
  data[at++] = wire.OPTION_END;
  const code = c.socket.sendTo(
    type === wire.RELEASE || state === DHCP_RENEWING ? format4(c.server) : "255.255.255.255",
    wire.DHCP_SERVER_PORT,
    data,
    0,
    at < wire.DHCP_MINIMUM ? wire.DHCP_MINIMUM : at,
  );
  if (code < 0) d.counters.sendFailed++;
  else d.counters.sent++;
}

/** Is the reply for this client's present transaction? */
export function isOurs(c: DhcpClient, end: number): boolean {
  const data = c.dhcp.message;
  const value = c.dhcp.value;
  if (
    get32(data, wire.DHCP_XID) !== c.xid ||
    get16(data, wire.DHCP_CHADDR) !== c.nif.high ||
    get32(data, wire.DHCP_CHADDR + 2) !== c.nif.low
  ) {
    return false;
  }
  // RFC 6842: a server that repeats the identifier means the one who has it.
  const length = wire.parseOption(data, end, wire.OPTION_CLIENT_ID, value);
  if (length > 0 && length + 2 !== c.id.length) return false;
  for (let i = 0; i < length; i++) {
    if (value[i] !== c.id[i + 2]) return false;
  }
  return true;
}

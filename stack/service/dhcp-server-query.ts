/** What a client or a relay agent has asked (RFC 2131, RFC 3046): a message read once, and checked before anything is done. */
import { copyRange, get16, get32 } from "../core/bytes.js";
import * as wire from "../wire/dhcp.js";
import { MESSAGE } from "./dhcp-message.js";

/** Sub-options of relay agents: RFC 3527, RFC 5107. */
const LINK_SELECTION = 5;
const SERVER_OVERRIDE = 11;
/** What every host takes (RFC 2131 section 2): 576 bytes of datagram, 548 of message. */
const LEAST_MESSAGE = 548;
const HEADERS = 28;

export class Query {
  type = 0;
  /** Message, and where it ends. */
  data: Uint8Array = new Uint8Array(0);
  end = 0;
  ciaddr = 0;
  giaddr = 0;
  /** The link that a relay agent names, or 0; the server identifier that it wants, or 0. */
  link = 0;
  override = 0;
  /** The client wants replies to be broadcast. */
  broadcast = false;
  /** Its identifier: option 61, or the hardware type and address. */
  id: Uint8Array = this.data;
  /** Option 61 was there: it is repeated (RFC 6842). */
  identified = false;
  hardware: Uint8Array = this.data;
  /** Options 50, 54, 51; 0: none. */
  requested = 0;
  server = 0;
  leaseTime = 0;
  hostName = "";
  /** Codes of options that the client wants, best first; null: it does not say. */
  parameters: Uint8Array | null = null;
  /** Bytes of the longest reply. */
  room = LEAST_MESSAGE;
  /** Option 82, which goes back as it is; or null. */
  relay: Uint8Array | null = null;
}

/** Reads the request in `data[0..end)`; false: it is malformed, or a BOOTP request (type 0). @param value scratch */
export function parseQuery(q: Query, data: Uint8Array, end: number, value: Uint8Array): boolean {
  if (!wire.isRequest(data, end, value)) return false;
  const option = (code: number) => wire.parseOption(data, end, code, value);
  const word = (code: number) => (option(code) === 4 ? get32(value, 0) : 0);
  const bytes = (code: number) => {
    const length = option(code);
    return length > 0 ? copyRange(value, 0, length) : null;
  };
  q.data = data;
  q.end = end;
  q.type = option(wire.OPTION_MESSAGE_TYPE) === 1 ? value[0] : 0;
  q.ciaddr = get32(data, wire.DHCP_CIADDR);
  q.giaddr = get32(data, wire.DHCP_GIADDR);
  q.broadcast = (get16(data, wire.DHCP_FLAGS) & wire.FLAG_BROADCAST) !== 0;
  const size = data[wire.DHCP_HLEN];
  q.hardware = copyRange(data, wire.DHCP_CHADDR, wire.DHCP_CHADDR + size);
  const id = bytes(wire.OPTION_CLIENT_ID);
  q.identified = id !== null && id.length > 1 && id.length < 256;
  if (id && q.identified) q.id = id;
  else {
    q.id = new Uint8Array(1 + size);
    q.id[0] = data[wire.DHCP_HTYPE];
    q.id.set(q.hardware, 1);
  }
  q.requested = word(wire.OPTION_ADDRESS);
  q.server = word(wire.OPTION_SERVER);
  q.leaseTime = word(wire.OPTION_LEASE_TIME) >>> 0;
  q.parameters = bytes(wire.OPTION_PARAMETERS);
  const length = option(wire.OPTION_HOST_NAME);
  q.hostName = length > 0 ? label(value, length) : "";
  q.room = option(wire.OPTION_MESSAGE_SIZE) === 2 ? get16(value, 0) - HEADERS : 0;
  if (q.room < LEAST_MESSAGE) q.room = LEAST_MESSAGE;
  if (q.room > MESSAGE) q.room = MESSAGE;
  q.link = q.override = 0;
  q.relay = q.giaddr ? bytes(wire.OPTION_RELAY_AGENT) : null;
  if (q.relay && q.relay.length > 255) q.relay = null;
  if (q.relay) {
    q.link = subOption(q.relay, LINK_SELECTION);
    q.override = subOption(q.relay, SERVER_OVERRIDE);
  }
  return true;
}

/** A sub-option that is an address, or 0. What lies behind a length that lies does not count. */
function subOption(relay: Uint8Array, code: number): number {
  for (let at = 0; at + 2 <= relay.length; at += 2 + relay[at + 1]) {
    if (relay[at] === code && relay[at + 1] === 4 && at + 6 <= relay.length) return get32(relay, at + 2);
  }
  return 0;
}

/** The first label of a name that a client gives itself, in lower case; `""`: it is no host's name. */
function label(data: Uint8Array, length: number): string {
  let text = "";
  for (let i = 0; i < length && data[i] !== 46 && data[i] !== 0; i++) {
    const code = data[i] >= 65 && data[i] <= 90 ? data[i] + 32 : data[i];
    const letter = code === 45 || (code >= 48 && code <= 57) || (code >= 97 && code <= 122);
    if (!letter || text.length > 62) return "";
    text += String.fromCharCode(code);
  }
  return text.charAt(0) === "-" || text.charAt(text.length - 1) === "-" ? "" : text;
}

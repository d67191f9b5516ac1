/** What a DHCP server answers (RFC 2131 section 4.3, table 3), and where it sends that (section 4.1). */
import { get16, get32, put16, put32, zeroBytes } from "../core/bytes.js";
import { format4 } from "../core/text4.js";
import * as wire from "../wire/dhcp.js";
import { isMartian4 } from "../wire/ipv4.js";
import { emitOption, emitWord } from "./dhcp-server-options.js";
import type { ServerOption } from "./dhcp-server-options.js";
import type { Query } from "./dhcp-server-query.js";
import type { DhcpScope, Reserved } from "./dhcp-server-scope.js";
import type { DhcpServer } from "./dhcp-server.js";

/** Shares of the lease (RFC 2131 section 4.4.5). */
const RENEW = 0.5;
const REBIND = 0.875;
const FOR_EVER = 0xffffffff;

/**
 * Answers `q`.
 *
 * @param address what the client is given, 0: nothing (NAK, INFORM)
 * @param duration seconds, 0: no lease goes with it
 */
export function reply(
  s: DhcpServer,
  scope: DhcpScope,
  q: Query,
  type: number,
  address: number,
  duration: number,
  reserved: Reserved | null,
): void {
  const data = s.message;
  const request = q.data;
  zeroBytes(data, 0, wire.DHCP_MINIMUM);
  data[wire.DHCP_OP] = wire.BOOT_REPLY;
  data[wire.DHCP_HTYPE] = request[wire.DHCP_HTYPE];
  data[wire.DHCP_HLEN] = request[wire.DHCP_HLEN];
  put32(data, wire.DHCP_XID, get32(request, wire.DHCP_XID));
  put16(data, wire.DHCP_FLAGS, get16(request, wire.DHCP_FLAGS));
  put32(data, wire.DHCP_GIADDR, q.giaddr);
  data.set(request.subarray(wire.DHCP_CHADDR, wire.DHCP_SNAME), wire.DHCP_CHADDR);
  put32(data, wire.DHCP_COOKIE, wire.COOKIE);
  let at = wire.DHCP_OPTIONS;
  at = emitOption(data, at, q.room, wire.OPTION_MESSAGE_TYPE, [type], 1);
  at = emitWord(data, at, wire.OPTION_SERVER, q.override || s.identifier(scope));
  // The relay agent's option goes last, and has its place for sure.
  const limit = q.room - 1 - (q.relay ? q.relay.length + 2 : 0);
  if (q.identified) at = emitOption(data, at, limit, wire.OPTION_CLIENT_ID, q.id, q.id.length);
  if (type === wire.NAK) {
    // The client has no address there: its relay agent must broadcast (RFC 2131 section 4.3.2).
    if (q.giaddr) data[wire.DHCP_FLAGS] |= wire.FLAG_BROADCAST >> 8;
  } else {
    put32(data, wire.DHCP_YIADDR, address);
    if (type === wire.ACK) put32(data, wire.DHCP_CIADDR, q.ciaddr);
    put32(data, wire.DHCP_SIADDR, (reserved && reserved.nextServer) || scope.nextServer);
    if (duration) {
      at = emitWord(data, at, wire.OPTION_LEASE_TIME, duration | 0);
      if (duration !== FOR_EVER) {
        at = emitWord(data, at, wire.OPTION_RENEW_TIME, Math.floor(duration * RENEW));
        at = emitWord(data, at, wire.OPTION_REBIND_TIME, Math.floor(duration * REBIND));
      }
    }
    at = emitWord(data, at, wire.OPTION_MASK, scope.mask);
    at = emitAsked(s, scope, q, reserved, at, limit);
  }
  if (q.relay) at = emitOption(data, at, q.room, wire.OPTION_RELAY_AGENT, q.relay, q.relay.length);
  data[at++] = wire.OPTION_END;
  send(s, scope, q, type, address, at < wire.DHCP_MINIMUM ? wire.DHCP_MINIMUM : at);
}

/** Writes what the client asks for, in its order, and what is for everybody. */
function emitAsked(
  s: DhcpServer,
  scope: DhcpScope,
  q: Query,
  reserved: Reserved | null,
  at: number,
  limit: number,
): number {
  const data = s.message;
  const own = reserved && reserved.options;
  const put = (code: number, value: number[]) => {
    const next = emitOption(data, at, limit, code, value, value.length);
    if (next < 0) s.counters.omitted++;
    else at = next;
  };
  const sent: number[] = [];
  for (let i = 0; own && i < own.length; i++) {
    if (own[i].always) put(own[i].code, own[i].value);
    if (own[i].always) sent.push(own[i].code);
  }
  for (let i = 0; i < scope.options.length; i++) {
    const each = scope.options[i];
    if (each.always && sent.indexOf(each.code) < 0) {
      put(each.code, each.value);
      sent.push(each.code);
    }
  }
  const asked = q.parameters;
  const count = asked ? asked.length : scope.options.length;
  for (let i = 0; i < count; i++) {
    const code = asked ? asked[i] : scope.options[i].code;
    if (sent.indexOf(code) >= 0) continue;
    sent.push(code);
    const found = (own && find(own, code)) || find(scope.options, code);
    if (found) put(code, found.value);
    else if (code === wire.OPTION_BROADCAST) put(code, wordBytes(scope.network | ~scope.mask));
    else if (code === wire.OPTION_HOST_NAME && reserved && reserved.hostName)
      put(code, letters(reserved.hostName));
  }
  return at;
}

function find(list: ServerOption[], code: number): ServerOption | null {
  for (let i = 0; i < list.length; i++) {
    if (list[i].code === code) return list[i];
  }
  return null;
}

function wordBytes(word: number): number[] {
  return [word >>> 24, (word >> 16) & 255, (word >> 8) & 255, word & 255];
}

function letters(text: string): number[] {
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) bytes.push(text.charCodeAt(i) & 255);
  return bytes;
}

/** Sends the message to the relay agent, the client's address, its hardware, or everyone. */
function send(
  s: DhcpServer,
  scope: DhcpScope,
  q: Query,
  type: number,
  address: number,
  length: number,
): void {
  const socket = s.socketOf(scope.nif);
  let to = -1;
  if (q.giaddr) to = q.giaddr;
  else if (type === wire.NAK) to = -1;
  else if (q.ciaddr) to = q.ciaddr;
  else if (!q.broadcast && introduce(s, scope, q, address)) to = address;
  const port = q.giaddr ? wire.DHCP_SERVER_PORT : wire.DHCP_CLIENT_PORT;
  const code = socket ? socket.sendTo(format4(to), port, s.message, 0, length) : -1;
  if (code < 0) s.counters.sendFailed++;
  else s.counters.sent++;
}

/** Lets ARP know the hardware of a client that cannot be asked as yet; false: it must be a broadcast. */
function introduce(s: DhcpServer, scope: DhcpScope, q: Query, address: number): boolean {
  const arp = s.ip.arp;
  const hardware = q.hardware;
  if (!arp || hardware.length !== 6 || hardware[0] & 1 || isMartian4(address)) return false;
  const entry = arp.cache.obtain(scope.nif, 0, 0, 0, address);
  if (!entry) return false;
  arp.cache.learn(entry, get16(hardware, 0), get32(hardware, 2), false);
  return true;
}

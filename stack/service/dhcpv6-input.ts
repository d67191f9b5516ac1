/** What becomes of a server's messages at a DHCPv6 client (RFC 8415 sections 16, 18.2.9 to 18.2.11). */
import { get16, get32 } from "../core/bytes.js";
import { ECONNREFUSED } from "../core/errors.js";
import * as wire from "../wire/dhcpv6.js";
import { isLinkLocal6 } from "../wire/ipv6.js";
import { bind, inform } from "./dhcpv6-configure.js";
import { parseAnswer } from "./dhcpv6-lease.js";
import type { Answer } from "./dhcpv6-lease.js";
import { declined, request, restart, resume, schedule, transact } from "./dhcpv6-machine.js";
import { isAuthentic, isOurs, learnKey, sameBytes } from "./dhcpv6-message.js";
import {
  DHCP6_BOUND,
  DHCP6_CONFIRMING,
  DHCP6_DECLINING,
  DHCP6_INFORMED,
  DHCP6_INFORMING,
  DHCP6_REBINDING,
  DHCP6_RELEASING,
  DHCP6_RENEWING,
  DHCP6_REQUESTING,
  DHCP6_SOLICITING,
} from "./dhcpv6-state.js";
import type { Dhcp6Client } from "./dhcpv6.js";
import { tick } from "./lease-client.js";

/** How long a stored lease may take to be renewed with the server of before, ms. */
const RENEWAL = 10000;

export function readable(c: Dhcp6Client): void {
  const d = c.dhcp;
  const data = d.message;
  tick(c);
  while (!c.closed && c.socket.receive(data, d.info) >= 0) {
    const end = d.info.truncated ? 0 : d.info.length;
    if (end < wire.DHCP6_HEADER || !wire.areOptions(data, wire.DHCP6_HEADER, end)) d.counters.malformed++;
    else if (!isNear(c, d.info.address) || !isNear(c, d.info.localAddress)) d.counters.notOnLink++;
    else if (data[0] === wire.RECONFIGURE) reconfigure(c, end);
    else if (data[0] !== wire.ADVERTISE && data[0] !== wire.REPLY) d.counters.unexpected++;
    else if ((get32(data, 0) & 0xffffff) !== c.xid || !isOurs(c, end)) d.counters.notOurs++;
    else input(c, parseAnswer(data, end, c.iaid), end);
  }
  schedule(c);
}

function isNear(c: Dhcp6Client, text: string): boolean {
  const zoned = c.dhcp.ip.parseZoned(text);
  return zoned !== null && isLinkLocal6(zoned.bytes, 0);
}

/** Takes an Advertise or a Reply to this client (RFC 8415 sections 16.3, 16.10, 18.2.9, 18.2.10). */
function input(c: Dhcp6Client, answer: Answer, end: number): void {
  const d = c.dhcp;
  const counters = d.counters;
  const state = c.state;
  const server = answer.server;
  const advertises = d.message[0] === wire.ADVERTISE;
  const solicits = state === DHCP6_SOLICITING;
  const farewell = state === DHCP6_DECLINING || state === DHCP6_RELEASING;
  const single = state === DHCP6_REQUESTING || state === DHCP6_RENEWING || farewell;
  const asks = single || solicits || state === DHCP6_REBINDING || state === DHCP6_CONFIRMING;
  if (!server || server.length === 0) {
    counters.malformed++;
    return;
  }
  if (
    (!asks && state !== DHCP6_INFORMING) ||
    // While an address is to be declined, nothing has been sent yet.
    c.attempt < 1 ||
    (advertises ? !solicits : solicits && !(answer.rapid && c.options.rapidCommit)) ||
    (single && !sameBytes(server, c.server))
  ) {
    counters.unexpected++;
    return;
  }
  c.solicitMaximum = maximum(answer.solicitMaximum, c.solicitMaximum);
  c.informMaximum = maximum(answer.informMaximum, c.informMaximum);
  if (farewell) {
    if (state === DHCP6_RELEASING) c.close();
    else declined(c);
    return;
  }
  const lost = answer.status === wire.STATUS_NOT_ON_LINK || answer.notOnLink;
  if (lost && asks && !solicits) return restart(c, ECONNREFUSED);
  if (answer.status !== 0) {
    counters.refused++;
    return;
  }
  if (!advertises) learnKey(c, end, server);
  if (state === DHCP6_INFORMING) {
    // A lease is renewed with the server that gave it, whoever told the parameters.
    if (c.items.length === 0) c.server = server;
    inform(c, answer);
  } else if (state === DHCP6_CONFIRMING) {
    if (c.lease) return resume(c);
    // What was stored does not say how much is left of it: the server does.
    c.rebindAt = c.clock + RENEWAL;
    transact(c, DHCP6_RENEWING);
  } else {
    for (let i = answer.given.length - 1; i >= 0; i--) {
      if (!c.isWanted(answer.given[i].kind)) answer.given.splice(i, 1);
    }
    if (advertises) consider(c, answer);
    else takeGiven(c, answer, server);
  }
}

/** An advertisement: the highest preference wins, then who offers both addresses and prefixes, then the first. */
function consider(c: Dhcp6Client, answer: Answer): void {
  let kinds = 0;
  for (let i = 0; i < answer.given.length; i++) {
    if (answer.given[i].valid > 0) kinds |= answer.given[i].kind === wire.OPTION_IA_NA ? 1 : 2;
  }
  if (kinds === 0) {
    c.dhcp.counters.refused++;
    return;
  }
  answer.rank = 2 * answer.preference + (kinds === 3 ? 1 : 0);
  if (!c.best || answer.rank > c.best.rank) c.best = answer;
  // The time in which servers may answer is over after the first message; the highest preference needs no waiting.
  if (c.best.preference === 255 || c.attempt > 1) request(c);
}

/** Takes what a Reply gives. */
function takeGiven(c: Dhcp6Client, answer: Answer, server: Uint8Array): void {
  const given = answer.given;
  const counters = c.dhcp.counters;
  if (c.state === DHCP6_SOLICITING || c.state === DHCP6_REQUESTING) {
    let usable = false;
    for (let i = 0; i < given.length; i++) if (given[i].valid > 0) usable = true;
    if (usable) {
      c.server = server;
      bind(c, answer, true);
      return;
    }
    counters.refused++;
    if (c.state === DHCP6_REQUESTING) restart(c, ECONNREFUSED);
  } else if (answer.noBinding) {
    c.server = server;
    transact(c, DHCP6_REQUESTING);
  } else if (given.length === 0) counters.refused++;
  else {
    c.server = server;
    if (!bind(c, answer, false)) restart(c, ECONNREFUSED);
  }
}

/** SOL_MAX_RT and INF_MAX_RT in ms, where the server says one that is legal (RFC 8415 sections 21.24, 21.25). */
function maximum(seconds: number, present: number): number {
  return seconds >= 60 && seconds <= 86400 ? seconds * 1000 : present;
}

/** A server wants this client to ask (RFC 8415 sections 16.11, 18.2.11): only when it is at rest. */
function reconfigure(c: Dhcp6Client, end: number): void {
  const data = c.dhcp.message;
  const option = wire.findOption6(data, wire.DHCP6_HEADER, end, wire.OPTION_RECONFIGURE);
  const type = option >= 0 && get16(data, option + 2) === 1 ? data[option + 4] : 0;
  const next =
    type === wire.INFORMATION_REQUEST && (c.state === DHCP6_BOUND || c.state === DHCP6_INFORMED)
      ? DHCP6_INFORMING
      : c.state !== DHCP6_BOUND
        ? 0
        : type === wire.RENEW
          ? DHCP6_RENEWING
          : type === wire.REBIND
            ? DHCP6_REBINDING
            : 0;
  const server = parseAnswer(data, end, c.iaid).server;
  if (next && server && isOurs(c, end) && isAuthentic(c, end, server)) transact(c, next);
  else c.dhcp.counters.reconfigureRefused++;
}

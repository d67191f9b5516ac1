/** The DHCP client's state machine (RFC 2131 section 4.4): its clock, its transactions, and what becomes of replies. */
import { get32 } from "../core/bytes.js";
import { EADDRNOTAVAIL, ECONNREFUSED, ETIMEDOUT } from "../core/errors.js";
import * as wire from "../wire/dhcp.js";
import { isMartian4 } from "../wire/ipv4.js";
import { bind, configure, lose } from "./dhcp-configure.js";
import { parseLease } from "./dhcp-lease.js";
import { isOurs, send } from "./dhcp-message.js";
import {
  DHCP_BOUND,
  DHCP_DECLINING,
  DHCP_INFORMING,
  DHCP_INIT,
  DHCP_REBINDING,
  DHCP_REBOOTING,
  DHCP_RENEWING,
  DHCP_REQUESTING,
  DHCP_SELECTING,
} from "./dhcp-state.js";
import type { DhcpClient } from "./dhcp.js";
import { arm, tick } from "./lease-client.js";

/** Milliseconds: while the host has no entropy; after a conflict (RFC 2131 section 3.1.5); between two renewals. */
const RETRY = 10000;
const MINUTE = 60000;
/** Transactions that begin within this time of each other are spaced by the backoff. */
const QUIET = 128000;
/** Unanswered requests before a new search: 60 s for an offer, 12 s for a lease of old. */
const REQUESTS = 4;
const REBOOTS = 2;
/** The least time without IPv4 (RFC 8925 section 3.4), seconds. */
const IPV6_ONLY_FLOOR = 300;

/* Time */

/** Arms the timer for the state's deadline, or the end of the lease. */
export function schedule(c: DhcpClient): void {
  arm(c, c.expires);
}

export function fire(c: DhcpClient): void {
  tick(c);
  if (c.clock >= c.expires) {
    c.dhcp.counters.expired++;
    c.known = false;
    lose(c, ETIMEDOUT);
    begin(c, DHCP_SELECTING);
  } else if (c.up && c.clock >= c.deadline) act(c);
  schedule(c);
}

/** 4, 8, 16, 32, 64, 64, ... s, each one second more or less (RFC 2131 section 4.1), in ms. */
function backoff(c: DhcpClient, n: number): number {
  return (n < 4 ? 4000 << n : 64000) - 1000 + c.dhcp.stack.host.randomBelow(2001);
}

/* Transactions */

export function firstState(c: DhcpClient): number {
  return c.options.inform ? DHCP_INFORMING : c.known ? DHCP_REBOOTING : DHCP_SELECTING;
}

/** Goes to DHCP_INIT, and from there to `next`: at once, unless that has happened three times of late. */
export function begin(c: DhcpClient, next: number): void {
  c.state = DHCP_INIT;
  c.next = next;
  if (c.clock - c.restarted > QUIET) c.restarts = 0;
  c.deadline = c.restarts < 3 ? c.clock : c.restarted + backoff(c, c.restarts - 3);
}

/** Begins a transaction in `state`, which ends the last one. */
function transact(c: DhcpClient, state: number): void {
  const host = c.dhcp.stack.host;
  if (!host.secure(4)) {
    c.deadline = c.clock + RETRY;
    return;
  }
  if (c.state === DHCP_INIT) {
    c.restarts++;
    c.restarted = c.clock;
  }
  c.xid = host.random32();
  c.state = state;
  c.started = c.requested = c.clock;
  c.attempt = 0;
  transmit(c);
}

/** Sends the state's message, and says when to send it again. */
function transmit(c: DhcpClient): void {
  const state = c.state;
  if (state === DHCP_RENEWING || state === DHCP_REBINDING) {
    const limit = state === DHCP_RENEWING ? c.rebindAt : c.expires;
    const half = Math.floor((limit - c.clock) / 2);
    const at = c.clock + (half > MINUTE ? half : MINUTE);
    c.deadline = at < limit ? at : limit;
  } else c.deadline = c.clock + backoff(c, c.attempt);
  c.attempt++;
  // RFC 2131 section 4.4.1: a request for an offer says the same as the discovery that led to it.
  if (state !== DHCP_REQUESTING) c.secs = Math.floor((c.clock - c.started) / 1000);
  send(c, state === DHCP_SELECTING ? wire.DISCOVER : state === DHCP_INFORMING ? wire.INFORM : wire.REQUEST);
}

/** The state's deadline has come. */
function act(c: DhcpClient): void {
  const state = c.state;
  if (state === DHCP_INIT) transact(c, c.next);
  else if (state === DHCP_BOUND) transact(c, DHCP_RENEWING);
  else if (state === DHCP_RENEWING && c.clock >= c.rebindAt) transact(c, DHCP_REBINDING);
  else if (state === DHCP_DECLINING) {
    send(c, wire.DECLINE);
    c.address = 0;
    pause(c, RETRY);
  } else if (
    (state === DHCP_REQUESTING && c.attempt >= REQUESTS) ||
    (state === DHCP_REBOOTING && c.attempt >= REBOOTS)
  ) {
    begin(c, DHCP_SELECTING);
  } else transmit(c);
}

/** A new search, but not before `ms` have passed. */
function pause(c: DhcpClient, ms: number): void {
  begin(c, DHCP_SELECTING);
  if (c.deadline < c.clock + ms) c.deadline = c.clock + ms;
}

/* Replies */

export function readable(c: DhcpClient): void {
  const d = c.dhcp;
  tick(c);
  while (!c.closed && c.socket.receive(d.message, d.info) >= 0) {
    const end = d.info.truncated ? 0 : d.info.length;
    if (!wire.isReply(d.message, end, d.value)) d.counters.malformed++;
    else if (!isOurs(c, end)) d.counters.notOurs++;
    else input(c, end);
  }
  schedule(c);
}

/** Takes a reply (RFC 2131 sections 4.4.1 to 4.4.5). */
function input(c: DhcpClient, end: number): void {
  const d = c.dhcp;
  const state = c.state;
  const counters = d.counters;
  const data = d.message;
  const value = d.value;
  const type = wire.parseOption(data, end, wire.OPTION_MESSAGE_TYPE, value) === 1 ? value[0] : 0;
  const server = wire.parseOption(data, end, wire.OPTION_SERVER, value) === 4 ? get32(value, 0) : 0;
  const asked =
    state === DHCP_REQUESTING ||
    state === DHCP_REBOOTING ||
    state === DHCP_RENEWING ||
    state === DHCP_REBINDING;
  const inform = state === DHCP_INFORMING;
  if (
    isMartian4(server) ||
    !(type === wire.OFFER
      ? state === DHCP_SELECTING
      : type === wire.ACK
        ? asked || inform
        : type === wire.NAK && asked) ||
    ((state === DHCP_REQUESTING || state === DHCP_RENEWING) && server !== c.server)
  ) {
    counters.unexpected++;
    return;
  }
  if (type === wire.NAK) {
    counters.naks++;
    lose(c, ECONNREFUSED);
    c.address = 0;
    c.known = false;
    begin(c, DHCP_SELECTING);
    return;
  }
  const lease = parseLease(data, end, value, d.extras, inform);
  const address = get32(data, wire.DHCP_YIADDR);
  if (!lease || (asked && address !== c.address)) {
    counters.rejected++;
    return;
  }
  if (lease.ipv6Only >= 0) {
    lose(c, EADDRNOTAVAIL);
    c.known = false;
    pause(c, (lease.ipv6Only > IPV6_ONLY_FLOOR ? lease.ipv6Only : IPV6_ONLY_FLOOR) * 1000);
    return;
  }
  c.server = server;
  c.pending = lease;
  if (inform) configure(c);
  else if (asked) bind(c, lease);
  else {
    c.address = address;
    c.known = false;
    c.state = DHCP_REQUESTING;
    c.attempt = 0;
    c.requested = c.clock;
    transmit(c);
  }
}

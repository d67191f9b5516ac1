/** The DHCPv6 client's state machine (RFC 8415 section 18.2): its clock, and its exchanges with their timing (section 15). */
import { EADDRINUSE, ETIMEDOUT } from "../core/errors.js";
import { isUsable } from "../ipv6/address.js";
import * as wire from "../wire/dhcpv6.js";
import { isLinkLocal6 } from "../wire/ipv6.js";
import { age, lose, nextAge, remove, retell, settle } from "./dhcpv6-configure.js";
import type { Item } from "./dhcpv6-configure.js";
import { send } from "./dhcpv6-message.js";
import {
  DHCP6_BOUND,
  DHCP6_CONFIRMING,
  DHCP6_DECLINING,
  DHCP6_INFORMED,
  DHCP6_INFORMING,
  DHCP6_INIT,
  DHCP6_REBINDING,
  DHCP6_RELEASING,
  DHCP6_RENEWING,
  DHCP6_REQUESTING,
  DHCP6_SOLICITING,
  DHCP6_TRYING,
} from "./dhcpv6-state.js";
import type { Dhcp6Client } from "./dhcpv6.js";
import { arm, tick } from "./lease-client.js";

/** Milliseconds: while the host has no entropy, or no link-local address to speak from. */
const RETRY = 10000;
/** Exchanges that begin from nothing within this time of each other are spaced. */
const QUIET = 128000;
/** RFC 8415 section 7.6, ms: retransmission times, and how long a confirmation is waited for. */
const SHORT = 1000;
const LONG = 10000;
const REQUEST_MAXIMUM = 30000;
const CONFIRM_MAXIMUM = 4000;
const RENEW_MAXIMUM = 600000;
const CONFIRM_DURATION = 10000;
/** Messages at most. */
const REQUESTS = 10;
const FAREWELLS = 4;

/* Time */

/** Arms the timer for the state's deadline, or the end of an address. */
export function schedule(c: Dhcp6Client): void {
  arm(c, nextAge(c));
}

export function fire(c: Dhcp6Client): void {
  tick(c);
  const held = c.items.length;
  age(c);
  if (c.items.length < held) shrunk(c, ETIMEDOUT);
  else if (c.up && c.clock >= c.deadline) act(c);
  schedule(c);
}

/* Exchanges */

/** What a client begins with: asks for parameters, for a lease, or whether that of before still fits. */
export function firstState(c: Dhcp6Client): number {
  if (c.stateless) return DHCP6_INFORMING;
  let prefix = false;
  for (let i = 0; i < c.items.length; i++) if (c.items[i].kind === wire.OPTION_IA_PD) prefix = true;
  // RFC 8415 section 18.2.12: there is no confirming prefixes.
  return c.items.length === 0 ? DHCP6_SOLICITING : prefix ? DHCP6_REBINDING : DHCP6_CONFIRMING;
}

/** Goes to DHCP6_INIT, and from there to `next`: at once, unless that has happened three times of late. */
export function begin(c: Dhcp6Client, next: number): void {
  c.state = DHCP6_INIT;
  c.next = next;
  c.wanted = [];
  if (c.clock - c.restarted > QUIET) c.restarts = 0;
  const n = c.restarts - 3;
  c.deadline = n < 0 ? c.clock : c.restarted + (n < 6 ? SHORT << n : 64000);
}

/**
 * With the option `auto` a client asks for what routers have advertised of late: addresses, or parameters alone. False: nothing
 * is to be asked for yet, and it waits.
 */
export function heed(c: Dhcp6Client): boolean {
  const options = c.options;
  if (!options.auto) return true;
  const delegates = options.prefix !== undefined && !options.stateless;
  c.wantsAddresses = c.advised === 2 && options.addresses !== false && !options.stateless;
  c.stateless = !c.wantsAddresses && !delegates;
  const ready = c.advised > 0 || (c.advised === 0 && delegates);
  if (!ready) {
    c.state = DHCP6_INIT;
    c.deadline = Infinity;
  }
  return ready;
}

/** The lease is gone: looks for another one. */
export function restart(c: Dhcp6Client, code: number): void {
  lose(c, code);
  if (heed(c)) begin(c, firstState(c));
}

/** Some of what was held is gone: the rest is the lease now. */
function shrunk(c: Dhcp6Client, code: number): void {
  if (c.items.length === 0) restart(c, code);
  else if (c.lease) retell(c);
}

/** Begins an exchange in `state`, which ends the last one. */
export function transact(c: Dhcp6Client, state: number): void {
  const host = c.dhcp.stack.host;
  c.mute = !canSpeak(c);
  if (c.mute || !host.secure(4)) {
    c.deadline = c.clock + RETRY;
    return;
  }
  c.confirms =
    state === DHCP6_CONFIRMING || (state === DHCP6_REBINDING && (c.state === DHCP6_INIT || !c.lease));
  c.limit = c.confirms
    ? c.clock + CONFIRM_DURATION
    : state === DHCP6_RENEWING
      ? c.rebindAt
      : // Beside a lease, which goes first.
        state === DHCP6_INFORMING && c.items.length > 0
        ? c.renewAt
        : Infinity;
  if (c.state === DHCP6_INIT) {
    c.restarts++;
    c.restarted = c.clock;
  }
  c.xid = host.random32() & 0xffffff;
  c.state = state;
  c.started = c.clock;
  c.attempt = 0;
  c.best = null;
  transmit(c);
}

/** Has the interface a link-local address that may be used? */
export function canSpeak(c: Dhcp6Client): boolean {
  const list = c.dhcp.ip.addresses;
  for (let i = 0; i < list.length; i++) {
    if (list[i].nif === c.nif && isUsable(list[i]) && isLinkLocal6(list[i].bytes, 0)) return true;
  }
  return false;
}

/** Sends the state's message, and says when to send it again (RFC 8415 section 15). */
function transmit(c: Dhcp6Client): void {
  const state = c.state;
  const renews = !c.confirms && (state === DHCP6_RENEWING || state === DHCP6_REBINDING);
  const maximum = renews
    ? RENEW_MAXIMUM
    : c.confirms
      ? CONFIRM_MAXIMUM
      : state === DHCP6_SOLICITING
        ? c.solicitMaximum
        : state === DHCP6_INFORMING
          ? c.informMaximum
          : state === DHCP6_REQUESTING
            ? REQUEST_MAXIMUM
            : Infinity;
  const first = c.attempt === 0;
  const host = c.dhcp.stack.host;
  // The first Solicit's time is not cut short: it is the time in which servers may answer.
  const chance =
    (first && state === DHCP6_SOLICITING ? host.randomBelow(100) + 1 : host.randomBelow(201) - 100) / 1000;
  const interval = first ? (renews ? LONG : SHORT) * (1 + chance) : c.interval * (2 + chance);
  c.interval = interval > maximum ? maximum * (1 + chance) : interval;
  c.attempt++;
  c.deadline = c.clock + c.interval < c.limit ? c.clock + c.interval : c.limit;
  send(c);
}

/** The state's deadline has come. */
function act(c: Dhcp6Client): void {
  const state = c.state;
  const over = c.clock >= c.limit;
  if (state === DHCP6_INIT) transact(c, c.next);
  else if (state === DHCP6_BOUND) transact(c, c.clock < c.rebindAt ? DHCP6_RENEWING : DHCP6_REBINDING);
  else if (state === DHCP6_INFORMED) transact(c, DHCP6_INFORMING);
  else if (state === DHCP6_SOLICITING && c.best) request(c);
  else if (state === DHCP6_RENEWING && over) transact(c, DHCP6_REBINDING);
  else if (state === DHCP6_INFORMING && over) transact(c, DHCP6_RENEWING);
  else if (c.confirms && over) {
    // Nobody answers: what is known holds until it ends (RFC 8415 section 18.2.3). What was stored has no known end.
    if (c.lease) resume(c);
    else restart(c, ETIMEDOUT);
  } else if (state === DHCP6_REQUESTING && c.attempt >= REQUESTS) {
    // This server does not answer any more: another one may.
    if (c.items.length > 0) transact(c, DHCP6_REBINDING);
    else begin(c, DHCP6_SOLICITING);
  } else if (state === DHCP6_DECLINING && c.attempt < 0) transact(c, state);
  else if (state === DHCP6_DECLINING && c.attempt >= FAREWELLS) declined(c);
  else if (state === DHCP6_RELEASING && c.attempt >= FAREWELLS) c.close();
  else transmit(c);
}

/** Back to the lease in force, which is as it was. */
export function resume(c: Dhcp6Client): void {
  c.state = DHCP6_BOUND;
  c.deadline = c.renewAt > c.clock ? c.renewAt : c.clock + LONG;
}

/** Begins to give everything back. */
export function release(c: Dhcp6Client): void {
  transact(c, DHCP6_RELEASING);
  if (c.state !== DHCP6_RELEASING) c.close();
}

/** Asks for what the best advertisement has promised. */
export function request(c: Dhcp6Client): void {
  const best = c.best;
  if (!best) return;
  c.server = best.server as Uint8Array;
  c.wanted = best.given;
  transact(c, DHCP6_REQUESTING);
}

/** The server knows of the duplicates. */
export function declined(c: Dhcp6Client): void {
  for (let i = c.items.length - 1; i >= 0; i--) if (c.items[i].duplicate) remove(c, c.items[i]);
  if (c.items.length > 0) return settle(c);
  restart(c, EADDRINUSE);
  if (c.deadline < c.clock + RETRY) c.deadline = c.clock + RETRY;
}

/** An address of the client's has been tried, or somebody has taken it away. */
export function addressChanged(c: Dhcp6Client, item: Item, present: boolean, duplicate: boolean): void {
  if (duplicate) {
    c.dhcp.counters.conflicts++;
    item.duplicate = true;
  } else if (!present) {
    item.entry = null;
    remove(c, item);
    // Who ages addresses as well may have come first.
    shrunk(c, c.clock >= item.validUntil ? ETIMEDOUT : 0);
  }
  if (c.state === DHCP6_TRYING || (item.duplicate && c.state >= DHCP6_BOUND)) settle(c);
}

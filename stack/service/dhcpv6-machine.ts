/** The DHCPv6 client's state machine (RFC 8415 section 18.2): its clock, its exchanges, and what becomes of answers. */
import { get16, get32 } from "../core/bytes.js";
import { EADDRINUSE, ECONNREFUSED, ETIMEDOUT } from "../core/errors.js";
import { isUsable } from "../ipv6/address.js";
import * as wire from "../wire/dhcpv6.js";
import { isLinkLocal6 } from "../wire/ipv6.js";
import { Item, age, bind, inform, lose, nextAge, remove, settle } from "./dhcpv6-configure.js";
import { parseAnswer } from "./dhcpv6-lease.js";
import type { Answer } from "./dhcpv6-lease.js";
import { isAuthentic, isOurs, learnKey, sameBytes, send } from "./dhcpv6-message.js";
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

/** Milliseconds: while the host has no entropy; while there is no link-local address to speak from. */
const RETRY = 10000;
const NO_ADDRESS = 250;
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

/** Brings the client's clock up to date. It never wraps: leases last up to 136 years, the stack's time 24 days. */
export function tick(c: Dhcp6Client): number {
  const now = c.dhcp.stack.now();
  c.clock += (now - c.last) | 0;
  c.last = now;
  return c.clock;
}

/** Arms the timer for what comes first: the state's deadline, while there is a carrier, or the end of an address. */
export function schedule(c: Dhcp6Client): void {
  const timers = c.dhcp.stack.timers;
  const over = nextAge(c);
  const delay = (c.up && c.deadline < over ? c.deadline : over) - c.clock;
  if (c.closed || delay === Infinity) timers.clear(c.timer);
  else timers.set(c.timer, (c.last + Math.ceil(delay < 0 ? 0 : delay < 1e9 ? delay : 1e9)) | 0);
}

export function fire(c: Dhcp6Client): void {
  tick(c);
  if (age(c)) restart(c, ETIMEDOUT);
  else if (c.up && c.clock >= c.deadline) act(c);
  schedule(c);
}

/* Exchanges */

/** What a client begins with: it goes by the advertisements of routers, asks for parameters, or has something to confirm. */
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
  c.best = null;
  if (c.clock - c.restarted > QUIET) c.restarts = 0;
  const n = c.restarts - 3;
  c.deadline = n < 0 ? c.clock : c.restarted + (n < 6 ? SHORT << n : 64000);
}

/** The lease is gone: looks for another one. */
function restart(c: Dhcp6Client, code: number): void {
  lose(c, code);
  begin(c, DHCP6_SOLICITING);
}

/** Begins an exchange in `state`, which ends the last one. */
function transact(c: Dhcp6Client, state: number): void {
  const host = c.dhcp.stack.host;
  const ready = canSpeak(c);
  if (!ready || !host.secure(4)) {
    c.deadline = c.clock + (ready ? RETRY : NO_ADDRESS);
    return;
  }
  const resumes = state === DHCP6_REBINDING && (c.state === DHCP6_INIT || !c.lease);
  c.limit = state === DHCP6_CONFIRMING || resumes ? c.clock + CONFIRM_DURATION : Infinity;
  if (state === DHCP6_RENEWING) c.limit = c.rebindAt;
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
function canSpeak(c: Dhcp6Client): boolean {
  const list = c.dhcp.ip.addresses;
  for (let i = 0; i < list.length; i++) {
    if (list[i].nif === c.nif && isUsable(list[i]) && isLinkLocal6(list[i].bytes, 0)) return true;
  }
  return false;
}

/** Sends the state's message, and says when to send it again (RFC 8415 section 15). */
function transmit(c: Dhcp6Client): void {
  const state = c.state;
  const renews = state === DHCP6_RENEWING || state === DHCP6_REBINDING;
  const maximum = renews
    ? RENEW_MAXIMUM
    : state === DHCP6_SOLICITING
      ? c.solicitMaximum
      : state === DHCP6_INFORMING
        ? c.informMaximum
        : state === DHCP6_REQUESTING
          ? REQUEST_MAXIMUM
          : state === DHCP6_CONFIRMING
            ? CONFIRM_MAXIMUM
            : Infinity;
  let interval = c.attempt > 0 ? 2 * c.interval : renews ? LONG : SHORT;
  if (interval > maximum) interval = maximum;
  // The first Solicit's time is not cut short: it is the time in which servers may answer.
  const chance = c.dhcp.stack.host.randomBelow(101);
  const first = state === DHCP6_SOLICITING && c.attempt === 0;
  c.interval = interval * (1 + (first ? chance + 1 : 2 * chance - 100) / 1000);
  c.attempt++;
  c.deadline = c.clock + c.interval < c.limit ? c.clock + c.interval : c.limit;
  send(c);
}

/** The state's deadline has come. */
function act(c: Dhcp6Client): void {
  const state = c.state;
  const over = c.clock >= c.limit;
  if (state === DHCP6_INIT) transact(c, c.next);
  else if (state === DHCP6_BOUND) transact(c, DHCP6_RENEWING);
  else if (state === DHCP6_INFORMED) transact(c, DHCP6_INFORMING);
  else if (state === DHCP6_SOLICITING && c.best) request(c);
  else if (state === DHCP6_RENEWING && over) transact(c, DHCP6_REBINDING);
  else if ((state === DHCP6_CONFIRMING || state === DHCP6_REBINDING) && over) {
    // Nobody answers: what is known holds until it ends (RFC 8415 section 18.2.3). What was stored has no known end.
    if (c.lease) resume(c);
    else restart(c, ETIMEDOUT);
  } else if (state === DHCP6_REQUESTING && c.attempt >= REQUESTS) begin(c, DHCP6_SOLICITING);
  else if (state === DHCP6_DECLINING && c.attempt < 0) transact(c, state);
  else if (state === DHCP6_DECLINING && c.attempt >= FAREWELLS) declined(c);
  else if (state === DHCP6_RELEASING && c.attempt >= FAREWELLS) c.close();
  else transmit(c);
}

function resume(c: Dhcp6Client): void {
  c.state = DHCP6_BOUND;
  c.deadline = c.renewAt > c.clock ? c.renewAt : c.clock + LONG;
}

/** Begins to give everything back. */
export function release(c: Dhcp6Client): void {
  transact(c, DHCP6_RELEASING);
  if (c.state !== DHCP6_RELEASING) c.close();
}

/** Asks for what the best advertisement has promised. */
function request(c: Dhcp6Client): void {
  const best = c.best as Answer;
  c.server = best.server as Uint8Array;
  for (let i = c.items.length - 1; i >= 0; i--) {
    const item = c.items[i];
    if (!item.entry && item.validUntil === Infinity) remove(c, item);
  }
  // Only what a server has acknowledged is held: these are what is asked for.
  const fresh = c.items.length === 0;
  for (let i = 0; fresh && i < best.given.length; i++) {
    const given = best.given[i];
    c.items.push(new Item(given.kind, given.bytes, given.length));
  }
  transact(c, DHCP6_REQUESTING);
}

function isWanted(c: Dhcp6Client, kind: number): boolean {
  return kind === wire.OPTION_IA_NA ? c.wantsAddresses : c.options.prefix !== undefined;
}

/** The server knows of the duplicates. */
function declined(c: Dhcp6Client): void {
  for (let i = c.items.length - 1; i >= 0; i--) if (c.items[i].duplicate) remove(c, c.items[i]);
  if (c.items.length > 0) return settle(c);
  restart(c, EADDRINUSE);
  if (c.deadline < c.clock + RETRY) c.deadline = c.clock + RETRY;
}

/* Answers */

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
  const asks =
    solicits || state === DHCP6_REQUESTING || state === DHCP6_RENEWING || state === DHCP6_REBINDING;
  if (!server || server.length === 0) {
    counters.malformed++;
    return;
  }
  if (
    (!asks && !farewell && state !== DHCP6_CONFIRMING && state !== DHCP6_INFORMING) ||
    (advertises ? !solicits : solicits && !(answer.rapid && c.options.rapidCommit)) ||
    ((state === DHCP6_REQUESTING || state === DHCP6_RENEWING || farewell) && !sameBytes(server, c.server))
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
  if (!advertises && lost && !solicits) return restart(c, ECONNREFUSED);
  if (answer.status !== 0) {
    counters.refused++;
    return;
  }
  if (!advertises) learnKey(c, end, server);
  c.requested = c.clock;
  if (state === DHCP6_INFORMING) {
    c.server = server;
    inform(c, answer);
  } else if (state === DHCP6_CONFIRMING) {
    if (c.lease) return resume(c);
    // What was stored does not say how much is left of it: the server does.
    c.rebindAt = c.clock + CONFIRM_DURATION;
    transact(c, DHCP6_RENEWING);
  } else {
    for (let i = answer.given.length - 1; i >= 0; i--) {
      if (!isWanted(c, answer.given[i].kind)) answer.given.splice(i, 1);
    }
    takeGiven(c, answer, advertises, server);
  }
}

/** Takes what an answer gives. */
function takeGiven(c: Dhcp6Client, answer: Answer, advertises: boolean, server: Uint8Array): void {
  const given = answer.given;
  let usable = false;
  for (let i = 0; i < given.length; i++) if (given[i].valid > 0) usable = true;
  if (advertises) {
    if (!usable) c.dhcp.counters.refused++;
    else {
      if (!c.best || answer.preference > c.best.preference) c.best = answer;
      // The time in which servers may answer is over after the first message; the highest preference needs no waiting.
      if (c.best.preference === 255 || c.attempt > 1) request(c);
    }
  } else if (c.state === DHCP6_SOLICITING || c.state === DHCP6_REQUESTING) {
    if (!usable) {
      c.dhcp.counters.refused++;
      if (c.state === DHCP6_REQUESTING) restart(c, ECONNREFUSED);
      return;
    }
    c.server = server;
    bind(c, answer, true);
  } else if (answer.noBinding) {
    c.server = server;
    transact(c, DHCP6_REQUESTING);
  } else if (given.length === 0) c.dhcp.counters.refused++;
  else {
    c.server = server;
    if (!bind(c, answer, false)) restart(c, ECONNREFUSED);
  }
}

/** SOL_MAX_RT and INF_MAX_RT in ms, where the server says one that is legal (RFC 8415 sections 21.24, 21.25). */
function maximum(seconds: number, present: number): number {
  return seconds >= 60 && seconds <= 86400 ? seconds * 1000 : present;
}

/** A server wants this client to ask (RFC 8415 sections 16.11, 18.2.11). */
function reconfigure(c: Dhcp6Client, end: number): void {
  const d = c.dhcp;
  const data = d.message;
  const option = wire.findOption6(data, wire.DHCP6_HEADER, end, wire.OPTION_RECONFIGURE);
  const type = option >= 0 && get16(data, option + 2) === 1 ? data[option + 4] : 0;
  const server = parseAnswer(data, end, c.iaid).server;
  const idle = c.state === DHCP6_BOUND || c.state === DHCP6_INFORMED;
  if (!idle || !server || !isOurs(c, end) || !isAuthentic(c, end, server)) {
    d.counters.reconfigureRefused++;
  } else if (c.state === DHCP6_INFORMED) transact(c, DHCP6_INFORMING);
  // A renewal brings the parameters as well: there is no asking for these alone beside a lease.
  else if (type === wire.RENEW || type === wire.INFORMATION_REQUEST) transact(c, DHCP6_RENEWING);
  else if (type === wire.REBIND) transact(c, DHCP6_REBINDING);
  else d.counters.reconfigureRefused++;
}

/** An address of the client's has been tried, or somebody has taken it away. */
export function addressChanged(c: Dhcp6Client, item: Item, present: boolean, duplicate: boolean): void {
  tick(c);
  if (!present) {
    if (duplicate) {
      c.dhcp.counters.conflicts++;
      item.duplicate = true;
    } else {
      item.entry = null;
      remove(c, item);
      if (c.items.length === 0) restart(c, 0);
    }
  }
  if (c.state === DHCP6_TRYING || (item.duplicate && c.state >= DHCP6_BOUND)) settle(c);
  schedule(c);
}

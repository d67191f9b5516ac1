/** What the clients of DHCP and DHCPv6 have in common: a clock that never wraps, one timer, what the application hears, the end. */
import type { Interface } from "../core/interface.js";
import type { Deferred, Stack } from "../core/stack.js";
import type { Timer } from "../core/timers.js";
import type { UdpSocket } from "../udp/socket.js";

/** A client, of one interface. */
export interface LeaseClient extends Deferred {
  lease: object | null;
  closed: boolean;
  /** Milliseconds since the client was opened, which never wrap; `last` is the stack's time of the same moment. */
  clock: number;
  last: number;
  /** The state's next action. */
  deadline: number;
  up: boolean;
  /** What `run` is to tell. */
  lostCode: number;
  boundNow: boolean;
  /** The application has been told of a lease, and not of its loss. */
  told: boolean;
  readonly nif: Interface;
  readonly timer: Timer;
  readonly socket: UdpSocket;
  readonly options: { onBound?(lease: object): void; onLost?(code: number): void };
  readonly dhcp: { readonly stack: Stack; readonly clients: LeaseClient[] };
}

/** The client of an interface, or null. */
export function findClient<C extends LeaseClient>(clients: C[], nif: Interface): C | null {
  for (let i = 0; i < clients.length; i++) if (clients[i].nif === nif) return clients[i];
  return null;
}

/** Brings the client's clock up to date. It never wraps: leases last up to 136 years, the stack's time 24 days. */
export function tick(c: LeaseClient): number {
  const now = c.dhcp.stack.now();
  c.clock += (now - c.last) | 0;
  c.last = now;
  return c.clock;
}

/** Arms the timer for what comes first: the state's deadline, while there is a carrier, or the end of what is held. */
export function arm(c: LeaseClient, end: number): void {
  const timers = c.dhcp.stack.timers;
  const delay = (c.up && c.deadline < end ? c.deadline : end) - c.clock;
  if (c.closed || delay === Infinity) timers.clear(c.timer);
  else timers.set(c.timer, (c.last + Math.ceil(delay < 0 ? 0 : delay < 1e9 ? delay : 1e9)) | 0);
}

/** Ends a client; the caller takes back what its lease configured. False: it had ended before. */
export function end(c: LeaseClient): boolean {
  if (c.closed) return false;
  const clients = c.dhcp.clients;
  c.closed = true;
  c.told = false;
  clients.splice(clients.indexOf(c), 1);
  c.dhcp.stack.timers.clear(c.timer);
  c.socket.close();
  return true;
}

/** The application is told of `c.lease`. */
export function announce(c: LeaseClient): void {
  c.boundNow = true;
  c.dhcp.stack.defer(c);
}

/** There is no lease any more; the application hears of it with `code`, if it ever heard of the lease. */
export function forget(c: LeaseClient, code: number): void {
  if (c.told) {
    c.lostCode = code;
    c.dhcp.stack.defer(c);
  }
  c.lease = null;
  c.told = c.boundNow = false;
}

/** Tells the application what has happened: see `Stack.defer`. */
export function tell(c: LeaseClient): void {
  const options = c.options;
  const code = c.lostCode;
  c.lostCode = 0;
  if (c.closed) return;
  if (code !== 0) {
    if (c.boundNow) c.dhcp.stack.defer(c);
    if (options.onLost) options.onLost.call(c, code);
  } else if (c.boundNow) {
    c.boundNow = false;
    c.told = true;
    if (options.onBound && c.lease) options.onBound.call(c, c.lease);
  }
}

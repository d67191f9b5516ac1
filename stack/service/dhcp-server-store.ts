/**
 * A DHCP server's leases as records of a store: `4 B 10.0.0.100 01020000000007 020000000007 1732550400 43200 lamp`, which are
 * family, state (B: in force, F: former, D: declined), address, client identifier, hardware address, end (seconds since 1970; 0:
 * the host did not know the time), duration in seconds, and the client's name or `-`.
 *
 * Later records replace earlier ones of the same address. The log is written anew when it holds three times what it must.
 */
import { format4, parse4 } from "../core/text4.js";
import type { Lease } from "./dhcp-server-leases.js";
import { LEASE_BOUND, LEASE_DECLINED, LEASE_FORMER, LEASE_OFFERED } from "./dhcp-server-leases.js";
import type { DhcpServer } from "./dhcp-server.js";

const STATES = "  BFD";
const FOR_EVER = 0xffffffff;
/** Records that may lie in the log besides those that it must hold. */
const SLACK = 64;

/** Appends what is now true of `lease`; a store that fails is counted, and the network goes on. */
export function save(s: DhcpServer, lease: Lease): void {
  const store = s.store;
  if (!store) return;
  let good = false;
  try {
    if (s.records > 2 * s.leases.byAddress.size + SLACK) good = rewrite(s);
    else {
      good = store.append(record(s, lease));
      s.records++;
    }
  } catch {
    // As if it had said so.
  }
  if (!good) s.counters.storeFailed++;
}

function rewrite(s: DhcpServer): boolean {
  const all: string[] = [];
  s.leases.byAddress.each((lease) => {
    if (lease.state !== LEASE_OFFERED) all.push(record(s, lease));
  });
  s.records = all.length;
  return s.store!.rewrite(all);
}

function wallTime(s: DhcpServer): number {
  const time = s.store && s.store.time ? s.store.time() : 0;
  return time > 0 ? Math.floor(time) : 0;
}

function record(s: DhcpServer, lease: Lease): string {
  const wall = wallTime(s);
  const left = lease.end === Infinity ? 0 : Math.ceil((lease.end - s.clock) / 1000);
  return [
    "4",
    STATES.charAt(lease.state),
    format4(lease.address),
    hex(lease.owner.id),
    hex(lease.hardware),
    wall && lease.end !== Infinity ? wall + left : 0,
    lease.duration,
    lease.hostName || "-",
  ].join(" ");
}

/** Reads the store; what makes no sense is counted and left out. */
export function load(s: DhcpServer): void {
  const store = s.store;
  if (!store) return;
  const wall = wallTime(s);
  try {
    store.load((text) => {
      s.records++;
      if (!take(s, text, wall)) s.counters.badRecords++;
    });
    if (s.records > 0 && !rewrite(s)) s.counters.storeFailed++;
  } catch {
    s.counters.storeFailed++;
  }
}

function take(s: DhcpServer, text: string, wall: number): boolean {
  const parts = typeof text === "string" ? text.split(" ") : [];
  const state = parts.length === 8 ? STATES.indexOf(parts[1]) : -1;
  if (parts[0] !== "4" || state < LEASE_BOUND || parts[1].length !== 1) return false;
  const address = parse4(parts[2]);
  const id = unhex(parts[3]);
  const hardware = unhex(parts[4]);
  const until = number(parts[5]);
  const duration = number(parts[6]);
  if (address === null || !id || !hardware || until < 0 || duration < 0 || duration > FOR_EVER) return false;
  const lease = s.leases.assign(null, address, id);
  if (!lease) return false;
  lease.hardware = hardware;
  lease.duration = duration;
  lease.hostName = parts[7] === "-" ? "" : parts[7];
  // A clock that has gone back makes no lease longer than it was.
  let left = wall && until ? until - wall : duration;
  if (left > duration) left = duration;
  if (state === LEASE_BOUND && duration === FOR_EVER) s.leases.set(lease, LEASE_BOUND, s.clock, Infinity);
  else if (state === LEASE_FORMER || left <= 0) s.leases.set(lease, LEASE_FORMER, s.clock, s.clock);
  else s.leases.set(lease, state === LEASE_DECLINED ? state : LEASE_BOUND, s.clock, s.clock + left * 1000);
  return true;
}

function number(text: string): number {
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return text.length > 0 && text.length < 16 ? value : -1;
}

/** Bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += (bytes[i] < 16 ? "0" : "") + bytes[i].toString(16);
  return text;
}

/** The bytes of hexadecimal digits, 1 to 255 of them; null: they are none. */
export function unhex(text: string): Uint8Array | null {
  if (text.length < 2 || text.length > 510 || text.length & 1) return null;
  const bytes = new Uint8Array(text.length >> 1);
  for (let i = 0; i < text.length; i++) {
    const digit = "0123456789abcdef".indexOf(text.charAt(i));
    if (digit < 0) return null;
    bytes[i >> 1] = (bytes[i >> 1] << 4) | digit;
  }
  return bytes;
}

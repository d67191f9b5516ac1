/** Groups that this host has joined on its interfaces (RFC 4291 section 2.7); mld.ts reports them to routers. */
import { get32 } from "../core/bytes.js";
import { EADDRNOTAVAIL, EAFNOSUPPORT, ENOBUFS, ENOENT, fail } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { GroupFilter } from "../core/network.js";
import { useGroup } from "../link/groups.js";
import { equal6, isMulticast6 } from "../wire/ipv6.js";
import type { Ipv6 } from "./ipv6.js";

/** A group on an interface. */
export class Membership {
  /** Joins by sockets and by the host itself. */
  users = 0;
  /** Filters of the sockets that have one; see mld.ts. */
  readonly filters: GroupFilter[] = [];

  constructor(
    readonly nif: Interface,
    readonly group: Uint8Array,
  ) {}
}

/** The membership of the group at `data[at..]` on `nif`, or null. */
export function findGroup(ip: Ipv6, nif: Interface, data: Uint8Array, at: number): Membership | null {
  for (let i = 0; i < ip.groups.length; i++) {
    const entry = ip.groups[i];
    if (entry.nif === nif && equal6(entry.group, 0, data, at)) return entry;
  }
  return null;
}

/** One more user of `group` on `nif`: 0, or `ENOBUFS`. */
export function joinGroup(ip: Ipv6, nif: Interface, group: Uint8Array, filter: GroupFilter | null): number {
  let entry = findGroup(ip, nif, group, 0);
  if (!entry) {
    if (ip.groups.length >= ip.groupLimit) return ENOBUFS;
    entry = new Membership(nif, group);
    ip.groups.push(entry);
    listen(entry, 1);
  }
  entry.users++;
  if (filter) entry.filters.push(filter);
  if (ip.mld) ip.mld.changed(entry);
  return 0;
}

/** One user less: 0, or `ENOENT`. */
export function leaveGroup(ip: Ipv6, nif: Interface, group: Uint8Array, filter: GroupFilter | null): number {
  const entry = findGroup(ip, nif, group, 0);
  if (!entry) return ENOENT;
  const at = filter ? entry.filters.indexOf(filter) : -1;
  if (at >= 0) entry.filters.splice(at, 1);
  if (--entry.users <= 0) {
    ip.groups.splice(ip.groups.indexOf(entry), 1);
    listen(entry, -1);
  }
  if (ip.mld) ip.mld.changed(entry);
  return 0;
}

/** Frames to a group go to 33-33 and its low 32 bits (RFC 2464 section 7). */
function listen(entry: Membership, change: number): void {
  if (entry.nif.medium.resolves) useGroup(entry.nif, 0x3333, get32(entry.group, 12), change);
}

/** `Network.join` and `leave`: a group as text, by its zone where no interface is said. */
export function changeGroup(
  ip: Ipv6,
  text: string,
  nif: Interface | null,
  filter: GroupFilter | null,
  change: typeof joinGroup,
): number {
  const zoned = ip.parseZoned(text);
  if (!zoned) return EAFNOSUPPORT;
  if (!isMulticast6(zoned.bytes, 0)) fail("EINVAL", "group " + text);
  const on = nif || zoned.zone || ip.defaultInterface();
  return on ? change(ip, on, zoned.bytes, filter) : EADDRNOTAVAIL;
}

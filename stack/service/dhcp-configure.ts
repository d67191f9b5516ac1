/** What a DHCP lease configures: the address, routes, name servers, the MTU; and how all that is taken back. */
import { EADDRINUSE, EADDRNOTAVAIL } from "../core/errors.js";
import type { StackError } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { nameServers } from "../core/name-servers.js";
import { parse4 } from "../core/text4.js";
import { TENTATIVE } from "../ipv4/address.js";
import { mask4 } from "../wire/ipv4.js";
import type { DhcpLease } from "./dhcp-lease.js";
import { DHCP_BOUND, DHCP_DECLINING, DHCP_PROBING } from "./dhcp-state.js";
import type { DhcpClient } from "./dhcp.js";
import { announce, forget } from "./lease-client.js";

/** What this client configures bears its name. */
const ORIGIN = "dhcp";

/** The server has acknowledged: gives the interface the address, and tries it where the stack can. */
export function bind(c: DhcpClient, lease: DhcpLease): void {
  const held = c.entry;
  if (held && (held.address !== c.address || held.length !== lease.prefix)) lose(c, EADDRNOTAVAIL);
  if (!c.entry) {
    try {
      c.entry = c.dhcp.ip.assign(c.nif, c.address, lease.prefix, { origin: ORIGIN, metric: metric(c) });
    } catch (error) {
      // This host has the address already, on this interface or another; or it has no room for the address's route.
      if ((error as StackError).code === "EEXIST") conflict(c);
      else c.dhcp.counters.rejected++;
      return;
    }
  }
  c.known = true;
  c.rebindAt = c.requested + lease.rebindTime * 1000;
  c.expires = c.requested + lease.leaseTime * 1000;
  c.state = DHCP_PROBING;
  c.deadline = Infinity;
  if (c.entry.state !== TENTATIVE) configure(c);
}

/** Somebody else has the address. */
export function conflict(c: DhcpClient): void {
  c.dhcp.counters.conflicts++;
  c.entry = null;
  c.known = false;
  lose(c, EADDRINUSE);
  c.state = DHCP_DECLINING;
  c.deadline = c.clock;
}

function metric(c: DhcpClient): number {
  return c.options.metric === undefined ? 100 + c.nif.index : c.options.metric;
}

/** Puts the acknowledged lease into force. */
export function configure(c: DhcpClient): void {
  const d = c.dhcp;
  const nif = c.nif;
  const lease = (c.lease = c.pending as DhcpLease);
  c.state = DHCP_BOUND;
  c.deadline = Infinity;
  if (c.entry) {
    // Hosts that were bound in the same moment renew in different ones.
    const jitter = d.stack.host.randomBelow(1024) / 16384;
    c.deadline = c.requested + Math.floor(lease.renewTime * (1000 - 1000 * jitter));
    d.ip.fib.remove((route) => route.nif === nif && route.origin === ORIGIN);
    for (let i = 0; i < lease.routes.length; i++) addRoute(c, i, true);
    for (let i = 0; i < lease.routes.length; i++) addRoute(c, i, false);
    d.stack.changed();
  }
  if (lease.mtu) {
    if (!c.formerMtu) c.formerMtu = nif.mtu;
    setMtu(nif, lease.mtu);
  }
  nameServers(d.stack).set(ORIGIN, nif, lease.nameServers, lease.search);
  d.counters.bound++;
  announce(c);
}

/** Installs the lease's route `i`, if it is one to a link (`direct`) or one by a gateway. */
function addRoute(c: DhcpClient, i: number, direct: boolean): void {
  const ip = c.dhcp.ip;
  const lease = c.lease as DhcpLease;
  const text = lease.routes[i].prefix;
  const slash = text.indexOf("/");
  const length = +text.substring(slash + 1);
  const prefix = parse4(text.substring(0, slash));
  const hop = parse4(lease.routes[i].gateway);
  if ((hop === 0) !== direct) return;
  const via = hop ? ip.fib.lookup(hop, c.nif) : null;
  if (
    // What an option's own code has made of its value may be no route.
    prefix === null ||
    hop === null ||
    !(length >= 0 && length <= 32) ||
    // A gateway is a neighbour, and not this host.
    (hop !== 0 && (!via || via.gateway !== 0 || hop === c.address || ip.isBroadcast(c.nif, hop))) ||
    !ip.install(prefix & mask4(length), length, hop, c.nif, metric(c), ORIGIN, c.address)
  ) {
    c.dhcp.counters.badRoutes++;
  }
}

function setMtu(nif: Interface, mtu: number): void {
  if (mtu > nif.link.mtu) mtu = nif.link.mtu;
  if (mtu !== nif.mtu) nif.stack.setInterface(nif, { mtu });
}

/** Takes back everything that the lease configured; the application hears of it with `code`, if it ever heard of the lease. */
export function lose(c: DhcpClient, code: number): void {
  const d = c.dhcp;
  const entry = c.entry;
  // First: that the address goes is no conflict then.
  c.entry = null;
  c.expires = Infinity;
  if (entry) d.ip.dropAddress(entry);
  if (c.formerMtu) setMtu(c.nif, c.formerMtu);
  c.formerMtu = 0;
  nameServers(d.stack).set(ORIGIN, c.nif, [], []);
  forget(c, code);
}

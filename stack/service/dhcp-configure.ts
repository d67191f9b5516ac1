/** What a DHCP lease configures: the address, routes, name servers, the MTU; and how all that is taken back. */
import { EADDRINUSE, EADDRNOTAVAIL } from "../core/errors.js";
import type { StackError } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import { nameServers } from "../core/name-servers.js";
import { parse4 } from "../core/text4.js";
import { TENTATIVE } from "../ipv4/address.js";
import type { RouteOptions } from "../ipv4/ipv4.js";
import type { DhcpLease } from "./dhcp-lease.js";
import { DHCP_BOUND, DHCP_DECLINING, DHCP_PROBING } from "./dhcp-state.js";
import type { DhcpClient } from "./dhcp.js";

/** The server has acknowledged: gives the interface the address, and tries it where the stack can. */
export function bind(c: DhcpClient, lease: DhcpLease): void {
  const held = c.entry;
  if (held && (held.address !== c.address || held.length !== lease.prefix)) lose(c, EADDRNOTAVAIL);
  if (!c.entry) {
    try {
      c.entry = c.dhcp.ip.addAddress(c.nif, lease.address + "/" + lease.prefix, {
        origin: "dhcp",
        metric: metric(c),
      });
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
    d.ip.fib.remove((route) => route.nif === nif && route.origin === "dhcp");
    d.stack.changed();
    for (let i = 0; i < lease.routes.length; i++) addRoute(c, i, true);
    for (let i = 0; i < lease.routes.length; i++) addRoute(c, i, false);
  }
  if (lease.mtu) {
    if (!c.formerMtu) c.formerMtu = nif.mtu;
    setMtu(nif, lease.mtu);
  }
  nameServers(d.stack).set("dhcp", nif, lease.nameServers, lease.search);
  d.counters.bound++;
  c.boundNow = true;
  d.stack.defer(c);
}

/** Installs the lease's `i`th route where it is one to the link itself (`direct`), or one by a gateway on the link. */
function addRoute(c: DhcpClient, i: number, direct: boolean): void {
  const ip = c.dhcp.ip;
  const lease = c.lease as DhcpLease;
  const route = lease.routes[i];
  const hop = parse4(route.gateway) as number;
  const options: RouteOptions = {
    interface: c.nif,
    metric: metric(c),
    origin: "dhcp",
    source: lease.address,
  };
  if ((hop === 0) !== direct) return;
  if (hop) {
    const via = ip.fib.lookup(hop, c.nif);
    if (!via || via.gateway || hop === c.address || ip.isBroadcast(c.nif, hop)) {
      c.dhcp.counters.badRoutes++;
      return;
    }
    options.gateway = route.gateway;
  }
  try {
    ip.addRoute(route.prefix, options);
  } catch {
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
  nameServers(d.stack).set("dhcp", c.nif, [], []);
  if (c.told) {
    c.lostCode = code;
    d.stack.defer(c);
  }
  c.lease = null;
  c.told = c.boundNow = false;
}

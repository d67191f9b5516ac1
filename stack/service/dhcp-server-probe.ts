/**
 * Does anybody use the address that is about to be offered (RFC 2131 section 4.4.1: the server SHOULD probe)? It is pinged; on the
 * server's own link ARP asks first, and a host that answers there is found even if it keeps quiet to pings.
 */
import { copyRange, get16, get32 } from "../core/bytes.js";
import { format4 } from "../core/text4.js";
import { Timer } from "../core/timers.js";
import { REACHABLE, UNREACHABLE } from "../ipv4/arp.js";
import type { PingSocket } from "../raw/ping.js";
import type { Lease } from "./dhcp-server-leases.js";
import { LEASE_OFFERED, sameBytes } from "./dhcp-server-leases.js";
import { ban, discover, offer } from "./dhcp-server-machine.js";
import { Query, parseQuery } from "./dhcp-server-query.js";
import type { DhcpScope } from "./dhcp-server-scope.js";
import type { DhcpServer } from "./dhcp-server.js";

/** Addresses that are asked about at one time: further offers go out unasked. */
const PROBES = 32;
/** An answer holds for so long, ms. */
const FRESH = 60000;

/** An offer that waits. */
export class Trial {
  readonly timer: Timer;
  answered = false;

  constructor(
    readonly server: DhcpServer,
    readonly lease: Lease,
    readonly scope: DhcpScope,
    /** The client's message, to be read again. */
    readonly data: Uint8Array,
    readonly socket: PingSocket,
  ) {
    this.timer = new Timer(finish, this);
  }
}

/** Begins to ask about the address of `lease`, and offers it later; false: there is nothing to wait for. */
export function probe(s: DhcpServer, lease: Lease, q: Query): boolean {
  const ping = s.probe;
  const trials = s.trials;
  const scope = lease.scope as DhcpScope;
  for (let i = 0; i < trials.length; i++) {
    // The client has asked again meanwhile.
    if (trials[i].lease === lease) return true;
  }
  if (!ping || s.clock - lease.probedAt < FRESH) return false;
  if (trials.length >= PROBES) {
    s.counters.unprobed++;
    return false;
  }
  let trial: Trial | null = null;
  const arp = s.ip.arp;
  const entry = arp && arp.cache.find(scope.nif, 0, 0, 0, lease.address);
  if (arp && entry) {
    // What is known is of whoever had the address before: all are asked.
    arp.cache.remove(entry);
    s.stack.changed();
  }
  try {
    const socket = ping.open({
      address: format4(lease.address),
      interface: scope.nif,
      receiveBuffer: 512,
      onReply: () => {
        if (trial) trial.answered = true;
      },
    });
    trial = new Trial(s, lease, scope, copyRange(q.data, 0, q.end), socket);
    if (socket.send() < 0) {
      socket.close();
      return false;
    }
  } catch {
    s.counters.unprobed++;
    return false;
  }
  trials.push(trial);
  s.stack.timers.set(trial.timer, (s.stack.now() + s.probeTime) | 0);
  return true;
}

export function abandon(s: DhcpServer): void {
  while (s.trials.length > 0) end(s.trials[0]);
}

function end(trial: Trial): void {
  const s = trial.server;
  s.trials.splice(s.trials.indexOf(trial), 1);
  s.stack.timers.clear(trial.timer);
  trial.socket.close();
}

function finish(trial: Trial): void {
  const s = trial.server;
  const lease = trial.lease;
  const q = new Query();
  s.tick();
  end(trial);
  // The lease may have gone elsewhere since, or the scope.
  if (trial.scope.closed || lease.scope !== trial.scope || lease.state !== LEASE_OFFERED) return;
  if (!parseQuery(q, trial.data, trial.data.length, s.value)) return;
  if (!sameBytes(lease.owner.id, q.id, q.id.length)) return;
  lease.probedAt = s.clock;
  if (!inUse(trial, q)) offer(s, lease, q);
  else {
    ban(s, lease);
    discover(s, [trial.scope], q);
  }
}

/** Has somebody else answered? The client itself may: it may have the address still. */
function inUse(trial: Trial, q: Query): boolean {
  const arp = trial.server.ip.arp;
  const entry = arp && arp.cache.find(trial.scope.nif, 0, 0, 0, trial.lease.address);
  // What answers ARP is there, whatever it thinks of pings.
  if (!entry || entry.state < REACHABLE || entry.state === UNREACHABLE) return trial.answered;
  const own =
    q.hardware.length === 6 && entry.high === get16(q.hardware, 0) && entry.low === get32(q.hardware, 2);
  return !own;
}

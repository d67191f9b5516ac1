/** What comes in by Babel (RFC 8966 sections 3.4, 3.5.3 and 3.8): neighbours, updates, requests. */
import { get32 } from "../core/bytes.js";
import type { Interface } from "../core/interface.js";
import type { DatagramInfo } from "../udp/udp.js";
import * as wire from "../wire/babel.js";
import type { Babel } from "./babel.js";
import { equal6, isLinkLocal6 } from "../wire/ipv6.js";
import { later, sameRouter } from "./babel-message.js";
import type { BabelTlv } from "./babel-message.js";
import { ANSWER, AUTHENTIC, BabelNeighbour, CHALLENGE } from "./babel-neighbour.js";
import type { BabelAuthenticator, BabelPort } from "./babel-neighbour.js";
import { announce, ask, refresh, select } from "./babel-select.js";
import { BabelDestination, BabelRoute } from "./babel-table.js";
import { copyOf, isRoutable, isV4, parseAddress } from "./prefix.js";

export function input(own: Babel, port: BabelPort, info: DatagramInfo): void {
  const counters = own.counters;
  counters.received++;
  const from = parseAddress(info.address);
  if (!from || !isLinkLocal6(from, 0) || info.port !== wire.BABEL_PORT) {
    counters.badSource++;
    return;
  }
  if (port.authentication && !admit(own, port, info, from, port.authentication)) {
    counters.badMac++;
    return;
  }
  own.from = from;
  own.port = port;
  own.sender = findNeighbour(own, port, from);
  const reader = own.reader;
  reader.bad = 0;
  const read =
    !info.truncated &&
    reader.read(own.data, info.length, from, (tlv) => inputTlv(own, port, tlv, info.address));
  if (!read) counters.malformed++;
  counters.badTlv += reader.bad;
}

/** Is it authentic? Challenges are sent and answered here, whatever else is in the packet. */
function admit(
  own: Babel,
  port: BabelPort,
  info: DatagramInfo,
  from: Uint8Array,
  authentication: BabelAuthenticator,
): boolean {
  const to = parseAddress(info.localAddress);
  const now = own.stack.now();
  const found = info.truncated || !to ? 0 : authentication.check(own.data, info.length, from, to, now);
  const answer = found & ANSWER && own.rate.take(now);
  if (answer || found & CHALLENGE) {
    own.address(port, info.address, from);
    if (answer) own.writer.nonce(wire.CHALLENGE_REPLY, authentication.answer);
    if (found & CHALLENGE) own.writer.nonce(wire.CHALLENGE_REQUEST, authentication.nonce);
    own.writer.flush();
  }
  return (found & AUTHENTIC) !== 0;
}

function inputTlv(own: Babel, port: BabelPort, tlv: BabelTlv, text: string): void {
  const now = own.stack.now();
  if (tlv.type === wire.HELLO) {
    hello(own, port, tlv, text, now);
    return;
  }
  const neighbour = own.sender;
  if (!neighbour) {
    own.counters.stranger++;
    return;
  }
  if (tlv.type === wire.IHU) ihu(own, neighbour, tlv, now);
  else if (tlv.type === wire.UPDATE) update(own, neighbour, tlv, now);
  else if (tlv.type === wire.SEQNO_REQUEST) seqnoRequest(own, neighbour, tlv, now);
  else if (tlv.type === wire.ACK_REQUEST || tlv.type === wire.ROUTE_REQUEST) {
    if (!own.rate.take(now)) {
      own.counters.limited++;
      return;
    }
    own.direct(port, neighbour);
    if (tlv.type === wire.ACK_REQUEST) own.writer.ack(tlv.nonce);
    else if (tlv.addressed) {
      const entry = own.table.find(tlv.prefix, tlv.length);
      if (entry) own.write(port, entry);
      else
        own.writer.update(
          tlv.prefix,
          tlv.length,
          own.routerId,
          own.seqno,
          wire.BABEL_INFINITY,
          port.updateInterval,
          own.hop(port),
        );
    } else {
      refresh(own);
      own.table.each((entry) => own.write(port, entry));
    }
    own.writer.flush();
  }
}

function hello(own: Babel, port: BabelPort, tlv: BabelTlv, text: string, now: number): void {
  // Those to us alone have numbers of their own, and say nothing of what the link does to groups (section 3.4.1).
  if (tlv.flags & wire.HELLO_UNICAST) return;
  let neighbour = own.sender;
  if (!neighbour) {
    if (own.neighbours.length >= own.neighbourLimit) {
      own.counters.full++;
      return;
    }
    neighbour = own.sender = new BabelNeighbour(port, own.from, text);
    neighbour.ihuUntil = (now + 0x3fffffff) | 0;
    own.neighbours.push(neighbour);
    // It has not heard of us, perhaps: the next hello is soon.
    const soon = (now + 1 + own.stack.host.randomBelow(100)) | 0;
    if (((port.helloAt - soon) | 0) > 0) port.helloAt = soon;
    own.direct(port, neighbour);
    own.writer.request(null, 0);
    own.writer.flush();
  }
  neighbour.hello(tlv.seqno, tlv.interval, now);
  reckon(own, neighbour);
}

function ihu(own: Babel, neighbour: BabelNeighbour, tlv: BabelTlv, now: number): void {
  const ip = own.fib.ip6;
  if (tlv.addressed && (!ip || !ip.findAddress(tlv.prefix, 0, neighbour.port.nif))) return;
  const before = neighbour.txcost;
  neighbour.txcost = tlv.metric;
  // Three and a half intervals (appendix B).
  neighbour.ihuUntil = (now + (tlv.interval * 7) / 2) | 0;
  if (before >= wire.BABEL_INFINITY && tlv.metric < wire.BABEL_INFINITY) {
    // Now that it hears us: what it has, and what we have.
    own.direct(neighbour.port, neighbour);
    own.writer.request(null, 0);
    own.writer.flush();
    const soon = (now + 1 + own.stack.host.randomBelow(200)) | 0;
    if (((neighbour.port.updateAt - soon) | 0) > 0) neighbour.port.updateAt = soon;
  }
  reckon(own, neighbour);
}

/** The link's cost may have changed, and with it the routes over it. */
export function reckon(own: Babel, neighbour: BabelNeighbour): void {
  const cost = neighbour.linkCost();
  if (cost === neighbour.cost) return;
  neighbour.cost = cost;
  own.table.each((entry) => {
    if (entry.route(neighbour)) select(own, entry);
  });
}

/** Section 3.5.3. */
function update(own: Babel, neighbour: BabelNeighbour, tlv: BabelTlv, now: number): void {
  const counters = own.counters;
  const retraction = tlv.metric >= wire.BABEL_INFINITY;
  if (!tlv.addressed) {
    own.table.each((entry) => {
      const route = entry.route(neighbour);
      if (!route) return;
      route.refmetric = wire.BABEL_INFINITY;
      if (entry.selected === route) select(own, entry);
    });
    return;
  }
  if (!isRoutable(tlv.prefix, tlv.length)) {
    counters.badTlv++;
    return;
  }
  if (!retraction && sameRouter(tlv.routerId, own.routerId)) {
    returned(own, tlv);
    return;
  }
  if (!retraction && isV4(tlv.prefix) && !reaches4(own, neighbour.port.nif, tlv.nextHop)) {
    counters.badTlv++;
    return;
  }
  let entry = own.table.find(tlv.prefix, tlv.length);
  let route = entry && entry.route(neighbour);
  if (!route && retraction) return;
  const feasible = !entry || retraction || entry.feasible(tlv.routerId, tlv.seqno, tlv.metric);
  if (!feasible) counters.unfeasible++;
  if (!entry) {
    if (own.table.size() >= own.limit - (own.limit >> 2)) {
      counters.full++;
      return;
    }
    entry = own.table.insert(new BabelDestination(copyOf(tlv.prefix), tlv.length));
  }
  if (!route) {
    route = new BabelRoute(neighbour);
    entry.routes.push(route);
  } else if (route === entry.selected && !feasible && sameRouter(route.routerId, tlv.routerId)) {
    // It is in use and stays as it was, while its number is asked for.
    ask(own, entry, tlv.routerId, now);
    return;
  }
  if (!retraction) {
    route.routerId.set(tlv.routerId);
    route.seqno = tlv.seqno;
    route.nextHop.set(tlv.nextHop);
    route.interval = tlv.interval;
    route.until = (now + (tlv.interval * 7) / 2) | 0;
  }
  route.refmetric = tlv.metric;
  if (
    entry.asking &&
    !retraction &&
    sameRouter(entry.askRouter, tlv.routerId) &&
    !later(entry.askSeqno, tlv.seqno)
  ) {
    // What was asked for has come: who asked us is told.
    entry.asking = false;
    announce(own, entry, 1);
  }
  select(own, entry);
  // A shorter way that may not be taken as it is (section 3.8.2.2).
  if (!feasible && !entry.own && (!entry.selected || route.metric() < entry.selected.metric()))
    ask(own, entry, tlv.routerId, now);
}

/** Our own prefix comes back; one that is not ours any more, under our name, is waited out. */
function returned(own: Babel, tlv: BabelTlv): void {
  const entry = own.table.find(tlv.prefix, tlv.length);
  // From before we began anew: our numbers go on from there.
  if (entry && entry.own && later(tlv.seqno, own.seqno)) own.seqno = (tlv.seqno + 1) & 0xffff;
}

function reaches4(own: Babel, nif: Interface, hop: Uint8Array): boolean {
  const ip = own.fib.ip4;
  const address = get32(hop, 12);
  return ip !== null && ip.isOnLink(nif, address) && !ip.isLocal(address) && !ip.isBroadcast(nif, address);
}

/** Section 3.8.1.2. */
function seqnoRequest(own: Babel, neighbour: BabelNeighbour, tlv: BabelTlv, now: number): void {
  const entry = own.table.find(tlv.prefix, tlv.length);
  if (!entry) return;
  const selected = entry.selected;
  const ours = sameRouter(tlv.routerId, own.routerId);
  if (entry.own) {
    if (ours && later(tlv.seqno, own.seqno)) own.seqno = (own.seqno + 1) & 0xffff;
    own.counters.seqnoAnswers++;
    announce(own, entry, 1);
    return;
  }
  if (selected && (!sameRouter(selected.routerId, tlv.routerId) || !later(tlv.seqno, selected.seqno))) {
    own.counters.seqnoAnswers++;
    announce(own, entry, 1);
    return;
  }
  if (ours || tlv.hops < 2) return;
  if (entry.asking && sameRouter(entry.askRouter, tlv.routerId) && !later(tlv.seqno, entry.askSeqno)) return;
  // To one who knows the prefix and is not the one who asks: the one in use before others.
  let next: BabelRoute | null = selected && selected.neighbour !== neighbour ? selected : null;
  for (let i = 0; i < entry.routes.length && !next; i++) {
    const route = entry.routes[i];
    if (route.neighbour !== neighbour && route.metric() < wire.BABEL_INFINITY) next = route;
  }
  if (!next) return;
  entry.asking = true;
  entry.askRouter.set(tlv.routerId);
  entry.askSeqno = tlv.seqno;
  entry.askLeft = 0;
  entry.askAt = (now + 2000) | 0;
  own.counters.seqnoForwarded++;
  own.direct(next.neighbour.port, next.neighbour);
  own.writer.seqnoRequest(entry.prefix, entry.length, tlv.routerId, tlv.seqno, tlv.hops - 1);
  own.writer.flush();
}

function findNeighbour(own: Babel, port: BabelPort, address: Uint8Array): BabelNeighbour | null {
  for (let i = 0; i < own.neighbours.length; i++) {
    const each = own.neighbours[i];
    if (each.port === port && equal6(each.address, 0, address, 0)) return each;
  }
  return null;
}

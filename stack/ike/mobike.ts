/**
 * MOBIKE (RFC 4555): the ends' addresses may change while their SAs stay. What the initiator is sent follows when it has shown that it is
 * there. Either end may name other addresses that it has; when the way in use is silent, the initiator tries the others.
 */
import { EPROTO, fail } from "../core/errors.js";
import type { DatagramInfo } from "../core/datagrams.js";
import * as wire from "../wire/ike.js";
import { get32 } from "../core/bytes.js";
import { format4 } from "../core/text4.js";
import { format6 } from "../core/text6.js";
import type { Connection } from "./connection.js";
import { detectNat, emitNatDetection, equal, hostFailed } from "./derive.js";
import type { Mobility } from "./features.js";
import type { Ike } from "./ike.js";
import type { IkeSa, Task } from "./ike-sa.js";
import { Writer } from "./message.js";
import type { Message } from "./message.js";
import { addressBytes } from "./selectors.js";

export interface MobikeOptions {
  /** This host's addresses that peers may use, at most 8: the one in use may be among them. Default: none but that. */
  addresses?: string[];
}

/** Addresses of an end at most, beside the one in use. */
const OTHERS = 8;

class Mobike implements Mobility {
  private addresses: string[] = [];

  constructor(options: MobikeOptions) {
    if (options.addresses) this.addresses = checked(options.addresses);
  }

  announce(sa: IkeSa, out: Writer): void {
    out.notify(wire.MOBIKE_SUPPORTED);
    this.emitOthers(sa, out);
  }

  input(sa: IkeSa, message: Message, out: Writer | null, info: DatagramInfo | null): void {
    if (message.exchange === wire.IKE_AUTH) {
      sa.mobike = message.notify(wire.MOBIKE_SUPPORTED) >= 0;
      if (!sa.mobike) return;
      learn(sa, message);
      if (out) this.announce(sa, out);
      return;
    }
    learn(sa, message);
    if (!out || !info) return;
    const cookie = message.notify(wire.COOKIE2);
    if (cookie >= 0) out.notify(wire.COOKIE2, message.notifyData(cookie));
    const update = message.notify(wire.UPDATE_SA_ADDRESSES) >= 0;
    if (!update && message.notify(wire.NAT_DETECTION_SOURCE) < 0) return;
    if (update && !sa.initiator) {
      // The message's own addresses are the new ones: it is authentic, but not they (section 3.7).
      sa.local = info.localAddress;
      sa.remote = info.address;
      sa.remotePort = info.port;
      detectNat(sa, message);
      sa.request(new Routability());
    }
    emitNatDetection(sa, out);
  }

  move(connection: Connection, local: string): void {
    if (!addressBytes(local)) fail("EINVAL", "local");
    const sa = connection.sa;
    if (!sa || !sa.established || !sa.mobike || !sa.initiator) fail("EOPNOTSUPP", "mobike");
    const before = sa.local;
    sa.local = local;
    if (before !== local) sa.ike.ports.release(before);
    sa.request(new Update());
  }

  offer(vpn: Ike, addresses: string[]): void {
    this.addresses = checked(addresses);
    vpn.sas.each((sa) => {
      if (sa.established && sa.mobike && !sa.successor) sa.request(new Offer(this));
    });
  }

  ways(sa: IkeSa, visit: (local: string, remote: string) => void): void {
    visit(sa.local, sa.remote);
    for (let i = -1; i < this.addresses.length; i++) {
      const local = i < 0 ? sa.local : this.addresses[i];
      if (i >= 0 && local === sa.local) continue;
      for (let k = -1; k < sa.others.length; k++) {
        const remote = k < 0 ? sa.remote : sa.others[k];
        if ((i < 0 && k < 0) || isSix(local) !== isSix(remote)) continue;
        visit(local, remote);
      }
    }
  }

  arrived(sa: IkeSa, local: string, remote: string): void {
    if (local === sa.local && remote === sa.remote) return;
    let known = false;
    this.ways(sa, (from, to) => {
      if (from === local && to === remote) known = true;
    });
    if (!known) return;
    // The way that was is one of several now.
    const at = sa.others.indexOf(remote);
    if (at >= 0) sa.others[at] = sa.remote;
    sa.local = local;
    sa.remote = remote;
    sa.tasks.unshift(new Update());
  }

  /** Names our other addresses. */
  emitOthers(sa: IkeSa, out: Writer): boolean {
    let any = false;
    for (let i = 0; i < this.addresses.length; i++) {
      const address = this.addresses[i];
      if (address === sa.local) continue;
      any = true;
      const type = isSix(address) ? wire.ADDITIONAL_IP6_ADDRESS : wire.ADDITIONAL_IP4_ADDRESS;
      out.notify(type, addressBytes(address) as Uint8Array);
    }
    return any;
  }
}

function isSix(address: string): boolean {
  return address.indexOf(":") >= 0;
}

function checked(addresses: string[]): string[] {
  if (addresses.length > OTHERS) fail("EINVAL", "addresses");
  for (let i = 0; i < addresses.length; i++) if (!addressBytes(addresses[i])) fail("EINVAL", "addresses");
  return addresses.slice(0);
}

/** Takes the peer's other addresses, all anew, where the message names them (section 3.6). */
function learn(sa: IkeSa, message: Message): void {
  const others: string[] = [];
  let named = message.notify(wire.NO_ADDITIONAL_ADDRESSES) >= 0;
  for (let i = 0; i < message.types.length; i++) {
    if (message.types[i] !== wire.PAYLOAD_NOTIFY) continue;
    const type = message.notifyType(i);
    if (type !== wire.ADDITIONAL_IP4_ADDRESS && type !== wire.ADDITIONAL_IP6_ADDRESS) continue;
    named = true;
    const data = message.notifyData(i);
    if (data.length !== (type === wire.ADDITIONAL_IP4_ADDRESS ? 4 : 16) || others.length >= OTHERS) continue;
    const text = data.length === 4 ? format4(get32(data, 0)) : format6(data, 0);
    if (isUsable(data) && text !== sa.remote && others.indexOf(text) < 0) others.push(text);
  }
  if (named) sa.others = others;
}

/** A host's own: not unspecified, of loopback, or a group's. */
function isUsable(address: Uint8Array): boolean {
  if (address.length === 4) return address[0] !== 0 && address[0] !== 127 && address[0] < 224;
  let sum = 0;
  for (let i = 0; i < 15; i++) sum |= address[i];
  return address[0] !== 0xff && (sum !== 0 || address[15] > 1);
}

/** Tells the peer which other addresses we have now. */
class Offer implements Task {
  constructor(private readonly mobility: Mobike) {}

  start(sa: IkeSa): void {
    const out = new Writer();
    if (!this.mobility.emitOthers(sa, out)) out.notify(wire.NO_ADDITIONAL_ADDRESSES);
    sa.send(wire.INFORMATIONAL, out);
  }

  answer(sa: IkeSa): void {
    sa.next();
  }
}

/** Tells the peer where we are (section 3.5). */
class Update implements Task {
  private cookie: Uint8Array | null = null;

  start(sa: IkeSa): void {
    const out = new Writer();
    this.cookie = sa.ike.random(16);
    out.notify(wire.UPDATE_SA_ADDRESSES);
    emitNatDetection(sa, out);
    if (this.cookie) out.notify(wire.COOKIE2, this.cookie);
    sa.send(wire.INFORMATIONAL, out);
  }

  answer(sa: IkeSa, message: Message): void {
    const cookie = message.notify(wire.COOKIE2);
    const known = !this.cookie || (cookie >= 0 && equal(this.cookie, message.notifyData(cookie)));
    if (known && message.error() === 0) {
      detectNat(sa, message);
      sa.moved();
    } else sa.ike.counters.unexpected++;
    sa.next();
  }
}

/** Is the peer where its messages come from? Children follow it then, and not to where somebody between has made it seem to be. */
class Routability implements Task {
  private cookie: Uint8Array | null = null;
  private remote = "";
  private port = 0;

  start(sa: IkeSa): void {
    this.cookie = sa.ike.random(16);
    this.remote = sa.remote;
    this.port = sa.remotePort;
    if (!this.cookie) hostFailed(sa);
    else sa.send(wire.INFORMATIONAL, new Writer().notify(wire.COOKIE2, this.cookie));
  }

  answer(sa: IkeSa, message: Message): void {
    const at = message.notify(wire.COOKIE2);
    if (at < 0 || !equal(this.cookie as Uint8Array, message.notifyData(at))) {
      sa.ike.counters.unexpected++;
      sa.end(EPROTO, 0);
      return;
    }
    // It may have moved on: it is asked there too.
    if (sa.remote === this.remote && sa.remotePort === this.port) sa.moved();
    sa.next();
  }
}

/**
 * Peers that move: `const mobility = mobike()`, `ike({ mobility })`, and `mobility.move(connection, address)` when ours is another. With
 * `addresses` peers are told where else this host is to be reached; `mobility.offer(vpn, addresses)` tells them anew. A request that is not
 * answered is sent by all the ways that there are from its third time on (of who began the IKE SA): the one that answers is gone on with.
 */
export function mobike(options: MobikeOptions = {}): Mobility {
  return new Mobike(options);
}

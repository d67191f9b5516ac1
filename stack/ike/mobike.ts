/** MOBIKE (RFC 4555): the initiator's address may change while its SAs stay. What it is sent follows when it has shown that it is there. */
import { EPROTO, fail } from "../core/errors.js";
import type { DatagramInfo } from "../core/datagrams.js";
import * as wire from "../wire/ike.js";
import type { Connection } from "./connection.js";
import { detectNat, emitNatDetection, equal, hostFailed } from "./derive.js";
import type { Mobility } from "./features.js";
import type { IkeSa, Task } from "./ike-sa.js";
import { Writer } from "./message.js";
import type { Message } from "./message.js";
import { addressBytes } from "./selectors.js";

class Mobike implements Mobility {
  announce(_sa: IkeSa, out: Writer): void {
    out.notify(wire.MOBIKE_SUPPORTED);
  }

  input(sa: IkeSa, message: Message, out: Writer | null, info: DatagramInfo | null): void {
    if (message.exchange === wire.IKE_AUTH) {
      sa.mobike = message.notify(wire.MOBIKE_SUPPORTED) >= 0;
      if (out && sa.mobike) out.notify(wire.MOBIKE_SUPPORTED);
      return;
    }
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

/** Peers that move: `const mobility = mobike()`, `ike({ mobility })`, and `mobility.move(connection, address)` when ours is another. */
export function mobike(): Mobility {
  return new Mobike();
}

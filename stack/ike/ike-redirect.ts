/**
 * Redirects (RFC 5685): a gateway sends those who come to it elsewhere, in its answer to IKE_SA_INIT, in IKE_AUTH, or at any time later; a
 * client goes there. Five times in five minutes and no more: two gateways that send it to each other do not keep it busy.
 */
import { EACCES, ELOOP, fail, setting } from "../core/errors.js";
import { get32 } from "../core/bytes.js";
import type { DatagramInfo } from "../core/datagrams.js";
import { format4 } from "../core/text4.js";
import { format6 } from "../core/text6.js";
import * as wire from "../wire/ike.js";
import type { Connection } from "./connection.js";
import { equal } from "./derive.js";
import { Goodbye } from "./exchanges.js";
import type { Redirection } from "./features.js";
import { textBytes } from "./identity.js";
import type { Identity } from "./identity.js";
import type { Ike } from "./ike.js";
import type { IkeSa, Task } from "./ike-sa.js";
import { Writer, emitPlain } from "./message.js";
import type { Message } from "./message.js";
import { addressBytes } from "./selectors.js";

export interface IkeRedirectOptions {
  /**
   * Gateway: where one that comes is to go instead, an address or a host's name; `""`: it may stay. Asked at IKE_SA_INIT, where it is
   * not known who it is (`identity` null), and again when it has proven that. `from`: the gateway that has sent it to us, or `""`.
   * Default: all may stay.
   */
  choose?(address: string, identity: Identity | null, from: string): string;
  /**
   * Client: may we go to `gateway` (an address or a host's name)? Calls `go` with its address, now or later, or never: then the connection
   * begins again where it did, after a minute. Default: to any address; to no name.
   */
  follow?(connection: Connection, gateway: string, go: (address: string) => void): void;
  /** Client: redirects that are followed within `period` ms. Default 5 and 300000 (RFC 5685 section 7). */
  limit?: number;
  period?: number;
}

const GATEWAY_IPV4 = 1;
const GATEWAY_IPV6 = 2;
const GATEWAY_NAME = 3;
/** A client that was told to go has this long, ms, to say goodbye. */
const PATIENCE = 30000;

class Redirect implements Redirection {
  private readonly limit: number;
  private readonly period: number;

  constructor(private readonly options: IkeRedirectOptions) {
    this.limit = setting(options.limit, 5, 0, 100, "limit");
    this.period = setting(options.period, 300000, 1000, 86400000, "period");
  }

  announce(sa: IkeSa, out: Writer): void {
    const from = sa.connection!.from;
    out.notify(wire.REDIRECT_SUPPORTED);
    if (from) out.notify(wire.REDIRECTED_FROM, gatewayData(from));
  }

  /* Client */

  answered(sa: IkeSa, message: Message, clear: boolean): boolean {
    const at = message.notify(wire.REDIRECT);
    if (at < 0) return false;
    const data = message.notifyData(at);
    const gateway = readGateway(data);
    // In the clear only who has seen our nonce is believed (section 3); who it leads to must prove more than that it has an address.
    const nonce = clear ? data.subarray(2 + data[1]) : null;
    if (gateway === "" || (nonce && !equal(nonce, sa.nonceI))) {
      sa.ike.counters.malformed++;
      return clear;
    }
    const connection = sa.connection!;
    const anybody = clear && connection.options.auth && connection.options.remoteIdentity === undefined;
    if (clear) sa.answered();
    if (anybody) sa.end(EACCES, wire.REDIRECT);
    else if (!this.counts(connection)) {
      // An IKE SA that is there is as good as another, until the gateway ends it.
      if (clear) sa.end(ELOOP, wire.REDIRECT);
      else if (!sa.established) sa.request(new Goodbye(ELOOP));
    } else {
      connection.redirected(sa);
      const go = (address: string) => {
        if (addressBytes(address)) connection.goTo(address);
      };
      if (this.options.follow) this.options.follow(connection, gateway, go);
      else go(gateway);
    }
    return true;
  }

  /** One redirect more of a connection; false: it is one too many. */
  private counts(connection: Connection): boolean {
    const now = connection.ike.stack.now();
    const times = connection.redirects;
    while (times.length > 0 && ((now - times[0]) | 0) >= this.period) times.shift();
    if (times.length >= this.limit) return false;
    times.push(now);
    return true;
  }

  /* Gateway */

  begins(ike: Ike, message: Message, info: DatagramInfo, port: number, nonce: Uint8Array): boolean {
    if (!this.options.choose || !announced(message)) return false;
    const at = message.notify(wire.REDIRECTED_FROM);
    const from = at < 0 ? "" : readGateway(message.notifyData(at));
    const to = this.options.choose(info.address, null, from);
    if (to === "") return false;
    const named = gatewayData(to);
    const data = new Uint8Array(named.length + nonce.length);
    data.set(named, 0);
    data.set(nonce, named.length);
    const raw = message.raw;
    const packet = emitPlain(
      raw.subarray(0, 8),
      raw.subarray(8, 16),
      wire.IKE_SA_INIT,
      wire.FLAG_RESPONSE,
      0,
      new Writer().notify(wire.REDIRECT, data),
    );
    // No answer is larger than what was asked.
    if (packet.length > raw.length) return false;
    ike.counters.redirected++;
    ike.ports.send(info.localAddress, port, info.address, info.port, packet);
    return true;
  }

  learn(sa: IkeSa, message: Message): void {
    sa.redirects = announced(message);
    const at = message.notify(wire.REDIRECTED_FROM);
    if (at >= 0) sa.redirectedFrom = readGateway(message.notifyData(at));
  }

  proven(sa: IkeSa, out: Writer): boolean {
    const choose = this.options.choose;
    const to = sa.redirects && choose ? choose(sa.remote, sa.peer, sa.redirectedFrom) : "";
    if (to === "") return false;
    sa.ike.counters.redirected++;
    out.notify(wire.REDIRECT, gatewayData(to));
    return true;
  }

  send(sa: IkeSa, gateway: string): boolean {
    const data = gatewayData(gateway);
    if (sa.initiator || !sa.established || !sa.redirects) return false;
    return sa.request(new Elsewhere(data));
  }
}

/** Tells a client to go (section 5). */
class Elsewhere implements Task {
  constructor(private readonly data: Uint8Array) {}

  start(sa: IkeSa): void {
    sa.ike.counters.redirected++;
    sa.send(wire.INFORMATIONAL, new Writer().notify(wire.REDIRECT, this.data));
  }

  answer(sa: IkeSa): void {
    sa.leaving = true;
    sa.ike.stack.timers.set(sa.timer, (sa.ike.stack.now() + PATIENCE) | 0);
    sa.next();
  }
}

function announced(message: Message): boolean {
  return message.notify(wire.REDIRECT_SUPPORTED) >= 0 || message.notify(wire.REDIRECTED_FROM) >= 0;
}

/** Type, length and identity of a gateway (section 8.2); throws `EINVAL`. */
function gatewayData(gateway: string): Uint8Array {
  const address = addressBytes(gateway);
  const bytes = address || textBytes(gateway);
  if (bytes.length < 1 || bytes.length > 255) fail("EINVAL", "gateway");
  const data = new Uint8Array(2 + bytes.length);
  data[0] = !address ? GATEWAY_NAME : address.length === 4 ? GATEWAY_IPV4 : GATEWAY_IPV6;
  data[1] = bytes.length;
  data.set(bytes, 2);
  return data;
}

/** The gateway in such data, an address or a host's name; `""`: it is none. */
function readGateway(data: Uint8Array): string {
  if (data.length < 3 || data[1] < 1 || data[1] > data.length - 2) return "";
  if (data[0] === GATEWAY_IPV4) return data[1] === 4 ? format4(get32(data, 2)) : "";
  if (data[0] === GATEWAY_IPV6) return data[1] === 16 ? format6(data, 2) : "";
  let text = "";
  for (let i = 0; i < data[1]; i++) {
    if (data[2 + i] <= 32 || data[2 + i] > 126) return "";
    text += String.fromCharCode(data[2 + i]);
  }
  return data[0] === GATEWAY_NAME ? text : "";
}

/**
 * Redirects, of both roles: `const redirection = ikeRedirect()`, `ike({ redirection })`; of a gateway `redirection.send(sa, gateway)` sends
 * the peer of an IKE SA elsewhere, false: it does not know how to go. Throws `EINVAL`.
 */
export function ikeRedirect(options: IkeRedirectOptions = {}): Redirection {
  return new Redirect(options);
}

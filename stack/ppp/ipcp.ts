/** IPCP (RFC 1332, name servers RFC 1877) and IPV6CP (RFC 5072): this end's addresses, as the peer gives them. */
import { get32, put16, put32 } from "../core/bytes.js";
import { isMartian4 } from "../wire/ipv4.js";
import { PPP_IPCP, PPP_IPV6CP } from "../wire/ppp.js";
import { ACCEPT, REFUSE, SUGGEST } from "./negotiation.js";
import type { ControlProtocol } from "./negotiation.js";
import type { PppSession } from "./session.js";

const ADDRESS = 3;
const DNS = 129;
const SECOND_DNS = 131;
const INTERFACE_IDENTIFIER = 1;

export class Ipcp implements ControlProtocol {
  readonly protocol = PPP_IPCP;
  address = 0;
  peer = 0;
  /** First and second name server; -1: the peer knows no such option. */
  readonly servers = [0, 0];

  constructor(private readonly session: PppSession) {}

  begin(): void {
    this.address = this.peer = this.servers[0] = this.servers[1] = 0;
  }

  request(data: Uint8Array, at: number): number {
    put16(data, at, (ADDRESS << 8) | 6);
    put32(data, at + 2, this.address);
    at += 6;
    for (let i = 0; i < 2; i++) {
      if (this.servers[i] === -1) continue;
      put16(data, at, ((i ? SECOND_DNS : DNS) << 8) | 6);
      put32(data, at + 2, this.servers[i]);
      at += 6;
    }
    return at;
  }

  reset(): void {
    this.peer = 0;
  }

  judge(type: number, data: Uint8Array, at: number, length: number): number {
    if (type !== ADDRESS || length !== 6) return REFUSE;
    const peer = get32(data, at + 2);
    // We give no addresses.
    if (isMartian4(peer) || peer === this.address) return REFUSE;
    this.peer = peer;
    return ACCEPT;
  }

  suggested(type: number, data: Uint8Array, at: number, length: number, refused: boolean): void {
    const value = length === 6 ? get32(data, at + 2) : 0;
    if (type === ADDRESS) {
      if (refused || isMartian4(value)) this.failed();
      else this.address = value;
    } else if (type === DNS || type === SECOND_DNS) {
      this.servers[type === DNS ? 0 : 1] = refused || isMartian4(value) ? -1 : value;
    }
  }

  opened(): void {
    if (isMartian4(this.address)) this.failed();
    else this.session.up4();
  }

  lost(): void {
    this.session.down4();
  }

  failed(): void {
    this.session.refused(4);
  }

  send(protocol: number, data: Uint8Array, start: number, end: number): void {
    this.session.send(protocol, data, start, end);
  }
}

export class Ipv6cp implements ControlProtocol {
  readonly protocol = PPP_IPV6CP;
  /** Ours and the peer's interface identifier. */
  readonly identifier = new Uint8Array(8);
  readonly peer = new Uint8Array(8);

  constructor(private readonly session: PppSession) {}

  begin(): void {
    this.randomise();
    this.reset();
  }

  request(data: Uint8Array, at: number): number {
    put16(data, at, (INTERFACE_IDENTIFIER << 8) | 10);
    for (let i = 0; i < 8; i++) data[at + 2 + i] = this.identifier[i];
    return at + 10;
  }

  reset(): void {
    for (let i = 0; i < 8; i++) this.peer[i] = 0;
  }

  judge(type: number, data: Uint8Array, at: number, length: number, refuse: boolean): number {
    if (type !== INTERFACE_IDENTIFIER || length !== 10) return REFUSE;
    let zero = true;
    let same = true;
    for (let i = 0; i < 8; i++) {
      const byte = data[at + 2 + i];
      this.peer[i] = byte;
      if (byte !== 0) zero = false;
      if (byte !== this.identifier[i]) same = false;
    }
    if (!zero && !same) return ACCEPT;
    if (refuse) return REFUSE;
    const host = this.session.stack.host;
    for (let i = 2; i < 10; i += 4) put32(data, at + i, host.random32());
    data[at + 2] &= 0xfc;
    return SUGGEST;
  }

  suggested(_type: number, data: Uint8Array, at: number, length: number, refused: boolean): void {
    if (refused || length !== 10) this.failed();
    else {
      let zero = true;
      for (let i = 0; i < 8; i++) {
        this.identifier[i] = data[at + 2 + i];
        if (this.identifier[i] !== 0) zero = false;
      }
      if (zero) this.randomise();
    }
  }

  opened(): void {
    this.session.up6();
  }

  lost(): void {
    this.session.down6();
  }

  failed(): void {
    this.session.refused(2);
  }

  send(protocol: number, data: Uint8Array, start: number, end: number): void {
    this.session.send(protocol, data, start, end);
  }

  /** An identifier that says nothing of the hardware; its "universal" bit is clear. */
  private randomise(): void {
    const host = this.session.stack.host;
    put32(this.identifier, 0, host.random32());
    put32(this.identifier, 4, host.random32() | 1);
    this.identifier[0] &= 0xfc;
  }
}

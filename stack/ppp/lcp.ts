/** The link control protocol's options as we want and take them (RFC 1661 section 6, RFC 2516 section 7). */
import { get16, get32, put16, put32 } from "../core/bytes.js";
import { PPP_CHAP, PPP_LCP, PPP_PAP } from "../wire/ppp.js";
import { ACCEPT, REFUSE, SUGGEST } from "./negotiation.js";
import type { ControlProtocol } from "./negotiation.js";
import type { PppSession } from "./session.js";

const MRU = 1;
const AUTHENTICATION = 3;
const MAGIC = 5;
const CHAP_MD5 = 5;
/** Times that the peer may have our own magic number before the line is taken for a loop. */
const LOOPS = 5;

export class Lcp implements ControlProtocol {
  readonly protocol = PPP_LCP;
  magic = 0;
  /** What the peer receives at most. */
  peerMru = 1500;
  /** How we are to say who we are: `PPP_PAP`, `PPP_CHAP` or 0. */
  authentication = 0;
  private mru = 0;
  private wantsMagic = true;
  private loops = 0;

  constructor(private readonly session: PppSession) {}

  begin(): void {
    this.mru = this.session.mru;
    this.wantsMagic = true;
    this.loops = 0;
    this.magic = this.session.stack.host.random32();
    this.reset();
  }

  request(data: Uint8Array, at: number): number {
    if (this.mru !== 0) {
      put16(data, at, (MRU << 8) | 4);
      put16(data, at + 2, this.mru);
      at += 4;
    }
    if (this.wantsMagic) {
      put16(data, at, (MAGIC << 8) | 6);
      put32(data, at + 2, this.magic);
      at += 6;
    }
    return at;
  }

  reset(): void {
    this.peerMru = 1500;
    this.authentication = 0;
  }

  judge(type: number, data: Uint8Array, at: number, length: number, refuse: boolean): number {
    if (type === MRU && length === 4) {
      const mru = get16(data, at + 2);
      // Whatever it is, each must be able to receive 1500 (RFC 1661 section 6.1): smaller is a wish that we heed.
      if (mru >= 128) this.peerMru = mru;
      return ACCEPT;
    }
    if (type === MAGIC && length === 6) {
      if (get32(data, at + 2) !== this.magic || this.magic === 0) return ACCEPT;
      if (++this.loops >= LOOPS) {
        this.session.counters.loopedBack++;
        this.session.down("looped");
        return REFUSE;
      }
      put32(data, at + 2, (this.magic = this.session.stack.host.random32()));
      return refuse ? REFUSE : SUGGEST;
    }
    if (type === AUTHENTICATION && length >= 4) {
      const protocol = get16(data, at + 2);
      const options = this.session.options;
      const chap = options.user !== undefined && options.md5 !== undefined;
      const pap = options.user !== undefined && options.pap !== false;
      if (protocol === PPP_CHAP && chap && length === 5 && data[at + 4] === CHAP_MD5) {
        this.authentication = PPP_CHAP;
        return ACCEPT;
      }
      if (protocol === PPP_PAP && pap && length === 4) {
        this.authentication = PPP_PAP;
        return ACCEPT;
      }
      if (refuse || (!chap && !pap)) return REFUSE;
      // What we can is suggested as far as it is as long: a suggestion lies in the place of the option.
      if (chap && length === 5) {
        put16(data, at + 2, PPP_CHAP);
        data[at + 4] = CHAP_MD5;
        return SUGGEST;
      }
      if (pap && length === 4) {
        put16(data, at + 2, PPP_PAP);
        return SUGGEST;
      }
      return REFUSE;
    }
    return REFUSE;
  }

  suggested(type: number, data: Uint8Array, at: number, length: number, refused: boolean): void {
    if (type === MRU) {
      const mru = length === 4 && !refused ? get16(data, at + 2) : 0;
      this.mru = mru >= 128 && mru <= this.session.mru ? mru : 0;
    } else if (type === MAGIC) {
      if (refused) {
        this.wantsMagic = false;
        this.magic = 0;
      } else if (++this.loops >= LOOPS) {
        this.session.counters.loopedBack++;
        this.session.down("looped");
      } else this.magic = this.session.stack.host.random32();
    }
  }

  opened(): void {
    this.session.established();
  }

  lost(): void {
    this.session.disestablished();
  }

  failed(ended?: boolean): void {
    this.session.down(ended ? "peer" : "lcp");
  }

  send(protocol: number, data: Uint8Array, start: number, end: number): void {
    this.session.send(protocol, data, start, end);
  }
}

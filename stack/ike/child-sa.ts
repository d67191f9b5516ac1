/** A child SA (RFC 7296 section 1.3) as it is handed to whoever encrypts: ESP's two directions, with keys and selectors. */
import { erase } from "../../hypercall/crypto.js";
import { Timer } from "../core/timers.js";
import type { ChildSettings } from "./configuration.js";
import type { Connection } from "./connection.js";
import type { IkeSa } from "./ike-sa.js";
import type { Selector } from "./selectors.js";

/** One direction's key. */
export interface ChildKey {
  /** The cipher's key, with an AEAD's salt behind it. */
  readonly encryption: Uint8Array;
  /** The key of the integrity algorithm; empty for an AEAD. */
  readonly integrity: Uint8Array;
}

export class ChildSa {
  /** SPIs as int32: ours, which the peer sends to, and the peer's. */
  spiIn = 0;
  spiOut = 0;
  /** Names of the host's ciphers, as in `CryptoHypercalls`; `integrity` is `""` for an AEAD. */
  encryption = "";
  integrity = "";
  /** Bytes of salt at the end of `ChildKey.encryption`. */
  salt = 0;
  /** Extended sequence numbers. */
  esn = false;
  tunnel = true;
  inbound: ChildKey | null = null;
  outbound: ChildKey | null = null;
  localSelectors: Selector[] = [];
  remoteSelectors: Selector[] = [];
  /** The tunnel's ends, and where ESP goes as UDP; ports 0: ESP is a protocol of its own. */
  local = "";
  remote = "";
  localPort = 0;
  remotePort = 0;
  /** It has been replaced, or is going to be deleted. */
  ending = false;
  /** What the sink keeps of it. */
  handle: unknown = null;
  /** The child that takes its place. */
  successor: ChildSa | null = null;
  readonly timer: Timer;

  constructor(
    /** The IKE SA that it hangs on: another after a rekey. */
    public sa: IkeSa,
    readonly settings: ChildSettings,
    fire: (child: ChildSa) => void,
  ) {
    this.timer = new Timer(fire, this);
  }

  /** Forgets the keys: the sink has its own. */
  eraseKeys(): void {
    const keys = [this.inbound, this.outbound];
    for (let i = 0; i < 2; i++) {
      const key = keys[i];
      if (!key) continue;
      erase(key.encryption);
      erase(key.integrity);
    }
    this.inbound = this.outbound = null;
  }
}

/** Who encrypts: IKE negotiates for it. IPsec's ESP is one. */
export interface ChildSink {
  /** The stack starts: IKE's own datagrams (UDP ports 500 and 4500) are to pass. */
  start(): void;
  /** An SPI that no SA of this host has, an int32 that is not 0..255; 0: there is none. */
  spi(): number;
  /**
   * Takes a child SA: receives with it from now on, and sends with it unless it replaces another (`activate` follows). Keys are copied.
   *
   * @returns 0 or a code: the child is not made then
   */
  install(child: ChildSa, replaces: ChildSa | null): number;
  /** Sends with it from now on: the peer has it too. */
  activate(child: ChildSa): void;
  /** The ends have moved (a NAT, MOBIKE). */
  update(child: ChildSa): void;
  /** It ends. Legal for one that was not installed. */
  remove(child: ChildSa): void;
  /** The application has closed the connection: its children end, or have ended. */
  closed?(connection: Connection): void;
  /** The stack closes; all children have been removed. */
  close(): void;
  /** True when something authentic has come with it since the last call: the peer is alive. */
  heard?(child: ChildSa): boolean;
}

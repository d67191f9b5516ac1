/** A security association (RFC 4301 section 4.4.2): one direction, its keys, its numbers, its end. */
import { fail, requireInteger, setting } from "../core/errors.js";
import type { Interface } from "../core/interface.js";
import type { Network, Path } from "../core/network.js";
import { get32 } from "../core/bytes.js";
import { parse4 } from "../core/text4.js";
import { parse6 } from "../core/text6.js";
import type { Stack } from "../core/stack.js";
import type { Timer } from "../core/timers.js";
import { SPI_LEAST } from "../wire/esp.js";
import type { Policy } from "./policy.js";
import { ReplayWindow } from "./replay.js";
import { Selector } from "./selector.js";
import type { SelectorOptions } from "./selector.js";
import { Transform } from "./transform.js";
import type { TransformOptions } from "./transform.js";

export const TRANSPORT = 0;
export const TUNNEL = 1;
export const BEET = 2;

/** When an SA is to be replaced (soft), and when it ends (hard). Undefined: never. */
export interface Lifetime {
  softSeconds?: number;
  hardSeconds?: number;
  softPackets?: number;
  hardPackets?: number;
  /** Of what the SA protects, its own headers not counted. */
  softBytes?: number;
  hardBytes?: number;
}

export interface SaOptions extends TransformOptions {
  direction: "in" | "out";
  /** 256..2^32-1. Inbound ones are this host's to choose: see `ipsec.freeSpi`. */
  spi: number;
  /** Default `"esp"`. */
  protocol?: "esp" | "ah";
  /** Default `"tunnel"`. */
  mode?: "transport" | "tunnel" | "beet";
  /** This host's address on the wire, and the peer's. Both of one family. */
  local: string;
  remote: string;
  /** The policy whose traffic it carries. Without one, and without `interface`, an inbound SA takes nothing. */
  policy?: Policy;
  /** Route-based: the interface (`ipsecLink`) that its traffic comes from and goes to, whatever the policies say. */
  interface?: Interface;
  /** Narrower than the policy's: what was negotiated. */
  selector?: SelectorOptions;
  /** BEET: the addresses that both ends see. */
  innerLocal?: string;
  innerRemote?: string;
  /** Extended sequence numbers of 64 bits. Default false. */
  esn?: boolean;
  /** Anti-replay window of an inbound SA: 0 (none), or a power of two from 32 to 4096. Default 128. */
  window?: number;
  /** ESP in UDP (RFC 3948): ports of both ends. Needs the component `natTraversal`. */
  encapsulation?: { localPort: number; remotePort: number };
  /** Inbound with encapsulation: the peer's address follows authentic packets to the outbound SA `pair`. Default null. */
  pair?: Sa;
  lifetime?: Lifetime;
  /** Outer DF of an IPv4 tunnel: the inner one's, or always, or never. Default `"copy"`; IPv6 inside counts as DF. */
  df?: "copy" | "set" | "clear";
  /** The outer DSCP is the inner one's. Default true; else 0. */
  dscp?: boolean;
  /** Traffic flow confidentiality: inner packets of tunnels are padded up to this many bytes. Default 0. */
  padTo?: number;
}

export class Sa {
  hash: number;
  nextInBucket: this | null = null;
  readonly spi: number;
  readonly outbound: boolean;
  readonly ah: boolean;
  readonly mode: number;
  readonly esn: boolean;
  readonly transform: Transform;
  readonly window: ReplayWindow;
  readonly policy: Policy | null;
  readonly nif: Interface | null;
  readonly selector: Selector | null;
  readonly lifetime: Lifetime;
  readonly df: string;
  readonly dscp: boolean;
  readonly padTo: number;
  readonly pair: Sa | null;
  /** The network on the wire, and the way to the peer. */
  readonly net: Network;
  readonly path: Path;
  /** Ports of ESP in UDP, 0: none. */
  localPort = 0;
  remotePort = 0;
  /** BEET: inner family, and its addresses, local then remote. */
  readonly innerFamily: number;
  readonly inner: Uint8Array;
  /** Outbound: the number that was sent last. */
  low = 0;
  high = 0;
  packets = 0;
  bytes = 0;
  /** Stack time of its beginning, and of the last packet. */
  readonly since: number;
  used = 0;
  /** The application has been told of its soft end. */
  told = false;
  closed = false;
  /** Of lifetimes in seconds. */
  timer: Timer | null = null;

  /** @param patient there is a queue for ciphers that answer later */
  constructor(stack: Stack, options: SaOptions, patient: boolean) {
    const crypto = stack.host.calls.crypto;
    if (!crypto) fail("ENOPROTOOPT", "the host has no crypto");
    if (options.direction !== "in" && options.direction !== "out") fail("EINVAL", "direction");
    this.spi = requireInteger(options.spi, SPI_LEAST, 0xffffffff, "spi") | 0;
    this.hash = this.spi;
    this.outbound = options.direction === "out";
    this.ah = choice(options.protocol, ["esp", "ah"], 0, "protocol") === 1;
    this.mode = choice(options.mode, ["transport", "tunnel", "beet"], TUNNEL, "mode");
    this.esn = options.esn === true;
    const size = setting(options.window, 128, 0, 4096, "window");
    if ((size & (size - 1)) !== 0 || (size !== 0 && size < 32) || (this.esn && size === 0))
      fail("EINVAL", "window");
    this.window = new ReplayWindow(this.outbound ? 0 : size, this.esn);
    this.policy = options.policy || null;
    this.nif = options.interface || null;
    this.selector = options.selector ? new Selector(options.selector) : null;
    this.lifetime = checkLifetime(options.lifetime || {});
    this.df = ["copy", "set", "clear"][choice(options.df, ["copy", "set", "clear"], 0, "df")];
    this.dscp = options.dscp !== false;
    this.padTo = setting(options.padTo, 0, 0, 65535, "padTo");
    this.pair = options.pair || null;
    const udp = options.encapsulation;
    if (udp) {
      if (this.ah) fail("EINVAL", "encapsulation");
      this.localPort = requireInteger(udp.localPort, 1, 65535, "localPort");
      this.remotePort = requireInteger(udp.remotePort, 1, 65535, "remotePort");
    }
    this.innerFamily = 0;
    this.inner = new Uint8Array(32);
    if (this.mode === BEET) {
      if (this.ah) fail("EINVAL", "beet is ESP's");
      const local = address(this.inner, 0, options.innerLocal, "innerLocal");
      if (local !== address(this.inner, local === 4 ? 4 : 16, options.innerRemote, "innerRemote")) {
        fail("EINVAL", "innerRemote");
      }
      this.innerFamily = local;
    }
    const six = typeof options.remote === "string" && options.remote.indexOf(":") >= 0;
    const net = stack.network(six ? 6 : 4);
    if (!net) fail("EAFNOSUPPORT", "remote");
    this.net = net;
    this.path = net.createPath();
    if (net.setRemote(this.path, options.remote) < 0) fail("EINVAL", "remote");
    if (net.setLocal(this.path, options.local) < 0) fail("EADDRNOTAVAIL", "local");
    this.since = this.used = stack.now();
    // Last: whoever has failed before holds no key.
    this.transform = new Transform(crypto, options, this.ah, patient);
  }

  /** Ends it: no packet more, its keys are erased. */
  close(): void {
    this.closed = true;
    this.transform.close();
  }

  /** Counts a packet; true: this was the last that it may carry. */
  count(bytes: number): boolean {
    const life = this.lifetime;
    this.packets++;
    this.bytes += bytes;
    return reached(this.packets, life.hardPackets) || reached(this.bytes, life.hardBytes);
  }

  /** Has its soft end come, by what it has carried? */
  soft(): boolean {
    const life = this.lifetime;
    return reached(this.packets, life.softPackets) || reached(this.bytes, life.softBytes);
  }
}

function reached(value: number, limit: number | undefined): boolean {
  return limit !== undefined && value >= limit;
}

function choice(value: string | undefined, names: readonly string[], standard: number, what: string): number {
  if (value === undefined) return standard;
  const at = names.indexOf(value);
  return at < 0 ? fail("EINVAL", what) : at;
}

/** The longest lifetime in seconds: half of the clock's wrap, less than 24 days. */
const LONGEST = 2000000;

function checkLifetime(life: Lifetime): Lifetime {
  const most = 9007199254740991;
  return {
    softSeconds: limit(life.softSeconds, LONGEST, "softSeconds"),
    hardSeconds: limit(life.hardSeconds, LONGEST, "hardSeconds"),
    softPackets: limit(life.softPackets, most, "softPackets"),
    hardPackets: limit(life.hardPackets, most, "hardPackets"),
    softBytes: limit(life.softBytes, most, "softBytes"),
    hardBytes: limit(life.hardBytes, most, "hardBytes"),
  };
}

function limit(value: number | undefined, most: number, what: string): number | undefined {
  return value === undefined ? value : requireInteger(value, 1, most, what);
}

/** Writes an address; returns its family. */
function address(target: Uint8Array, at: number, text: string | undefined, what: string): number {
  const six = text !== undefined ? parse6(text) : null;
  if (six) {
    target.set(six, at);
    return 6;
  }
  const four = parse4(text as string);
  if (four === null) return fail("EINVAL", what);
  for (let i = 0; i < 4; i++) target[at + i] = four >> (24 - i * 8);
  return get32(target, at) === four ? 4 : 0;
}

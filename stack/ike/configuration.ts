/** What the application says of its peers, checked and completed: see `ConnectionOptions`. */
import { fail, setting } from "../core/errors.js";
import type { Algorithms } from "./algorithms.js";
import type { Connection } from "./connection.js";
import type { ChildSa } from "./child-sa.js";
import { parseIdentity, textBytes } from "./identity.js";
import type { Identity } from "./identity.js";
import { addressBytes, parseSelector } from "./selectors.js";
import type { Selector } from "./selectors.js";
import type { Authentication, PostquantumKey } from "./features.js";

export interface ChildOptions {
  /**
   * What is protected on our side and on the peer's: `"10.1.0.0/16"`, `"10.1.0.5[tcp/80]"`. Default: the two ends' own addresses, or the
   * virtual address that the peer has given us.
   */
  local?: string[];
  remote?: string[];
  /** `"tunnel"` (default) or `"transport"`. */
  mode?: "tunnel" | "transport";
  /** Best first, as `"aes256gcm16-x25519"`; a group in it means a key exchange of its own for each rekey. Default: all that is good. */
  proposals?: string[];
  /** Seconds until it is rekeyed, 60 and more; 0: never. Default 3600, less up to a tenth by chance. */
  rekey?: number;
}

export interface ConnectionOptions {
  /** The peer's address. Without it the connection waits for anybody who can prove to be `remoteIdentity`. */
  remote?: string;
  /** Our address. Default: what the route to the peer says. */
  local?: string;
  /** The secret that both know: bytes, or a text of characters below 256. Either this or `auth`. */
  psk?: string | Uint8Array;
  /** Another way to prove who one is: `certificateAuth(...)`, `rawKeyAuth(...)`. */
  auth?: Authentication;
  /** A secret besides, against those who will break the key exchange one day: `postquantumKey(...)`. */
  ppk?: PostquantumKey;
  /** Who we are: an address, a host's name, an e-mail address; bytes are an opaque key identifier. Default: what `auth` says, or our address. */
  identity?: string | Uint8Array | Identity;
  /** Who the peer must prove to be. Default: the one with the address `remote`; with a PSK and no `remote`, anybody who knows it. */
  remoteIdentity?: string | Uint8Array | Identity;
  /** Best first, as `"aes256gcm16-prfsha384-x25519"`. Default: all that is good. */
  proposals?: string[];
  /** Default: one, with all defaults; `[]`: none (RFC 6023). */
  children?: ChildOptions[];
  /** Begins at once, and again whenever it has ended. Default: true where `remote` is given. */
  start?: boolean;
  /** Seconds until the IKE SA is rekeyed, 60 and more; 0: never. Default 14400, less up to a tenth by chance. */
  rekey?: number;
  /** Seconds of silence after which the peer is asked whether it lives; 0: never. Default 30. */
  dpd?: number;
  /** First wait for an answer, ms, doubled each time, and how often a request is sent. Default 1000 and 6: 63 s in all. */
  retransmit?: number;
  attempts?: number;
  /** ESP goes inside UDP though no NAT is in the way (some firewalls know no ESP). Default false. */
  encapsulate?: boolean;
  /** It was made, it has ended, or it could not be made: see `ConnectionState`. */
  onState?(connection: Connection, state: string, code: number, notification: number): void;
  /** A child SA is there (`up` true), or gone. Rekeyed ones are told as well: the new one first. */
  onChild?(connection: Connection, child: ChildSa, up: boolean): void;
}

/** A child's options, complete. */
export interface ChildSettings {
  /** null: the ends' own addresses. */
  readonly local: Selector[] | null;
  readonly remote: Selector[] | null;
  readonly tunnel: boolean;
  readonly suites: number[][];
  readonly rekey: number;
  /** What the sink keeps of it. */
  handle: unknown;
}

export interface Settings {
  readonly remote: string;
  readonly local: string;
  readonly auth: Authentication | null;
  readonly psk: Uint8Array | null;
  readonly ppk: PostquantumKey | null;
  readonly identity: Identity | null;
  readonly remoteIdentity: Identity | null;
  readonly suites: number[][];
  readonly children: ChildSettings[];
  readonly start: boolean;
  readonly rekey: number;
  readonly dpd: number;
  readonly retransmit: number;
  readonly attempts: number;
  readonly encapsulate: boolean;
}

const LONGEST_PERIOD = 2000000;

/** Checks the options of a connection; throws `EINVAL` and what is wrong, `EOPNOTSUPP` for what the host cannot do. */
export function complete(options: ConnectionOptions, known: Algorithms): Settings {
  const remote = options.remote === undefined ? "" : address(options.remote, "remote");
  const local = options.local === undefined ? "" : address(options.local, "local");
  const psk = options.psk === undefined ? null : secret(options.psk);
  const auth = options.auth || null;
  if ((psk === null) === (auth === null)) fail("EINVAL", "psk or auth");
  const identity = options.identity === undefined ? null : parseIdentity(options.identity, "identity");
  let remoteIdentity =
    options.remoteIdentity === undefined ? null : parseIdentity(options.remoteIdentity, "remoteIdentity");
  if (!remoteIdentity && remote) remoteIdentity = parseIdentity(remote, "remote");
  if (!remoteIdentity && auth) fail("EINVAL", "remoteIdentity");
  const start = options.start === undefined ? remote !== "" : options.start === true;
  if (start && !remote) fail("EINVAL", "remote");
  const children: ChildSettings[] = [];
  const list = options.children || [{}];
  for (let i = 0; i < list.length; i++) children.push(completeChild(list[i], known));
  return {
    remote,
    local,
    psk,
    ppk: options.ppk || null,
    auth,
    identity: identity || (auth && auth.identity) || null,
    remoteIdentity,
    suites: suites(options.proposals, known, false),
    children,
    start,
    rekey: period(options.rekey, 14400, "rekey"),
    dpd: setting(options.dpd, 30, 0, 86400, "dpd") * 1000,
    retransmit: setting(options.retransmit, 1000, 10, 60000, "retransmit"),
    attempts: setting(options.attempts, 6, 1, 20, "attempts"),
    encapsulate: options.encapsulate === true,
  };
}

function completeChild(options: ChildOptions, known: Algorithms): ChildSettings {
  const mode = options.mode || "tunnel";
  if (mode !== "tunnel" && mode !== "transport") fail("EINVAL", "mode");
  return {
    local: selectors(options.local),
    remote: selectors(options.remote),
    tunnel: mode === "tunnel",
    suites: suites(options.proposals, known, true),
    rekey: period(options.rekey, 3600, "rekey"),
    handle: null,
  };
}

function suites(texts: string[] | undefined, known: Algorithms, esp: boolean): number[][] {
  if (texts === undefined) return known.standard(esp);
  const list: number[][] = [];
  for (let i = 0; i < texts.length; i++) list.push(known.parse(texts[i], esp));
  return list.length > 0 && list.length <= 16 ? list : fail("EINVAL", "proposals");
}

function selectors(texts: string[] | undefined): Selector[] | null {
  if (texts === undefined) return null;
  const list: Selector[] = [];
  for (let i = 0; i < texts.length; i++) list.push(parseSelector(texts[i]));
  return list.length > 0 && list.length <= 16 ? list : fail("EINVAL", "selectors");
}

function period(value: number | undefined, standard: number, what: string): number {
  const seconds = setting(value, standard, 0, LONGEST_PERIOD, what);
  return seconds === 0 || seconds >= 60 ? seconds * 1000 : fail("EINVAL", what);
}

function address(text: string, what: string): string {
  return addressBytes(text) ? text : fail("EINVAL", what);
}

function secret(psk: string | Uint8Array): Uint8Array {
  const bytes = typeof psk === "string" ? textBytes(psk) : psk;
  if (!(bytes instanceof Uint8Array) || bytes.length === 0) fail("EINVAL", "psk");
  const own = new Uint8Array(bytes.length);
  own.set(bytes, 0);
  return own;
}

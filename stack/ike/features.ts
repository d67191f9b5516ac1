/** What may be added to IKE, each by an import of its own: the seams. Where one is absent its bytes are too. */
import type { Connection } from "./connection.js";
import type { Identity } from "./identity.js";
import type { IkeSa } from "./ike-sa.js";
import type { Message, Writer } from "./message.js";
import type { DatagramInfo } from "../core/datagrams.js";
import type { Ike } from "./ike.js";

/** A way to prove who one is, other than a shared secret. */
export interface Authentication {
  /** Who we are by it, or null. */
  readonly identity: Identity | null;
  /** Reads keys and certificates, before all else; throws `EINVAL`, `EOPNOTSUPP`. */
  prepare(ike: Ike): void;
  /** Adds to IKE_SA_INIT what the peer must know in time. */
  announce(ike: Ike, out: Writer, responder: boolean): void;
  /** Adds CERT payloads (and, of the initiator, CERTREQ) before AUTH. */
  present(sa: IkeSa, out: Writer): void;
  /** Signs `octets`; gives the body of an AUTH payload, or null. */
  sign(sa: IkeSa, octets: Uint8Array, done: (auth: Uint8Array | null) => void): void;
  /** Is the message's AUTH payload a signature of `octets` by `identity`, whom we trust? */
  verify(
    sa: IkeSa,
    message: Message,
    identity: Identity,
    octets: Uint8Array,
    done: (good: boolean) => void,
  ): void;
}

/** A secret beside the key exchange (RFC 8784). */
export interface PostquantumKey {
  /** What PPK_IDENTITY says of it. */
  readonly name: Uint8Array;
  /** No IKE SA comes to be without it. */
  readonly required: boolean;
  /** Mixes it into SK_d, SK_pi and SK_pr; these as they were. */
  mix(sa: IkeSa): Uint8Array[];
  /** Erases what `mix` gave; where the key is not used puts it back before. */
  restore(sa: IkeSa, former: Uint8Array[], used: boolean): void;
  /**
   * Responder, at IKE_AUTH: mixes `own` in where the peer has used it, or turns to the peer's proof without such a key; false: neither
   * may be.
   */
  judge(sa: IkeSa, message: Message, own: PostquantumKey | null): boolean;
}

/** Key exchanges beside the first (RFC 9370), in exchanges of their own before IKE_AUTH (RFC 9242). */
export interface KeyExchanges {
  /** Adds to IKE_SA_INIT that we know of such exchanges, where a suite has one. */
  announce(suites: number[][], out: Writer): void;
  /** Is this a suite that can be, with the peer that has sent `message` in IKE_SA_INIT? */
  possible(suite: number[], message: Message): boolean;
  /** The keys of IKE_SA_INIT are there: sets `sa.steps`, which come first. */
  begin(sa: IkeSa): void;
  /** Responder: IKE_INTERMEDIATE, while there are steps. */
  answer(sa: IkeSa, message: Message): void;
  /** Methods of the additional key exchanges that a suite has. */
  methods(suite: number[]): number[];
  /**
   * Rekey, who began it: makes those of `suite`, one after the other (IKE_FOLLOWUP_KE). `done` is given all their secrets, or null: it
   * cannot be.
   */
  follow(sa: IkeSa, suite: number[], link: Uint8Array, done: (secrets: Uint8Array | null) => void): Following;
  /** Rekey, the other: says in the answer `out` that they are to follow, and waits for them in `sa.pending`. */
  expect(
    sa: IkeSa,
    suite: number[],
    out: Writer,
    done: (secrets: Uint8Array) => void,
    aborted: () => void,
  ): boolean;
  /** A request that follows. */
  followed(sa: IkeSa, message: Message): void;
  /** What AUTH covers besides. */
  octets(sa: IkeSa): Uint8Array;
}

/** Key exchanges that follow, in the making. */
export interface Following {
  answer(sa: IkeSa, message: Message): void;
  abort(): void;
}

/** The other role: answers those who begin. */
export interface Responder {
  /** A request to begin an IKE SA, from `info`. */
  input(ike: Ike, message: Message, info: DatagramInfo, port: number): void;
  authenticate(sa: IkeSa, message: Message): void;
  close(): void;
}

/** Messages in fragments of their own (RFC 7383). */
export interface Fragmentation {
  /** Seals a chain in as many messages as it takes; null: it fits one. */
  split(sa: IkeSa, exchange: number, flags: number, id: number, chain: Writer): Uint8Array[] | null;
  /** Takes a fragment; the whole message's payloads where it was the last, else null. */
  join(sa: IkeSa, message: Message): { first: number; data: Uint8Array } | null;
  /** Nothing is to come any more for this SA. */
  forget(sa: IkeSa): void;
}

/** Virtual addresses (RFC 7296 section 2.19). */
export interface Addresses {
  /** Initiator: asks for them. */
  request(sa: IkeSa, out: Writer): void;
  /** Initiator: takes what was given. */
  take(sa: IkeSa, message: Message): void;
  /** Responder: answers, where the message asks; the notification of an error, or 0. */
  assign(sa: IkeSa, message: Message, out: Writer): number;
  release(sa: IkeSa): void;
}

/** Peers are sent elsewhere, and go (RFC 5685). */
export interface Redirection {
  /** Adds to IKE_SA_INIT that we would go. */
  announce(sa: IkeSa, out: Writer): void;
  /**
   * Client: does an answer, or a request of later, send us elsewhere? True: no more is to be done with it.
   *
   * @param clear it is IKE_SA_INIT's, which nobody has signed
   */
  answered(sa: IkeSa, message: Message, clear: boolean): boolean;
  /** Gateway, at IKE_SA_INIT: sends who begins elsewhere, and keeps nothing of it; false: it may stay. */
  begins(ike: Ike, message: Message, info: DatagramInfo, port: number, nonce: Uint8Array): boolean;
  /** Gateway: reads whether the peer would go. */
  learn(sa: IkeSa, message: Message): void;
  /** Gateway, at IKE_AUTH: the peer has proven who it is; true: `out` says where it is to go. */
  proven(sa: IkeSa, out: Writer): boolean;
  /**
   * Gateway, at any time: sends the peer of `sa` to `gateway`, an address or a host's name. False: it does not know how to go, or too many
   * requests wait. Throws `EINVAL`.
   */
  send(sa: IkeSa, gateway: string): boolean;
}

/** A peer may move (RFC 4555). */
export interface Mobility {
  announce(sa: IkeSa, out: Writer): void;
  /** Reads what the message says of it, at IKE_AUTH and in a request of any time; adds to the answer `out`. */
  input(sa: IkeSa, message: Message, out: Writer | null, info: DatagramInfo | null): void;
  /** Tells the peer that we are elsewhere. */
  move(connection: Connection, local: string): void;
  /** Tells all peers which addresses this host has, beside the one that each uses. Throws `EINVAL`. */
  offer(vpn: Ike, addresses: string[]): void;
  /** Calls `visit` for each way to the peer, the one in use first. */
  ways(sa: IkeSa, visit: (local: string, remote: string) => void): void;
  /** An answer has come by this way, after its request was sent by all. */
  arrived(sa: IkeSa, local: string, remote: string): void;
}

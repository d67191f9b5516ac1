/** IKE fragmentation (RFC 7383): messages that are larger than the way carries go as several that are each authentic. */
import { get16 } from "../core/bytes.js";
import { setting } from "../core/errors.js";
import * as wire from "../wire/ike.js";
import type { Fragmentation } from "./features.js";
import type { IkeSa } from "./ike-sa.js";
import { MAXIMUM_MESSAGE } from "./message.js";
import type { Message, Writer } from "./message.js";

export interface FragmentationOptions {
  /** Bytes of an IP packet that a fragment makes at most, 576..9000. Default 1280, which every IPv6 link carries. */
  size?: number;
}

/** Fragments of one message at most: what is authentic is not yet reasonable. */
const FRAGMENTS = 16;
/** Fragment number and total. */
const NUMBERS = 4;

/** What has come of a message. */
interface Partial {
  readonly id: number;
  readonly exchange: number;
  readonly response: boolean;
  readonly total: number;
  readonly parts: (Uint8Array | null)[];
  /** The type of the first payload, which fragment 1 knows. */
  first: number;
  count: number;
  bytes: number;
}

class Fragments implements Fragmentation {
  constructor(private readonly size: number) {}

  split(sa: IkeSa, exchange: number, flags: number, id: number, chain: Writer): Uint8Array[] | null {
    const overhead = sa.remote.indexOf(":") >= 0 ? 48 : 28;
    const size = this.size - overhead - (sa.localPort === wire.IKE_PORT ? 0 : wire.NON_ESP_MARKER);
    const out = sa.outbound!;
    if (chain.length <= out.capacity(size, 0)) return null;
    const room = out.capacity(size, NUMBERS);
    const total = Math.ceil(chain.length / room);
    const packets: Uint8Array[] = [];
    for (let number = 1; number <= total; number++) {
      const from = (number - 1) * room;
      const to = from + room < chain.length ? from + room : chain.length;
      const first = number === 1 ? chain.first : wire.PAYLOAD_NONE;
      const part = (number << 16) | total;
      const packet = out.seal(sa.spiI, sa.spiR, exchange, flags, id, first, chain.data, from, to, part);
      if (!packet) return null;
      packets.push(packet);
    }
    return packets;
  }

  join(sa: IkeSa, message: Message): { first: number; data: Uint8Array } | null {
    const counters = sa.ike.counters;
    const last = message.types.length - 1;
    const at = message.starts[last];
    const raw = message.raw;
    const number = get16(raw, at);
    const total = get16(raw, at + 2);
    const first = raw[at - wire.PAYLOAD_HEADER];
    if (number < 1 || number > total || total > FRAGMENTS) {
      counters.malformed++;
      return null;
    }
    // Nothing is kept that is not authentic.
    const inbound = sa.inbound!;
    if (!inbound.open(raw, at + NUMBERS, message.ends[last])) {
      counters.unauthentic++;
      return null;
    }
    if (number === 1 && !message.response()) sa.remember(raw);
    let held = sa.partial as Partial | null;
    const same =
      held &&
      held.id === message.id &&
      held.exchange === message.exchange &&
      held.response === message.response();
    // Cut anew into smaller ones, it begins anew; older, larger ones are late (section 2.6).
    if (held && same && total < held.total) return null;
    if (!held || !same || total > held.total) {
      const parts: null[] = [];
      for (let i = 0; i < total; i++) parts.push(null);
      held = {
        id: message.id,
        exchange: message.exchange,
        response: message.response(),
        total,
        parts,
        first: 0,
        count: 0,
        bytes: 0,
      };
      sa.partial = held;
    }
    if (held.parts[number - 1]) return null;
    const part = raw.subarray(inbound.opened.from, inbound.opened.till);
    held.bytes += part.length;
    if (held.bytes > MAXIMUM_MESSAGE) {
      sa.partial = null;
      counters.malformed++;
      return null;
    }
    held.parts[number - 1] = part;
    if (number === 1) held.first = first;
    if (++held.count < total) return null;
    const data = new Uint8Array(held.bytes);
    let offset = 0;
    for (let i = 0; i < total; i++) {
      data.set(held.parts[i] as Uint8Array, offset);
      offset += held.parts[i]!.length;
    }
    sa.partial = null;
    return { first: held.first, data };
  }

  forget(sa: IkeSa): void {
    sa.partial = null;
  }
}

/** Messages in fragments of their own: `ike({ fragmentation: ikeFragmentation() })`. Throws `EINVAL`. */
export function ikeFragmentation(options: FragmentationOptions = {}): Fragmentation {
  return new Fragments(setting(options.size, 1280, 576, 9000, "size"));
}

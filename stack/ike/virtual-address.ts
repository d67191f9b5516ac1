/** Virtual addresses (RFC 7296 section 2.19), asked for. */
import { get32 } from "../core/bytes.js";
import { format4 } from "../core/text4.js";
import { format6 } from "../core/text6.js";
import * as wire from "../wire/ike.js";
import type { Connection } from "./connection.js";
import type { Addresses } from "./features.js";
import { IP4_ADDRESS, IP4_DNS, IP6_ADDRESS, IP6_DNS, REPLY, REQUEST, attributes } from "./cp.js";
import type { IkeSa } from "./ike-sa.js";
import type { Message, Writer } from "./message.js";

/** Addresses and servers that are taken of one peer. */
const MOST = 8;

export interface VirtualAddressOptions {
  /** Families that are asked for. Default `[4]`. */
  families?: number[];
  /**
   * The peer has given us addresses, and names DNS servers; before `onState` says `"established"`. To add the address to an interface
   * is the application's.
   */
  onAddresses?(connection: Connection, addresses: string[], servers: string[]): void;
}

class Asked implements Addresses {
  constructor(private readonly options: VirtualAddressOptions) {}

  request(_sa: IkeSa, out: Writer): void {
    const families = this.options.families || [4];
    out.begin(wire.PAYLOAD_CP).put8(REQUEST).put8(0).put16(0);
    for (let i = 0; i < families.length; i++) {
      const four = families[i] === 4;
      out.put16(four ? IP4_ADDRESS : IP6_ADDRESS).put16(0);
      out.put16(four ? IP4_DNS : IP6_DNS).put16(0);
    }
  }

  take(sa: IkeSa, message: Message): void {
    const at = message.find(wire.PAYLOAD_CP);
    const body = at < 0 ? null : message.body(at);
    if (!body || body[0] !== REPLY) return;
    const addresses: string[] = [];
    const servers: string[] = [];
    const complete = attributes(body, (type, data) => {
      if (type === IP4_ADDRESS && data.length === 4 && addresses.length < MOST) {
        addresses.push(format4(get32(data, 0)));
        sa.addresses.push(data);
      } else if (type === IP6_ADDRESS && data.length === 17 && addresses.length < MOST) {
        addresses.push(format6(data, 0));
        sa.addresses.push(data.subarray(0, 16));
      } else if (type === IP4_DNS && data.length === 4 && servers.length < MOST) {
        servers.push(format4(get32(data, 0)));
      } else if (type === IP6_DNS && data.length === 16 && servers.length < MOST) {
        servers.push(format6(data, 0));
      }
    });
    if (!complete) sa.ike.counters.malformed++;
    if (addresses.length > 0 && this.options.onAddresses)
      this.options.onAddresses(sa.connection!, addresses, servers);
  }

  assign(): number {
    return 0;
  }

  release(): void {
    // What was given to us is nobody's to give back.
  }
}

/** Asks peers for addresses: `ike({ addresses: virtualAddress({ onAddresses }) })`. */
export function virtualAddress(options: VirtualAddressOptions = {}): Addresses {
  return new Asked(options);
}

/** Captures for the judge: of bounded size, and with the checksums that a link with offloads would have filled in. */
import { closeSync, openSync, writeSync } from "node:fs";
import { CHECKSUM_PARTIAL } from "../../../hypercall/link.js";
import type { Link, LinkReceiver, TransmitOffload } from "../../../hypercall/link.js";
import { capture, PcapngWriter } from "../../../ports/node/index.js";
import { sum } from "../../../stack/core/checksum.js";
import { put16 } from "../../../stack/core/bytes.js";
import { PROTOCOL_TCP } from "../../../stack/wire/ipv4.js";

/** A capture file that ends quietly after `limit` bytes: the rest of a gigabyte says what its beginning says. */
export class LimitedCapture {
  readonly writer: PcapngWriter;
  private readonly fd: number;
  private open = true;

  constructor(file: string, limit: number) {
    let written = 0;
    this.fd = openSync(file, "w");
    this.writer = new PcapngWriter((block) => {
      written += writeSync(this.fd, block);
      if (written >= limit) this.close();
    });
  }

  get full(): boolean {
    return !this.open;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.writer.close();
    closeSync(this.fd);
  }

  /**
   * The link with this capture around it. Frames whose checksum is left to the other side (offloads) are captured with the
   * checksum that it will compute from what the field holds: so the judge sees whether the stack's part of the sum is right.
   */
  around(link: Link, name: string): Link {
    const nowhere: Link = { medium: link.medium, mtu: link.mtu, open() {}, transmit: () => 0, close() {} };
    const record = capture(nowhere, this.writer, { interfaceName: name });
    record.open({ receive() {}, carrier() {}, writable() {}, lost() {} });
    const copy = new Uint8Array(70_000);
    const ip = link.medium === "ethernet" ? 14 : 0;

    const around = (receiver: LinkReceiver): LinkReceiver => ({
      receive: (frame, start, end, checksum) => {
        if (!this.full) {
          if (checksum === CHECKSUM_PARTIAL) {
            copy.set(frame.subarray(start, end));
            // What is left to us has no extension headers.
            const six = copy[ip]! >> 4 === 6;
            const header = ip + (six ? 40 : (copy[ip]! & 15) * 4);
            const protocol = copy[ip + (six ? 6 : 9)];
            complete(copy, header, protocol === PROTOCOL_TCP ? 16 : 6, end - start);
            record.receive(copy, 0, end - start);
          } else record.receive(frame, start, end);
        }
        receiver.receive(frame, start, end, checksum);
      },
      carrier: (up) => receiver.carrier(up),
      writable: () => receiver.writable(),
      lost: (count) => receiver.lost(count),
    });

    return {
      medium: link.medium,
      mtu: link.mtu,
      mac: link.mac,
      offloads: link.offloads,
      open: (receiver) => link.open(around(receiver)),
      close: () => link.close(),
      transmit: (frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null) => {
        const code = link.transmit(frame, start, end, offload);
        if (code < 0 || this.full) return code;
        if (offload && offload.checksumStart >= 0) {
          copy.set(frame.subarray(start, end));
          complete(copy, offload.checksumStart, offload.checksumOffset, end - start);
          record.transmit(copy, 0, end - start, null);
        } else record.transmit(frame, start, end, null);
        return code;
      },
    };
  }
}

/** Puts the complement of the sum into the field, which holds the pseudo-header's sum until then. */
function complete(data: Uint8Array, start: number, field: number, end: number): void {
  put16(data, start + field, ~sum(data, start, end, 0) & 0xffff || 0xffff);
}

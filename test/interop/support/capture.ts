/** Captures for the judge: of bounded size, and with the checksums that a link with offloads would have filled in. */
import { closeSync, openSync, writeSync } from "node:fs";
import { CHECKSUM_PARTIAL } from "../../../hypercall/link.js";
import type { Link, LinkReceiver, TransmitOffload } from "../../../hypercall/link.js";
import { capture, PcapngWriter } from "../../../ports/node/index.js";
import { sum } from "../../../stack/core/checksum.js";
import { put16 } from "../../../stack/core/bytes.js";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../../../stack/wire/ipv4.js";

/** A capture that ends quietly after `limit` bytes: the rest of a gigabyte says what its beginning says. */
export function limitedCapture(file: string, limit: number): PcapngWriter {
  const fd = openSync(file, "w");
  let written = 0;
  let open = true;
  const writer = new PcapngWriter((block) => {
    if (written < limit) written += writeSync(fd, block);
  });
  const close = writer.close.bind(writer);
  writer.close = () => {
    close();
    if (open) closeSync(fd);
    open = false;
  };
  return writer;
}

/**
 * As `capture`, for a link with offloads: frames whose checksum is left to the other side are captured with the checksum that
 * it will compute from what the field holds. So the judge sees whether the stack's part of the sum is right.
 */
export function captureCompleted(link: Link, writer: PcapngWriter): Link {
  const nowhere: Link = { medium: link.medium, mtu: link.mtu, open() {}, transmit: () => 0, close() {} };
  const record = capture(nowhere, writer, { interfaceName: "offloads" });
  record.open({ receive() {}, carrier() {}, writable() {}, lost() {} });
  const copy = new Uint8Array(70_000);
  const ip = link.medium === "ethernet" ? 14 : 0;

  const received = (receiver: LinkReceiver): LinkReceiver => ({
    receive(frame, start, end, checksum) {
      if (checksum === CHECKSUM_PARTIAL) {
        copy.set(frame.subarray(start, end));
        const header = ip + (copy[ip]! & 15) * 4;
        const field = copy[ip + 9] === PROTOCOL_TCP ? 16 : copy[ip + 9] === PROTOCOL_UDP ? 6 : -1;
        if (field < 0) throw new Error(`a partial checksum of protocol ${copy[ip + 9]}`);
        complete(copy, header, field, end - start);
        record.receive(copy, 0, end - start);
      } else record.receive(frame, start, end);
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
    open: (receiver) => link.open(received(receiver)),
    close: () => link.close(),
    transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null) {
      const code = link.transmit(frame, start, end, offload);
      if (code < 0) return code;
      copy.set(frame.subarray(start, end));
      if (offload && offload.checksumStart >= 0) {
        complete(copy, offload.checksumStart, offload.checksumOffset, end - start);
      }
      record.transmit(copy, 0, end - start, null);
      return code;
    },
  };
}

/** Puts the complement of the sum into the field, which holds the pseudo-header's sum until then. */
function complete(data: Uint8Array, start: number, field: number, end: number): void {
  put16(data, start + field, ~sum(data, start, end, 0) & 0xffff || 0xffff);
}

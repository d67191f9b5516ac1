/** What the link must still do to an outgoing packet: the one TransmitOffload of a frame, filled in from the packet. */
import { SEGMENT_NONE, SEGMENT_TCP4, SEGMENT_TCP6 } from "../../hypercall/link.js";
import type { TransmitOffload } from "../../hypercall/link.js";
import type { Network } from "../core/network.js";
import type { Packet } from "../core/packet.js";

const offload: TransmitOffload = {
  checksumStart: 0,
  checksumOffset: 0,
  segment: SEGMENT_NONE,
  segmentSize: 0,
  headerLength: 0,
};

/** Describes `packet`, whose transport left the checksum (and perhaps the segmentation) to the link. */
export function finishOffload(packet: Packet, frameStart: number): TransmitOffload {
  const transport = packet.network + (packet.net as Network).headerSize;
  offload.checksumStart = transport - frameStart;
  offload.checksumOffset = packet.checksumField - transport;
  offload.segmentSize = packet.segmentSize;
  offload.segment =
    packet.segmentSize === 0
      ? SEGMENT_NONE
      : (packet.net as Network).family === 4
        ? SEGMENT_TCP4
        : SEGMENT_TCP6;
  offload.headerLength = transport - frameStart + (packet.data[transport + 12] >> 4) * 4;
  return offload;
}

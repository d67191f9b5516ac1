import test from "ava";
import {
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  CHECKSUM_VERIFIED,
  SEGMENT_NONE,
  SEGMENT_TCP6,
} from "../../../hypercall/index.js";
import { emitVirtioHeader, parseVirtioChecksum } from "../../../ports/node/virtio-net.js";

const emit = (...offload: Parameters<typeof emitVirtioHeader>[4][]): number[] => {
  const target = new Uint8Array(12).fill(0xee);
  emitVirtioHeader(target, 1, new Uint8Array(200), 0, offload[0]);
  return Array.from(target);
};

test("nothing left to do: a header of zeros", (t) => {
  const offload = {
    checksumStart: -1,
    checksumOffset: 9,
    segment: SEGMENT_NONE,
    segmentSize: 9,
    headerLength: 9,
  };
  for (const given of [null, offload]) t.deepEqual(emit(given), [0xee, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xee]);
});

test("a checksum, and segments of IPv6, little-endian", (t) => {
  const offload = {
    checksumStart: 54,
    checksumOffset: 16,
    segment: SEGMENT_NONE,
    segmentSize: 1440,
    headerLength: 74,
  };
  t.deepEqual(emit(offload), [0xee, 1, 0, 0, 0, 0, 0, 54, 0, 16, 0, 0xee]);
  offload.segment = SEGMENT_TCP6;
  t.deepEqual(emit(offload), [0xee, 1, 4, 74, 0, 0xa0, 5, 54, 0, 16, 0, 0xee]);
});

test("checksum states of received frames", (t) => {
  const states = [0, 1, 2, 3, 4].map((flags) => parseVirtioChecksum(Uint8Array.of(9, flags), 1));
  t.deepEqual(states, [CHECKSUM_NONE, CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, CHECKSUM_PARTIAL, CHECKSUM_NONE]);
});

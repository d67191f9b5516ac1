/** Links that are broken in one way each, with the findings that must name it. */
import type { LinkReceiver } from "../../hypercall/index.js";
import type { WireOptions } from "../../ports/sim/index.js";
import { delivering, replace, sending } from "./subject.js";
import type { Subject } from "./subject.js";

/** As in broken-host.ts, with the wire that it needs. */
export type BrokenLink = [codes: string[], breaks: (s: Subject) => void, options?: WireOptions];

function boom(): never {
  throw new Error("boom");
}

const ALL = { transmitChecksum: true, segmentation: 65535, receiveCoalescing: true };
const CHECKSUM = { offloads: { transmitChecksum: true } };
/** What is also found where nothing arrives that can be known again. */
const NOTHING_ARRIVES = ["link-lost", "link-mtu-lost", "link-broadcast", "link-group"];

/** The first link delivers what it sends to itself as well. */
function echoing(s: Subject): void {
  let receiver: LinkReceiver;
  replace(s, 0, (inner) => ({
    open: (to) => inner.open((receiver = to)),
    transmit: (frame, start, end, offload) => {
      const copy = frame.slice(start, end);
      s.world.at(0, () => receiver.receive(copy, 0, copy.length));
      return inner.transmit(frame, start, end, offload);
    },
  }));
}

/** Frames reach the second link before `transmit` of the first returns. */
function immediate(s: Subject): void {
  let receiver: LinkReceiver | null = null;
  replace(s, 1, (inner) => ({
    open: (to) => inner.open((receiver = to)),
    close: () => {
      receiver = null;
      inner.close();
    },
  }));
  replace(s, 0, () => ({
    transmit: (frame, start, end) => {
      receiver?.receive(frame.slice(start, end), 0, end - start);
      return 0;
    },
  }));
}

/** The second link goes on delivering when it is closed. */
function unstoppable(s: Subject): void {
  replace(s, 1, (inner) => ({
    open: (to) => (inner.receiver ? undefined : inner.open(to)),
    close: () => {},
  }));
}

/** The second link closes once only. */
function closesOnce(s: Subject): void {
  let closed = false;
  replace(s, 1, (inner) => ({
    close: () => {
      if (closed) boom();
      closed = true;
      inner.close();
    },
  }));
}

/** The first link is without carrier for ever. */
function down(s: Subject): void {
  replace(s, 0, (inner) => ({
    open: (to) => {
      inner.open(to);
      s.world.at(0, () => to.carrier(false));
    },
  }));
}

export const BROKEN_LINKS: BrokenLink[] = [
  [["link-medium"], (s) => replace(s, 0, () => ({ medium: "wifi" as never }))],
  [["link-mtu"], (s) => replace(s, 0, () => ({ mtu: 70000 }))],
  [["link-mtu"], (s) => replace(s, 1, () => ({ mtu: 1500.5 }))],
  [["link-mac"], (s) => replace(s, 0, () => ({ mac: new Uint8Array(6).fill(255) }))],
  [["link-mac"], (s) => replace(s, 0, () => ({ mac: undefined }))],
  [["link-mac-same"], (s) => replace(s, 0, () => ({ mac: s.b.mac }))],
  [["link-offloads"], (s) => replace(s, 0, () => ({ offloads: { segmentation: 9000 } }))],
  [["link-open"], (s) => replace(s, 0, () => ({ open: boom }))],
  [["link-multicast"], (s) => replace(s, 0, () => ({ multicast: boom }))],
  [["link-down"], down],
  [
    ["link-carrier"],
    delivering((to, frame, start, end) => {
      to.carrier(1 as never);
      to.receive(frame, start, end);
    }),
  ],
  [
    ["link-lost-count"],
    delivering((to, frame, start, end) => {
      to.lost(undefined as never);
      to.receive(frame, start, end);
    }),
  ],

  [["link-receive-inside"], immediate],
  [["link-receive-closed"], unstoppable],
  [
    ["link-receive-arguments", ...NOTHING_ARRIVES],
    delivering((to, frame, start, end) => to.receive(frame, start, end - start + frame.length)),
  ],
  [
    ["link-changed"],
    delivering((to, frame, start, end) => void ((frame[end - 1] ^= 1), to.receive(frame, start, end))),
  ],
  [
    ["link-changed", "link-lost"],
    delivering((to, frame, start, end) => {
      if (frame[start + 17] === 1) frame[start + 17] = 200;
      to.receive(frame, start, end);
    }),
  ],
  [
    ["link-length"],
    delivering((to, frame, start, end) => to.receive(frame, start, Math.min(end + 4, frame.length))),
  ],
  [["link-verified"], delivering((to, frame, start, end) => to.receive(frame, start, end, 1))],
  [["link-duplicated"], (s) => void (s.a.out.duplicate = 0.9)],
  [["link-reordered"], (s) => void (s.a.out.reorder = 0.5)],
  [["link-lost"], (s) => void (s.a.out.filter = (frame) => frame.length !== 78)],
  [["link-mtu-lost"], (s) => void (s.a.out.maximum = 1499)],
  [["link-broadcast"], (s) => void (s.a.out.filter = (frame) => frame[0] !== 255)],
  [["link-group"], (s) => void (s.a.out.filter = (frame) => frame[0] !== 1)],
  [["link-echo"], echoing],

  [
    ["link-keeps-frame", ...NOTHING_ARRIVES],
    sending((send, _frame, _start, _end, offload, s) => {
      s.world.at(1, () => void send(offload));
      return 0;
    }),
  ],
  [
    ["link-keeps-frame"],
    sending((_send, frame, start, end, offload, s) => {
      const copy = frame.slice(start, end);
      s.world.at(1, () => {
        copy.set(frame.subarray(start + 40, end), 40);
        s.a.transmit(copy, 0, copy.length, offload);
      });
      return 0;
    }),
  ],
  [["link-transmit-result"], sending((send) => void send() as never)],
  [["link-transmit-throws"], sending((send) => (send(), boom()))],
  [["link-full"], (s) => sending((send) => (s.a.out.counters.sent > 1 ? -1 : send()))(s)],
  [
    ["link-writable"],
    (s) =>
      replace(s, 0, (inner) => ({
        open: (to) => inner.open(Object.assign(Object.create(to), { writable() {} })),
      })),
    { bandwidth: 1e7, queueFrames: 6, full: "refuse" },
  ],
  [["link-close"], closesOnce],

  [["link-offload-checksum"], sending((send) => send(null)), CHECKSUM],
  [
    ["link-offload-checksum"],
    sending((send, _frame, _start, _end, offload) => (offload ? 0 : send())),
    CHECKSUM,
  ],
  [
    ["link-offload-refused", "link-offload-checksum", "link-offload-segment"],
    sending((send, _frame, _start, _end, offload) => (offload ? -1 : send())),
    { offloads: ALL },
  ],
  [
    ["link-offload-segment"],
    sending((send, _frame, _start, _end, offload) => (offload?.segment ? 0 : send())),
    { offloads: ALL },
  ],
  [
    ["link-offload-segment"],
    sending((send, _frame, _start, _end, offload) => send(offload && { ...offload, segmentSize: 600 })),
    { a: { offloads: ALL } },
  ],
  [
    ["link-offload-segment"],
    (s) => void (s.a.out.filter = (frame) => void (frame[23] === 6 && (frame[60] ^= 1))),
    { a: { offloads: ALL } },
  ],
];

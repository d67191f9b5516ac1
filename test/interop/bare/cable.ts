/**
 * A cable between QEMU's dgram socket and a TAP device in a namespace, which may damage what passes. The capture has each frame as
 * its sender sent it; "ours" are those of the board.
 */
import { createSocket } from "node:dgram";
import type { Link, LinkReceiver } from "../../../hypercall/link.js";
import { capture, openTap, openUdpFrame } from "../../../ports/node/index.js";
import { Random } from "../../../ports/sim/random.js";
import { LimitedCapture } from "../support/capture.js";
import type { Namespace } from "../support/namespace.js";

/** Of a hundred frames. */
export interface Damage {
  lose?: number;
  /** Frames that others overtake: they come up to 8 ms late. */
  reorder?: number;
  /** Frames of which a byte changes. */
  corrupt?: number;
  duplicate?: number;
}

/** The longest delay of a frame that others overtake, ms. */
const DELAY = 8;

export interface Cable {
  /** The port that QEMU binds, and the one that it sends to. */
  readonly boardPort: number;
  readonly cablePort: number;
  /** Free to be changed while frames pass. */
  damage: Damage;
  /** Frames from the board, to the board, and those that were damaged in some way. */
  readonly count: {
    out: number;
    in: number;
    lost: number;
    late: number;
    corrupted: number;
    duplicated: number;
  };
  /** Completes the capture file. */
  close(): void;
}

export async function layCable(ns: Namespace, device: string, file: string, seed: number): Promise<Cable> {
  const boardPort = await freePort();
  const udp = await openUdpFrame({ remote: { port: boardPort } });
  const tap = openTap({ name: device, netns: ns.name });
  const record = new LimitedCapture(file, 64 << 20);
  const nowhere: Link = {
    medium: "ethernet",
    mtu: 1500,
    mac: tap.mac,
    open() {},
    transmit: () => 0,
    close() {},
  };
  const log = capture(nowhere, record.writer, { interfaceName: device });
  log.open({ receive() {}, carrier() {}, writable() {}, lost() {} });
  const random = new Random(seed, 1);
  const count = { out: 0, in: 0, lost: 0, late: 0, corrupted: 0, duplicated: 0 };
  const cable: Cable & { open: boolean } = {
    boardPort,
    cablePort: udp.localPort,
    damage: {},
    count,
    open: true,
    close() {
      if (!cable.open) return;
      cable.open = false;
      udp.close();
      tap.close();
      record.close();
    },
  };
  const happens = (percent = 0) => percent > 0 && random.below(10000) < percent * 100;

  /** One end: what it receives goes to `far`, unless something happens to it. */
  const end = (far: Link, fromBoard: boolean): LinkReceiver => ({
    receive(data, start, stop) {
      if (fromBoard) count.out++;
      else count.in++;
      if (!record.full) {
        if (fromBoard) log.transmit(data, start, stop, null);
        else log.receive(data, start, stop);
      }
      const { lose, reorder, corrupt, duplicate } = cable.damage;
      if (happens(lose)) {
        count.lost++;
        return;
      }
      if (happens(duplicate)) {
        count.duplicated++;
        far.transmit(data, start, stop, null);
      }
      if (happens(corrupt)) {
        count.corrupted++;
        data[start + random.below(stop - start)]! ^= 1 << random.below(8);
      }
      if (happens(reorder)) {
        count.late++;
        const copy = data.slice(start, stop);
        setTimeout(() => cable.open && far.transmit(copy, 0, copy.length, null), 1 + random.below(DELAY));
      } else far.transmit(data, start, stop, null);
    },
    carrier() {},
    writable() {},
    lost() {},
  });
  udp.open(end(tap, true));
  tap.open(end(udp, false));
  return cable;
}

/** A port of the loopback address that nobody has at this moment. */
async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(resolve));
  return port;
}

/** A capture of all that the interfaces of a world send, in pcapng: what tshark shows of it is what happened. */
import { CAPTURE_OUT, addInterface, capturePacket, createPcapng } from "../../stack/link/pcapng.js";
import type { World } from "./world.js";

/**
 * Captures from now on. Each interface of the world is one of the capture; times are virtual. Frames count as they are sent,
 * before anything happens to them on the way; those that a link cuts or completes, as they leave it.
 *
 * @param write takes the capture block by block; the bytes are lent
 * @returns ends the capture
 */
export function captureWorld(world: World, write: (bytes: Uint8Array) => void): () => void {
  const capture = createPcapng(write);
  const numbers = new Map<number, number>();
  const before = world.onFrame;
  world.onFrame = (frame, start, end, channel, time) => {
    if (before) before(frame, start, end, channel, time);
    if (!channel.edge) return;
    let number = numbers.get(channel.id);
    if (number === undefined) {
      number = addInterface(capture, channel.header ? "ethernet" : "ip", "channel" + channel.id);
      numbers.set(channel.id, number);
    }
    capturePacket(capture, number, time, CAPTURE_OUT, frame, start, end);
  };
  return () => {
    world.onFrame = before;
  };
}

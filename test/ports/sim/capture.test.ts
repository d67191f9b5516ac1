/** Captures of a world: one packet for each frame that an interface sent, at its virtual time. */
import test from "ava";
import { captureWorld } from "../../../ports/sim/index.js";
import { ascii, concat } from "../../support/bytes.js";
import { network } from "../../support/network.js";

/** Block types of a big-endian pcapng file, with the enhanced packets' interface and time. */
function blocks(file: Uint8Array): number[][] {
  const view = new DataView(file.buffer);
  const list = [];
  for (let at = 0; at < file.length; at += view.getUint32(at + 4)) {
    const type = view.getUint32(at);
    list.push(type === 6 ? [type, view.getUint32(at + 8), view.getUint32(at + 16)] : [type]);
  }
  return list;
}

test("a capture holds what was sent, once, however many hear it", (t) => {
  const { world, nodes, run } = network(t, 3, { delay: 1, learning: false });
  const parts: Uint8Array[] = [];
  const stop = captureWorld(world, (bytes) => void parts.push(bytes.slice()));
  nodes[1].udp.open({ port: 7 });
  run(2);
  nodes[0].udp.open().sendTo("10.0.0.2", 7, ascii("hello"));
  run(100);
  stop();
  nodes[0].udp.open().sendTo("10.0.0.2", 7, ascii("unseen"));
  run(100);
  // Section, host 1 and its ARP request at 2 ms, host 2 and its answer two wires later, the datagram two wires after that.
  t.deepEqual(blocks(concat(...parts)), [[0x0a0d0d0a], [1], [6, 0, 2000], [1], [6, 1, 4000], [6, 0, 6000]]);
});

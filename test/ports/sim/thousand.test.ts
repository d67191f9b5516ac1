/** A thousand stacks in one process, on a tree of switches: each talks to another, and the world stays small. */
import test from "ava";
import { createSwitch, createWorld } from "../../../ports/sim/index.js";
import type { World } from "../../../ports/sim/index.js";
import { createStack } from "../../../stack/core/stack.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import type { SimLink } from "../../../ports/sim/index.js";
import { tcp } from "../../../stack/tcp/tcp.js";
import { closeAll, findLeaks } from "../../support/leaks.js";
import { transfer } from "../../support/transfer.js";

const STACKS = 1000;
const PER_SWITCH = 50;
const BYTES = 6000;

function node(world: World, link: SimLink, index: number) {
  const host = world.host();
  const ip = ipv4();
  const sockets = tcp({ timeWait: 1000 });
  const stack = host.drive(
    createStack(host, [ethernet(), arp(), ip, sockets], { packetMemory: 65536, chunkSize: 512 }),
  );
  const address = `10.0.${index >> 8}.${index & 255}`;
  ip.addAddress(stack.addInterface(link), address + "/16");
  return { stack, sockets, address };
}

test("a thousand stacks exchange streams in pairs", (t) => {
  const started = Date.now();
  const world = createWorld({ scribble: true });
  const root = createSwitch(world, { delay: 0.05 });
  const nodes: ReturnType<typeof node>[] = [];
  for (let i = 0; i < STACKS; i += PER_SWITCH) {
    const leaf = createSwitch(world, { delay: 0.05, bandwidth: 1e8 });
    leaf.uplink(root);
    for (let k = 0; k < PER_SWITCH; k++) nodes.push(node(world, leaf.link(), i + k + 1));
  }
  // Partners sit at other switches.
  const half = STACKS / 2;
  const work = Array.from({ length: half }, (_, i) => {
    const [from, to] = [nodes[i], nodes[i + half]];
    return transfer(from.sockets, to.sockets, to.address, { forth: BYTES, back: BYTES / 2 });
  });
  t.true(world.runUntil(() => work.every((each) => each.done())));
  for (const { near, far } of work) {
    t.deepEqual([far.received, near.received, far.wrong, near.wrong], [BYTES, BYTES / 2, -1, -1]);
    t.deepEqual([near.closed, far.closed], [0, 0]);
  }
  for (const { listener } of work) listener.close();
  world.run(60000);
  const stacks = nodes.map(({ stack }) => stack);
  t.deepEqual(
    stacks.flatMap((stack) => findLeaks(stack, { timers: Infinity })),
    [],
  );
  t.deepEqual(closeAll(world, stacks), []);
  t.is(world.buffers.used, 0);
  t.log(`${world.count} events in ${Date.now() - started} ms`);
});

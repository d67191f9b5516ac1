/** A host that gets its entropy late: tables that were hashed without it are found again. */
import test from "ava";
import { createWorld, wire } from "../../ports/sim/index.js";
import { createStack } from "../../stack/core/stack.js";
import { arp } from "../../stack/ipv4/arp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";

test("neighbours that were learnt before the host had entropy are still known afterwards", (t) => {
  const world = createWorld({ seed: 1 });
  const [link] = wire(world);
  const host = world.host();
  let entropy = false;
  const random = host.random.bind(host);
  const calls = Object.assign(Object.create(host) as typeof host, {
    random: (target: Uint8Array) => entropy && random(target),
  });
  const neighbours = arp();
  const stack = createStack(calls, [ethernet(), neighbours, ipv4()]);
  const nif = stack.addInterface(link);
  const made = neighbours.cache.obtain(nif, 0, 0, 0, 0x0a000002);
  t.false(stack.secure());
  entropy = true;
  t.true(stack.secure());
  t.is(neighbours.cache.find(nif, 0, 0, 0, 0x0a000002), made);
  stack.close();
});

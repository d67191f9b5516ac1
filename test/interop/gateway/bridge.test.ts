/** Our bridge between two kernels: they ping each other through it in two VLANs, and us on one. */
import test from "ava";
import { nodeHost, openTap } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { bridge } from "../../../stack/link/bridge.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { Namespace } from "../support/namespace.js";
import { pingFrom } from "../support/ping.js";
import { curlFile, serveFile } from "../support/site.js";

test("two kernels on our bridge, in two VLANs", async (t) => {
  const one = new Namespace();
  const two = new Namespace();
  t.teardown(() => one.close());
  t.teardown(() => two.close());
  const host = nodeHost();
  const ip = ipv4();
  const middle = bridge({ mac: Uint8Array.of(2, 0, 0, 0, 9, 9) });
  const stack = host.drive(createStack(host, [ethernet(), arp(), ip, icmp(), middle]));
  t.teardown(() => stack.close());
  middle.addPort(openTap({ name: "tap0", netns: one.name }));
  middle.addPort(openTap({ name: "tap1", netns: one.name }), { untagged: 10 });
  middle.addPort(openTap({ name: "tap0", netns: two.name }));
  middle.addPort(openTap({ name: "tap1", netns: two.name }), { untagged: 10 });
  ip.addAddress(stack.addInterface(middle, "br0"), "10.5.0.3/24");
  for (const [ns, number] of [
    [one, 1],
    [two, 2],
  ] as const) {
    ns.ip("address", "add", `10.5.0.${number}/24`, "dev", "tap0");
    ns.ip("link", "set", "tap0", "up");
  }
  for (const [ns, number] of [
    [one, 1],
    [two, 2],
  ] as const) {
    ns.ip("address", "add", `10.6.0.${number}/24`, "dev", "tap1");
    ns.ip("link", "set", "tap1", "up");
  }
  for (const address of ["10.5.0.2", "10.5.0.3", "10.6.0.2"]) {
    await pingFrom(t, one, address, { count: 5, size: 1472, options: ["-M", "do"] });
  }
  const size = 16 << 20;
  await serveFile(t, two, ["10.6.0.2"], size);
  await curlFile(t, one, "10.6.0.2", size);
  t.true(middle.counters.forwarded > 10_000);
  t.true(middle.counters.flooded < 100);
  t.is(middle.counters.moved, 0);
});

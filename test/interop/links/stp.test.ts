/** A loop of our bridge and the kernel's, both with a spanning tree: one port is blocked, and opens when a cable is pulled. */
import test from "ava";
import { nodeHost, openTap } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { bridge } from "../../../stack/link/bridge.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { BLOCKING, FORWARDING, spanningTree } from "../../../stack/link/spanning-tree.js";
import { namespace6 } from "../support/host6.js";

test("two cables between us and the kernel: the root's choice, a blocked port, fail-over; then we are the root", async (t) => {
  for (const root of ["theirs", "ours"]) {
    const peer = namespace6(t);
    peer.ip(
      ...[
        "link",
        "add",
        "br0",
        "type",
        "bridge",
        "stp_state",
        "1",
        "forward_delay",
        "400",
        "hello_time",
        "100",
      ],
      "max_age",
      "600",
    );
    const host = nodeHost();
    const tree = spanningTree({
      priority: root === "ours" ? 4096 : 61440,
      hello: 1,
      maxAge: 6,
      forwardDelay: 4,
    });
    const lan = bridge({ mac: Uint8Array.of(2, 0, 0, 0, 9, 6), tree });
    const ip = ipv4();
    const stack = host.drive(createStack(host, [ethernet(), arp(), ip, icmp(), lan]));
    t.teardown(() => stack.close());
    const ports = ["tap0", "tap1"].map((name) => {
      const port = lan.addPort(openTap({ name, netns: peer.name }));
      peer.ip("link", "set", name, "addrgenmode", "none", "master", "br0");
      peer.ip("link", "set", name, "up");
      return port;
    });
    ip.addAddress(stack.addInterface(lan, "br0"), "10.5.0.1/24");
    peer.ip("link", "set", "br0", "addrgenmode", "none");
    peer.ip("link", "set", "br0", "up");
    peer.ip("address", "add", "10.5.0.2/24", "dev", "br0");
    const wait = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const detail = () => peer.ip("-d", "link", "show", "type", "bridge_slave");
    const reach = async () => {
      const { stdout } = await peer.run("ping", ["-n", "-c", "3", "-i", "0.05", "-w", "2", "10.5.0.1"], {
        codes: null,
      });
      return / 3 received/.test(stdout);
    };
    await wait(9.5);
    const states = ports.map((port) => tree.stateOf(port));
    if (root === "theirs") t.deepEqual(states, [FORWARDING, BLOCKING]);
    else {
      t.deepEqual(states, [FORWARDING, FORWARDING]);
      t.deepEqual([...tree.rootId()], [0x10, 0, 2, 0, 0, 0, 9, 6]);
      t.regex(detail(), /state blocking/);
      t.regex(peer.ip("-d", "link", "show", "br0"), / root_port 1 /);
    }
    t.true(await reach(), `${root}: ${JSON.stringify(states)}`);
    const flooded = lan.counters.flooded;
    t.true(flooded < 100, "there is no storm");
    t.is(tree.counters.malformed, 0);
    if (root === "theirs") {
      peer.ip("link", "set", "tap0", "down");
      // What was heard grows old in 6 s at most, then the port listens and learns, 4 s each.
      for (let i = 0; i < 60 && tree.stateOf(ports[1]!) !== FORWARDING; i++) await wait(0.3);
      t.is(tree.stateOf(ports[1]!), FORWARDING);
      t.true(await reach(), "by the other cable");
    }
  }
});

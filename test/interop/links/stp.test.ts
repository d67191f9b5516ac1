/**
 * Loops of our bridge and others: the kernel's, which speaks the old spanning tree, and Open vSwitch's with the rapid one. One port is
 * blocked, and opens when a cable is pulled.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { nodeHost, openTap } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { bridge } from "../../../stack/link/bridge.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import {
  ALTERNATE,
  DESIGNATED,
  DISCARDING,
  FORWARDING,
  ROOT,
  spanningTree,
} from "../../../stack/link/spanning-tree.js";
import type { SpanningTreeOptions } from "../../../stack/link/spanning-tree.js";
import { until } from "../../support/until.js";
import { namespace6 } from "../support/host6.js";
import type { Namespace } from "../support/namespace.js";

/** Our bridge, 10.5.0.1, with two TAP devices in a namespace. */
function setup(t: ExecutionContext, peer: Namespace, options: SpanningTreeOptions) {
  const host = nodeHost();
  const tree = spanningTree(options);
  const lan = bridge({ mac: Uint8Array.of(2, 0, 0, 0, 9, 6), tree });
  const ip = ipv4();
  const stack = host.drive(createStack(host, [ethernet(), arp(), ip, icmp(), lan]));
  t.teardown(() => stack.close());
  const ports = ["tap0", "tap1"].map((name) => {
    const port = lan.addPort(openTap({ name, netns: peer.name }));
    peer.ip("link", "set", name, "addrgenmode", "none");
    return port;
  });
  ip.addAddress(stack.addInterface(lan, "br0"), "10.5.0.1/24");
  const reach = async () => {
    const { stdout } = await peer.run("ping", ["-n", "-c", "3", "-i", "0.05", "-w", "2", "10.5.0.1"], {
      codes: null,
    });
    return / [123] received/.test(stdout);
  };
  const states = () => ports.map((port) => tree.stateOf(port)).join();
  const roles = () => ports.map((port) => tree.roleOf(port)).join();
  return { tree, lan, ports, reach, states, roles };
}

for (const root of ["theirs", "ours"]) {
  test(`two cables to the kernel's old spanning tree, the root is ${root}`, async (t) => {
    const peer = namespace6(t);
    peer.ip("link", "add", "br0", "type", "bridge", "stp_state", "1", "forward_delay", "400");
    peer.ip("link", "set", "br0", "type", "bridge", "hello_time", "100", "max_age", "600");
    const times = { hello: 1, maxAge: 6, forwardDelay: 4 };
    const { tree, lan, reach, states, roles } = setup(t, peer, {
      priority: root === "ours" ? 4096 : 61440,
      ...times,
    });
    peer.ip("link", "set", "br0", "addrgenmode", "none", "up");
    for (const name of ["tap0", "tap1"]) peer.ip("link", "set", name, "master", "br0", "up");
    peer.ip("address", "add", "10.5.0.2/24", "dev", "br0");
    const detail = () => peer.ip("-d", "link", "show", "type", "bridge_slave");
    const wanted =
      root === "theirs"
        ? `${ROOT},${ALTERNATE}:${FORWARDING},${DISCARDING}`
        : `${DESIGNATED},${DESIGNATED}:${FORWARDING},${FORWARDING}`;
    await until("the tree", () => `${roles()}:${states()}` === wanted && / state forwarding/.test(detail()));
    if (root === "ours") {
      t.deepEqual([...tree.rootId()], [0x10, 0, 2, 0, 0, 0, 9, 6]);
      t.regex(detail(), /state blocking/);
      t.regex(peer.ip("-d", "link", "show", "br0"), / root_port 1 /);
    }
    await until("they reach us", reach);
    t.true(lan.counters.flooded < 1000, "there is no storm");
    t.is(tree.counters.malformed, 0);
    if (root === "theirs") {
      peer.ip("link", "set", "tap0", "down");
      await until("the other port is the way", () => roles().endsWith(`${ROOT}`));
      await until("they reach us by the other cable", reach);
    }
  });
}

/** Open vSwitch with a bridge br0, its switching in user space, in a namespace; `vsctl` configures it. */
async function openVswitch(t: ExecutionContext, peer: Namespace) {
  const folder = mkdtempSync(join(tmpdir(), "anystack-ovs-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const socket = `unix:${folder}/db.sock`;
  const env = { ...process.env, OVS_RUNDIR: folder };
  execFileSync("ovsdb-tool", ["create", `${folder}/conf.db`, "/usr/share/openvswitch/vswitch.ovsschema"]);
  peer.start(
    "ovsdb-server",
    [`--remote=p${socket}`, "--no-chdir", `--unixctl=${folder}/db.ctl`, `${folder}/conf.db`],
    env,
  );
  const vsctl = async (...parameters: string[]) =>
    (
      await peer.run("ovs-vsctl", ["--no-wait", "--timeout=30", `--db=${socket}`, ...parameters])
    ).stdout.trim();
  await until("its database", async () => {
    const { code } = await peer.run("ovs-vsctl", ["--no-wait", "--timeout=5", `--db=${socket}`, "init"], {
      codes: null,
    });
    return code === 0;
  });
  peer.start(
    "ovs-vswitchd",
    [socket, "--no-chdir", `--unixctl=${folder}/switch.ctl`, "--disable-system"],
    env,
  );
  const app = async (...parameters: string[]) =>
    (await peer.run("ovs-appctl", ["-t", `${folder}/switch.ctl`, ...parameters], { codes: null })).stdout;
  return { vsctl, app };
}

for (const root of ["theirs", "ours"]) {
  test(`two cables to Open vSwitch's rapid spanning tree, the root is ${root}`, async (t) => {
    const peer = namespace6(t);
    const { vsctl, app } = await openVswitch(t, peer);
    const { tree, lan, ports, reach, states, roles } = setup(t, peer, {
      priority: root === "ours" ? 4096 : 61440,
    });
    for (const name of ["tap0", "tap1"]) peer.ip("link", "set", name, "up");
    await vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "rstp_enable=true");
    for (const name of ["tap0", "tap1"]) await vsctl("add-port", "br0", name);
    await until("its interface", () => / br0:/.test(peer.ip("link")));
    peer.ip("link", "set", "br0", "addrgenmode", "none", "up");
    peer.ip("address", "add", "10.5.0.2/24", "dev", "br0");
    if (root === "ours") {
      const settled = async () => {
        const shown = await app("rstp/show", "br0");
        return / Root +Forwarding /.test(shown) && / Alternate +Discarding /.test(shown);
      };
      await until("one of its ports is closed", settled);
      const both = `${DESIGNATED},${DESIGNATED}:${FORWARDING},${FORWARDING}`;
      await until("ours are open", () => `${roles()}:${states()}` === both);
      t.regex(await app("rstp/show", "br0"), /stp-priority +4096\n +stp-system-id +02:00:00:00:09:06/);
    } else {
      const one = `${ROOT},${ALTERNATE}:${FORWARDING},${DISCARDING}`;
      const other = `${ALTERNATE},${ROOT}:${DISCARDING},${FORWARDING}`;
      await until("the tree", () => [one, other].includes(`${roles()}:${states()}`));
      t.true(ports.every((port) => !tree.isEdge(port)));
    }
    await until("they reach us", reach);
    if (root === "theirs") {
      const way = roles() === `${ROOT},${ALTERNATE}` ? 0 : 1;
      const cut = performance.now();
      peer.ip("link", "set", `tap${way}`, "down");
      await until("the other port is the way", () => tree.roleOf(ports[1 - way]!) === ROOT);
      t.is(tree.stateOf(ports[1 - way]!), FORWARDING, "at once");
      await until("they reach us by the other cable", reach);
      t.log(`reached ${Math.round(performance.now() - cut)} ms after the cut`);
    }
    t.is(tree.counters.malformed, 0);
    t.true(lan.counters.flooded < 1000, "there is no storm");
  });
}

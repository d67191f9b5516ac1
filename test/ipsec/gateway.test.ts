/** Two security gateways with a network behind each: what is forwarded goes into the tunnel, what comes out of it goes on. */
import test from "ava";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { createWorld, wire } from "../../ports/sim/index.js";
import type { SimLink } from "../../ports/sim/index.js";
import { createStack } from "../../stack/core/stack.js";
import { firewall } from "../../stack/filter/firewall.js";
import { esp } from "../../stack/ipsec/esp.js";
import { ipsec } from "../../stack/ipsec/ipsec.js";
import { arp } from "../../stack/ipv4/arp.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { tcp } from "../../stack/tcp/tcp.js";
import { udp } from "../../stack/udp/udp.js";
import { textOf } from "../udp/support.js";
import { transfer } from "../support/transfer.js";
import { key } from "./support.js";

test("site to site: UDP, TCP, fragments, PTB; policy on every frame between; a firewall at the gateway", (t) => {
  const world = createWorld({ seed: 1, scribble: true });
  const [hostA, lanA] = wire(world, { delay: 1 });
  const [wanA, wanB] = wire(world, { delay: 5 });
  const [lanB, hostB] = wire(world, { delay: 1 });
  const node = (links: [SimLink, string][], gateway: string | null, remote: string | null) => {
    const host = world.host();
    host.crypto = nodeCrypto();
    const ip = ipv4();
    const datagrams = udp();
    const streams = tcp();
    const security = ipsec();
    const wall = firewall({
      rules: [
        { from: "lan", to: "wan", action: "accept" },
        { from: "wan", to: "lan", source: "10.1.0.0/24", action: "accept" },
        { from: "wan", to: "self", protocol: 50, action: "accept" },
      ],
    });
    const components = [ethernet(), arp(), ip, icmp(), fragments(), pmtu(), datagrams, streams];
    const router = remote !== null ? [forwarding(), security, esp(), wall] : [];
    const stack = host.drive(createStack(host, [...components, ...router]));
    const nifs = links.map(([link, address], i) => {
      const nif = stack.addInterface(link, i ? "wan" : "lan");
      ip.addAddress(nif, address);
      return nif;
    });
    if (gateway) ip.addRoute("0.0.0.0/0", { gateway });
    return { ip, udp: datagrams, tcp: streams, security, stack, nifs };
  };
  const a = node([[hostA, "10.1.0.2/24"]], "10.1.0.1", null);
  const g = node(
    [
      [lanA, "10.1.0.1/24"],
      [wanA, "192.0.2.1/24"],
    ],
    "192.0.2.2",
    "192.0.2.2",
  );
  const h = node(
    [
      [lanB, "10.2.0.1/24"],
      [wanB, "192.0.2.2/24"],
    ],
    "192.0.2.1",
    "192.0.2.1",
  );
  const b = node([[hostB, "10.2.0.2/24"]], "10.2.0.1", null);
  const between: Uint8Array[] = [];
  for (const link of [wanA, wanB]) {
    const transmit = link.transmit.bind(link);
    link.transmit = (frame, start, end, offload) => {
      between.push(frame.slice(start, end));
      return transmit(frame, start, end, offload);
    };
  }
  for (const [end, local, remote, own, far, out, into] of [
    [g, "10.1.0.0/24", "10.2.0.0/24", "192.0.2.1", "192.0.2.2", 0x101, 0x102],
    [h, "10.2.0.0/24", "10.1.0.0/24", "192.0.2.2", "192.0.2.1", 0x102, 0x101],
  ] as const) {
    const policy = end.security.addPolicy({ action: "protect", local, remote });
    const common = { policy, local: own, remote: far, key: key(20) };
    end.security.addSa({ ...common, direction: "in", spi: into });
    end.security.addSa({ ...common, direction: "out", spi: out });
    // The gateways' own words to the networks behind them.
    end.security.addPolicy({ action: "bypass", local, remote: local });
  }
  const server = b.udp.open({ port: 7 });
  const client = a.udp.open();
  const say = (size: number): string | undefined => {
    for (let i = 0; i < 3; i++) {
      client.sendTo("10.2.0.2", 7, new Uint8Array(size).fill(90), 0, size);
      world.run(200);
      const heard = textOf(server);
      if (heard !== undefined) return heard;
    }
    return undefined;
  };
  t.is(say(100), "Z".repeat(100));
  t.is(say(1472), "Z".repeat(1472));
  t.true(say(4000) === "Z".repeat(4000));
  const { near, far } = transfer(a.tcp, b.tcp, "10.2.0.2", { forth: 100000, back: 100000 });
  world.run(8000);
  t.deepEqual([near.received, near.wrong, far.received, far.wrong], [100000, -1, 100000, -1]);
  // TCP learned of the tunnel's MTU by "fragmentation needed".
  t.true(g.security.counters.tooBig > 0);
  t.true(between.every((frame) => frame[12] === 8 && (frame[13] === 6 || frame[23] === 50)));
  t.true(between.filter((frame) => frame[23] === 50).length > 150);
  // In the clear from the far side: dropped at the gateway.
  const before = h.security.counters.policy;
  g.security.addPolicy({ action: "bypass", at: 0 });
  t.is(say(100), undefined);
  t.true(h.security.counters.policy > before);
  client.close();
  server.close();
  for (const { stack } of [a, g, h, b]) stack.close();
});

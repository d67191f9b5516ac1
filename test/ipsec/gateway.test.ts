/** Two security gateways with a network behind each: what is forwarded goes into the tunnel, what comes out of it goes on. */
import test from "ava";
import { CHECKSUM_PARTIAL } from "../../hypercall/index.js";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { createWorld, wire } from "../../ports/sim/index.js";
import type { SimLink } from "../../ports/sim/index.js";
import { createStack } from "../../stack/core/stack.js";
import { firewall } from "../../stack/filter/firewall.js";
import { napt } from "../../stack/filter/napt.js";
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
import { internetChecksum, ip4Bytes, macText } from "../support/bytes.js";
import { be32, eth, frame, ip4, udp as datagram } from "../support/packets.js";
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
  // A virtual link leaves the checksum to us: behind the tunnel nobody would complete it.
  const pseudo = internetChecksum(ip4Bytes("10.1.0.2"), ip4Bytes("10.2.0.2"), be32(11), be32(17)) ^ 0xffff;
  const virtual = frame(
    eth({ src: macText(hostA.mac!), dst: macText(lanA.mac!) }),
    ip4({ src: "10.1.0.2", dst: "10.2.0.2" }),
    datagram({ sport: 9, checksum: pseudo }),
    "odd",
  );
  g.nifs[0]!.receive(virtual, 0, virtual.length, CHECKSUM_PARTIAL);
  world.run(100);
  t.is(textOf(server), "odd");
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

test("site to site through gateways that translate: the tunnel carries inner addresses, the rest leaves by the outer one", (t) => {
  const world = createWorld({ seed: 1, scribble: true });
  const [hostA, lanA] = wire(world, { delay: 1 });
  const [wanA, wanB] = wire(world, { delay: 5 });
  const [lanB, hostB] = wire(world, { delay: 1 });
  const build = (router: boolean, lan: [SimLink, string], wan?: [SimLink, string]) => {
    const host = world.host();
    host.crypto = nodeCrypto();
    const ip = ipv4();
    const datagrams = udp();
    const streams = tcp();
    const security = ipsec({ otherwise: "bypass" });
    const wall = firewall({
      rules: [
        { from: "lan", action: "accept" },
        { from: "wan", to: "lan", source: ["10.1.0.0/24", "10.2.0.0/24"], action: "accept" },
        { from: "wan", to: "self", action: "accept" },
      ],
      nat: napt({ forward: [{ protocol: "udp", port: 99, to: "10.2.0.2", toPort: 7 }] }),
    });
    const gateway = router ? [forwarding(), security, esp(), wall] : [];
    const parts = [ethernet(), arp(), ip, icmp(), fragments(), pmtu(), datagrams, streams];
    const stack = host.drive(createStack(host, [...parts, ...gateway]));
    ip.addAddress(stack.addInterface(lan[0], "lan"), lan[1]);
    if (wan) ip.addAddress(stack.addInterface(wan[0], "wan"), wan[1]);
    return { ip, udp: datagrams, tcp: streams, security, wall, stack };
  };
  const a = build(false, [hostA, "10.1.0.2/24"]);
  const g = build(true, [lanA, "10.1.0.1/24"], [wanA, "192.0.2.1/24"]);
  const h = build(true, [lanB, "10.2.0.1/24"], [wanB, "192.0.2.2/24"]);
  const b = build(false, [hostB, "10.2.0.2/24"]);
  a.ip.addRoute("0.0.0.0/0", { gateway: "10.1.0.1" });
  b.ip.addRoute("0.0.0.0/0", { gateway: "10.2.0.1" });
  g.ip.addRoute("0.0.0.0/0", { gateway: "192.0.2.2" });
  h.ip.addRoute("0.0.0.0/0", { gateway: "192.0.2.1" });
  const heard: string[] = [];
  const info = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
  const data = new Uint8Array(4096);
  const listen = (end: typeof a) =>
    end.udp.open({
      port: 7,
      onReadable() {
        for (let n = this.receive(data, info); n >= 0; n = this.receive(data, info)) {
          heard.push(`${info.address} ${n}`);
          this.sendTo(info.address, info.port, data, 0, n);
        }
      },
    });
  const sockets = [listen(a), listen(b), listen(h)];
  const client = a.udp.open();
  const back = b.udp.open();
  const say = (from: typeof client, to: string, size: number, port = 7): string[] => {
    from.sendTo(to, port, data, 0, size);
    world.run(100);
    const n = from.receive(new Uint8Array(4096), info);
    return [...heard.splice(0), n < 0 ? "nothing" : `${info.address} ${n}`];
  };
  // Before there is a policy it leaves as everything does; nobody knows the inner network outside.
  say(client, "10.2.0.2", 10);
  for (const [end, local, remote, own, far, out, into] of [
    [g, "10.1.0.0/24", "10.2.0.0/24", "192.0.2.1", "192.0.2.2", 0x101, 0x102],
    [h, "10.2.0.0/24", "10.1.0.0/24", "192.0.2.2", "192.0.2.1", 0x102, 0x101],
  ] as const) {
    const policy = end.security.addPolicy({ action: "protect", local, remote });
    const common = { policy, local: own, remote: far, key: key(20) };
    end.security.addSa({ ...common, direction: "in", spi: into });
    end.security.addSa({ ...common, direction: "out", spi: out });
  }
  // The same flow, which had an outer end; in fragments; begun by the other side.
  t.deepEqual(say(client, "10.2.0.2", 100), ["10.1.0.2 100", "10.2.0.2 100"]);
  t.deepEqual(say(client, "10.2.0.2", 4000), ["10.1.0.2 4000", "10.2.0.2 4000"]);
  t.deepEqual(say(back, "10.1.0.2", 100), ["10.2.0.2 100", "10.1.0.2 100"]);
  const { near, far } = transfer(a.tcp, b.tcp, "10.2.0.2", { forth: 50000, back: 50000 });
  world.run(8000);
  t.deepEqual([near.received, near.wrong, far.received, far.wrong], [50000, -1, 50000, -1]);
  // A port of the outer address that leads to a host behind the tunnel.
  const other = a.udp.open();
  t.deepEqual(say(other, "192.0.2.1", 30, 99), ["10.1.0.2 30", "192.0.2.1 30"]);
  // Same interface, in the clear: the outer address.
  t.deepEqual(say(client, "192.0.2.2", 50), ["192.0.2.1 50", "192.0.2.2 50"]);
  t.is(g.security.counters.policy + h.security.counters.policy, 0);
  for (const socket of [...sockets, client, other, back]) socket.close();
  for (const { stack } of [a, g, h, b]) stack.close();
});

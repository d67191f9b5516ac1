/** The DHCP relay agent between clients at one probe and servers at another (RFC 1542 section 4, RFC 3046); and DHCPv6's (RFC 8415 section 19). */
import test from "ava";
import fc from "fast-check";
import { dhcpRelay } from "../../stack/service/dhcp-relay.js";
import type { DhcpRelayOptions } from "../../stack/service/dhcp-relay.js";
import { dhcpv6Relay } from "../../stack/service/dhcpv6-relay.js";
import { router } from "../router/support.js";
import { ip4Bytes, ip4Text, ip6Bytes } from "../support/bytes.js";
import { eth, frame, ip4, udp } from "../support/packets.js";
import { Probe, probed } from "../support/probe.js";
import { address, message } from "./dhcp-messages.js";
import { mac, readAnswer, requestFrame } from "./dhcp-server-support.js";
import type { RequestFields } from "./dhcp-server-support.js";
import type { ExecutionContext } from "ava";

/** Clients are at the probe (10.0.0.0/24), the server is 10.1.0.2 at the other. */
function relayTest(t: ExecutionContext, options: Partial<DhcpRelayOptions> = {}) {
  const relay = dhcpRelay();
  const node = probed(t, { components: () => [relay] });
  const far = new Probe(node.world, { mac: "02:00:00:00:00:09" });
  far.answersArp = ["10.1.0.2", "10.1.0.3"];
  const wan = node.stack.addInterface(far);
  node.ip.addAddress(wan, "10.1.0.1/24");
  // As a router does: this host's addresses are its own on any interface.
  const accept = node.ip.hasAddress.bind(node.ip);
  node.ip.hasAddress = (nif, value, any) =>
    accept(nif, value, any) || (nif === wan && accept(node.nif, value, any));
  const link = relay.open({ interface: node.nif, servers: ["10.1.0.2"], ...options });
  return {
    ...node,
    relay,
    far,
    link,
    /** What reaches the server of a client's request. */
    forward(fields: RequestFields) {
      far.take();
      node.probe.send(requestFrame({ type: 1, chaddr: mac(1), ...fields }));
      node.world.run(1);
      return far.takeParsed().filter((each) => each.udp);
    },
    /** What reaches the client of a server's reply. */
    reply(giaddr: string, from = "10.1.0.2", broadcast = false, ...more: Uint8Array[]) {
      const bytes = message({
        type: 2,
        yiaddr: "10.0.0.77",
        chaddr: mac(1),
        server: "10.1.0.2",
        options: more,
      });
      bytes.set(ip4Bytes(giaddr), 24);
      if (broadcast) bytes[10] = 0x80;
      const head = [eth({ dst: "02:00:00:00:00:09" }), ip4({ src: from, dst: giaddr })] as const;
      node.probe.take();
      far.send(frame(...head, udp({ sport: 67, dport: 67 }), bytes));
      node.world.run(1);
      return node.probe.take().map(readAnswer);
    },
  };
}

test("requests go to all servers, with this agent's address and information; hops are counted", (t) => {
  const r = relayTest(t, { servers: ["10.1.0.2", "10.1.0.3"], circuitId: "port1", remoteId: "me" });
  const sent = r.forward({ hops: 3, options: [address(50, "10.0.0.9")] });
  t.deepEqual(
    sent.map((each) => each.ip4!.dst),
    ["10.1.0.2", "10.1.0.3"],
  );
  const data = sent[0]!.payload;
  t.is(data[3], 4);
  t.is(ip4Text(data.subarray(24, 28)), "10.0.0.1");
  const tail = Buffer.from(data).subarray(240).toString("latin1");
  t.true(tail.includes("\x32\x04\x0a\x00\x00\x09\x52\x0b\x01\x05port1\x02\x02me\xff"));
  t.is(r.relay.counters.requests, 2);
});

test("requests of other agents pass as they are, those that go in circles or lie do not", (t) => {
  const r = relayTest(t);
  const information = Uint8Array.of(82, 3, 1, 1, 65);
  const [sent] = r.forward({ giaddr: "10.0.0.2", to: "10.0.0.1", options: [information] });
  t.is(ip4Text(sent!.payload.subarray(24, 28)), "10.0.0.2");
  t.deepEqual(r.forward({ hops: 16 }), []);
  t.deepEqual(r.forward({ options: [information] }), []);
  t.deepEqual(r.forward({ cookie: 1 }), []);
  t.deepEqual(r.forward({ end: false }), []);
  t.like(r.relay.counters, { requests: 1, hops: 1, untrusted: 1, malformed: 2 });
});

test("without information; and a message that leaves no room for it", (t) => {
  const r = relayTest(t, { information: false });
  t.false(Buffer.from(r.forward({})[0]!.payload).includes(82, 240));
});

test("replies go to the client, without the agent's information", (t) => {
  const r = relayTest(t);
  const information = Uint8Array.of(82, 3, 1, 1, 65);
  const [answer] = r.reply("10.0.0.1", "10.1.0.2", false, information, Uint8Array.of(1, 4, 255, 255, 255, 0));
  t.like(answer, { dst: "10.0.0.77", mac: mac(1), port: 68, yiaddr: "10.0.0.77", giaddr: "0.0.0.0" });
  t.deepEqual([...answer!.options.keys()], [53, 54, 1]);
  t.like(r.reply("10.0.0.1", "10.1.0.2", true)[0], { dst: "255.255.255.255" });
  t.deepEqual(r.reply("10.0.0.1", "10.1.0.7"), []);
  t.deepEqual(r.reply("10.1.0.1"), []);
  t.like(r.relay.counters, { replies: 2, notOurs: 2 });
});

test("misuse, and the end", (t) => {
  const r = relayTest(t);
  t.throws(() => r.relay.open({ interface: r.nif, servers: ["10.1.0.2"] }), { code: "EBUSY" });
  r.link.close();
  r.link.close();
  t.deepEqual(r.forward({}), []);
  t.throws(() => r.relay.open({ interface: r.nif, servers: [] }), { code: "EINVAL" });
  t.throws(() => r.relay.open({ interface: r.nif, servers: ["224.0.0.1"] }), { code: "EINVAL" });
  t.throws(() => r.relay.open({ interface: r.nif, servers: ["10.1.0.2"], circuitId: "" }), {
    code: "EINVAL",
  });
  r.relay.open({ interface: r.nif, servers: ["10.1.0.2"] });
  r.stack.removeInterface(r.nif);
  t.is(r.udp.sockets.size, 0);
});

/** A router with the DHCPv6 agent: clients at `lan` (2001:db8:1::/64), the server is 2001:db8:2::2. */
function relay6(t: ExecutionContext) {
  const relay = dhcpv6Relay();
  const node = router(t, { more: [relay] });
  const link = relay.open({ interface: node.lanNif, servers: ["2001:db8:2::2"] });
  /** Gives the agent a datagram as its socket would; what it has sent, as datagrams. */
  const give = (bytes: Uint8Array, from: string, client: boolean) => {
    const socket = { closed: false, receive: () => -1 };
    let left = 1;
    socket.receive = ((data: Uint8Array, info: { address: string; length: number; truncated: boolean }) => {
      if (left-- <= 0) return -1;
      data.set(bytes.subarray(0, data.length));
      Object.assign(info, { address: from, length: bytes.length, truncated: bytes.length > data.length });
      return bytes.length;
    }) as never;
    relay.readable(socket as never, client ? link : null);
  };
  return { ...node, relay, link, give };
}

test("DHCPv6: hops are bounded, replies come from servers alone, and for links that we have", (t) => {
  const { relay, give } = relay6(t);
  const solicit = Uint8Array.of(1, 1, 2, 3, 0, 8, 0, 2, 0, 0);
  const wrap = (type: number, hops: number, id: string) =>
    Uint8Array.from([
      ...[type, hops, ...new Array<number>(16).fill(0), ...ip6Bytes("fe80::7")],
      ...[0, 18, 0, id.length, ...Buffer.from(id), 0, 9, 0, solicit.length, ...solicit],
    ]);
  give(solicit, "fe80::7%eth0", true);
  give(wrap(12, 7, "x"), "2001:db8:1::9", true);
  t.is(relay.counters.requests + relay.counters.sendFailed, 2);
  give(wrap(12, 8, "x"), "2001:db8:1::9", true);
  t.is(relay.counters.hops, 1);
  give(wrap(13, 0, "elsewhere"), "2001:db8:2::2", false);
  give(wrap(13, 0, "eth0"), "2001:db8:2::3", false);
  t.is(relay.counters.notOurs, 2);
  give(wrap(13, 0, "eth0"), "2001:db8:2::2", false);
  t.is(relay.counters.replies + relay.counters.sendFailed, 1);
  // A server's messages have no business on a client's link.
  give(Uint8Array.of(7, 1, 2, 3), "fe80::7%eth0", true);
  t.is(relay.counters.malformed, 1);
});

test("DHCPv6: any bytes raise one counter, and nothing else happens", (t) => {
  const { relay, give } = relay6(t);
  const sum = () => Object.values(relay.counters).reduce((total, count) => total + count, 0);
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.constantFrom(1, 3, 12, 13),
        fc.uint8Array({ maxLength: 2200 }),
        fc.boolean(),
        (type, rest, client) => {
          const before = sum();
          give(Uint8Array.from([type, ...rest]), "fe80::7%eth0", client);
          return sum() === before + 1;
        },
      ),
      { numRuns: 500 },
    ),
  );
});

test("DHCPv6: wrong use throws", (t) => {
  const { relay, lanNif, wanNif } = relay6(t);
  t.throws(() => relay.open({ interface: lanNif, servers: ["2001:db8:2::2"] }), { code: "EBUSY" });
  for (const servers of [[], ["10.0.0.1"], ["fe80::1"], ["ff05::1:3"], ["::"]]) {
    t.throws(() => relay.open({ interface: wanNif, servers }), { code: "EINVAL" });
  }
});

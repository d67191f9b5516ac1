/** What a stack says of itself: right, as plain data, and its own. */
import test from "ava";
import {
  inspectAddresses,
  inspectCounters,
  inspectInterfaces,
  inspectMemory,
  inspectNeighbours,
  inspectRoutes,
  inspectSockets,
} from "../stack/inspect.js";
import type { SocketView } from "../stack/inspect.js";
import { ipv6 } from "../stack/ipv6/ipv6.js";
import { ping as createPing } from "../stack/raw/ping.js";
import { raw as createRaw } from "../stack/raw/raw.js";
import { pair } from "./support/network.js";
import { STACK_IP, eth, frame, ip4, udp } from "./support/packets.js";
import { probed } from "./support/probe.js";

const same = (view: unknown) => JSON.parse(JSON.stringify(view)) as unknown;

test("interfaces, addresses, routes and neighbours", (t) => {
  const { stack, ip, nif, arp, udp: sockets, probe } = probed(t);
  probe.answersArp = [];
  sockets.open().sendTo("10.0.0.7", 9, new Uint8Array(1));
  stack.setInterface(nif, { mtu: 1400 });
  const [first] = inspectInterfaces(stack);
  t.deepEqual(same(first), { ...first });
  t.deepEqual(
    { ...first, counters: first.counters.txFrames },
    {
      name: "eth0",
      index: 1,
      medium: "ethernet",
      mac: "02:00:00:00:00:01",
      mtu: 1400,
      enabled: true,
      running: true,
      counters: nif.counters.txFrames,
    },
  );
  t.deepEqual(inspectAddresses(ip), [
    { interface: "eth0", address: STACK_IP, length: 24, state: "preferred", origin: "manual" },
  ]);
  t.deepEqual(inspectRoutes(ip), [
    { prefix: "10.0.0.0/24", gateway: "", interface: "eth0", metric: 0, origin: "address" },
    { prefix: "0.0.0.0/0", gateway: "10.0.0.2", interface: "eth0", metric: 0, origin: "manual" },
  ]);
  t.deepEqual(inspectNeighbours(arp), [
    {
      interface: "eth0",
      address: "10.0.0.2",
      mac: "02:00:00:00:00:02",
      state: "stale",
      router: false,
      waiting: 0,
    },
    { interface: "eth0", address: "10.0.0.7", mac: "", state: "incomplete", router: false, waiting: 1 },
  ]);
  // What is handed out is a copy.
  first.counters.txFrames = 99;
  t.not(nif.counters.txFrames, 99);
  const memory = inspectMemory(stack);
  t.deepEqual(
    { ...memory, nextTimer: 0 },
    {
      used: 2048,
      peak: 2048,
      packetMemory: 1 << 20,
      reserved: stack.reserved,
      refused: 0,
      timers: 1,
      nextTimer: 0,
    },
  );
  t.true(memory.nextTimer > 0 && memory.nextTimer <= 1000);
});

test("IPv6 addresses and routes", (t) => {
  const six = ipv6();
  const { nif } = probed(t, { components: () => [six] });
  six.addAddress(nif, "2001:db8::7/64");
  t.deepEqual(inspectAddresses(six).at(-1), {
    interface: "eth0",
    address: "2001:db8::7",
    length: 64,
    state: "preferred",
    origin: "manual",
  });
  t.true(inspectRoutes(six).some((each) => each.prefix === "2001:db8::/64" && each.gateway === ""));
});

test("sockets of every kind", (t) => {
  const pings = createPing();
  const raws = createRaw();
  let made = false;
  const components = () => {
    if (made) return [];
    made = true;
    return [pings, raws];
  };
  const { a, b, run } = pair(t, { components });
  const none: SocketView = {
    protocol: "udp",
    state: "OPEN",
    localAddress: "0.0.0.0",
    localPort: 7,
    remoteAddress: "",
    remotePort: 0,
    receiveQueue: 0,
    sendQueue: 0,
    congestionWindow: 0,
    roundTrip: 0,
    timeout: 0,
  };
  const open = a.udp.open({ port: 7 });
  open.sendTo("10.0.0.2", 9, new Uint8Array(1));
  t.deepEqual(inspectSockets(a.udp), [none]);
  t.is(open.connect("10.0.0.2", 9), 0);
  const peer = b.udp.open({ port: 9 });
  peer.sendTo("10.0.0.1", 7, new Uint8Array(1));
  run(100);
  t.deepEqual(inspectSockets(a.udp), [
    {
      ...none,
      state: "CONNECTED",
      localAddress: "10.0.0.1",
      remoteAddress: "10.0.0.2",
      remotePort: 9,
      receiveQueue: 1,
    },
  ]);
  open.close();

  pings.open({ address: "10.0.0.2", onReply: () => {} });
  raws.open({ protocol: 253 });
  const [ping] = inspectSockets(pings);
  t.deepEqual([ping.protocol, ping.state, ping.remoteAddress], ["ping", "CONNECTED", "10.0.0.2"]);
  t.deepEqual(inspectSockets(raws), [{ ...none, protocol: "raw", localPort: 253 }]);

  const listener = b.tcp.listen({ port: 80, onConnection: () => {} });
  const client = a.tcp.connect({ address: "10.0.0.2", port: 80 });
  t.is(inspectSockets(a.tcp)[0].state, "SYN-SENT");
  run(200);
  client.write(new Uint8Array(500));
  const [connection] = inspectSockets(a.tcp);
  t.deepEqual(same(connection), { ...connection });
  t.is(connection.state, "ESTABLISHED");
  t.is(connection.sendQueue, 500);
  t.true(connection.congestionWindow > 0 && connection.timeout > 0);
  run(200);
  const there = inspectSockets(b.tcp);
  t.deepEqual(
    there.map((view) => [view.state, view.localPort, view.receiveQueue]),
    [
      ["LISTEN", 80, 0],
      ["ESTABLISHED", 80, 500],
    ],
  );
  t.is(there[1].remotePort, connection.localPort);
  t.is(there[1].remoteAddress, "10.0.0.1");
  client.abort();
  listener.close();
  run(200);
});

test("counters, those of nothing left out", (t) => {
  const { stack, probe } = probed(t);
  probe.send(frame(eth(), ip4(), udp({ dport: 1 })));
  const counters = inspectCounters(stack);
  t.deepEqual(counters.udp, { received: 1, noPort: 1 });
  t.is(inspectCounters(stack, true).udp.badsum, 0);
  counters.udp.received = 7;
  t.is(stack.counters.udp.received, 1);
});

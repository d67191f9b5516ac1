/** The stack as an instance: interfaces, wake-ups, memory for packets. */
import test from "ava";
import fc from "fast-check";
import { createWorld } from "../../ports/sim/index.js";
import { createStack } from "../../stack/core/stack.js";
import { Timer } from "../../stack/core/timers.js";
import { firewall } from "../../stack/filter/firewall.js";
import { napt } from "../../stack/filter/napt.js";
import { nptv6 } from "../../stack/filter/nptv6.js";
import { acd } from "../../stack/ipv4/acd.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { dad } from "../../stack/ipv6/dad.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { mld } from "../../stack/ipv6/mld.js";
import { nd } from "../../stack/ipv6/nd.js";
import { slaac } from "../../stack/ipv6/slaac.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { loopback } from "../../stack/link/loopback.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { forwarding6 } from "../../stack/router/forwarding6.js";
import { mdns } from "../../stack/service/mdns.js";
import { nat64 } from "../../stack/translator/nat64.js";
import { udp } from "../../stack/udp/udp.js";
import { Probe, probed } from "../support/probe.js";
import { PROBE_IP, eth, frame } from "../support/packets.js";

test("an interface without a name does not take the name of another", (t) => {
  const world = createWorld();
  const stack = createStack(world.host(), [ethernet()]);
  stack.addInterface(new Probe(world), "eth1");
  t.is(stack.addInterface(new Probe(world)).name, "eth0");
  t.is(stack.addInterface(new Probe(world)).name, "eth2");
  t.throws(() => stack.addInterface(new Probe(world), "eth1"), { code: "EEXIST" });
});

test("a small host sends small packets first", (t) => {
  const { udp, probe } = probed(t, { stack: { maximumPacket: 576, chunkSize: 256, packetMemory: 8192 } });
  const socket = udp.open({ port: 7 });
  t.is(socket.sendTo(PROBE_IP, 9, Uint8Array.of(1)), 1);
  t.is(probe.take().length, 1);
});

for (const fault of ["never", "throw"] as const) {
  test(`RES-04 the next frame makes up for a wake-up that never came (${fault})`, (t) => {
    const { world, host, stack, probe } = probed(t, { leaks: { faults: true } });
    let fired = 0;
    host.faults.wake = fault;
    stack.timers.set(new Timer(() => fired++, null), stack.now() + 10);
    world.run(1000);
    t.is(fired, 0);
    stack.now();
    probe.send(frame(eth(), "anything"));
    t.is(fired, 1);
  });
}

test("RES-04 a driver that lies about a frame's place is not believed", (t) => {
  const { nif } = probed(t);
  const data = new Uint8Array(100);
  const before = nif.counters.rxDropped;
  nif.receive(data, 0, 101);
  nif.receive(data, 60, 50);
  nif.receive(data, -1, 50);
  nif.receive(data, NaN, 50);
  nif.receive(undefined as never, 0, 0);
  t.is(nif.counters.rxDropped, before + 5);
});

test("RES-04 where the engine's memory ends within a frame or a timer, the stack says so and goes on", (t) => {
  const { world, host, stack, nif } = probed(t);
  const input = nif.medium.input;
  const full = () => {
    throw new RangeError("out of memory");
  };
  nif.medium.input = full;
  const data = new Uint8Array(60);
  const { rxDropped } = nif.counters;
  const { callback } = stack.host.counters;
  nif.receive(data, 0, 60);
  t.is(nif.counters.rxDropped, rxDropped + 1);
  t.is(stack.host.counters.callback, callback + 1);
  t.false(stack.busy);
  nif.medium.input = (packet) => input.call(nif.medium, packet);
  nif.receive(data, 0, 60);
  t.is(nif.counters.rxDropped, rxDropped + 1);

  let fired = 0;
  stack.timers.set(new Timer(full, null), stack.now() + 10);
  stack.timers.set(new Timer(() => fired++, null), stack.now() + 11);
  world.run(100);
  t.is(fired, 1);
  t.is(stack.host.counters.callback, callback + 2);
  t.truthy(host);
});

test("the order of the list does not matter: loopback and translators before and after what hears of interfaces", (t) => {
  const facts = (shuffled: boolean, order: number[]) => {
    const world = createWorld({ seed: 1 });
    const npt = nptv6();
    const four = ipv4();
    const six = ipv6();
    const sockets = udp();
    const wall = firewall({ rules: [{ from: "lan", action: "accept" }], nat: napt() });
    const components = [
      ...[
        ethernet(),
        arp(),
        four,
        icmp(),
        igmp(),
        acd(),
        six,
        icmpv6(),
        nd(),
        dad(),
        mld(),
        slaac(),
        sockets,
      ],
      ...[loopback(), nat64(), wall, npt, mdns(), forwarding(), forwarding6()],
    ];
    const key = new Map(components.map((component, i) => [component, order[i]!]));
    if (shuffled) components.sort((a, b) => key.get(a)! - key.get(b)!);
    const host = world.host();
    const stack = host.drive(createStack(host, components));
    const lan = stack.addInterface(new Probe(world), "lan");
    const wan = stack.addInterface(new Probe(world, { mac: "02:00:00:00:00:11" }), "wan");
    six.addAddress(lan, "fd00::1/64");
    six.addAddress(wan, "2001:db8:7::1/64");
    npt.add({ inside: "fd00::/48", outside: "2001:db8:7::/48", interface: wan });
    world.run(20000);
    const heard: string[] = [];
    const info = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
    const server = sockets.open({
      port: 7,
      onReadable() {
        while (this.receive(new Uint8Array(9), info) >= 0) heard.push(info.address);
      },
    });
    for (const to of ["127.0.0.1", "::1"]) server.sendTo(to, 7, new Uint8Array(1));
    world.run(10);
    const found = {
      heard,
      interfaces: stack.interfaces.map(({ name }) => name).sort(),
      addresses: [
        ...four.addresses.map(({ nif }) => nif.name),
        ...six.addresses.map(({ nif }) => nif.name),
      ].sort(),
      solicitations: stack.counters.slaac!.solicitationsSent,
      lo: four.loopback === six.loopback && four.loopback?.name === "lo",
    };
    stack.close();
    return found;
  };
  const count = 20;
  const expected = facts(false, []);
  t.deepEqual(expected.heard, ["127.0.0.1", "::1"]);
  t.true(expected.lo);
  const order = fc.array(fc.nat(1e6), { minLength: count, maxLength: count });
  fc.assert(
    fc.property(order, (each) => {
      t.deepEqual(facts(true, each), expected);
    }),
    { numRuns: 25 },
  );
});

/** The DHCP server whatever comes: no lease is given twice, nothing throws, tables stay within bounds. Hostile inputs by their ids. */
import test from "ava";
import fc from "fast-check";
import { createWorld } from "../../ports/sim/index.js";
import { dhcp } from "../../stack/service/dhcp.js";
import type { DhcpClient } from "../../stack/service/dhcp.js";
import { dhcpServer } from "../../stack/service/dhcp-server.js";
import { closeAll } from "../support/leaks.js";
import { network } from "../support/network.js";
import { BROADCAST_MAC, eth, frame, ip4, udp } from "../support/packets.js";
import { address, message } from "./dhcp-messages.js";
import type { ReplyFields } from "./dhcp-messages.js";
import { MemoryStore, SERVER, mac, requestFrame, serverTest } from "./dhcp-server-support.js";

const DAY = 86400000;
const ADDRESSES = ["10.0.0.100", "10.0.0.101", "10.0.0.102", "10.0.0.99", "192.168.0.1"];

const step = fc.record({
  client: fc.nat(5),
  type: fc.constantFrom(1, 1, 3, 3, 3, 4, 7, 8),
  wanted: fc.constantFrom(...ADDRESSES),
  held: fc.boolean(),
  ours: fc.boolean(),
  wait: fc.constantFrom(0, 0, 10, 6000, 1_800_000, 4_000_000),
});

test("no address belongs to two clients at once, whatever they say and whenever", (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, restarts) => {
      const store = new MemoryStore();
      const world = createWorld({ seed: 1 });
      let s = serverTest(null, { world, server: { store }, scope: { pools: ["10.0.0.100-10.0.0.102"] } });
      /** By address: who has it, and until when. */
      const owners = new Map<string, { client: number; until: number }>();
      steps.forEach(({ client, type, wanted, held, ours, wait }, i) => {
        if (restarts && i === 20) {
          s.stack.close();
          s = serverTest(null, { world, server: { store }, scope: { pools: ["10.0.0.100-10.0.0.102"] } });
        }
        const options = [...(ours ? [address(54, SERVER)] : []), ...(held ? [] : [address(50, wanted)])];
        const ciaddr = held ? wanted : "0.0.0.0";
        const from = held ? wanted : "0.0.0.0";
        s.probe.send(requestFrame({ type, chaddr: mac(client), ciaddr, from, options }));
        const mine = owners.get(wanted)?.client === client;
        if (mine && ((type === 7 && held) || (type === 4 && ours && !held))) owners.delete(wanted);
        for (const answer of s.answers()) {
          // What answered a DHCPINFORM may have waited for ARP.
          if (answer.type !== 5 || answer.yiaddr === "0.0.0.0") continue;
          const before = owners.get(answer.yiaddr);
          if (before && before.until > world.time && before.client !== client) throw new Error("given twice");
          if (!ADDRESSES.slice(0, 3).includes(answer.yiaddr)) throw new Error("out of the pool");
          owners.set(answer.yiaddr, { client, until: world.time + 3_600_000 });
        }
        world.run(wait);
        store.seconds += wait / 1000;
      });
      const leaks = closeAll(world, [s.stack]);
      if (leaks.length > 0) throw new Error(leaks.join());
    }),
    { numRuns: 200 },
  );
  t.pass();
});

test("DHC-01 lengths, cookies, options that lie: each datagram raises one counter and gets no answer", (t) => {
  const s = serverTest(t);
  const lies: ReplyFields[] = [];
  for (let length = 1; length <= 240; length++) lies.push({ length });
  lies.push({ cookie: 0 }, { op: 2 }, { hlen: 0 }, { hlen: 17 }, { hlen: 255 }, { end: false });
  lies.push({ options: [Uint8Array.of(50, 200, 1)], end: false }, { options: [Uint8Array.of(52, 1, 4)] });
  lies.push(
    { options: [Uint8Array.of(52, 2, 1, 1)] },
    { options: [Uint8Array.of(52, 1, 1)], file: Uint8Array.of(61, 200) },
  );
  lies.forEach((fields, i) => {
    t.is(s.ask({ type: 1, chaddr: mac(1), ...fields }), undefined);
    t.is(s.server.counters.malformed, i + 1, JSON.stringify(fields));
  });
  t.is(s.lease(1)!.type, 5);
});

test("DHC-02 options of odd lengths are as good as absent", (t) => {
  const s = serverTest(t, { server: { limit: 8 } });
  for (const code of [12, 50, 51, 54, 55, 57, 61, 81, 82]) {
    for (const length of [0, 1, 2, 3, 5, 255]) {
      const answer = s.ask({ type: 1, chaddr: mac(1), options: [[code, new Uint8Array(length).fill(97)]] });
      if (answer) t.is(answer.type, 2);
      s.world.run(6000);
    }
  }
  t.is(s.server.counters.malformed, 0);
});

test("any bytes, and any mutation of good messages, throw nothing and fill nothing", (t) => {
  const s = serverTest(t, { server: { limit: 16 } });
  const good = [1, 3, 4, 7, 8].map((type) =>
    message({ op: 1, type, chaddr: mac(1), server: "", options: [address(50, "10.0.0.100")] }),
  );
  const change = fc.tuple(fc.nat(260), fc.nat(255));
  fc.assert(
    fc.property(
      fc.constantFrom(...good),
      fc.array(change, { maxLength: 8 }),
      fc.uint8Array({ maxLength: 40 }),
      (from, changes, tail) => {
        const bytes = Uint8Array.from([...from.subarray(0, -1), ...tail, 255]);
        for (const [at, value] of changes) bytes[at] = value;
        const head = [eth({ dst: BROADCAST_MAC }), ip4({ src: "0.0.0.0", dst: "255.255.255.255" })] as const;
        s.probe.send(frame(...head, udp({ sport: 68, dport: 67 }), bytes));
        s.world.run(1);
        return s.server.leases.byAddress.size <= 16;
      },
    ),
    { numRuns: 3000 },
  );
  s.answers();
  s.world.run(10);
  t.is(s.world.panics.length, 0);
});

test("a flood of clients: leases in force stay, the table keeps its bound, the pool empties and fills again", (t) => {
  const s = serverTest(t, { server: { limit: 64 }, scope: { pools: ["10.0.0.10-10.0.0.59"] } });
  const ours = [1, 2, 3].map((n) => s.lease(n)!.yiaddr);
  for (let n = 100; n < 5100; n++) s.ask({ type: 1, chaddr: mac(n) });
  t.true(s.server.counters.exhausted >= 4900);
  t.true(s.server.leases.byAddress.size <= 64);
  t.deepEqual(
    [1, 2, 3].map((n) => s.lease(n)!.yiaddr),
    ours,
  );
  s.world.run(6000);
  t.is(s.lease(4)!.type, 5, "offers give way");
  // Those that ask for and decline one address after the other.
  for (let n = 6000; n < 6200; n++) {
    const ack = s.lease(n);
    if (ack) s.ask({ type: 4, chaddr: mac(n), options: [address(50, ack.yiaddr), address(54, SERVER)] });
    s.world.run(100);
  }
  t.deepEqual(
    [1, 2, 3].map((n) => s.lease(n)!.yiaddr),
    ours,
  );
  s.world.run(70000);
  t.is(s.lease(5)!.type, 5, "what was declined is tried again before nobody gets anything");
});

test("two virtual days of twenty clients that come, go and reboot: no address twice, nothing left over", (t) => {
  const server = dhcpServer({ limit: 64 });
  let made = 0;
  const clients: DhcpClient[] = [];
  const { world, nodes } = network(t, 21, {
    components: () => [made++ === 0 ? server : dhcp()],
    leaks: { timers: 40 },
  });
  server.serve({
    interface: nodes[0]!.nif,
    network: "10.0.0.0/16",
    pools: ["10.0.9.1-10.0.9.24"],
    leaseTime: 3600,
  });
  for (const node of nodes.slice(1)) {
    node.ip.removeAddress(node.nif, node.address);
    const service = node.stack.components.find(({ name }) => name === "dhcp") as ReturnType<typeof dhcp>;
    clients.push(service.open(node.nif));
  }
  let random = 12345;
  const next = (n: number) => (random = (random * 1103515245 + 12345) & 0x7fffffff) % n;
  for (let hour = 0; hour < 48; hour++) {
    const n = next(20);
    const client = clients[n]!;
    const lease = client.lease;
    if (next(3) === 0) client.release();
    else client.close();
    world.run(next(2) * 600_000);
    clients[n] = client.dhcp.open(client.nif, next(2) ? { lease } : {});
    world.run(DAY / 24 - 300_000);
    const held = clients.map((each) => each.lease?.address);
    t.true(held.every(Boolean), `hour ${hour}: ${held.join()}`);
    t.is(new Set(held).size, 20);
  }
  t.true(server.leases.byAddress.size <= 24);
  for (const client of clients) client.release();
  world.run(10);
  t.is(server.list().length, 0);
});

/** The DHCP server's answers, message by message (RFC 2131 section 4.3), in virtual time. */
import test from "ava";
import { ping } from "../../stack/raw/ping.js";
import { dhcpServer } from "../../stack/service/dhcp-server.js";
import { ip4Bytes, ip4Text, toHex } from "../support/bytes.js";
import { arp, eth, frame } from "../support/packets.js";
import { probed } from "../support/probe.js";
import { address, seconds } from "./dhcp-messages.js";
import { MemoryStore, SERVER, mac, requestFrame, serverTest } from "./dhcp-server-support.js";

const HOUR = 3600000;
const LIST = Uint8Array.of(1, 3, 6, 15, 28, 119, 121, 26);

test("discover, offer, request, acknowledgement: what is asked for, in its order", (t) => {
  const s = serverTest(t, {
    scope: {
      options: { routers: [SERVER], nameServers: ["10.0.0.3", "10.0.0.4"], domain: "home.arpa", mtu: 1400 },
    },
  });
  const offer = s.ask({ type: 1, xid: 7, chaddr: mac(256), options: [[55, LIST]] })!;
  t.like(offer, { type: 2, xid: 7, dst: offer.yiaddr, mac: mac(256), port: 68, ciaddr: "0.0.0.0" });
  t.regex(offer.yiaddr, /^10\.0\.0\.10\d$/);
  t.deepEqual([...offer.options.keys()], [53, 54, 51, 58, 59, 1, 3, 6, 15, 28, 26]);
  t.is(ip4Text(offer.options.get(54)!), SERVER);
  t.is(toHex(offer.options.get(51)!), "00 00 0e 10");
  t.is(toHex(offer.options.get(58)!), "00 00 07 08");
  t.is(toHex(offer.options.get(59)!), "00 00 0c 4e");
  t.is(ip4Text(offer.options.get(28)!), "10.0.0.255");
  t.deepEqual(s.server.list(), []);
  const ack = s.ask({
    type: 3,
    xid: 7,
    chaddr: mac(256),
    options: [
      address(50, offer.yiaddr),
      address(54, SERVER),
      [12, Buffer.from("Lamp.home.arpa")],
      [55, LIST],
    ],
  })!;
  t.like(ack, { type: 5, yiaddr: offer.yiaddr });
  s.world.run(1);
  t.deepEqual(s.events, [`+${offer.yiaddr} lamp`]);
  t.like(s.server.list()[0], {
    address: offer.yiaddr,
    client: "01020000010100",
    hostName: "lamp",
    left: 3599.999,
  });
});

test("replies go to whom they must: broadcast flag, address in use, relay agent", (t) => {
  const s = serverTest(t);
  t.like(s.ask({ type: 1, chaddr: mac(1), broadcast: true }), {
    dst: "255.255.255.255",
    mac: "ff:ff:ff:ff:ff:ff",
  });
  const { yiaddr } = s.lease(2)!;
  t.like(s.ask({ type: 3, chaddr: mac(2), ciaddr: yiaddr, to: SERVER }), {
    type: 5,
    dst: yiaddr,
    ciaddr: yiaddr,
  });
  const relayed = { type: 1, chaddr: mac(3), giaddr: "10.0.0.2" };
  const information = Uint8Array.of(1, 3, 1, 2, 3);
  const offer = s.ask({ ...relayed, options: [[82, information]] })!;
  t.like(offer, { dst: "10.0.0.2", port: 67, giaddr: "10.0.0.2" });
  t.deepEqual(offer.options.get(82), information);
  t.is([...offer.options.keys()].at(-1), 82);
  const wrong = [address(50, "10.9.9.9")];
  t.like(s.ask({ type: 3, chaddr: mac(3), options: wrong }), {
    type: 6,
    dst: "255.255.255.255",
    yiaddr: "0.0.0.0",
  });
  t.like(s.ask({ type: 3, chaddr: mac(3), options: wrong, giaddr: "10.0.0.2" }), {
    type: 6,
    broadcast: true,
  });
});

test("the client identifier counts, not the hardware, and is repeated (RFC 6842)", (t) => {
  const s = serverTest(t);
  const id = Uint8Array.of(255, 1, 2, 3);
  const first = s.lease(1, [61, id])!;
  t.deepEqual(first.options.get(61), id);
  t.is(s.lease(2, [61, id])!.yiaddr, first.yiaddr);
  t.not(s.lease(2)!.yiaddr, first.yiaddr);
  t.is(s.server.list().length, 2);
});

test("requests of every state: rebooting, renewing, rebinding; of clients that are known, moved or strange", (t) => {
  const s = serverTest(t);
  const { yiaddr } = s.lease(1)!;
  const other = yiaddr === "10.0.0.105" ? "10.0.0.106" : "10.0.0.105";
  const wants = (text: string) => ({ type: 3, chaddr: mac(1), options: [address(50, text)] });
  t.is(s.ask(wants(yiaddr))!.type, 5);
  t.is(s.ask(wants(other))!.type, 6);
  t.is(s.ask(wants("192.168.1.1"))!.type, 6);
  t.is(s.ask({ type: 3, chaddr: mac(1), ciaddr: yiaddr })!.type, 5);
  // It has not got that; nor may it have this host's, or one outside of the pools.
  t.is(s.ask({ type: 3, chaddr: mac(2), ciaddr: yiaddr })!.type, 6);
  t.is(s.ask({ type: 3, chaddr: mac(2), ciaddr: SERVER, from: "10.0.0.77" })!.type, 6);
  t.is(s.ask({ type: 3, chaddr: mac(2), ciaddr: "10.0.0.7" })!.type, 6);
  // A lease of before this server's time.
  t.like(s.ask({ type: 3, chaddr: mac(2), options: [address(50, other)] }), { type: 5, yiaddr: other });
  // The client has chosen another server: what was offered is free again.
  const offer = s.ask({ type: 1, chaddr: mac(3) })!;
  t.is(
    s.ask({ type: 3, chaddr: mac(3), options: [address(50, "10.0.0.9"), address(54, "10.0.0.8")] }),
    undefined,
  );
  t.is(s.ask({ type: 1, chaddr: mac(4), options: [address(50, offer.yiaddr)] })!.yiaddr, offer.yiaddr);
});

test("a server that is not alone keeps quiet to strangers", (t) => {
  const s = serverTest(t, { server: { authoritative: false } });
  t.is(s.ask({ type: 3, chaddr: mac(2), options: [address(50, "192.168.1.1")] }), undefined);
  t.is(s.ask({ type: 3, chaddr: mac(2), ciaddr: "10.0.0.105" }), undefined);
  t.is(s.lease(2)!.type, 5);
});

test("release, decline, inform", (t) => {
  const s = serverTest(t);
  const { yiaddr } = s.lease(1)!;
  const release = { type: 7, chaddr: mac(1), ciaddr: yiaddr, to: SERVER, options: [address(54, SERVER)] };
  t.is(s.ask({ ...release, chaddr: mac(2) }), undefined);
  t.is(s.server.list().length, 1);
  s.ask(release);
  t.deepEqual(s.server.list(), []);
  t.is(s.lease(1)!.yiaddr, yiaddr, "it comes back to the same");
  const decline = { type: 4, chaddr: mac(1), options: [address(50, yiaddr), address(54, SERVER)] };
  s.ask({ ...decline, chaddr: mac(2) });
  t.is(s.server.list().length, 1);
  s.ask(decline);
  t.deepEqual(s.server.list(), []);
  t.not(s.lease(1)!.yiaddr, yiaddr);
  t.is(s.server.counters.conflicts, 1);
  const inform = s.ask({
    type: 8,
    chaddr: mac(5),
    ciaddr: "10.0.0.2",
    options: [[55, Uint8Array.of(1, 28)]],
  })!;
  t.like(inform, { type: 5, yiaddr: "0.0.0.0", dst: "10.0.0.2" });
  t.false(inform.options.has(51));
  t.is(s.ask({ type: 8, chaddr: mac(5), ciaddr: "192.0.2.1", from: "10.0.0.20" }), undefined, "no reflector");
  s.world.run(1);
});

test("leases end, and addresses go round: the oldest first", (t) => {
  const s = serverTest(t, { scope: { pools: ["10.0.0.100-10.0.0.102"] } });
  const given = [0, 1, 2].map((n) => {
    s.world.run(1000);
    return s.lease(n)!.yiaddr;
  });
  t.is(new Set(given).size, 3);
  t.is(s.lease(3), undefined);
  t.is(s.server.counters.exhausted, 1);
  s.world.run(HOUR - 1500);
  t.is(s.server.list().length, 2, "the first is over");
  s.world.run(30000);
  t.deepEqual(s.server.list(), []);
  t.is(s.events.filter((event) => event.startsWith("-")).length, 3);
  t.is(s.server.counters.expired, 3);
  t.is(s.lease(2)!.yiaddr, given[2], "each its own");
  t.is(s.lease(3)!.yiaddr, given[0]);
});

test("an offer that nobody takes up is somebody else's after five seconds, where nothing else is free", (t) => {
  const s = serverTest(t, { scope: { pools: ["10.0.0.100"] } });
  t.truthy(s.ask({ type: 1, chaddr: mac(1) }));
  t.is(s.ask({ type: 1, chaddr: mac(2) }), undefined);
  s.world.run(5000);
  t.is(s.lease(2)!.yiaddr, "10.0.0.100");
  t.is(s.lease(1), undefined);
});

test("lease times: shorter where the client asks for it, for ever", (t) => {
  const s = serverTest(t);
  const time = (n: number, wanted: number) => toHex(s.lease(n, seconds(51, wanted))!.options.get(51)!);
  t.is(time(1, 600), "00 00 02 58");
  t.is(time(2, 1), "00 00 00 78");
  t.is(time(3, 0xffffffff), "00 00 0e 10");
  const endless = serverTest(t, { scope: { leaseTime: 0xffffffff } });
  const ack = endless.lease(1)!;
  t.is(toHex(ack.options.get(51)!), "ff ff ff ff");
  t.false(ack.options.has(58));
  endless.world.run(100 * 24 * HOUR);
  t.is(endless.server.list()[0]!.left, Infinity);
});

test("leases outlive the clock of the stack: 60 days of a lease, and of renewals", (t) => {
  const s = serverTest(t, { scope: { leaseTime: 60 * 86400 } });
  const { yiaddr } = s.lease(1)!;
  s.world.run(59 * 24 * HOUR);
  t.is(s.server.list()[0]!.address, yiaddr);
  s.world.run(2 * 24 * HOUR);
  t.deepEqual(s.server.list(), []);
});

test("what is long is sent in pieces, what is too long for the client is left out", (t) => {
  const raw = [
    { code: 43, data: new Uint8Array(300).fill(7) },
    { code: 44, data: new Uint8Array(300) },
    { code: 45, data: Uint8Array.of(1), always: true },
  ];
  const s = serverTest(t, { scope: { options: { raw } } });
  const ask = (size: number) =>
    s.ask({
      type: 1,
      chaddr: mac(1),
      options: [
        [55, Uint8Array.of(43, 44)],
        [57, Uint8Array.of(size >> 8, size & 255)],
      ],
    })!;
  const small = ask(576);
  t.deepEqual([small.options.has(43), small.options.has(44), small.options.has(45)], [false, false, true]);
  t.true(small.size <= 548);
  const large = ask(1400);
  t.deepEqual([large.options.get(43)!.length, large.options.get(44)!.length], [300, 300]);
  t.is(s.server.counters.omitted, 2);
});

test("an address that answers is not offered; what asks for it meanwhile gets one answer", (t) => {
  const pings = ping();
  const s = serverTest(t, { components: () => [pings], server: { probe: pings } });
  const first = requestFrame({ type: 1, chaddr: mac(1) });
  s.probe.send(first);
  const [request] = s.probe.takeParsed();
  const { targetIp } = request!.arp!;
  t.regex(targetIp, /^10\.0\.0\.10\d$/);
  s.probe.send(
    frame(eth({ src: mac(77) }), arp({ op: 2, senderMac: mac(77), senderIp: targetIp, targetIp: SERVER })),
  );
  s.probe.send(first);
  s.world.run(1100);
  const [offer, ...rest] = s.answers();
  t.is(rest.length, 0);
  t.not(offer!.yiaddr, targetIp);
  t.is(s.server.counters.conflicts, 1);
  // The client itself may have the address still, from before it forgot.
  const again = { type: 1, chaddr: mac(2) };
  s.probe.send(requestFrame(again));
  const asked = s.probe.takeParsed()[0]!.arp!.targetIp;
  s.probe.send(
    frame(eth({ src: mac(2) }), arp({ op: 2, senderMac: mac(2), senderIp: asked, targetIp: SERVER })),
  );
  s.world.run(600);
  t.is(s.answers()[0]!.yiaddr, asked);
  t.is(s.server.counters.conflicts, 1);
  s.world.run(5000);
});

test("what is stored comes back: in force for what was left, former and declined ones as well", (t) => {
  const store = new MemoryStore();
  const one = serverTest(t, { server: { store } });
  const names = [1, 2, 3].map((n) => one.lease(n, [12, Buffer.from("host" + n)])!.yiaddr);
  one.ask({ type: 7, chaddr: mac(2), ciaddr: names[1], to: SERVER });
  one.ask({ type: 4, chaddr: mac(3), options: [address(50, names[2]!), address(54, SERVER)] });
  t.is(store.records.length, 5);
  store.seconds += 1800;
  const two = serverTest(t, { server: { store } });
  t.is(store.records.length, 3, "compacted");
  t.like(two.server.list(), [{ address: names[0], hostName: "host1", left: 1800, hardware: "020000010001" }]);
  t.is(two.lease(2)!.yiaddr, names[1]);
  t.not(two.lease(3)!.yiaddr, names[2]);
  t.is(two.server.list().length, 3);
  store.seconds += 3600;
  t.deepEqual(serverTest(t, { server: { store } }).server.list(), []);
});

test("a log does not grow without end, damaged records are left out, a store that fails stops nobody", (t) => {
  const store = new MemoryStore();
  const s = serverTest(t, { server: { store } });
  const { yiaddr } = s.lease(1)!;
  for (let i = 0; i < 1000; i++) s.ask({ type: 3, chaddr: mac(1), ciaddr: yiaddr });
  t.true(store.records.length < 100);
  t.true(store.rewrites > 5);
  store.fails = true;
  t.is(s.lease(2)!.type, 5);
  t.is(s.server.counters.storeFailed, 1);
  store.fails = false;
  const good = store.records[0]!;
  const bad = [
    "",
    "4",
    good.slice(0, -8),
    good.replace("4 B", "4 Q"),
    good.replace(yiaddr, "10.0.0.300"),
    good + " x",
  ];
  store.records = [...bad, good.replace(/ 01[0-9a-f]+/, " xyz"), good];
  const two = serverTest(t, { server: { store } });
  t.is(two.server.counters.badRecords, 7);
  t.is(two.server.list().length, 1);
  const store2 = {
    load: () => {
      throw new Error("no");
    },
    append: () => {
      throw new Error("no");
    },
    rewrite: () => false,
  };
  const three = serverTest(t, { server: { store: store2 } });
  t.is(three.lease(1)!.type, 5);
  t.is(three.server.counters.storeFailed, 2);
});

test("a scope that is replaced keeps its leases; one that goes serves no more", (t) => {
  const s = serverTest(t);
  const { yiaddr } = s.lease(1)!;
  s.scope.close();
  s.scope.close();
  t.is(s.ask({ type: 1, chaddr: mac(2) }), undefined);
  s.server.serve({ interface: s.nif, network: "10.0.0.0/24", pools: ["10.0.0.100-10.0.0.119"] });
  t.is(s.ask({ type: 1, chaddr: mac(1) })!.yiaddr, yiaddr);
  t.not(s.ask({ type: 1, chaddr: mac(2) })!.yiaddr, yiaddr);
});

test("several networks on one link, and behind relay agents that name theirs", (t) => {
  const s = serverTest(t, { scope: { pools: ["10.0.0.100"] } });
  s.ip.addAddress(s.nif, "10.5.0.1/24");
  s.server.serve({ interface: s.nif, network: "10.5.0.0/24", pools: ["10.5.0.100-10.5.0.101"] });
  s.server.serve({
    interface: s.nif,
    network: "10.6.0.0/24",
    pools: ["10.6.0.100-10.6.0.101"],
    relays: ["10.0.0.2"],
  });
  t.deepEqual(
    [1, 2, 3].map((n) => s.lease(n)!.yiaddr.slice(0, 5)),
    ["10.0.", "10.5.", "10.5."],
  );
  t.is(s.lease(4), undefined);
  const link: [number, Uint8Array] = [82, Uint8Array.of(5, 4, ...ip4Bytes("10.6.0.0"))];
  t.regex(s.ask({ type: 1, chaddr: mac(5), giaddr: "10.0.0.2", options: [link] })!.yiaddr, /^10\.6\./);
  t.is(s.ask({ type: 1, chaddr: mac(6), giaddr: "10.7.0.2", from: "10.0.0.2" }), undefined);
  t.is(s.server.counters.foreign, 1);
});

test("misuse", (t) => {
  const s = serverTest(t);
  const base = { interface: s.nif, network: "10.1.0.0/24" };
  const bad: [object, string][] = [
    [{ network: "10.0.0.0/24" }, "EEXIST"],
    [{ network: "10.1.0.1/24" }, "EINVAL"],
    [{ network: "10.1.0.0/31" }, "EINVAL"],
    [{ network: "127.0.0.0/24" }, "EINVAL"],
    [{ pools: ["10.2.0.1"] }, "EINVAL"],
    [{ pools: ["10.1.0.9-10.1.0.8"] }, "EINVAL"],
    [{ pools: ["10.1.0.255"] }, "EINVAL"],
    [{ pools: ["10.1.0.1-10.1.0.100", "10.1.0.50-10.1.0.60"] }, "EINVAL"],
    [{ leaseTime: 59 }, "EINVAL"],
    [{ options: { routers: [] } }, "EINVAL"],
    [{ options: { routers: ["x"] } }, "EINVAL"],
    [{ options: { raw: [{ code: 53, data: Uint8Array.of(1) }] } }, "EINVAL"],
    [{ options: { domain: "a b" } }, "EINVAL"],
    [{ options: { search: ["a..b"] } }, "EINVAL"],
    [{ options: { routes: [{ prefix: "10.0.0.1/8", gateway: "10.0.0.1" }] } }, "EINVAL"],
    [{ reservations: [{ address: "10.1.0.5" }] }, "EINVAL"],
    [{ reservations: [{ address: "10.1.0.5", mac: "02:00" }] }, "EINVAL"],
    [
      {
        reservations: [
          { address: "10.1.0.5", mac: mac(1) },
          { address: "10.1.0.5", mac: mac(2) },
        ],
      },
      "EEXIST",
    ],
    [{ interface: undefined }, "EINVAL"],
  ];
  for (const [options, code] of bad) {
    t.throws(() => s.server.serve({ ...base, ...options }), { code }, JSON.stringify(options));
  }
  t.throws(() => dhcpServer({ limit: 0 }), { code: "EINVAL" });
  const alone = probed(t);
  t.throws(() => s.server.attach(alone.stack), { code: "EBUSY" });
});

/** What the network has against a connection: no route, no neighbour, no memory, no entropy, addresses and links that go. */
import test from "ava";
import {
  EADDRNOTAVAIL,
  ECONNREFUSED,
  EHOSTUNREACH,
  EIO,
  ENETUNREACH,
  ENOBUFS,
  ETIMEDOUT,
} from "../../stack/core/errors.js";
import { BROADCAST_MAC, PROBE_IP, eth, frame, ip4, tcp } from "../support/packets.js";
import { pair } from "../support/network.js";
import { tcp as createTcp } from "../../stack/tcp/tcp.js";
import { Peer, accepted, connected, lab, listening, logger, patternFrom } from "./support.js";
import type { LabOptions } from "./support.js";
import type { TcpConnectOptions } from "../../stack/tcp/tcp.js";

/** Connects in vain; returns what the application was told. */
function inVain(
  t: Parameters<typeof lab>[0],
  options: LabOptions & { to?: Partial<TcpConnectOptions>; ms?: number } = {},
) {
  const home = lab(t, options);
  const events: string[] = [];
  const socket = home.tcp.connect({ address: PROBE_IP, port: 7000, ...options.to, ...logger(events) });
  t.deepEqual(events, [], "no callback before connect has returned");
  home.run(options.ms ?? 10);
  return { ...home, events, socket };
}

test("connecting to a neighbour that does not answer ARP: EHOSTUNREACH after three seconds", (t) => {
  const home = lab(t, { acquainted: false });
  home.probe.answersArp = [];
  const events: string[] = [];
  home.tcp.connect({ address: "10.0.0.77", port: 7000, ...logger(events) });
  home.run(2900);
  t.deepEqual(events, []);
  home.run(1000);
  t.deepEqual(events, ["close " + EHOSTUNREACH]);
  t.is(home.tcp.connections.size, 0);
});

test("connecting without a route: ENETUNREACH", (t) => {
  const { events } = inVain(t, { gateway: undefined, to: { address: "192.0.2.1" } });
  t.deepEqual(events, ["close " + ENETUNREACH]);
});

test("connecting to a port where nobody listens: ECONNREFUSED", (t) => {
  const { a, run } = pair(t, { components: () => [createTcp()] });
  const part = a.stack.transport(6) as ReturnType<typeof createTcp>;
  const events: string[] = [];
  part.connect({ address: "10.0.0.2", port: 9, ...logger(events) });
  run(100);
  t.deepEqual(events, ["close " + ECONNREFUSED]);
});

test("connecting to a broadcast address, of the link or of the network, sends nothing (RFC 9293, MUST-46)", (t) => {
  const home = lab(t);
  for (const address of ["255.255.255.255", "224.0.0.1"]) {
    t.throws(() => home.tcp.connect({ address, port: 9 }), { code: "EINVAL" });
  }
  const events: string[] = [];
  home.tcp.connect({ address: "10.0.0.255", port: 9, ...logger(events) });
  home.run(5000);
  t.deepEqual(events, ["close " + ENETUNREACH]);
  t.is(home.probe.sent.length, 0);
});

test("more connections than the limit: ENOBUFS", (t) => {
  const { events } = inVain(t, { tcp: { limit: 1 }, ms: 0, to: {} });
  t.deepEqual(events, []);
  const home = lab(t, { tcp: { limit: 1 } });
  home.tcp.connect({ address: PROBE_IP, port: 1 });
  const more: string[] = [];
  home.tcp.connect({ address: PROBE_IP, port: 2, ...logger(more) });
  home.run(1);
  t.deepEqual(more, ["close " + ENOBUFS]);
});

test("without entropy there are no connections: EIO (RES-04: fail closed)", (t) => {
  const home = lab(t, { worldOptions: { seed: 3 }, leaks: { faults: true } });
  home.host.faults.random = "fail";
  const codes: string[] = [];
  // What the host gave before lasts for some ports.
  for (let i = 0; i < 40; i++) home.tcp.connect({ address: PROBE_IP, port: 7000, ...logger(codes) });
  home.run(1);
  t.true(codes.length > 0 && codes.every((code) => code === "close " + EIO));
});

test("a wrong local end is refused at once", (t) => {
  const home = lab(t);
  const connect = (options: Partial<TcpConnectOptions>) => () =>
    home.tcp.connect({ address: PROBE_IP, port: 9, ...options });
  t.throws(connect({ localAddress: "10.0.0.9" }), { code: "EADDRNOTAVAIL" });
  t.throws(connect({ localAddress: "fe80::1" }), { code: "EAFNOSUPPORT" });
  t.throws(connect({ address: "fe80::1" }), { code: "EAFNOSUPPORT" });
  connect({ localPort: 5000 })();
  t.throws(connect({ localPort: 5000 }), { code: "EADDRINUSE" });
  t.notThrows(connect({ localPort: 5000, port: 10 }));
  t.is(home.tcp.connections.size, 2);
});

test("two listeners at one port are refused, unless their addresses differ", (t) => {
  const home = lab(t);
  home.ip.addAddress(home.nif, "10.0.0.9/24");
  home.tcp.listen({ port: 80, address: "10.0.0.9" });
  t.notThrows(() => home.tcp.listen({ port: 80, address: "10.0.0.1" }));
  for (const address of ["", "10.0.0.9"]) {
    t.throws(() => home.tcp.listen({ port: 80, address }), { code: "EADDRINUSE" });
  }
  t.throws(() => home.tcp.listen({ port: 81, address: "10.0.0.8" }), { code: "EADDRNOTAVAIL" });
  t.throws(() => home.tcp.listen({ port: 81, family: 6 }), { code: "EAFNOSUPPORT" });
  const any = home.tcp.listen({ port: 0 });
  t.true(any.port >= 49152);
});

test("an address that goes takes its connections along: EADDRNOTAVAIL (RES-08)", (t) => {
  const one = accepted(t);
  one.lab.ip.addAddress(one.lab.nif, "10.0.0.9/24");
  one.lab.ip.removeAddress(one.lab.nif, "10.0.0.1");
  one.run(1);
  t.deepEqual(one.events, ["close " + EADDRNOTAVAIL]);
  t.is(one.lab.tcp.connections.size, 0);
  t.is(one.socket.write(patternFrom(0, 5)), -32);
});

test("a link that goes down and comes up again costs no connection (RES-08)", (t) => {
  const { lab: home, peer, socket, events, run } = accepted(t);
  socket.write(patternFrom(0, 100));
  peer.expect("PA", { seq: 1, length: 100 });
  home.stack.setInterface(home.nif, { enabled: false });
  socket.write(patternFrom(100, 100));
  run(20_000);
  peer.silent();
  home.stack.setInterface(home.nif, { enabled: true });
  run(40_000);
  const seen = peer.take();
  t.is(seen[0].seq, 1);
  peer.send("A", { ack: 101 });
  run(1000);
  peer.send("A", { ack: 201 });
  run(1);
  t.deepEqual(events, []);
  peer.data(0, 10);
  t.deepEqual(events, ["readable 10"]);
});

test("data queued while the link is down go out soon after it comes back", (t) => {
  const { lab: home, peer, socket, run } = accepted(t);
  home.stack.setInterface(home.nif, { enabled: false });
  socket.write(patternFrom(0, 100));
  run(30_000);
  peer.silent();
  home.stack.setInterface(home.nif, { enabled: true });
  run(1500);
  peer.expect("PA", { seq: 1, length: 100 });
  peer.send("A", { ack: 101 });
});

test("a link that stays down ends a connection with data after the user timeout", (t) => {
  const { lab: home, socket, events, run } = accepted(t);
  socket.setUserTimeout(30_000);
  home.stack.setInterface(home.nif, { enabled: false });
  socket.write(patternFrom(0, 100));
  run(120_000);
  t.deepEqual(events, ["close " + ETIMEDOUT]);
});

test("a link without room is tried again when it says so, and soon in any case", (t) => {
  const { lab: home, peer, socket, run } = connected(t);
  home.probe.room = false;
  socket.write(patternFrom(0, 100));
  run(5);
  peer.silent();
  home.probe.room = true;
  home.nif.writable();
  peer.expect("PA", { seq: 1, length: 100 });
  home.probe.room = false;
  socket.setNoDelay(true);
  socket.write(patternFrom(100, 100));
  run(5);
  home.probe.room = true;
  run(10);
  peer.expect("PA", { seq: 101, length: 100 });
});

test("an acknowledgement that the link had no room for is not forgotten", (t) => {
  const {
    lab: home,
    peer,
    socket,
    run,
  } = accepted(t, { tcp: { receiveBuffer: 4000, maximumReceiveBuffer: 4000 } });
  for (let at = 0; at < 4000; at += 1000) peer.data(at, 1000);
  peer.take();
  home.probe.room = false;
  socket.read(new Uint8Array(4000));
  home.probe.room = true;
  run(20);
  peer.expect("A", { ack: 4001, window: 4000 });
});

test("TCP-21: no answer to or from what is no unicast address, to port 0, or with a wrong checksum", (t) => {
  const home = lab(t);
  listening(home);
  const { counters } = home.tcp;
  const peer = new Peer(home, 40000, 80);
  const syn = (src: string, dst: string, fields = {}, mac?: string) =>
    home.probe.send(frame(eth(mac ? { dst: mac } : {}), ip4({ src, dst }), tcp({ flags: "S", ...fields })));
  for (const port of [80, 81]) {
    syn("10.0.0.2", "255.255.255.255", { dport: port }, BROADCAST_MAC);
    syn("10.0.0.2", "10.0.0.255", { dport: port }, BROADCAST_MAC);
    syn("10.0.0.2", "10.0.0.255", { dport: port });
    syn("10.0.0.2", "224.0.0.1", { dport: port });
    syn("10.0.0.2", "10.0.0.1", { dport: port }, BROADCAST_MAC);
    syn("0.0.0.0", "10.0.0.1", { dport: port });
    syn("224.0.0.1", "10.0.0.1", { dport: port });
    syn("10.0.0.255", "10.0.0.1", { dport: port });
    syn("255.255.255.255", "10.0.0.1", { dport: port });
    syn("127.0.0.1", "10.0.0.1", { dport: port });
    syn("10.0.0.1", "10.0.0.1", { dport: port });
    syn("10.0.0.2", "10.0.0.1", { dport: port, sport: 0 });
    syn("10.0.0.2", "10.0.0.1", { dport: port, checksum: 0 });
    syn("10.0.0.2", "10.0.0.1", { dport: port, checksum: 0x1234 });
  }
  syn("10.0.0.2", "10.0.0.1", { dport: 0 });
  t.deepEqual(home.probe.takeParsed(), []);
  t.is(counters.badPort, 3);
  t.is(counters.badsum, 4);
  t.true(counters.notUnicast >= 6);
  t.is(home.tcp.connections.size, 0);
  peer.send("S");
  peer.expect("SA");
});

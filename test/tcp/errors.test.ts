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
import { ESTABLISHED } from "../../stack/tcp/connection.js";
import { Segment, parse } from "../../stack/tcp/segment.js";
import { concat } from "../support/bytes.js";
import { BROADCAST_MAC, PROBE_IP, eth, frame, icmp, ip4, tcp } from "../support/packets.js";
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

test("TCP-01: a data offset or a length that lies is dropped and counted, and no payload is shorter than nothing", (t) => {
  const { lab: home, socket, peer } = accepted(t);
  const { counters } = home.tcp;
  const data = { sport: peer.port, seq: peer.iss + 1, ack: peer.irs + 1 };
  const bad = (text: string, bytes: Uint8Array) => {
    const { badoff, received } = counters;
    home.probe.send(bytes);
    t.like(counters, { badoff: badoff + 1, received: received + 1 }, text);
  };
  for (const flags of ["S", "A", "PA", "FA", "R", ""]) {
    for (const dport of [80, 81]) {
      for (let offset = 0; offset < 16; offset++) {
        // Of as many bytes as there are, and one fewer than it says.
        const room = offset < 5 ? 40 : offset * 4 - 21;
        if (offset === 5) continue;
        bad(`offset ${offset}`, frame(eth(), ip4(), tcp({ ...data, flags, dport, offset }), room));
      }
    }
  }
  const whole = frame(tcp({ ...data, flags: "PA" }), 100);
  for (let size = 0; size < 20; size++) {
    bad(`${size} bytes`, frame(eth(), ip4({ protocol: 6 }), whole.slice(0, size)));
    bad(`${size} bytes by the IP length`, frame(eth(), ip4({ protocol: 6, totalLength: 20 + size }), whole));
  }
  const options = frame(tcp({ ...data, flags: "PA", options: new Uint8Array(12).fill(1) }), 100);
  for (let size = 20; size < 32; size++) {
    bad(
      `${size} bytes by the IP length`,
      frame(eth(), ip4({ protocol: 6, totalLength: 20 + size }), options),
    );
  }
  home.probe.send(frame(eth(), ip4({ protocol: 6, totalLength: 141 }), whole));
  t.is(home.ip.counters.badlen, 1);
  const segment = new Segment();
  const bytes = new Uint8Array(64);
  for (let have = 0; have <= 64; have++) {
    for (let offset = 0; offset < 16; offset++) {
      bytes[12] = offset << 4;
      const right = offset >= 5 && offset * 4 <= have;
      t.is(parse(segment, bytes, 0, have), right);
      if (right) t.is(segment.length, have - offset * 4);
    }
  }
  peer.silent();
  t.is(socket.readable(), 0);
  t.is(socket.state(), ESTABLISHED);
});

test("TCP-02: what is malformed in a SYN's options ends their list: what is before it holds, what is behind it does not", (t) => {
  const home = lab(t);
  listening(home);
  const before = Uint8Array.of(2, 4, 2, 88);
  const behind = Uint8Array.of(3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0);
  let port = 1024;
  for (const kind of [0, 2, 3, 4, 5, 8, 34, 172, 174, 6, 77, 254, 255]) {
    for (const length of kind === 0 ? [0, 1, 2, 4] : [0, 1, 255, -1]) {
      // -1: just past the end.
      const rest = length < 0 ? new Uint8Array(0) : behind;
      const list = concat(before, Uint8Array.of(kind, length < 0 ? 5 : length), rest);
      const options = concat(list, new Uint8Array(-list.length & 3));
      const peer = new Peer(home, port++, 80);
      peer.send("S", { options });
      const { tcp: reply } = peer.expect("SA", { ack: 1, timestamps: null });
      t.deepEqual([reply.windowScale, reply.sackPermitted], [undefined, undefined], `${kind} ${length}`);
      home.tcp.connections.each((c) => t.is(c.peerMss, 600));
      peer.send("R");
      t.is(home.tcp.connections.size, 0);
    }
  }
});

/** Each option of `data[at..end)` by the book, up to the end of the list or the first that is malformed: its kind, and where its content lies. */
function options(
  data: Uint8Array,
  at: number,
  end: number,
  each: (kind: number, at: number, size: number) => void,
) {
  while (at < end && data[at] !== 0) {
    if (data[at] === 1) at++;
    else if (at + 1 === end || data[at + 1] < 2 || at + data[at + 1] > end) return;
    else {
      each(data[at], at + 2, data[at + 1] - 2);
      at += data[at + 1];
    }
  }
}

test("TCP-02: 1,000,000 random lists of options are read as the book has it, and nothing beyond them", (t) => {
  const START = 20;
  const segment = new Segment();
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  let state = 1;
  const random = (below: number) => ((state = Math.imul(state, 1664525) + 1013904223) >>> 8) % below;
  const kinds = [0, 1, 2, 3, 4, 5, 8, 34, 253];
  const lengths = [0, 1, 4, 3, 2, 10, 10, 6, 4];
  const want = { mss: 0, scale: -1, permitted: 0, stamps: 0, value: 0, echo: 0, blocks: 0 };
  const take = (kind: number, at: number, size: number) => {
    if (kind === 2 && size === 2) want.mss = view.getUint16(at);
    else if (kind === 3 && size === 1) want.scale = Math.min(bytes[at], 14);
    else if (kind === 4 && size === 0) want.permitted = 1;
    else if (kind === 5 && size > 0 && size % 8 === 0) want.blocks = size / 8;
    else if (kind === 8 && size === 8) {
      want.stamps = 1;
      want.value = view.getInt32(at);
      want.echo = view.getInt32(at + 4);
    }
  };
  const wrong: string[] = [];
  let found = 0;
  for (let round = 0; round < 1_000_000; round++) {
    const end = START + random(11) * 4;
    for (let at = START; at < end; at += 2) view.setUint16(at, random(65536));
    // Three times of four: options that are right, or nearly, at places where they may begin.
    for (let at = START; at < end && round & 3;) {
      const i = random(kinds.length);
      bytes[at] = kinds[i];
      if (i > 1) bytes[at + 1] = lengths[i] + (random(16) === 0 ? random(5) - 2 : 0);
      at += i > 1 ? Math.max(bytes[at + 1], 2) : 1;
    }
    // What lies behind would be taken, were it read.
    for (let at = end; at < end + 40; at += 4) view.setUint32(at, 0x0204abcd);
    bytes[12] = end << 2;
    const right = parse(segment, bytes, 0, end + 40);
    want.mss = want.permitted = want.stamps = want.blocks = 0;
    want.scale = -1;
    options(bytes, START, end, take);
    found += want.stamps + want.permitted;
    if (
      !right ||
      segment.length !== 40 ||
      segment.mss !== want.mss ||
      segment.scale !== want.scale ||
      segment.sackPermitted !== (want.permitted === 1) ||
      segment.timestamps !== (want.stamps === 1) ||
      (segment.timestamps && (segment.tsValue !== want.value || segment.tsEcho !== want.echo)) ||
      segment.sackCount !== want.blocks
    ) {
      wrong.push(bytes.slice(START, end).join(" "));
    }
  }
  t.deepEqual(wrong.slice(0, 3), []);
  t.true(found > 100_000);
});

test("TCP-26: a closed port answers each segment by one RST at most, no longer than it was, and no RST", (t) => {
  const { probe, run } = lab(t);
  for (let bits = 0; bits < 256; bits++) {
    for (const size of [0, 1, 100]) {
      run(10);
      probe.send(frame(eth(), ip4(), tcp({ dport: 81, flags: bits, seq: 1000, ack: 7000 }), size));
      const answers = probe.takeParsed();
      t.is(answers.length, bits & 4 ? 0 : 1, `flags ${bits}`);
      for (const { ip4: header, tcp: reset } of answers) {
        t.true(header!.totalLength <= 40 + size);
        const end = 1000 + size + (bits & 1) + ((bits >> 1) & 1);
        const expected = bits & 16 ? { flags: "R", seq: 7000, ack: 0 } : { flags: "RA", seq: 0, ack: end };
        t.like(reset, expected, `flags ${bits}`);
      }
    }
  }
});

test("TCP-26: of 100,000 segments to closed ports in ten seconds 100 a second are answered", (t) => {
  const { probe, run, tcp: part, icmp: control } = lab(t);
  const { counters } = part;
  const reset = frame(ip4({ src: "10.0.0.1", dst: PROBE_IP }), tcp({ sport: 81, dport: 40000, flags: "R" }));
  const frames = ["S", "A", "FPA", "", "R", "RA"].flatMap((flags) =>
    [81, 4000].map((dport) => frame(eth(), ip4({ src: "192.0.2.77" }), tcp({ dport, flags }))),
  );
  frames.push(frame(eth(), ip4(), icmp({ type: 3, code: 3 }), reset));
  run(10_000);
  let received = 0;
  for (let i = 0; i < 100_000; i++) {
    if (i % 100 === 0) run(10);
    probe.send(frames[i % frames.length]);
    received += frames[i % frames.length].length - 14;
  }
  const answers = probe.take();
  const after = { ...counters };
  t.true(answers.length >= 1000 && answers.length <= 1100, `${answers.length} answers`);
  t.true(answers.every((bytes) => bytes[17] === 40 && bytes[23] === 6 && (bytes[47] & 4) !== 0));
  t.true(answers.length * 40 < received);
  t.is(after.resetsSent, answers.length);
  t.is(after.resetsSent + after.resetsLimited + after.badReset, after.received);
  t.is(control.counters.unsolicited, 100_000 - after.received);
  // Two stacks: what the one answers is no question for the other.
  for (const bytes of answers)
    probe.send(frame(eth(), ip4({ src: "192.0.2.77", protocol: 6 }), bytes.slice(34, 54)));
  t.is(counters.badReset, after.badReset + answers.length);
  t.deepEqual(probe.take(), []);
});

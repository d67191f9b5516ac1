/** Translation of addresses and ports: what the outside sees, what comes back, and what does not. */
import test from "ava";
import fc from "fast-check";
import { get16 } from "../../stack/core/bytes.js";
import { napt } from "../../stack/filter/napt.js";
import type { NaptOptions } from "../../stack/filter/napt.js";
import { internetChecksum, pattern } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { STACK_MAC, eth, fragments, frame, icmp, ip4, tcp, udp } from "../support/packets.js";
import { parseFrame, parsePacket } from "../support/parse.js";
import { FAR, LAN_HOST, WAN_HOST } from "../router/support.js";
import { OUTER, walled } from "./support.js";
import type { ExecutionContext } from "ava";

function translated(t: ExecutionContext | null, options: NaptOptions = {}, flows = 4096) {
  const nat = napt(options);
  const w = walled(t, { rules: [{ action: "accept", from: "lan" }], nat, flows, perSource: flows });
  return { ...w, nat };
}

test("UDP, TCP and echoes leave by the outer address and come back", (t) => {
  const w = translated(t);
  w.out({}, udp({ sport: 1000, dport: 53 }), "question");
  const port = expectFrame(t, w.wan.next(), {
    ip4: { src: OUTER, dst: WAN_HOST, ttl: 63 },
    udp: { dport: 53 },
  }).udp!.sport;
  t.true(port >= 16384 && port <= 49151);
  w.in({ dst: OUTER }, udp({ sport: 53, dport: port }), "answer");
  expectFrame(t, w.lan.next(), {
    ip4: { src: WAN_HOST, dst: LAN_HOST },
    udp: { sport: 53, dport: 1000 },
    payload: "answer",
  });

  w.out({}, tcp({ flags: "S", sport: 2000, dport: 80, seq: 7 }));
  const syn = expectFrame(t, w.wan.next(), { ip4: { src: OUTER }, tcp: { dport: 80, flags: "S" } }).tcp!;
  w.in({ dst: OUTER }, tcp({ flags: "SA", sport: 80, dport: syn.sport, seq: 5, ack: 8 }));
  expectFrame(t, w.lan.next(), { ip4: { dst: LAN_HOST }, tcp: { sport: 80, dport: 2000, flags: "SA" } });

  w.out({}, icmp({ type: 8, id: 77, seq: 3 }), 20);
  const echo = expectFrame(t, w.wan.next(), {
    ip4: { src: OUTER },
    icmp: { type: 8, seq: 3 },
    payload: 20,
  }).icmp!;
  w.in({ dst: OUTER }, icmp({ type: 0, id: echo.id, seq: 3 }), 20);
  expectFrame(t, w.lan.next(), { ip4: { dst: LAN_HOST }, icmp: { type: 0, id: 77, seq: 3 } });
  t.is(w.nat.bindings.size, 3);
});

test("checksums stay right whatever they were: complete, absent, left to be finished; odd lengths", (t) => {
  const w = translated(t);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 65535 }),
      fc.integer({ min: 0, max: 400 }),
      fc.constantFrom("udp", "none", "tcp"),
      (sport, size, kind) => {
        w.wall.forget(() => true);
        const layer =
          kind === "tcp"
            ? tcp({ flags: "S", sport })
            : udp({ sport, checksum: kind === "none" ? 0 : undefined });
        w.out({ dst: FAR }, layer, size);
        const { faults, udp: seen, ip4: header } = parseFrame(w.wan.next()!);
        t.deepEqual(faults, []);
        t.is(header!.src, OUTER);
        if (kind === "none") t.is(seen!.checksum, 0);
      },
    ),
  );
});

test("one inner port has one outer port, whomever it talks to (RFC 4787 REQ-1); others in are refused (REQ-8)", (t) => {
  const w = translated(t);
  const ports = [WAN_HOST, FAR, "10.1.0.9"].map((dst, i) => {
    w.out({ dst }, udp({ sport: 5000, dport: 100 + i }), 1);
    return parseFrame(w.wan.next()!).udp!.sport;
  });
  t.is(new Set(ports).size, 1);
  t.is(w.nat.bindings.size, 1);
  w.in({ dst: OUTER }, udp({ sport: 999, dport: ports[0] }), 1);
  w.in({ dst: OUTER, src: "10.1.0.77" }, udp({ sport: 100, dport: ports[0] }), 1);
  t.deepEqual(w.lan.take(), []);
  t.is(w.walls.dropped, 2);
  w.wall.forget(({ destination }) => destination === FAR);
  t.is(w.nat.bindings.size, 1);
  w.wall.forget(() => true);
  t.is(w.nat.bindings.size, 0);
});

test("NAT-04: outer ports are random and of a range; when it is used up the answer is no", (t) => {
  const w = translated(t, { ports: { first: 20_000, last: 29_999 } }, 16_384);
  const seen: number[] = [];
  for (let i = 0; i < 9000; i++) {
    w.out({ src: `10.0.0.${3 + (i % 50)}` }, udp({ sport: 1024 + i, dport: 53 }), 1);
    const frame = w.wan.next();
    if (frame) seen.push(parseFrame(frame).udp!.sport);
  }
  t.is(new Set(seen).size, seen.length, "no two share a port");
  t.true(seen.every((port) => port >= 20_000 && port <= 29_999));
  t.true(seen.length > 8900);
  // No order: neighbours in time are no neighbours in number.
  const steps = seen.slice(0, 1000).map((port, i) => port - (seen[i - 1] ?? 0));
  t.true(steps.filter((step) => Math.abs(step) < 10).length < 20);
  const even = seen.filter((port) => port % 2 === 0).length / seen.length;
  t.true(even > 0.4 && even < 0.6);
  const small = translated(t, { ports: { first: 20_000, last: 20_003 } });
  for (let i = 0; i < 6; i++) small.out({}, udp({ sport: 1024 + i, dport: 53 }), 1);
  t.is(small.wan.take().length, 4);
  t.is(small.walls.noPort, 2);
  t.is(small.nat.exhausted, 2);
});

test("forwarded ports, ranges of them, and hairpins", (t) => {
  const w = translated(t, {
    forward: [
      { protocol: "tcp", port: 8080, to: LAN_HOST, toPort: 80 },
      { protocol: "udp", port: { first: 3000, last: 3009 }, to: "10.0.0.7", toPort: 4000 },
    ],
  });
  w.knows(w.lanNif, "10.0.0.7");
  w.knows(w.lanNif, "10.0.0.8");
  w.in({ dst: OUTER }, tcp({ flags: "S", sport: 9, dport: 8080, seq: 1 }));
  expectFrame(t, w.lan.next(), { ip4: { src: WAN_HOST, dst: LAN_HOST }, tcp: { sport: 9, dport: 80 } });
  w.out({}, tcp({ flags: "SA", sport: 80, dport: 9, seq: 4, ack: 2 }));
  expectFrame(t, w.wan.next(), { ip4: { src: OUTER, dst: WAN_HOST }, tcp: { sport: 8080, dport: 9 } });
  w.in({ dst: OUTER }, udp({ sport: 9, dport: 3004 }), 1);
  expectFrame(t, w.lan.next(), { ip4: { dst: "10.0.0.7" }, udp: { dport: 4004 } });
  w.in({ dst: OUTER }, udp({ sport: 9, dport: 3010 }), 1);
  t.deepEqual(w.lan.take(), []);

  // A host inside asks for the forwarded port by the outer address (RFC 4787 REQ-9): the answer comes by us as well.
  w.out({ src: "10.0.0.8", dst: OUTER }, tcp({ flags: "S", sport: 55, dport: 8080, seq: 1 }));
  const inner = expectFrame(t, w.lan.next(), { ip4: { src: OUTER, dst: LAN_HOST }, tcp: { dport: 80 } });
  w.out({ dst: OUTER }, tcp({ flags: "SA", sport: 80, dport: inner.tcp!.sport, seq: 4, ack: 2 }));
  expectFrame(t, w.lan.next(), { ip4: { src: OUTER, dst: "10.0.0.8" }, tcp: { sport: 8080, dport: 55 } });

  // And for a port that another host has by a mapping.
  w.out({}, udp({ sport: 700, dport: 53 }), 1);
  const mapped = parseFrame(w.wan.next()!).udp!.sport;
  w.out({ src: "10.0.0.8", dst: OUTER }, udp({ sport: 56, dport: mapped }), "hello");
  const hello = expectFrame(t, w.lan.next(), {
    ip4: { src: OUTER, dst: LAN_HOST },
    udp: { dport: 700 },
    payload: "hello",
  });
  w.out({ dst: OUTER }, udp({ sport: 700, dport: hello.udp!.sport }), "back");
  expectFrame(t, w.lan.next(), {
    ip4: { src: OUTER, dst: "10.0.0.8" },
    udp: { sport: mapped, dport: 56 },
    payload: "back",
  });

  w.wall.load({ forward: [] });
  w.in({ dst: OUTER, src: "10.1.0.9" }, tcp({ flags: "S", sport: 9, dport: 8080 }));
  t.deepEqual(w.lan.take(), []);
  for (const [forward, code] of [
    [[{ protocol: "tcp", port: 1, to: "host" }], "EINVAL"],
    [[{ protocol: "icmp", port: 1, to: LAN_HOST }], "EINVAL"],
    [[{ protocol: "udp", port: { first: 5, last: 9 }, to: LAN_HOST, toPort: 65_532 }], "EINVAL"],
    [
      [
        { protocol: "udp", port: { first: 5, last: 9 }, to: LAN_HOST },
        { protocol: "udp", port: 9, to: LAN_HOST },
      ],
      "EADDRINUSE",
    ],
  ] as const) {
    t.throws(() => w.wall.load({ forward: forward as never }), { code });
  }
});

test("errors come back to the host inside with its own packet quoted (RFC 5508), and go out with the outer one", (t) => {
  const w = translated(t, { forward: [{ protocol: "udp", port: 3000, to: LAN_HOST, toPort: 4000 }] });
  for (const layer of [
    udp({ sport: 1000, dport: 9 }),
    tcp({ flags: "S", sport: 1000, dport: 9 }),
    icmp({ type: 8, id: 1000 }),
  ]) {
    w.out({}, layer, 30);
    const sent = w.wan.next()!.slice(14);
    w.in({ src: "10.1.0.9", dst: OUTER }, icmp({ type: 3, code: 4, rest: 1400 }), sent.subarray(0, 28));
    const told = expectFrame(t, w.lan.next(), {
      ip4: { src: "10.1.0.9", dst: LAN_HOST },
      icmp: { type: 3, code: 4, rest: 1400 },
    });
    t.is(internetChecksum(told.payload.subarray(0, 20)), 0);
    t.deepEqual([...told.payload.subarray(12, 20)], [10, 0, 0, 2, 10, 1, 0, 2]);
    const port = get16(told.payload, told.payload[9] === 1 ? 24 : 20);
    t.is(port, 1000);
    // The whole of it, with its checksum.
    w.in({ src: "10.1.0.9", dst: OUTER }, icmp({ type: 11 }), sent);
    const whole = expectFrame(t, w.lan.next(), { icmp: { type: 11 } });
    const faults = parsePacket(whole.payload.slice()).faults;
    t.deepEqual(faults, []);
  }
  // A host inside refuses what was forwarded to it; a router inside is not shown.
  w.in({ dst: OUTER }, udp({ sport: 9, dport: 3000 }), 30);
  const arrived = w.lan.next()!.slice(14);
  w.out({ src: "10.0.0.9" }, icmp({ type: 3, code: 3 }), arrived);
  const refused = expectFrame(t, w.wan.next(), {
    ip4: { src: OUTER, dst: WAN_HOST },
    icmp: { type: 3, code: 3 },
  });
  const inner = parsePacket(refused.payload.slice());
  t.deepEqual(inner.faults, []);
  t.like(inner.ip4, { src: WAN_HOST, dst: OUTER });
  t.like(inner.udp, { sport: 9, dport: 3000 });
  // Our own errors about it as well.
  w.in({ dst: OUTER, ttl: 1 }, udp({ sport: 9, dport: 3000 }), 30);
  const expired = expectFrame(t, w.wan.next(), { ip4: { src: OUTER, dst: WAN_HOST }, icmp: { type: 11 } });
  t.like(parsePacket(expired.payload.slice()).ip4, { src: WAN_HOST, dst: OUTER });
  // What no flow has sent, or a damaged error, changes nothing.
  w.in(
    { dst: OUTER },
    icmp({ type: 3 }),
    frame(ip4({ src: OUTER, dst: WAN_HOST }), udp({ sport: 1, dport: 2 })),
  );
  w.in({ dst: OUTER }, icmp({ type: 3, checksum: 1 }), arrived);
  t.deepEqual(w.lan.take(), []);
  t.like(w.walls, { invalid: 1, malformed: 1 });
});

test("fragments of a datagram leave by the same address, and come back whole", (t) => {
  const w = translated(t);
  const whole = frame(ip4({ src: LAN_HOST, dst: WAN_HOST }), udp({ sport: 9, dport: 10 }), 3000);
  for (const piece of fragments(whole, 1400, { src: LAN_HOST, dst: WAN_HOST, id: 5 })) {
    w.lan.send(frame(eth({ dst: STACK_MAC, type: 0x800 }), piece));
  }
  const out = w.wan.take().map((bytes) => bytes.slice(14));
  t.is(out.length, 3);
  const body = new Uint8Array(3008);
  for (const piece of out) {
    t.is(internetChecksum(piece.subarray(0, 20)), 0);
    body.set(piece.subarray(20), (get16(piece, 6) & 0x1fff) * 8);
  }
  const again = parsePacket(frame(ip4({ src: OUTER, dst: WAN_HOST, protocol: 17 }), body));
  t.deepEqual(again.faults, []);
  t.deepEqual(again.payload, pattern(3000));
});

test("other protocols have the outer address alone: one host a peer", (t) => {
  const w = translated(t);
  w.out({ protocol: 47 }, 20);
  expectFrame(t, w.wan.next(), { ip4: { src: OUTER, protocol: 47 } });
  w.in({ protocol: 47, dst: OUTER }, 20);
  expectFrame(t, w.lan.next(), { ip4: { dst: LAN_HOST, protocol: 47 } });
  w.out({ protocol: 47, src: "10.0.0.9" }, 20);
  t.deepEqual(w.wan.take(), []);
  w.out({}, icmp({ type: 17 }), 20);
  t.deepEqual(w.wan.take(), [], "what has no answer does not show an inner address");
});

test("this host's own traffic keeps its ports; when the outer address goes, its flows go", (t) => {
  const w = translated(t);
  const socket = w.udp.open({ port: 5000 });
  socket.sendTo(WAN_HOST, 53, new Uint8Array(3));
  expectFrame(t, w.wan.next(), { ip4: { src: OUTER }, udp: { sport: 5000 } });
  w.in({ dst: OUTER }, udp({ sport: 53, dport: 5000 }), 3);
  t.is(socket.readable(), 1);
  w.out({}, udp({ sport: 5000, dport: 53 }), 1);
  t.not(parseFrame(w.wan.next()!).udp!.sport, 5000);
  t.is(w.wall.flows.size, 2);
  w.ip.removeAddress(w.wanNif, OUTER);
  t.is(w.wall.flows.size, 0);
  t.is(w.nat.bindings.size, 0);
  w.out({}, udp({ sport: 5000, dport: 53 }), 1);
  t.deepEqual(w.wan.take(), []);
  socket.close();
});

test("NAT-08: nothing is opened by what a payload says", (t) => {
  const w = translated(t);
  w.out({}, tcp({ flags: "S", sport: 1, dport: 21, seq: 1 }));
  const port = parseFrame(w.wan.next()!).tcp!.sport;
  w.in({ dst: OUTER }, tcp({ flags: "SA", sport: 21, dport: port, seq: 1, ack: 2 }));
  w.out({}, tcp({ flags: "A", sport: 1, dport: 21, seq: 2, ack: 2 }), "PORT 10,0,0,2,0,22\r\n");
  w.out(
    {},
    udp({ sport: 5060, dport: 5060 }),
    "REGISTER sip:x SIP/2.0\r\nContact: <sip:a@10.0.0.2:22>\r\n\r\n",
  );
  w.lan.take();
  w.in({ dst: OUTER }, tcp({ flags: "S", sport: 20, dport: 22 }));
  w.in({ dst: OUTER }, udp({ sport: 5061, dport: 22 }), 1);
  t.deepEqual(w.lan.take(), []);
  t.is(w.walls.dropped, 2);
});

test("any exchange: translated there and back it is what was sent", (t) => {
  const w = translated(t, {}, 64);
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          host: fc.integer({ min: 3, max: 6 }),
          sport: fc.integer({ min: 1, max: 5 }),
          dport: fc.integer({ min: 1, max: 3 }),
          size: fc.nat(50),
        }),
        {
          minLength: 1,
          maxLength: 40,
        },
      ),
      (exchanges) => {
        for (const host of [3, 4, 5, 6]) w.knows(w.lanNif, `10.0.0.${host}`);
        for (const { host, sport, dport, size } of exchanges) {
          const src = `10.0.0.${host}`;
          w.out({ src }, udp({ sport, dport }), size);
          const out = parseFrame(w.wan.next()!);
          t.deepEqual(out.faults, []);
          w.in({ dst: OUTER }, udp({ sport: dport, dport: out.udp!.sport }), size);
          expectFrame(t, w.lan.next(), {
            ip4: { src: WAN_HOST, dst: src },
            udp: { sport: dport, dport: sport },
            payload: size,
          });
        }
        const outer = w.wall
          .list()
          .map((flow) => `${flow.source}:${flow.sourcePort}=${flow.replyDestinationPort}`);
        t.is(
          new Set(outer.map((text) => text.split("=")[1])).size,
          new Set(outer).size,
          "a port belongs to one host",
        );
      },
    ),
    { numRuns: 60 },
  );
});

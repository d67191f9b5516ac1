/** PCP and NAT-PMP: what is granted, what is refused and how, what ends; who asks for too much, and in what manner. */
import test from "ava";
import fc from "fast-check";
import { firewall } from "../../stack/filter/firewall.js";
import { napt } from "../../stack/filter/napt.js";
import type { NaptOptions } from "../../stack/filter/napt.js";
import { pcpServer } from "../../stack/service/pcp-server.js";
import type { PcpServerOptions } from "../../stack/service/pcp-server.js";
import { LAN_HOST, WAN_HOST, WAN_MAC, router } from "../router/support.js";
import { concat, ip4Bytes } from "../support/bytes.js";
import { expectFrame } from "../support/expect.js";
import { STACK_IP, STACK_MAC, be16, be32, eth, frame, ip4, tcp, udp } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import type { ExecutionContext } from "ava";

const OUTER = "10.1.0.1";
const mapped = (address: string) => concat(new Uint8Array(10), be16(0xffff), ip4Bytes(address));

interface Ask {
  version?: number;
  operation?: number;
  lifetime?: number;
  client?: string;
  nonce?: number;
  protocol?: number;
  port?: number;
  wanted?: number;
  options?: Uint8Array;
}

function map(ask: Ask = {}): Uint8Array {
  return concat(
    Uint8Array.of(ask.version ?? 2, ask.operation ?? 1, 0, 0),
    be32(ask.lifetime ?? 3600),
    mapped(ask.client ?? LAN_HOST),
    new Uint8Array(12).fill(ask.nonce ?? 7),
    Uint8Array.of(ask.protocol ?? 6, 0, 0, 0),
    be16(ask.port ?? 80),
    be16(ask.wanted ?? 0),
    mapped("0.0.0.0"),
    ask.options ?? new Uint8Array(0),
  );
}

function served(t: ExecutionContext | null, options: Partial<PcpServerOptions> = {}, more: NaptOptions = {}) {
  const nat = napt(more);
  const wall = firewall({ rules: [{ action: "accept", from: "lan" }], nat });
  const server = pcpServer({ mapper: nat, rate: 100_000, ...options });
  const node = router(t, { more: [wall, server] });
  wall.assign(node.lanNif, "lan");
  wall.assign(node.wanNif, "wan");
  server.serve(node.lanNif);
  const { lan, wan } = node;
  /** Sends a request; the answer's bytes, or null. */
  const ask = (bytes: Uint8Array, src = LAN_HOST): Uint8Array | null => {
    lan.take();
    lan.send(
      frame(eth({ dst: STACK_MAC }), ip4({ src, dst: STACK_IP }), udp({ sport: 4000, dport: 5351 }), bytes),
    );
    const answer = lan.next();
    return answer ? parseFrame(answer).payload : null;
  };
  const result = (bytes: Uint8Array, src?: string) => ask(bytes, src)?.[3];
  const knock = (port: number) => {
    lan.take();
    wan.send(
      frame(
        eth({ dst: WAN_MAC }),
        ip4({ src: WAN_HOST, dst: OUTER }),
        tcp({ flags: "S", sport: 9, dport: port }),
      ),
    );
    const seen = lan.next();
    return seen ? parseFrame(seen) : null;
  };
  return { ...node, nat, wall, server, ask, result, knock, seen: server.counters };
}

test("PCP: a mapping opens a port, is renewed by its nonce, ends by lifetime 0 and by time", (t) => {
  const w = served(t);
  const answer = w.ask(map({ wanted: 20_000 }))!;
  t.deepEqual([...answer.subarray(0, 8)], [2, 0x81, 0, 0, 0, 0, 14, 16]);
  t.deepEqual([...answer.subarray(42, 44)], [...be16(20_000)]);
  t.deepEqual([...answer.subarray(44, 60)], [...mapped(OUTER)]);
  t.deepEqual([...answer.subarray(24, 42)], [...map().subarray(24, 42)]);
  const syn = w.knock(20_000)!;
  t.is(syn.ip4!.dst, LAN_HOST);
  t.is(syn.tcp!.dport, 80);
  // The answer goes back by the outer end.
  w.lan.send(
    frame(
      eth({ dst: STACK_MAC }),
      ip4({ src: LAN_HOST, dst: WAN_HOST }),
      tcp({ flags: "SA", sport: 80, dport: 9, ack: 1 }),
    ),
  );
  expectFrame(t, w.wan.next(), { ip4: { src: OUTER }, tcp: { sport: 20_000, dport: 9 } });
  // What the host begins itself from there has the same outer port.
  w.lan.send(
    frame(
      eth({ dst: STACK_MAC }),
      ip4({ src: LAN_HOST, dst: "10.1.0.9" }),
      tcp({ flags: "S", sport: 80, dport: 8 }),
    ),
  );
  expectFrame(t, w.wan.next(), { tcp: { sport: 20_000, dport: 8 } });
  t.is(w.result(map({ nonce: 8 })), 2);
  t.is(w.result(map({ wanted: 5 })), 0);
  t.is(w.result(map({ lifetime: 0, nonce: 9 })), 2);
  t.is(w.result(map({ lifetime: 0 })), 0);
  t.is(w.result(map({ lifetime: 0 })), 0);
  t.is(w.server.mappings.list.length, 0);
  w.wall.forget(() => true);
  t.is(w.knock(20_000), null);
  t.is(w.nat.bindings.size, 0);
  const short = w.ask(map({ wanted: 20_001, lifetime: 1 }))!;
  t.is((short[6] << 8) | short[7], 120);
  w.world.run(119_000);
  t.truthy(w.knock(20_001));
  w.wall.forget(() => true);
  w.world.run(2000);
  t.is(w.knock(20_001), null);
  t.is(w.nat.bindings.size, 0);
});

test("PCP: what is refused, and by which result", (t) => {
  const w = served(
    t,
    { limit: 3, perHost: 2 },
    { forward: [{ protocol: "tcp", port: 20_007, to: LAN_HOST }] },
  );
  w.knows(w.lanNif, "10.0.0.3");
  const option = (code: number, size = 0) =>
    concat(Uint8Array.of(code, 0), be16(size), new Uint8Array((size + 3) & ~3));
  const cases: [string, Uint8Array, number][] = [
    ["version", map({ version: 1 }), 1],
    ["version 3", map({ version: 3 }), 1],
    ["another's address", map({ client: "10.0.0.77" }), 12],
    ["short", map().subarray(0, 56), 3],
    ["odd", map().subarray(0, 59), 3],
    ["header alone", map().subarray(0, 20), 3],
    ["long", concat(map(), new Uint8Array(1100)), 3],
    ["PEER", map({ operation: 2 }), 4],
    ["THIRD_PARTY", map({ options: option(1, 16) }), 5],
    ["FILTER", map({ options: option(3, 20) }), 5],
    ["option too long", map({ options: concat(Uint8Array.of(200, 0), be16(9)) }), 6],
    ["PREFER_FAILURE with a body", map({ options: option(2, 4) }), 6],
    ["PREFER_FAILURE twice", map({ options: concat(option(2), option(2)) }), 6],
    ["protocol", map({ protocol: 132 }), 9],
    ["all protocols", map({ protocol: 0, port: 0 }), 9],
    ["no protocol, a port", map({ protocol: 0 }), 3],
    ["all ports", map({ port: 0 }), 9],
    ["that port or none", map({ wanted: 99, options: option(2) }), 11],
    ["a forwarded port or none", map({ wanted: 20_007, options: option(2) }), 11],
  ];
  for (const [what, bytes, code] of cases) {
    const answer = w.ask(bytes)!;
    t.is(answer[3], code, what);
    t.is(answer[0], 2);
    t.is(answer[1], bytes[1] | 0x80, what);
    t.true(answer.length <= Math.max(24, (bytes.length + 3) & ~3) && answer.length % 4 === 0, what);
  }
  t.is(w.server.mappings.list.length, 0);
  t.is(w.seen.refused, cases.length);
  t.is(w.result(map({ options: option(200, 8) })), 0, "options that may be ignored are");
  t.is(w.result(map({ port: 81 })), 0);
  t.is(w.result(map({ port: 82 })), 10, "a host's share");
  t.is(w.result(map({ port: 82, client: "10.0.0.3" }), "10.0.0.3"), 0);
  t.is(w.result(map({ port: 83, client: "10.0.0.3" }), "10.0.0.3"), 8, "all of the table");
  t.is(w.result(map({ operation: 0 }).subarray(0, 24)), 0, "ANNOUNCE");
  // No answer: no requests, strangers.
  t.is(w.ask(Uint8Array.of(2)), null);
  t.is(w.ask(map({ operation: 0x81 })), null);
  t.is(w.seen.malformed, 2);
  t.is(w.ask(map(), "203.0.113.9"), null);
});

test("NAT-PMP: address, mappings, their end; errors", (t) => {
  const w = served(t);
  w.world.run(5000);
  t.deepEqual([...w.ask(Uint8Array.of(0, 0))!], [0, 128, 0, 0, 0, 0, 0, 5, 10, 1, 0, 1]);
  const request = (operation: number, port: number, wanted: number, lifetime: number) =>
    concat(Uint8Array.of(0, operation, 0, 0), be16(port), be16(wanted), be32(lifetime));
  const answer = w.ask(request(2, 22, 20_022, 7200))!;
  t.deepEqual([...answer], [0, 130, 0, 0, 0, 0, 0, 5, 0, 22, ...be16(20_022), ...be32(7200)]);
  t.is(w.knock(20_022)!.tcp!.dport, 22);
  t.is(w.result(request(1, 53, 0, 100)), 0);
  t.is(w.server.mappings.list.length, 2);
  t.deepEqual([...w.ask(request(2, 22, 0, 0))!.subarray(8)], [0, 22, 0, 0, 0, 0, 0, 0]);
  t.is(w.server.mappings.list.length, 1);
  t.is(w.result(request(1, 0, 0, 0)), 0);
  t.is(w.server.mappings.list.length, 0);
  t.is(w.result(request(1, 0, 0, 60)), 2);
  t.is(w.result(request(3, 1, 1, 1)), 5);
  t.is(w.ask(request(1, 1, 1, 1).subarray(0, 11)), null);
  // One of PCP is none of NAT-PMP.
  t.is(w.result(map({ port: 22 })), 0);
  t.is(w.result(request(2, 22, 0, 0)), 2);
});

test("another outer address: mappings are gone, the epoch begins anew, hosts are told; none: no mappings", (t) => {
  const w = served(t);
  t.is(w.result(map()), 0);
  w.world.run(10_000);
  w.ip.removeAddress(w.wanNif, "10.1.0.1/24");
  t.is(w.server.mappings.list.length, 0);
  t.is(w.nat.bindings.size, 0);
  t.is(w.result(map()), 7);
  t.is(w.ask(Uint8Array.of(0, 0))![3], 3);
  w.ip.addAddress(w.wanNif, "10.1.0.5/24");
  w.lan.take();
  w.world.run(300);
  const told = w.lan.take().map((bytes) => parseFrame(bytes));
  t.deepEqual(
    told.map(({ ip4: header, udp: ports, payload }) => [
      header!.dst,
      ports!.dport,
      payload[0],
      payload.length,
    ]),
    [
      ["224.0.0.1", 5350, 0, 12],
      ["224.0.0.1", 5350, 2, 24],
    ],
  );
  t.deepEqual([...told[0].payload.subarray(4)], [0, 0, 0, 0, 10, 1, 0, 5]);
});

test("RES-05, RES-10: hostile requests raise one counter each; no answer is longer than what asked, but NAT-PMP's", (t) => {
  const w = served(null);
  const count = () => w.seen.sent + w.seen.malformed + w.seen.strangers + w.seen.sendFailed;
  fc.assert(
    fc.property(
      fc.constantFrom(map(), map({ operation: 0 }), Uint8Array.of(0, 1, 0, 0, 0, 1, 0, 2, 0, 0, 1, 0)),
      fc.array(fc.tuple(fc.nat(70), fc.nat(255)), { maxLength: 5 }),
      fc.nat(70),
      (base, changes, cut) => {
        const bytes = base.slice(0, Math.max(0, base.length - cut));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        const before = count();
        const answer = w.ask(bytes);
        t.is(count(), before + 1);
        if (answer) t.true(answer.length <= (bytes[0] === 0 ? 16 : Math.max(24, (bytes.length + 3) & ~3)));
      },
    ),
    { numRuns: 2000 },
  );
  t.true(w.server.mappings.list.length <= 32);
  w.stack.close();
  t.is(w.nat.bindings.size, 0);
  for (const bad of [{ mapper: null }, { limit: 0 }, { rate: 0 }, { lifetime: 100_000 }] as never[])
    t.throws(() => pcpServer({ mapper: w.nat, ...(bad as object) }), { code: "EINVAL" });
});

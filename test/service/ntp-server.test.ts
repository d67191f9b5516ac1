/** The SNTP server's replies, by hand and to our own client. */
import test from "ava";
import { ntp } from "../../stack/service/ntp.js";
import type { NtpTime } from "../../stack/service/ntp.js";
import { ntpServer } from "../../stack/service/ntp-server.js";
import { network } from "../support/network.js";
import { STACK_IP, eth, frame, ip4, udp } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { probed } from "../support/probe.js";
import { toHex } from "../support/bytes.js";

const TIME = Date.UTC(2026, 0, 1, 0, 0, 0, 500);

test("a reply by the book", (t) => {
  const server = ntpServer({
    source: () => ({ time: TIME, error: 10, stratum: 1, leap: 1, server: "192.0.2.1" }),
  });
  const { probe, nif } = probed(t, { components: () => [server] });
  server.serve(nif);
  const request = new Uint8Array(48);
  request[0] = 0xe3;
  request[2] = 6;
  request.set([1, 2, 3, 4, 5, 6, 7, 8], 40);
  probe.send(frame(eth(), ip4({ dst: STACK_IP }), udp({ sport: 4000, dport: 123 }), request));
  const { payload, udp: header } = parseFrame(probe.next()!);
  t.like(header, { sport: 123, dport: 4000 });
  t.is(toHex(payload.subarray(0, 16)), "64 02 06 f6 00 00 05 1e 00 00 02 d1 c0 00 02 01");
  t.is(toHex(payload.subarray(24, 32)), "01 02 03 04 05 06 07 08");
  t.is(toHex(payload.subarray(40, 48)), "ed 00 37 80 80 00 00 00");
  t.is(payload.length, 48);
});

test("what is no client's request gets no answer; a flood is bounded; a source that throws answers nobody", (t) => {
  let fails = false;
  const server = ntpServer({
    rate: 10,
    source: () => {
      if (fails) throw new Error("no clock");
      return { time: NaN, error: 0, stratum: 1 };
    },
  });
  const { probe, nif, world } = probed(t, {
    components: () => [server],
    leaks: { panics: true, faults: true },
  });
  server.serve(nif);
  const send = (first: number, length = 48) => {
    const bytes = new Uint8Array(length);
    if (length > 0) bytes[0] = first;
    probe.send(frame(eth(), ip4({ dst: STACK_IP }), udp({ sport: 4000, dport: 123 }), bytes));
    return probe.take().length;
  };
  for (const first of [0x03, 0x2b, 0x21, 0x24, 0x25, 0x26, 0x27]) t.is(send(first), 0);
  for (let length = 0; length < 48; length++) t.is(send(0x23, length), 0);
  t.is(server.counters.malformed, 7 + 48);
  let answered = 0;
  for (let i = 0; i < 1000; i++) answered += send(0x23, 48 + (i % 100));
  t.is(answered, 10);
  world.run(2000);
  fails = true;
  t.is(send(0x23), 0);
  t.is(server.counters.unsynchronised, 10);
});

test("our own client believes it, one stratum further", (t) => {
  const start = TIME;
  let made = 0;
  const server = ntpServer({ source: () => ({ time: start + world.time, error: 1, stratum: 2 }) });
  const client = ntp({ servers: ["10.0.0.1"] });
  const { world, nodes } = network(t, 2, { components: () => [made++ === 0 ? server : client] });
  server.serve(nodes[0]!.nif);
  let got: NtpTime | null = null;
  client.query((_code, time) => (got = time));
  world.run(100);
  t.is(got!.stratum, 3);
  t.true(Math.abs(got!.time - (start + world.time)) < 150);
  t.throws(() => ntpServer({ source: null as never }), { code: "EINVAL" });
});

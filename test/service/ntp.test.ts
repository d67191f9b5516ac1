/** The SNTP client against servers that the test plays on the other stack: honest, silent, rude and lying ones. */
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import {
  EACCES,
  ECANCELED,
  ECONNREFUSED,
  ENETUNREACH,
  ENOBUFS,
  ENOTFOUND,
  EPROTO,
  ETIMEDOUT,
} from "../../stack/index.js";
import { type NtpOptions, type NtpTime, ntp } from "../../stack/service/ntp.js";
import { NTP_TIME, parseReply, timeAt } from "../../stack/wire/ntp.js";
import { concat } from "../support/bytes.js";
import { type NetworkOptions, pair } from "../support/network.js";
import { be32 } from "../support/packets.js";

/** Seconds from 1900 to 1970. */
const EPOCH = 2208988800;

interface Fields {
  flags?: number;
  stratum?: number;
  rootDelay?: number;
  rootDispersion?: number;
  reference?: string;
  origin?: Uint8Array;
  /** ms since 1970. */
  receive?: number;
  transmit?: number;
}

/** A timestamp, written apart from the stack's code. */
function stamp(ms: number): Uint8Array {
  const seconds = Math.floor(ms / 1000);
  return concat(be32((seconds + EPOCH) % 2 ** 32), be32(Math.floor(((ms / 1000) % 1) * 2 ** 32)));
}

function reply(request: Uint8Array, fields: Fields = {}): Uint8Array {
  const {
    flags = 0x24,
    stratum = 2,
    rootDelay = 100,
    rootDispersion = 100,
    receive = 1e12,
    transmit = receive,
  } = fields;
  return concat(
    Uint8Array.of(flags, stratum, 6, 0xe9),
    be32(rootDelay),
    be32(rootDispersion),
    Uint8Array.from(fields.reference ?? "\x7f\0\0\x01", (c) => c.charCodeAt(0)),
    stamp(receive - 60_000),
    fields.origin ?? request.slice(40, 48),
    stamp(receive),
    stamp(transmit),
  );
}

type Answer = (request: Uint8Array, count: number) => Uint8Array | Uint8Array[] | null;

function bench(
  t: ExecutionContext | null,
  answer: Answer | null,
  options: Partial<NtpOptions> = {},
  network: NetworkOptions & { delay?: number } = {},
) {
  const clients: ReturnType<typeof ntp>[] = [];
  const joined = pair(t, {
    delay: 20,
    ...network,
    components: () => {
      clients.push(ntp({ servers: ["10.0.0.2"], ...options }));
      return [clients.at(-1)!];
    },
  });
  const client = clients[0]!;
  const { a, b, world } = joined;
  const requests: { bytes: Uint8Array; port: number; time: number }[] = [];
  if (answer) {
    b.udp.open({
      port: 123,
      onReadable() {
        const buffer = new Uint8Array(100);
        const info = { address: "", port: 0 } as { address: string; port: number };
        for (let n = this.receive(buffer, info as never); n >= 0; n = this.receive(buffer, info as never)) {
          const bytes = buffer.slice(0, n);
          requests.push({ bytes, port: info.port, time: world.time });
          const replies = answer(bytes, requests.length) ?? [];
          for (const data of Array.isArray(replies) ? replies : [replies])
            this.sendTo(info.address, info.port, data);
        }
      },
    });
  }
  const ask = () => {
    let outcome: { code: number; time: NtpTime | null } | undefined;
    client.query((code, time) => (outcome = { code, time }));
    t?.is(outcome, undefined, "never before it returns");
    world.runUntil(() => outcome !== undefined);
    return outcome!;
  };
  return { ...joined, client, counters: client.counters, requests, ask, a, b };
}

test("it asks without telling anything, and takes half the round trip into account", (t) => {
  const { ask, requests, counters, client, run } = bench(t, (request) =>
    reply(request, { receive: 1.7e12, transmit: 1.7e12 + 7.25 }),
  );
  const { code, time } = ask();
  t.is(code, 0);
  const { bytes } = requests[0]!;
  t.is(bytes.length, 48);
  t.is(bytes[0], 0x23);
  t.true(bytes.subarray(1, 40).every((byte) => byte === 0));
  t.true(new Set(bytes.subarray(40)).size > 2, "the cookie is random");
  // ARP took its time, too.
  t.true(Math.abs(time!.time - (1.7e12 + 7.25 + 20)) <= time!.error);
  t.is(time!.error, (80 - 7.25) / 2);
  t.like(time!, { server: "10.0.0.2", stratum: 2, leap: 0 });
  t.like(counters, { sent: 1, received: 1, unmatched: 0, timeouts: 0 });
  run(5000);
  t.true(Math.abs(client.last()!.time - time!.time - 5000) <= 1);
  t.is(ask().code, 0);
  t.is(requests.length, 1, "a young time is given again");
  run(20_000);
  t.is(ask().time!.error, (40 - 7.25) / 2);
  t.is(requests.length, 2);
  t.notDeepEqual(requests[0]!.bytes, requests[1]!.bytes);
  t.not(requests[0]!.port, requests[1]!.port, "each question has its own port");
});

test("times beyond 2036 are the next era's", (t) => {
  for (const ms of [
    Date.UTC(1970, 0, 1),
    Date.UTC(2026, 10, 25),
    Date.UTC(2036, 1, 7, 6, 28, 15),
    Date.UTC(2036, 1, 7, 6, 28, 17),
    Date.UTC(2100, 0, 1),
  ]) {
    t.true(Math.abs(timeAt(stamp(ms + 0.5), 0) - ms - 0.5) < 0.001, new Date(ms).toISOString());
  }
});

test("a silent server is asked again, then the next one; several callers share one question", (t) => {
  const { ask, requests, counters } = bench(t, () => null, {
    servers: ["10.0.0.2", "10.0.0.2"],
    timeout: 500,
    attempts: 3,
  });
  t.is(ask().code, ETIMEDOUT);
  t.is(requests.length, 6);
  t.is(counters.timeouts, 6);
  const second = bench(t, (request, count) => (count < 2 ? null : reply(request)));
  const codes: number[] = [];
  for (let i = 0; i < 40; i++) second.client.query((code) => codes.push(code));
  const gone = second.client.query(() => t.fail());
  gone.cancel();
  gone.cancel();
  second.run(10_000);
  t.is(codes.length, 40);
  t.is(codes.filter((code) => code === 0).length, 32);
  t.is(codes.filter((code) => code === ENOBUFS).length, 8);
  t.is(second.requests.length, 2);
});

test("replies that match nothing are counted and change nothing", (t) => {
  const wrong = (request: Uint8Array): Uint8Array[] => [
    new Uint8Array(0),
    reply(request).slice(0, 47),
    reply(request, { origin: new Uint8Array(8) }),
    reply(request, { flags: 0x23 }),
    reply(request, { flags: 0x25 }),
    reply(request, { flags: 0x04 }),
    reply(request, { flags: 0x3c }),
    // A kiss that does not know the cookie is no kiss.
    reply(request, { stratum: 0, reference: "DENY", origin: new Uint8Array(8) }),
    reply(request, { receive: 1.6e12 }),
  ];
  const { ask, counters, a, b } = bench(t, wrong);
  // From elsewhere: another port of the server.
  const other = b.udp.open({ port: 124 });
  const before = a.udp.counters.notPeer;
  const outcome = ask();
  t.is(outcome.code, 0);
  t.true(Math.abs(outcome.time!.time - 1.6e12) < 100);
  t.like(counters, { unmatched: 8, received: 1, kisses: 0 });
  other.close();
  t.is(a.udp.counters.notPeer, before);
});

test("a server that does not know the time is passed over", (t) => {
  const ignorant: Fields[] = [
    { flags: 0xe4 },
    { stratum: 0, reference: "INIT" },
    // As chrony says it.
    { flags: 0xe4, stratum: 0, reference: "\0\0\0\0" },
    { stratum: 16 },
    { stratum: 255 },
    { rootDelay: 4 * 65536 },
    { rootDelay: -1 >>> 0 },
    { rootDispersion: 2 * 65536 },
    { rootDispersion: 0x80000000 },
    { receive: 1e12, transmit: 1e12 - 1 },
    { transmit: -EPOCH * 1000 },
    { receive: -EPOCH * 1000, transmit: 1e12 },
  ];
  for (const fields of ignorant) {
    const { ask, counters } = bench(t, (request) => reply(request, fields));
    t.is(ask().code, EPROTO, JSON.stringify(fields));
    t.is(counters.unsynchronised, 1);
  }
  const second = bench(t, (request, count) => reply(request, count === 1 ? { stratum: 16 } : {}), {
    servers: ["10.0.0.2", "10.0.0.2"],
  });
  t.is(second.ask().code, 0);
});

test("a kiss of death is obeyed: DENY for ever, RATE for ever longer", (t) => {
  const denied = bench(t, (request) => reply(request, { stratum: 0, reference: "DENY" }));
  t.is(denied.ask().code, EACCES);
  denied.run(3_600_000);
  t.is(denied.ask().code, EACCES);
  t.is(denied.requests.length, 1);
  let generous = false;
  const rated = bench(t, (request) => reply(request, generous ? {} : { stratum: 0, reference: "RATE" }));
  t.is(rated.ask().code, EACCES);
  rated.run(50_000);
  t.is(rated.ask().code, EACCES);
  t.is(rated.requests.length, 1);
  rated.run(15_000);
  rated.ask();
  t.is(rated.requests.length, 2);
  rated.run(100_000);
  rated.ask();
  t.is(rated.requests.length, 2);
  generous = true;
  rated.run(30_000);
  t.is(rated.ask().code, 0);
  t.is(rated.counters.kisses, 2);
});

test("names, refusals, ways that are not there, and the end of the stack", (t) => {
  const names = {
    lookup(name: string, _: object, callback: (code: number, addresses: string[]) => void) {
      const found = name === "time.test" ? ["10.0.0.9", "10.0.0.2"] : [];
      names.pending = () => callback(found.length > 0 ? 0 : ENOTFOUND, found);
      return { cancel: () => (names.pending = () => {}) };
    },
    pending: () => {},
  };
  const named = bench(t, (request) => reply(request), {
    names,
    servers: ["nothing.test", "time.test"],
    timeout: 100,
  });
  const codes: number[] = [];
  named.client.query((code) => codes.push(code));
  names.pending();
  names.pending();
  named.run(10_000);
  t.deepEqual(codes, [0]);
  t.is(named.client.last()!.server, "10.0.0.2");
  const refused = bench(t, null);
  t.is(refused.ask().code, ECONNREFUSED);
  t.is(bench(t, null, { servers: ["192.0.2.1"] }).ask().code, ENETUNREACH);
  t.is(bench(t, null, { servers: [] }).ask().code, ENETUNREACH);
  t.not(bench(t, null, { servers: ["a.name"] }).ask().code, 0);
  const closing = bench(t, () => null);
  const ends: number[] = [];
  closing.client.query((code) => ends.push(code));
  closing.run(10);
  closing.a.stack.close();
  t.deepEqual(ends, [ECANCELED]);
  t.throws(() => ntp({ servers: [7 as never] }), { code: "EINVAL" } as never);
  t.throws(() => ntp({ servers: [], timeout: 0 }), { code: "EINVAL" } as never);
  t.throws(() => closing.client.query(null as never), { code: "EINVAL" } as never);
});

test("without entropy nobody is asked", (t) => {
  const { client, a, run } = bench(t, (request) => reply(request), {}, { leaks: false });
  a.host.faults.random = "fail";
  const codes: number[] = [];
  client.query((code) => codes.push(code));
  run(10);
  t.is(codes.length, 1);
  t.true(codes[0]! < 0);
  t.is(client.counters.sent, 0);
});

test("whatever arrives, it is one of four things and raises one counter", (t) => {
  const cookie = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const head = fc.uint8Array({ minLength: 0, maxLength: 60 });
  fc.assert(
    fc.property(head, fc.boolean(), fc.nat(255), fc.nat(20), (bytes, matching, flags, stratum) => {
      if (matching && bytes.length >= 32) bytes.set(cookie, 24);
      if (matching && bytes.length > 1) bytes.set([flags, stratum]);
      const kind = parseReply(bytes, bytes.length, cookie);
      if (kind === NTP_TIME && (!Number.isFinite(timeAt(bytes, 40)) || bytes.length < 48)) return false;
      return kind >= 0 && kind <= 3;
    }),
    { numRuns: 20_000 },
  );
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 90 }), { maxLength: 20 }), (datagrams) => {
      const { client, counters, a, b, world } = bench(null, (request, count) => {
        for (const bytes of datagrams)
          if (bytes.length >= 32 && bytes[0]! & 1) bytes.set(request.slice(40, 48), 24);
        return count === 1 ? datagrams : reply(request);
      });
      let calls = 0;
      client.query(() => calls++);
      world.run(20_000);
      const { unmatched, unsynchronised, kisses, received, sent } = counters;
      const arrived = Math.min(datagrams.length, unmatched + unsynchronised + kisses + received);
      a.stack.close();
      b.stack.close();
      return calls === 1 && sent <= 2 && arrived <= datagrams.length && a.stack.timers.count() === 0;
    }),
    { numRuns: 100 },
  );
  t.pass();
});

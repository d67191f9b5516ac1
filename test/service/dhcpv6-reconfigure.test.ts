/** Reconfigure and its proof (RFC 8415 sections 18.2.11, 20.4); the hash is Node's. */
import { createHmac } from "node:crypto";
import test from "ava";
import { DHCP6_BOUND, DHCP6_INFORMED } from "../../stack/service/dhcpv6.js";
import { concat, ip6Bytes } from "../support/bytes.js";
import { be32 } from "../support/packets.js";
import { CLIENT_DUID, SERVER_DUID, client6, message, opt, types } from "./dhcpv6-support.js";
import type { Client6Options, Client6Test } from "./dhcpv6-support.js";

const hmac = (key: Uint8Array, data: Uint8Array) => createHmac("md5", key).update(data).digest();
const KEY = new Uint8Array(16).fill(7);
const NO_KEY = new Uint8Array(16);

const auth = (replay: number, type: number, value: Uint8Array, ...head: number[]) =>
  opt(
    11,
    Uint8Array.of(...[3, 1, 0].map((byte, i) => head[i] ?? byte)),
    be32(0),
    be32(replay),
    Uint8Array.of(type),
    value,
  );

interface Fields {
  key?: Uint8Array;
  replay?: number;
  type?: number;
  head?: number[];
  /** Instead of the two identifiers, or of the message option. */
  ids?: Uint8Array[];
  option?: Uint8Array;
}

function reconfigure(fields: Fields = {}): Uint8Array {
  const {
    key = KEY,
    replay = 9,
    type = 5,
    head = [],
    ids = [opt(1, CLIENT_DUID), opt(2, SERVER_DUID)],
  } = fields;
  const option = fields.option ?? opt(19, Uint8Array.of(type));
  const make = (value: Uint8Array) =>
    concat(Uint8Array.of(10, 0, 0, 0), ...ids, option, auth(replay, 2, value, ...head));
  return make(hmac(key, make(new Uint8Array(16))));
}

/** A client that holds a lease (or parameters) and the key of its server. */
function keyed(more: Client6Options = {}): Client6Test {
  const c = client6(null, {
    dhcp: { hmac },
    ...more,
    prepare: (server) => {
      server.more = [auth(1, 1, KEY)];
      more.prepare?.(server);
    },
  });
  c.world.run(3000);
  return c;
}

const heard = (c: Client6Test, bytes: Uint8Array) => {
  c.server.take();
  c.server.say(bytes);
  c.world.run(100);
  return types(c.server.take());
};

test("clients offer it when they have a hash, and not without", (t) => {
  t.true(keyed().server.asked.every(({ options }) => options.has(20)));
  const c = client6(t);
  c.world.run(3000);
  t.true(c.server.asked.every(({ options }) => !options.has(20)));
});

test("with the key's proof the client renews, rebinds or asks for parameters, once a counter", (t) => {
  const c = keyed();
  c.server.more = [opt(23, ip6Bytes("fd00::53"))];
  t.deepEqual(heard(c, reconfigure({ replay: 2, type: 5 })), [5]);
  t.deepEqual(heard(c, reconfigure({ replay: 2, type: 5 })), []);
  t.deepEqual(heard(c, reconfigure({ replay: 7, type: 6 })), [6]);
  t.deepEqual(heard(c, reconfigure({ replay: 6, type: 6 })), []);
  c.server.given = [];
  c.server.more = [opt(23, ip6Bytes("fd00::54"))];
  t.deepEqual(heard(c, reconfigure({ replay: 8, type: 11 })), [11]);
  t.is(c.client.state, DHCP6_BOUND);
  t.like(c.client.lease, { nameServers: ["fd00::54"], renewTime: 500 });
  t.is(c.client.lease!.addresses.length, 1);
  t.is(c.service.counters.reconfigureRefused, 2);
});

test("the same key again takes no counter back, another key begins anew", (t) => {
  const c = keyed();
  t.deepEqual(heard(c, reconfigure({ replay: 5 })), [5]);
  t.deepEqual(heard(c, reconfigure({ replay: 5 })), [], "that renewal brought the key again");
  c.server.more = [auth(1, 1, NO_KEY)];
  t.deepEqual(heard(c, reconfigure({ replay: 6 })), [5]);
  t.deepEqual(heard(c, reconfigure({ replay: 7 })), [], "the old key");
  t.deepEqual(heard(c, reconfigure({ replay: 2, key: NO_KEY })), [5]);
});

test("parameters that no server tells are given up when the lease is to be renewed", (t) => {
  const c = keyed();
  c.server.script = ({ type }) => (type === 11 ? null : undefined);
  t.deepEqual(heard(c, reconfigure({ type: 11 })), [11]);
  c.world.run(520_000);
  t.is(types(c.server.take()).at(-1), 5);
  t.is(c.client.state, DHCP6_BOUND);
});

test("without a lease the parameters are asked for, and nothing else", (t) => {
  const c = keyed({ client: { stateless: true }, prepare: (server) => (server.given = []) });
  t.is(c.client.state, DHCP6_INFORMED);
  t.deepEqual(heard(c, reconfigure({ type: 5 })), []);
  t.deepEqual(heard(c, reconfigure({ type: 6 })), []);
  t.deepEqual(heard(c, reconfigure({ type: 11 })), [11]);
});

test("DH6-02 Reconfigure without proof, with a wrong one, of another server, for another client, by multicast: refused", (t) => {
  const c = keyed();
  t.deepEqual(heard(c, reconfigure({ replay: 1 })), [5], "a counter begins anywhere with a new key");
  t.is(c.client.state, DHCP6_BOUND);
  const forged = reconfigure();
  forged[forged.length - 1] ^= 1;
  const cut = reconfigure();
  const lies: [string, Uint8Array][] = [
    ["no authentication", message(10, new Uint8Array(3), opt(19, Uint8Array.of(5)))],
    ["another key", reconfigure({ key: NO_KEY })],
    ["a bit", forged],
    ["an old counter", reconfigure({ replay: 1 })],
    ["counter 0", reconfigure({ replay: 0 })],
    ["another protocol", reconfigure({ head: [2, 1, 0] })],
    ["another algorithm", reconfigure({ head: [3, 2, 0] })],
    ["another replay detection", reconfigure({ head: [3, 1, 1] })],
    ["no server", reconfigure({ ids: [opt(1, CLIENT_DUID)] })],
    ["another server", reconfigure({ ids: [opt(1, CLIENT_DUID), opt(2, Uint8Array.of(1, 2, 3, 4))] })],
    ["no client", reconfigure({ ids: [opt(2, SERVER_DUID)] })],
    ["another client", reconfigure({ ids: [opt(1, Uint8Array.of(0, 3, 0, 1)), opt(2, SERVER_DUID)] })],
    ["no message type", reconfigure({ option: opt(19) })],
    ["two of them", reconfigure({ option: opt(19, Uint8Array.of(5, 5)) })],
    ["no such option", reconfigure({ option: opt(99) })],
    ...[0, 1, 3, 4, 8, 10, 12, 255].map((type): [string, Uint8Array] => [
      "type " + type,
      reconfigure({ type }),
    ]),
  ];
  for (const [name, bytes] of lies) t.deepEqual(heard(c, bytes), [], name);
  t.is(c.service.counters.reconfigureRefused, lies.length);
  c.server.say(cut, { dst: "ff02::1" });
  c.server.say(cut, { src: "fd00::2" });
  c.world.run(100);
  t.deepEqual(types(c.server.take()), []);
  t.deepEqual(heard(c, reconfigure()), [5], "the real one still holds");
});

test("a hash that throws, or is of another length, is no proof", (t) => {
  for (const wrong of [
    () => new Uint8Array(15),
    () => {
      throw new Error("no cipher");
    },
  ]) {
    const c = keyed({ dhcp: { hmac: wrong } });
    t.deepEqual(heard(c, reconfigure()), []);
    t.is(c.service.counters.reconfigureRefused, 1);
  }
});

test("a client that is asking already takes no second request; a flood of true ones is one renewal at a time", (t) => {
  const c = keyed();
  c.server.script = () => null;
  t.deepEqual(heard(c, reconfigure({ replay: 2 })), [5]);
  for (let i = 3; i < 1000; i++) c.server.say(reconfigure({ replay: i }));
  c.world.run(100);
  t.deepEqual(types(c.server.take()), []);
  t.is(c.service.counters.reconfigureRefused, 997);
});

/** The multicast DNS responder on a link of several, in virtual time (RFC 6762), judged by what is said on the wire. */
import test from "ava";
import { nameServers } from "../../stack/core/name-servers.js";
import { dns as createDns } from "../../stack/service/dns.js";
import { happy } from "../../stack/service/happy.js";
import {
  createLan,
  createSpy,
  mdnsRecord,
  message,
  query,
  question,
  response,
  shortRecords,
  srv,
} from "./mdns-support.js";

const HTTP = { name: "Attic", type: "_http._tcp", port: 80 };

test("a name is probed for three times, announced twice, answered for, and taken leave of", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const told: string[] = [];
  const host = lan.host({ host: "lamp", onHost: (name) => told.push(name) }, "10.0.0.1/24");
  lan.run(3000);
  const said = spy.take();
  t.true(said.every((each) => each.ttl === 255 && each.id === 0 && each.from === "10.0.0.1"));
  const probes = said.filter((each) => !each.response);
  t.is(probes.length, 3);
  for (const probe of probes) {
    t.deepEqual(probe.questions, [{ name: "lamp.local", type: 255, unicast: true }]);
    t.deepEqual(shortRecords(probe.authorities), ["lamp.local A 10.0.0.1 120"]);
  }
  t.true(probes[0]!.time < 252);
  t.deepEqual(
    probes.slice(1).map((each, i) => each.time - probes[i]!.time),
    [250, 250],
  );
  const announcements = said.filter((each) => each.response);
  t.is(announcements.length, 2);
  for (const each of announcements) {
    t.is(each.flags, 0x8400);
    t.deepEqual(each.questions, []);
    t.deepEqual(shortRecords(each.answers), [
      "lamp.local A 10.0.0.1 120 flush",
      "1.0.0.10.in-addr.arpa PTR lamp.local 120 flush",
      "lamp.local NSEC 120 flush",
    ]);
  }
  t.deepEqual(
    announcements.map((each) => each.time - probes[2]!.time),
    [250, 1250],
  );
  t.deepEqual(told, ["lamp.local"]);

  spy.say(query(question("LAMP.local", "A")));
  lan.run(5);
  t.deepEqual(
    spy.take().map((each) => shortRecords(each.answers)),
    [["lamp.local A 10.0.0.1 120 flush"]],
  );
  host.stack.close();
  lan.run(5);
  const [goodbye] = spy.take();
  t.deepEqual(shortRecords(goodbye!.answers), [
    "lamp.local A 10.0.0.1 0 flush",
    "1.0.0.10.in-addr.arpa PTR lamp.local 0 flush",
    "lamp.local NSEC 0 flush",
  ]);
});

test("a service is a pointer, a host with port, a text, subtypes, and a type among the types", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host({ host: "lamp" }, "10.0.0.1/24");
  const told: string[] = [];
  const service = host.mdns.publish({
    ...HTTP,
    name: "A.b \\ ü",
    txt: { path: "/", flag: true, off: false, bytes: Uint8Array.of(0, 255) },
    subtypes: ["_light"],
    priority: 1,
    weight: 2,
    onName: (name) => told.push(name),
  });
  lan.run(4000);
  t.deepEqual(told, ["A.b \\ ü"]);
  t.is(service.fullName, "A\\.b\\032\\\\\\032\\195\\188._http._tcp.local");
  spy.take();
  const label = "A.b \\ Ã¼";
  spy.say(query(question("_http._tcp.local", "PTR")));
  lan.run(150);
  const [answer, ...rest] = spy.take();
  t.deepEqual(rest, []);
  t.deepEqual(shortRecords(answer!.answers), [`_http._tcp.local PTR ${label}._http._tcp.local 4500`]);
  t.deepEqual(shortRecords(answer!.additional), [
    `${label}._http._tcp.local SRV 80 lamp.local 120 flush`,
    `${label}._http._tcp.local TXT "\\u0006path=/\\u0004flag\\bbytes=\\u0000ÿ" 4500 flush`,
    "lamp.local A 10.0.0.1 120 flush",
    "lamp.local NSEC 120 flush",
  ]);
  lan.run(1100);
  spy.say(
    query(question("_light._sub._http._tcp.local", "PTR"), question("_services._dns-sd._udp.local", "PTR")),
  );
  lan.run(150);
  t.deepEqual(shortRecords(spy.take()[0]!.answers).sort(), [
    `_light._sub._http._tcp.local PTR ${label}._http._tcp.local 4500`,
    "_services._dns-sd._udp.local PTR _http._tcp.local 4500",
  ]);
  lan.run(1100);
  service.update({ port: 81, txt: {} });
  lan.run(20);
  const updated = shortRecords(spy.take()[0]!.answers);
  t.true(updated.includes(`${label}._http._tcp.local SRV 81 lamp.local 120 flush`), updated.join("\n"));
  t.true(updated.includes(`${label}._http._tcp.local TXT "\\u0000" 4500 flush`), updated.join("\n"));
  lan.run(2000);
  spy.take();
  service.close();
  service.close();
  lan.run(5);
  const gone = shortRecords(spy.take()[0]!.answers);
  t.true(gone.length >= 5 && gone.every((each) => / 0( flush)?$/.test(each)), gone.join("\n"));
});

test("misuse throws", (t) => {
  const lan = createLan(t);
  const { mdns } = lan.host({}, "10.0.0.1/24");
  const bad: [() => unknown, string][] = [
    [() => mdns.publish(HTTP), "EINVAL"],
    [() => mdns.claim(""), "EINVAL"],
    [() => mdns.claim("x".repeat(64)), "EINVAL"],
    [() => mdns.claim("a\nb"), "EINVAL"],
    [() => mdns.publish({ ...HTTP, host: "other.local", type: "http" }), "EINVAL"],
    [() => mdns.publish({ ...HTTP, host: "other.local", type: "_http._sctp" }), "EINVAL"],
    [() => mdns.publish({ ...HTTP, host: "other.local", port: 65536 }), "EINVAL"],
    [() => mdns.publish({ ...HTTP, host: "other.local", name: "" }), "EINVAL"],
    [() => mdns.publish({ ...HTTP, host: "other.local", txt: { "a=b": "c" } }), "EINVAL"],
    [() => mdns.publish({ ...HTTP, host: "other.local", txt: { a: "x".repeat(254) } }), "EINVAL"],
    [() => mdns.browse("_http", { onFound: () => {} }), "EINVAL"],
    [() => mdns.lookup("a.local", { family: 5 }, () => {}), "EINVAL"],
    [() => mdns.lookup("a.local", { timeout: 0 }, () => {}), "EINVAL"],
    [() => mdns.lookup("a.local", {}, null as never), "EINVAL"],
    [() => mdns.watch("a..local", "A", { onRecord: () => {} }), "EINVAL"],
    [() => mdns.watch("a.local", "NO", { onRecord: () => {} }), "EINVAL"],
  ];
  for (const [call, code] of bad) t.is((t.throws(call) as { code?: string }).code, code, String(call));
  mdns.claim("lamp");
  t.is((t.throws(() => mdns.claim("Lamp.local")) as { code?: string }).code, "EEXIST");
  mdns.publish(HTTP);
  t.is((t.throws(() => mdns.publish(HTTP)) as { code?: string }).code, "EEXIST");
  for (let i = 2; i < 32; i++) mdns.claim("n" + i);
  t.is((t.throws(() => mdns.claim("x")) as { code?: string }).code, "ENOBUFS");
  for (let i = 0; i < 64; i++) mdns.watch("n.local", "A", { onRecord: () => {} });
  t.is((t.throws(() => mdns.browse("_a._tcp", { onFound: () => {} })) as { code?: string }).code, "ENOBUFS");
});

test("many who claim one name at the same time all end with another", (t) => {
  const lan = createLan(t);
  const names: string[] = [];
  const hosts = [1, 2, 3, 4, 5].map((i) =>
    lan.host({ host: "lamp", onHost: (name) => (names[i] = name) }, `10.0.0.${i}/24`),
  );
  lan.run(30000);
  const final = names.filter(Boolean).sort();
  t.deepEqual(final, ["lamp-2.local", "lamp-3.local", "lamp-4.local", "lamp-5.local", "lamp.local"]);
  // The tie is broken by the addresses: the later one has it (section 8.2).
  t.is(names[5], "lamp.local");
  t.true(hosts.every((each) => each.mdns.port.counters.malformed === 0));
});

test("of two that probe at once the later in order wins, the other waits a second", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  lan.host({ host: "lamp" }, "10.0.0.5/24");
  const probe = (address: string) =>
    message({
      questions: [question("lamp.local", 255, true)],
      authorities: [mdnsRecord("lamp.local", "A", 120, address)],
    });
  lan.run(260);
  t.true(spy.take().length >= 1);
  spy.say(probe("10.0.0.4"));
  spy.say(probe("10.0.0.5"));
  lan.run(240);
  t.is(spy.take().length, 1, "we go on");
  spy.say(probe("10.0.0.6"));
  lan.run(900);
  t.deepEqual(spy.take(), []);
  lan.run(1100);
  const after = spy.take();
  t.is(after.filter((each) => !each.response).length, 3, "from the beginning");
  t.is(after.filter((each) => each.response).length, 1);
});

test("networks that were apart and come together settle whose name it is", (t) => {
  const lan = createLan(t);
  const left = createLan(t, { world: lan.world });
  const names: string[] = [];
  const a = lan.host({ host: "lamp", onHost: (name) => (names[0] = name) }, "10.0.0.1/24");
  left.host({ host: "lamp", onHost: (name) => (names[1] = name) }, "10.0.0.2/24");
  lan.run(5000);
  t.deepEqual(names, ["lamp.local", "lamp.local"]);
  a.mdns.publish({ ...HTTP, onName: (name) => (names[2] = name) });
  lan.run(5000);
  lan.middle.uplink(left.middle);
  // Nobody knows of it until somebody asks, and both answer.
  createSpy(t, lan).say(query(question("lamp.local", "A")));
  lan.run(20000);
  t.deepEqual(names.slice(0, 2).sort(), ["lamp-2.local", "lamp.local"]);
  t.is(names[2], "Attic");
  const resolved: string[] = [];
  lan.host({}, "10.0.0.3/24").mdns.resolve("Attic._http._tcp.local", {
    onResolved: ({ host, addresses }) => resolved.push(host + " " + addresses.join()),
  });
  lan.run(3000);
  t.deepEqual(resolved, [`${names[0]} 10.0.0.1`]);
});

test("one that is in the way for ever costs names, ever more slowly", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host({ host: "lamp" }, "10.0.0.1/24");
  const answered: string[] = [];
  for (let i = 0; i < 600; i++) {
    lan.run(100);
    for (const each of spy.take()) {
      if (each.response || !each.questions[0]) continue;
      answered.push(each.questions[0].name);
      spy.say(response(mdnsRecord(each.questions[0].name, "A", 120, "10.0.0.99", true)));
    }
  }
  t.is(host.mdns.port.counters.conflicts, answered.length);
  t.true(answered.length >= 15 && answered.length < 16 + 60 / 5, `${answered.length} in a minute`);
  t.is(new Set(answered).size, answered.length);
});

test("MDN-04 only other data for a record that is ours alone are a conflict", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host({ host: "lamp" }, "10.0.0.1/24");
  host.mdns.publish(HTTP);
  lan.run(5000);
  const { counters } = host.mdns.port;
  const harmless = [
    mdnsRecord("lamp.local", "A", 120, "10.0.0.1", true),
    mdnsRecord("lamp.local", "A", 0, "10.0.0.77", true),
    mdnsRecord("lamp.local", "AAAA", 120, "fe80::1", false),
    mdnsRecord("lamp.local", 47, 120, Uint8Array.of(0, 0, 1, 0x40), true),
    mdnsRecord("lamp2.local", "A", 120, "10.0.0.77", true),
    mdnsRecord("_http._tcp.local", "PTR", 4500, "Other._http._tcp.local", true),
    mdnsRecord("1.0.0.10.in-addr.arpa", "PTR", 120, "other.local", true),
    mdnsRecord("Attic._http._tcp.local", "SRV", 120, srv(80, "LAMP.local"), true),
  ];
  for (const each of harmless) spy.say(response(each));
  lan.run(2000);
  t.is(counters.conflicts, 0);
  t.is(host.mdns.responder.claims[0]!.name.text, "lamp.local");
  spy.take();
  spy.say(response(mdnsRecord("Attic._http._tcp.local", "SRV", 120, srv(81, "lamp.local"), true)));
  lan.run(20000);
  t.is(counters.conflicts, 1);
  // It was probed for again; nobody defended it, so it is still ours.
  const said = spy.take();
  t.is(said.filter((each) => !each.response && each.questions[0]!.type === 255).length, 3);
  t.is(host.mdns.responder.claims[1]!.name.text, "Attic._http._tcp.local");
});

test("answers others may have as well wait 20 to 120 ms, ours alone do not; with TC 400 to 500 ms", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host({ host: "lamp" }, "10.0.0.1/24");
  host.mdns.publish(HTTP);
  lan.run(5000);
  spy.take();
  const delays: Record<string, number[]> = { PTR: [], SRV: [], TC: [] };
  const ask = (kind: string, bytes: Uint8Array) => {
    const now = lan.world.time;
    spy.say(bytes);
    lan.run(1500);
    const said = spy.take().filter((each) => each.response);
    t.is(said.length, 1, kind);
    delays[kind]!.push(said[0]!.time - now);
  };
  for (let i = 0; i < 20; i++) {
    ask("PTR", query(question("_http._tcp.local", "PTR")));
    ask("SRV", query(question("attic._HTTP._tcp.local", "SRV")));
    ask("TC", message({ flags: 0x0200, questions: [question("lamp.local", "A")] }));
  }
  t.true(
    delays.PTR!.every((ms) => ms >= 20 && ms <= 122),
    delays.PTR!.join(),
  );
  t.true(Math.max(...delays.PTR!) - Math.min(...delays.PTR!) > 30, delays.PTR!.join());
  t.true(
    delays.SRV!.every((ms) => ms <= 2),
    delays.SRV!.join(),
  );
  t.true(
    delays.TC!.every((ms) => ms >= 400 && ms <= 502),
    delays.TC!.join(),
  );
});

test("what the asker knows is not said: in one message, or in several", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host({ host: "lamp" }, "10.0.0.1/24");
  host.mdns.publish(HTTP);
  host.mdns.publish({ ...HTTP, name: "Cellar" });
  lan.run(5000);
  const pointer = (name: string, ttl = 4500) =>
    mdnsRecord("_http._tcp.local", "PTR", ttl, name + "._http._tcp.local");
  const ask = (...messages: Uint8Array[]) => {
    spy.take();
    messages.forEach((each) => spy.say(each));
    lan.run(1500);
    return spy
      .take()
      .flatMap((each) => each.answers.map(({ data }) => data.split(".")[0]))
      .sort();
  };
  const questions = [question("_http._tcp.local", "PTR")];
  t.deepEqual(ask(message({ questions })), ["Attic", "Cellar"]);
  t.deepEqual(ask(message({ questions, answers: [pointer("attic")] })), ["Cellar"]);
  t.deepEqual(ask(message({ questions, answers: [pointer("Attic"), pointer("Cellar")] })), []);
  // Half of its life is enough, less is not.
  t.deepEqual(ask(message({ questions, answers: [pointer("Attic", 2250), pointer("Cellar", 2249)] })), [
    "Cellar",
  ]);
  const more = message({ flags: 0x0200, questions, answers: [pointer("Other")] });
  t.deepEqual(ask(more, message({ answers: [pointer("Attic")] })), ["Cellar"]);
  t.deepEqual(
    ask(
      more,
      message({ flags: 0x0200, answers: [pointer("Attic")] }),
      message({ answers: [pointer("Cellar")] }),
    ),
    [],
  );
  // Somebody else asks in the meantime, and knows nothing.
  const other = createSpy(t, lan, "10.0.0.201/24");
  spy.take();
  spy.say(more);
  other.say(message({ questions }));
  lan.run(5);
  spy.say(message({ answers: [pointer("Attic"), pointer("Cellar")] }));
  lan.run(1500);
  t.is(spy.take().flatMap((each) => each.answers).length, 2);
});

test("an answer that somebody else has given is not given again; one with too short a life is put right", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host({ host: "lamp" }, "10.0.0.1/24");
  host.mdns.publish(HTTP);
  lan.run(5000);
  spy.take();
  const pointer = (ttl: number) => mdnsRecord("_http._tcp.local", "PTR", ttl, "Attic._http._tcp.local");
  spy.say(query(question("_http._tcp.local", "PTR")));
  spy.say(response(pointer(4500)));
  lan.run(1500);
  t.deepEqual(
    spy.take().filter((each) => each.response && each.from !== "10.0.0.200"),
    [],
  );
  t.is(host.mdns.port.counters.suppressed, 1);
  spy.say(response(pointer(0)));
  lan.run(50);
  t.deepEqual(shortRecords(spy.take()[0]!.answers), ["_http._tcp.local PTR Attic._http._tcp.local 4500"]);
});

test("no record more than once a second, unless its name is about to be taken", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  lan.host({ host: "lamp" }, "10.0.0.1/24");
  lan.run(5000);
  spy.take();
  const times: number[] = [];
  for (let i = 0; i < 500; i++) {
    spy.say(query(question("lamp.local", "A"), question("lamp.local", 255)));
    lan.run(10);
  }
  for (const each of spy.take()) {
    for (const { name, type } of each.answers) if (name === "lamp.local" && type === 1) times.push(each.time);
  }
  t.true(times.length >= 4 && times.length <= 5, times.join());
  const probe = message({
    questions: [question("lamp.local", 255)],
    authorities: [mdnsRecord("lamp.local", "A", 120, "10.0.0.99")],
  });
  for (let i = 0; i < 100; i++) {
    spy.say(probe);
    lan.run(10);
  }
  const defended = spy.take().filter((each) => each.response);
  t.true(defended.length >= 3 && defended.length <= 5, `${defended.length}`);
});

test("a unicast reply is given to who wants one, if all have heard it of late; and to old resolvers", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host({ host: "lamp" }, "10.0.0.1/24");
  lan.run(5000);
  spy.take();
  const ask = (unicast: boolean, to?: string) => {
    spy.say(query(question("lamp.local", "A", unicast)), to);
    lan.run(1200);
    return spy.take().map((each) => (each.unicast ? "unicast" : "multicast"));
  };
  t.deepEqual(ask(true), ["unicast"]);
  t.deepEqual(ask(false, "10.0.0.1"), ["unicast"]);
  t.deepEqual(ask(false), ["multicast"]);
  lan.run(31000);
  t.deepEqual(ask(true), ["multicast"], "a quarter of its life is over");

  spy.sayLegacy(message({ id: 0x1234, questions: [question("Lamp.local", "A"), question("x.local", "A")] }));
  lan.run(5);
  const [legacy, ...rest] = spy.take();
  t.deepEqual(rest, []);
  t.is(legacy!.port, 40000);
  t.is(legacy!.id, 0x1234);
  t.is(legacy!.flags, 0x8400);
  t.deepEqual(
    legacy!.questions.map(({ name, type }) => name + type),
    ["lamp.local1", "x.local1"],
  );
  t.deepEqual(shortRecords(legacy!.answers), ["lamp.local A 10.0.0.1 10"]);
  // A thousand of them are answered as far as it is reasonable.
  for (let i = 0; i < 1000; i++) spy.sayLegacy(query(question("lamp.local", "A")));
  lan.run(5);
  t.true(spy.take().length <= 51);
  t.true(host.mdns.port.counters.limited > 900);
});

test("that there is no such record is said for names that are ours alone", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host({ host: "lamp" }, "10.0.0.1/24");
  host.mdns.publish(HTTP);
  lan.run(5000);
  spy.take();
  spy.say(
    query(question("lamp.local", "AAAA"), question("_http._tcp.local", "A"), question("other.local", "A")),
  );
  lan.run(150);
  const [answer] = spy.take();
  t.deepEqual(shortRecords(answer!.answers), ["lamp.local NSEC 120 flush"]);
  // Its own name, window 0, one byte, type 1 (RFC 4034 section 4.1).
  t.is(answer!.answers[0]!.data, "046c616d70056c6f63616c00" + "000140");
});

test("addresses come and go, interfaces go down and up: the name follows", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host({ host: "lamp" }, "");
  lan.run(2000);
  t.deepEqual(spy.take(), []);
  host.ip.addAddress(host.nif, "10.0.0.1/24");
  lan.run(4000);
  spy.take();
  host.ip.addAddress(host.nif, "10.0.0.2/24");
  lan.run(3000);
  const both = spy.take();
  t.true(
    both.every((each) => each.response),
    "no probe",
  );
  t.true(shortRecords(both[0]!.answers).includes("lamp.local A 10.0.0.2 120 flush"));
  host.ip.removeAddress(host.nif, "10.0.0.1");
  lan.run(3000);
  const one = spy.take().flatMap((each) => shortRecords(each.answers));
  t.true(one.includes("1.0.0.10.in-addr.arpa PTR lamp.local 0 flush"), one.join("\n"));
  t.false(one.includes("lamp.local A 10.0.0.1 120 flush"));
  host.stack.setInterface(host.nif, { enabled: false });
  lan.run(3000);
  t.deepEqual(spy.take(), []);
  t.is(host.mdns.port.links.length, 0);
  host.stack.setInterface(host.nif, { enabled: true });
  lan.run(3000);
  const again = spy.take();
  t.is(again.filter((each) => !each.response).length, 3, "probed for again: it may be another network");
});

test("each interface is on its own: a conflict on one renames on all, an address is told on its own alone", (t) => {
  const lan = createLan(t);
  const other = createLan(t, { world: lan.world });
  const spies = [createSpy(t, lan), createSpy(t, other, "10.0.1.200/24")];
  other.host({ host: "lamp" }, "10.0.1.9/24");
  lan.run(5000);
  const host = lan.host({}, "10.0.0.1/24");
  const second = host.stack.addInterface(other.middle.link());
  host.ip.addAddress(second, "10.0.1.1/24");
  lan.run(1000);
  spies.forEach((spy) => spy.take());
  const told: string[] = [];
  host.mdns.claim("lamp", { onName: (name) => told.push(name) });
  lan.run(5000);
  t.is(told.at(-1), "lamp-2.local");
  const [first, others] = spies.map((spy) => spy.take().flatMap((each) => shortRecords(each.answers)));
  t.true(first!.includes("lamp-2.local A 10.0.0.1 120 flush"), first!.join("\n"));
  t.true(others!.includes("lamp-2.local A 10.0.1.1 120 flush"), others!.join("\n"));
  t.false(
    [...first!, ...others!].some((each) => /lamp-2.local A 10.0.1.1/.test(each) && first!.includes(each)),
  );
  const only = host.mdns.claim("only", { interface: second });
  lan.run(5000);
  t.deepEqual(spies[0]!.take(), []);
  t.true(spies[1]!.take().length > 0);
  only.close();
});

test("a host that is given up takes its services along", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host({}, "10.0.0.1/24");
  const claim = host.mdns.claim("lamp");
  host.mdns.publish(HTTP);
  host.mdns.publish({ ...HTTP, name: "Foreign", host: "other.local" });
  lan.run(5000);
  spy.take();
  claim.close();
  lan.run(100);
  const gone = spy.take().flatMap((each) => shortRecords(each.answers));
  t.true(gone.some((each) => each.startsWith("Attic._http._tcp.local SRV 80 lamp.local 0")));
  t.false(
    gone.some((each) => /Foreign|_services/.test(each)),
    "somebody else's, and what another has as well",
  );
});

test("names below .local are found by the resolver and by connecting by name", (t) => {
  const lan = createLan(t, { six: true, more: () => [createDns()] });
  const server = lan.host({ host: "lamp" }, "10.0.0.1/24");
  const client = lan.host({}, "10.0.0.2/24");
  const dns = client.stack.components.find(({ name }) => name === "dns") as ReturnType<typeof createDns>;
  lan.run(5000);
  const got: unknown[] = [];
  dns.lookup("lamp.local", {}, (code, list) => got.push(code, list));
  dns.lookup("lamp.local", { family: 4 }, (code, list) => got.push(code, list));
  dns.resolve("1.0.0.10.in-addr.arpa", "PTR", (code) => got.push(code));
  dns.resolve("nobody.local", "A", (code) => got.push(code));
  dns.resolve("nobody.local", "A", () => t.fail()).cancel();
  nameServers(client.stack).set("manual", null, [], []);
  lan.run(5000);
  const six = server.ip6!.addressText(server.ip6!.addresses[0]!.bytes, 0, client.nif);
  t.deepEqual(
    got
      .filter((each) => Array.isArray(each))
      .map((each) => JSON.stringify(each))
      .sort(),
    [`["10.0.0.1","${six}"]`, `["10.0.0.1"]`],
  );
  t.deepEqual(got.filter((each) => typeof each === "number").sort(), [-101, -3008, 0, 0]);
  t.is(client.mdns.querier.queries.length, 0);

  const events: string[] = [];
  server.tcp.listen({ port: 80, onConnection: (socket) => socket.close() });
  for (const names of [client.mdns, dns]) {
    happy(client.tcp, names, {
      name: "lamp.local",
      port: 80,
      onConnect: (socket) => {
        events.push("connected");
        socket.close();
      },
      onError: (code) => events.push("error " + code),
    });
  }
  lan.run(5000);
  t.deepEqual(events, ["connected", "connected"]);
});

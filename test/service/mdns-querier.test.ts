/** The multicast DNS querier, in virtual time: what it asks when, and what it believes for how long (RFC 6762 sections 5, 7, 10). */
import test from "ava";
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

const PTR = (name: string, ttl = 4500) =>
  mdnsRecord("_http._tcp.local", "PTR", ttl, name + "._http._tcp.local");

function browsing(t: Parameters<typeof createLan>[0], options = {}) {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const host = lan.host(options, "10.0.0.1/24");
  lan.run(1000);
  const events: string[] = [];
  const browse = () =>
    host.mdns.browse("_http._tcp", {
      onFound: ({ name }) => events.push("+" + name),
      onLost: ({ name }) => events.push("-" + name),
    });
  return { lan, spy, host, events, browse };
}

test("questions are repeated ever more rarely, up to an hour; the first asks for a unicast reply", (t) => {
  const { lan, spy, browse } = browsing(t);
  const start = lan.world.time;
  const browser = browse();
  lan.run(4 * 3600000);
  const said = spy.take();
  t.deepEqual(
    said.map((each) => each.questions[0]!.unicast),
    said.map((_, i) => i === 0),
  );
  const times = said.map((each) => each.time);
  t.true(times[0]! - start >= 20 && times[0]! - start <= 121, `${times[0]! - start}`);
  const gaps = times.slice(1).map((time, i) => Math.round((time - times[i]!) / 1000));
  t.deepEqual(gaps.slice(0, 13), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600]);
  browser.close();
  browser.close();
  lan.run(4 * 3600000);
  t.deepEqual(spy.take(), []);
});

test("records are asked for again at 80, 85, 90 and 95 percent of their life, and then forgotten", (t) => {
  const { lan, spy, events, browse } = browsing(t);
  browse();
  lan.run(10000);
  spy.say(response(PTR("Attic", 1000)));
  lan.run(1);
  t.deepEqual(events, ["+Attic"]);
  const start = lan.world.time;
  spy.take();
  lan.run(1100000);
  const asked = spy.take().map((each) => Math.floor((each.time - start) / 10000));
  for (const percent of [80, 85, 90, 95]) {
    t.true(
      asked.some((each) => each >= percent && each <= percent + 2),
      `${percent}: ${asked.join()}`,
    );
  }
  t.deepEqual(events, ["+Attic", "-Attic"]);
});

test("what is known goes with the question, in several messages where it must", (t) => {
  const { lan, spy, browse, events } = browsing(t);
  browse();
  lan.run(500);
  const names = Array.from({ length: 60 }, (_, i) => `Instance with a long name, number ${i}`);
  for (let i = 0; i < 60; i += 10) spy.say(response(...names.slice(i, i + 10).map((name) => PTR(name))));
  lan.run(1);
  t.is(events.length, 60);
  spy.take();
  lan.run(1000);
  const said = spy.take();
  t.true(said.length > 1);
  t.deepEqual(
    said.map((each) => each.questions.length),
    said.map((_, i) => (i === 0 ? 1 : 0)),
  );
  t.deepEqual(
    said.map((each) => each.truncated),
    said.map((_, i) => i < said.length - 1),
  );
  t.true(said.every((each) => each.bytes.length <= 1452));
  const known = said.flatMap((each) => each.answers);
  t.is(new Set(known.map(({ data }) => data)).size, 60);
  t.true(known.every(({ ttl, flush }) => ttl > 4490 && ttl <= 4500 && !flush));
});

test("a question that somebody else asks is not asked, unless he knows what we do not", (t) => {
  const { lan, spy, browse, host } = browsing(t);
  browse();
  lan.run(500);
  spy.take();
  spy.say(message({ questions: [question("_http._tcp.local", "PTR")], answers: [PTR("Unknown")] }));
  lan.run(900);
  t.is(spy.take().length, 1, "he knows more");
  lan.run(1400);
  t.deepEqual(spy.take(), []);
  spy.say(query(question("_http._tcp.local", "PTR")));
  lan.run(2000);
  t.deepEqual(spy.take(), []);
  t.is(host.mdns.port.counters.suppressed, 1);
});

test("MDN-04 a goodbye and a replacement leave a second in which the owner may object", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const { mdns } = lan.host({}, "10.0.0.1/24");
  lan.run(1000);
  const events: string[] = [];
  mdns.watch("x.local", "A", {
    onRecord: ({ data }) => events.push(`+${data as string}`),
    onGone: ({ data }) => events.push(`-${data as string}`),
  });
  const say = (...records: [address: string, ttl: number][]) =>
    spy.say(response(...records.map(([address, ttl]) => mdnsRecord("x.local", "A", ttl, address, true))));
  const after = (ms: number) => {
    lan.run(ms);
    return events.splice(0);
  };
  lan.run(300);
  say(["10.0.0.5", 120]);
  t.deepEqual(after(10), ["+10.0.0.5"]);
  // Soon after each other: these belong together (section 10.2).
  say(["10.0.0.6", 120]);
  t.deepEqual(after(5000), ["+10.0.0.6"]);
  say(["10.0.0.7", 120], ["10.0.0.6", 120]);
  t.deepEqual(after(900), ["+10.0.0.7"]);
  t.deepEqual(after(200), ["-10.0.0.5"]);
  say(["10.0.0.8", 120]);
  t.deepEqual(after(500), ["+10.0.0.8"]);
  say(["10.0.0.6", 120], ["10.0.0.7", 120]);
  t.deepEqual(after(2000), [], "the owners have objected");
  say(["10.0.0.6", 0]);
  t.deepEqual(after(500), []);
  say(["10.0.0.6", 120], ["10.0.0.7", 120], ["10.0.0.8", 120]);
  t.deepEqual(after(2000), []);
  say(["10.0.0.6", 0]);
  t.deepEqual(after(900), []);
  t.deepEqual(after(200), ["-10.0.0.6"]);
  // Without the bit nothing is replaced.
  spy.say(response(mdnsRecord("x.local", "A", 120, "10.0.0.9")));
  t.deepEqual(after(5000), ["+10.0.0.9"]);
});

test("an instance is resolved when all is known, followed when it changes, and lost", (t) => {
  const lan = createLan(t);
  const spy = createSpy(t, lan);
  const { mdns } = lan.host({}, "10.0.0.1/24");
  lan.run(1000);
  const events: unknown[] = [];
  const name = "Attic._http._tcp.local";
  mdns.resolve(name, {
    timeout: 1000,
    onResolved: ({ host, port, txt, addresses }) => events.push([host, port, txt, addresses]),
    onLost: () => events.push("lost"),
    onError: (code) => events.push(code),
  });
  lan.run(1500);
  t.deepEqual(events.splice(0), [-110]);
  const service = (port: number, host: string) => mdnsRecord(name, "SRV", 120, srv(port, host), true);
  spy.say(response(service(80, "x.local")));
  lan.run(500);
  const said = spy.take().flatMap((each) => each.questions.map(({ name, type }) => `${name} ${type}`));
  t.true(said.includes("x.local 1"));
  spy.say(response(mdnsRecord("x.local", "A", 120, "10.0.0.7", true)));
  lan.run(10);
  t.deepEqual(events, []);
  spy.say(response(mdnsRecord(name, "TXT", 4500, "Path=/=", true)));
  lan.run(10);
  t.deepEqual(events.splice(0), [["x.local", 80, { path: "/=" }, ["10.0.0.7"]]]);
  lan.run(2000);
  spy.say(
    message({
      flags: 0x8400,
      answers: [service(81, "y.local")],
      additional: [mdnsRecord("y.local", "A", 120, "10.0.0.8", true)],
    }),
  );
  lan.run(1500);
  t.deepEqual(events.splice(0), [["y.local", 81, { path: "/=" }, ["10.0.0.8"]]]);
  spy.say(response(mdnsRecord(name, "SRV", 0, srv(81, "y.local"), true)));
  lan.run(1500);
  t.deepEqual(events.splice(0), ["lost"]);
});

test("a look-up ends with the answer, with the word that there is none, or when nobody answers", (t) => {
  const lan = createLan(t, { six: true });
  const spy = createSpy(t, lan);
  const { mdns } = lan.host({}, "10.0.0.1/24");
  lan.run(1000);
  const results: [string, number, number, string[]][] = [];
  const start = lan.world.time;
  const lookup = (name: string, options = {}) =>
    mdns.lookup(name, options, (code, list) => results.push([name, lan.world.time - start, code, list]));
  lookup("four.local");
  lookup("none.local", { family: 4 });
  lookup("silent.local", { timeout: 1000 });
  lookup("example.org");
  lookup("given-up.local").close();
  lan.run(130);
  t.deepEqual(results.splice(0), [["example.org", 0, -3008, []]]);
  spy.say(response(mdnsRecord("four.local", "A", 120, "10.0.0.7", true)));
  spy.say(response(mdnsRecord("none.local", 47, 120, Uint8Array.of(0, 0, 4, 0, 0, 0, 8), true)));
  lan.run(10);
  t.deepEqual(
    results.splice(0).map(([name, , code]) => [name, code]),
    [["none.local", -61]],
  );
  lan.run(200);
  t.deepEqual(
    results.splice(0).map(([name, , code, list]) => [name, code, list]),
    [["four.local", 0, ["10.0.0.7"]]],
  );
  lan.run(1000);
  t.deepEqual(results, [["silent.local", 1000, -3008, []]]);
});

test("what this host offers itself is found as well, without a word on the wire about it", (t) => {
  const { lan, spy, host, events, browse } = browsing(t, { host: "lamp" });
  browse();
  const service = host.mdns.publish({ name: "Attic", type: "_http._tcp", port: 80 });
  const found: string[][] = [];
  lan.run(5000);
  host.mdns.lookup("lamp.local", {}, (_, list) => found.push(list));
  lan.run(100);
  t.deepEqual(found, [["10.0.0.1"]]);
  t.deepEqual(events, ["+Attic"]);
  lan.run(10000000);
  t.deepEqual(events, ["+Attic"], "it does not expire");
  service.close();
  lan.run(2000);
  t.deepEqual(events, ["+Attic", "-Attic"]);
  t.true(spy.take().every((each) => !each.response || shortRecords(each.answers).length > 0));
});

test("an interface that goes down takes what was found on it along, and is asked again when it comes back", (t) => {
  const { lan, spy, host, events, browse } = browsing(t);
  browse();
  lan.run(200);
  spy.say(response(PTR("Attic")));
  lan.run(10);
  host.stack.setInterface(host.nif, { enabled: false });
  lan.run(10);
  t.deepEqual(events, ["+Attic", "-Attic"]);
  spy.take();
  host.stack.setInterface(host.nif, { enabled: true });
  lan.run(200);
  t.is(spy.take().filter((each) => each.questions[0]?.name === "_http._tcp.local").length, 1);
});

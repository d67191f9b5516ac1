/** DNSSD of ECMA-419: names that are claimed, services that are offered, found, changed and lost, between two hosts on a link. */
import test, { type ExecutionContext } from "ava";
import { type Service, dnssdClass } from "../../../ports/ecma419/index.js";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { mdns } from "../../../stack/service/mdns.js";
import { pair } from "../../support/network.js";

function bench(t: ExecutionContext) {
  const parts: ReturnType<typeof mdns>[] = [];
  const network = pair(t, { components: () => [igmp(), parts[parts.push(mdns()) - 1]!] });
  return { ...network, near: dnssdClass(parts[0]!), far: dnssdClass(parts[1]!) };
}

test("a service is offered under a name, found, changed and lost", (t) => {
  const { near, far, run } = bench(t);
  const offer = new far.DNSSD({ socket: {}, target: 1 });
  const log: string[] = [];
  const claim = offer.claim({
    host: "sensor",
    onReady() {
      t.is(this, claim);
      log.push("ready");
    },
    onError: () => t.fail(),
  });
  const web = offer.advertise({
    serviceType: "_http._tcp",
    host: "sensor.local",
    name: "Attic",
    port: 80,
    txt: new Map<string, string | Uint8Array | undefined>([
      ["path", "/"],
      ["raw", Uint8Array.of(65)],
      ["flag", undefined],
    ]),
  });
  const look = new near.DNSSD({});
  const tell = (what: string) => (service: Service) =>
    void log.push(
      `${what} ${service.name} ${service.host} ${service.address}:${service.port} ${[...service.txt].sort().join(" ")}`,
    );
  const search = look.discover({
    serviceType: "_http._tcp",
    onFound: tell("found"),
    onUpdate: tell("update"),
    onLost: tell("lost"),
  });
  t.deepEqual(log, []);
  run(10_000);
  t.deepEqual(log, ["ready", "found Attic sensor.local 10.0.0.2:80 flag, path,/ raw,A"]);
  web.updateTXT(new Map([["path", "/new"]]));
  run(10_000);
  t.is(log[2], "update Attic sensor.local 10.0.0.2:80 path,/new");
  web.close();
  web.close();
  t.throws(() => web.updateTXT(new Map()), { code: "EBADF" } as never);
  run(10_000);
  t.is(log[3], "lost Attic sensor.local 10.0.0.2:80 path,/new");
  search.close();
  search.close();
  claim.close();
  look.close();
  offer.close();
  offer.close();
  t.throws(() => offer.claim({ host: "x" }), { code: "EBADF" } as never);
  run(20_000);
  t.is(log.length, 4);
});

test("a name that somebody else has is an error, and nothing is left of the claim", (t) => {
  const { near, far, run } = bench(t);
  const first = new far.DNSSD({});
  const second = new near.DNSSD({});
  const log: string[] = [];
  first.claim({ host: "same", onReady: () => void log.push("first") });
  run(5000);
  const claim = second.claim({
    host: "same.local",
    onReady: () => void log.push("second"),
    onError() {
      t.is(this, claim);
      log.push("error");
    },
  });
  run(20_000);
  t.deepEqual(log, ["first", "error"]);
  second.claim({ host: "other", onReady: () => void log.push("other") });
  run(5000);
  t.deepEqual(log, ["first", "error", "other"]);
  for (const wrong of [undefined, {}, { host: 7 }, { host: "a", onReady: 1 }])
    t.throws(() => second.claim(wrong as never));
  t.throws(() => second.advertise({ serviceType: "http", host: "other", port: 80 }));
  t.throws(() => second.discover({ serviceType: "" }));
  first.close();
  second.close();
  run(20_000);
});

/** What multicast DNS must do beside avahi, whichever family the link has: `mdnsSuite(test, family)`. */
import type { ExecutionContext, TestFn } from "ava";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { mdns } from "../../../stack/service/mdns.js";
import type { Mdns, MdnsOptions, ResolvedService } from "../../../stack/service/mdns.js";
import { startAvahi } from "./avahi.js";
import type { Avahi } from "./avahi.js";
import { createHost, KERNEL, OURS } from "./host.js";
import type { CabledHost, HostOptions } from "./host.js";
import { until } from "../../support/until.js";
import { createHostOnly6, KERNEL6, OURS6 } from "./only6.js";
import { run } from "./process.js";

interface Beside {
  host: CabledHost;
  names: Mdns;
  /** `"host lamp.local"`, `"service Lamp"`: names that were won. */
  told: string[];
  avahi(name: string): Promise<Avahi>;
}

/** tshark reads what is said on port 5353 as well; that all of it has the id 0 is no repetition (RFC 6762 section 18.1). */
const JUDGE: HostOptions = {
  payloads: [53, 5353],
  expected: ({ message }) => /^DNS (query|response) retransmission/.test(message),
};

export function mdnsSuite(test: TestFn, family: 4 | 6): void {
  const ours = family === 4 ? OURS : OURS6;
  const kernel = family === 4 ? KERNEL : KERNEL6;

  async function beside(t: ExecutionContext, options: MdnsOptions): Promise<Beside> {
    const told: string[] = [];
    const names = mdns({ onHost: (name) => told.push("host " + name), ...options });
    const host: CabledHost =
      family === 4
        ? await createHost(t, { ...JUDGE, components: [igmp(), names] })
        : await createHostOnly6(t, { ...JUDGE, components: [names] });
    const avahi = (name: string) => startAvahi(t, host, { name, four: family === 4, six: family === 6 });
    return { host, names, told, avahi };
  }

  const publish = ({ names, told }: Beside, name: string, more: object = {}) =>
    names.publish({
      name,
      type: "_http._tcp",
      port: 80,
      txt: { path: "/", color: "grün", empty: "", flag: true },
      onName: (won) => told.push("service " + won),
      ...more,
    });

  test("avahi finds our host, its address's name, and our service with text and subtype", async (t) => {
    const here = await beside(t, { host: "lamp" });
    publish(here, "Lampe im Süden, Nr. 1", { subtypes: ["_light"] });
    const avahi = await here.avahi("kernel");
    await until("names", () => here.told.length === 2);
    t.deepEqual(here.told, ["host lamp.local", "service Lampe im Süden, Nr. 1"]);
    const option = family === 4 ? "-4" : "-6";
    const forward = await avahi.run("avahi-resolve", option, "-n", "lamp.local");
    const addresses = family === 4 ? [ours] : [ours, (await linkLocal(here.host)) ?? ""];
    t.true(addresses.includes(forward.stdout.trim().split("\t")[1]!), forward.stdout + forward.stderr);
    t.is((await avahi.run("avahi-resolve", "-a", ours)).stdout, `${ours}\tlamp.local\n`);
    for (const type of ["_http._tcp", "_light._sub._http._tcp"]) {
      const { stdout } = await avahi.run("avahi-browse", "-rtpk", type);
      const line = stdout.split("\n").find((each) => each.startsWith("="));
      t.truthy(line, stdout);
      const fields = line!.split(";");
      t.is(fields[3], "Lampe\\032im\\032S\\195\\188den\\044\\032Nr\\.\\0321");
      t.is(fields[6], "lamp.local");
      t.true(addresses.includes(fields[7]!), line);
      t.is(fields[8], "80");
      t.deepEqual(fields[9]!.match(/"[^"]*"/g)!.sort(), [
        '"color=gr\\195\\188n"',
        '"empty="',
        '"flag"',
        '"path=/"',
      ]);
    }
    t.regex((await avahi.run("avahi-browse", "-atpk")).stdout, /_http\._tcp/);
  });

  test("we find avahi's host and service, and hear its goodbye", async (t) => {
    const { host, names, ...here } = await beside(t, { host: "lamp" });
    const avahi = await here.avahi("kernel");
    const publisher = avahi.start(
      "avahi-publish",
      "-s",
      "Kernel's Häuschen",
      "_ipp._tcp",
      "631",
      "rp=x",
      "b",
    );
    await publisher.until(/Established/);
    const found: [number, string[]][] = [];
    names.lookup("kernel.local", {}, (code, list) => found.push([code, list]));
    names.lookup("nobody.local", { timeout: 1500 }, (code, list) => found.push([code, list]));
    await until("addresses", () => found.length === 2);
    t.is(found[0]![0], 0);
    t.true(found[0]![1].includes(kernel), found[0]![1].join());
    t.deepEqual(found[1], [-3008, []]);

    const events: string[] = [];
    let resolved: ResolvedService | null = null;
    const types = names.browseTypes({ onFound: (type) => events.push("type " + type) });
    const browser = names.browse("_ipp._tcp", {
      onFound: (service) => {
        events.push("found " + service.name);
        const resolution = names.resolve(service, {
          onResolved: (all) => (resolved = all),
          onError: (code) => events.push("error " + code),
          onLost: () => resolution.close(),
        });
      },
      onLost: (service) => events.push("lost " + service.name),
    });
    await until("service", () => resolved !== null && events.length === 2);
    t.deepEqual(events.sort(), ["found Kernel's Häuschen", "type _ipp._tcp"]);
    const { addresses, interface: nif, ...rest } = resolved!;
    t.true(addresses.includes(kernel), addresses.join());
    t.is(nif, host.nif);
    t.deepEqual(rest, {
      fullName: "Kernel's\\032H\\195\\164uschen._ipp._tcp.local",
      host: "kernel.local",
      port: 631,
      priority: 0,
      weight: 0,
      txt: { rp: "x", b: true },
      strings: rest.strings,
    });
    t.deepEqual([...rest.strings].sort(), ["b", "rp=x"]);
    await publisher.stop("SIGINT");
    await until("goodbye", () => events.includes("lost Kernel's Häuschen"));
    browser.close();
    types.close();
  });

  test("avahi has the name already: we take another, of host and of service", async (t) => {
    const here = await beside(t, {});
    const avahi = await here.avahi("lamp");
    const publisher = avahi.start("avahi-publish", "-s", "Lamp", "_http._tcp", "8080");
    await publisher.until(/Established/);
    here.names.claim("lamp", { onName: (name) => here.told.push("host " + name) });
    publish(here, "Lamp");
    await until("names", () => here.told.length === 2);
    t.deepEqual(here.told, ["host lamp-2.local", "service Lamp (2)"]);
    t.notRegex(avahi.log(), /conflict|collision/i);
    const { stdout } = await avahi.run("avahi-browse", "-rtpk", "_http._tcp");
    const lines = stdout.split("\n").filter((line) => line.startsWith("="));
    const names = lines
      .map((line) =>
        line
          .split(";")
          .filter((_, i) => i === 3 || i === 6)
          .join(" "),
      )
      .sort();
    t.deepEqual(names, ["Lamp lamp.local", "Lamp\\032\\0402\\041 lamp-2.local"]);
  });

  test("we have the name already: avahi takes another, of host and of service", async (t) => {
    const here = await beside(t, { host: "lamp" });
    publish(here, "Lamp");
    await until("names", () => here.told.length === 2);
    const avahi = await here.avahi("lamp");
    await avahi.until(/Host name is lamp-2\.local/);
    const publisher = avahi.start("avahi-publish", "-s", "Lamp", "_http._tcp", "8080");
    await publisher.until(/Established under name 'Lamp #2'/);
    t.deepEqual(here.told, ["host lamp.local", "service Lamp"]);
    t.is(here.names.port.counters.conflicts, 0);
  });

  test("avahi hears our goodbyes: of a service that is closed, of a host that is taken down", async (t) => {
    const here = await beside(t, { host: "lamp" });
    const one = publish(here, "One");
    publish(here, "Two");
    await until("names", () => here.told.length === 3);
    const avahi = await here.avahi("kernel");
    const browser = avahi.start("avahi-browse", "-pk", "_http._tcp");
    await browser.until(/\+;.*;One;[^]*\+;.*;Two;|\+;.*;Two;[^]*\+;.*;One;/);
    one.close();
    await browser.until(/-;.*;One;/);
    t.notRegex(browser.output, /-;.*;Two;/);
    here.host.stack.removeInterface(here.host.nif);
    await browser.until(/-;.*;Two;/);
  });

  test("what is known is not said again, by us nor by avahi", async (t) => {
    const here = await beside(t, { host: "lamp" });
    publish(here, "Mine");
    await until("names", () => here.told.length === 2);
    const avahi = await here.avahi("kernel");
    const publisher = avahi.start("avahi-publish", "-s", "Theirs", "_http._tcp", "8080");
    await publisher.until(/Established/);
    const browser = avahi.start("avahi-browse", "-pk", "_http._tcp");
    await browser.until(/Mine/);
    const found: string[] = [];
    const ours = here.names.browse("_http._tcp", { onFound: ({ name }) => found.push(name) });
    await until("both", () => found.length === 2);
    const { counters } = here.names.port;
    const { suppressed } = counters;
    // The questions after 1, 2 and 4 seconds, of both.
    await new Promise((resolve) => setTimeout(resolve, 8000));
    t.true(counters.suppressed > suppressed, `${counters.suppressed}`);
    ours.close();
    const { stdout } = await run("tshark", [
      ...[
        "-n",
        "-r",
        here.host.capture,
        "-Y",
        "dns.qry.name == _http._tcp.local || dns.resp.name == _http._tcp.local",
      ],
      ...["-T", "fields", "-e", "frame.packet_flags_direction", "-e", "dns.flags.response"],
      ...["-e", "frame.time_relative", "-e", "dns.count.answers", "-e", "dns.ptr.domain_name"],
    ]);
    const frames = stdout
      .trim()
      .split("\n")
      .map((line) => line.split("\t"));
    const last = Number(frames.at(-1)![2]);
    // Questions that carry what is known, of either side; and no answer in the last five seconds.
    for (const direction of ["0x00000002", "0x00000001"]) {
      t.true(
        frames.some(([from, response, , , known]) => from === direction && response === "0" && known !== ""),
        stdout,
      );
    }
    const late = frames.filter(
      ([, response, time]) => (response === "1" || response === "True") && Number(time) > last - 3,
    );
    t.deepEqual(late, [], stdout);
  });
}

async function linkLocal(host: CabledHost): Promise<string | undefined> {
  return (host as { link?: string }).link;
}

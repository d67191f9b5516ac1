/** UPnP IGD: who is answered and how, what is granted, what ends; hostile searches, requests and envelopes. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { createSwitch, createWorld } from "../../ports/sim/index.js";
import { firewall } from "../../stack/filter/firewall.js";
import { napt } from "../../stack/filter/napt.js";
import { igmp } from "../../stack/ipv4/igmp.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { pcpServer } from "../../stack/service/pcp-server.js";
import { SERVICES } from "../../stack/service/upnp-description.js";
import { HttpHead, headEnd } from "../../stack/service/upnp-http.js";
import { upnpIgd } from "../../stack/service/upnp-igd.js";
import type { UpnpIgdOptions } from "../../stack/service/upnp-igd.js";
import { SoapCall } from "../../stack/service/upnp-soap.js";
import { buildNode } from "../support/network.js";
import type { Node } from "../support/network.js";

const bytes = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
const text = (data: Uint8Array) => Buffer.from(data).toString("latin1");
const UUID = "01234567-89ab-4def-8123-456789abcdef";
const WAN_IP = SERVICES[2];

/** A gateway with two hosts inside (10.0.0.2, .3) and one outside (192.0.2.2). */
function home(t: ExecutionContext | null, options: Partial<UpnpIgdOptions> = {}) {
  const world = createWorld({ seed: 1, scribble: true });
  const [inside, outside] = [createSwitch(world), createSwitch(world)];
  const nat = napt({ askable: { first: 1024, last: 49151 } });
  const wall = firewall({
    rules: [
      { action: "accept", from: "lan" },
      { action: "accept", from: "wan", to: "self" },
    ],
    nat,
  });
  const igd = upnpIgd({ mapper: nat, uuid: UUID, rate: 100_000, ...options });
  const ports = pcpServer({ mapper: nat });
  const gateway = buildNode(t, world, inside.link(), "10.0.0.1/24", {
    components: () => [forwarding(), wall, igd, ports, igmp()],
  });
  const wan = gateway.stack.addInterface(outside.link());
  gateway.ip.addAddress(wan, "192.0.2.1/24");
  wall.assign(gateway.nif, "lan");
  wall.assign(wan, "wan");
  const host = (number: number) =>
    buildNode(t, world, inside.link(), `10.0.0.${number}/24`, {
      gateway: "10.0.0.1",
      components: () => [igmp()],
    });
  const far = buildNode(t, world, outside.link(), "192.0.2.2/24");
  const [one, two] = [host(2), host(3)];
  igd.serve(gateway.nif, wan);
  /** What comes back for bytes that are sent to the gateway's port from a host. */
  const send = (from: Node, ...parts: (string | Uint8Array)[]): string => {
    let seen = "";
    const socket = from.tcp.connect({
      ...{ address: from === far ? "192.0.2.1" : "10.0.0.1", port: 1900 },
      onConnect() {
        this.setNoDelay(true);
        // One segment each.
        parts.forEach((part, i) =>
          world.at(i, () => this.write(typeof part === "string" ? bytes(part) : part)),
        );
      },
      onReadable(count) {
        const data = new Uint8Array(count);
        this.read(data);
        seen += text(data);
      },
    });
    world.run(1000);
    socket.abort();
    world.run(100);
    return seen;
  };
  const soap = (
    from: Node,
    action: string,
    values: Record<string, string | number> = {},
    service = WAN_IP,
  ) => {
    const inner = Object.entries(values)
      .map(([name, value]) => `<New${name}>${value}</New${name}>`)
      .join("");
    const body = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:${action} xmlns:u="${service.type}">${inner}</u:${action}></s:Body></s:Envelope>`;
    const answer = send(
      from,
      `POST /${service.name} HTTP/1.1\r\nHost: 10.0.0.1:1900\r\nSOAPAction: "${service.type}#${action}"\r\nContent-Length: ${body.length}\r\n\r\n`,
      body,
    );
    const code = /<errorCode>(\d+)</.exec(answer);
    return code
      ? Number(code[1])
      : Object.fromEntries([...answer.matchAll(/<New(\w+)>([^<]*)</g)].map((m) => [m[1], m[2]]));
  };
  const mapping = (more: Record<string, string | number> = {}) => ({
    ...{ RemoteHost: "", ExternalPort: 6881, Protocol: "TCP", InternalPort: 7, InternalClient: "10.0.0.2" },
    ...{ Enabled: 1, PortMappingDescription: "a &amp; b", LeaseDuration: 600, ...more },
  });
  /** Does a SYN to the outer port get to a host? */
  const open = (at: Node, port: number, own = 7): boolean => {
    let got = false;
    const listener = at.tcp.listen({
      port: own,
      onConnection: (socket) => {
        got = true;
        socket.abort();
      },
    });
    const socket = far.tcp.connect({ address: "192.0.2.1", port });
    world.run(300);
    socket.abort();
    listener.close();
    world.run(100);
    wall.forget(() => true);
    return got;
  };
  const search = (from: Node, message: string | Uint8Array): string[] => {
    const answers: string[] = [];
    const data = new Uint8Array(1500);
    const socket = from.udp.open({
      onReadable() {
        for (let n = this.receive(data); n >= 0; n = this.receive(data))
          answers.push(text(data.subarray(0, n)));
      },
    });
    socket.sendTo("239.255.255.250", 1900, typeof message === "string" ? bytes(message) : message);
    world.run(100);
    socket.close();
    return answers;
  };
  return {
    world,
    gateway,
    wan,
    nat,
    wall,
    igd,
    ports,
    one,
    two,
    far,
    send,
    soap,
    mapping,
    open,
    search,
    seen: igd.counters,
  };
}

const look = (st: string) =>
  `M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ${st}\r\n\r\n`;

test("SSDP: who looks for a gateway finds it, by each of its names; others are not answered", (t) => {
  const w = home(t);
  w.world.run(2000);
  const answers = w.search(w.one, look("urn:schemas-upnp-org:device:InternetGatewayDevice:1"));
  t.is(answers.length, 1);
  t.regex(answers[0], /^HTTP\/1\.1 200 OK\r\n/);
  t.regex(answers[0], /\r\nLOCATION: http:\/\/10\.0\.0\.1:1900\/igd\.xml\r\n/);
  t.regex(
    answers[0],
    /\r\nUSN: uuid:01234567-89ab-4def-8123-456789abcde0::urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n/,
  );
  const all = w.search(w.one, look("ssdp:all"));
  t.is(all.length, 10);
  for (const one of all) {
    const name = /\r\nST: (.*)\r\n/.exec(one)![1];
    t.is(w.search(w.one, look(name)).length, 1, name);
  }
  t.is(w.search(w.one, look("urn:schemas-upnp-org:device:MediaServer:1")).length, 0);
  t.is(w.search(w.one, look("ssdp:all").replace("M-SEARCH", "NOTIFY")).length, 0);
  t.is(w.search(w.one, look("ssdp:all").replace('"ssdp:discover"', "x")).length, 0);
  t.is(w.search(w.one, look("ssdp:all").slice(0, -2)).length, 0);
  t.is(w.search(w.one, look("ssdp:all" + "x".repeat(1100))).length, 0);
  t.is(w.seen.ignored, 2);
  t.is(w.seen.malformed, 2);
  // From beyond the link nobody is answered: this is what floods are reflected by.
  w.one.ip.addAddress(w.one.nif, "203.0.113.9/32");
  t.is(w.search(w.one, look("ssdp:all")).length > 0, true);
  w.one.ip.removeAddress(w.one.nif, "10.0.0.2/24");
  w.one.ip.addRoute("0.0.0.0/0", { interface: w.one.nif });
  t.is(w.search(w.one, look("ssdp:all")).length, 0);
  t.is(w.seen.strangers, 1);
});

test("SSDP: the gateway says that it is there, twice, every ten minutes, and when it goes", (t) => {
  const w = home(t);
  const heard: string[] = [];
  const data = new Uint8Array(1500);
  const socket = w.two.udp.open({
    port: 1900,
    onReadable() {
      for (let n = this.receive(data); n >= 0; n = this.receive(data)) heard.push(text(data.subarray(0, n)));
    },
  });
  t.is(socket.join("239.255.255.250"), 0);
  const count = (pattern: RegExp) => heard.splice(0).filter((one) => pattern.test(one)).length;
  w.world.run(2000);
  t.true(count(/^NOTIFY .*\r\nNTS: ssdp:alive\r\n/s) >= 10);
  w.world.run(600_000);
  t.is(count(/ssdp:alive/), 10);
  w.igd.remove(w.gateway.nif);
  w.world.run(100);
  t.is(count(/ssdp:byebye/), 10);
  t.is(w.send(w.one, "GET /igd.xml HTTP/1.1\r\nHost: 10.0.0.1:1900\r\n\r\n"), "");
  w.world.run(700_000);
  t.is(heard.length, 0);
});

test("descriptions are there and well-formed; nothing is evented, nothing but these is served", (t) => {
  const w = home(t, { friendlyName: "<me> & you", page: "http://gateway.home.arpa/" });
  const get = (path: string, more = "", host = "10.0.0.1:1900") =>
    w.send(w.one, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`);
  const root = get("/igd.xml");
  t.regex(root, /^HTTP\/1\.1 200 OK\r\n/);
  t.regex(root, /<friendlyName>&lt;me&gt; &amp; you</);
  t.is(root.split("\r\n\r\n")[1].length, Number(/Content-Length: (\d+)/.exec(root)![1]));
  for (const { name, actions } of SERVICES) {
    t.true(
      root.includes(
        `<SCPDURL>/${name}.xml</SCPDURL><controlURL>/${name}</controlURL><eventSubURL></eventSubURL>`,
      ),
    );
    const description = get(`/${name}.xml`);
    t.is([...description.matchAll(/<action>/g)].length, actions.length);
    t.false(description.includes('sendEvents="yes"'));
    const variables = [...description.matchAll(/<stateVariable sendEvents="no"><name>(\w+)</g)].map(
      (m) => m[1],
    );
    for (const [, related] of description.matchAll(/<relatedStateVariable>(\w+)</g))
      t.true(variables.includes(related), related);
    for (const [open, closed] of [[/<\w+[ >]/g, /<\/\w+>/g]]) {
      t.is([...description.matchAll(open)].length, [...description.matchAll(closed)].length);
    }
  }
  t.regex(get("/"), /^HTTP\/1\.1 404 /);
  t.regex(get("/igd.xml", "", "evil.example"), /^HTTP\/1\.1 421 /, "DNS rebinding");
  t.regex(get("/igd.xml", "Host: 10.0.0.1:1900\r\n"), /^HTTP\/1\.1 421 /, "two hosts");
  t.regex(get("/igd.xml", "x: y\r\n".repeat(40)), /^HTTP\/1\.1 400 /, "too many fields");
  t.regex(get("/igd.xml", " folded\r\n"), /^HTTP\/1\.1 400 /);
  t.regex(get("/igd.xml", `x: ${"y".repeat(3000)}\r\n`), /^HTTP\/1\.1 431 /);
  t.regex(
    w.send(
      w.one,
      "SUBSCRIBE /WANIPConnection HTTP/1.1\r\nHost: 10.0.0.1:1900\r\nCALLBACK: <http://192.0.2.2/>\r\nNT: upnp:event\r\n\r\n",
    ),
    /^HTTP\/1\.1 501 /,
  );
  t.regex(
    w.send(
      w.one,
      "POST /WANIPConnection HTTP/1.1\r\nHost: 10.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    /^HTTP\/1\.1 411 /,
  );
  for (const [length, status] of [
    ["7000", 413],
    ["-1", 411],
    ["9999999", 411],
    ["1, 1", 411],
  ])
    t.regex(
      w.send(w.one, `POST /WANIPConnection HTTP/1.1\r\nHost: 10.0.0.1\r\nContent-Length: ${length}\r\n\r\n`),
      new RegExp(`^HTTP/1.1 ${status} `),
    );
  // From outside there is no such port, whatever the rules say.
  const before = w.seen.strangers;
  t.is(w.send(w.far, "GET /igd.xml HTTP/1.1\r\nHost: 192.0.2.1:1900\r\n\r\n"), "");
  t.true(w.seen.strangers > before);
});

test("a mapping opens a port for who asked, is told of, renewed, moved, and ends; each is for itself", (t) => {
  const w = home(t);
  t.deepEqual(w.soap(w.one, "GetExternalIPAddress"), { ExternalIPAddress: "192.0.2.1" });
  t.false(w.open(w.one, 6881));
  t.deepEqual(w.soap(w.one, "AddPortMapping", w.mapping()), {});
  t.true(w.open(w.one, 6881));
  const entry = { RemoteHost: "", ExternalPort: 6881, Protocol: "TCP" };
  t.like(w.soap(w.two, "GetSpecificPortMappingEntry", entry), {
    ...{ InternalPort: "7", InternalClient: "10.0.0.2", Enabled: "1", PortMappingDescription: "a &amp; b" },
  });
  t.like(w.soap(w.two, "GetGenericPortMappingEntry", { PortMappingIndex: 0 }), {
    ExternalPort: "6881",
    Protocol: "TCP",
  });
  t.is(w.soap(w.two, "GetGenericPortMappingEntry", { PortMappingIndex: 1 }), 713);
  t.is(w.soap(w.two, "AddPortMapping", w.mapping({ InternalClient: "10.0.0.3" })), 718);
  t.is(w.soap(w.two, "AddPortMapping", w.mapping({ ExternalPort: 7000 })), 606, "for another");
  t.is(w.soap(w.two, "DeletePortMapping", entry), 606);
  // Another port of the same host, and back.
  t.deepEqual(w.soap(w.one, "AddPortMapping", w.mapping({ InternalPort: 8 })), {});
  t.true(w.open(w.one, 6881, 8));
  t.is(w.igd.mappings.list.length, 1);
  t.is(
    w.soap(w.one, "AddPortMapping", w.mapping({ InternalPort: 8, ExternalPort: 6882 })),
    718,
    "one outer port an end",
  );
  t.deepEqual(w.soap(w.one, "DeletePortMapping", entry), {});
  t.is(w.soap(w.one, "DeletePortMapping", entry), 714);
  t.is(w.soap(w.one, "GetSpecificPortMappingEntry", entry), 714);
  t.false(w.open(w.one, 6881, 8));
  // Leases end; one without end is a week.
  t.deepEqual(w.soap(w.one, "AddPortMapping", w.mapping({ LeaseDuration: 10 })), {});
  w.world.run(11_000);
  t.is(w.igd.mappings.list.length, 0);
  t.deepEqual(w.soap(w.one, "AddPortMapping", w.mapping({ LeaseDuration: 0 })), {});
  const { LeaseDuration } = w.soap(w.one, "GetSpecificPortMappingEntry", entry) as Record<string, string>;
  t.true(Number(LeaseDuration) > 604_000);
  t.is(w.nat.bindings.size, 1);
  w.wall.forget(() => true);
  // The outer address goes, and with it all that was promised.
  w.gateway.ip.removeAddress(w.wan, "192.0.2.1/24");
  t.is(w.nat.bindings.size, 0);
  t.deepEqual(w.soap(w.one, "GetExternalIPAddress"), { ExternalIPAddress: "" });
  t.like(w.soap(w.one, "GetStatusInfo"), { ConnectionStatus: "Disconnected", Uptime: "0" });
  t.is(w.soap(w.one, "AddPortMapping", w.mapping()), 501);
});

test("what is refused, and by which error; a host's share and the table are bounded", (t) => {
  const w = home(t, { perHost: 2, limit: 3 });
  const cases: [object, number][] = [
    [{ RemoteHost: "192.0.2.9" }, 726],
    [{ ExternalPort: 0 }, 716],
    [{ ExternalPort: 80 }, 718],
    [{ ExternalPort: 70_000 }, 600],
    [{ ExternalPort: "" }, 600],
    [{ InternalPort: 0 }, 600],
    [{ Protocol: "SCTP" }, 600],
    [{ Enabled: 0 }, 600],
    [{ InternalClient: "10.0.0.1" }, 606],
    [{ InternalClient: "" }, 606],
    [{ LeaseDuration: "-1" }, 600],
  ];
  for (const [more, code] of cases)
    t.is(w.soap(w.one, "AddPortMapping", w.mapping(more as never)), code, JSON.stringify(more));
  for (const name of Object.keys(w.mapping())) {
    const { [name]: _, ...rest } = w.mapping() as Record<string, string | number>;
    t.is(w.soap(w.one, "AddPortMapping", rest), 402, name);
  }
  t.is(w.soap(w.one, "AddPortMappings"), 401);
  t.is(w.soap(w.one, "AddPortMapping", w.mapping(), SERVICES[1]), 401);
  for (const action of ["ForceTermination", "SetConnectionType"]) t.is(w.soap(w.one, action), 606);
  t.is(w.seen.faults, cases.length + 8 + 4);
  const add = (from: Node, client: string, port: number) =>
    w.soap(
      from,
      "AddPortMapping",
      w.mapping({ ExternalPort: port, InternalPort: port, InternalClient: client }),
    );
  t.deepEqual(add(w.one, "10.0.0.2", 6001), {});
  t.deepEqual(add(w.one, "10.0.0.2", 6002), {});
  t.is(add(w.one, "10.0.0.2", 6003), 501, "a host's share");
  t.deepEqual(add(w.two, "10.0.0.3", 6003), {});
  t.is(add(w.two, "10.0.0.3", 6004), 501, "all of the table");
  t.deepEqual(add(w.two, "10.0.0.3", 6003), {}, "what is there is renewed all the same");
  // The other services.
  t.like(w.soap(w.one, "GetCommonLinkProperties", {}, SERVICES[1]), { PhysicalLinkStatus: "Up" });
  t.like(w.soap(w.one, "GetTotalPacketsSent", {}, SERVICES[1]), {
    TotalPacketsSent: String(w.wan.counters.txFrames),
  });
  t.regex(
    (w.soap(w.one, "GetDefaultConnectionService", {}, SERVICES[0]) as never)["DefaultConnectionService"],
    /^uuid:.*2:WANConn/,
  );
  for (const bad of [
    { mapper: null },
    { uuid: "x" },
    { port: 0 },
    { limit: 0 },
    { lifetime: 2e6 },
  ] as never[])
    t.throws(() => upnpIgd({ mapper: w.nat, ...(bad as object) }), { code: "EINVAL" });
  t.throws(() => w.igd.serve(w.gateway.nif), { code: "EBUSY" });
});

test("an end that two protocols have opened stays open until both have given it back", (t) => {
  const w = home(t);
  t.deepEqual(w.soap(w.one, "AddPortMapping", w.mapping()), {});
  const row = w.nat.map(6, 0x0a000002, 7, 6881, true);
  t.true(row >= 0);
  t.deepEqual(
    w.soap(w.one, "DeletePortMapping", { RemoteHost: "", ExternalPort: 6881, Protocol: "TCP" }),
    {},
  );
  t.true(w.open(w.one, 6881));
  w.nat.unmap(row);
  t.false(w.open(w.one, 6881));
  t.is(w.nat.bindings.size, 0);
});

test("RES-05: connections are bounded, of one host too, and in time; a byte at a time is a request all the same", (t) => {
  const w = home(t, { connections: 4 });
  const sockets = [w.one, w.one, w.two].map((node) => node.tcp.connect({ address: "10.0.0.1", port: 1900 }));
  w.world.run(100);
  t.is(w.seen.full, 1, "one of four for a host");
  t.true(w.send(w.one, "GET /igd.xml HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n") === "");
  w.world.run(10_000);
  t.is(w.seen.late, 2);
  for (const socket of sockets) socket.abort();
  const body = `<Envelope><Body><a:GetExternalIPAddress xmlns:a='${WAN_IP.type}'/></Body></Envelope>`;
  const whole = `POST /WANIPConnection HTTP/1.1\r\nhost:10.0.0.1\r\nsoapaction: ${WAN_IP.type}#GetExternalIPAddress\r\ncontent-length: ${body.length}\r\nexpect: 100-continue\r\n\r\n${body}`;
  const answer = w.send(w.one, ...whole.split(""));
  t.regex(answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n[^]*192\.0\.2\.1/);
  w.world.run(120_000);
});

const parseSoap = (envelope: string | Uint8Array) => {
  const call = new SoapCall();
  const data = typeof envelope === "string" ? bytes(envelope) : envelope;
  return call.parse(data, 0, data.length) ? call : null;
};
const inBody = (inner: string) =>
  `<s:Envelope><s:Body><u:A xmlns:u="urn:x">${inner}</u:A></s:Body></s:Envelope>`;

test("RES-10: what is no plain envelope is refused: entities, DTDs, depth, size, tags that do not fit", (t) => {
  const good = parseSoap(
    "\ufeff".replace("\ufeff", "\xef\xbb\xbf") +
      `<?xml version="1.0"?>\n<!-- > -->${inBody("<x a='>'>1&lt;&#50;&#x33;</x><y/><z></z>")}\n`,
  );
  t.is(good?.find("x"), "1<23");
  t.is(good?.find("y"), "");
  t.is(good?.find("w"), null);
  t.is(good?.service, "urn:x");
  t.is(parseSoap(inBody("<x>1</x><x>2</x>"))?.find("x"), null);
  t.truthy(parseSoap("<Envelope><Header><a><b/></a></Header><Body><A/></Body></Envelope>"));
  const bad = [
    `<!DOCTYPE x [<!ENTITY a "aaaa">]>${inBody("<x>&a;</x>")}`,
    inBody("<x>&a;</x>"),
    inBody("<x>&#0;</x>"),
    inBody("<x>&#99999999;</x>"),
    inBody("<x>&amp</x>"),
    inBody("<x><![CDATA[1]]></x>"),
    inBody("<x><y>1</y></x>"),
    inBody(`<x>${"1".repeat(257)}</x>`),
    inBody("<x>1</x>".repeat(17)),
    inBody("<x>1</y>"),
    inBody("<x>1"),
    inBody("text"),
    "<Envelope><Body><A/><B/></Body></Envelope>",
    "<Envelope><Body/></Envelope>",
    "<Envelope><Body><A/></Body></Envelope><x/>",
    "<Envelope><Body><A/></Body>",
    "<Envelope><Body><A a='/></Body></Envelope>",
    "<Envelope><Header><a><b><c><d><e/></d></c></b></a></Header><Body><A/></Body></Envelope>",
    "<a><Body><A/></Body></a>",
    "</Envelope>",
    "<!--",
    "<?",
    "<",
    "",
  ];
  for (const one of bad) t.is(parseSoap(one), null, one);
});

test("property: values survive an envelope; any bytes are read in one pass, by heads and envelopes, and raise nothing", (t) => {
  t.notThrows(() => {
    const value = fc.string({
      unit: fc.integer({ min: 32, max: 126 }).map((c) => String.fromCharCode(c)),
      maxLength: 40,
    });
    const escape = (v: string) => v.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
    fc.assert(
      fc.property(fc.array(value, { maxLength: 16 }), (values) => {
        const call = parseSoap(inBody(values.map((v, i) => `<n${i}>${escape(v)}</n${i}>`).join("\r\n ")));
        return call !== null && values.every((v, i) => call.find(`n${i}`) === v);
      }),
    );
    const pieces = fc.constantFrom(
      "<",
      ">",
      "</",
      "/>",
      "<a>",
      "</a>",
      "<Envelope>",
      "<Body>",
      "&",
      ";",
      "#",
      "'",
      '"',
      "<!--",
      "-->",
      "\r\n",
      ":",
      " ",
      "HTTP/1.1",
      "GET",
      "\0",
      "x",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
        const data = bytes(parts.join(""));
        parseSoap(data);
        const end = headEnd(data, 0, data.length);
        const head = new HttpHead();
        if (end >= 0 && head.parse(data, end)) t.is(head.words.length, 3);
      }),
      { numRuns: 2000 },
    );
    // A head says what was put into it.
    const name = fc.stringMatching(/^[a-z][a-z-]{0,9}$/);
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 20, noNullPrototype: true }), (fields) => {
        const data = bytes(
          `GET /x HTTP/1.1\r\n${Object.entries(fields)
            .map(([k, v]) => `${k}: ${v}\r\n`)
            .join("")}\r\nrest`,
        );
        const end = headEnd(data, 0, data.length);
        const head = new HttpHead();
        t.is(end, data.length - 4);
        return head.parse(data, end) && Object.entries(fields).every(([k, v]) => head.find(k) === v.trim());
      }),
    );
  });
});

test("property: hostile searches and requests raise their counters, get no more than an answer, and leave nothing behind", (t) => {
  const w = home(t);
  const base = [look("ssdp:all"), look("upnp:rootdevice")];
  const sum = () => w.seen.searches + w.seen.malformed + w.seen.strangers + w.seen.ignored + w.seen.limited;
  const changes = fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(...base), changes, fc.nat(60), (message, edits, cut) => {
      const data = bytes(message.slice(0, message.length - cut));
      for (const [at, byte] of edits) if (at < data.length) data[at] = byte;
      const before = w.seen.datagrams;
      w.search(w.one, data);
      t.is(w.seen.datagrams, before + 1);
      t.is(w.seen.datagrams, sum());
    }),
    { numRuns: 300 },
  );
  const body = inBody("");
  const request = `POST /WANIPConnection HTTP/1.1\r\nHost: 10.0.0.1\r\nSOAPAction: "x#A"\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  fc.assert(
    fc.property(changes, fc.nat(200), (edits, cut) => {
      const data = bytes(request.slice(0, request.length - cut));
      for (const [at, byte] of edits) if (at < data.length) data[at] = byte;
      const answer = w.send(w.one, data);
      t.true(answer === "" || /^HTTP\/1\.1 (100|400|404|411|413|421|500|501) /.test(answer), answer);
    }),
    { numRuns: 150 },
  );
  t.is(w.igd.mappings.list.length, 0);
  w.world.run(120_000);
});

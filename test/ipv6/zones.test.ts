/** Zones (RFC 4007): `fe80::2%eth1` in every text that the API takes, on a host with two links. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { ping } from "../../stack/raw/ping.js";
import { Probe } from "../support/probe.js";
import { PROBE_IP6 } from "../support/packets.js";
import { long, probed6, targetOf } from "../support/packets6.js";
import type { Probed6 } from "../support/packets6.js";

/** eth0 and eth1, both with fe80::1. */
function setUp(
  t: ExecutionContext,
): Probed6 & { second: Probe; asked(): string[]; echo: ReturnType<typeof ping> } {
  const echo = ping();
  const node = probed6(t, { more6: () => [echo] });
  const second = new Probe(node.world, { mac: "02:00:00:00:00:31" });
  const nif = node.stack.addInterface(second);
  node.ip6.addAddress(nif, "fe80::1/64");
  /** Whom the stack asks for, by interface. */
  const asked = () =>
    [node.probe, second].flatMap((probe, i) =>
      probe
        .takeParsed()
        .filter(({ icmp }) => icmp?.type === 135)
        .map((sent) => `${targetOf(sent)} eth${i}`),
    );
  return { ...node, second, asked, echo };
}

const neighbour = long(PROBE_IP6);

for (const [zone, wanted] of [
  ["%eth0", "eth0"],
  ["%eth1", "eth1"],
  ["%2", "eth1"],
  ["", "eth0"],
] as const) {
  const to = PROBE_IP6 + zone;
  const expected = [`${neighbour} ${wanted}`];

  test(`udp, tcp, ping and routes by "${to}" go out of ${wanted}`, (t) => {
    const node = setUp(t);
    const clear = () => node.nd.cache.clear(null);
    t.is(node.udp.open().sendTo(to, 9, new Uint8Array(1)), 1);
    t.deepEqual(node.asked(), expected);
    clear();
    const connected = node.udp.open();
    t.is(connected.connect(to, 9), 0);
    t.is(connected.send(new Uint8Array(1)), 1);
    t.deepEqual(node.asked(), expected);
    clear();
    const socket = node.tcp.connect({ address: to, port: 9 });
    t.deepEqual(node.asked(), expected);
    t.is(socket.remoteAddress(), `${PROBE_IP6}%${wanted}`);
    t.is(socket.localAddress(), `fe80::1%${wanted}`);
    socket.abort();
    node.tcp.close();
    clear();
    const pings = node.echo.open({ address: to, onReply: () => {} });
    pings.send();
    t.deepEqual(node.asked(), expected);
    pings.close();
    clear();
    if (zone === "") return;
    node.ip6.addAddress(node.nif, "2001:db8::1/64");
    node.ip6.addAddress(node.stack.interfaces[1], "2001:db8:1::1/64");
    node.ip6.addRoute("2001:db8:9::/48", { gateway: to });
    t.is(node.udp.open().sendTo("2001:db8:9::9", 9, new Uint8Array(1)), 1);
    t.deepEqual(node.asked(), expected);
  });
}

test("a local address with a zone binds to its link; a zone that is not there is no address", (t) => {
  const node = setUp(t);
  const socket = node.udp.open({ address: "fe80::1%eth1" });
  t.is(socket.sendTo(PROBE_IP6, 9, new Uint8Array(1)), 1);
  t.deepEqual(node.asked(), [`${neighbour} eth1`]);
  t.true(node.udp.open().sendTo("fe80::2%eth7", 9, new Uint8Array(1)) < 0);
  t.throws(() => node.tcp.connect({ address: "fe80::2%eth7", port: 9 }), { code: "EAFNOSUPPORT" });
  t.throws(() => node.echo.open({ address: "fe80::2%", onReply: () => {} }), { code: "EAFNOSUPPORT" });
  t.throws(() => node.udp.open({ address: "fe80::1%eth7" }), { code: "EAFNOSUPPORT" });
  t.throws(() => node.ip6.addRoute("::/0", { gateway: "fe80::2%eth7" }), { code: "EINVAL" });
  t.is(node.udp.open({ port: 7 }).join("ff02::77%eth1"), 0);
  t.not(node.ip6.membership(node.stack.interfaces[1], node.ip6.parseZoned("ff02::77")!.bytes, 0), null);
});

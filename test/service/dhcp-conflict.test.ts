/** The DHCP client together with conflict detection: an address is tried before it is used (RFC 2131 section 4.4.1, RFC 5227). */
import test from "ava";
import { acd } from "../../stack/ipv4/acd.js";
import { DHCP_BOUND, DHCP_PROBING } from "../../stack/service/dhcp.js";
import { arp, eth, frame } from "../support/packets.js";
import { short } from "./dhcp-messages.js";
import { clientTest } from "./dhcp-server.js";
import type { ClientTest, ClientTestOptions } from "./dhcp-server.js";

const OTHER = "02:00:00:00:00:66";

const start = (t: Parameters<typeof clientTest>[0], options: ClientTestOptions = {}) =>
  clientTest(t, { ...options, components: () => [acd()] });

/** Another host says that it has `address`. */
function claim(c: ClientTest, address: string): void {
  c.probe.send(
    frame(
      eth({ dst: "ff:ff:ff:ff:ff:ff", src: OTHER }),
      arp({ op: 2, senderMac: OTHER, senderIp: address, targetIp: address }),
    ),
  );
}

const types = (c: ClientTest) => c.server.take().map((request) => request.type);

test("nothing is configured, and nobody told, until the address has passed its trial", (t) => {
  const c = start(t, { prepare: (server) => server.options.push(short(26, 1400)) });
  c.world.run(2000);
  t.is(c.client.state, DHCP_PROBING);
  t.is(c.client.lease, null);
  t.is(c.nif.mtu, 1500);
  t.is(c.ip.fib.lookup(0x08080808, null), null);
  c.world.run(6000);
  t.is(c.client.state, DHCP_BOUND);
  t.deepEqual(c.events, ["bound 10.0.0.50"]);
  t.is(c.nif.mtu, 1400);
  t.is(c.ip.fib.lookup(0x08080808, null)!.gateway, 0x0a000002);
  c.client.renew();
  c.world.run(10);
  t.is(c.events.length, 2, "what is in use is not tried again");
});

test("an address that another host has is declined; ten seconds later the search begins anew", (t) => {
  const c = start(t);
  c.world.run(3000);
  t.deepEqual(types(c), [1, 3]);
  claim(c, "10.0.0.50");
  c.world.run(100);
  const [decline] = c.server.take();
  t.deepEqual(
    [decline.type, decline.requested, decline.server, decline.ciaddr, decline.src],
    [4, "10.0.0.50", "10.0.0.2", "0.0.0.0", "0.0.0.0"],
  );
  t.is(c.ip.addresses.length, 0);
  t.is(c.dhcp.counters.conflicts, 1);
  t.deepEqual(c.events, [], "nobody had been told of the lease");
  c.server.yiaddr = "10.0.0.51";
  c.world.run(9500);
  t.deepEqual(types(c), []);
  c.world.run(10000);
  const [discover] = c.server.take();
  t.is(discover.requested, undefined, "not that one again");
  t.deepEqual(c.events, ["bound 10.0.0.51"]);
});

test("a server that offers nothing but an address in conflict: a discover each ten seconds, then ever fewer", (t) => {
  const c = start(t);
  c.probe.onFrame = ((serve) => (bytes, parsed) => {
    if (parsed.arp?.senderIp === "0.0.0.0") c.world.at(0, () => claim(c, parsed.arp!.targetIp));
    return serve!(bytes, parsed);
  })(c.probe.onFrame);
  c.world.run(3600000);
  const all = types(c);
  const declines = all.filter((type) => type === 4).length;
  t.true(declines > 10 && declines < 70, `${declines} in an hour`);
  t.is(c.dhcp.counters.conflicts, declines);
  t.is(c.ip.addresses.length, 0 + (c.client.entry ? 1 : 0));
});

test("an address that is lost to another host while in use: told, declined, another one", (t) => {
  const c = start(t);
  c.world.run(8000);
  types(c);
  claim(c, "10.0.0.50");
  c.world.run(100);
  t.deepEqual(c.events, ["bound 10.0.0.50"], "defended once");
  claim(c, "10.0.0.50");
  c.server.yiaddr = "10.0.0.51";
  c.world.run(100);
  t.deepEqual(c.events, ["bound 10.0.0.50", "lost -98"]);
  t.deepEqual(types(c), [4]);
  c.world.run(20000);
  t.deepEqual(c.events, ["bound 10.0.0.50", "lost -98", "bound 10.0.0.51"]);
});

test("a cable pulled during the trial: the trial begins anew when it is back, then there is the lease", (t) => {
  const c = start(t);
  c.world.run(2000);
  c.nif.carrier(false);
  c.world.run(10000);
  t.deepEqual(c.events, []);
  c.nif.carrier(true);
  c.world.run(10000);
  t.deepEqual(c.events, ["bound 10.0.0.50"]);
  t.is(c.ip.addresses.length, 1);
});

test("a lease that ends during the trial, and a client that is closed then, leave nothing", (t) => {
  const c = start(t, { prepare: (server) => (server.leaseTime = 60) });
  c.world.run(1000);
  c.nif.carrier(false);
  c.world.run(120000);
  t.is(c.ip.addresses.length, 0);
  t.deepEqual(c.events, []);
  c.nif.carrier(true);
  c.world.run(1000);
  t.is(c.client.state, DHCP_PROBING);
  c.client.close();
  t.is(c.ip.addresses.length, 0);
  t.is(c.stack.timers.count(), 0);
});

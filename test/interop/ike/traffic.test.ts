/** Traffic through child SAs with strongSwan (ESP in UDP): both ways, and no packet lost while keys change. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { ikeResponder } from "../../../stack/ike/ike-responder.js";
import { ipsecChildren } from "../../../stack/ike/ipsec-children.js";
import type { IpsecChildrenOptions } from "../../../stack/ike/ipsec-children.js";
import { mobike } from "../../../stack/ike/mobike.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { esp } from "../../../stack/ipsec/esp.js";
import { ipsec } from "../../../stack/ipsec/ipsec.js";
import { natTraversal } from "../../../stack/ipsec/nat-traversal.js";
import { pause, until } from "../../support/until.js";
import { KERNEL, OURS, PSK, createSite, sameChildren } from "./site.js";
import type { SiteOptions } from "./site.js";

async function secured(t: ExecutionContext, options: SiteOptions = {}, more: IpsecChildrenOptions = {}) {
  const security = ipsec({ otherwise: "discard" });
  const site = await createSite(t, {
    ...options,
    ike: { ...options.ike, sink: ipsecChildren(security, more) },
    components: [...(options.components ?? []), security, esp(), natTraversal()],
  });
  const { ip, nif, ns } = site.host;
  ip.addAddress(nif, "10.8.0.1/16");
  ip.addRoute("10.9.0.0/24", { gateway: KERNEL });
  /** How many of the first `count` echoes come back: with a deadline ping waits for them as long as a busy machine takes. */
  const pingBetween = async (from: string, to: string, count: number, interval: number, rest: string[]) => {
    const { stdout } = await ns.run(
      "ping",
      ["-n", "-c", `${count}`, "-i", `${interval}`, "-w", "60", "-I", from, ...rest, to],
      { codes: null, timeout: 90_000 },
    );
    const answered = [...stdout.matchAll(/ bytes from .* icmp_seq=(\d+) /g)];
    return answered.filter(([, number]) => Number(number) <= count).length;
  };
  const ping = (count: number, interval: number, ...rest: string[]) =>
    pingBetween("10.9.0.1", "10.8.0.1", count, interval, rest);
  return { ...site, security, ping, pingBetween };
}

for (const proposal of ["chacha20poly1305-ecp256", "aes256-sha384"]) {
  test(`${proposal}: strongSwan's packets come, and ours go back, whoever began`, async (t) => {
    const site = await secured(t, {
      ike: { responder: ikeResponder() },
      child: `esp_proposals = ${proposal}\nlocal_ts = 10.9.0.0/24\nremote_ts = 10.8.0.0/16`,
    });
    const child = { local: ["10.8.0.0/16"], remote: ["10.9.0.0/24"], proposals: [proposal] };
    const peer = site.connect({ remote: KERNEL, psk: PSK, children: [child] });
    await until("a child", () => site.children.length === 1);
    await site.charon.sas(/INSTALLED/);
    t.is(await site.ping(20, 0.01, "-s", "1200"), 20);
    t.true(peer.rekey(site.children[0]));
    await pause(300);
    t.is(await site.ping(5, 0.01), 5);
    peer.close();
    await until("closed", () => site.vpn.sas.size === 0);
    site.connect({ psk: PSK, children: [child] });
    await site.charon.swanctl(["--initiate", "--child", "c"]);
    t.is(await site.ping(20, 0.01), 20);
    await site.charon.swanctl(["--rekey", "--child", "c"]);
    await pause(300);
    t.is(await site.ping(5, 0.01), 5);
    const counters = site.host.stack.counters;
    t.is(counters.ipsec!.policy, 0);
    t.is(counters.esp!.auth ?? 0, 0);
  });
}

test("no packet is lost while both rekey IKE SA and child, again and again", async (t) => {
  const site = await secured(t);
  const peer = site.connect({ remote: KERNEL, psk: PSK });
  await until("a child", () => site.children.length === 1);
  await site.charon.sas(/INSTALLED/);
  const pings = site.ping(400, 0.01);
  for (let i = 0; i < 4; i++) {
    await site.charon.swanctl(["--rekey", "--child", "c"], true);
    await pause(100);
    peer.rekey(site.children[site.children.length - 1]);
    await pause(100);
    peer.rekey();
    await pause(100);
    const both = site.charon.swanctl(["--rekey", "--child", "c"], true);
    peer.rekey(site.children[site.children.length - 1]);
    await both;
    await pause(100);
  }
  t.is(await pings, 400);
  await until("one child", () => site.children.length === 1);
  t.true(sameChildren(site, await site.charon.sas(/INSTALLED/)));
});

test("both prove anew who they are, under traffic: at our wish, and strongSwan's, which makes the new before it breaks the old", async (t) => {
  const site = await secured(t, {
    ike: { responder: ikeResponder() },
    connection: "reauth_time = 3s\nrand_time = 0s",
    charon: { settings: "make_before_break = yes" },
  });
  // Of the one that began, strongSwan wants that itself: not while we do.
  const peer = site.connect({ psk: PSK, remote: KERNEL });
  await until("a child", () => site.children.length === 1);
  const before = site.children[0]!.spiIn;
  const pings = site.ping(10, 0.05);
  t.true(peer.reauthenticate());
  await until("another", () => site.children.length === 1 && site.children[0]!.spiIn !== before);
  const answered = await pings;
  t.log(`${answered} of 10`);
  t.deepEqual(site.told, ["established"]);
  t.true(answered > 0);
  peer.close();
  await until("gone", () => site.vpn.sas.size === 0);
  site.connect({ psk: PSK });
  await site.charon.swanctl(["--initiate", "--child", "c"]);
  const first = site.children[0]!.spiIn;
  const more = site.ping(80, 0.05);
  await until("another", () => site.children.length === 1 && site.children[0]!.spiIn !== first);
  const rest = await more;
  t.log(`${rest} of 80`);
  t.true(rest > 0);
});

test("we move under traffic; the peer follows", async (t) => {
  const mobility = mobike();
  const site = await secured(t, { ike: { mobility } });
  const peer = site.connect({ remote: KERNEL, psk: PSK });
  await until("a child", () => site.children.length === 1);
  await site.charon.sas(/INSTALLED/);
  t.is(await site.ping(3, 0.01), 3);
  site.host.ip.addAddress(site.host.nif, "10.77.0.3/24");
  site.host.ip.removeAddress(site.host.nif, OURS);
  mobility.move(peer, "10.77.0.3");
  await site.charon.sas(/@ 10.77.0.3\[4500\]/);
  t.is(await site.ping(10, 0.01), 10);
});

test("strongSwan moves under traffic, and is asked whether it is there", async (t) => {
  const site = await secured(t, {
    ike: { mobility: mobike(), responder: ikeResponder() },
    connection: "local_addrs = %any",
  });
  const peer = site.connect({ psk: PSK });
  await site.charon.swanctl(["--initiate", "--child", "c"]);
  await until("a child", () => site.children.length === 1);
  t.is(await site.ping(3, 0.01), 3);
  const { ns, device } = site.host;
  ns.sysctl("net.ipv4.conf.all.promote_secondaries", 1);
  ns.ip("address", "add", "10.77.0.9/24", "dev", device);
  ns.ip("address", "delete", `${KERNEL}/24`, "dev", device);
  await until("it has moved", () => site.children[0]!.remote === "10.77.0.9");
  t.is(peer.sa!.remote, "10.77.0.9");
  site.host.ip.removeRoute("10.9.0.0/24");
  site.host.ip.addRoute("10.9.0.0/24", { gateway: "10.77.0.9" });
  t.is(await site.ping(10, 0.01), 10);
  t.deepEqual(site.told, ["established"]);
  t.is(site.vpn.counters.unexpected, 0);
});

test("strongSwan's address is silent: we go to another that it has named, under traffic", async (t) => {
  const site = await secured(t, { ike: { mobility: mobike() }, connection: "local_addrs = %any" });
  const { ns, device } = site.host;
  ns.ip("address", "add", "10.77.0.9/24", "dev", device);
  const peer = site.connect({ remote: KERNEL, psk: PSK, dpd: 1 });
  await until("a child", () => site.children.length === 1);
  await site.charon.sas(/INSTALLED/);
  t.true(peer.sa!.others.includes("10.77.0.9"), peer.sa!.others.join());
  t.is(await site.ping(3, 0.01), 3);
  // Whatever it sends from there is gone, and it does not know.
  ns.ip("rule", "add", "from", KERNEL, "to", OURS, "blackhole");
  await until("elsewhere", () => site.children[0]!.remote === "10.77.0.9");
  await site.charon.sas(/local +'10.77.0.1' @ 10.77.0.9/);
  // An exchange that it began from the old address holds its child there until it has ended.
  await until("its packets come from there", async () => (await site.ping(1, 0.1)) === 1);
  t.is(await site.ping(10, 0.01), 10);
  t.deepEqual(site.told, ["established"]);
});

test("our address is gone: strongSwan comes to another that we have named, under traffic", async (t) => {
  const site = await secured(t, {
    ike: { mobility: mobike({ addresses: [OURS, "10.77.0.3"] }), responder: ikeResponder() },
    connection: "local_addrs = %any",
  });
  const { ns, ip, nif } = site.host;
  ip.addAddress(nif, "10.77.0.3/24");
  const peer = site.connect({ psk: PSK });
  await site.charon.swanctl(["--initiate", "--child", "c"]);
  await until("a child", () => site.children.length === 1);
  t.is(await site.ping(3, 0.01), 3);
  // It is told by its routes that our first address is not to be reached any more.
  ns.ip("route", "add", "10.77.0.3/32", "dev", site.host.device, "src", KERNEL);
  ns.ip("route", "delete", "10.77.0.0/24", "dev", site.host.device);
  await until("it has come", () => site.children[0]!.local === "10.77.0.3");
  t.is(peer.sa!.local, "10.77.0.3");
  t.is(await site.ping(10, 0.01), 10);
  t.deepEqual(site.told, ["established"]);
});

for (const begin of [true, false]) {
  test(`ESP in UDP over IPv6, either family inside; rekeys under traffic; ${begin ? "we" : "they"} begin`, async (t) => {
    const ip6 = ipv6();
    const child = { local: ["10.8.0.0/16", "fd08::/64"], remote: ["10.9.0.0/24", "fd09::/64"] };
    const site = await secured(t, {
      ike: { responder: ikeResponder() },
      components: [ip6, icmpv6(), nd(), fragments6()],
      connection: "local_addrs = fd77::1 \n remote_addrs = fd77::2 \n encap = yes",
      child: "local_ts = 10.9.0.0/24, fd09::/64 \n remote_ts = 10.8.0.0/16, fd08::/64",
      six: ["fd77::1/64", "fd09::1/64"],
    });
    const { nif } = site.host;
    for (const address of ["fd77::2/64", "fd08::1/64"]) ip6.addAddress(nif, address);
    ip6.addRoute("fd09::/64", { gateway: "fd77::1" });
    const peer = site.connect({ ...(begin ? { remote: "fd77::1" } : {}), psk: PSK, children: [child] });
    if (!begin) await site.charon.swanctl(["--initiate", "--child", "c"]);
    await until("a child", () => site.children.length === 1);
    const list = await site.charon.sas(/remote +'fd77::2' @ fd77::2\[4500\][^]*INSTALLED[^]*UDP/);
    t.true(sameChildren(site, list), list);
    t.is(site.children[0]!.remotePort, 4500);
    const six = (count: number, ...rest: string[]) =>
      site.pingBetween("fd09::1", "fd08::1", count, 0.02, rest);
    t.is(await six(10, "-s", "1200"), 10);
    t.is(await six(5, "-s", "3000"), 5);
    t.is(await site.ping(10, 0.02), 10);
    const pings = six(100);
    t.true(peer.rekey(site.children[0]));
    await site.charon.swanctl(["--rekey", "--child", "c"]);
    t.is(await pings, 100);
    await until("one child", () => site.children.length === 1);
    const { natt } = site.host.stack.counters;
    t.true((natt as { received: number }).received >= 125);
    t.is((natt as { malformed: number }).malformed, 0);
  });
}

test("what policy protects waits for the next child; nothing leaves in the clear", async (t) => {
  const asked: string[] = [];
  const site = await secured(t, {}, { onEvent: (event) => asked.push(event.type) });
  site.connect({ remote: KERNEL, psk: PSK });
  await until("a child", () => site.children.length === 1);
  await site.charon.sas(/INSTALLED/);
  await site.charon.swanctl(["--terminate", "--ike", "a"]);
  await until("closed", () => site.told.length === 2);
  const socket = site.host.udp.open({ address: "10.8.0.1" });
  socket.sendTo("10.9.0.1", 9, new Uint8Array(10));
  await until("again", () => site.told.length === 3 && site.children.length === 1);
  t.deepEqual(site.told, ["established", "closed -104 0", "established"]);
  t.is(await site.ping(3, 0.01), 3);
  socket.close();
});

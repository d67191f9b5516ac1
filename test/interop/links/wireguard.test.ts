/**
 * WireGuard with wireguard-go (Go's, in user space) at the other end: both roles, both families inside and outside, with and without a
 * preshared key, roaming of either end, new sessions, and cookies when we say that there is load.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { nobleCrypto, withWireguard } from "../../../ports/noble/index.js";
import { nodeCrypto } from "../../../ports/node/crypto.js";
import { nodeHost, openTap } from "../../../ports/node/index.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { fragments } from "../../../stack/ipv4/fragments.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { fragments6 } from "../../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ping } from "../../../stack/raw/ping.js";
import { udp } from "../../../stack/udp/udp.js";
import { wireguard } from "../../../stack/wireguard/wireguard.js";
import { findLeaks } from "../../support/leaks.js";
import { until } from "../../support/until.js";
import { namespace6 } from "../support/host6.js";
import { scratch } from "../support/site.js";
import { wireguardGo } from "../support/wireguard.js";

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text.trim(), "base64"));

/** Our end 10.91.0.1 with wg0 (10.92.0.1, fd92::1), wireguard-go's 10.91.0.2 with a TUN device (10.92.0.2, fd92::2). */
async function tunnel(t: ExecutionContext, { noble = false, outside = 4, psk = true, knows = "we" } = {}) {
  const folder = scratch(t);
  const peer = namespace6(t);
  const host = nodeHost({ crypto: withWireguard(noble ? nobleCrypto() : nodeCrypto()) });
  const ip = ipv4();
  const six = ipv6({ linkLocal: false });
  const echo = ping();
  const wg = wireguard({ clock: Date.now });
  const stack = host.drive(
    createStack(host, [
      ...[ethernet(), arp(), ip, fragments(), icmp(), six, fragments6(), icmpv6(), nd(), udp(), echo, wg],
    ]),
  );
  t.teardown(() => {
    stack.close();
    const left = findLeaks(stack);
    if (left.length > 0) throw new Error(left.join("; "));
  });
  const eth = stack.addInterface(openTap({ name: "eth0", netns: peer.name }), "eth0");
  peer.ip("link", "set", "eth0", "addrgenmode", "none", "up");
  ip.addAddress(eth, "10.91.0.1/24");
  six.addAddress(eth, "fd91::1/64");
  peer.ip("address", "add", "10.91.0.2/24", "dev", "eth0");
  peer.ip("address", "add", "fd91::2/64", "dev", "eth0", "nodad");
  const { name, daemon, publicKey, set: setPeer } = await wireguardGo(t, peer, 51821);
  const device = wg.create({ privateKey: randomBytes(32), port: 51820 });
  const preshared = randomBytes(32);
  writeFileSync(join(folder, "psk"), base64(preshared));
  const address = outside === 4 ? ["10.91.0.1", "10.91.0.2"] : ["fd91::1", "fd91::2"];
  const set = (...parameters: string[]) => setPeer(base64(device.publicKey()), ...parameters);
  set("allowed-ips", "10.92.0.1/32,fd92::1/128", ...(psk ? ["preshared-key", join(folder, "psk")] : []));
  if (knows === "they") set("endpoint", outside === 4 ? `${address[0]}:51820` : `[${address[0]}]:51820`);
  const friend = device.addPeer({
    publicKey: bytesOf(publicKey),
    ...(psk ? { presharedKey: preshared } : {}),
    ...(knows === "we" ? { endpoint: { address: address[1]!, port: 51821 } } : {}),
    allowedIps: ["10.92.0.2/32", "fd92::/64"],
  });
  const wg0 = stack.addInterface(device, "wg0");
  ip.addAddress(wg0, "10.92.0.1/24");
  six.addAddress(wg0, "fd92::1/64");
  peer.ip("link", "set", name, "addrgenmode", "none", "mtu", "1420", "up");
  peer.ip("address", "add", "10.92.0.2/24", "dev", name);
  peer.ip("address", "add", "fd92::2/64", "dev", name, "nodad");
  /** Asks until something answers. */
  const reaches = (target: string, size = 56) =>
    until(`they reach ${target}`, async () => {
      const { code } = await peer.run("ping", ["-n", "-c", "1", "-W", "2", "-s", `${size}`, target], {
        codes: null,
      });
      return code === 0;
    });
  const weReach = (target: string) =>
    until(
      `we reach ${target}`,
      () =>
        new Promise<boolean>((resolve) => {
          const finish = (good: boolean) => {
            clearTimeout(timer);
            socket.close();
            resolve(good);
          };
          const socket = echo.open({ address: target, onReply: () => finish(true) });
          const timer = setTimeout(() => finish(false), 1000);
          socket.send();
        }),
    );
  return {
    peer,
    stack,
    ip,
    eth,
    wg,
    device,
    friend,
    name,
    set,
    reaches,
    weReach,
    daemon,
    counters: wg.counters,
  };
}

for (const [title, options] of [
  ["they begin, over IPv4, with a preshared key", { knows: "they" }],
  [
    "they begin, over IPv6, without one, our ciphers are noble's alone",
    { knows: "they", outside: 6, psk: false, noble: true },
  ],
] as const)
  test(`wireguard-go: ${title}`, async (t) => {
    const { reaches, counters, device, friend } = await tunnel(t, options);
    await reaches("10.92.0.1");
    await reaches("fd92::1");
    await reaches("10.92.0.1", 1392);
    await reaches("10.92.0.1", 4000);
    t.true(counters.handshakes >= 1 && counters.responsesSent >= 1 && counters.initiationsSent === 0);
    t.deepEqual(
      [counters.forged, counters.replayed, counters.notAllowed, counters.malformed, counters.badMac],
      [0, 0, 0, 0, 0],
    );
    const { endpoint, lastHandshake, received } = device.status(friend);
    t.is(endpoint?.port, 51821);
    t.true(received > 5000 && Date.now() - lastHandshake < 300_000);
  });

test("wireguard-go: we begin; both roam; sessions are made anew; who has another secret gets nowhere", async (t) => {
  const { reaches, weReach, counters, device, friend, set, name, peer, ip, eth } = await tunnel(t);
  await weReach("10.92.0.2");
  await weReach("fd92::2");
  t.true(counters.initiationsSent >= 1);
  // They move to another port, and say so by the first packet from there.
  execFileSync("wg", ["set", name, "listen-port", "51822"]);
  await reaches("10.92.0.1");
  t.is(device.status(friend).endpoint!.port, 51822);
  await weReach("10.92.0.2");
  // We move to another address: they follow when they hear us.
  ip.addAddress(eth, "10.91.0.7/24");
  ip.removeAddress(eth, "10.91.0.1");
  await weReach("10.92.0.2");
  t.regex(execFileSync("wg", ["show", name, "endpoints"], { encoding: "utf8" }), /10\.91\.0\.7:51820/);
  await reaches("fd92::1");
  // A session that is old, as its initiator sees it: the next packet makes another, and none is lost.
  for (let round = 0; round < 2; round++) {
    const { handshakes } = counters;
    const session = friend.current!;
    session.born -= 121_000;
    session.initiator = true;
    (friend as unknown as { lastInitiation: number }).lastInitiation -= 10_000;
    const { stdout } = await peer.run("ping", ["-n", "-c", "20", "-i", "0.05", "-W", "10", "10.92.0.1"], {
      codes: null,
    });
    t.regex(stdout, / 20 received/);
    await until("another session", () => counters.handshakes > handshakes);
  }
  t.deepEqual([counters.forged, counters.notAllowed, counters.malformed, counters.badMac], [0, 0, 0, 0]);
  // They forget us and the preshared key: what they begin with is authentic, what we answer is not.
  const { handshakes } = counters;
  set("remove");
  set("allowed-ips", "10.92.0.1/32,fd92::1/128", "endpoint", "10.91.0.7:51820");
  const reply = await peer.run("ping", ["-n", "-c", "1", "-W", "2", "10.92.0.1"], { codes: null });
  t.not(reply.code, 0);
  t.is(counters.handshakes, handshakes);
});

test("wireguard-go: under load it shows with a cookie that it can receive", async (t) => {
  const { reaches, counters, device } = await tunnel(t, { knows: "they" });
  (device as unknown as { load: { take(): boolean } }).load.take = () => false;
  await reaches("10.92.0.1");
  t.true(counters.cookiesSent >= 1);
  t.true(counters.handshakes >= 1);
  t.deepEqual([counters.badMac, counters.unknown, counters.malformed], [0, 0, 0]);
});

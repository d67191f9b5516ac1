/** Link-local addresses: found without anybody's help, and given up for others. */
import test from "ava";
import { createWorld, hub } from "../../ports/sim/index.js";
import { acd } from "../../stack/ipv4/acd.js";
import { PREFERRED } from "../../stack/ipv4/address.js";
import { linkLocal } from "../../stack/ipv4/linklocal.js";
import { createStack } from "../../stack/core/stack.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { format4 } from "../../stack/core/text4.js";
import { expectFrame } from "../support/expect.js";
import { findLeaks } from "../support/leaks.js";
import { buildNode } from "../support/network.js";
import { BROADCAST_MAC, arp, eth, frame } from "../support/packets.js";
import { Probe } from "../support/probe.js";

function host(
  t: Parameters<typeof buildNode>[0],
  world = createWorld({ seed: 4, scribble: true }),
  link = new Probe(world),
) {
  const local = linkLocal();
  const node = buildNode(t, world, link, "", { components: () => [acd(), local] });
  return { ...node, local, probe: link, text: () => format4(local.address(node.nif)!.address) };
}

test("an address of 169.254.1.0 to 169.254.254.255, the same for the same hardware", (t) => {
  const texts = [1, 2, 1].map((n) => {
    const world = createWorld({ seed: n });
    const { local, nif, text, ip } = host(t, world, new Probe(world, { mac: "02:00:00:00:00:0" + (n % 2) }));
    local.enable(nif);
    world.run(10000);
    t.is(local.address(nif)?.state, PREFERRED);
    t.is(local.address(nif)?.length, 16);
    t.is(ip.addresses.length, 1);
    return text();
  });
  t.is(texts[0], texts[2]);
  t.not(texts[0], texts[1]);
  for (const text of texts) {
    const [a, b, c] = text.split(".").map(Number);
    t.true(a === 169 && b === 254 && c >= 1 && c <= 254, text);
  }
});

test("addresses that others have are passed over, and after ten only one a minute is tried", (t) => {
  const { local, nif, probe, world, text, stack } = host(t);
  const tried: [number, string][] = [];
  probe.answersArp = [];
  probe.onFrame = (_bytes, parsed) => {
    const target = parsed.arp!.targetIp;
    t.is(parsed.arp!.senderIp, "0.0.0.0");
    if (tried.at(-1)?.[1] !== target) tried.push([world.time, target]);
    world.at(0, () => probe.send(frame(eth(), arp({ op: 2, senderIp: target, targetIp: "0.0.0.0" }))));
    return true;
  };
  local.enable(nif);
  world.run(10 * 1000);
  t.is(tried.length, 10);
  world.run(300 * 1000);
  t.true(tried.length >= 14 && tried.length <= 16, String(tried.length));
  for (let i = 11; i < tried.length; i++) t.true(tried[i][0] - tried[i - 1][0] >= 60000);
  t.is(new Set(tried.map(([, address]) => address)).size, tried.length);
  // The others have gone.
  probe.onFrame = () => true;
  world.run(100 * 1000);
  t.is(local.address(nif)?.state, PREFERRED);
  t.false(tried.some(([, address]) => address === text()));
  stack.close();
  t.deepEqual(findLeaks(stack), []);
});

test("an address that another host insists on is changed for the next", (t) => {
  const { local, nif, probe, world, text, ip } = host(t);
  local.enable(nif, "169.254.7.7");
  world.run(20000);
  t.is(text(), "169.254.7.7");
  for (let i = 0; i < 2; i++) {
    probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ senderIp: "169.254.7.7", targetIp: "169.254.7.7" })));
  }
  world.run(20000);
  t.not(text(), "169.254.7.7");
  t.is(local.address(nif)?.state, PREFERRED);
  local.disable(nif);
  t.deepEqual(ip.addresses, []);
  t.is(local.address(nif), null);
});

test("all ARP packets with a link-local sender go to everybody (RFC 3927 section 2.5)", (t) => {
  const { local, nif, probe, world } = host(t);
  local.enable(nif, "169.254.7.7");
  world.run(20000);
  probe.take();
  probe.send(frame(eth({ dst: BROADCAST_MAC }), arp({ senderIp: "169.254.1.9", targetIp: "169.254.7.7" })));
  expectFrame(t, probe.next(), { eth: { dst: BROADCAST_MAC }, arp: { op: 2, senderIp: "169.254.7.7" } });
});

test("link-local destinations are asked for directly, not sent to a router", (t) => {
  const { ip, nif, probe, udp } = host(t);
  const entry = ip.addAddress(nif, "10.0.0.1/24");
  entry.state = PREFERRED;
  ip.addRoute("0.0.0.0/0", { gateway: "10.0.0.2" });
  udp.open().sendTo("169.254.7.7", 9, new Uint8Array(1));
  expectFrame(t, probe.next(), { arp: { targetIp: "169.254.7.7" } });
});

test("twenty hosts on one wire find twenty addresses", (t) => {
  const world = createWorld({ seed: 20, scribble: true });
  const nodes = hub(world, 20).map((link) => {
    const local = linkLocal();
    const node = buildNode(t, world, link, "", { components: () => [acd(), local] });
    local.enable(node.nif);
    return { ...node, local };
  });
  world.run(30000);
  const texts = nodes.map(({ local, nif }) => format4(local.address(nif)!.address));
  t.is(new Set(texts).size, 20);
  const socket = nodes[7].udp.open({ port: 7 });
  nodes[3].udp.open().sendTo(texts[7], 7, new Uint8Array(1));
  world.run(10);
  t.is(socket.readable(), 1);
});

test("misuse is refused", (t) => {
  const { local, nif, stack } = host(t);
  t.throws(() => local.enable(nif, "10.0.0.1"), { code: "EINVAL" });
  t.throws(() => local.enable(nif, "169.254"), { code: "EINVAL" });
  local.enable(nif);
  local.enable(nif);
  stack.removeInterface(nif);
  t.is(local.address(nif), null);
  t.throws(() => local.enable(nif), { code: "EINVAL" });
  t.throws(() => createStack(createWorld().host(), [ipv4(), linkLocal()]), { code: "ENOPROTOOPT" });
});

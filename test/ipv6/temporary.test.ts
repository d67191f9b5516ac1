/** Temporary addresses (RFC 8981) against a probe that plays a router. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { DEPRECATED, PREFERRED } from "../../stack/ipv6/address.js";
import type { TemporaryOptions } from "../../stack/ipv6/temporary.js";
import { temporary } from "../../stack/ipv6/temporary.js";
import { format6 } from "../../stack/core/text6.js";
import { STACK_IP6 } from "../support/packets.js";
import {
  NA,
  RA,
  long,
  nd6,
  prefixOption,
  probed6,
  sourceLink,
  targetLink,
  targetOf,
} from "../support/packets6.js";
import type { Probed6, Probed6Options } from "../support/packets6.js";

const PREFIX = "2001:db8:1::";
const DAY = 86_400_000;

function host(t: ExecutionContext | null, options: TemporaryOptions & Probed6Options = {}) {
  return probed6(t, {
    slaac: true,
    addresses: [STACK_IP6 + "/64"],
    more6: () => [temporary(options)],
    ...options,
  });
}

const advertise = (node: Probed6, ...options: Uint8Array[]) =>
  node.probe.send(nd6(RA(), {}, sourceLink(), ...options));
const made = (node: Probed6) => node.ip6.addresses.filter((entry) => entry.temporary);
const source = (node: Probed6) => {
  const path = node.ip6.createPath();
  node.ip6.setRemote(path, "2001:db8:ffff::1");
  return node.ip6.route(path) < 0 ? "" : node.ip6.localText(path);
};

test("each prefix has a temporary address, which is the source", (t) => {
  const node = host(t);
  advertise(node, prefixOption(PREFIX, 10 * 86400, 7 * 86400));
  const [entry] = made(node);
  t.is(source(node), format6(entry!.bytes, 0));
  const preferred = ((entry!.preferredUntil - node.stack.now()) | 0) / 1000;
  t.true(preferred <= 86400 && preferred >= 86400 * 0.6);
  t.is(((entry!.validUntil - node.stack.now()) | 0) / 1000, 172800);
});

test("a successor is made before an address is deprecated, and three at the most are kept", (t) => {
  const node = host(t);
  const seen = new Set<string>();
  for (let hour = 0; hour < 10 * 24; hour++) {
    if (hour % 6 === 0) advertise(node, prefixOption(PREFIX, 30 * 86400, 7 * 86400));
    node.world.run(DAY / 24);
    node.probe.take();
    for (const { bytes } of made(node)) seen.add(format6(bytes, 0));
    t.true(made(node).length <= 3);
    t.true(
      made(node).some(({ state }) => state === PREFERRED),
      `hour ${hour}`,
    );
  }
  t.true(seen.size >= 10 && seen.size <= 20);
  t.is(node.ip6.addresses.filter(({ origin }) => origin === "slaac").length, 1);
});

test("an advertisement does not lengthen a temporary address's life beyond its own, and may shorten it", (t) => {
  const node = host(t);
  advertise(node, prefixOption(PREFIX, 10 * 86400, 7 * 86400));
  const [entry] = made(node);
  node.world.run(DAY / 4);
  const until = entry!.preferredUntil;
  advertise(node, prefixOption(PREFIX, 10 * 86400, 7 * 86400));
  t.is(entry!.preferredUntil, until);
  advertise(node, prefixOption(PREFIX, 600, 0));
  node.world.run(1);
  t.is(entry!.state, DEPRECATED);
  node.world.run(601_000);
  t.is(made(node).length, 0);
});

test("whoever claims each of them: four are tried", (t) => {
  const node = host(t, { dad: 1 });
  const claimed: string[] = [];
  node.probe.onFrame = (_bytes, parsed) => {
    if (parsed.icmp?.type !== 135 || parsed.ip6!.src !== long("::")) return;
    const target = targetOf(parsed);
    const entry = made(node).find(({ bytes }) => long(format6(bytes, 0)) === target);
    if (!entry) return;
    claimed.push(target);
    node.world.at(0, () => node.probe.send(nd6(NA(target, "O"), { src: target }, targetLink())));
  };
  for (let i = 0; i < 10; i++) {
    advertise(node, prefixOption(PREFIX));
    node.world.run(5000);
  }
  t.is(new Set(claimed).size, 4);
  t.is(made(node).length, 0);
});

test("ND-04 a flood of prefixes: no more addresses than prefixes are kept", (t) => {
  const node = host(t);
  for (let i = 1; i <= 200; i++)
    advertise(node, prefixOption(`2001:db8:${i.toString(16)}::`, 0xffffffff, 0xffffffff));
  t.is(made(node).length, 8);
  t.is(node.ip6.addresses.length, 17);
});

test("IP6-06 identifiers are random, also over reboots", (t) => {
  const seen = new Set<string>();
  for (let i = 0; i < 50; i++) {
    const node = host(null, { worldOptions: { seed: i } });
    advertise(node, prefixOption(PREFIX), prefixOption("2001:db8:2::"));
    for (const { bytes } of made(node)) seen.add(bytes.subarray(8).join());
    node.stack.close();
  }
  t.is(seen.size, 100);
});

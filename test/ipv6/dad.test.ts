/** Duplicate address detection against a probe: verdicts, nonces, loops, renewed identifiers. */
import test from "ava";
import { DUPLICATED, PREFERRED, TENTATIVE } from "../../stack/ipv6/address.js";
import { format6 } from "../../stack/core/text6.js";
import { concat, hex, macBytes } from "../support/bytes.js";
import { PROBE_MAC } from "../support/packets.js";
import type { Parsed } from "../support/parse.js";
import {
  ALL_NODES,
  NA,
  NS,
  nd6,
  nonce,
  probed6,
  solicited,
  targetLink,
  targetOf,
  long,
} from "../support/packets6.js";

const ADDRESS = "2001:db8::1";
const isProbe = (sent: Parsed) => sent.icmp?.type === 135 && sent.ip6!.src === long("::");

test("an address is probed for from :: with a nonce, and used a second later", (t) => {
  const node = probed6(t, { dad: 2, addresses: [ADDRESS + "/64"] });
  const [entry] = node.ip6.addresses;
  t.is(entry!.state, TENTATIVE);
  t.is(node.ip6.findAddress(entry!.bytes, 0, null), null);
  node.world.run(1999);
  const probes = node.probe.takeParsed().filter(isProbe);
  t.is(targetOf(probes[0]!), long(ADDRESS));
  t.is(probes[0]!.ip6!.dst, long(solicited(ADDRESS)));
  t.deepEqual([...probes[0]!.payload.subarray(16, 18)], [14, 1]);
  node.world.run(1100);
  t.is(node.dad!.counters.probesSent, 2);
  t.is(entry!.state, PREFERRED);
});

test("an address that is tried is neither answered for nor used", (t) => {
  const node = probed6(t, { dad: 1, addresses: [ADDRESS + "/64"] });
  node.probe.send(nd6(NS(ADDRESS), { dst: solicited(ADDRESS) }));
  t.is(node.probe.takeParsed().length, 0);
  t.is(node.ip6.addresses[0]!.state, TENTATIVE);
});

test("who advertises it, has it", (t) => {
  const node = probed6(t, { dad: 1, addresses: [ADDRESS + "/64"] });
  node.probe.send(nd6(NA(ADDRESS, "O"), { src: ADDRESS }, targetLink()));
  t.is(node.ip6.addresses[0]!.state, DUPLICATED);
  node.world.run(5000);
  t.is(node.ip6.addresses[0]!.state, DUPLICATED);
  t.is(node.dad!.counters.duplicates, 1);
  node.nif.carrier(false);
  node.nif.carrier(true);
  node.world.run(5000);
  t.is(node.ip6.addresses[0]!.state, PREFERRED, "another link may be another network");
});

test("who tries it at the same time makes both give it up", (t) => {
  const node = probed6(t, { dad: 1, addresses: [ADDRESS + "/64"] });
  node.probe.send(nd6(NS(ADDRESS), { src: "::", dst: solicited(ADDRESS) }, nonce(hex("0102 0304 0506"))));
  t.is(node.ip6.addresses[0]!.state, DUPLICATED);
});

test("our own probe coming back is no duplicate, and is followed by more (RFC 7527)", (t) => {
  const node = probed6(t, { dad: 1, addresses: [ADDRESS + "/64"] });
  let loops = 0;
  node.probe.onFrame = (bytes, parsed) => {
    if (!isProbe(parsed) || loops++ > 0) return;
    // Whatever reflects it has put its own hardware address in: frames with ours are not even looked at.
    const back = concat(bytes.subarray(0, 6), macBytes(PROBE_MAC), bytes.subarray(12));
    node.world.at(0, () => node.probe.send(back));
  };
  node.world.run(10000);
  t.is(node.dad!.counters.looped, 1);
  t.is(node.dad!.counters.probesSent, 4);
  t.is(node.ip6.addresses[0]!.state, PREFERRED);
});

test("a loop that never ends does not keep an address from use for ever", (t) => {
  const node = probed6(t, { dad: 1, addresses: [ADDRESS + "/64"] });
  node.probe.onFrame = (bytes, parsed) => {
    // Whatever reflects it has put its own hardware address in: frames with ours are not even looked at.
    const back = concat(bytes.subarray(0, 6), macBytes(PROBE_MAC), bytes.subarray(12));
    if (isProbe(parsed)) node.world.at(0, () => node.probe.send(back));
  };
  node.world.run(20000);
  t.is(node.ip6.addresses[0]!.state, PREFERRED);
});

test("ND-06 somebody who claims every link-local address: three more are tried, then there is peace", (t) => {
  const node = probed6(t, { dad: 1, slaac: true });
  const claimed: string[] = [];
  node.probe.onFrame = (_bytes, parsed) => {
    if (!isProbe(parsed)) return;
    const target = targetOf(parsed);
    claimed.push(target);
    node.world.at(0, () =>
      node.probe.send(nd6(NA(target, "O"), { dst: ALL_NODES, src: target }, targetLink())),
    );
  };
  node.world.run(60000);
  t.is(claimed.length, 4);
  t.is(new Set(claimed).size, 4);
  t.is(node.ip6.addresses.length, 1);
  t.is(node.ip6.addresses[0]!.state, DUPLICATED);
  t.is(long(format6(node.ip6.addresses[0]!.bytes, 0)), claimed[3]);
});

test("a listener that takes other addresses away during a verdict does no harm", (t) => {
  const node = probed6(t, { dad: 1, addresses: [] });
  const nif = node.nif;
  for (let i = 1; i <= 3; i++) node.ip6.addAddress(nif, `2001:db8::${i}/64`);
  node.ip6.onAddressChange.push((entry, present) => {
    if (!present || entry.state !== PREFERRED) return;
    for (let i = 1; i <= 3; i++) {
      if (node.ip6.entryOf(entry.bytes, 0, nif) === entry && format6(entry.bytes, 0) !== `2001:db8::${i}`)
        node.ip6.removeAddress(nif, `2001:db8::${i}/64`);
    }
  });
  node.world.run(5000);
  t.is(node.ip6.addresses.length, 1);
  t.is(node.ip6.addresses[0]!.state, PREFERRED);
});

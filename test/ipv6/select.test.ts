/** Address selection by the examples of RFC 6724 section 10. */
import test from "ava";
import { createWorld, wire } from "../../ports/sim/index.js";
import { createStack } from "../../stack/core/stack.js";
import { format6, parse6 } from "../../stack/core/text6.js";
import { arp } from "../../stack/ipv4/arp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { DEPRECATED } from "../../stack/ipv6/address.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import { nd } from "../../stack/ipv6/nd.js";
import { select } from "../../stack/ipv6/select.js";
import type { SelectionOptions } from "../../stack/ipv6/select.js";
import { ethernet } from "../../stack/link/ethernet.js";

/** A host with these addresses; `!` before one: deprecated, `~`: temporary. IPv4 ones count as well. */
function host(addresses: string[], options: SelectionOptions = {}) {
  const world = createWorld({ seed: 1 });
  const [link] = wire(world);
  const ip = ipv6({ linkLocal: false });
  const v4 = ipv4();
  const selection = select(options);
  const stack = createStack(world.host(), [ethernet(), arp(), v4, ip, icmpv6(), nd(), selection]);
  const nif = stack.addInterface(link);
  for (const text of addresses) {
    const address = text.replace(/[!~]/, "");
    if (address.includes(":")) {
      const entry = ip.addAddress(nif, address + "/64", { temporary: text.startsWith("~") });
      if (text.startsWith("!")) entry.state = DEPRECATED;
    } else v4.addAddress(nif, address + "/24");
  }
  ip.addRoute("::/0", { gateway: "fe80::99", interface: nif });
  if (v4.addresses.length > 0)
    v4.addRoute("0.0.0.0/0", { gateway: addresses.at(-1)!.replace(/\d+$/, "254") });
  return {
    source(destination: string): string | null {
      const entry = selection.source(nif, parse6(destination)!, 0);
      return entry && format6(entry.bytes, 0);
    },
    sort: (...destinations: string[]) => selection.sort(destinations),
  };
}

// Section 10.1: destination, candidates, choice.
const SOURCES: [string, string[], string][] = [
  ["2001:db8:1::1", ["2001:db8:3::1", "fe80::1"], "2001:db8:3::1"],
  ["ff05::1", ["2001:db8:3::1", "fe80::1"], "2001:db8:3::1"],
  ["2001:db8:1::1", ["2001:db8:1::1", "2001:db8:2::1"], "2001:db8:1::1"],
  ["fe80::1", ["fe80::2", "2001:db8:1::1"], "fe80::2"],
  ["2001:db8:1::1", ["2001:db8:1::2", "2001:db8:3::2"], "2001:db8:1::2"],
  ["2001:db8:1::1", ["2001:db8:1::2", "~2001:db8:1::d5e3:0:0:1"], "2001:db8:1:0:d5e3::1"],
  ["2001:db8:1::1", ["!2001:db8:1::2", "2001:db8:2::2"], "2001:db8:2::2"],
  [
    "2002:c633:6401::1",
    ["2002:c633:6401::d5e3:7953:13eb:22e8", "2001:db8:1::2"],
    "2002:c633:6401:0:d5e3:7953:13eb:22e8",
  ],
];
for (const [destination, candidates, choice] of SOURCES) {
  test(`from ${candidates.join(", ")} to ${destination}: ${choice}`, (t) => {
    t.is(host(candidates).source(destination), choice);
  });
}

// Section 10.2: sources, destinations in the order that is right.
const ORDERS: [string[], string[]][] = [
  [
    ["2001:db8:1::2", "fe80::1", "169.254.13.78"],
    ["2001:db8:1::1", "198.51.100.121"],
  ],
  [
    ["fe80::1", "198.51.100.117"],
    ["198.51.100.121", "2001:db8:1::1"],
  ],
  [
    ["2001:db8:1::2", "fe80::1", "10.1.2.4"],
    ["2001:db8:1::1", "10.1.2.3"],
  ],
  [
    ["2001:db8:1::2", "fe80::2"],
    ["fe80::1", "2001:db8:1::1"],
  ],
  [["2002:c633:6401::2", "2001:db8:1::2", "fe80::2"], ["2002:c633:6401::1", "2001:db8:1::1"].reverse()],
];
for (const [sources, order] of ORDERS) {
  test(`with ${sources.join(", ")}: ${order.join(" before ")}`, (t) => {
    const { sort } = host(sources);
    t.deepEqual(sort(...order), order);
    t.deepEqual(sort(...order.slice().reverse()), order);
  });
}

test("a policy that prefers IPv4 does so (section 10.3)", (t) => {
  const { sort } = host(["2001:db8::2", "198.51.100.117"], {
    policy: [
      { prefix: "::/0", precedence: 40, label: 1 },
      { prefix: "::ffff:0:0/96", precedence: 100, label: 4 },
    ],
  });
  t.deepEqual(sort("2001:db8::1", "198.51.100.121"), ["198.51.100.121", "2001:db8::1"]);
});

test("what is no address is left out; what has no route comes last", (t) => {
  const { sort } = host(["2001:db8::2"]);
  t.deepEqual(sort("nonsense", "198.51.100.121", "2001:db8::1"), ["2001:db8::1", "198.51.100.121"]);
});

/** Ping and raw sockets over IPv6 alone. */
import { ENETUNREACH } from "../../../stack/index.js";
import { KERNEL6, createHostOnly6 } from "../support/only6.js";
import { rawSuite } from "../support/raw-suite.js";

rawSuite({
  create: createHostOnly6,
  kernel: KERNEL6,
  largest: 65527,
  unreachable({ ns, ip6, nif }) {
    ns.sysctl("net.ipv6.conf.all.forwarding", 1);
    ns.ip("-6", "route", "add", "unreachable", "fd99::/16");
    ip6.addRoute("::/0", { gateway: KERNEL6, interface: nif });
  },
  far: "fd99::1",
  // The kernel says "no route" (RFC 4443 section 3.1).
  refusal: ENETUNREACH,
  protocol: 58,
  request: Uint8Array.of(128, 0, 0x72, 0x95, 0x12, 0x34, 0, 1),
  answer: Uint8Array.of(129, 0, 0x71, 0x95, 0x12, 0x34, 0, 1),
});

/** Ping and raw sockets over IPv4. */
import { EHOSTUNREACH } from "../../../stack/index.js";
import { createHost, KERNEL } from "../support/host.js";
import { rawSuite } from "../support/raw-suite.js";

rawSuite({
  create: createHost,
  kernel: KERNEL,
  largest: 65507,
  unreachable({ ns, ip }) {
    ns.sysctl("net.ipv4.ip_forward", 1);
    ns.ip("route", "add", "unreachable", "10.99.0.0/16");
    ip.addRoute("0.0.0.0/0", { gateway: KERNEL });
  },
  far: "10.99.0.1",
  refusal: EHOSTUNREACH,
  protocol: 1,
  request: Uint8Array.of(8, 0, 0xe5, 0xca, 0x12, 0x34, 0, 1),
  answer: Uint8Array.of(0, 0, 0xed, 0xca, 0x12, 0x34, 0, 1),
});

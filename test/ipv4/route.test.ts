/** Configuring routes (RFC 1122 section 3.3.1). */
import test from "ava";
import { probed } from "../support/probe.js";

test("a default route may be set while the interface is down, and serves once it is up", (t) => {
  const { stack, ip, nif } = probed(t);
  stack.setInterface(nif, { enabled: false });
  t.is(ip.addRoute("0.0.0.0/0", { gateway: "10.0.0.254" }).nif, nif);
  t.is(ip.fib.lookup(0x08080808, null), null);
  stack.setInterface(nif, { enabled: true });
  t.is(ip.fib.lookup(0x08080808, null)!.nif, nif);
});

test("a gateway in nobody's network is ENETUNREACH", (t) => {
  const { ip } = probed(t);
  t.throws(() => ip.addRoute("0.0.0.0/0", { gateway: "192.0.2.1" }), { code: "ENETUNREACH" });
});

/** Addresses of an interface and the routes that come with them. */
import test from "ava";
import { EADDRNOTAVAIL } from "../../stack/core/errors.js";
import type { Path4 } from "../../stack/ipv4/path.js";
import { TENTATIVE } from "../../stack/ipv4/address.js";
import type { Ipv4 } from "../../stack/ipv4/ipv4.js";
import { probed } from "../support/probe.js";
import { PROBE_IP, STACK_IP } from "../support/packets.js";

function sourceTo(ip: Ipv4, remote: string, local = ""): string | number {
  const path = ip.createPath() as Path4;
  ip.setLocal(path, local);
  ip.setRemote(path, remote);
  const code = ip.route(path);
  return code < 0 ? code : ip.localText(path);
}

test("two addresses of one network: either may go, and the network stays reachable", (t) => {
  for (const gone of ["10.0.0.1", "10.0.0.9"]) {
    const { ip, nif } = probed(t);
    ip.addAddress(nif, "10.0.0.9/24");
    t.is(sourceTo(ip, PROBE_IP), STACK_IP);
    t.true(ip.removeAddress(nif, gone));
    t.is(sourceTo(ip, PROBE_IP), gone === "10.0.0.9" ? STACK_IP : "10.0.0.9");
  }
});

test("an address in conflict detection does not hide the one in use", (t) => {
  const { ip, nif } = probed(t);
  ip.addresses[0].state = TENTATIVE;
  ip.addAddress(nif, "10.0.0.9/24");
  t.is(sourceTo(ip, PROBE_IP), "10.0.0.9");
});

test("an address is given once, tentative or not, to an interface that is there", (t) => {
  const { ip, nif, stack } = probed(t);
  ip.addresses[0].state = TENTATIVE;
  t.throws(() => ip.addAddress(nif, "10.0.0.1/16"), { code: "EEXIST" });
  t.throws(() => ip.addAddress(nif, 7 as never), { code: "EINVAL" });
  stack.removeInterface(nif);
  t.throws(() => ip.addAddress(nif, "10.0.0.3/24"), { code: "EINVAL" });
});

test("IP4-06 a socket bound to 127.0.0.1 sends nothing to the wire", (t) => {
  const { ip } = probed(t);
  t.is(sourceTo(ip, PROBE_IP, "127.0.0.1"), EADDRNOTAVAIL);
});

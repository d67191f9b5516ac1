/** The kernel's side traces the route to us over IPv6: by UDP to a closed port, ICMPv6 echo, and TCP. */
import test from "ava";
import { OURS6, behind, createHostOnly6 } from "../support/only6.js";

for (const [name, option] of [
  ["UDP", "-U"],
  ["UDP to high ports", "--"],
  ["ICMPv6", "-I"],
  ["TCP", "-T"],
]) {
  test(`traceroute6 by ${name} reaches us, next door and behind a router`, async (t) => {
    const host = await createHostOnly6(t, { payloads: [] });
    const trace = ["-6", "-n", "-w", "20", "-m", "4"];
    const { stdout } = await host.ns.run("traceroute", [...trace, "-q", "3", option, OURS6]);
    t.regex(stdout, new RegExp(`^ 1  ${OURS6}( +[\\d.]+ ms){3} *\n$`, "m"), stdout);
    const routed = await behind(t, host).run("traceroute", [...trace, "-q", "1", option, OURS6]);
    t.regex(
      routed.stdout,
      new RegExp(`^ 1  fd78::1  [\\d.]+ ms\n 2  ${OURS6}  [\\d.]+ ms\n$`, "m"),
      routed.stdout,
    );
  });
}

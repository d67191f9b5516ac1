/** The kernel's side traces the route to us: by UDP to a closed port, ICMP echo, and TCP. */
import test from "ava";
import { createHost, KERNEL, OURS } from "../support/host.js";
import { Namespace } from "../support/namespace.js";

for (const [name, option] of [
  ["UDP", "-U"],
  ["UDP to high ports", "--"],
  ["ICMP", "-I"],
  ["TCP", "-T"],
]) {
  test(`traceroute by ${name} reaches us, next door and behind a router`, async (t) => {
    const { ip, ns } = await createHost(t, { payloads: [] });
    const { stdout } = await ns.run("traceroute", ["-n", "-q", "3", "-w", "20", "-m", "4", option, OURS]);
    t.regex(stdout, new RegExp(`^ 1  ${OURS}( +[\\d.]+ ms){3} *\n$`, "m"), stdout);

    const far = new Namespace();
    t.teardown(() => far.close());
    ns.ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", far.name);
    ns.ip("address", "add", "10.78.0.1/24", "dev", "veth0");
    ns.ip("link", "set", "veth0", "up");
    far.ip("address", "add", "10.78.0.2/24", "dev", "veth0");
    far.ip("link", "set", "veth0", "up");
    far.ip("route", "add", "default", "via", "10.78.0.1");
    ns.sysctl("net.ipv4.ip_forward", 1);
    ip.addRoute("0.0.0.0/0", { gateway: KERNEL });
    const routed = await far.run("traceroute", ["-n", "-q", "1", "-w", "20", "-m", "4", option, OURS]);
    t.regex(routed.stdout, new RegExp(`^ 1  10.78.0.1  [\\d.]+ ms\n 2  ${OURS}  [\\d.]+ ms\n$`, "m"));
  });
}

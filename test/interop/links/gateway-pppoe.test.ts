/** `examples/gateway` with a PPPoE session for its WAN: rp-pppoe's server and pppd in user-mode-linux are the provider. */
import test from "ava";
import { parseConfig } from "../../../examples/gateway/config.js";
import { startGateway } from "../../../examples/gateway/gateway.js";
import { memoryCable } from "../../../ports/node/index.js";
import { inspectAddresses } from "../../../stack/inspect.js";
import { scratch } from "../support/site.js";
import { startUml } from "../support/uml.js";

test("the gateway dials in by CHAP, and the session is its WAN", async (t) => {
  const peer = await startUml(t, ["pppoe", "ppp_async", "ppp_synctty"]);
  await peer.sh(`[ -e /dev/ppp ] || mknod /dev/ppp c 108 0; ip link set vec0 up; mount -t tmpfs tmpfs /etc/ppp;
    mkdir -p /etc/ppp/peers; echo '"me" * "secret" *' > /etc/ppp/chap-secrets; touch /etc/ppp/options;
    printf '%s\\n' require-chap noipv6 > /tmp/options;
    pppoe-server -I vec0 -C ac -S service -L 10.64.0.1 -R 10.64.0.10 -N 4 -O /tmp/options`);
  const config = parseConfig(`{
    "state": "${scratch(t)}",
    "wan": { "link": { "tap": "none" }, "pppoe": { "user": "me", "password": "secret" }, "ipv6": "off" },
    "lan": [{ "name": "lan", "link": { "tap": "none" }, "address": "192.168.7.1/24" }],
  }`);
  const lines: string[] = [];
  const gateway = await startGateway(config, (line) => lines.push(line), {
    wan: peer.link,
    lan: memoryCable()[0],
  });
  t.teardown(() => gateway.close());
  for (let i = 0; i < 150 && !lines.some((line) => line.startsWith("PPPoE: network")); i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  t.true(lines.includes("PPPoE: network 10.64.0.10"), lines.join("\n"));
  t.is(gateway.wan.mtu, 1492);
  t.true(
    inspectAddresses(gateway.parts.four).some(
      (one) => one.interface === "wan" && one.address === "10.64.0.10",
    ),
  );
  t.is(gateway.parts.wall.zone(gateway.wan), "wan");
});

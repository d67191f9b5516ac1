/** `examples/gateway` with a PPPoE session for its WAN: rp-pppoe's server and pppd in user-mode-linux are the provider. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { parseConfig } from "../../../examples/gateway/config.js";
import { startGateway } from "../../../examples/gateway/gateway.js";
import { memoryCable } from "../../../ports/node/index.js";
import { inspectAddresses } from "../../../stack/inspect.js";
import { pause, until } from "../../support/until.js";
import { scratch } from "../support/site.js";
import { startUml } from "../support/uml.js";
import type { Uml } from "../support/uml.js";

/** A concentrator in the other kernel, with pppd's options; our gateway has dialled in by CHAP. */
async function dialIn(t: ExecutionContext, peer: Uml, options: string, wan = "") {
  await peer.sh(`[ -e /dev/ppp ] || mknod /dev/ppp c 108 0; ip link set vec0 up; mount -t tmpfs tmpfs /etc/ppp;
    mkdir -p /etc/ppp/peers; echo '"me" * "secret" *' > /etc/ppp/chap-secrets; touch /etc/ppp/options;
    printf '%s\\n' require-chap ${options} > /tmp/options;
    pppoe-server -I vec0 -C ac -S service -L 10.64.0.1 -R 10.64.0.10 -N 4 -O /tmp/options`);
  const config = parseConfig(`{
    "state": "${scratch(t)}",
    "wan": { "link": { "tap": "none" }, "pppoe": { "user": "me", "password": "secret" } ${wan} },
    "lan": [{ "name": "lan", "link": { "tap": "nowhere" }, "address": "192.168.7.1/24" }],
  }`);
  const lines: string[] = [];
  const gateway = await startGateway(config, (line) => lines.push(line), {
    wan: peer.link,
    lan: memoryCable()[0],
  });
  t.teardown(() => gateway.close());
  await until("the session", () => lines.includes("PPPoE: network 10.64.0.10"));
  return { gateway, lines };
}

const MODULES = ["pppoe", "ppp_async", "ppp_synctty"];

test("the gateway dials in by CHAP, and the session is its WAN", async (t) => {
  const { gateway } = await dialIn(t, await startUml(t, MODULES), "noipv6", ', "ipv6": "off"');
  t.is(gateway.wan.mtu, 1492);
  t.true(
    inspectAddresses(gateway.parts.four).some(
      (one) => one.interface === "wan" && one.address === "10.64.0.10",
    ),
  );
  t.is(gateway.parts.wall.zone(gateway.wan), "wan");
});

const PREFIX = "2001:db8:7700::/56";
const KEA = {
  Dhcp6: {
    "interfaces-config": { interfaces: ["ppp0"] },
    "lease-database": { type: "memfile", persist: false },
    "server-id": { type: "EN", "enterprise-id": 32473, identifier: "0102030405", persist: false },
    loggers: [{ name: "kea-dhcp6", severity: "INFO", output_options: [{ output: "stdout" }] }],
    subnet6: [
      {
        ...{ subnet: "2001:db8:77::/64", interface: "ppp0" },
        "pd-pools": [{ prefix: "2001:db8:7700::", "prefix-len": 56, "delegated-len": 56 }],
      },
    ],
  },
};

test("over the session there is IPv6 as well: an advertised route, and a prefix by DHCPv6 that the LAN has its network of", async (t) => {
  const peer = await startUml(t, MODULES);
  // Its /tmp is its own.
  const put = (name: string, text: string) =>
    peer.sh(`echo ${Buffer.from(text).toString("base64")} | base64 -d > /tmp/${name}`);
  await put("kea.json", JSON.stringify(KEA));
  await put(
    "radvd.conf",
    "interface ppp0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; };\n",
  );
  await peer.sh(
    "ip link set lo up; ip address add 2001:db8:99::1/128 dev lo; sysctl -qw net.ipv6.conf.all.forwarding=1",
  );
  const { gateway, lines } = await dialIn(t, peer, "+ipv6");
  // Kea takes the other end's address of a session for its own, so it is given one that is.
  await peer.sh(`ip address add fe80::1/64 dev ppp0 nodad; (cd /tmp; KEA_LOCKFILE_DIR=/tmp KEA_PIDFILE_DIR=/tmp kea-dhcp6 -c /tmp/kea.json > /tmp/kea.log 2>&1 &
    radvd -n -C /tmp/radvd.conf -p /tmp/radvd.pid > /tmp/radvd.log 2>&1 &)`);
  await until("a prefix", () => lines.includes(`delegated: ${PREFIX}`));
  await until("a route", () =>
    gateway.parts.six.fib.list().some(({ nif, length }) => nif.name === "wan" && length === 0),
  );
  const own = inspectAddresses(gateway.parts.six).find(
    (one) => one.interface === "lan" && /^2001:db8:7700:/.test(one.address),
  );
  t.truthy(own);
  // By the session to who is behind the provider, from the network's own address, and back.
  await peer.sh("ip -6 route add 2001:db8:7700::/56 dev ppp0");
  let answers = 0;
  const ping = gateway.parts.pings.open({
    ...{ address: "2001:db8:99::1", localAddress: own!.address },
    onReply: () => answers++,
  });
  await until("an answer", async () => {
    ping.send();
    await pause(200);
    return answers > 0;
  });
  ping.close();
});

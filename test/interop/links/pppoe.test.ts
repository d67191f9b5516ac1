/** Our PPPoE client with rp-pppoe's server and pppd (in user-mode-linux): CHAP, PAP, both families, large packets, and ends. */
import { createHash } from "node:crypto";
import test from "ava";
import type { ExecutionContext } from "ava";
import { nodeHost } from "../../../ports/node/index.js";
import { nameServers } from "../../../stack/core/name-servers.js";
import { createStack } from "../../../stack/index.js";
import { arp } from "../../../stack/ipv4/arp.js";
import { icmp } from "../../../stack/ipv4/icmp.js";
import { ipv4 } from "../../../stack/ipv4/ipv4.js";
import { icmpv6 } from "../../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../../stack/ipv6/ipv6.js";
import { nd } from "../../../stack/ipv6/nd.js";
import { ethernet } from "../../../stack/link/ethernet.js";
import { ipLink } from "../../../stack/link/ip.js";
import { pppoe } from "../../../stack/ppp/pppoe.js";
import type { PppoeOptions } from "../../../stack/ppp/pppoe.js";
import { findLeaks } from "../../support/leaks.js";
import { PATIENCE, until } from "../../support/until.js";
import { startUml } from "../support/uml.js";

async function setup(t: ExecutionContext) {
  const peer = await startUml(t, ["pppoe", "ppp_async", "ppp_synctty"]);
  const host = nodeHost();
  const parts = { ip: ipv4(), ip6: ipv6({ linkLocal: false }), wan: pppoe() };
  const stack = host.drive(
    createStack(host, [
      ...[ethernet(), ipLink(), arp(), parts.ip, icmp(), parts.ip6, icmpv6(), nd(), parts.wan],
    ]),
  );
  t.teardown(() => {
    stack.close();
    const left = findLeaks(stack);
    if (left.length > 0) throw new Error(left.join("; "));
  });
  const eth0 = stack.addInterface(peer.link, "eth0");
  await peer.sh(`[ -e /dev/ppp ] || mknod /dev/ppp c 108 0; ip link set vec0 up; mount -t tmpfs tmpfs /etc/ppp;
    mkdir -p /etc/ppp/peers; echo '"me" * "secret" *' > /etc/ppp/chap-secrets; cp /etc/ppp/chap-secrets /etc/ppp/pap-secrets;
    touch /etc/ppp/options`);
  const serve = (options: string) =>
    peer.sh(`pkill pppoe-server; sleep 0.1; printf '%s\\n' ${options} > /tmp/options;
      pppoe-server -I vec0 -C ac -S service -L 10.64.0.1 -R 10.64.0.10 -N 4 -O /tmp/options`);
  const connect = async (options: PppoeOptions, phase = "network") => {
    const phases: string[] = [];
    const client = await new Promise<ReturnType<typeof parts.wan.connect>>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${phases.join()} ${JSON.stringify(parts.wan.counters)}`)),
        PATIENCE,
      );
      const made = parts.wan.connect(eth0, {
        name: "ppp0",
        user: "me",
        password: "secret",
        ...options,
        onChange(state) {
          phases.push(state.phase === "down" ? `down (${state.reason})` : state.phase);
          if (state.phase !== phase) return;
          clearTimeout(timer);
          // Both network protocols: the second comes with the next packets.
          setTimeout(() => resolve(made), 300);
        },
      });
    });
    return { client, phases };
  };
  return { peer, stack, eth0, serve, connect, ...parts };
}

const md5 = (data: Uint8Array) => createHash("md5").update(data).digest();
const COMMON = [
  "auth",
  "'ms-dns 10.64.0.53'",
  "+ipv6",
  "debug",
  "'logfile /tmp/log'",
  "noipdefault",
  "'lcp-echo-interval 1'",
].join(" ");

test("CHAP, PAP, a wrong password; addresses, name servers, 1492 bytes in both families; the server ends", async (t) => {
  const { peer, serve, connect, ip, ip6, stack, wan } = await setup(t);
  await serve(`require-chap ${COMMON}`);
  const first = await connect({ md5, service: "service", concentrator: "ac" }).catch(async (error: Error) => {
    t.log(await peer.sh("cat /tmp/log; true"));
    throw error;
  });
  const { client } = first;
  t.regex(first.client.state().address, /^10\.64\.0\.1\d$/);
  t.is(client.nif.mtu, 1492);
  t.deepEqual(
    nameServers(stack)
      .list()
      .map(({ address }) => address),
    ["10.64.0.53"],
  );
  t.is(ip.fib.lookup(0x08080808, null)!.nif, client.nif, "the default route");
  const address = client.state().address;
  t.regex(await peer.sh(`ping -n -c 3 -i 0.05 -w 60 -M do -s 1464 ${address}`), / ([3-9]|\d\d+) received/);
  const own = ip6.addresses.find((entry) => entry.nif === client.nif)!;
  const text = ip6.addressText(own.bytes, 0, null);
  t.regex(text, /^fe80::/);
  t.regex(await peer.sh(`ping -n -c 3 -i 0.05 -w 60 -M do -s 1444 ${text}%ppp0`), / ([3-9]|\d\d+) received/);
  // It wants its echo requests answered each second.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  t.is(client.state().phase, "network");
  client.close();
  t.is(ip.addresses.length, 0);
  t.is(stack.findInterface("ppp0"), null);
  // It ends by our LCP, by our PADT, or because its server, which had the PADT first, says so.
  await until("pppd has ended", async () => (await peer.sh("pgrep -x pppd; true")) === "");
  t.regex(await peer.sh("cat /tmp/log"), /rcvd \[LCP TermReq|Modem hangup/);

  await serve(`require-pap ${COMMON}`);
  const second = await connect({});
  t.regex(
    await peer.sh(`ping -n -c 2 -i 0.05 -w 60 ${second.client.state().address}`),
    / ([2-9]|\d\d+) received/,
  );
  // pppd is told to end: our session is down, and comes again by itself.
  await peer.sh("pkill -TERM pppd; true");
  const isBack = () => second.phases.filter((phase) => phase === "network").length >= 3;
  await until("the session is back", isBack);
  t.true(second.phases.includes("down (peer)"), second.phases.join());
  t.is(second.client.state().phase, "network", second.phases.join());
  second.client.close();

  const third = await connect({ password: "wrong", persist: false, echo: 0 }, "down");
  t.is(third.client.state().reason, "refused");
  third.client.close();
  // Who does not want its password in the clear does not give it.
  const fourth = await connect({ pap: false, md5, persist: false }, "down");
  t.is(fourth.client.state().address, "");
  fourth.client.close();
  t.is(wan.counters.malformed + wan.counters.unknownProtocol, 0);
});

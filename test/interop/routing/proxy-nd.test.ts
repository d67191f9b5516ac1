/** A kernel that takes the other network for its own link: we answer for those that we are told to, and pass on what comes. */
import test from "ava";
import { proxyNd } from "../../../stack/ipv6/proxy-nd.js";
import { pingFrom } from "../support/ping.js";
import { WAN_HOST6, createGateway } from "../support/gateway.js";

test("the kernel resolves a host of another link by our word, and reaches it", async (t) => {
  const proxy = proxyNd();
  const { lan, lanNif, ip6 } = await createGateway(t, { components: [proxy] });
  const ping = async (host: string) =>
    (await lan.run("ping", ["-n", "-c", "1", "-W", "3", host], { codes: null })).stdout;
  lan.ip("-6", "route", "add", `${WAN_HOST6}/128`, "dev", "lan0");
  t.regex(await ping(WAN_HOST6), /100% packet loss/);
  proxy.add(lanNif, WAN_HOST6);
  lan.ip("-6", "neigh", "flush", "dev", "lan0");
  await pingFrom(t, lan, WAN_HOST6, { count: 1 });
  t.regex(lan.ip("-6", "neigh"), new RegExp(`${WAN_HOST6} dev lan0 lladdr [0-9a-f:]+ router REACHABLE`));
  // Of its own link it answers for nobody, whatever it was told.
  proxy.add(lanNif, "fd01::77");
  t.regex(await ping("fd01::77"), /Unreachable|100% packet loss/);
  t.true(proxy.remove(lanNif, WAN_HOST6));
  t.false(proxy.remove(lanNif, WAN_HOST6));
  for (const bad of ["fe80::1", "ff02::1", "::", "10.0.0.1", "x"])
    t.throws(() => proxy.add(lanNif, bad), { code: "EINVAL" });
  const groups = ip6.groups.length;
  for (let i = 0; i < 64; i++) {
    try {
      proxy.add(lanNif, `fd99::${i + 1}`);
    } catch (error) {
      t.is((error as { code: string }).code, "ENOBUFS");
    }
  }
  t.true(ip6.groups.length <= 64 && ip6.groups.length > groups);
});

/** RIPv2 and RIPng with bird on both ways to a network: routes are exchanged, and traffic takes the other way when a link fails. */
import test from "ava";
import { igmp } from "../../../stack/ipv4/igmp.js";
import { rip } from "../../../stack/routing/rip.js";
import { ripAuthentication } from "../../../stack/routing/rip-authentication.js";
import { ripng } from "../../../stack/routing/ripng.js";
import { until } from "../../support/until.js";
import { FAR, FAR6, heals, triangle } from "../support/routers.js";

const bird = (id: string, device: string, cost: number, authentication: string) => `
router id ${id};
protocol device { scan time 1; }
protocol direct { ipv4; ipv6; interface "far0"; }
protocol kernel { ipv4 { export all; }; }
protocol kernel { ipv6 { export all; }; }
protocol rip four {
  ipv4 { import all; export all; };
  interface "${device}" { version 2; update time 3; timeout time 10; garbage time 5; metric ${cost};
    ${authentication} };
}
protocol rip ng six {
  ipv6 { import all; export all; };
  interface "${device}" { update time 3; timeout time 10; garbage time 5; metric ${cost}; };
}`;

const PLAIN = 'authentication plaintext; password "sesame";';
const HMAC = 'authentication cryptographic; password "open sesame" { id 7; algorithm hmac sha256; };';

test("bird tells us of a network by two ways, and we tell bird; the near one fails, and traffic goes by the other", async (t) => {
  const options = { update: 3, timeout: 10, garbage: 5 };
  const [four, six] = [rip(options), ripng(options)];
  const net = await triangle(t, { components: [igmp(), four, six] });
  const { a, b, ip, ip6, lanNif, wanNif } = net;
  for (const [nif, cost] of [
    [lanNif, 1],
    [wanNif, 3],
  ] as const) {
    const key = { keyId: 7, secret: Uint8Array.from(Buffer.from("open sesame")), clock: Date.now };
    four.enable(nif, {
      cost,
      ...(nif === lanNif ? { authentication: ripAuthentication(key) } : { password: "sesame" }),
    });
    six.enable(nif, { cost });
  }
  const first = await net.bird(a, bird("10.1.0.2", "lan0", 1, HMAC));
  await net.bird(b, bird("10.2.0.2", "wan0", 1, PLAIN));
  const near = () =>
    ip.fib.lookup((10 << 24) | (9 << 16) | 2, null)?.nif.name === "lan0" &&
    ip6.fib.list().some((route) => route.origin === "ripng" && route.nif === lanNif && route.prefix[1] === 9);
  await until("bird's routes", near);
  // Ours in bird, and in the kernel: the network between us and the other one.
  await first.daemon.until(async () => /10\.2\.0\.0\/24.*four/.test(await first.show("route")));
  await first.daemon.until(async () => /fd02::\/64.*six/.test(await first.show("route")));
  await first.daemon.until(() => a.ip("route").includes("10.2.0.0/24 via 10.1.0.1"));
  await heals(b, "10.1.0.2", "10.2.0.2");
  for (const host of [FAR, FAR6]) await net.reach(host);
  // Then a's link fails.
  a.ip("link", "set", "lan0", "down");
  const start = performance.now();
  await until("the other way", () => ip.fib.lookup((10 << 24) | (9 << 16) | 2, null)?.nif.name === "wan0");
  t.log(`routes moved after ${Math.round(performance.now() - start)} ms`);
  for (const host of [FAR, FAR6]) await net.reach(host);
  t.log(`answers by the other way after ${Math.round(performance.now() - start)} ms`);
  t.is(four.counters.malformed + four.counters.badEntry + four.counters.badPassword, 0);
  t.is(six.counters.malformed + six.counters.badEntry, 0);
});

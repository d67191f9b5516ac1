/** A flood of SYNs with forged sources by hping3 over a TAP (RFC 4987): the kernel's clients connect all the same. */
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { synCookies } from "../../../stack/tcp/syn-cookies.js";
import type { CookieCounters } from "../../../stack/tcp/syn-cookies.js";
import { tcpClient, tcpEcho } from "../support/apps.js";
import { KERNEL, OURS, createHost } from "../support/host.js";

test("TCP-13 TCP-24 hping3 forges 10,000 SYNs a second: 200 of 200 connections by cookies carry their data", async (t) => {
  const { ip, ns, tcp, stack } = await createHost(t, {
    tcp: { cookies: synCookies() },
    captureLimit: 1 << 20,
    // Forged SYNs use ports again and again.
    expected: ({ severity }) => severity !== "malformed",
  });
  ip.addRoute("0.0.0.0/0", { gateway: KERNEL });
  const listener = tcpEcho(tcp, 7, { backlog: 8 });
  const flood = ns.start("hping3", ["-q", "-S", "-p", "7", "-i", "u100", "--rand-source", OURS]);
  const counters = stack.counters.cookies as unknown as CookieCounters;
  while (counters.sent < 1000) await sleep(10);
  for (let round = 0; round < 4; round++) t.is(await tcpClient(ns, "many", OURS, 7, 50, 3000), "ok");
  t.true(listener.halfOpen <= 8);
  t.true(counters.accepted > 100, "the queue was full");
  await flood.stop();
  t.log(
    `${tcp.counters.received} segments, ${counters.sent} cookies, ${counters.accepted} came back, ${tcp.counters.accepts} connections`,
  );
  t.is(tcp.counters.accepts, 200);
  listener.close();
});

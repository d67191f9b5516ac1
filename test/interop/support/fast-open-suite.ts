/** TCP Fast Open against the kernel, as server and as client, whichever family the host has. */
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import type { ExecutionContext } from "ava";
import { fastOpen } from "../../../stack/tcp/fast-open.js";
import type { FastOpen, FastOpenCounters } from "../../../stack/tcp/fast-open.js";
import { TCP_CLIENT, tcpClient, tcpEcho } from "./apps.js";
import type { CabledHost, HostOptions } from "./host.js";
import type { Namespace } from "./namespace.js";

/** The tests, for hosts that `create` makes; `kernel` and `ours` are the two ends' addresses. */
export function fastOpenSuite(
  create: (t: ExecutionContext, options: HostOptions) => Promise<CabledHost>,
  kernel: string,
  ours: string,
): void {
  test("Fast Open, the kernel as client: it asks, and its data come with the SYN; a cookie of an old key, and no room", async (t) => {
    const part = fastOpen({ rotation: 1000 });
    const { ns, tcp, stack } = await create(t, { components: [part] });
    const counters = stack.counters.fastOpen as unknown as FastOpenCounters;
    await ns.run("sysctl", ["-q", "-w", "net.ipv4.tcp_fastopen=3"]);
    const listener = tcpEcho(tcp, 7, { fastOpen: true });
    t.deepEqual(await tcpClient(ns, "early", ours, 7, 10), [false], "it has no cookie yet");
    t.is(counters.granted, 1);
    while (counters.accepted < 3) {
      // Loaded machines may let two periods pass between two SYNs: then the cookie is refused, and the data come all the same.
      for (const outcome of await tcpClient<unknown[]>(ns, "early", ours, 7, 1, 1000, 3000))
        t.is(typeof outcome, "boolean", String(outcome));
    }
    t.is(await nstat(ns, "TCPFastOpenActive"), counters.accepted);
    const { invalid } = counters;
    await sleep(2500);
    t.deepEqual(await tcpClient(ns, "early", ours, 7, 500), [false]);
    t.is(counters.invalid, invalid + 1);
    listener.close();
    t.is(tcp.counters.badAck + tcp.counters.noPort, 0);
  });

  test("Fast Open, the kernel as server: our data are taken with the SYN; its key changes, and it stops taking them", async (t) => {
    const part = fastOpen();
    const { ns, stack } = await create(t, { components: [part] });
    const counters = stack.counters.fastOpen as unknown as FastOpenCounters;
    const sysctl = (setting: string) => ns.run("sysctl", ["-q", "-w", "net.ipv4." + setting]);
    await sysctl("tcp_fastopen=3");
    const daemon = ns.start("python3", [TCP_CLIENT, "serve", kernel, "9", "16"]);
    while (!(await ns.run("ss", ["-Hltn", "sport = :9"])).stdout.includes(":9")) await sleep(20);
    const echoes = async (length: number) =>
      t.deepEqual(await exchange(part, kernel, length), new Uint8Array(length).fill(7));
    await echoes(100);
    t.deepEqual([counters.asked, counters.sent], [1, 0]);
    for (const length of [1, 1000, 5000]) await echoes(length);
    t.deepEqual([counters.sent, counters.taken, counters.refused], [3, 3, 0]);
    t.is(await nstat(ns, "TCPFastOpenPassive"), 3);
    await sysctl("tcp_fastopen_key=01234567-89abcdef-01234567-89abcdef");
    for (const length of [1000, 1000]) await echoes(length);
    t.deepEqual([counters.taken, counters.refused], [4, 1], "the second with the new cookie");
    t.is(await nstat(ns, "TCPFastOpenPassiveFail"), 1);
    await sysctl("tcp_fastopen=1");
    await echoes(1000);
    t.deepEqual([counters.taken, counters.refused], [4, 2]);
    await daemon.stop();
  });
}

/** A counter of the kernel's, since the namespace was made. */
async function nstat(ns: Namespace, name: string): Promise<number> {
  const { stdout } = await ns.run("nstat", ["-a", "-z", "-s", "TcpExt" + name]);
  return Number(/\s(\d+)\s/.exec(stdout.split("\n")[1]!)![1]);
}

/** Sends `length` bytes to the echo at `address`, with the SYN where that may be; what comes back. */
function exchange(part: FastOpen, address: string, length: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const back = new Uint8Array(length);
    let at = 0;
    part.connect(
      {
        address,
        port: 9,
        onReadable() {
          at += this.read(back, at);
          if (at === length) this.shutdown();
        },
        onEnd() {
          this.close();
          resolve(back.subarray(0, at));
        },
        onClose: (code) => reject(new Error("closed: " + code)),
      },
      new Uint8Array(length).fill(7),
    );
  });
}

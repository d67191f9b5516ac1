/** TCP's optional parts against the kernel: ECN both ways with marks on the way, streams with every part there is, Fast Open. */
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { markCongestion } from "../../../ports/sim/mark.js";
import { bbr } from "../../../stack/tcp/bbr.js";
import { cubic } from "../../../stack/tcp/cubic.js";
import { ecn } from "../../../stack/tcp/ecn.js";
import { fastOpen } from "../../../stack/tcp/fast-open.js";
import type { FastOpen, FastOpenCounters } from "../../../stack/tcp/fast-open.js";
import { frto } from "../../../stack/tcp/frto.js";
import { hystart } from "../../../stack/tcp/hystart.js";
import { pacing } from "../../../stack/tcp/pacing.js";
import { prr } from "../../../stack/tcp/prr.js";
import { rack } from "../../../stack/tcp/rack.js";
import { TCP_CLIENT, tcpClient, tcpEcho } from "../support/apps.js";
import { createHost, KERNEL, OURS } from "../support/host.js";
import type { Namespace } from "../support/namespace.js";

const ETHERNET = 14;

test("the kernel and we agree on ECN; marks on the way slow either side down, and nothing is taken for lost", async (t) => {
  const { ns, tcp, nif } = await createHost(t, { tcp: { ecn: ecn() }, stack: { packetMemory: 16 << 20 } });
  await ns.run("sysctl", ["-q", "-w", "net.ipv4.tcp_ecn=1"]);
  // A router that finds its queue long at every fiftieth packet, in both directions.
  const marked = { in: 0, out: 0 };
  let count = 0;
  const receive = nif.receive.bind(nif);
  nif.receive = (frame, start, end, checksum) => {
    if (++count % 50 === 0 && markCongestion(frame, start + ETHERNET)) marked.in++;
    receive(frame, start, end, checksum);
  };
  const transmit = nif.link.transmit.bind(nif.link);
  nif.link.transmit = (frame, start, end, offload) => {
    if (++count % 50 === 0 && markCongestion(frame, start + ETHERNET)) marked.out++;
    return transmit(frame, start, end, offload);
  };
  const listener = tcpEcho(tcp, 7);
  t.is(await tcpClient(ns, "echo", OURS, 7, 2e6), "ok");
  listener.close();
  const { congestionMarks, congestionEchoes, fastRetransmits } = tcp.counters;
  t.log(`marked ${marked.in} in, ${marked.out} out; ${congestionMarks} seen, ${congestionEchoes} echoes`);
  t.true(marked.in > 0 && marked.out > 0);
  t.is(congestionMarks, marked.in);
  t.true(congestionEchoes > 0 && congestionEchoes <= marked.out);
  // A busy machine may let the retransmission timer fire; no loss is seen.
  t.is(fastRetransmits, 0);
  // The kernel has seen our marks and our slowing down.
  const { stdout } = await ns.run("nstat", ["-a", "-z", "-s", "TcpExtTCPDeliveredCE", "IpExtInCEPkts"]);
  t.true(Number(/IpExtInCEPkts\s+(\d+)/.exec(stdout)![1]) === marked.out, stdout);
  t.true(Number(/TcpExtTCPDeliveredCE\s+(\d+)/.exec(stdout)![1]) > 0, stdout);
});

const AT_ONCE = {
  "CUBIC, HyStart++, PRR, pacing, RACK-TLP and F-RTO": pacing(prr(cubic({ slowStart: hystart() }))),
  "BBR, RACK-TLP and F-RTO": bbr(),
};

for (const [names, congestion] of Object.entries(AT_ONCE))
  test(`${names} at once, with frames lost on the way`, async (t) => {
    const parts = { congestion, recovery: frto(rack()), ecn: ecn() };
    const { ns, tcp, nif } = await createHost(t, {
      tcp: parts,
      stack: { packetMemory: 16 << 20 },
      // What the cable swallows is missing in the capture too.
      expected: ({ message }) => /^(Previous|ACKed) segment/.test(message),
    });
    let count = 0;
    const transmit = nif.link.transmit.bind(nif.link);
    // Every 97th of our frames vanishes: data segments, retransmissions and acknowledgements as it comes.
    nif.link.transmit = (frame, start, end, offload) =>
      ++count % 97 === 0 ? 0 : transmit(frame, start, end, offload);
    const listener = tcpEcho(tcp, 7);
    t.is(await tcpClient(ns, "echo", OURS, 7, 1448, 65536, 3e6), "ok");
    listener.close();
    const { retransmitted, timeouts, tailProbes } = tcp.counters;
    t.log(`${retransmitted} retransmissions, ${tailProbes} tail probes, ${timeouts} timeouts`);
    t.true(retransmitted > 0);
  });

/** A counter of the kernel's, since the namespace was made. */
async function nstat(ns: Namespace, name: string): Promise<number> {
  const { stdout } = await ns.run("nstat", ["-a", "-z", "-s", "TcpExt" + name]);
  return Number(/\s(\d+)\s/.exec(stdout.split("\n")[1]!)![1]);
}

test("Fast Open, the kernel as client: it asks, and its data come with the SYN; a cookie of an old key, and no room", async (t) => {
  const part = fastOpen({ rotation: 1000 });
  const { ns, tcp, stack } = await createHost(t, { components: [part] });
  const counters = stack.counters.fastOpen as unknown as FastOpenCounters;
  await ns.run("sysctl", ["-q", "-w", "net.ipv4.tcp_fastopen=3"]);
  const listener = tcpEcho(tcp, 7, { fastOpen: true });
  t.deepEqual(await tcpClient(ns, "early", OURS, 7, 10), [false], "it has no cookie yet");
  t.is(counters.granted, 1);
  while (counters.accepted < 3) {
    // Loaded machines may let two periods pass between two SYNs: then the cookie is refused, and the data come all the same.
    for (const outcome of await tcpClient<unknown[]>(ns, "early", OURS, 7, 1, 1000, 3000))
      t.is(typeof outcome, "boolean", String(outcome));
  }
  t.is(await nstat(ns, "TCPFastOpenActive"), counters.accepted);
  const { invalid } = counters;
  await sleep(2500);
  t.deepEqual(await tcpClient(ns, "early", OURS, 7, 500), [false]);
  t.is(counters.invalid, invalid + 1);
  listener.close();
  t.is(tcp.counters.badAck + tcp.counters.noPort, 0);
});

test("Fast Open, the kernel as server: our data are taken with the SYN; its key changes, and it stops taking them", async (t) => {
  const part = fastOpen();
  const { ns, stack } = await createHost(t, { components: [part] });
  const counters = stack.counters.fastOpen as unknown as FastOpenCounters;
  const sysctl = (setting: string) => ns.run("sysctl", ["-q", "-w", "net.ipv4." + setting]);
  await sysctl("tcp_fastopen=3");
  const daemon = ns.start("python3", [TCP_CLIENT, "serve", KERNEL, "9", "16"]);
  while (!(await ns.run("ss", ["-Hltn", "sport = :9"])).stdout.includes(":9")) await sleep(20);
  const echoes = async (length: number) =>
    t.deepEqual(await exchange(part, length), new Uint8Array(length).fill(7));
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

/** Sends `length` bytes to the kernel's echo, with the SYN where that may be; what comes back. */
function exchange(part: FastOpen, length: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const back = new Uint8Array(length);
    let at = 0;
    part.connect(
      {
        address: KERNEL,
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

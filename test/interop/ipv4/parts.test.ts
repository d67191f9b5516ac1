/** TCP's optional parts against the kernel: ECN both ways with marks on the way, accurate ECN, streams with every part there is, Fast Open. */
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { markCongestion } from "../../../ports/sim/mark.js";
import { bbr } from "../../../stack/tcp/bbr.js";
import { cubic } from "../../../stack/tcp/cubic.js";
import { accecn } from "../../../stack/tcp/accecn.js";
import type { AccurateCounters } from "../../../stack/tcp/accecn.js";
import { ecn } from "../../../stack/tcp/ecn.js";
import { frto } from "../../../stack/tcp/frto.js";
import { hystart } from "../../../stack/tcp/hystart.js";
import { pacing } from "../../../stack/tcp/pacing.js";
import { prr } from "../../../stack/tcp/prr.js";
import { rack } from "../../../stack/tcp/rack.js";
import type { Tcp } from "../../../stack/tcp/tcp.js";
import { until } from "../../support/until.js";
import { TCP_CLIENT, tcpClient, tcpEcho } from "../support/apps.js";
import { fastOpenSuite } from "../support/fast-open-suite.js";
import { createHost, KERNEL, OURS } from "../support/host.js";
import { run } from "../support/process.js";

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

fastOpenSuite(createHost, KERNEL, OURS);

for (const [setting, active, passive] of [
  [0, false, false],
  [1, true, true],
  [2, true, false],
] as const)
  test(`accurate ECN falls back to what a kernel knows with tcp_ecn=${setting}, whoever opens the connection`, async (t) => {
    const { ns, tcp, nif, stack } = await createHost(t, { tcp: { ecn: accecn() } });
    await ns.run("sysctl", ["-q", "-w", "net.ipv4.tcp_ecn=" + setting]);
    let [count, marked] = [0, 0];
    const receive = nif.receive.bind(nif);
    nif.receive = (frame, start, end, checksum) => {
      if (++count % 20 === 0 && markCongestion(frame, start + ETHERNET)) marked++;
      receive(frame, start, end, checksum);
    };
    const listener = tcpEcho(tcp, 7);
    t.is(await tcpClient(ns, "echo", OURS, 7, 3e5), "ok");
    listener.close();
    const counters = stack.counters.accecn as unknown as AccurateCounters;
    t.is(counters.fallbacks, passive ? 1 : 0);
    const daemon = ns.start("python3", [TCP_CLIENT, "serve", KERNEL, "9"]);
    while (!(await ns.run("ss", ["-Hltn", "sport = :9"])).stdout.includes(":9")) await sleep(20);
    t.is(await echoed(tcp, KERNEL, 9, 300_000), 300_000);
    await daemon.stop();
    t.deepEqual([counters.agreed, counters.fallbacks], [0, Number(active) + Number(passive)]);
    t.is(marked > 0, active);
    t.is(tcp.counters.congestionMarks, marked);
    t.is(tcp.counters.fastRetransmits, 0);
  });

/** Sends `length` bytes to an echo; how many came back. */
function echoed(tcp: Tcp, address: string, port: number, length: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const buffer = new Uint8Array(65536);
    let [sent, back] = [0, 0];
    tcp.connect({
      address,
      port,
      onConnect() {
        this.handle({
          onWritable() {
            while (sent < length && this.write(buffer, 0, Math.min(10_000, length - sent)) > 0)
              sent += Math.min(10_000, length - sent);
            if (sent === length) this.shutdown();
          },
          onReadable() {
            for (let n = this.read(buffer); n > 0; n = this.read(buffer)) back += n;
          },
          onEnd() {
            this.close();
            resolve(back);
          },
          onClose: (code) => reject(new Error("closed: " + code)),
        });
      },
      onClose: (code) => reject(new Error("closed: " + code)),
    });
  });
}

test("accurate ECN through a kernel that forwards: it counts the marks, tshark reads flags and options, and both ends agree", async (t) => {
  const parts = () => ({ tcp: { ecn: accecn(), maximumReceiveBuffer: 65536 } });
  const near = await createHost(t, parts());
  near.ip.addRoute("0.0.0.0/0", { gateway: KERNEL });
  const far = await createHost(t, {
    ...parts(),
    namespace: near.ns,
    device: "tap1",
    address: "10.78.0.2/24",
    kernel: "10.78.0.1",
  });
  far.ip.addRoute("0.0.0.0/0", { gateway: "10.78.0.1" });
  near.ns.sysctl("net.ipv4.ip_forward", 1);
  let [count, made] = [0, 0];
  const transmit = near.nif.link.transmit.bind(near.nif.link);
  near.nif.link.transmit = (frame, start, end, offload) => {
    if (++count % 10 === 0 && markCongestion(frame, start + ETHERNET)) made++;
    return transmit(frame, start, end, offload);
  };
  const LENGTH = 1e6;
  let received = 0;
  const buffer = new Uint8Array(65536);
  const listener = far.tcp.listen({
    port: 7,
    onConnection: (socket) =>
      socket.handle({
        onReadable() {
          for (let n = this.read(buffer); n > 0; n = this.read(buffer)) received += n;
        },
      }),
  });
  let sent = 0;
  const pump = () => {
    while (sent < LENGTH && socket.write(buffer, 0, 10_000) > 0) sent += 10_000;
  };
  const socket = near.tcp.connect({ address: "10.78.0.2", port: 7, onConnect: pump, onWritable: pump });
  await until(
    "all marks are told of",
    () => received === LENGTH && near.tcp.counters.congestionEchoes === made,
  );
  t.true(made > 50, `${made} marks`);
  t.is(far.tcp.counters.congestionMarks, made);
  const counters = near.stack.counters.accecn as unknown as AccurateCounters;
  t.is(counters.incapable, 0);
  t.true(counters.optionsReceived > 50);
  const { stdout } = await near.ns.run("nstat", ["-a", "-z", "-s", "IpExtInCEPkts"]);
  t.is(Number(/IpExtInCEPkts\s+(\d+)/.exec(stdout)![1]), made);
  const lines = async (filter: string, ...fields: string[]) => {
    const parameters = ["-n", "-r", near.capture, "-Y", filter, "-T", "fields"];
    const { stdout: text } = await run("tshark", [
      ...parameters,
      ...fields.flatMap((field) => ["-e", field]),
    ]);
    return text.trim().split("\n");
  };
  const flags = ["tcp.flags.ae", "tcp.flags.cwr", "tcp.flags.ece"];
  t.deepEqual(await lines("tcp.flags.syn == 1", ...flags), ["1\t1\t1", "0\t1\t0"]);
  t.is(
    (await lines("tcp.srcport == 7 && tcp.flags.syn == 0", "tcp.flags.ace")).at(-1),
    String((5 + made) & 7),
  );
  const marked = await lines("ip.dsfield.ecn == 3", "tcp.len");
  t.is(marked.length, made);
  const bytes = marked.reduce((sum, text) => sum + Number(text), 0);
  t.is((await lines("tcp.srcport == 7", "tcp.options.acc_ecn.eceb")).filter(Boolean).at(-1), String(bytes));
  socket.abort();
  listener.close();
  await until("the connection is gone", () => far.tcp.connections.size === 0);
});

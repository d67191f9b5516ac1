/** TCP's optional parts against the kernel: ECN both ways with marks on the way, and streams with every part there is. */
import test from "ava";
import { markCongestion } from "../../../ports/sim/mark.js";
import { cubic } from "../../../stack/tcp/cubic.js";
import { ecn } from "../../../stack/tcp/ecn.js";
import { frto } from "../../../stack/tcp/frto.js";
import { hystart } from "../../../stack/tcp/hystart.js";
import { prr } from "../../../stack/tcp/prr.js";
import { rack } from "../../../stack/tcp/rack.js";
import { tcpClient, tcpEcho } from "../support/apps.js";
import { createHost, OURS } from "../support/host.js";

const ETHERNET = 14;

test("the kernel and we agree on ECN; marks on the way slow either side down, and nothing is sent twice", async (t) => {
  const { ns, tcp, nif } = await createHost(t, { tcp: { ecn: ecn() }, stack: { budget: 16 << 20 } });
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
  const { congestionMarks, congestionEchoes, retransmitted } = tcp.counters;
  t.log(`marked ${marked.in} in, ${marked.out} out; ${congestionMarks} seen, ${congestionEchoes} echoes`);
  t.true(marked.in > 0 && marked.out > 0);
  t.is(congestionMarks, marked.in);
  t.true(congestionEchoes > 0 && congestionEchoes <= marked.out);
  t.is(retransmitted, 0);
  // The kernel has seen our marks and our slowing down.
  const { stdout } = await ns.run("nstat", ["-a", "-z", "-s", "TcpExtTCPDeliveredCE", "IpExtInCEPkts"]);
  t.true(Number(/IpExtInCEPkts\s+(\d+)/.exec(stdout)![1]) === marked.out, stdout);
  t.true(Number(/TcpExtTCPDeliveredCE\s+(\d+)/.exec(stdout)![1]) > 0, stdout);
});

test("CUBIC, HyStart++, PRR, RACK-TLP and F-RTO at once, with frames lost on the way", async (t) => {
  const parts = {
    congestion: prr(cubic({ slowStart: hystart() })),
    recovery: frto(rack()),
    ecn: ecn(),
  };
  const { ns, tcp, nif } = await createHost(t, {
    tcp: parts,
    stack: { budget: 16 << 20 },
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

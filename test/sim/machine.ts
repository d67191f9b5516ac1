/** A computer of the campaign: a stack on a link, which can lose its power and start again with nothing but its address. */
import type { SimHost, SimLink, World } from "../../ports/sim/index.js";
import type { Interface } from "../../stack/core/interface.js";
import { createStack } from "../../stack/core/stack.js";
import type { Component, Stack } from "../../stack/core/stack.js";
import { arp } from "../../stack/ipv4/arp.js";
import type { Arp } from "../../stack/ipv4/arp.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import type { Ipv4 } from "../../stack/ipv4/ipv4.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import { dad } from "../../stack/ipv6/dad.js";
import { fragments6 } from "../../stack/ipv6/fragments.js";
import { icmpv6 } from "../../stack/ipv6/icmpv6.js";
import { ipv6 } from "../../stack/ipv6/ipv6.js";
import type { Ipv6 } from "../../stack/ipv6/ipv6.js";
import { mld } from "../../stack/ipv6/mld.js";
import { nd } from "../../stack/ipv6/nd.js";
import { pmtu6 } from "../../stack/ipv6/pmtu.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { ipLink } from "../../stack/link/ip.js";
import { ping } from "../../stack/raw/ping.js";
import type { Ping } from "../../stack/raw/ping.js";
import { newReno } from "../../stack/tcp/congestion.js";
import { cubic } from "../../stack/tcp/cubic.js";
import { ecn } from "../../stack/tcp/ecn.js";
import { frto } from "../../stack/tcp/frto.js";
import { hystart } from "../../stack/tcp/hystart.js";
import { prr } from "../../stack/tcp/prr.js";
import { rack } from "../../stack/tcp/rack.js";
import { sackRecovery } from "../../stack/tcp/recovery.js";
import { tcp } from "../../stack/tcp/tcp.js";
import type { Tcp, TcpConfiguration } from "../../stack/tcp/tcp.js";
import { udp } from "../../stack/udp/udp.js";
import type { Udp } from "../../stack/udp/udp.js";
import type { MachinePlan } from "./plan.js";

/** The parts of TCP in combinations: by seed and number, so that all of them meet. */
const TCP_PARTS: (() => TcpConfiguration)[] = [
  () => ({}),
  () => ({ congestion: prr(cubic({ slowStart: hystart() })), recovery: rack() }),
  () => ({ congestion: cubic(), ecn: ecn() }),
  () => ({ congestion: prr(newReno({ slowStart: hystart() })) }),
  () => ({ recovery: frto(rack()), ecn: ecn() }),
  () => ({ recovery: frto(sackRecovery()) }),
];

export class Machine {
  /** How often it has started. What belongs to an earlier life is gone. */
  life = 0;
  host: SimHost = null as never;
  stack: Stack = null as never;
  nif: Interface = null as never;
  ip: Ipv4 = null as never;
  /** IPv6, where the plan has it. */
  ip6: Ipv6 | null = null;
  arp: Arp = null as never;
  udp: Udp = null as never;
  tcp: Tcp = null as never;
  ping: Ping = null as never;
  on = false;
  /** Called at each start: the services come up. */
  readonly onStart: (() => void)[] = [];
  /** Called when the power fails. */
  readonly onPowerOff: (() => void)[] = [];

  constructor(
    readonly world: World,
    readonly plan: MachinePlan,
    readonly link: SimLink,
    /** Its number: 10.0.0.1 and fd00::1, ... */
    readonly number: number,
    private readonly six: boolean,
  ) {
    this.start();
  }

  get address(): string {
    return "10.0.0." + this.number;
  }

  get address6(): string {
    return "fd00::" + this.number;
  }

  start(): void {
    this.life++;
    this.on = true;
    this.host = this.world.host();
    this.ip = ipv4();
    this.arp = arp();
    this.udp = udp();
    this.tcp = tcp(TCP_PARTS[(this.world.seed + this.number) % TCP_PARTS.length]!());
    this.ping = ping();
    const { packetMemory, chunkSize } = this.plan;
    const components: Component[] = [ethernet(), ipLink(), this.arp, this.ip, fragments(), icmp(), pmtu()];
    if (this.six) {
      this.ip6 = ipv6();
      components.push(this.ip6, icmpv6(), fragments6(), pmtu6(), mld(), nd(), dad());
    }
    components.push(this.udp, this.tcp, this.ping);
    this.stack = createStack(this.host, components, { packetMemory, chunkSize });
    this.host.drive(this.stack);
    this.nif = this.stack.addInterface(this.link);
    this.addAddresses();
    for (const start of this.onStart) start();
  }

  /** Gives it the addresses that it does not have. */
  addAddresses(): void {
    const { ip, ip6, nif } = this;
    if (!ip.addresses.some((entry) => entry.nif === nif)) ip.addAddress(nif, this.address + "/24");
    if (ip6 && !ip6.addresses.some((entry) => entry.origin === "manual"))
      ip6.addAddress(nif, this.address6 + "/64");
  }

  removeAddresses(): void {
    this.ip.removeAddress(this.nif, this.address);
    this.ip6?.removeAddress(this.nif, this.address6);
  }

  /** Power fails: nothing is said to anybody, what was in memory is gone. */
  powerOff(): void {
    if (!this.on) return;
    this.on = false;
    this.host.powerOff();
    this.link.close();
    for (const off of this.onPowerOff) off();
  }
}

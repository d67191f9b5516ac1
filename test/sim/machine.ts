/** A computer of the campaign: a stack on a link, which can lose its power and start again with nothing but its address. */
import type { SimHost, SimLink, World } from "../../ports/sim/index.js";
import type { Interface } from "../../stack/core/interface.js";
import { createStack } from "../../stack/core/stack.js";
import type { Stack } from "../../stack/core/stack.js";
import { arp } from "../../stack/ipv4/arp.js";
import type { Arp } from "../../stack/ipv4/arp.js";
import { fragments } from "../../stack/ipv4/fragments.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import type { Ipv4 } from "../../stack/ipv4/ipv4.js";
import { pmtu } from "../../stack/ipv4/pmtu.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { ipLink } from "../../stack/link/ip.js";
import { ping } from "../../stack/raw/ping.js";
import type { Ping } from "../../stack/raw/ping.js";
import { tcp } from "../../stack/tcp/tcp.js";
import type { Tcp } from "../../stack/tcp/tcp.js";
import { udp } from "../../stack/udp/udp.js";
import type { Udp } from "../../stack/udp/udp.js";
import type { MachinePlan } from "./plan.js";

export class Machine {
  /** How often it has started. What belongs to an earlier life is gone. */
  life = 0;
  host: SimHost = null as never;
  stack: Stack = null as never;
  nif: Interface = null as never;
  ip: Ipv4 = null as never;
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
    readonly address: string,
  ) {
    this.start();
  }

  start(): void {
    this.life++;
    this.on = true;
    this.host = this.world.host();
    this.ip = ipv4();
    this.arp = arp();
    this.udp = udp();
    this.tcp = tcp();
    this.ping = ping();
    const { budget, chunkSize } = this.plan;
    this.stack = createStack(
      this.host,
      [ethernet(), ipLink(), this.arp, this.ip, fragments(), icmp(), pmtu(), this.udp, this.tcp, this.ping],
      { budget, chunkSize },
    );
    this.host.drive(this.stack);
    this.nif = this.stack.addInterface(this.link);
    this.ip.addAddress(this.nif, this.address + "/24");
    for (const start of this.onStart) start();
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

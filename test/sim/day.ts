/**
 * A day of a gateway: `node --import tsx test/sim/day.ts [--devices 1000] [--hours 24] [--seed 1]`. Devices join, leave, reboot and
 * talk to a server outside, in virtual time; the gateway is killed now and then and comes back with what its lease store has. Judged
 * are: no lease is given twice, tables stay within their bounds, nothing is left over.
 */
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { createSwitch, createWorld } from "../../ports/sim/index.js";
import type { SimLink, World } from "../../ports/sim/index.js";
import type { SimHost } from "../../ports/sim/host.js";
import { createStack } from "../../stack/index.js";
import type { Interface, Stack } from "../../stack/index.js";
import { firewall } from "../../stack/filter/firewall.js";
import { napt } from "../../stack/filter/napt.js";
import { inspectNeighbours } from "../../stack/inspect.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { forwarding } from "../../stack/router/forwarding.js";
import { dhcpServer } from "../../stack/service/dhcp-server.js";
import type { LeaseStore } from "../../stack/service/lease-store.js";
import { dhcp } from "../../stack/service/dhcp.js";
import { udp } from "../../stack/udp/udp.js";
import type { UdpSocket } from "../../stack/udp/udp.js";
import { findLeaks } from "../support/leaks.js";

export interface DayOptions {
  devices: number;
  hours: number;
  seed?: number;
  /** Told of each hour. */
  log?: (line: string) => void;
}

const SERVER = "192.0.2.1";
const PORT = 7;
const LEASE = 3600;
const FLOWS = 4096;
const HOUR = 3_600_000;
/** Means, ms: how long a device stays, stays away, and keeps quiet. */
const STAY = 2 * HOUR;
const AWAY = HOUR / 2;
const QUIET = 600_000;

/** The network, and what is known of it by somebody who sees everything. */
class Day {
  readonly found: string[] = [];
  boots = 0;
  bound = 0;
  asked = 0;
  answered = 0;
  restarts = 0;
  /** Who has been promised which address, and until when (virtual ms). */
  readonly held = new Map<string, { device: Device; until: number }>();
  most = { flows: 0, leases: 0, neighbours: 0, held: 0 };

  constructor(
    readonly world: World,
    readonly options: DayOptions,
  ) {}

  /** Exponential, by the world's own generator. */
  draw(mean: number): number {
    return -Math.log(1 - this.world.random()) * mean;
  }

  promise(address: string, device: Device, seconds: number): void {
    const now = this.world.time;
    const before = this.held.get(address);
    if (before && before.device !== device && before.until > now) {
      this.found.push(`${address} was promised to ${before.device.number} and given to ${device.number}`);
    }
    this.held.set(address, { device, until: now + seconds * 1000 });
  }
}

class Device {
  private host: SimHost | null = null;
  private stack: Stack | null = null;
  private socket: UdpSocket | null = null;
  private client: { release(): void } | null = null;
  private address = "";
  private life = 0;
  private readonly target = new Uint8Array(64);

  constructor(
    private readonly day: Day,
    private readonly link: SimLink,
    readonly number: number,
  ) {}

  join(): void {
    const { day, link } = this;
    day.boots++;
    this.life++;
    const host = (this.host = day.world.host());
    const four = ipv4();
    const datagrams = udp();
    const clients = dhcp();
    const parts = [ethernet(), arp({ limit: 16 }), four, icmp(), datagrams, clients];
    this.stack = host.drive(createStack(host, parts, { packetMemory: 32768, chunkSize: 512 }));
    const nif = this.stack.addInterface(link);
    const { target } = this;
    this.socket = datagrams.open({
      onReadable() {
        while (this.receive(target) >= 0) day.answered++;
      },
    });
    this.client = clients.open(nif, {
      hostname: `device-${this.number}`,
      onBound: (lease) => {
        day.bound++;
        this.address = lease.address;
        day.promise(lease.address, this, lease.leaseTime);
      },
      onLost: () => (this.address = ""),
    });
    this.later(day.draw(STAY), () => this.leave(day.world.random()));
    this.talk();
  }

  /** Switched off, unplugged, or rebooted at once. */
  leave(how: number): void {
    const { day } = this;
    if (!this.stack) return;
    if (how < 0.4 && this.address !== "") {
      this.client!.release();
      day.held.delete(this.address);
      this.stack.close();
    } else {
      this.host!.powerOff();
      this.link.close();
    }
    this.address = "";
    this.stack = this.host = null;
    this.life++;
    this.later(how > 0.7 ? 2000 : day.draw(AWAY), () => this.join());
  }

  leaks(): string[] {
    return this.stack
      ? findLeaks(this.stack, { timers: 16 }).map((leak) => `device ${this.number}: ${leak}`)
      : [];
  }

  private talk(): void {
    this.later(this.day.draw(QUIET), () => {
      if (this.address !== "") {
        this.day.asked++;
        this.socket!.sendTo(SERVER, PORT, this.target);
      }
      this.talk();
    });
  }

  /** Unless it has left by then. */
  private later(ms: number, action: () => void): void {
    const { life } = this;
    this.day.world.at(ms, () => {
      if (life === this.life) action();
    });
  }
}

/** The gateway, as far as this is about it: leases, flows, translation. Its store outlives it. */
class Gateway {
  stack: Stack = null as never;
  private host: SimHost = null as never;
  private leases = dhcpServer();
  private wall = firewall();
  private neighbours = arp();
  private records: string[] = [];

  constructor(
    private readonly day: Day,
    private readonly lan: SimLink,
    private readonly wan: SimLink,
  ) {
    this.start();
  }

  start(): void {
    const { day } = this;
    const host = (this.host = day.world.host());
    const four = ipv4();
    const store: LeaseStore = {
      load: (take) => this.records.forEach(take),
      append: (record) => this.records.push(record) > 0,
      rewrite: (records) => {
        this.records = records.slice();
        return true;
      },
      // The wall clock goes on while the gateway is away.
      time: () => Math.floor(day.world.time / 1000) + 1_800_000_000,
    };
    this.leases = dhcpServer({ store, limit: 2 * day.options.devices });
    this.wall = firewall({
      flows: FLOWS,
      rules: [{ action: "accept", from: "lan" }],
      nat: napt({ outside: "wan" }),
    });
    this.neighbours = arp({ limit: 2 * day.options.devices });
    const parts = [ethernet(), this.neighbours, four, icmp(), udp(), forwarding(), this.wall, this.leases];
    this.stack = host.drive(createStack(host, parts, { packetMemory: 4 << 20 }));
    const lan: Interface = this.stack.addInterface(this.lan, "lan");
    const wan: Interface = this.stack.addInterface(this.wan, "wan");
    this.wall.assign(lan, "lan");
    this.wall.assign(wan, "wan");
    four.addAddress(lan, "10.0.0.1/20");
    four.addAddress(wan, "192.0.2.2/24");
    // Barely more addresses than devices: those that were left behind must come back.
    const last = day.options.devices + 260;
    this.leases.serve({
      ...{ interface: lan, network: "10.0.0.0/20", leaseTime: LEASE, options: { routers: ["10.0.0.1"] } },
      pools: [`10.0.0.10-10.0.${last >> 8}.${last & 255}`],
    });
  }

  kill(): void {
    this.day.restarts++;
    this.host.powerOff();
    this.lan.close();
    this.wan.close();
    this.start();
  }

  look(): void {
    const { day } = this;
    const { most, held } = day;
    for (const [address, { until }] of held) if (until <= day.world.time) held.delete(address);
    most.flows = Math.max(most.flows, this.wall.list().length);
    most.leases = Math.max(most.leases, this.leases.list().length);
    most.neighbours = Math.max(most.neighbours, inspectNeighbours(this.neighbours).length);
    most.held = Math.max(most.held, held.size);
    // What the server thinks is what the devices think: who holds a lease stands in its list.
    const listed = new Set(this.leases.list().map(({ address }) => address));
    for (const [address, { device, until }] of held) {
      if (until > day.world.time + 5000 && !listed.has(address)) {
        day.found.push(`${address} of device ${device.number} is not in the server's list`);
      }
    }
    if (listed.size !== this.leases.list().length)
      day.found.push("an address stands twice in the server's list");
  }

  leaks(): string[] {
    return findLeaks(this.stack, { timers: 8 + 2 * this.day.options.devices });
  }
}

/** Runs it; what is wrong, and figures. */
export function runDay(options: DayOptions) {
  const world = createWorld({ seed: options.seed ?? 1 });
  const day = new Day(world, options);
  const inside = createSwitch(world, { delay: 0.05, addresses: 2 * options.devices });
  const outside = createSwitch(world, { delay: 5 });
  const gateway = new Gateway(day, inside.link(), outside.link());
  const host = world.host();
  const four = ipv4();
  const datagrams = udp();
  const server = host.drive(createStack(host, [ethernet(), arp(), four, datagrams]));
  four.addAddress(server.addInterface(outside.link()), `${SERVER}/24`);
  const bytes = new Uint8Array(64);
  const info = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
  datagrams.open({
    port: PORT,
    onReadable() {
      for (let length; (length = this.receive(bytes, info)) >= 0;) {
        this.sendTo(info.address, info.port, bytes, 0, length);
      }
    },
  });
  const devices = Array.from({ length: options.devices }, (_, i) => new Device(day, inside.link(), i));
  for (const device of devices) world.at(day.draw(HOUR / 4), () => device.join());
  for (let at = 5; at < options.hours * 60; at += 5) world.at(at * 60_000, () => gateway.look());
  // Killed at odd moments, three or four times a day.
  for (let at = day.draw(3 * HOUR); at < options.hours * HOUR; at += HOUR + day.draw(6 * HOUR)) {
    world.at(at, () => gateway.kill());
  }
  for (let hour = 1; hour <= options.hours; hour++) {
    world.run(HOUR);
    globalThis.gc?.();
    const heap = (process.memoryUsage().heapUsed / 1048576).toFixed(0);
    options.log?.(
      `${hour} h: ${day.boots} boots, ${day.bound} leases, ${day.answered} of ${day.asked} answered, ${day.found.length} findings, heap ${heap} MiB`,
    );
  }
  const { most, found } = day;
  if (most.flows > FLOWS) found.push(`${most.flows} flows`);
  if (most.leases > options.devices + 251) found.push(`${most.leases} leases`);
  if (most.neighbours > 2 * options.devices) found.push(`${most.neighbours} neighbours`);
  if (day.answered < day.asked * 0.98) found.push(`only ${day.answered} of ${day.asked} were answered`);
  for (const { message } of world.panics) found.push(`panic: ${message}`);
  found.push(...gateway.leaks(), ...devices.flatMap((device) => device.leaks()));
  const { boots, bound, asked, answered, restarts } = day;
  return { found, boots, bound, asked, answered, restarts, most, events: world.count };
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  const { values } = parseArgs({
    options: {
      devices: { type: "string", default: "1000" },
      hours: { type: "string", default: "24" },
      seed: { type: "string", default: "1" },
    },
  });
  const [devices, hours, seed] = [values.devices, values.hours, values.seed].map(Number);
  const result = runDay({ devices, hours, seed, log: (line) => console.log(line) });
  console.log(JSON.stringify(result, null, 2));
  process.exitCode = result.found.length > 0 ? 1 : 0;
}

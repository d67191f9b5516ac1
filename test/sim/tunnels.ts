/**
 * A day of tunnels: `node examples/launch.js test/sim/tunnels.ts [--tunnels 500] [--hours 24] [--seed 1]`. Sensors keep IKEv2 and ESP with
 * one gateway over a network that loses, doubles and reorders; both sides rekey, often at once; either side is killed and comes back,
 * cables are cut. All of them talk all the time, tunnel or no tunnel. Judged are: every frame (nothing but ARP, IKE and ESP), that no
 * tunnel stays down, that tables and memory stay within their bounds, that nothing is left over.
 */
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { createSwitch, createWorld } from "../../ports/sim/index.js";
import type { SimHost } from "../../ports/sim/host.js";
import type { SimLink, World } from "../../ports/sim/index.js";
import { createStack } from "../../stack/index.js";
import type { Interface, Stack } from "../../stack/index.js";
import { ike } from "../../stack/ike/ike.js";
import type { Connection } from "../../stack/ike/ike.js";
import { rekeyChild, rekeyIke } from "../../stack/ike/exchanges.js";
import { ikeFragmentation } from "../../stack/ike/ike-fragmentation.js";
import { ikeResponder } from "../../stack/ike/ike-responder.js";
import { ipsecChildren } from "../../stack/ike/ipsec-children.js";
import { esp } from "../../stack/ipsec/esp.js";
import { ipsec } from "../../stack/ipsec/ipsec.js";
import { policyIndex } from "../../stack/ipsec/policy-index.js";
import { natTraversal } from "../../stack/ipsec/nat-traversal.js";
import { get16, get32 } from "../../stack/core/bytes.js";
import { parse4 } from "../../stack/core/text4.js";
import { arp } from "../../stack/ipv4/arp.js";
import type { Arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { udp } from "../../stack/udp/udp.js";
import type { UdpSocket } from "../../stack/udp/udp.js";
import { closeAll, findLeaks } from "../support/leaks.js";

export interface TunnelsOptions {
  tunnels: number;
  hours: number;
  seed?: number;
  /** Told of each hour. */
  log?: (line: string) => void;
}

const HUB = "10.0.0.1";
/** The gateway's address inside of the tunnels. */
const INSIDE = "172.31.0.1";
const PORT = 7;
const PSK = "a day is long";
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Means, ms: how long a sensor stays, stays away, and keeps quiet; a cable stays whole. */
const STAY = 6 * HOUR;
const AWAY = 5 * MINUTE;
const QUIET = 40_000;
const WHOLE = 8 * HOUR;
/** What both sides are set to, s: the spread of a tenth makes many of them meet. */
const CHILD = 900;
const SA = 3600;
/** A dead peer is known after 30 + 63 s, and begun anew after a minute at most; then a queue of all others. */
const DOWN = 6 * MINUTE;
/** Stands in everything that is said, and so in no frame. */
const SECRET = Buffer.from("nobody on the cable may read this");

class Day {
  readonly found: string[] = [];
  boots = 0;
  kills = 0;
  asked = 0;
  answered = 0;
  refused = 0;
  frames = 0;
  collisions = 0;
  /** That a question waited for an answer with nothing in the way, repeated as it was, ms. */
  longest = 0;
  /** Since when the gateway is there; -1: it is not. */
  hubSince = -1;
  most = { heap: 0, ikeSas: 0, inbound: 0, outbound: 0, policies: 0 };
  readonly crypto = nodeCrypto();

  constructor(
    readonly world: World,
    readonly options: TunnelsOptions,
  ) {}

  /** Exponential, by the world's own generator. */
  draw(mean: number): number {
    return -Math.log(1 - this.world.random()) * mean;
  }

  find(what: string): void {
    if (this.found.length < 50) this.found.push(`${(this.world.time / 1000).toFixed(1)} s: ${what}`);
  }

  /** Every frame of every cable, as it is sent. */
  look(frame: Uint8Array, start: number, end: number): void {
    this.frames++;
    const type = (frame[start + 12]! << 8) | frame[start + 13]!;
    if (type === 0x0806) return;
    const ip = start + 14;
    const protocol = frame[ip + 9];
    const port = (frame[ip + 22]! << 8) | frame[ip + 23]!;
    const protectedly =
      type === 0x0800 && (protocol === 50 || (protocol === 17 && (port === 500 || port === 4500)));
    const bytes = Buffer.from(frame.buffer, frame.byteOffset + start, end - start);
    if (!protectedly || bytes.includes(SECRET)) this.find(`in the clear: ${bytes.toString("hex")}`);
  }
}

function parts(day: Day, host: SimHost, tunnels: number) {
  host.crypto = day.crypto;
  const four = ipv4();
  const datagrams = udp();
  const neighbours = arp({ limit: 2 * tunnels + 8 });
  const security = ipsec({
    ...{ policies: tunnels * 2 + 16, associations: tunnels * 6 + 16 },
    index: tunnels > 1 ? policyIndex() : undefined,
  });
  const vpn = ike({
    sink: ipsecChildren(security),
    responder: tunnels > 1 ? ikeResponder() : undefined,
    fragmentation: ikeFragmentation(),
    limit: tunnels * 4 + 16,
  });
  const natt = natTraversal();
  const list = [ethernet(), neighbours, four, icmp(), datagrams, security, esp(), natt, vpn];
  const stack = host.drive(createStack(host, list, { packetMemory: tunnels > 1 ? 4 << 20 : 1 << 16 }));
  return { stack, four, datagrams, neighbours, security, vpn };
}

/** Acquaints one with another: five hundred that ask each other for addresses would be a day about ARP. */
function acquaint(neighbours: Arp, nif: Interface, address: string, mac: Uint8Array): void {
  const { cache } = neighbours;
  cache.setStatic(cache.obtain(nif, 0, 0, 0, parse4(address)!)!, get16(mac, 0), get32(mac, 2));
}

class Sensor {
  readonly outer: string;
  readonly inner: string;
  stack: Stack | null = null;
  connection: Connection | null = null;
  private host: SimHost | null = null;
  private socket: UdpSocket | null = null;
  private life = 0;
  /** When it asked first what has not been answered since; -1: it has. And how often it has asked when that was too long ago. */
  waits = -1;
  late = 0;
  cut = false;

  constructor(
    private readonly day: Day,
    readonly link: SimLink,
    private readonly gateway: Uint8Array,
    readonly number: number,
  ) {
    const low = number + 256;
    // Every fourth protects its own two ends in transport mode, the others have a tunnel.
    this.outer = `10.0.${low >> 8}.${low & 255}`;
    this.inner = number % 4 === 3 ? this.outer : `172.16.${low >> 8}.${low & 255}`;
  }

  join(): void {
    const { day, link, number } = this;
    day.boots++;
    this.life++;
    this.waits = -1;
    const host = (this.host = day.world.host());
    const { stack, four, datagrams, neighbours, vpn } = parts(day, host, 1);
    this.stack = stack;
    const nif = stack.addInterface(link);
    four.addAddress(nif, `${this.outer}/16`);
    acquaint(neighbours, nif, HUB, this.gateway);
    const transport = this.inner === this.outer;
    if (!transport) {
      four.addAddress(nif, `${this.inner}/32`);
      four.addRoute(`${INSIDE}/32`, { gateway: HUB });
    }
    this.connection = vpn.connect({
      ...{ remote: HUB, psk: PSK, rekey: SA, dpd: 30, encapsulate: number % 4 === 1 },
      children: [
        transport
          ? { mode: "transport", rekey: CHILD }
          : {
              ...{ local: [`${this.inner}/32`], remote: [`${INSIDE}/32`], rekey: CHILD },
              proposals: number % 4 === 2 ? ["chacha20poly1305"] : undefined,
            },
      ],
    });
    const target = new Uint8Array(256);
    const socket = datagrams.open({
      address: this.inner,
      port: PORT,
      onReadable: () => {
        while (socket.receive(target) >= 0) if (target[0] === 1) this.answered();
      },
    });
    this.socket = socket;
    this.talk();
  }

  /** Said goodbye, or lost its power. */
  leave(how: number): void {
    if (!this.stack) return;
    const { day } = this;
    const { stack, host, link } = this;
    this.life++;
    this.stack = null;
    if (how < 0.3) {
      this.connection!.close();
      day.world.at(3000, () => {
        this.end(stack);
        host!.powerOff();
      });
    } else {
      host!.powerOff();
      link.close();
    }
    this.later(how > 0.7 ? 2000 : 4000 + day.draw(AWAY), () => this.join());
  }

  /** A boot's own clock of leaving runs as long as the day. */
  schedule(): void {
    const { day } = this;
    day.world.at(day.draw(STAY), () => {
      this.leave(day.world.random());
      this.schedule();
    });
    day.world.at(day.draw(WHOLE), () => this.sever());
  }

  private sever(): void {
    const { day, link } = this;
    this.cut = true;
    link.cut(day.world.random() < 0.5);
    day.world.at(day.draw(2 * MINUTE), () => {
      link.restore();
      this.cut = false;
      this.waits = -1;
      day.world.at(day.draw(WHOLE), () => this.sever());
    });
  }

  end(stack: Stack): void {
    for (const leak of closeAll(null, [stack], { timers: 1 }))
      this.day.find(`sensor ${this.number}: ${leak}`);
  }

  judge(): void {
    const { day } = this;
    const silence = this.silence();
    // Who has not asked since the tunnel came back does not know; one question may be lost.
    if (!this.stack || this.cut || silence < DOWN || this.late < 2) return;
    day.find(`tunnel ${this.number} is down for ${(silence / 1000).toFixed(0)} s`);
    this.waits = -1;
  }

  /** For how long it has waited for an answer, with nothing in the way, ms. */
  private silence(): number {
    const { world, hubSince } = this.day;
    return this.waits < 0 || hubSince < 0 ? 0 : world.time - Math.max(this.waits, hubSince);
  }

  private answered(): void {
    const { day } = this;
    day.answered++;
    day.longest = Math.max(day.longest, this.silence());
    this.waits = -1;
  }

  private talk(): void {
    const { day } = this;
    this.later(day.draw(QUIET), () => {
      day.asked++;
      if (this.waits < 0) {
        this.waits = day.world.time;
        this.late = 0;
      }
      if (this.silence() >= DOWN) this.late++;
      const message = Buffer.concat([Buffer.of(0), SECRET]);
      const target = this.inner === this.outer ? HUB : INSIDE;
      if (this.socket!.sendTo(target, PORT, message) < 0) day.refused++;
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

class Hub {
  stack: Stack = null as never;
  private host: SimHost = null as never;
  private own: ReturnType<typeof parts> = null as never;
  private sockets: UdpSocket[] = [];

  constructor(
    private readonly day: Day,
    private readonly link: SimLink,
    private readonly sensors: Sensor[],
  ) {}

  start(): void {
    const { day } = this;
    const host = (this.host = day.world.host());
    this.own = parts(day, host, day.options.tunnels);
    const { stack, four, datagrams, neighbours, vpn } = this.own;
    this.stack = stack;
    day.hubSince = day.world.time;
    const nif = stack.addInterface(this.link);
    four.addAddress(nif, `${HUB}/16`);
    for (const { outer, link } of this.sensors) acquaint(neighbours, nif, outer, link.mac!);
    four.addAddress(nif, `${INSIDE}/32`);
    // What lies behind the tunnels is reached through the same cable, whoever it is: policy decides who gets it.
    four.addRoute("172.16.0.0/16", { gateway: "10.0.255.254" });
    vpn.connect({
      ...{ psk: PSK, rekey: SA, dpd: 30 },
      children: [
        { local: [`${INSIDE}/32`], remote: ["172.16.0.0/16"], rekey: CHILD },
        { mode: "transport", rekey: CHILD },
      ],
    });
    const info = { address: "", port: 0, length: 0, truncated: false, localAddress: "", interface: null };
    const bytes = new Uint8Array(256);
    this.sockets = [HUB, INSIDE].map((address) =>
      datagrams.open({
        ...{ address, port: PORT },
        onReadable() {
          for (let length; (length = this.receive(bytes, info)) >= 0;) {
            if (bytes[0] !== 0) continue;
            bytes[0] = 1;
            this.sendTo(info.address, info.port, bytes, 0, length);
          }
        },
      }),
    );
  }

  /** Speaks to a sensor on its own account, be there a tunnel or not. */
  speak(sensor: Sensor): void {
    const socket = this.sockets[sensor.inner === sensor.outer ? 0 : 1]!;
    if (this.day.hubSince >= 0) socket.sendTo(sensor.inner, PORT, Buffer.concat([Buffer.of(2), SECRET]));
  }

  kill(): void {
    const { day } = this;
    if (day.hubSince < 0) return;
    day.kills++;
    this.host.powerOff();
    this.link.close();
    day.hubSince = -1;
    day.world.at(day.draw(2 * MINUTE), () => this.start());
  }

  /** Begins a rekey at this end of a sensor's SAs while the sensor begins one of the same. */
  collide(sensor: Sensor, child: boolean): void {
    const connection = sensor.connection;
    const theirs = connection && connection.sa;
    if (this.day.hubSince < 0 || !sensor.stack || !theirs || !theirs.established || !theirs.children[0])
      return;
    const ours = this.own.vpn.find(theirs.spiR);
    if (!ours || !ours.established || !ours.children[0]) return;
    this.day.collisions++;
    if (child) {
      connection.rekey(theirs.children[0]);
      rekeyChild(ours.children[0]);
    } else {
      connection.rekey();
      rekeyIke(ours);
    }
  }

  look(): void {
    const { day } = this;
    if (day.hubSince < 0) return;
    const { security, vpn } = this.own;
    const { most } = day;
    most.ikeSas = Math.max(most.ikeSas, vpn.sas.size);
    most.inbound = Math.max(most.inbound, security.inbound.size);
    most.outbound = Math.max(most.outbound, security.outbound.size);
    most.policies = Math.max(most.policies, security.spd.policies.length);
  }

  leaks(): string[] {
    return this.day.hubSince < 0 ? [] : findLeaks(this.stack, { timers: 16 + 12 * this.day.options.tunnels });
  }

  counters() {
    return this.own.vpn.counters;
  }
}

/** Runs it; what is wrong, and figures. */
export function runTunnels(options: TunnelsOptions) {
  const world = createWorld({ seed: options.seed ?? 1 });
  const day = new Day(world, options);
  world.onFrame = (frame, start, end) => day.look(frame, start, end);
  const faults = { delay: 5, jitter: 3, loss: 0.01, duplicate: 0.005, reorder: 0.02, reorderDelay: 30 };
  const middle = createSwitch(world, { addresses: 4 * options.tunnels + 8 });
  const link = middle.link(faults);
  const sensors = Array.from(
    { length: options.tunnels },
    (_, i) => new Sensor(day, middle.link(faults), link.mac!, i),
  );
  const hub = new Hub(day, link, sensors);
  hub.start();
  for (const sensor of sensors) {
    world.at(day.draw(2 * MINUTE), () => sensor.join());
    sensor.schedule();
  }
  const each = (): Sensor => sensors[Math.floor(world.random() * sensors.length)]!;
  for (let at = MINUTE; at < options.hours * HOUR; at += MINUTE) {
    world.at(at, () => {
      hub.look();
      for (const sensor of sensors) sensor.judge();
      hub.speak(each());
      hub.collide(each(), true);
      hub.collide(each(), false);
    });
  }
  // Killed at odd moments, four or five times in all.
  const span = (options.hours * HOUR) / 6;
  for (let at = span; at < options.hours * HOUR; at += span / 3 + day.draw(span))
    world.at(at, () => hub.kill());
  for (let hour = 1; hour <= options.hours; hour++) {
    world.run(HOUR);
    globalThis.gc?.();
    const heap = Math.round(process.memoryUsage().heapUsed / 1048576);
    day.most.heap = Math.max(day.most.heap, heap);
    options.log?.(
      `${hour} h: ${day.boots} boots, ${day.kills} of the gateway, ${day.answered} of ${day.asked} answered, ` +
        `${day.refused} refused, ${day.frames} frames, ${day.found.length} findings, heap ${heap} MiB`,
    );
  }
  const { most, found } = day;
  const n = options.tunnels;
  if (most.ikeSas > 3 * n + 32) day.find(`${most.ikeSas} IKE SAs`);
  if (most.inbound > 3 * n + 64) day.find(`${most.inbound} inbound SAs`);
  if (most.outbound > 3 * n) day.find(`${most.outbound} outbound SAs`);
  // One for each tunnel, whatever comes and goes, and two of IKE.
  if (most.policies > n + 2) day.find(`${most.policies} policies`);
  for (const { message, error } of world.panics) day.find(`panic: ${message} ${(error as Error)?.stack}`);
  for (const leak of hub.leaks()) day.find(`gateway: ${leak}`);
  for (const sensor of sensors) if (sensor.stack) sensor.end(sensor.stack);
  const { boots, kills, asked, answered, refused, frames, collisions, longest } = day;
  const told = { boots, kills, asked, answered, refused, frames, collisions, longest };
  return { found, ...told, most, ike: { ...hub.counters() } };
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  const { values } = parseArgs({
    options: {
      tunnels: { type: "string", default: "500" },
      hours: { type: "string", default: "24" },
      seed: { type: "string", default: "1" },
    },
  });
  const [tunnels, hours, seed] = [values.tunnels, values.hours, values.seed].map(Number);
  const result = runTunnels({ tunnels, hours, seed, log: (line) => console.log(line) });
  console.log(JSON.stringify(result, null, 2));
  process.exitCode = result.found.length > 0 ? 1 : 0;
}

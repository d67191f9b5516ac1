/** A stack: the instance that holds the components, the interfaces, and the memory and time they share. */
import type { Hypercalls, Link } from "../../hypercall/index.js";
import { fail, requireInteger, setting } from "./errors.js";
import type { SipHash } from "./hash.js";
import { Host } from "./host.js";
import { Interface } from "./interface.js";
import type { Medium } from "./interface.js";
import type { NameServers } from "./name-servers.js";
import type { Memberships } from "./membership.js";
import type { Network, Transport } from "./network.js";
import { Packet } from "./packet.js";
import { CHUNK_BYTES, Pool } from "./pool.js";
import { Timers } from "./timers.js";

/** A part of a stack: one factory, one import. Belongs to the one stack that it is given to. */
export interface Component {
  /** The name under which its counters appear in `stack.counters`. */
  readonly name: string;
  /** Registers with the stack. The other components may not be there yet. */
  attach(stack: Stack): void;
  /** All components are attached: finds those it needs, or throws `ENOPROTOOPT` naming what is missing. */
  start?(): void;
  /** All components have started: adds interfaces of its own, and puts itself around what another has set. */
  started?(): void;
  /** An interface has been added, has changed (carrier, `enabled`, MTU), or is about to be removed. */
  interfaceAdded?(nif: Interface): void;
  interfaceChanged?(nif: Interface): void;
  interfaceRemoved?(nif: Interface): void;
  /** The key of `hashOf(stack)` is another: the host had no entropy until now. Tables under it are hashed anew. */
  rekeyed?(): void;
  /** The stack closes: gives back what it holds. */
  close?(): void;
}

/** A protocol above a medium, by its ethertype. */
export interface LinkProtocol {
  readonly ethertype: number;
  /** Takes a packet whose `start` is behind the medium's header. */
  input(packet: Packet): void;
}

/** Something to do once the stack is at rest: an event for the application. */
export interface Deferred {
  /** True while it waits in `stack.deferred`. */
  queued: boolean;
  nextDeferred: Deferred | null;
  run(): void;
}

/** Holds bytes that still lie in the frame that came in: see `Datagrams.put`. */
export interface Lender {
  /** The frame goes: copies what has not been read. */
  keep(): void;
}

export interface StackOptions {
  /**
   * Bytes of packets and tables together. Each table (connections, sockets, neighbours, routes, ...) has its room set aside, for as many
   * entries as its component's `limit` says, or by default for a sixteenth of the budget (connections: a quarter), two at the least. What
   * is left is packet memory: socket buffers, queues, reassembly. An entry counts as it weighs in Duktape with 32-bit pointers; `EINVAL`
   * when the tables leave too little. Default: `packetMemory`, and tables by their own limits.
   */
  budget?: number;
  /** Bytes of packet memory. Default 1 MiB, with a budget what the tables leave of it. */
  packetMemory?: number;
  /** Bytes of one chunk of packet memory, a power of two from 64 to 65536. Default 2048; small hosts take 256 or 512. */
  chunkSize?: number;
  /** Largest network packet that is ever built, bytes. Default 65535, with a budget a 16th of it, 1500 at the least. Small hosts take their MTU. */
  maximumPacket?: number;
  /** Timers fired in one `poll`. Default 256. */
  timersPerPoll?: number;
}

/** Bytes before a transport header in `stack.tx`: IPv6 or IPv4 with options, a tunnel around it, Ethernet with tag. */
export const HEADROOM = 192;

/** Bytes behind the packet: a last fragment may be all but empty, and Ethernet pads a packet to 46 bytes. */
const TAILROOM = 44;

/** Chunks without which there is no stack. */
const LEAST_CHUNKS = 4;

/** Milliseconds by which a wake-up may be late before the next packet makes up for it. */
const LATE = 20;

export class Stack {
  readonly host: Host;
  readonly timers: Timers;
  readonly pool: Pool;
  /** See `StackOptions.budget`; 0: none was given. */
  readonly budget: number;
  /** Bytes of it that are set aside: see `reserve`. */
  reserved = 0;
  /** Keyed hash for tables and secrets, or null as yet: see `hashOf` in hash.ts. */
  hash: SipHash | null = null;
  readonly components: Component[];
  /** See `StackOptions.maximumPacket`. */
  readonly maximumPacket: number;
  readonly media: Medium[] = [];
  readonly linkProtocols: LinkProtocol[] = [];
  readonly networks: Network[] = [];
  readonly transports: Transport[] = [];
  readonly interfaces: Interface[] = [];
  /** Counters by component name: `stack.counters.tcp.badsum`. */
  readonly counters: { [component: string]: { [counter: string]: number } } = {};
  /** The packet that came in, the one that goes out, the one that an ICMP error quotes. */
  readonly rx: Packet;
  readonly tx: Packet;
  readonly quoted: Packet;
  /** True while a frame or a timer is being processed. */
  busy = false;
  /** The clock has been read for the frame that is being processed. */
  timely = false;
  /** Changes with every change of addresses, routes or interfaces: cached paths are looked up again. */
  generation = 1;
  deferred: Deferred | null = null;
  /** The host has not woken us in time: whoever gives the stack a frame polls as well. */
  overdue = false;
  /** Packets around the one that is being dealt with on its way in, and on its way out: see tunnel/tunnel.ts. */
  unwrapping = 0;
  wrapping = 0;
  closed = false;
  /** Whoever has taken something that still lies in the frame which is being dealt with. */
  lender: Lender | null = null;
  /** How sockets join groups; null where nothing carries groups: see membership.ts. */
  memberships: Memberships | null = null;
  /** Servers and search domains for names; null until a component wants them: see `nameServers` in name-servers.ts. */
  nameServers: NameServers | null = null;
  /** What the clock said when it was read last. */
  time = 0;
  private lastDeferred: Deferred | null = null;
  private running = false;
  private polling = false;
  private wakePending = false;
  private wakeAt = 0;
  private interfaceCount = 0;
  private readonly timersPerPoll: number;

  constructor(hypercalls: Hypercalls, components: Component[], options: StackOptions) {
    const budget = (this.budget = setting(options.budget, 0, 1024, 0x7fffffff, "budget"));
    const chunkSize = requireInteger(options.chunkSize || 2048, 64, 65536, "chunkSize");
    if (chunkSize & (chunkSize - 1)) fail("EINVAL", "chunkSize");
    const sixteenth = budget >> 4;
    const largest = !budget || sixteenth > 65535 ? 65535 : sixteenth < 1500 ? 1500 : sixteenth;
    this.maximumPacket = requireInteger(options.maximumPacket || largest, 576, 65535, "maximumPacket");
    this.reserve(1, 0, 0, HEADROOM + this.maximumPacket + TAILROOM);
    this.timersPerPoll = requireInteger(options.timersPerPoll || 256, 1, 65536, "timersPerPoll");
    const host = (this.host = new Host(hypercalls));
    this.timers = new Timers((at) => this.arm(at));
    let shift = 6;
    while (1 << shift < chunkSize) shift++;
    const pool = (this.pool = new Pool(shift, (size) => host.allocate(size)));
    const nothing = new Uint8Array(0);
    this.rx = new Packet(nothing);
    this.tx = new Packet(nothing);
    this.quoted = new Packet(nothing);
    this.components = components;
    this.counters.host = host.counters as never;
    for (let i = 0; i < components.length; i++) components[i].attach(this);
    const left = ((budget - this.reserved) / (chunkSize + CHUNK_BYTES)) | 0;
    const most = setting(options.packetMemory, budget || 1 << 20, 1024, 0x7fffffff, "packetMemory") >> shift;
    pool.limit = budget && left < most ? left : most;
    if (budget && left < LEAST_CHUNKS) fail("EINVAL", "budget: tables take " + this.reserved);
    for (let i = 0; i < components.length; i++) {
      const component = components[i];
      if (component.start) component.start();
    }
    for (let i = 0; i < components.length; i++) {
      const component = components[i];
      if (component.started) component.started();
    }
  }

  /**
   * Stack time, int32 milliseconds; compare by difference. The clock is read once for a frame: a virtual machine's costs 100 ns and
   * more, and four reads for each TCP segment were a quarter of its time.
   */
  now(): number {
    if (this.busy && this.timely) return this.time;
    const now = (this.time = this.host.now());
    this.timely = true;
    if (this.wakePending && ((now - this.wakeAt) | 0) > LATE) this.overdue = true;
    return now;
  }

  /** As `now`, but in a callback the time of what it is told: for what may be late by as long as the callback takes. */
  recent(): number {
    return this.running && this.timely ? this.time : this.now();
  }

  /**
   * Sets a part of the budget aside for a table. Called by components while they are attached.
   *
   * @param wanted entries that the application asks for; -1: `standard`, or what the table's share of the budget holds
   * @param shift the share: `budget >> shift`
   * @param size bytes of an entry
   * @returns entries that the table may have
   */
  reserve(wanted: number, standard: number, shift: number, size: number): number {
    const share = ((this.budget >> shift) / size) | 0;
    if (wanted < 0) wanted = !this.budget || share > standard ? standard : share > 2 ? share : 2;
    this.reserved += wanted * size;
    return wanted;
  }

  /**
   * Adds a network interface over `link` and opens the link.
   *
   * @param name for people and `%zone`; default `eth0`, `eth1`, ... or `tun0`, ...
   * Errors: `EEXIST` name taken, `ENOPROTOOPT` no component for the link's medium, `EINVAL` bad link.
   */
  addInterface(link: Link, name?: string): Interface {
    let medium: Medium | null = null;
    for (let i = 0; i < this.media.length; i++) {
      if (this.media[i].medium === link.medium) medium = this.media[i];
    }
    if (!medium) fail("ENOPROTOOPT", "medium " + link.medium);
    for (let i = 0; !name; i++) {
      const next = (link.medium === "ip" ? "tun" : "eth") + i;
      if (!this.findInterface(next)) name = next;
    }
    if (this.findInterface(name)) fail("EEXIST", name);
    requireInteger(link.mtu, 68, 65535, "mtu");
    if (medium.resolves && (!link.mac || link.mac.length !== 6 || link.mac[0] & 1)) fail("EINVAL", "mac");
    const nif = new Interface(this, name, ++this.interfaceCount, link, medium);
    this.interfaces.push(nif);
    try {
      link.open(nif);
    } catch (error) {
      this.interfaces.pop();
      throw error;
    }
    for (let i = 0; i < this.components.length; i++) {
      const component = this.components[i];
      if (component.interfaceAdded) component.interfaceAdded(nif);
    }
    this.changed();
    return nif;
  }

  /** Removes an interface: its addresses and routes go, flows over it end, the link is closed. */
  removeInterface(nif: Interface): void {
    const at = this.interfaces.indexOf(nif);
    if (at < 0) return;
    for (let i = this.components.length - 1; i >= 0; i--) {
      const component = this.components[i];
      if (component.interfaceRemoved) component.interfaceRemoved(nif);
    }
    this.interfaces.splice(at, 1);
    nif.enabled = false;
    nif.removed = true;
    this.changed();
    try {
      nif.link.close();
    } catch (error) {
      this.hostFault("close", error);
    }
  }

  /** Takes an interface up or down (administratively), or gives it another MTU (68..link.mtu bytes). */
  setInterface(nif: Interface, options: { enabled?: boolean; mtu?: number }): void {
    if (options.mtu !== undefined) nif.mtu = requireInteger(options.mtu, 68, nif.link.mtu, "mtu");
    if (options.enabled !== undefined) nif.enabled = options.enabled === true;
    this.interfaceChanged(nif);
  }

  /** The interface of that name, or null. */
  findInterface(name: string): Interface | null {
    for (let i = 0; i < this.interfaces.length; i++) {
      if (this.interfaces[i].name === name) return this.interfaces[i];
    }
    return null;
  }

  /** The component of a class, wherever it stands in the list, or null. */
  component<T>(type: new (...parameters: never[]) => T): T | null {
    for (let i = 0; i < this.components.length; i++) {
      const component: unknown = this.components[i];
      if (component instanceof type) return component;
    }
    return null;
  }

  /** The network component of a family (4 or 6), or null. */
  network(family: number): Network | null {
    for (let i = 0; i < this.networks.length; i++) {
      if (this.networks[i].family === family) return this.networks[i];
    }
    return null;
  }

  /** The transport of an IP protocol, or null. */
  transport(protocol: number): Transport | null {
    const transports = this.transports;
    for (let i = 0; i < transports.length; i++) {
      if (transports[i].protocol === protocol) return transports[i];
    }
    return null;
  }

  /** What was cached about routes and addresses is stale. */
  changed(): void {
    this.generation = (this.generation + 1) | 0;
  }

  interfaceChanged(nif: Interface): void {
    this.changed();
    for (let i = 0; i < this.components.length; i++) {
      const component = this.components[i];
      if (component.interfaceChanged) component.interfaceChanged(nif);
    }
  }

  /** Listeners for "a link has room again": TCP goes on sending. */
  readonly onLinkWritable: (() => void)[] = [];

  linkWritable(): void {
    for (let i = 0; i < this.onLinkWritable.length; i++) this.onLinkWritable[i]();
  }

  /**
   * The outgoing packet, empty, with room for `size` bytes behind its start and `HEADROOM` before it; null when there is no
   * memory for that (`ENOBUFS`) or it is more than `maximumPacket`. Valid until the next call.
   */
  prepare(size: number): Packet | null {
    const tx = this.tx;
    if (tx.data.length < HEADROOM + size + TAILROOM) {
      if (size > this.maximumPacket) return null;
      // Room for an Ethernet frame at the least, so that small sizes do not lead to many small growths.
      const least = this.maximumPacket < 1536 ? this.maximumPacket : 1536;
      const room = size < least ? least : size;
      const data = this.host.allocate((HEADROOM + room + TAILROOM + 3) & ~3);
      if (!data) return null;
      tx.data = data;
    }
    tx.start = HEADROOM;
    tx.end = HEADROOM + size;
    tx.flags = 0;
    tx.checksumField = -1;
    tx.segmentSize = 0;
    return tx;
  }

  /** Runs `task` once the stack is at rest: at the end of this frame or poll, or in a wake-up that is asked for now. */
  defer(task: Deferred): void {
    if (task.queued) return;
    task.queued = true;
    task.nextDeferred = null;
    if (this.lastDeferred) this.lastDeferred.nextDeferred = task;
    else this.deferred = task;
    this.lastDeferred = task;
    if (!this.busy && !this.running) this.arm(this.host.now());
  }

  /** The frame goes, or another takes the place of `rx`: what has not been read of it is copied. */
  reclaim(): void {
    const lender = this.lender;
    this.lender = null;
    if (lender) lender.keep();
  }

  /** Runs the events that wait. What they cause waits for the next round. */
  runDeferred(): void {
    if (this.running) return;
    this.running = true;
    const last = this.lastDeferred;
    while (this.deferred) {
      const task: Deferred = this.deferred;
      this.deferred = task.nextDeferred;
      if (!this.deferred) this.lastDeferred = null;
      task.queued = false;
      try {
        task.run();
      } catch (error) {
        this.host.panic(error);
      }
      if (task === last) break;
    }
    this.running = false;
    if (this.deferred) this.arm(this.host.now());
    if (this.overdue) this.poll();
  }

  /** Does what is due. The host calls it when the time asked for by `wake` has come; any other time is harmless. */
  poll(): void {
    if (this.busy || this.closed) return;
    this.overdue = false;
    this.wakePending = false;
    const now = this.host.now();
    this.busy = this.polling = true;
    this.timely = false;
    let more = true;
    try {
      more = this.timers.run(now, this.timersPerPoll);
    } catch (error) {
      // The engine's memory has ended: what else is due comes with the next poll.
      this.host.panic(error);
    }
    this.busy = false;
    if (this.deferred) this.runDeferred();
    this.polling = false;
    const delay = more || this.deferred ? 0 : this.timers.delay(now);
    if (delay >= 0) this.arm((now + delay) | 0);
  }

  /** Ends all flows without a word to the peers, closes the links, gives all memory back. */
  close(): void {
    if (this.closed) return;
    while (this.interfaces.length > 0) this.removeInterface(this.interfaces[this.interfaces.length - 1]);
    for (let i = this.components.length - 1; i >= 0; i--) {
      const component = this.components[i];
      if (component.close) component.close();
    }
    this.runDeferred();
    this.closed = true;
    this.host.wake(-1);
  }

  /** Counts and logs a host that threw. */
  hostFault(what: string, error: unknown): void {
    this.host.counters.transmit++;
    this.host.log(what + " threw: " + error);
  }

  private arm(at: number): void {
    if (this.closed || this.polling || (this.wakePending && ((at - this.wakeAt) | 0) >= 0)) return;
    this.wakePending = true;
    this.wakeAt = at;
    const delay = (at - this.host.now()) | 0;
    this.host.wake(delay > 0 ? delay : 0);
  }
}

/**
 * Makes a stack of the components that are given: the list is its whole configuration.
 *
 * ```ts
 * const ip = ipv4(), sockets = tcp();
 * const stack = createStack(host, [ethernet(), arp(), ip, icmp(), sockets]);
 * const eth0 = stack.addInterface(link);
 * ip.addAddress(eth0, "10.0.0.2/24");
 * ```
 * Errors: `EPROTONOSUPPORT` host of another contract version, `EINVAL` options, `ENOPROTOOPT` a component that another needs
 * is missing, `EBUSY` a component belongs to a stack already.
 */
export function createStack(
  hypercalls: Hypercalls,
  components: Component[],
  options: StackOptions = {},
): Stack {
  return new Stack(hypercalls, components, options);
}

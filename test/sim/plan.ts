/** What a run of the campaign is to do: drawn from its seed alone, as plain data that can be printed. */
import { Random } from "../../ports/sim/index.js";
import type { ChannelOptions } from "../../ports/sim/index.js";

/** How one end of a stream behaves. */
export interface EndPlan {
  /** Bytes that it writes in all, and in one call. */
  total: number;
  piece: number;
  /** Bytes that it reads in one call, and the pause between two calls, ms. */
  readSize: number;
  readDelay: number;
  /** After how many bytes written it misbehaves, or -1: `"abort"` or `"close"` without reading on. */
  breakAt: number;
  breakBy: "abort" | "close";
  noDelay: boolean;
}

export interface FlowPlan {
  at: number;
  /** Over IPv6. */
  six: boolean;
  client: number;
  server: number;
  near: EndPlan;
  far: EndPlan;
}

/** UDP datagrams that are echoed, or pings. */
export interface EchoPlan {
  at: number;
  six: boolean;
  client: number;
  server: number;
  count: number;
  size: number;
  interval: number;
}

/** Short connections to one listener. */
export interface ChurnPlan {
  at: number;
  six: boolean;
  client: number;
  server: number;
  count: number;
  interval: number;
  /** Bytes of the question. */
  size: number;
  backlog: number;
}

export type FaultKind =
  | "cut"
  | "silent cut"
  | "clock jumps"
  | "clock goes back"
  | "clock freezes"
  | "clock gives no number"
  | "wakes late"
  | "wakes early"
  | "wakes twice"
  | "wakes never"
  | "no entropy"
  | "driver throws"
  | "driver refuses"
  | "interface down"
  | "address gone"
  | "reboot";

export interface FaultPlan {
  at: number;
  machine: number;
  kind: FaultKind;
  /** How long it lasts, ms; for clock jumps, how far. */
  amount: number;
}

export interface MachinePlan {
  packetMemory: number;
  chunkSize: number;
  offloads: boolean;
  /** Of what it sends; and of what it gets. */
  out: ChannelOptions;
  in: ChannelOptions;
}

export interface Plan {
  seed: number;
  topology: "wire" | "switch" | "hub" | "tree";
  medium: "ethernet" | "ip";
  mtu: number;
  /** The machines speak IPv6, too. */
  six: boolean;
  machines: MachinePlan[];
  flows: FlowPlan[];
  echoes: EchoPlan[];
  pings: EchoPlan[];
  faults: FaultPlan[];
  churns: ChurnPlan[];
  /** Nothing happens that could end a connection: all must come to a good end. */
  gentle: boolean;
}

const KINDS: FaultKind[] = [
  "cut",
  "silent cut",
  "clock jumps",
  "clock goes back",
  "clock freezes",
  "clock gives no number",
  "wakes late",
  "wakes early",
  "wakes twice",
  "wakes never",
  "no entropy",
  "driver throws",
  "driver refuses",
  "interface down",
  "address gone",
  "reboot",
];

/** Addresses of IPv6 are tried before they are used; then work begins, ms. */
const START = 4000;

/** The plan of a seed. */
export function makePlan(seed: number): Plan {
  const random = new Random(seed, 0x706c616e);
  const gentle = random.chance(0.4);
  const count = random.between(2, 6);
  const topology =
    count === 2 && random.chance(0.6) ? "wire" : random.pick(["switch", "switch", "hub", "tree"] as const);
  const medium = topology === "wire" && random.chance(0.3) ? "ip" : "ethernet";
  const machines = Array.from({ length: count }, () => machine(random, gentle));
  const mtu = random.pick([296, 576, 1006, 1500, 1500, 1500, 4000, 9000]);
  // Smaller links cannot carry IPv6 (RFC 8200 section 5).
  const six = mtu >= 1280 && random.chance(0.6);
  const some = (most: number) => Array.from({ length: random.below(most + 1) });
  return {
    seed,
    topology,
    medium,
    mtu,
    six,
    machines,
    flows: [...some(5), 0].map(() => flow(random, count, gentle, six)),
    echoes: some(2).map(() => echo(random, count, 4000, six)),
    pings: some(2).map(() => echo(random, count, 3000, six)),
    faults: gentle ? [] : some(5).map(() => fault(random, count)),
    churns: some(1).map(() => churn(random, count, gentle, six)),
    gentle,
  };
}

function machine(random: Random, gentle: boolean): MachinePlan {
  const memory = random.pick(
    gentle
      ? [[1 << 20, 2048]]
      : [
          [1 << 20, 2048],
          [1 << 18, 512],
          [1 << 16, 256],
        ],
  );
  return {
    packetMemory: memory[0],
    chunkSize: memory[1],
    offloads: random.chance(0.3),
    // Bits flip on the way out only: two flips on one way could cancel each other in the Internet checksum.
    out: channel(random, gentle, true),
    in: channel(random, gentle, false),
  };
}

function channel(random: Random, gentle: boolean, corrupts: boolean): ChannelOptions {
  const options: ChannelOptions = {};
  if (random.chance(0.5)) options.delay = random.pick([0.1, 1, 10, 50, 200]);
  if (random.chance(0.3)) options.jitter = random.pick([0.1, 2, 30]);
  if (random.chance(0.4)) {
    options.bandwidth = random.pick(gentle ? [1e6, 1e7, 1e9] : [64e3, 1e6, 1e7, 1e9]);
    options.queueFrames = random.pick(gentle ? [50, 500] : [8, 50, 500]);
    // A queue of many seconds lets ARP give up.
    if (gentle) options.queueBytes = options.bandwidth / 40;
    options.full = random.pick(["drop", "refuse"]);
  }
  if (random.chance(0.4)) options.loss = random.pick(gentle ? [0.001, 0.01] : [0.001, 0.01, 0.05, 0.2]);
  if (random.chance(0.3)) options.duplicate = random.pick([0.01, 0.2]);
  if (random.chance(0.3)) {
    options.reorder = random.pick([0.01, 0.1, 0.5]);
    options.reorderDelay = random.pick([1, 20, 100]);
  }
  // A black hole: TCP has to find out by itself that its segments are too large.
  if (!gentle && random.chance(0.1)) options.maximum = random.pick([600, 1300, 2000]);
  if (corrupts && random.chance(0.2)) options.corrupt = random.pick(gentle ? [0.005] : [0.005, 0.05]);
  return options;
}

function flow(random: Random, machines: number, gentle: boolean, six: boolean): FlowPlan {
  const client = random.below(machines);
  const server = (client + random.between(1, machines - 1)) % machines;
  return {
    at: START + random.float() * 10000,
    six: six && random.chance(0.6),
    client,
    server,
    near: end(random, gentle),
    far: end(random, gentle),
  };
}

function end(random: Random, gentle: boolean): EndPlan {
  const total = random.pick([0, 1, 100, 5000, 60000, 200000]);
  const readDelay = random.pick([0, 0, 0, 1, 50]);
  const breaks = !gentle && random.chance(0.15);
  return {
    total: total && random.between(1, total),
    piece: random.pick([1, 7, 100, 536, 1460, 1461, 5000, 65536, 200000]),
    // Slow readers read some more at a time: 200,000 pauses of 50 ms would be hours.
    readSize: random.pick(readDelay > 1 ? [200, 1460, 65536] : [1, 100, 1460, 65536]),
    readDelay,
    breakAt: breaks ? random.below(total + 1) : -1,
    breakBy: random.pick(["abort", "close"]),
    noDelay: random.chance(0.3),
  };
}

function echo(random: Random, machines: number, largest: number, six: boolean): EchoPlan {
  const client = random.below(machines);
  return {
    at: START + random.float() * 10000,
    six: six && random.chance(0.6),
    client,
    server: (client + random.between(1, machines - 1)) % machines,
    count: random.between(1, 30),
    size: random.below(random.pick([10, 1400, largest])),
    interval: random.pick([1, 100, 1000]),
  };
}

function churn(random: Random, machines: number, gentle: boolean, six: boolean): ChurnPlan {
  const client = random.below(machines);
  return {
    at: START + random.float() * 10000,
    six: six && random.chance(0.6),
    client,
    server: (client + random.between(1, machines - 1)) % machines,
    // A burst that a short queue cannot hold may cost a client all tries that its SYN-ACK has.
    count: random.between(1, gentle ? 10 : 40),
    interval: random.pick([0, 1, 30, 500]),
    size: random.pick(gentle ? [0, 1, 500] : [0, 1, 500, 3000, 20000]),
    // A full backlog drops SYNs, and some clients may give up.
    backlog: gentle ? 64 : random.pick([1, 4, 16]),
  };
}

function fault(random: Random, machines: number): FaultPlan {
  const kind = random.pick(KINDS);
  const amount = random.pick(kind === "clock jumps" ? [100, 5000, 3600000] : [20, 500, 5000, 40000]);
  return { at: random.float() * 20000, machine: random.below(machines), kind, amount };
}

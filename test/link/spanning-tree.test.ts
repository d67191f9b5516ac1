/** The rapid spanning tree of bridges: messages of the old protocol and the new one, hostile ones, and networks of bridges with loops. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { createWorld, wire } from "../../ports/sim/index.js";
import type { SimLink } from "../../ports/sim/index.js";
import { createStack } from "../../stack/index.js";
import { bridge } from "../../stack/link/bridge.js";
import type { Bridge, BridgePort, BridgePortOptions } from "../../stack/link/bridge.js";
import { ethernet } from "../../stack/link/ethernet.js";
import {
  ALTERNATE,
  BACKUP,
  DESIGNATED,
  DISABLED,
  DISCARDING,
  FORWARDING,
  LEARNING,
  ROOT,
  spanningTree,
} from "../../stack/link/spanning-tree.js";
import type { SpanningTree, SpanningTreeOptions } from "../../stack/link/spanning-tree.js";
import { macBytes } from "../support/bytes.js";
import { STACK_MAC } from "../support/packets.js";
import { Probe } from "../support/probe.js";

const RAPID_DESIGNATED = 0x0c;

interface Said {
  type?: number;
  flags?: number;
  root?: string;
  cost?: number;
  sender?: string;
  port?: string;
  /** Message age, maximum age, hello, forward delay. */
  times?: string;
}

/** A message (802.1D-2004 section 9.3) in its frame; identifiers are eight bytes in hex. */
function bpdu({
  type = 0,
  flags = 0,
  root = "10000200000001aa",
  cost = 0,
  sender = root,
  ...more
}: Said = {}) {
  const { port = "8001", times = "0000140002000f00" } = more;
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  const body = `0000${type === 2 ? "02" : "00"}${hex(type, 2)}${hex(flags, 2)}${root}${hex(cost, 8)}${sender}${port}${times}00`;
  const length = 3 + (type === 2 ? 36 : type === 0x80 ? 4 : 35);
  const text = `0180c20000000200000001aa${hex(length, 4)}424203${body}`;
  return Uint8Array.from(text.padEnd(120, "0").match(/../g)!, (byte) => parseInt(byte, 16));
}

/** What a bridge has said, read anew. */
function read(frame: Uint8Array) {
  const flags = frame[21]!;
  const hex = (from: number, to: number) => Buffer.from(frame.subarray(from, to)).toString("hex");
  return {
    type: frame[20]!,
    length: (frame[12]! << 8) | frame[13]!,
    version: frame[19]!,
    change: (flags & 1) !== 0,
    proposal: (flags & 2) !== 0,
    role: (flags >> 2) & 3,
    agreement: (flags & 0x40) !== 0,
    acknowledged: (flags & 0x80) !== 0,
    root: hex(22, 30),
    cost: parseInt(hex(30, 34), 16),
    sender: hex(34, 42),
    port: hex(42, 44),
    age: parseInt(hex(44, 46), 16) / 256,
  };
}

function setup(t: ExecutionContext, ports: BridgePortOptions[], options: SpanningTreeOptions = {}) {
  const world = createWorld({ seed: 1, scribble: true });
  const host = world.host();
  const tree = spanningTree(options);
  const middle = bridge({ mac: macBytes(STACK_MAC), tree });
  const stack = host.drive(createStack(host, [ethernet(), middle]));
  stack.addInterface(middle, "br0");
  const probes = ports.map((each) => {
    const probe = new Probe(world);
    middle.addPort(probe, each);
    return probe;
  });
  t.teardown(() => {
    stack.close();
    if (middle.ports.length > 0 || stack.timers.count() > 0) throw new Error("the bridge is not at rest");
  });
  const states = () => middle.ports.map((port) => tree.stateOf(port)).join();
  const roles = () => middle.ports.map((port) => tree.roleOf(port)).join();
  const said = (port: number) => probes[port]!.take().map(read);
  return { world, tree, middle, stack, probes, states, roles, said };
}

test("alone: ports propose, and are edges when nobody answers; one that may not be, waits", (t) => {
  const { world, tree, middle, states, said } = setup(t, [
    {},
    { tree: { edge: true } },
    { tree: { edge: false } },
    {},
  ]);
  t.is(states(), [DISCARDING, FORWARDING, DISCARDING, DISCARDING].join());
  const [first] = said(0);
  t.like(first, { type: 2, version: 2, length: 39, proposal: true, role: 3, cost: 0, port: "8001", age: 0 });
  t.is(first!.sender, first!.root);
  t.is(said(1)[0]!.proposal, false);
  world.run(3_100);
  t.is(states(), [FORWARDING, FORWARDING, DISCARDING, FORWARDING].join());
  world.run(17_000);
  t.is(states(), [FORWARDING, FORWARDING, LEARNING, FORWARDING].join());
  world.run(2_000);
  t.is(states(), [FORWARDING, FORWARDING, FORWARDING, FORWARDING].join());
  t.deepEqual(
    middle.ports.map((port) => tree.isEdge(port)),
    [true, true, false, true],
  );
  t.is(tree.counters.changes, 1, "only where no edge has opened");
  said(0);
  world.run(20_000);
  t.is(said(0).length, 10, "one in each hello");
});

test("an old bridge: after three seconds it is spoken to in its own words; listens, learns, forwards; TCN and acknowledgement", (t) => {
  const { world, probes, states, roles, said } = setup(t, [{}, { tree: { edge: false } }]);
  const old = () => probes[0]!.send(bpdu({}));
  for (let second = 0; second < 24; second++) {
    old();
    world.run(1000);
  }
  t.is(roles(), [ROOT, DESIGNATED].join());
  t.true(states().startsWith(`${FORWARDING}`));
  const before = said(0);
  t.true(
    before.some(({ type }) => type === 0x80),
    "it is told of the change",
  );
  t.true(before.filter(({ type }) => type === 2).length <= 8);
  probes[0]!.send(bpdu({ flags: 0x80 }));
  said(0);
  world.run(4000);
  t.deepEqual(said(0), [], "acknowledged: not a word more on the way to the root");
  // The way round: it is below us, and tells us.
  const below = setup(t, [{ tree: { edge: false } }], { priority: 0 });
  for (let second = 0; second < 8; second++) {
    below.probes[0]!.send(bpdu({}));
    below.world.run(1000);
  }
  const told = below.said(0);
  t.is(told[0]!.type, 2);
  t.like(told.at(-1), { type: 0, version: 0, length: 38, role: 0, proposal: false });
  t.is(below.states(), `${DISCARDING}`, "listening");
  below.world.run(15_000);
  t.is(below.states(), `${LEARNING}`);
  below.world.run(15_000);
  t.is(below.states(), `${FORWARDING}`);
  below.said(0);
  below.probes[0]!.send(bpdu({ type: 0x80 }));
  t.like(below.said(0)[0], { type: 0, acknowledged: true });
  t.true(below.tree.counters.changes >= 2);
});

test("proposal and agreement: agreed to at once; a worse root is agreed to when what is below has been closed", (t) => {
  const { world, tree, probes, states, roles, said } = setup(t, [{}, { tree: { edge: false } }, {}]);
  probes.forEach((probe) => probe.take());
  probes[0]!.send(bpdu({ type: 2, flags: RAPID_DESIGNATED | 2 }));
  t.is(roles(), [ROOT, DESIGNATED, DESIGNATED].join());
  t.is(states(), [FORWARDING, DISCARDING, DISCARDING].join());
  t.like(said(0)[0], { role: 2, agreement: true, root: "10000200000001aa", cost: 20000, age: 1 });
  t.like(said(1)[0], { role: 3, proposal: true, root: "10000200000001aa", cost: 20000, age: 1 });
  // The bridge below agrees: open at once, without a delay.
  const below = { type: 2, flags: (2 << 2) | 0x40, cost: 40000, sender: "80000200000001bb" };
  probes[1]!.send(bpdu(below));
  t.is(states(), [FORWARDING, FORWARDING, DISCARDING].join());
  for (let second = 0; second < 4; second++) {
    probes[0]!.send(bpdu({ type: 2, flags: RAPID_DESIGNATED }));
    world.run(1_000);
  }
  t.is(states(), [FORWARDING, FORWARDING, FORWARDING].join());
  said(0);
  said(1);
  const worse = { root: "20000200000001ab", sender: "10000200000001aa" };
  probes[0]!.send(bpdu({ type: 2, flags: RAPID_DESIGNATED | 2, ...worse }));
  t.is(states(), [FORWARDING, DISCARDING, FORWARDING].join(), "the edge stays open");
  t.like(said(0)[0], { role: 2, agreement: true, root: worse.root });
  t.like(said(1)[0], { role: 3, proposal: true, root: worse.root });
  probes[1]!.send(bpdu({ ...below, root: worse.root }));
  t.is(states(), [FORWARDING, FORWARDING, FORWARDING].join());
  // A second way to the root: closed, and opened at once when the first is gone.
  probes[1]!.send(
    bpdu({ type: 2, flags: RAPID_DESIGNATED, root: worse.root, cost: 5, sender: "20000200000001cc" }),
  );
  t.is(roles(), [ROOT, ALTERNATE, DESIGNATED].join());
  t.is(states(), [FORWARDING, DISCARDING, FORWARDING].join());
  probes[0]!.receiver!.carrier(false);
  t.is(roles(), [DISABLED, ROOT, DESIGNATED].join());
  t.is(states(), [DISCARDING, FORWARDING, FORWARDING].join());
  t.true(said(1).some(({ change }) => change));
  t.is(tree.counters.malformed, 0);
});

test("a silent neighbour is forgotten after three hellos; messages that are too old, or lie about their cost, win nothing", (t) => {
  const { world, tree, probes, roles } = setup(t, [{}, {}]);
  const root = "10000200000001aa";
  const speak = (more: Said = {}) =>
    probes[0]!.send(bpdu({ type: 2, flags: RAPID_DESIGNATED, root, ...more }));
  speak();
  t.is(roles(), [ROOT, DESIGNATED].join());
  world.run(5_000);
  t.is(roles(), [ROOT, DESIGNATED].join());
  world.run(2_000);
  t.is(roles(), [DESIGNATED, DESIGNATED].join());
  t.is(tree.counters.expired, 1);
  probes[1]!.send(bpdu({ type: 2, flags: RAPID_DESIGNATED, root, sender: "10000200000001bb" }));
  speak({ cost: 0xffffffff });
  t.is(roles(), [DESIGNATED, ROOT].join());
  // Older than it may be: of the old protocol no message, of the new one good for nothing.
  const { malformed } = tree.counters;
  probes[0]!.send(bpdu({ times: "1500140002000f00" }));
  t.is(tree.counters.malformed, malformed + 1);
  speak({ root: "00000200000001aa", times: "1500140002000f00" });
  t.is(Buffer.from(tree.rootId()).toString("hex"), root);
});

test("one that does not hear us, and a loop of one port, are closed; a port that is told so is never the way to the root", (t) => {
  const { world, tree, probes, middle, states, roles, said } = setup(t, [
    {},
    {},
    { tree: { restrictedRole: true, restrictedChange: true } },
  ]);
  world.run(4_000);
  const own = probes[1]!.take()[0]!;
  probes[0]!.send(bpdu({ type: 2, flags: RAPID_DESIGNATED | 0x30, root: "f0000200000001aa" }));
  t.is(states().split(",")[0], `${DISCARDING}`);
  for (let second = 0; second < 9; second++) {
    probes[1]!.send(own);
    world.run(1000);
    t.not(tree.stateOf(middle.ports[1]!), FORWARDING, `${second}`);
  }
  t.is(tree.counters.looped, 9);
  t.is(said(0).length > 0, true);
  probes[2]!.send(bpdu({ type: 2, flags: RAPID_DESIGNATED | 1 }));
  t.is(roles().split(",")[2], `${ALTERNATE}`, "a forged root");
  t.is(Buffer.from(tree.rootId()).toString("hex", 2), Buffer.from(macBytes(STACK_MAC)).toString("hex"));
  world.run(7_000);
  t.is(roles().split(",")[2], `${DESIGNATED}`);
});

test("a flood of messages: bounded answers, bounded searches for stations", (t) => {
  const { world, tree, probes, middle, said } = setup(t, [{}, { tree: { edge: false } }]);
  world.run(24_000);
  probes.forEach((probe) => probe.take());
  let searches = 0;
  const forget = middle.forgetStations.bind(middle);
  middle.forgetStations = (port: BridgePort) => {
    searches++;
    forget(port);
  };
  for (let i = 0; i < 1000; i++) {
    const root = (i + 1).toString(16).padStart(16, "0");
    probes[0]!.send(bpdu({ type: 2, flags: RAPID_DESIGNATED | 3, root: i & 1 ? root : "f" + root.slice(1) }));
    probes[0]!.send(bpdu({ type: 0x80 }));
  }
  t.true(said(0).length + said(1).length <= 12);
  t.true(searches <= 14, `${searches}`);
  world.run(2_000);
  t.true(searches <= 30);
  t.is(tree.counters.received, 2000);
});

test("property: no message makes the tree throw, or leaves a port in a state that there is not", (t) => {
  const { probes, middle, tree, world } = setup(t, [{}, {}, {}]);
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 4, maxLength: 60 }),
      fc.nat(2),
      fc.nat(60),
      fc.constantFrom(0, 2, 0x80, 77),
      (bytes, port, length, type) => {
        const message = bpdu({ type, root: "0000000000000000" });
        message.set(bytes.subarray(0, 38), 21);
        message[13] = length;
        probes[port]!.send(message);
        for (const probe of probes) probe.take();
        world.run(100);
        return middle.ports.every((each) => {
          const open = each.forwards && each.learns;
          return (tree.stateOf(each) === FORWARDING) === open && tree.roleOf(each) <= BACKUP;
        });
      },
    ),
    { numRuns: 1000 },
  );
  t.true(tree.counters.malformed > 0 && tree.counters.received > 0);
});

test("options are checked before a port is open", (t) => {
  const { middle, world, tree } = setup(t, [{}]);
  for (const [options, field] of [
    [{ priority: 241 }, "priority"],
    [{ cost: 200000001 }, "cost"],
  ] as const) {
    const probe = new Probe(world);
    t.throws(() => middle.addPort(probe, { tree: options }), { message: new RegExp(field) });
    t.true(probe.receiver === null);
  }
  t.is(middle.ports.length, 1);
  t.is(tree.roleOf(middle.ports[0]!), DESIGNATED);
  t.throws(() => spanningTree({ hello: 11 }), { message: /hello/ });
});

/** Bridges in one world, and cables between them. */
function network(
  seed: number,
  count: number,
  cables: readonly (readonly [number, number])[],
  old: number[] = [],
) {
  const world = createWorld({ seed });
  const nodes = Array.from({ length: count }, (_, i) => {
    const host = world.host();
    const tree = spanningTree({ rapid: !old.includes(i), priority: 4096 * ((i * 7 + seed) % 16) });
    const middle = bridge({ mac: Uint8Array.of(2, 0, 0, 0, 2, i), tree });
    return { tree, middle, stack: host.drive(createStack(host, [ethernet(), middle])) };
  });
  const links = cables.map(([a, b]) => {
    const ends = wire(world, { delay: 1 });
    return {
      a,
      b,
      link: ends[0] as SimLink,
      ports: [nodes[a]!.middle.addPort(ends[0]), nodes[b]!.middle.addPort(ends[1])],
    };
  });
  const open = (node: { tree: SpanningTree; middle: Bridge }, port: BridgePort) =>
    port.running && node.tree.stateOf(port) === FORWARDING;
  /** The cables that frames pass: how many, and do they join all that are joined at all? */
  const shape = (): "tree" | "loop" | "split" => {
    const join = (which: typeof links) => {
      const group = nodes.map((_, i) => i);
      let loops = 0;
      for (const { a, b } of which) {
        const [from, to] = [group[a]!, group[b]!];
        if (from === to) loops++;
        else group.forEach((each, i) => each === from && (group[i] = to));
      }
      return { loops, groups: new Set(group).size };
    };
    const up = links.filter(({ ports }) => ports[0]!.running);
    const used = up.filter(({ a, b, ports }) => open(nodes[a]!, ports[0]!) && open(nodes[b]!, ports[1]!));
    if (join(used).loops > 0) return "loop";
    return join(used).groups === join(up).groups ? "tree" : "split";
  };
  const settles = (limit: number): number => {
    const from = world.time;
    while (shape() !== "tree" && world.time - from < limit) world.run(5);
    return world.time - from;
  };
  return { world, nodes, links, shape, settles, close: () => nodes.forEach(({ stack }) => stack.close()) };
}

test("a ring of eight: a tree within a moment, and again when a cable or the root goes", (t) => {
  const ring = Array.from({ length: 8 }, (_, i) => [i, (i + 1) % 8] as const);
  const { world, nodes, links, shape, settles, close } = network(3, 8, ring);
  const first = settles(30_000);
  world.run(5_000);
  t.is(shape(), "tree");
  const used = links.findIndex(({ a, b, ports }) => {
    const roles = [nodes[a]!.tree.roleOf(ports[0]!), nodes[b]!.tree.roleOf(ports[1]!)];
    return roles.includes(ROOT);
  });
  links[used]!.link.cut();
  world.run(1);
  t.is(shape(), "split");
  const second = settles(30_000);
  t.log(`a tree after ${first} ms, and ${second} ms after a cable went`);
  t.true(first < 4_000 && second < 1_000);
  links[used]!.link.restore();
  world.run(5_000);
  t.is(shape(), "tree");
  close();
});

test("property: whatever the cables, there is never a loop that lasts, and all that are joined reach each other", (t) => {
  fc.assert(
    fc.property(
      fc.nat(1000),
      fc.array(fc.tuple(fc.nat(5), fc.nat(5)), { minLength: 5, maxLength: 12 }),
      fc.array(fc.nat(11), { maxLength: 3 }),
      fc.subarray([1, 4]),
      (seed, pairs, cuts, old) => {
        const cables = pairs.filter(([a, b]) => a !== b);
        const { world, links, shape, close } = network(seed, 6, cables, old);
        // A root that is gone goes round a loop until it is too old, 20 hops of a second; old bridges take 30 s to open a port.
        const wait = old.length > 0 ? 180_000 : 60_000;
        let loops = 0;
        const watch = (ms: number) => {
          for (let passed = 0; passed < ms;) {
            const step = passed < 5_000 ? 50 : 500;
            passed += step;
            world.run(step);
            loops = shape() === "loop" ? loops + 1 : 0;
            // What a message on its way explains, and no more.
            if (loops > 1) return false;
          }
          return shape() === "tree";
        };
        let good = watch(wait);
        for (const cut of cuts) {
          links[cut]?.link.cut();
          good = good && watch(wait);
        }
        close();
        return good;
      },
    ),
    {
      numRuns: 40,
      examples: [
        [
          0,
          [
            [1, 0],
            [3, 1],
            [2, 0],
            [4, 1],
            [1, 4],
          ],
          [0],
          [],
        ],
      ],
    },
  );
  t.pass();
});

/** Accurate ECN (RFC 9768): its tables, the examples of its appendix, what the Linux kernel's own tests expect, and a hostile path. */
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { markCongestion } from "../../ports/sim/mark.js";
import {
  type AccurateCounters,
  AccurateState,
  accecn,
  marksByBytes,
  progress,
  saferMarks,
} from "../../stack/tcp/accecn.js";
import { ecn } from "../../stack/tcp/ecn.js";
import { fastOpen } from "../../stack/tcp/fast-open.js";
import { synCookies } from "../../stack/tcp/syn-cookies.js";
import { ESTABLISHED } from "../../stack/tcp/connection.js";
import { closeAll } from "../support/leaks.js";
import { pair } from "../support/network.js";
import type { LinkOffloads } from "../../hypercall/index.js";
import { PROBE_IP } from "../support/packets.js";
import { parseFrame } from "../support/parse.js";
import { ALL_OPTIONS, Peer, WITH_SACK, connectionOf, lab, listening, patternFrom } from "./support.js";
import type { Fields, Lab, LabOptions } from "./support.js";

const MSS = 1000;
const [NOT_ECT, ECT1, ECT0, CE] = [0, 1, 2, 3];
const SYN: Fields = { ...WITH_SACK, mss: MSS };

/** The three flags as letters, of the number that AE, CWR and ECE are. */
function ace(value: number): string {
  return (value & 1 ? "E" : "") + (value & 2 ? "C" : "") + (value & 4 ? "N" : "");
}

function aceOf(flags: string): number {
  return (flags.includes("E") ? 1 : 0) + (flags.includes("C") ? 2 : 0) + (flags.includes("N") ? 4 : 0);
}

/** The option, with `length` bytes of its own where that is not what its fields take. */
function option(kind: number, fields: number[], length = 2 + 3 * fields.length): Uint8Array {
  const bytes = [kind, length, ...fields.flatMap((value) => [value >> 16, value >> 8, value])];
  return Uint8Array.from([...Array((4 - (bytes.length & 3)) & 3).fill(1), ...bytes]);
}

/** The fields of the option in a frame: `"172: 1 0"`. */
function optionIn(bytes: Uint8Array): string {
  const tcp = bytes.subarray(34);
  const stop = (tcp[12]! >> 4) << 2;
  for (let at = 20; at < stop; at += tcp[at] === 1 ? 1 : tcp[at + 1]!) {
    if (tcp[at] !== 172 && tcp[at] !== 174) continue;
    const fields = [];
    for (let i = at + 2; i < at + tcp[at + 1]!; i += 3)
      fields.push((tcp[i]! << 16) | (tcp[i + 1]! << 8) | tcp[i + 2]!);
    return tcp[at] + ":" + fields.map((field) => " " + field).join("");
  }
  return "";
}

/** What the stack has sent: ACE, mark, first byte of data or "-", option. */
function sent(home: Lab, peer: Peer): string[] {
  return home.probe.sent.splice(0).map(({ bytes }) => {
    const { tcp, ip4, payload } = parseFrame(bytes);
    const data = payload.length > 0 ? String(tcp!.seq - peer.irs - 1) : "-";
    return `${aceOf(tcp!.flags)} ${ip4!.tos & 3} ${data} ${optionIn(bytes)}`.trim();
  });
}

function home(t: ExecutionContext, options: LabOptions = {}): Lab {
  return lab(t, { ...options, tcp: { ecn: accecn(), sendBuffer: 131_072, ...options.tcp } });
}

function counters({ stack }: Lab): AccurateCounters {
  return stack.counters.accecn as unknown as AccurateCounters;
}

/** The state of the only connection; null: it is not in AccECN mode. */
function stateOf({ tcp }: Lab): AccurateState | null {
  let state: unknown = null;
  tcp.connections.each((c) => (state = c.ecnState));
  return state instanceof AccurateState ? state : null;
}

/** The peer has opened a connection; `answer` is the ACE field of its acknowledgement of the SYN-ACK. */
function meeting(
  t: ExecutionContext,
  options: LabOptions = {},
  answer: number | null = 2,
  syn: Fields = SYN,
) {
  const node = home(t, options);
  listening(node);
  const peer = new Peer(node, 40000, 80);
  peer.send("SECN", syn);
  peer.stamped = syn.timestamps !== undefined;
  peer.expect("SAC", { ack: 1 });
  if (answer !== null) peer.send("A" + ace(answer));
  const socket = () => {
    let found = null as ReturnType<typeof connectionOf>["socket"];
    node.tcp.connections.each((c) => (found = c.socket));
    return found!;
  };
  return { home: node, peer, socket, state: stateOf(node)!, c: () => connectionOf(socket()) };
}

test("table 2, server: what a SYN asks for, and what it was marked with, is answered", (t) => {
  const replies = [
    [0, "SA", false],
    [3, "SAE", false],
    // Whatever else comes is AccECN (section 3.1.3).
    ...[1, 2, 4, 5, 6, 7].map((flags) => [flags, "SAC", true] as const),
  ] as const;
  for (const [flags, reply, accurate] of replies) {
    const node = home(t);
    listening(node);
    const peer = new Peer(node, 40000, 80);
    peer.send("S" + ace(flags), SYN);
    peer.expect(reply, { ack: 1 });
    t.is(stateOf(node) !== null, accurate, `SYN ${flags}`);
    t.deepEqual([counters(node).agreed, counters(node).fallbacks], [accurate ? 1 : 0, flags === 3 ? 1 : 0]);
  }
  for (const [mark, reply] of [
    [NOT_ECT, "SAC"],
    [ECT1, "SAEC"],
    [ECT0, "SAN"],
    [CE, "SACN"],
  ] as const) {
    const node = home(t);
    listening(node);
    const peer = new Peer(node, 40000, 80);
    peer.send("SECN", { ...SYN, tos: mark });
    peer.expect(reply, { ack: 1 });
    t.is(stateOf(node)!.rCep, 5, "a marked SYN is not counted");
  }
});

test("table 2, client: each of the eight answers, and whether data may be marked then", (t) => {
  // Feedback, mark of data, ACE of the acknowledgement, ACE of data.
  const modes = [
    ["none", 0, 0, 0],
    ["classic", 2, 0, 0],
    ["accurate", 2, 2, 5],
    ["accurate", 0, 2, 5],
    ["accurate", 0, 2, 5],
    ["accurate", 2, 2, 5],
    ["accurate", 0, 2, 5],
    ["none", 0, 0, 0],
  ] as const;
  modes.forEach(([mode, mark, first, then], answer) => {
    const node = home(t);
    const socket = node.tcp.connect({ address: PROBE_IP, port: 7000 });
    const peer = new Peer(node, 7000, socket.localPort());
    peer.expect("SECN");
    peer.send("SA" + ace(answer), SYN);
    t.is(stateOf(node) !== null, mode === "accurate", `answer ${answer}`);
    socket.write(patternFrom(0, MSS));
    const lines = sent(node, peer);
    t.deepEqual(lines, [`${first} 0 -${mode === "accurate" ? " 172: 1" : ""}`, `${then} ${mark} 0`]);
    t.is(counters(node).fallbacks, mode === "classic" ? 1 : 0);
    t.is(counters(node).incapable, mode === "accurate" && mark === 0 ? 1 : 0);
    if (mode !== "classic") return;
    peer.send("AE", { ack: 1 + MSS });
    socket.write(patternFrom(MSS, MSS));
    t.deepEqual(sent(node, peer), ["2 2 1000"], "CWR, as RFC 3168 has it");
  });
});

test("table 3: the mark of a SYN-ACK goes back once, also where data wait, and again where it comes again", (t) => {
  const rows = [
    [NOT_ECT, 2, 5],
    [ECT1, 3, 5],
    [ECT0, 4, 5],
    [CE, 6, 6],
  ] as const;
  for (const [mark, answer, count] of rows) {
    const early = fastOpen();
    const node = home(t, { components: () => [early] });
    const waits = (mark & 1) !== 0;
    const options = { address: PROBE_IP, port: 7000 };
    const socket = waits ? early.connect(options, patternFrom(0, MSS)) : node.tcp.connect(options);
    const peer = new Peer(node, 7000, socket.localPort());
    peer.expect("SECN");
    const reply = { ...SYN, seq: 0, tos: mark };
    peer.send("SAC", reply);
    const first = sent(node, peer);
    t.is(first[0], `${answer} 0 - 172: 1`);
    if (waits) t.deepEqual(first.slice(1), [`${count & 7} 2 0`]);
    node.run(600);
    node.probe.sent.length = 0;
    peer.send("SAC", reply);
    t.deepEqual(sent(node, peer), [`${answer} 0 -`], "no SACK, no option, the mark");
    t.is(stateOf(node)!.rCep, count, "and counted once");
    socket.abort();
  }
});

test("table 4: what the acknowledgement of our SYN-ACK tells", (t) => {
  // ACE; s.cep; may data be marked; are counters believed.
  const rows = [
    [0, 5, false, false],
    [1, 5, true, true],
    [2, 5, true, true],
    [3, 5, false, true],
    [4, 5, false, true],
    [5, 5, true, true],
    [6, 6, false, true],
    [7, 5, true, true],
  ] as const;
  for (const [answer, cep, capable, believed] of rows) {
    const { home: node, peer, socket, state, c } = meeting(t, {}, answer);
    t.is(state.sCep, cep, `ACE ${answer}`);
    socket().write(patternFrom(0, 4 * MSS));
    const mark = capable ? 2 : 0;
    t.deepEqual(
      sent(node, peer),
      [0, 1, 2, 3].map((i) => `5 ${mark} ${i * MSS}`),
    );
    const before = c().cwnd;
    peer.send("A" + ace((cep + 1) & 7), { ack: 1 + MSS });
    t.is(c().cwnd < before, believed);
    t.is(node.tcp.counters.congestionEchoes, believed ? 1 : 0);
  }
});

test("a marked SYN slows the client down, with its first acknowledgement", (t) => {
  const node = home(t);
  const socket = node.tcp.connect({ address: PROBE_IP, port: 7000 });
  const peer = new Peer(node, 7000, socket.localPort());
  peer.expect("SECN");
  peer.send("SACN", SYN);
  socket.write(patternFrom(0, 8 * MSS));
  const c = connectionOf(socket);
  const before = c.cwnd;
  peer.send("A" + ace(5), { ack: 1 + MSS });
  t.true(c.cwnd < before);
  t.is(stateOf(node)!.sCep, 5, "it is no counter");
});

test("a SYN that is lost offers AccECN once more, then nothing; the first answer decides (section 3.1.4.1)", (t) => {
  for (const [answer, mode] of [
    ["SAC", "accurate"],
    ["SAE", "none"],
    ["SA", "none"],
  ] as const) {
    const node = home(t);
    const socket = node.tcp.connect({ address: PROBE_IP, port: 7000 });
    const peer = new Peer(node, 7000, socket.localPort());
    const first = peer.expect("SECN");
    node.run(1100);
    t.is(peer.expect("SECN").tcp.seq, first.tcp.seq);
    node.run(2100);
    t.is(peer.expect("S").tcp.seq, first.tcp.seq);
    peer.send(answer, SYN);
    t.is(stateOf(node) !== null, mode === "accurate");
    socket.write(patternFrom(0, MSS));
    t.is(sent(node, peer).at(-1), mode === "accurate" ? "5 2 0" : "0 0 0");
  }
});

test("a SYN-ACK that is lost goes without the option, then without flags: the mode stays, data are not marked (as Linux has it)", (t) => {
  const { home: node, peer, socket, state } = meeting(t, { tcp: { synAckRetries: 3 } }, null);
  node.run(1050);
  t.deepEqual(sent(node, peer), ["2 0 -"]);
  node.run(2050);
  t.deepEqual(sent(node, peer), ["0 0 -"]);
  peer.send("AC");
  t.is(counters(node).incapable, 1);
  peer.data(0, MSS, { tos: CE }, "A" + ace(5));
  socket().write(patternFrom(0, MSS));
  t.deepEqual(sent(node, peer), ["6 0 - 172: 1 1000", "6 0 0"]);
  t.is(state.rCep, 6);
  t.is(optionIn(home(t).probe.sent[0]?.bytes ?? new Uint8Array(60)), "");
});

test("SYNs that come again: the latest mark is told, one without flags ends marking, one of ECN ends the connection", (t) => {
  const { home: node, peer, state } = meeting(t, {}, null);
  node.run(600);
  peer.send("SECN", { ...SYN, seq: 0, tos: CE });
  t.deepEqual(sent(node, peer), ["6 0 -"]);
  peer.send("S", { ...SYN, seq: 0 });
  node.run(600);
  peer.send("A" + ace(2), { seq: 1 });
  t.is(counters(node).incapable, 1);
  t.not(stateOf(node), null, "the mode stays");
  t.is(state.rCep, 5);
  for (const [first, reply, second] of [
    ["SECN", "SAC", "SEC"],
    ["SEC", "SAE", "SECN"],
  ] as const) {
    const other = home(t);
    listening(other);
    const twin = new Peer(other, 40000, 80);
    twin.send(first, SYN);
    twin.expect(reply);
    twin.send(second, { ...SYN, seq: 0 });
    t.true(twin.take()[0]!.flags.startsWith("RA"));
    t.is(other.tcp.connections.size, 0);
    t.is(counters(other).contradictions, 1);
  }
  // Who is not in any mode stays there.
  const plain = home(t);
  listening(plain);
  const third = new Peer(plain, 40000, 80);
  third.send("S", SYN);
  third.expect("SA");
  plain.run(600);
  third.send("SECN", { ...SYN, seq: 0 });
  third.expect("SA");
});

test("ECN alone: a client whose SYN comes again without it is not marked (RFC 3168 section 6.1.1)", (t) => {
  const node = lab(t, { tcp: { ecn: ecn() } });
  listening(node);
  const peer = new Peer(node, 40000, 80);
  peer.send("SEC", SYN);
  peer.expect("SAE");
  node.run(600);
  peer.send("S", { ...SYN, seq: 0 });
  peer.expect("SA");
  peer.send("A", { seq: 1 });
  let socket = null as ReturnType<typeof connectionOf>["socket"];
  node.tcp.connections.each((c) => (socket = c.socket));
  socket!.write(patternFrom(0, MSS));
  t.deepEqual(sent(node, peer), ["0 0 0"]);
});

test("both open at once: each is the other's server, and flags of a SYN-ACK are no counter", (t) => {
  const node = home(t);
  const socket = node.tcp.connect({ address: PROBE_IP, port: 7000 });
  const peer = new Peer(node, 7000, socket.localPort());
  peer.expect("SECN");
  peer.send("SECN", { ...SYN, seq: 0, tos: ECT0 });
  peer.expect("SAN", { ack: 1 });
  peer.send("SAC", { ...SYN, seq: 0 });
  t.is(socket.state(), ESTABLISHED);
  t.is(stateOf(node)!.sCep, 5);
  peer.seq = 1;
  peer.send("AC");
  socket.write(patternFrom(0, MSS));
  t.is(sent(node, peer).at(-1), "5 2 0");
});

test("counters as Linux's own test has them: marks, bytes of each kind, and a field that wraps", (t) => {
  const { home: node, peer } = meeting(t);
  const answers: string[] = [];
  [CE, ECT0, CE, ECT1, CE].forEach((mark, i) => {
    peer.data(i * 1000, 1000, { tos: mark }, "PA" + ace(5));
    node.run(50);
    answers.push(...sent(node, peer));
  });
  t.deepEqual(answers, [
    "6 0 - 172: 1 1000",
    "6 0 - 172: 1001 1000",
    "7 0 - 172: 1001 2000",
    "7 0 - 172: 1001 2000 1001",
    "0 0 - 172: 1001 3000 1001",
  ]);
});

test("ECT(1) alone goes first, in the other order; what has no data is counted as a packet alone", (t) => {
  const { home: node, peer, state } = meeting(t);
  peer.data(0, 1000, { tos: ECT1 }, "A" + ace(5));
  node.run(50);
  t.deepEqual(sent(node, peer), ["5 0 - 174: 1001"]);
  peer.data(1000, 500, { tos: CE }, "A" + ace(5));
  t.deepEqual(sent(node, peer), ["6 0 - 174: 1001 500"]);
  peer.send("A" + ace(5), { tos: CE });
  t.deepEqual([state.rCep, state.rCeb, state.rE0b, state.rE1b], [7, 500, 1, 1001]);
  peer.data(1500, 500, {}, "A" + ace(5));
  node.run(50);
  t.deepEqual(sent(node, peer), ["7 0 -"], "no byte of a kind: no option");
});

test("acknowledgements in time: the first mark of a row, each second one, and each third of bare segments", (t) => {
  const { home: node, peer } = meeting(t);
  // Past the segments that are acknowledged one by one at the start.
  for (let i = 0; i < 40; i++) peer.data(i * 100, 100, { tos: ECT0 }, "A" + ace(5));
  node.run(100);
  sent(node, peer);
  peer.data(4000, 100, { tos: ECT0 }, "A" + ace(5));
  t.deepEqual(sent(node, peer), [], "delayed");
  const marked = (i: number) => {
    peer.data(4100 + i * 100, 100, { tos: CE }, "A" + ace(5));
    return sent(node, peer).length;
  };
  t.deepEqual([0, 1, 2, 3, 4].map(marked), [1, 0, 1, 0, 1]);
  const bare = () => {
    peer.send("A" + ace(5), { tos: CE });
    return sent(node, peer).length;
  };
  t.deepEqual([bare(), bare(), bare(), bare()], [0, 0, 1, 0]);
});

test("a segment that is not acceptable counts for nothing", (t) => {
  const { home: node, peer, state } = meeting(t);
  peer.data(0, 1000, { tos: ECT0 }, "A" + ace(5));
  const before = { ...state };
  peer.send("A" + ace(7), { seq: 1 + 200_000, tos: CE }, "x");
  peer.send("A" + ace(7), { seq: 1, tos: CE }, "x");
  peer.send("A" + ace(7), { ack: 5000, tos: CE }, "x");
  node.run(100);
  t.deepEqual([state.rCep, state.rCeb, state.rE0b, state.sCep], [before.rCep, before.rCeb, before.rE0b, 5]);
});

test("the appendix's examples: 24 bits that wrap (A.1), the field alone (A.2.1), the field and the option (A.2.2)", (t) => {
  t.is(progress(1461, 33_554_433), 1460);
  t.is(33_554_433 + progress(1461, 33_554_433), 33_555_893);
  t.is(progress(0, 0xffffff), 1);
  t.is(progress(5, -3), 8, "a counter beyond 2^31");
  t.is(saferMarks(2, 9), 2);
  t.is(saferMarks(2, 10), 10);
  t.is(saferMarks(3, 1), 3, "more marks than segments: they were of others");
  t.is(marksByBytes(0, 8, 1460, 1460), 8);
  t.is(marksByBytes(2, 10, 1460, 1460), 2);
  t.is(marksByBytes(7, 15, 10_200, 1460), 7);
});

/** Sends ten segments and takes acknowledgements of some, as `[segments, ACE, option]`; the marks that were counted. */
function told(
  t: ExecutionContext,
  answers: [number, number, number[]?][],
  answer: number | null = 2,
): number {
  const { home: node, peer, socket, c } = meeting(t, {}, answer);
  c().cwnd = 200 * MSS;
  socket().write(patternFrom(0, 100 * MSS));
  sent(node, peer);
  for (const [segments, field, fields] of answers) {
    const options = fields ? { options: option(172, fields) } : {};
    peer.send("A" + ace(field), { ack: 1 + segments * MSS, ...options });
  }
  return node.tcp.counters.congestionEchoes;
}

test("acknowledgements of many segments: as Linux's own tests have them", (t) => {
  t.is(told(t, [[10, 5]]), 0, "the first one: this peer thins them out");
  t.is(told(t, [[10, 4]]), 7, "seven");
  t.is(
    told(t, [
      [1, 5],
      [10, 5],
    ]),
    8,
    "a field that may have wrapped",
  );
  t.is(
    told(t, [
      [1, 5, [1001, 0, 1]],
      [10, 5, [10_001, 0, 1]],
    ]),
    0,
    "and one that has not, by the option",
  );
  t.is(
    told(t, [
      [1, 5, [1, 0]],
      [20, 5, [1, 16_000]],
    ]),
    16,
    "marked bytes say that it has, twice",
  );
  t.is(
    told(t, [
      [1, 6],
      [3, 7],
      [4, 0],
    ]),
    3,
  );
});

test("feedback that has been superseded is ignored: acknowledgements that tell nothing new, without and with timestamps", (t) => {
  t.is(
    told(t, [
      [4, 6],
      [2, 5],
      [4, 5],
      [4, 7],
      [5, 6],
    ]),
    1,
  );
  const { home: node, peer, socket } = meeting(t, {}, 2, { ...ALL_OPTIONS, mss: MSS });
  socket().write(patternFrom(0, 4 * MSS));
  sent(node, peer);
  const at = (clock: number, field: number) => {
    peer.send("A" + ace(field), { ack: 1 + MSS, timestamps: [clock, peer.echo] });
    return node.tcp.counters.congestionEchoes;
  };
  t.deepEqual([at(6000, 6), at(6000, 7), at(6001, 7), at(6000, 6)], [1, 1, 2, 2]);
  const blocks = meeting(t);
  blocks.socket().write(patternFrom(0, 6 * MSS));
  sent(blocks.home, blocks.peer);
  const sack = (right: number, field: number) => {
    blocks.peer.send("A" + ace(field), { ack: 1, sack: [[1 + 2 * MSS, 1 + right * MSS]] });
    return blocks.home.tcp.counters.congestionEchoes;
  };
  t.deepEqual([sack(3, 6), sack(3, 7), sack(4, 7)], [1, 1, 2]);
});

test("what was SACKed before is not counted as acknowledged at once", (t) => {
  const { home: node, peer, socket, c } = meeting(t);
  c().cwnd = 100 * MSS;
  socket().write(patternFrom(0, 40 * MSS));
  for (let i = 2; i <= 40; i++) peer.send("A" + ace(5), { ack: 1, sack: [[1 + MSS, 1 + i * MSS]] });
  peer.send("A" + ace(5), { ack: 1 + 40 * MSS });
  t.is(node.tcp.counters.congestionEchoes, 0);
});

test("the window is halved once a round trip, whatever the number of marks", (t) => {
  const { home: node, peer, socket, c } = meeting(t);
  c().cwnd = 10 * MSS;
  socket().write(patternFrom(0, 40 * MSS));
  sent(node, peer);
  peer.send("A" + ace(6), { ack: 1 + MSS });
  t.is(c().ssthresh, 5 * MSS);
  peer.send("A" + ace(0), { ack: 1 + 3 * MSS });
  t.is(c().ssthresh, 5 * MSS);
  t.is(node.tcp.counters.congestionEchoes, 3);
  t.true(
    sent(node, peer).every((line) => line.startsWith("5 2")),
    "no CWR",
  );
  peer.send("A" + ace(0), { ack: 1 + 7 * MSS });
  peer.send("A" + ace(1), { ack: 1 + 11 * MSS });
  t.true(c().ssthresh < 5 * MSS);
});

test("fields that were zeroed on the way: ACE, the option, and marked bytes without a marked packet", (t) => {
  const zero = meeting(t);
  zero.socket().write(patternFrom(0, 4 * MSS));
  sent(zero.home, zero.peer);
  zero.peer.send("A", { ack: 1 + MSS });
  zero.peer.send("A" + ace(3), { ack: 1 + 2 * MSS });
  zero.socket().write(patternFrom(4 * MSS, MSS));
  t.deepEqual(sent(zero.home, zero.peer), [`5 0 ${4 * MSS}`]);
  t.is(zero.home.tcp.counters.congestionEchoes, 0);
  t.is(counters(zero.home).incapable, 1);

  t.is(
    told(t, [
      [1, 5, [0, 0, 1]],
      [10, 5, [0, 0, 1]],
    ]),
    8,
    "EE0B is never zero: the options are ignored",
  );
  t.is(
    told(t, [
      [1, 5, [1, 0, 0]],
      [10, 5, [1, 0, 0]],
    ]),
    8,
    "nor is EE1B",
  );

  const bytes = meeting(t);
  bytes.socket().write(patternFrom(0, 4 * MSS));
  const say = (segments: number, field: number, fields: number[]) =>
    bytes.peer.send("A" + ace(field), { ack: 1 + segments * MSS, options: option(172, fields) });
  say(1, 5, [1001, 0]);
  say(2, 6, [1001, 1000]);
  t.is(counters(bytes.home).incapable, 0);
  say(3, 6, [1001, 2000]);
  t.is(counters(bytes.home).incapable, 1);
});

test("options of every length and order are read, others are padding; on a SYN they are nothing", (t) => {
  for (const [kind, fields, length, ceb] of [
    [172, [7, 9, 1], 11, 9],
    [174, [7, 9, 1], 11, 9],
    [172, [7, 9], 8, 9],
    [174, [7], 5, 0],
    [172, [], 2, 0],
    [172, [7, 9, 1, 77], 14, 9],
    [174, [7, 9], 7, 0],
  ] as const) {
    const { home: node, peer, socket, state } = meeting(t);
    socket().write(patternFrom(0, 2 * MSS));
    peer.send("A" + ace(6), { ack: 1 + MSS, options: option(kind, [...fields], length) });
    t.is(state.sCeb, ceb, `${kind} ${fields.join()} in ${length}`);
    t.is(counters(node).optionsReceived, 1);
  }
  const { home: node } = meeting(t, {}, 2, { options: option(172, [0, 0, 0]) });
  t.is(counters(node).optionsReceived + counters(node).optionsZeroed, 0);
});

test("beside SACK the option goes where it fits, and waits where it does not", (t) => {
  const { home: node, peer } = meeting(t, {}, 2, { ...ALL_OPTIONS, mss: MSS });
  const answers: string[] = [];
  for (const i of [2, 4, 6]) {
    peer.data(i * 1000, 1000, { tos: ECT0 }, "A" + ace(5));
    answers.push(
      ...node.probe.sent
        .splice(0)
        .map(({ bytes }) => parseFrame(bytes).tcp!.sack!.length + " " + optionIn(bytes)),
    );
  }
  t.deepEqual(answers, ["1 172: 1001", "2 172: 2001", "3 "]);
});

test("with Fast Open and SYN cookies: a cookie leaves the option no room but for its name, a flood no ECN at all", (t) => {
  const node = home(t, { components: () => [fastOpen()] });
  listening(node, 80, { fastOpen: true });
  const peer = new Peer(node, 40000, 80);
  peer.send("SECN", { ...ALL_OPTIONS, fastOpen: new Uint8Array(0) });
  t.is(optionIn(node.probe.sent[0]!.bytes), "172:");
  const reply = peer.expect("SAC");
  t.is(reply.tcp.fastOpen!.length, 8);
  // Data with a SYN are no bytes of any counter.
  const second = new Peer(node, 40001, 80);
  second.send("SECN", { ...ALL_OPTIONS, fastOpen: reply.tcp.fastOpen, tos: CE }, patternFrom(0, 100));
  second.expect("SACN", { ack: 101 });
  node.tcp.connections.each((c) =>
    t.deepEqual([(c.ecnState as AccurateState).rCeb, (c.ecnState as AccurateState).rCep], [0, 5]),
  );

  const flooded = home(t, { tcp: { cookies: synCookies() } });
  listening(flooded, 80, { backlog: 1 });
  new Peer(flooded, 40000, 80).send("SECN", SYN);
  flooded.probe.sent.length = 0;
  const third = new Peer(flooded, 40001, 80);
  third.send("SECN", { ...SYN, timestamps: [5000, 0] });
  third.expect("SA");
});

test("a link that cuts large segments gets none while ACE has the bit that it would clear", (t) => {
  const offloads = { transmitChecksum: true, segmentation: 65536 };
  const { home: node, peer, socket, c } = meeting(t);
  (node.probe as { offloads?: LinkOffloads }).offloads = offloads;
  c().cwnd = 100 * MSS;
  const large = () => {
    const frames = node.probe.sent.splice(0).map(({ bytes, offload }) => ({
      size: offload?.segmentSize ?? 0,
      ace: (((bytes[46]! & 1) << 2) | (bytes[47]! >> 6)) & 7,
      seq: new DataView(bytes.buffer, bytes.byteOffset).getUint32(38) - peer.irs - 1,
      data: bytes.subarray(34 + ((bytes[46]! >> 4) << 2)),
    }));
    for (const { seq, data } of frames) t.deepEqual(data, patternFrom(seq, data.length));
    return frames.map(({ size, ace: field, data }) => `${field} ${size > 0} ${data.length}`);
  };
  socket().write(patternFrom(0, 3 * MSS));
  t.deepEqual(large(), ["5 true 3000"]);
  peer.data(0, 100, { tos: CE }, "A" + ace(5));
  large();
  socket().write(patternFrom(3 * MSS, 2500));
  t.deepEqual(large(), ["6 false 1000", "6 false 1000", "6 false 500"]);
  for (let i = 1; i < 3; i++) peer.data(i * 100, 100, { tos: CE }, "A" + ace(5));
  peer.send("A" + ace(5));
  large();
  socket().write(patternFrom(5500, 2000));
  t.deepEqual(large(), ["0 true 2000"]);
});

/**
 * 60 kB from one end to the other, past a router that marks the frames of data whose number `marks` names and loses the bare
 * acknowledgements whose number `losses` names. Marks that were made, received, and told of; bytes that the option told of.
 */
function journey(marks: Set<number>, losses: Set<number>) {
  let [data, bare, made] = [0, 0, 0];
  const net = pair(null, {
    delay: 5,
    bandwidth: 2e7,
    tcp: { ecn: accecn() },
    worldOptions: { seed: 3 },
    a: {
      filter: (frame) => {
        if (frame.length > 200 && marks.has(data++) && markCongestion(frame, 14)) made++;
      },
    },
    b: {
      filter: (frame) =>
        frame[13] !== 0 || frame.length >= 100 || (frame[47]! & 2) !== 0 || !losses.has(bare++),
    },
  });
  const LENGTH = 60_000;
  const buffer = new Uint8Array(LENGTH);
  let count = 0;
  const listener = net.b.tcp.listen({
    port: 80,
    onConnection: (socket) =>
      socket.handle({
        onReadable() {
          count += this.read(buffer, count);
        },
      }),
  });
  const socket = net.a.tcp.connect({
    address: "10.0.0.2",
    port: 80,
    onConnect() {
      this.write(patternFrom(0, LENGTH));
    },
  });
  // It stays open: who remembers a flow in TIME-WAIT remembers no counter.
  const c = connectionOf(socket);
  const done = net.world.runUntil(() => count === LENGTH && c.sndUna === c.sndNxt, 60_000);
  const sender = c.ecnState as AccurateState;
  let receiver = null as AccurateState | null;
  net.b.tcp.connections.each((other) => (receiver = other.ecnState as AccurateState));
  const told = net.a.tcp.counters.congestionEchoes;
  const received = net.b.tcp.counters.congestionMarks;
  listener.close();
  closeAll(net.world, [net.a.stack, net.b.stack]);
  return { done, made, told, received, sender, receiver: receiver! };
}

test("on a path that marks and loses: all marks that arrive are counted, and all are told of", (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(60), { maxLength: 40 }),
      fc.uniqueArray(fc.nat(60), { maxLength: 25 }),
      (marks, losses) => {
        const { done, made, told, received, sender, receiver } = journey(new Set(marks), new Set(losses));
        if (!done) throw new Error("the stream has not ended");
        // A marked segment that came twice counts twice, or is not acceptable the second time.
        if (received > made || receiver.rCep !== 5 + received)
          throw new Error(`${received} of ${made} marks`);
        if (told !== received || sender.sCep !== receiver.rCep)
          throw new Error(`told of ${told}, not ${received}`);
        if (receiver.rCeb !== sender.sCeb) throw new Error(`${sender.sCeb} bytes, not ${receiver.rCeb}`);
        return true;
      },
    ),
    { numRuns: 40 },
  );
  t.pass();
});

test("whatever flags and options come, nothing is thrown, no counter leaves its bounds, and the stream goes on", (t) => {
  const segment = fc.record({
    flags: fc.integer({ min: 0, max: 511 }),
    tos: fc.integer({ min: 0, max: 3 }),
    seq: fc.constantFrom(0, 1, 1, 1, 2, 5000),
    ack: fc.integer({ min: 0, max: 5000 }),
    options: fc.uint8Array({ maxLength: 40 }),
    known: fc.option(
      fc.tuple(
        fc.constantFrom(172, 174),
        fc.array(fc.integer({ min: 0, max: 0xffffff }), { maxLength: 4 }),
        fc.integer({ min: 0, max: 20 }),
      ),
    ),
    data: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 30 }), fc.boolean(), (list, server) => {
      let node: Lab;
      let peer: Peer;
      if (server) ({ home: node, peer } = meeting(t, {}, null));
      else {
        node = home(t);
        const socket = node.tcp.connect({ address: PROBE_IP, port: 7000 });
        peer = new Peer(node, 7000, socket.localPort());
        peer.expect("SECN");
      }
      for (const { flags, tos, seq, ack, options, known, data } of list) {
        const bytes = known ? option(known[0], known[1], known[2]).subarray(0, 40) : options;
        peer.send(flags & ~4, { seq, ack, tos, options: bytes }, patternFrom(0, data));
        node.tcp.connections.each((c) => c.socket?.write(patternFrom(0, 100)));
        const state = stateOf(node);
        if (state) {
          for (const value of [state.rCep, state.rCeb, state.rE0b, state.rE1b, state.sCep, state.sCeb])
            if (value !== (value | 0)) throw new Error("left int32");
          if (state.marks > 1000 || state.covered < 0) throw new Error("left its bounds");
        }
      }
      return true;
    }),
    { numRuns: 150 },
  );
  t.pass();
});

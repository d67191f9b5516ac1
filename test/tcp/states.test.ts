/** TCP-10: every combination of flags in every state, inside and outside of the window, against an oracle by the RFC's text. */
import test from "ava";
import { PROBE_IP, tcpFlags } from "../support/packets.js";
import { ACKS, PLACES, STATES, judge } from "./oracle.js";
import type { Acks, Place, Reply, StateName } from "./oracle.js";
import { Peer, accepted, connectionOf, lab, listening } from "./support.js";
import type { Lab, Seen } from "./support.js";

/** Names by number, as connection.ts has them. */
const NAMES: StateName[] = [...STATES];

/** Leads a new flow into a state. */
function enter(t: Parameters<typeof lab>[0], home: Lab, state: StateName, port: number): Peer {
  if (state === "CLOSED") return new Peer(home, port, 81);
  if (state === "LISTEN") {
    listening(home);
    return new Peer(home, port, 80);
  }
  if (state === "SYN-SENT") {
    const socket = home.tcp.connect({ address: PROBE_IP, port });
    const peer = new Peer(home, port, socket.localPort());
    peer.expect("S");
    return peer;
  }
  if (state === "SYN-RECEIVED") {
    listening(home);
    const peer = new Peer(home, port, 80);
    peer.send("S", { mss: 1460 });
    peer.expect("SA");
    return peer;
  }
  const { peer, socket } = accepted(t, { lab: home, port });
  const closesFirst = state === "CLOSE-WAIT" || state === "LAST-ACK";
  if (closesFirst) {
    peer.send("FA");
    peer.expect("A", { ack: 2 });
  }
  if (state !== "ESTABLISHED" && state !== "CLOSE-WAIT") {
    socket.shutdown();
    peer.expect("FPA");
  }
  if (state === "CLOSING") peer.send("FA", { ack: 1 });
  if (state === "FIN-WAIT-2") peer.send("A");
  if (state === "TIME-WAIT") peer.send("FA");
  peer.take();
  return peer;
}

/** The state of the flow now. */
function stateOf(home: Lab, peer: Peer, before: StateName): StateName {
  let found: StateName | null = null;
  home.tcp.connections.each((c) => {
    if (c.remotePort === peer.port && c.localPort === peer.stackPort) found = NAMES[c.state];
  });
  home.tcp.timeWaits.table.each((record) => {
    if (record.remotePort === peer.port) found ??= "TIME-WAIT";
  });
  return found ?? (before === "LISTEN" ? "LISTEN" : "CLOSED");
}

/** The reply in the oracle's words; what is wrong with its numbers is added. */
function describe(seen: Seen[], seq: number, ack: number, length: number): string {
  return seen
    .map((reply) => {
      if (reply.flags === "R") return reply.seq === ack ? "RST" : "RST with seq " + reply.seq;
      if (reply.flags === "RA") {
        const right = reply.tcp.seq === 0 && reply.ack === seq + length;
        return right ? "RST,ACK" : `RST,ACK seq ${reply.tcp.seq} ack ${reply.ack}`;
      }
      if (reply.flags === "SA") return "SYN,ACK";
      return reply.flags === "A" && reply.length === 0 ? "ACK" : reply.flags;
    })
    .join(" + ");
}

for (const state of STATES) {
  test(`TCP-10: 64 combinations of flags in ${state}, at three places, with two acknowledgements`, (t) => {
    const home = lab(t, { tcp: { limit: 5000, resetRate: 1_000_000 }, stack: { packetMemory: 8 << 20 } });
    listening(home, 80, { backlog: 2000 });
    let port = 10_000;
    const wrong: string[] = [];
    for (let flags = 0; flags < 64; flags++) {
      for (const place of PLACES) {
        for (const acks of ACKS) {
          const cell = runCell(t, home, state, port++, flags, place, acks);
          if (cell) wrong.push(cell);
        }
      }
    }
    t.deepEqual(wrong, []);
  });
}

function runCell(
  t: Parameters<typeof lab>[0],
  home: Lab,
  state: StateName,
  port: number,
  flags: number,
  place: Place,
  acks: Acks,
): string | null {
  const peer = enter(t, home, state, port);
  const sndNxt = peer.ack;
  const unacked = ["SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "CLOSING", "LAST-ACK"].includes(state);
  const seq = peer.seq + { next: 0, inside: 1, outside: 200_000 }[place];
  const ack = acks === "nxt" ? sndNxt : sndNxt - (unacked ? 1 : 0);
  const length = (flags & tcpFlags("S") ? 1 : 0) + (flags & tcpFlags("F") ? 1 : 0);
  const rcvNxt = peer.seq;
  peer.send(flags, { seq, ack });
  const seen = peer.take();
  const wanted = judge(state, flags, place, acks);
  const reply = describe(seen, seq, flags & tcpFlags("A") ? ack : 0, length);
  const now = stateOf(home, peer, state);
  const name = `${state} ${names(flags)} ${place} ${acks}: `;
  if (reply !== wanted.reply || now !== wanted.state) {
    return `${name}${reply || "silence"} and ${now}, not ${wanted.reply || "silence"} and ${wanted.state}`;
  }
  if (wanted.reply === ("ACK" satisfies Reply)) {
    // <SEQ=SND.NXT><ACK=RCV.NXT>: a FIN that was taken, or the SYN of SYN-SENT, moves it.
    const moved = wanted.state !== state || state === "SYN-SENT" ? (flags & tcpFlags("F") ? 1 : 0) : 0;
    const next = state === "SYN-SENT" ? seq + 1 + moved : rcvNxt + (place === "next" ? moved : 0);
    if (seen[0].seq !== sndNxt || seen[0].ack !== next)
      return `${name}seq ${seen[0].seq} ack ${seen[0].ack}, not ${sndNxt} and ${next}`;
  }
  return null;
}

function names(flags: number): string {
  return (
    ["FIN", "SYN", "RST", "PSH", "ACK", "URG"].filter((_, bit) => flags & (1 << bit)).join("+") || "none"
  );
}

test("the states have the numbers that this file thinks they have", (t) => {
  const { socket, peer } = accepted(t);
  t.is(NAMES[socket.state()], "ESTABLISHED");
  peer.send("FA");
  t.is(NAMES[connectionOf(socket).state], "CLOSE-WAIT");
  socket.shutdown();
  t.is(NAMES[socket.state()], "LAST-ACK");
});

/**
 * What RFC 9293 section 3.10.7 (with RFC 5961 and RFC 1337) wants done with a segment without data, in each state.
 *
 * Written from the text alone, so that the stack has a judge that does not share its mistakes. Three choices that the text
 * leaves open are marked "choice".
 */

export const STATES = [
  "CLOSED",
  "LISTEN",
  "SYN-SENT",
  "SYN-RECEIVED",
  "ESTABLISHED",
  "CLOSE-WAIT",
  "FIN-WAIT-1",
  "CLOSING",
  "LAST-ACK",
  "FIN-WAIT-2",
  "TIME-WAIT",
] as const;

export type StateName = (typeof STATES)[number];

/** Where the segment's number lies: at RCV.NXT, one behind it, or beyond the window. */
export const PLACES = ["next", "inside", "outside"] as const;
export type Place = (typeof PLACES)[number];

/** What it acknowledges: nothing new (SND.UNA), or all that was sent (SND.NXT). */
export const ACKS = ["una", "nxt"] as const;
export type Acks = (typeof ACKS)[number];

/** `RST` has the segment's acknowledgement number as its own; `RST,ACK` number 0 and acknowledges the segment. */
export type Reply = "" | "ACK" | "SYN,ACK" | "RST" | "RST,ACK";

export interface Outcome {
  reply: Reply;
  state: StateName;
}

const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

export function judge(state: StateName, flags: number, place: Place, acks: Acks): Outcome {
  const has = (bit: number) => (flags & bit) !== 0;
  const stay = (reply: Reply = ""): Outcome => ({ reply, state });

  if (state === "CLOSED") {
    // 3.10.7.1
    if (has(RST)) return stay();
    return stay(has(ACK) ? "RST" : "RST,ACK");
  }

  if (state === "LISTEN") {
    // 3.10.7.2. Choice: a SYN with FIN is no way to open a connection; it is dropped.
    if (has(RST)) return stay();
    if (has(ACK)) return stay("RST");
    if (has(SYN) && !has(FIN)) return { reply: "SYN,ACK", state: "SYN-RECEIVED" };
    return stay();
  }

  if (state === "SYN-SENT") {
    // 3.10.7.3. SND.UNA is ISS: it acknowledges nothing.
    if (has(ACK) && acks === "una") return stay(has(RST) ? "" : "RST");
    if (has(RST)) return has(ACK) ? { reply: "", state: "CLOSED" } : stay();
    if (!has(SYN)) return stay();
    if (!has(ACK)) return { reply: "SYN,ACK", state: "SYN-RECEIVED" };
    return { reply: "ACK", state: has(FIN) ? "CLOSE-WAIT" : "ESTABLISHED" };
  }

  // 3.10.7.4, first: sequence number. Choice: TIME-WAIT has no window, as nothing more can come.
  const length = (has(SYN) ? 1 : 0) + (has(FIN) ? 1 : 0);
  const acceptable = state === "TIME-WAIT" ? place === "next" && length === 0 : place !== "outside";
  if (state === "TIME-WAIT") {
    // RFC 1337: RST is ignored. RFC 1122 section 4.2.2.13: a SYN beyond the old numbers opens a new connection.
    if (has(RST)) return stay();
    if (has(SYN) && !has(ACK) && !has(FIN) && place !== "next")
      return { reply: "SYN,ACK", state: "SYN-RECEIVED" };
  }
  // RFC 5961 section 4: a SYN is challenged, inside the window and outside. (SYN-RECEIVED: choice, the same.)
  if (has(SYN) && !has(RST)) return stay("ACK");
  if (!acceptable) return stay(has(RST) ? "" : "ACK");

  // Second: RST, by RFC 5961 section 3.
  if (has(RST)) return place === "next" ? { reply: "", state: "CLOSED" } : stay("ACK");

  // Fifth: ACK.
  if (!has(ACK)) return stay();
  if (state === "SYN-RECEIVED") {
    if (acks === "una") return stay("RST");
    state = "ESTABLISHED";
  } else if (acks === "nxt") {
    if (state === "FIN-WAIT-1") state = "FIN-WAIT-2";
    else if (state === "CLOSING") return { reply: "", state: "TIME-WAIT" };
    else if (state === "LAST-ACK") return { reply: "", state: "CLOSED" };
  }

  // Eighth: FIN. Behind a hole it waits, and the acknowledgement tells of the hole.
  if (!has(FIN)) return stay();
  if (place === "inside") return { reply: "ACK", state };
  if (state === "ESTABLISHED") state = "CLOSE-WAIT";
  else if (state === "FIN-WAIT-1") state = "CLOSING";
  else if (state === "FIN-WAIT-2") state = "TIME-WAIT";
  return { reply: "ACK", state };
}

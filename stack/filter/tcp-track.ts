/**
 * TCP as a bystander sees it (RFC 5382, RFC 7857): which segments lie within the windows that both ends have told each other, and
 * what they make of the connection. After "Real Stateful TCP Packet Filtering" (van Rooij, 2000).
 */
import { get16, get32 } from "../core/bytes.js";
import { findOption } from "../wire/options.js";
import { ACK, FIN, OPTION_WINDOW_SCALE, RST, SYN } from "../wire/tcp.js";
import { ORIGINAL, TCP_CLOSING, TCP_ESTABLISHED, TCP_OPENING, TRACK_WORDS } from "./flows.js";
import type { Flows } from "./flows.js";

/** Numbers of a direction: highest sequence number sent, highest that may be sent, largest window, scale. */
const END = 0;
const LIMIT = 1;
const WINDOW = 2;
const SCALE = 3;

/** Bits of a flow's state. */
const FIN_ORIGINAL = 1;
const FIN_REPLY = 2;
const RESET = 4;
/** The SYN has been answered. */
const ANSWERED = 8;

/** An acknowledgement may be that much older than the newest (the largest window without scaling). */
const OLD_ACK = 66000;
const NO_SCALE = 15;

/**
 * A segment of the flow's, its header at `at` and whole.
 *
 * @returns the class that the flow has now, or -1: the segment lies outside of the windows
 */
export function trackTcp(
  flows: Flows,
  flow: number,
  direction: number,
  data: Uint8Array,
  at: number,
  end: number,
): number {
  const track = flows.track;
  const sender = (flow * 2 + direction) * TRACK_WORDS;
  const receiver = (flow * 2 + 1 - direction) * TRACK_WORDS;
  const flags = data[at + 13];
  const header = (data[at + 12] >> 4) << 2;
  const seq = get32(data, at + 4);
  const window = get16(data, at + 14);
  const stop = (seq + (end - at - header) + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0)) | 0;
  let state = flows.state[flow];
  let kind = flows.classes[flow];

  if (flags & SYN) {
    const begins = (flags & ACK) === 0;
    // A SYN within a connection is the ends' business: they answer it with a challenge (RFC 5961 section 4). A new one after the end is a
    // new connection.
    if (begins && kind === TCP_CLOSING && direction === ORIGINAL) {
      for (let i = 0; i < 2 * TRACK_WORDS; i++) track[flow * 2 * TRACK_WORDS + i] = 0;
      state = flows.state[flow] = 0;
      kind = TCP_OPENING;
    }
    if (kind !== TCP_OPENING || (begins && state & ANSWERED)) return kind;
    if (!begins && ((get32(data, at + 8) - track[receiver + END]) | 0) !== 0) return -1;
    track[sender + END] = track[sender + LIMIT] = stop;
    track[sender + WINDOW] = window || 1;
    track[sender + SCALE] = windowScale(data, at, at + header);
    if (!begins) {
      if (track[sender + SCALE] === NO_SCALE || track[receiver + SCALE] === NO_SCALE) {
        track[sender + SCALE] = track[receiver + SCALE] = 0;
      }
      track[receiver + LIMIT] = (get32(data, at + 8) + (window || 1)) | 0;
      flows.state[flow] = state | ANSWERED;
    }
    return TCP_OPENING;
  }

  const acknowledges = (flags & ACK) !== 0;
  if (track[sender + WINDOW] === 0) {
    // Only what refuses a SYN may come from an end that has sent none: it acknowledges that.
    const refuses = flags & RST && acknowledges && get32(data, at + 8) === track[receiver + END];
    if (!refuses) return -1;
    flows.state[flow] = state | RESET;
    return TCP_CLOSING;
  }
  const ack = acknowledges ? get32(data, at + 8) : track[receiver + END];
  const scale = track[sender + SCALE];
  const scaled = scale === NO_SCALE ? window : window * (1 << scale);
  const oldest = track[sender + WINDOW] > OLD_ACK ? track[sender + WINDOW] : OLD_ACK;
  if (
    ((seq - track[sender + LIMIT]) | 0) > 0 ||
    ((stop - track[sender + END] + track[receiver + WINDOW]) | 0) < 0 ||
    ((ack - track[receiver + END]) | 0) > 0 ||
    ((ack - track[receiver + END] + oldest) | 0) < 0
  ) {
    return -1;
  }
  if (flags & RST) {
    // The ends may think otherwise of it (RFC 5961 section 3): the flow lives on for a while, and wakes up with the next segment.
    flows.state[flow] = state | RESET;
    return TCP_CLOSING;
  }
  if (track[sender + WINDOW] < scaled) track[sender + WINDOW] = scaled;
  if (((stop - track[sender + END]) | 0) > 0) track[sender + END] = stop;
  if (((stop - track[sender + LIMIT]) | 0) > 0) track[sender + LIMIT] = stop;
  // A closed window lets one byte through, as a probe.
  const limit = (ack + (scaled || 1)) | 0;
  if (((limit - track[receiver + LIMIT]) | 0) > 0) track[receiver + LIMIT] = limit;
  state &= ~RESET;
  if (flags & FIN) state |= direction === ORIGINAL ? FIN_ORIGINAL : FIN_REPLY;
  flows.state[flow] = state;
  if ((state & (FIN_ORIGINAL | FIN_REPLY)) === (FIN_ORIGINAL | FIN_REPLY)) return TCP_CLOSING;
  // The acknowledgement of the answer makes it a connection.
  return state & ANSWERED && (kind !== TCP_OPENING || direction === ORIGINAL) ? TCP_ESTABLISHED : kind;
}

/** The shift of a SYN's window scale option (RFC 7323), or NO_SCALE. */
function windowScale(data: Uint8Array, at: number, end: number): number {
  const option = findOption(data, at + 20, end, OPTION_WINDOW_SCALE, 3);
  if (option < 0) return NO_SCALE;
  return data[option + 2] < 14 ? data[option + 2] : 14;
}

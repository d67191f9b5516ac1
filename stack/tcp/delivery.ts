/**
 * How fast data are delivered (draft-ietf-ccwg-bbr section 4.1): each ACK gives a sample, the bytes delivered since the segment that
 * it reports was sent, over the time that they took to be sent or to be acknowledged, whichever was longer.
 *
 * Deliveries and losses are read off the connection's own numbers. The clock has a resolution of a millisecond, therefore one record
 * stands for all that was sent in one.
 */
import { outstanding, sndEnd } from "./connection.js";
import type { Connection } from "./connection.js";
import { pipe } from "./recovery.js";

/** A record's numbers: where it ends in the sequence space, when it was sent, and the state of the connection then. */
const END = 0;
const SENT_AT = 1;
const DELIVERED = 2;
const DELIVERED_AT = 3;
const FIRST_SENT_AT = 4;
const IN_FLIGHT = 5;
const LOST = 6;
const LIMITED = 7;
const WIDTH = 8;
/** Records of a connection at most; beyond that the last one grows. */
const RECORDS = 4096;

export class Delivery {
  /** C.delivered, C.delivered_time: bytes that have arrived, and when the last ones were reported. */
  delivered = 0;
  deliveredAt = 0;
  /** C.lost: bytes taken for lost. */
  lost = 0;
  /** C.first_send_time: when the segment that was reported last was sent. */
  firstSentAt = 0;
  /** C.app_limited: until so much is delivered, samples show the application and not the path; 0: none do. */
  limitedUntil = 0;

  /* The latest ACK: bytes that it reported, bytes found lost, its round trip in ms (0: none). */
  newlyAcked = 0;
  newlyLost = 0;
  rtt = 0;
  /** It has brought a sample: RS.prior_delivered, RS.delivered, RS.tx_in_flight, RS.lost, RS.is_app_limited are of this ACK. */
  fresh = false;
  /** RS.delivery_rate, bytes a second; 0: it was too short to tell. */
  rate = 0;
  priorDelivered = 0;
  sampleDelivered = 0;
  txInFlight = 0;
  sampleLost = 0;
  limited = false;

  private readonly records: number[] = [];
  private head = 0;
  /** `sndUna + sackedBytes` and `sndUna` at the latest ACK; the highest sequence number reported. */
  private reported: number;
  private una: number;
  private highest: number;
  /** `sndNxt` when `sent` was last called. */
  private seen: number;
  /** `sentBytes - sndNxt` before anything was sent again. */
  private readonly repeatedBase: number;

  constructor(c: Connection) {
    this.reported = this.una = this.highest = c.sndUna;
    this.seen = c.sndNxt;
    this.repeatedBase = (c.sentBytes - c.sndNxt) | 0;
    this.deliveredAt = this.firstSentAt = c.tcp.time;
  }

  /** Notes what has been sent since it was last called; to be called before and after each transmission. */
  sent(c: Connection): void {
    const now = c.tcp.time;
    const flight = pipe(c);
    const idle = ((sndEnd(c) - c.sndNxt) | 0) < c.mss && flight < c.cwnd && lostNow(c) === 0;
    if (idle) this.limitedUntil = this.delivered + flight || 1;
    if (c.sndNxt === this.seen) return;
    if (((this.seen - c.sndUna) | 0) <= 0) this.firstSentAt = this.deliveredAt = now;
    this.seen = c.sndNxt;
    const records = this.records;
    const last = records.length - WIDTH;
    if (last >= this.head && (records[last + SENT_AT] === now || last - this.head >= RECORDS * WIDTH)) {
      records[last + END] = c.sndNxt;
      records[last + IN_FLIGHT] = flight;
      if (this.limitedUntil > 0) records[last + LIMITED] = 1;
      return;
    }
    records.push(c.sndNxt, now, this.delivered, this.deliveredAt, this.firstSentAt, flight, this.lost);
    records.push(this.limitedUntil > 0 ? 1 : 0);
  }

  /** Takes an ACK. */
  acked(c: Connection): void {
    const now = c.tcp.time;
    const reported = (c.sndUna + c.sackedBytes) | 0;
    const newly = (reported - this.reported) | 0;
    this.newlyAcked = newly > 0 ? newly : 0;
    if (newly > 0) {
      this.reported = reported;
      this.delivered += newly;
      this.deliveredAt = now;
    }
    if (this.limitedUntil > 0 && this.delivered > this.limitedUntil) this.limitedUntil = 0;
    const lost = ((c.sentBytes - c.sndNxt - this.repeatedBase) | 0) + lostNow(c);
    this.newlyLost = lost > this.lost ? lost - this.lost : 0;
    this.lost = lost;
    this.rtt = c.sndUna !== this.una ? c.rtt : 0;
    this.una = c.sndUna;
    const highest = c.sacked.length > 0 ? c.sacked[c.sacked.length - 1] : c.sndUna;
    this.fresh = ((highest - this.highest) | 0) > 0;
    if (this.fresh) {
      this.highest = highest;
      this.sample(this.find(highest));
    }
    this.forget();
  }

  /** RS.tx_in_flight, RS.lost and RS.is_app_limited of the segment that was found lost last. */
  lostSample(c: Connection): void {
    const at = this.find(c.lostEdge);
    if (at < 0) return;
    this.txInFlight = this.records[at + IN_FLIGHT];
    this.sampleLost = this.lost - this.records[at + LOST];
    this.limited = this.records[at + LIMITED] !== 0;
  }

  private sample(at: number): void {
    const records = this.records;
    if (at < 0) {
      this.fresh = false;
      return;
    }
    this.priorDelivered = records[at + DELIVERED];
    this.sampleDelivered = this.delivered - this.priorDelivered;
    this.txInFlight = records[at + IN_FLIGHT];
    this.sampleLost = this.lost - records[at + LOST];
    this.limited = records[at + LIMITED] !== 0;
    this.firstSentAt = records[at + SENT_AT];
    const sending = (this.firstSentAt - records[at + FIRST_SENT_AT]) | 0;
    const acknowledging = (this.deliveredAt - records[at + DELIVERED_AT]) | 0;
    const interval = sending > acknowledging ? sending : acknowledging;
    this.rate = interval > 0 ? Math.floor((this.sampleDelivered * 1000) / interval) : 0;
  }

  /** The record that holds the byte before `seq`, or -1. */
  private find(seq: number): number {
    const records = this.records;
    let low = this.head / WIDTH;
    let high = records.length / WIDTH;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (((records[middle * WIDTH] - seq) | 0) < 0) low = middle + 1;
      else high = middle;
    }
    return low * WIDTH < records.length ? low * WIDTH : -1;
  }

  private forget(): void {
    const records = this.records;
    while (this.head < records.length && ((records[this.head] - this.una) | 0) <= 0) this.head += WIDTH;
    if (this.head >= 32 * WIDTH && this.head * 2 >= records.length) {
      records.splice(0, this.head);
      this.head = 0;
    }
  }
}

/** Bytes that are taken for lost and have not been sent again. */
function lostNow(c: Connection): number {
  if (c.sackPermitted) {
    const lost = outstanding(c) - c.sackedBytes - pipe(c);
    return lost > 0 ? lost : 0;
  }
  const from = ((c.rexmitNext - c.sndUna) | 0) > 0 ? c.rexmitNext : c.sndUna;
  const lost = (c.lostEdge - from) | 0;
  return lost > 0 ? lost : 0;
}

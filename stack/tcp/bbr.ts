/**
 * BBR version 3 (draft-ietf-ccwg-bbr) in integers: a model of the path, made of the rate at which data arrive and of the shortest
 * round trip, sets pace and window. A loss bounds the model (where more than 2 % is lost), it does not halve the window.
 *
 * Windows are bytes, rates bytes a second, gains hundredths. It paces itself. What the draft leaves to TCP stays TCP's: which data are
 * lost, and when they are sent again; `rack()` and SACK tell best. ECN (RFC 3168) counts as a loss in its round trip.
 */
import { initialWindow } from "./congestion.js";
import type { Congestion } from "./congestion.js";
import { outstanding, sndEnd } from "./connection.js";
import type { Connection } from "./connection.js";
import { Delivery } from "./delivery.js";
import { Pacer, paced } from "./pacing.js";
import { pipe } from "./recovery.js";

/** States (section 5.3). */
const STARTUP = 0;
const DRAIN = 1;
const DOWN = 2;
const CRUISE = 3;
const REFILL = 4;
const UP = 5;
const PROBE_RTT = 6;
/** Pacing and window gains by state, hundredths (section 2.5). */
const PACING_GAINS = [277, 50, 90, 100, 100, 125, 100];
const WINDOW_GAINS = [200, 200, 200, 200, 200, 225, 50];
/** Which ACKs come (section 5.3.3.6): of what was sent while probing, or before, or since. */
const ACKS_INIT = 0;
const ACKS_REFILLING = 1;
const ACKS_PROBE_STARTING = 2;
const ACKS_PROBE_FEEDBACK = 3;
const ACKS_PROBE_STOPPING = 4;
/** BBR.PacingMarginPercent, BBR.LossThresh, BBR.Beta, BBR.Headroom: hundredths. */
const PACING_SHARE = 99;
const LOSS_THRESH = 2;
const BETA = 70;
const HEADROOM = 15;
/** Losses in a round trip that end the start where they are also more than LOSS_THRESH (section 5.3.1.3). */
const STARTUP_FULL_LOSSES = 6;
/** Round trips that the rate must grow by a quarter within, and that draining takes at most. */
const FULL_BW_ROUNDS = 3;
/** Times in ms (sections 2.13 and 5.3.3.5.3): how long the shortest round trip holds, how often and how long it is looked for. */
const MIN_RTT_FILTER = 10000;
const PROBE_RTT_INTERVAL = 5000;
const PROBE_RTT_DURATION = 200;
/** Two to three seconds between probes for bandwidth, or as many round trips as Reno would take, 63 at most. */
const PROBE_WAIT = 2000;
const MOST_RENO_ROUNDS = 63;
/** Round trips that `extraAcked` remembers. */
const EXTRA_ACKED_ROUNDS = 10;
const INFINITE = 0x7fffffffffff;

/** State of a connection, in the draft's terms. */
class Bbr {
  readonly pacer = new Pacer();
  readonly delivery: Delivery;
  state = STARTUP;
  ackPhase = ACKS_INIT;
  /** C.pacing_rate. */
  pacingRate = 0;
  priorCwnd = 0;
  /** Lost data are being repaired, or the retransmission timer has fired: `priorCwnd` comes back when all is there. */
  repairing = false;
  timedOut = false;
  /** The window has held data back in this round trip. */
  cwndLimited = false;

  /* Round trips, counted by deliveries */
  nextRoundDelivered = 0;
  roundStart = false;
  roundCount = 0;
  roundsSinceProbe = 0;
  drainStartRound = 0;

  /* Bandwidth: the highest rate of this and of the last probing cycle, and what holds now */
  maxBw = 0;
  bwOfCycle = 0;
  bwOfLastCycle = 0;
  bw = 0;
  fullBw = 0;
  fullBwCount = 0;
  fullBwNow = false;
  fullBwReached = false;

  /* Round trip time, ms; 0: none yet */
  minRtt = 0;
  minRttAt = 0;
  probeRttMinDelay = 0;
  probeRttMinAt = 0;
  probeRttExpired = false;
  /** When PROBE_RTT may end, and whether its time and its round trip have begun and ended. */
  probeRttDoneAt = 0;
  probeRttTimed = false;
  probeRttRoundDone = false;
  idleRestart = false;

  /* Aggregation of ACKs (section 5.5.9) */
  extraAcked = 0;
  extraAckedDelivered = 0;
  extraAckedAt = 0;
  extraAckedRound = 0;
  extraAckedBefore = 0;

  /* Bounds: long-term and short-term model (sections 5.5.10.2 and 5.5.10.3) */
  inflightLongterm = INFINITE;
  inflightShortterm = INFINITE;
  bwShortterm = INFINITE;
  bwLatest = 0;
  inflightLatest = 0;
  lossInRound = false;
  lossRoundStart = false;
  lossRoundDelivered = 0;
  lossEvents = 0;
  lostAtRound = 0;

  /* Probing for bandwidth (section 5.3.3) */
  cycleAt = 0;
  probeWait = 0;
  probeSamples = false;
  probeUpRounds = 0;
  probeUpAcks = 0;
  probeUpCount = 0;

  constructor(c: Connection) {
    this.delivery = new Delivery(c);
    this.pacer.sent = c.sentBytes;
    this.pacer.at = (c.tcp.time - 1) | 0;
    this.probeRttMinAt = this.minRttAt = this.extraAckedAt = c.tcp.time;
  }
}

/** `share` hundredths of `value`. */
function part(value: number, share: number): number {
  return Math.floor((value * share) / 100);
}

function larger(a: number, b: number): number {
  return a > b ? a : b;
}

function smaller(a: number, b: number): number {
  return a < b ? a : b;
}

/* What the model says of windows and pace (section 5.6) */

/** What `gain` times the bandwidth fills in the shortest round trip: BBRBDPMultiple. */
function product(c: Connection, bbr: Bbr, bw: number, gain: number): number {
  if (bbr.minRtt === 0) return initialWindow(c.mss);
  return Math.floor((bw * bbr.minRtt * gain) / 100000);
}

/** Room for what leaves and is acknowledged at one go: BBRQuantizationBudget, with twice the send quantum and delayed ACKs. */
function quantize(c: Connection, bbr: Bbr, window: number): number {
  const quantum = Math.floor(bbr.pacingRate / 1000);
  const budget = larger(2 * c.mss, smaller(quantum, 65536)) + 2 * c.mss;
  const room = larger(larger(window, budget), 4 * c.mss);
  return bbr.state === UP ? room + 2 * c.mss : room;
}

/** BBRInflight(1.0). */
function fill(c: Connection, bbr: Bbr): number {
  return quantize(c, bbr, product(c, bbr, bbr.maxBw, 100));
}

/** BBRTargetInflight. */
function target(c: Connection, bbr: Bbr): number {
  return smaller(product(c, bbr, bbr.bw, 100), c.cwnd);
}

/** BBRInflightWithHeadroom: leaves room for flows that come. */
function withHeadroom(c: Connection, bbr: Bbr): number {
  const most = bbr.inflightLongterm;
  if (most === INFINITE) return INFINITE;
  return larger(most - larger(c.mss, part(most, HEADROOM)), 4 * c.mss);
}

function setPace(bbr: Bbr, gain: number): void {
  const rate = larger(Math.floor((bbr.bw * gain * PACING_SHARE) / 10000), 1);
  if (bbr.fullBwReached || rate > bbr.pacingRate) bbr.pacingRate = rate;
}

function probeRttWindow(c: Connection, bbr: Bbr): number {
  return larger(product(c, bbr, bbr.bw, WINDOW_GAINS[PROBE_RTT]), 4 * c.mss);
}

/** BBRSetCwnd, bounded by the model. */
function setWindow(c: Connection, bbr: Bbr): void {
  const acked = bbr.delivery.newlyAcked;
  const most = quantize(c, bbr, product(c, bbr, bbr.maxBw, WINDOW_GAINS[bbr.state]) + bbr.extraAcked);
  let window = c.cwnd;
  if (bbr.fullBwReached) window = smaller(window + acked, most);
  else if (window < most || bbr.delivery.delivered < initialWindow(c.mss)) window += acked;
  let bound = INFINITE;
  if (bbr.state === PROBE_RTT || bbr.state === CRUISE) bound = withHeadroom(c, bbr);
  else if (bbr.state >= DOWN) bound = bbr.inflightLongterm;
  bound = larger(smaller(bound, bbr.inflightShortterm), 4 * c.mss);
  window = smaller(larger(window, 4 * c.mss), bound);
  if (bbr.state === PROBE_RTT) window = smaller(window, probeRttWindow(c, bbr));
  c.cwnd = window;
}

function saveWindow(c: Connection, bbr: Bbr): void {
  const kept = bbr.repairing || bbr.timedOut || bbr.state === PROBE_RTT;
  bbr.priorCwnd = kept ? larger(bbr.priorCwnd, c.cwnd) : c.cwnd;
}

/* States (section 5.3) */

function startRound(bbr: Bbr): void {
  bbr.nextRoundDelivered = bbr.delivery.delivered;
  bbr.cwndLimited = false;
}

function resetFullBw(bbr: Bbr, rate: number): void {
  bbr.fullBw = rate;
  bbr.fullBwCount = 0;
  bbr.fullBwNow = false;
}

function resetShortterm(bbr: Bbr): void {
  bbr.bwShortterm = bbr.inflightShortterm = INFINITE;
}

/** BBRStartProbeBW_DOWN: drains what a probe has queued, and picks the time of the next one. */
function startDown(c: Connection, bbr: Bbr): void {
  const random = c.tcp.stack.host;
  bbr.lossInRound = false;
  bbr.bwLatest = bbr.inflightLatest = 0;
  bbr.probeUpCount = INFINITE;
  bbr.roundsSinceProbe = random.random16() & 1;
  bbr.probeWait = PROBE_WAIT + (random.random16() & 1023);
  bbr.cycleAt = c.tcp.time;
  bbr.ackPhase = ACKS_PROBE_STOPPING;
  startRound(bbr);
  bbr.state = DOWN;
}

function startRefill(bbr: Bbr): void {
  resetShortterm(bbr);
  bbr.probeUpRounds = bbr.probeUpAcks = 0;
  bbr.ackPhase = ACKS_REFILLING;
  startRound(bbr);
  bbr.state = REFILL;
}

function startUp(c: Connection, bbr: Bbr): void {
  bbr.probeSamples = true;
  bbr.ackPhase = ACKS_PROBE_STARTING;
  startRound(bbr);
  resetFullBw(bbr, bbr.delivery.rate);
  bbr.state = UP;
  raiseSlope(c, bbr);
}

/** Of the segments acknowledged while probing, so many raise the bound by one: fewer with each round trip. */
function raiseSlope(c: Connection, bbr: Bbr): void {
  const growth = c.mss * Math.pow(2, bbr.probeUpRounds);
  if (bbr.probeUpRounds < 30) bbr.probeUpRounds++;
  bbr.probeUpCount = larger(Math.floor(c.cwnd / growth), 1);
}

/** BBRIsTimeToProbeBW. */
function timeToProbe(c: Connection, bbr: Bbr): boolean {
  const rounds = smaller(Math.floor(target(c, bbr) / c.mss), MOST_RENO_ROUNDS);
  if (((c.tcp.time - bbr.cycleAt) | 0) <= bbr.probeWait && bbr.roundsSinceProbe < rounds) return false;
  startRefill(bbr);
  return true;
}

function tooHigh(delivery: Delivery): boolean {
  return delivery.sampleLost * 100 > delivery.txInFlight * LOSS_THRESH;
}

/** BBRHandleInflightTooHigh: a probe has found the path's limit. */
function handleTooHigh(c: Connection, bbr: Bbr, inflight: number): void {
  bbr.probeSamples = false;
  if (!bbr.delivery.limited) bbr.inflightLongterm = larger(inflight, part(target(c, bbr), BETA));
  if (bbr.state === UP) startDown(c, bbr);
}

/** BBRHandleLostPacket, for all that an ACK has shown to be lost. */
function takeLoss(c: Connection, bbr: Bbr): void {
  const delivery = bbr.delivery;
  if (!bbr.lossInRound) bbr.lossRoundDelivered = delivery.delivered;
  bbr.lossInRound = true;
  bbr.lossEvents++;
  if (!bbr.probeSamples) return;
  delivery.lostSample(c);
  if (!tooHigh(delivery)) return;
  // BBRInflightAtLoss: how much was in flight when the losses became too many.
  const size = delivery.newlyLost;
  const before = larger(delivery.txInFlight - size, 0);
  const room = larger(part(before, LOSS_THRESH) - larger(delivery.sampleLost - size, 0), 0);
  handleTooHigh(c, bbr, before + Math.floor((room * 100) / (100 - LOSS_THRESH)));
}

/** BBRAdaptLongTermModel. */
function adaptLongterm(c: Connection, bbr: Bbr): void {
  const delivery = bbr.delivery;
  if (bbr.ackPhase === ACKS_PROBE_STARTING && bbr.roundStart) bbr.ackPhase = ACKS_PROBE_FEEDBACK;
  if (bbr.ackPhase === ACKS_PROBE_STOPPING && bbr.roundStart) {
    bbr.probeSamples = false;
    bbr.ackPhase = ACKS_INIT;
    if (bbr.state >= DOWN && bbr.state <= UP && !delivery.limited && bbr.bwOfCycle > 0) {
      // BBRAdvanceMaxBwFilter.
      bbr.bwOfLastCycle = bbr.bwOfCycle;
      bbr.bwOfCycle = 0;
    }
  }
  if (!delivery.fresh) return;
  if (tooHigh(delivery)) {
    if (bbr.probeSamples) handleTooHigh(c, bbr, delivery.txInFlight);
    return;
  }
  if (bbr.inflightLongterm === INFINITE) return;
  if (delivery.txInFlight > bbr.inflightLongterm) bbr.inflightLongterm = delivery.txInFlight;
  if (bbr.state !== UP || !bbr.cwndLimited || c.cwnd < bbr.inflightLongterm) return;
  // BBRProbeInflightLongtermUpward.
  bbr.probeUpAcks += delivery.newlyAcked;
  const delta = Math.floor(bbr.probeUpAcks / (bbr.probeUpCount * c.mss));
  bbr.probeUpAcks -= delta * bbr.probeUpCount * c.mss;
  bbr.inflightLongterm += delta * c.mss;
  if (bbr.roundStart) raiseSlope(c, bbr);
}

/** BBRUpdateProbeBWCyclePhase. */
function updateCycle(c: Connection, bbr: Bbr): void {
  if (!bbr.fullBwReached) return;
  adaptLongterm(c, bbr);
  if (bbr.state === DOWN) {
    const flight = pipe(c);
    if (!timeToProbe(c, bbr) && flight <= withHeadroom(c, bbr) && flight <= fill(c, bbr)) bbr.state = CRUISE;
  } else if (bbr.state === CRUISE) timeToProbe(c, bbr);
  else if (bbr.state === REFILL) {
    if (bbr.roundStart) startUp(c, bbr);
  } else if (bbr.state === UP) {
    if (bbr.cwndLimited && c.cwnd >= bbr.inflightLongterm) resetFullBw(bbr, bbr.delivery.rate);
    else if (bbr.fullBwNow) startDown(c, bbr);
  }
}

/** BBRCheckFullBWReached, BBRCheckStartupDone, BBRCheckDrainDone. */
function checkFull(c: Connection, bbr: Bbr): void {
  const delivery = bbr.delivery;
  if (!bbr.fullBwNow && bbr.roundStart && !delivery.limited) {
    if (delivery.rate * 4 >= bbr.fullBw * 5) resetFullBw(bbr, delivery.rate);
    else if (++bbr.fullBwCount >= FULL_BW_ROUNDS) bbr.fullBwNow = bbr.fullBwReached = true;
  }
  if (bbr.state === STARTUP && bbr.roundStart) {
    const lost = delivery.lost - bbr.lostAtRound;
    if (bbr.lossEvents >= STARTUP_FULL_LOSSES && lost * 100 > delivery.sampleDelivered * LOSS_THRESH) {
      bbr.inflightLongterm = larger(product(c, bbr, bbr.maxBw, 100), bbr.inflightLatest);
      bbr.fullBwReached = true;
    }
    if (bbr.fullBwReached) {
      bbr.state = DRAIN;
      bbr.drainStartRound = bbr.roundCount;
    }
  }
  if (bbr.state === DRAIN) {
    const long = bbr.roundCount > bbr.drainStartRound + FULL_BW_ROUNDS;
    if (long || pipe(c) <= fill(c, bbr)) startDown(c, bbr);
  }
  if (bbr.roundStart) {
    bbr.lossEvents = 0;
    bbr.lostAtRound = delivery.lost;
  }
}

/* The model (section 5.5) */

/** BBRUpdateLatestDeliverySignals, BBRUpdateRound, BBRUpdateMaxBw, BBRAdaptLowerBoundsFromCongestion. */
function updateBandwidth(c: Connection, bbr: Bbr): void {
  const delivery = bbr.delivery;
  bbr.lossRoundStart = bbr.roundStart = false;
  if (!delivery.fresh) return;
  bbr.bwLatest = larger(bbr.bwLatest, delivery.rate);
  bbr.inflightLatest = larger(bbr.inflightLatest, delivery.sampleDelivered);
  if (delivery.priorDelivered >= bbr.lossRoundDelivered) {
    bbr.lossRoundDelivered = delivery.delivered;
    bbr.lossRoundStart = true;
  }
  if (delivery.priorDelivered >= bbr.nextRoundDelivered) {
    startRound(bbr);
    bbr.roundCount++;
    bbr.roundsSinceProbe++;
    bbr.roundStart = true;
  }
  if (delivery.rate >= bbr.maxBw || !delivery.limited) {
    bbr.bwOfCycle = larger(bbr.bwOfCycle, delivery.rate);
    bbr.maxBw = larger(bbr.bwOfCycle, bbr.bwOfLastCycle);
  }
  if (!bbr.lossRoundStart) return;
  const probing = bbr.state === STARTUP || bbr.state === REFILL || bbr.state === UP;
  if (bbr.lossInRound && !probing) {
    const bw = bbr.bwShortterm === INFINITE ? bbr.maxBw : bbr.bwShortterm;
    const inflight = bbr.inflightShortterm === INFINITE ? c.cwnd : bbr.inflightShortterm;
    bbr.bwShortterm = larger(bbr.bwLatest, part(bw, BETA));
    bbr.inflightShortterm = larger(bbr.inflightLatest, part(inflight, BETA));
  }
  bbr.lossInRound = false;
}

/** BBRUpdateACKAggregation: how much more than the bandwidth's share comes at one go; the most of the last ten to twenty round trips. */
function updateAggregation(c: Connection, bbr: Bbr): void {
  const now = c.tcp.time;
  let expected = Math.floor((bbr.bw * ((now - bbr.extraAckedAt) | 0)) / 1000);
  if (bbr.extraAckedDelivered <= expected) {
    bbr.extraAckedDelivered = expected = 0;
    bbr.extraAckedAt = now;
  }
  bbr.extraAckedDelivered += bbr.delivery.newlyAcked;
  const extra = smaller(bbr.extraAckedDelivered - expected, c.cwnd);
  if (!bbr.fullBwReached) {
    bbr.extraAcked = extra;
    return;
  }
  if (bbr.roundCount - bbr.extraAckedRound >= EXTRA_ACKED_ROUNDS) {
    bbr.extraAckedRound = bbr.roundCount;
    bbr.extraAcked = larger(bbr.extraAckedBefore, extra);
    bbr.extraAckedBefore = extra;
  }
  bbr.extraAckedBefore = larger(bbr.extraAckedBefore, extra);
  bbr.extraAcked = larger(bbr.extraAcked, extra);
}

/** BBRUpdateMinRTT. */
function updateMinRtt(c: Connection, bbr: Bbr): void {
  const now = c.tcp.time;
  const rtt = bbr.delivery.rtt;
  bbr.probeRttExpired = ((now - bbr.probeRttMinAt) | 0) > PROBE_RTT_INTERVAL;
  if (rtt > 0 && (bbr.probeRttMinDelay === 0 || rtt < bbr.probeRttMinDelay || bbr.probeRttExpired)) {
    bbr.probeRttMinDelay = rtt;
    bbr.probeRttMinAt = now;
  }
  const expired = ((now - bbr.minRttAt) | 0) > MIN_RTT_FILTER;
  if (bbr.probeRttMinDelay > 0 && (bbr.minRtt === 0 || bbr.probeRttMinDelay < bbr.minRtt || expired)) {
    bbr.minRtt = bbr.probeRttMinDelay;
    bbr.minRttAt = bbr.probeRttMinAt;
  }
}

/** BBRCheckProbeRTT (section 5.3.4): now and then the window is halved, so that the queue drains and shows the shortest round trip. */
function checkProbeRtt(c: Connection, bbr: Bbr): void {
  if (bbr.state !== PROBE_RTT && bbr.probeRttExpired && !bbr.idleRestart) {
    saveWindow(c, bbr);
    bbr.state = PROBE_RTT;
    bbr.probeRttTimed = false;
    bbr.ackPhase = ACKS_PROBE_STOPPING;
    startRound(bbr);
  }
  if (bbr.state === PROBE_RTT) {
    // BBRHandleProbeRTT: what is delivered now says nothing of the path.
    const delivery = bbr.delivery;
    const flight = pipe(c);
    delivery.limitedUntil = delivery.delivered + flight || 1;
    if (!bbr.probeRttTimed) {
      if (flight <= probeRttWindow(c, bbr)) {
        bbr.probeRttTimed = true;
        bbr.probeRttRoundDone = false;
        bbr.probeRttDoneAt = (c.tcp.time + PROBE_RTT_DURATION) | 0;
        startRound(bbr);
      }
    } else {
      if (bbr.roundStart) bbr.probeRttRoundDone = true;
      if (bbr.probeRttRoundDone) endProbeRtt(c, bbr);
    }
  }
  if (bbr.delivery.newlyAcked > 0) bbr.idleRestart = false;
}

function endProbeRtt(c: Connection, bbr: Bbr): void {
  if (!bbr.probeRttTimed || ((c.tcp.time - bbr.probeRttDoneAt) | 0) <= 0) return;
  bbr.probeRttMinAt = c.tcp.time;
  c.cwnd = larger(c.cwnd, bbr.priorCwnd);
  resetShortterm(bbr);
  if (bbr.fullBwReached) {
    startDown(c, bbr);
    bbr.state = CRUISE;
  } else bbr.state = STARTUP;
}

/** BBRUpdateOnACK (section 5.2.3). */
function update(c: Connection): void {
  const bbr = c.congestionState as Bbr;
  const delivery = bbr.delivery;
  delivery.acked(c);
  if (delivery.newlyAcked + delivery.newlyLost === 0) return;
  if (delivery.newlyLost > 0) takeLoss(c, bbr);
  updateBandwidth(c, bbr);
  updateAggregation(c, bbr);
  checkFull(c, bbr);
  updateCycle(c, bbr);
  updateMinRtt(c, bbr);
  checkProbeRtt(c, bbr);
  if (bbr.lossRoundStart) {
    bbr.bwLatest = delivery.rate;
    bbr.inflightLatest = delivery.sampleDelivered;
  }
  bbr.bw = smaller(bbr.maxBw, bbr.bwShortterm);
  setPace(bbr, PACING_GAINS[bbr.state]);
  if (bbr.timedOut && ((c.sndUna - c.recover) | 0) >= 0) restore(c, bbr);
  setWindow(c, bbr);
}

/** BBRRestoreCwnd: what was lost has been repaired. */
function restore(c: Connection, bbr: Bbr): void {
  bbr.repairing = bbr.timedOut = false;
  c.cwnd = larger(c.cwnd, bbr.priorCwnd);
}

const BBR: Congestion = {
  name: "bbr3",

  start(c) {
    let bbr = c.congestionState as Bbr | null;
    if (!bbr) {
      c.congestionState = bbr = new Bbr(c);
      c.cwnd = initialWindow(c.mss);
      // The window in a round trip: that of the handshake, or a millisecond (section 5.6.2).
      const nominal = Math.floor((c.cwnd * 8000) / (c.srtt || 8));
      bbr.pacingRate = part(nominal, PACING_GAINS[STARTUP]);
    } else if (outstanding(c) === 0 && !bbr.idleRestart) {
      // BBRHandleRestartFromIdle.
      bbr.idleRestart = true;
      bbr.extraAckedAt = c.tcp.time;
      bbr.extraAckedDelivered = 0;
      if (bbr.state >= DOWN && bbr.state <= UP) setPace(bbr, 100);
      else if (bbr.state === PROBE_RTT) endProbeRtt(c, bbr);
    }
  },

  acked: update,
  recovering: update,

  lost(c) {
    const bbr = c.congestionState as Bbr;
    saveWindow(c, bbr);
    bbr.repairing = true;
    if (!bbr.lossInRound) bbr.lossRoundDelivered = bbr.delivery.delivered;
    bbr.lossInRound = true;
  },

  recovered(c) {
    const bbr = c.congestionState as Bbr;
    update(c);
    restore(c, bbr);
  },

  timeout(c) {
    saveWindow(c, c.congestionState as Bbr);
    (c.congestionState as Bbr).timedOut = true;
    c.cwnd = c.mss;
  },

  allowance(c) {
    const bbr = c.congestionState as Bbr;
    bbr.delivery.sent(c);
    if (sndEnd(c) !== c.sndNxt && pipe(c) + c.mss > c.cwnd) bbr.cwndLimited = true;
    return paced(c, bbr.pacer, bbr.pacingRate);
  },
};

/** `tcp({ congestion: bbr(), recovery: rack() })`. */
export function bbr(): Congestion {
  return BBR;
}

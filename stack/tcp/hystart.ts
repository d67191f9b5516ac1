/**
 * HyStart++ (RFC 9406): slow start that ends when round trips become longer, before the queue on the path overflows.
 *
 * The clock has a resolution of a millisecond: on paths of less than about 4 ms it does as plain slow start does.
 */
import { outstanding } from "./connection.js";
import type { Connection } from "./connection.js";
import { appropriateBytes } from "./slowstart.js";
import type { SlowStart } from "./slowstart.js";

/** RFC 9406 section 4.3; times in ms. */
const MIN_RTT_THRESH = 4;
const MAX_RTT_THRESH = 16;
const MIN_RTT_DIVISOR = 8;
const N_RTT_SAMPLE = 8;
const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;
const NEVER = 0x3fffffff;

/** What a connection remembers of its rounds. */
class Rounds {
  /** `sndNxt` when the round began: what is acknowledged beyond it belongs to the next. */
  windowEnd = 0;
  lastMinRtt = NEVER;
  currentMinRtt = NEVER;
  samples = 0;
  /** Smallest round trip of the round that made us suspicious; 0: not suspicious (slow start, not yet CSS). */
  baseline = 0;
  cssRounds = 0;
}

function beginRound(c: Connection, rounds: Rounds): void {
  rounds.windowEnd = c.sndNxt;
  rounds.lastMinRtt = rounds.currentMinRtt;
  rounds.currentMinRtt = NEVER;
  rounds.samples = 0;
}

/** The delay above `minRtt` that means a queue (RFC 9406 section 4.2). */
function threshold(minRtt: number): number {
  const share = (minRtt / MIN_RTT_DIVISOR) | 0;
  return share < MIN_RTT_THRESH ? MIN_RTT_THRESH : share < MAX_RTT_THRESH ? share : MAX_RTT_THRESH;
}

const HYSTART: SlowStart = {
  start(c) {
    const rounds = new Rounds();
    rounds.windowEnd = c.sndNxt;
    c.slowStartState = rounds;
  },

  acked(c, bytes) {
    const rounds = c.slowStartState as Rounds;
    if (c.rtt > 0) {
      if (c.rtt < rounds.currentMinRtt) rounds.currentMinRtt = c.rtt;
      rounds.samples++;
    }
    const growth = appropriateBytes(c, bytes);
    if (c.ssthresh < NEVER) {
      // A loss has said where the path's limit is: there is nothing left to find out (section 4.3).
      c.cwnd += growth;
      return;
    }
    if (rounds.baseline > 0) {
      // Conservative slow start: a quarter of the growth, until the suspicion proves right or wrong.
      c.cwnd += (growth / CSS_GROWTH_DIVISOR) | 0;
      if (rounds.samples >= N_RTT_SAMPLE && rounds.currentMinRtt < rounds.baseline) {
        rounds.baseline = 0;
        rounds.cssRounds = 0;
      }
    } else {
      c.cwnd += growth;
      if (
        rounds.samples >= N_RTT_SAMPLE &&
        rounds.lastMinRtt < NEVER &&
        rounds.currentMinRtt >= rounds.lastMinRtt + threshold(rounds.lastMinRtt)
      ) {
        rounds.baseline = rounds.currentMinRtt;
        rounds.cssRounds = 0;
      }
    }
    // Counted back from `sndNxt`: 2^31 bytes may have passed while the application did not fill the window.
    if ((c.sndNxt - rounds.windowEnd) >>> 0 < outstanding(c)) return;
    beginRound(c, rounds);
    if (rounds.baseline > 0 && ++rounds.cssRounds >= CSS_ROUNDS) c.ssthresh = c.cwnd;
  },
};

/** `cubic({ slowStart: hystart() })`, `newReno({ slowStart: hystart() })`. */
export function hystart(): SlowStart {
  return HYSTART;
}

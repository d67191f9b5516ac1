/** What TCP counts: `stack.counters.tcp`. */

export class TcpCounters {
  received = 0;
  sent = 0;
  /** Data offset that lies, or a segment shorter than its header. */
  badoff = 0;
  badsum = 0;
  /** Port 0. */
  badPort = 0;
  /** To or from a broadcast or multicast address. */
  notUnicast = 0;
  /** No connection and no listener: answered by a RST. */
  noPort = 0;
  /** RST that is not acceptable: ignored. */
  badReset = 0;
  badAck = 0;
  badFlags = 0;
  outOfWindow = 0;
  /** Old by its timestamp (PAWS). */
  paws = 0;
  /** Without the timestamp that was agreed upon. */
  noTimestamp = 0;
  outOfOrder = 0;
  duplicate = 0;
  /** Too many holes: dropped. */
  rangesFull = 0;
  /** No memory for data: dropped, the peer repeats it. */
  noMemory = 0;
  /** Data after the application had closed: answered by a RST. */
  dataAfterClose = 0;
  /** SYN dropped: the listener's queue, or the table, was full. */
  synDropped = 0;
  challenges = 0;
  challengesLimited = 0;
  resetsSent = 0;
  resetsReceived = 0;
  /** RST not sent because of the rate limit. */
  resetsLimited = 0;
  connects = 0;
  accepts = 0;
  retransmitted = 0;
  fastRetransmits = 0;
  timeouts = 0;
  /** Tail loss probes (RFC 8985). */
  tailProbes = 0;
  /** Segments that a router marked on their way here, and marks of ours that the peer told of (RFC 3168). */
  congestionMarks = 0;
  congestionEchoes = 0;
  /** Timeouts that were found to have come too early (RFC 5682). */
  spuriousTimeouts = 0;
  probes = 0;
  keepalives = 0;
  blackholes = 0;
  timeWaitRecycled = 0;
  pressureAborts = 0;
  sendFailed = 0;
}

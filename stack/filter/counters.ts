/** What a firewall counts: `stack.counters.firewall`. */
export class FirewallCounters {
  /** Flows that were begun. */
  flows = 0;
  /** Refused by a rule, or because no rule fits. */
  dropped = 0;
  /** Refused, and the sender was told. */
  rejected = 0;
  /** No transport header where one should be, evasions by fragments, messages of a link from beyond it. */
  malformed = 0;
  /** Belongs to no flow and begins none; outside of a connection's windows; answers that nobody has asked for. */
  invalid = 0;
  /** Fragments whose first one has not passed. */
  fragments = 0;
  /** A source that belongs to another interface's network. */
  spoofed = 0;
  /** The table was full of flows that matter. */
  full = 0;
  /** A source had its share of flows. */
  perSource = 0;
  /** No outer port, or no outer address. */
  noPort = 0;
}

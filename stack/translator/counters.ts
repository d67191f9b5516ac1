/** What a translator counts: `stack.counters.nat64`, `stack.counters.clat`. */
export class TranslatorCounters {
  /** Packets that were translated. */
  toIpv4 = 0;
  toIpv6 = 0;
  /** IPv4 packets that became several: too large for IPv6 as they were, and not forbidden to be fragmented. */
  fragments = 0;
  /** Headers or lengths that do not hold together; transports cut off within their header. */
  malformed = 0;
  /** What has no counterpart in the other family: fragmented ICMP, other types of ICMP, source routes, UDP of fragments without checksum. */
  untranslatable = 0;
  /** An address that stands for none in the other family. */
  address = 0;
  /** Hosts for which no address of the pool was left. */
  exhausted = 0;
  /** Dropped for want of memory. */
  noMemory = 0;
}

/** RIP version 2 (RFC 2453 section 4) and RIPng (RFC 2080 section 2.1): offsets and numbers. Both have entries of 20 bytes behind 4. */
export const RIP_HEADER = 4;
export const RIP_ENTRY = 20;
export const RIP_VERSION = 1;

export const RIP_REQUEST = 1;
export const RIP_RESPONSE = 2;

/** A metric that says: not to be reached. */
export const RIP_INFINITY = 16;

/** Entries of version 2. */
export const RIP_FAMILY = 0;
export const RIP_TAG = 2;
export const RIP_ADDRESS = 4;
export const RIP_MASK = 8;
export const RIP_NEXT_HOP = 12;
export const RIP_METRIC = 16;
/** Address family of the entry that authenticates a message, and its one type that is no digest. */
export const RIP_AUTHENTICATION = 0xffff;
export const RIP_PASSWORD = 2;

/** Entries of RIPng. */
export const RIPNG_TAG = 16;
export const RIPNG_LENGTH = 18;
export const RIPNG_METRIC = 19;
/** The metric of an entry that names the next hop of those behind it. */
export const RIPNG_NEXT_HOP = 0xff;

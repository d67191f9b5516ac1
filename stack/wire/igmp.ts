/** IGMP (RFC 1112, RFC 2236, RFC 3376 section 4): offsets, types, group records. */

/** A message of versions 1 and 2; version 3 has more behind it. */
export const IGMP_LENGTH = 8;
export const IGMP_MAX_RESPONSE = 1;
export const IGMP_CHECKSUM = 2;
export const IGMP_GROUP = 4;

export const IGMP_QUERY = 0x11;
export const IGMP_REPORT_V1 = 0x12;
export const IGMP_REPORT_V2 = 0x16;
export const IGMP_LEAVE = 0x17;
export const IGMP_REPORT_V3 = 0x22;

/** A version 3 query without its sources. */
export const QUERY_V3_LENGTH = 12;
export const QUERY_ROBUSTNESS = 8;
export const QUERY_COUNT = 10;
export const QUERY_SOURCES = 12;

/** Number of group records in a version 3 report. */
export const REPORT_COUNT = 6;

export const IS_INCLUDE = 1;
export const IS_EXCLUDE = 2;
export const TO_INCLUDE = 3;
export const TO_EXCLUDE = 4;
export const ALLOW_NEW = 5;
export const BLOCK_OLD = 6;

/** 224.0.0.1, 224.0.0.2, 224.0.0.22 */
export const ALL_HOSTS = 0xe0000001 | 0;
export const ALL_ROUTERS = 0xe0000002 | 0;
export const ALL_REPORTS = 0xe0000016 | 0;

/** ESP (RFC 4303 section 2), AH (RFC 4302 section 2) and ESP in UDP (RFC 3948 section 2): offsets and numbers. */

export const PROTOCOL_ESP = 50;
export const PROTOCOL_AH = 51;
/** Next headers of what a tunnel carries. */
export const PROTOCOL_IPV4 = 4;
export const PROTOCOL_IPV6 = 41;

/** SPI and sequence number. */
export const ESP_HEADER = 8;
export const ESP_SEQUENCE = 4;
/** Pad length and next header, behind the padding. */
export const ESP_TRAILER = 2;

/** Fixed part of AH; the ICV is behind it. */
export const AH_HEADER = 12;
export const AH_LENGTH = 1;
export const AH_SPI = 4;
export const AH_SEQUENCE = 8;

/** SPIs below are reserved (RFC 4303 section 2.1). */
export const SPI_LEAST = 256;
/** The port of ESP in UDP, and of IKE beside it. */
export const PORT_NAT_T = 4500;
/** The one byte of a keepalive. */
export const KEEPALIVE = 0xff;

/** VRRP version 3 (RFC 5798 section 5): offsets and numbers. Intervals are in hundredths of a second. */
export const PROTOCOL_VRRP = 112;
export const VRRP_HEADER = 8;
/** Version 3, type 1: the one there is. */
export const VRRP_ADVERTISEMENT = 0x31;
export const VRRP_ID = 1;
export const VRRP_PRIORITY = 2;
export const VRRP_COUNT = 3;
export const VRRP_INTERVAL = 4;
export const VRRP_CHECKSUM = 6;
/** Virtual hardware addresses are 00-00-5e-00-01-ID and 00-00-5e-00-02-ID: the last four bytes without the identifier. */
export const VRRP_MAC4 = 0x5e000100;
export const VRRP_MAC6 = 0x5e000200;
export const VRRP_GROUP4 = "224.0.0.18";
export const VRRP_GROUP6 = "ff02::12";
/** The priority of the router whose addresses they are, and what one says that goes. */
export const VRRP_OWNER = 255;
export const VRRP_GOING = 0;

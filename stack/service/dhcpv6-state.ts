/** The states of a DHCPv6 client (RFC 8415 section 18.2), most of them exchanges. From `DHCP6_BOUND` on there is a lease. */

/** Waits: for its turn, for the carrier, for a router that says what to do. */
export const DHCP6_INIT = 0;
export const DHCP6_SOLICITING = 1;
export const DHCP6_REQUESTING = 2;
/** Asks whether the addresses of before still fit the link. */
export const DHCP6_CONFIRMING = 3;
/** The addresses are being tried (RFC 4862 section 5.4). */
export const DHCP6_TRYING = 4;
/** Tells the server of addresses that somebody else has. */
export const DHCP6_DECLINING = 5;
export const DHCP6_RELEASING = 6;
/** Asks for parameters alone. */
export const DHCP6_INFORMING = 7;
/** Has them; asks again when they are to be refreshed. */
export const DHCP6_INFORMED = 8;
export const DHCP6_BOUND = 9;
export const DHCP6_RENEWING = 10;
export const DHCP6_REBINDING = 11;

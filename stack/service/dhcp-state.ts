/** The states of a DHCP client (RFC 2131 section 4.4), in the RFC's words where it has one. From `DHCP_BOUND` on there is a lease. */

/** Waits before a transaction: for its turn, or for the carrier. */
export const DHCP_INIT = 0;
export const DHCP_SELECTING = 1;
export const DHCP_REQUESTING = 2;
/** Asks whether a lease from before a restart, or before the cable was pulled, still holds. */
export const DHCP_REBOOTING = 3;
/** The address is being tried (RFC 5227). */
export const DHCP_PROBING = 4;
/** Somebody else has the address; the server is about to be told. */
export const DHCP_DECLINING = 5;
export const DHCP_BOUND = 6;
export const DHCP_RENEWING = 7;
export const DHCP_REBINDING = 8;
/** Asks for parameters alone. */
export const DHCP_INFORMING = 9;

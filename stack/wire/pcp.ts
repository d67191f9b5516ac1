/** PCP (RFC 6887 sections 7 and 11) and NAT-PMP (RFC 6886 section 3): offsets, operations, result codes. */

export const PCP_PORT = 5351;
/** Where hosts listen for announcements. */
export const PCP_CLIENT_PORT = 5350;
export const PCP_VERSION = 2;
export const PCP_LONGEST = 1100;
export const PCP_HEADER = 24;
export const PCP_RESPONSE = 0x80;
export const PCP_RESULT = 3;
export const PCP_LIFETIME = 4;
/** Of requests the client's address, of responses the epoch. */
export const PCP_CLIENT = 8;
export const PCP_EPOCH = 8;

export const ANNOUNCE = 0;
export const MAP = 1;

/** MAP, from the start of the message. */
export const MAP_NONCE = 24;
export const MAP_PROTOCOL = 36;
export const MAP_PORT = 40;
export const MAP_OUTER_PORT = 42;
export const MAP_OUTER = 44;
export const MAP_LENGTH = 60;

export const OPTION_PREFER_FAILURE = 2;

export const SUCCESS = 0;
export const UNSUPP_VERSION = 1;
export const NOT_AUTHORIZED = 2;
export const MALFORMED_REQUEST = 3;
export const UNSUPP_OPCODE = 4;
export const UNSUPP_OPTION = 5;
export const MALFORMED_OPTION = 6;
export const NETWORK_FAILURE = 7;
export const NO_RESOURCES = 8;
export const UNSUPP_PROTOCOL = 9;
export const USER_EX_QUOTA = 10;
export const CANNOT_PROVIDE_EXTERNAL = 11;
export const ADDRESS_MISMATCH = 12;

/** NAT-PMP: operations and lengths; its results are SUCCESS, UNSUPP_VERSION, and these. */
export const PMP_ADDRESS = 0;
export const PMP_MAP_UDP = 1;
export const PMP_MAP_TCP = 2;
export const PMP_REQUEST = 12;
export const PMP_NOT_AUTHORIZED = 2;
export const PMP_NETWORK_FAILURE = 3;
export const PMP_NO_RESOURCES = 4;
export const PMP_UNSUPP_OPCODE = 5;

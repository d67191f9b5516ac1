/** IKEv2 (RFC 7296 section 3): the header's offsets, and the numbers of exchanges, payloads, transforms and notifications. */

export const IKE_PORT = 500;
/** Where IKE and ESP share a port once a NAT is (or might be) between the two (RFC 3948). */
export const IKE_NAT_PORT = 4500;
/** Four zeros before an IKE message on `IKE_NAT_PORT`; ESP has its SPI there, which is never 0. */
export const NON_ESP_MARKER = 4;

export const IKE_HEADER = 28;
export const IKE_SPI_I = 0;
export const IKE_SPI_R = 8;
export const IKE_NEXT = 16;
export const IKE_VERSION = 17;
export const IKE_EXCHANGE = 18;
export const IKE_FLAGS = 19;
export const IKE_ID = 20;
export const IKE_LENGTH = 24;

export const SPI_LENGTH = 8;
export const VERSION_2 = 0x20;

/** The sender began this IKE SA. */
export const FLAG_INITIATOR = 0x08;
export const FLAG_RESPONSE = 0x20;

/** Next payload, critical bit, length with this header. */
export const PAYLOAD_HEADER = 4;
export const CRITICAL = 0x80;

export const IKE_SA_INIT = 34;
export const IKE_AUTH = 35;
export const CREATE_CHILD_SA = 36;
export const INFORMATIONAL = 37;
/** RFC 9242. */
export const IKE_INTERMEDIATE = 43;
/** RFC 9370. */
export const IKE_FOLLOWUP_KE = 44;

export const PAYLOAD_NONE = 0;
export const PAYLOAD_SA = 33;
export const PAYLOAD_KE = 34;
export const PAYLOAD_IDI = 35;
export const PAYLOAD_IDR = 36;
export const PAYLOAD_CERT = 37;
export const PAYLOAD_CERTREQ = 38;
export const PAYLOAD_AUTH = 39;
export const PAYLOAD_NONCE = 40;
export const PAYLOAD_NOTIFY = 41;
export const PAYLOAD_DELETE = 42;
export const PAYLOAD_VENDOR = 43;
export const PAYLOAD_TSI = 44;
export const PAYLOAD_TSR = 45;
export const PAYLOAD_SK = 46;
export const PAYLOAD_CP = 47;
export const PAYLOAD_EAP = 48;
/** An encrypted fragment (RFC 7383). */
export const PAYLOAD_SKF = 53;

export const PROTOCOL_IKE = 1;
export const PROTOCOL_AH = 2;
export const PROTOCOL_ESP = 3;

export const TRANSFORM_ENCR = 1;
export const TRANSFORM_PRF = 2;
export const TRANSFORM_INTEG = 3;
export const TRANSFORM_KE = 4;
export const TRANSFORM_ESN = 5;
/** The first of seven additional key exchanges (RFC 9370). */
export const TRANSFORM_ADDKE1 = 6;

export const AUTH_RSA_PKCS1_SHA1 = 1;
export const AUTH_SHARED_KEY = 2;
export const AUTH_ECDSA_256 = 9;
export const AUTH_ECDSA_384 = 10;
export const AUTH_ECDSA_521 = 11;
/** RFC 7427: the algorithm is named beside the signature. */
export const AUTH_SIGNATURE = 14;

export const ID_IPV4 = 1;
export const ID_FQDN = 2;
export const ID_EMAIL = 3;
export const ID_IPV6 = 5;
export const ID_DN = 9;
export const ID_KEY = 11;

/* Notifications: errors below 16384 */
export const UNSUPPORTED_CRITICAL_PAYLOAD = 1;
export const INVALID_IKE_SPI = 4;
export const INVALID_MAJOR_VERSION = 5;
export const INVALID_SYNTAX = 7;
export const INVALID_MESSAGE_ID = 9;
export const NO_PROPOSAL_CHOSEN = 14;
export const INVALID_KE_PAYLOAD = 17;
export const AUTHENTICATION_FAILED = 24;
export const INTERNAL_ADDRESS_FAILURE = 36;
export const FAILED_CP_REQUIRED = 37;
export const TS_UNACCEPTABLE = 38;
export const UNACCEPTABLE_ADDRESSES = 40;
export const TEMPORARY_FAILURE = 43;
export const CHILD_SA_NOT_FOUND = 44;
export const STATE_NOT_FOUND = 47;
export const FIRST_STATUS = 16384;
export const INITIAL_CONTACT = 16384;
export const SET_WINDOW_SIZE = 16385;
export const ADDITIONAL_TS_POSSIBLE = 16386;
export const NAT_DETECTION_SOURCE = 16388;
export const NAT_DETECTION_DESTINATION = 16389;
export const COOKIE = 16390;
export const USE_TRANSPORT_MODE = 16391;
export const REKEY_SA = 16393;
export const MOBIKE_SUPPORTED = 16396;
export const ADDITIONAL_IP4_ADDRESS = 16397;
export const ADDITIONAL_IP6_ADDRESS = 16398;
export const NO_ADDITIONAL_ADDRESSES = 16399;
export const UPDATE_SA_ADDRESSES = 16400;
export const COOKIE2 = 16401;
export const AUTH_LIFETIME = 16403;
export const REDIRECT_SUPPORTED = 16406;
export const REDIRECT = 16407;
export const REDIRECTED_FROM = 16408;
export const CHILDLESS_SUPPORTED = 16418;
export const FRAGMENTATION_SUPPORTED = 16430;
export const SIGNATURE_HASH_ALGORITHMS = 16431;
export const USE_PPK = 16435;
export const PPK_IDENTITY = 16436;
export const NO_PPK_AUTH = 16437;
export const INTERMEDIATE_SUPPORTED = 16438;
export const ADDITIONAL_KEY_EXCHANGE = 16441;

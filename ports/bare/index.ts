/** The port to bare metal: hypercalls and links over the C functions of bare.h. Written in the language of stack/ (ES5-MCU). */
export { bareHost } from "./host.js";
export type { BareHost } from "./host.js";
export type { BareLink } from "./link.js";
export { BARE_CARRIER, BARE_LOST_SHIFT, BARE_ROOM } from "./calls.js";
export type { BareCalls } from "./calls.js";

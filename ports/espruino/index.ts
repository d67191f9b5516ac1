/**
 * The port to Espruino: a device under its own network modules (`networkDriver`), or modules of our own that are driven by events
 * (`netModule`, `dgramModule`); and Espruino as the host (`espruinoHost`, `frameLink`). It keeps to the language of stack/.
 */
export { networkDriver, DriverCounters } from "./driver.js";
export type { DriverOptions, NetworkDriver } from "./driver.js";
export { netModule, Server } from "./net.js";
export type { NetModule, NetOptions, Target } from "./net.js";
export { Socket } from "./socket.js";
export type { PipeOptions, Writable } from "./socket.js";
export { dgramModule, DgramSocket } from "./dgram.js";
export type { DgramModule, DgramOptions, DgramSocketOptions, MessageInfo } from "./dgram.js";
export { EspruinoHost, espruinoGlobals, espruinoHost, espruinoText } from "./host.js";
export type { EspruinoGlobals, EspruinoHostOptions } from "./host.js";
export { FrameLink, frameLink } from "./link.js";
export type { FrameFunctions } from "./link.js";
export { espruinoCode, espruinoError } from "./codes.js";
export type { EspruinoError } from "./codes.js";
export { toText } from "./text.js";
export type { ToText } from "./text.js";

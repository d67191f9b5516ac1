/** The port to browsers: host, links over WebSocket and MessagePort, TCP as web streams. It runs in pages and in workers. */
export { browserHost } from "./host.js";
export type { BrowserHost, BrowserHostOptions } from "./host.js";
export type { FrameOptions } from "./frame-link.js";
export { openWebSocketLink, WebSocketLink } from "./web-socket-link.js";
export { openPortLink, PortLink } from "./port-link.js";
export { webCrypto } from "../crypto/web-cipher.js";
export { tcpStreams } from "./streams.js";
export type { TcpStreams, TcpStreamSocket } from "./streams.js";

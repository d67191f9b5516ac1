/**
 * The port to Node.js: host, links, captures. Importing it loads nothing but Node's own modules: the package koffi is an optional
 * peer, loaded by `openTap` and `opensslCrypto`.
 */
export { nodeHost } from "./host.js";
export type { NodeHost, NodeHostOptions } from "./host.js";
export { ethernet } from "../express/ethernet.js";
export type { ExpressEthernet } from "../express/ethernet.js";
export { nodeCrypto } from "./crypto.js";
export { opensslCrypto } from "./openssl.js";
export type { OpensslOptions } from "./openssl.js";
export { openTap } from "./tap.js";
export type { TapOptions } from "./tap.js";
export { openInheritedTap, tapLauncher } from "./fd.js";
export type { InheritedTapOptions } from "./fd.js";
export type { TunLink } from "./tun-link.js";
export { openUdpFrame } from "./udp-frame.js";
export type { UdpFrameLink, UdpFrameOptions } from "./udp-frame.js";
export { memoryCable } from "./cable.js";
export type { CableOptions } from "./cable.js";
export { openUplink } from "./uplink/open.js";
export type { OpenUplink, OpenUplinkOptions } from "./uplink/open.js";
export { userUplink } from "./uplink/uplink.js";
export type { UplinkFlow, UplinkOptions, UserUplink } from "./uplink/uplink.js";
export type { OpenForward, PortForward } from "./uplink/forward.js";
export { connectStreamFrame, listenStreamFrame, StreamFrameLink } from "./stream-frame.js";
export type { StreamFrameOptions } from "./stream-frame.js";
export { capture, PcapngWriter } from "./pcapng.js";
export type { CaptureLink, CaptureOptions } from "./pcapng.js";
export { leaseFile } from "./lease-file.js";
export type { LeaseFileOptions } from "./lease-file.js";
export { connect } from "./connect.js";
export type { ConnectOptions } from "./connect.js";
export { listen } from "./server.js";
export type { ListenOptions, NodeServer } from "./server.js";
export { NodeSocket } from "./socket.js";
export type { NodeSocketOptions } from "./socket.js";
export type { SystemError } from "./errors.js";

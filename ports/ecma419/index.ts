/**
 * The port of ECMA-419 (2nd to 4th editions): its network classes over a stack. Each function brings the classes over one
 * component, so that what is not asked for costs no byte:
 *
 * ```ts
 * const { TCP, Listener } = tcpClasses(sockets, resolver);
 * const { UDP } = udpClass(datagrams);
 * new TCP({ address: "10.0.0.2", port: 80, onWritable() { this.write(request); }, onReadable() { print(this.read()); } });
 * ```
 * Spellings of Moddable's SDK that differ from the standard's are accepted, too. It runs on any engine that has ES5 and accessors.
 */
export { tcpClasses } from "./tcp.js";
export type { Listener, ListenerOptions, TCP, TcpClasses, TcpOptions, TcpWriteOptions } from "./tcp.js";
export { udpClass } from "./udp.js";
export type { Sender, UDP, UdpClasses, UdpIoOptions } from "./udp.js";
export { resolverClass } from "./resolver.js";
export type {
  ResolveCallback,
  ResolveOptions,
  Resolver,
  ResolverClasses,
  ResolverOptions,
} from "./resolver.js";
export { ntpClass } from "./ntp.js";
export type { NTP, NtpClasses, NtpIoOptions } from "./ntp.js";
export { dnssdClass } from "./dnssd.js";
export type {
  Advertisement,
  AdvertiseOptions,
  ClaimOptions,
  DNSSD,
  DiscoverOptions,
  DnssdClasses,
  DnssdOptions,
  Handle,
  Service,
  TxtMap,
} from "./dnssd.js";
export { ADDRESS_ASSIGNED, CONNECTED, DISCONNECTED, UNAVAILABLE, ethernetClass } from "./interface.js";
export type { Ethernet, EthernetClasses, EthernetOptions } from "./interface.js";
export type { BaseOptions, ByteBuffer, IoError } from "./base.js";

/** The actions of the gateway's services (UPnP IGD:1): what a control point asks for, as `SoapCall`, is done and answered. */
import type { Interface } from "../core/interface.js";
import { format4 } from "../core/text4.js";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../wire/ipv4.js";
import { SERVICES } from "./upnp-description.js";
import {
  ARGUMENT_VALUE,
  DONE,
  INVALID_ACTION,
  INVALID_ARGS,
  INVALID_INDEX,
  NOT_AUTHORIZED,
  NO_SUCH_ENTRY,
  NO_WILDCARD_PORT,
  ONLY_ANY_REMOTE,
} from "./upnp-mappings.js";
import type { UpnpMapping, UpnpMappings } from "./upnp-mappings.js";
import type { SoapCall } from "./upnp-soap.js";
import { escapeXml } from "./upnp-soap.js";

/** Characters of a description that are kept. */
const DESCRIPTION = 64;

/** What the actions tell and change; the component fills it in for each call. */
export class UpnpGateway {
  now = 0;
  /** The outer address, 0: none; and since when, s. */
  outer = 0;
  uptime = 0;
  /** Where the outside is, or null. */
  wan: Interface | null = null;
  /** Bits a second, or 0. */
  upload = 0;
  download = 0;
  /** The unique name of the device that has the connection. */
  udn = "";
  /** The arguments of an answer. */
  out = "";

  constructor(
    readonly mappings: UpnpMappings,
    /** The longest lease, s. */
    readonly lease: number,
  ) {}

  /** Does what `call` asks a service for, on behalf of the host at `address`. Returns an error code; `out` has the answer. */
  run(service: number, call: SoapCall, address: number): number {
    this.out = "";
    if (call.service !== SERVICES[service].type) return INVALID_ACTION;
    if (service === 0) return this.layer3(call.action);
    return service === 1 ? this.common(call.action) : this.connection(call, address);
  }

  private put(name: string, value: string | number): void {
    this.out += "<New" + name + ">" + escapeXml("" + value) + "</New" + name + ">";
  }

  private layer3(action: string): number {
    if (action === "SetDefaultConnectionService") return NOT_AUTHORIZED;
    if (action !== "GetDefaultConnectionService") return INVALID_ACTION;
    const service = SERVICES[2];
    this.put(
      "DefaultConnectionService",
      this.udn + ":WANConnectionDevice:1,urn:upnp-org:serviceId:" + service.id,
    );
    return DONE;
  }

  private common(action: string): number {
    const counters = this.wan ? this.wan.counters : null;
    if (action === "GetCommonLinkProperties") {
      this.put("WANAccessType", "Ethernet");
      this.put("Layer1UpstreamMaxBitRate", this.upload);
      this.put("Layer1DownstreamMaxBitRate", this.download);
      this.put("PhysicalLinkStatus", this.wan && !this.wan.up() ? "Down" : "Up");
      return DONE;
    }
    // Numbers of 32 bits that wrap.
    const count = (name: string, value: number) => {
      if (action !== "Get" + name) return false;
      this.put(name, value >>> 0);
      return true;
    };
    return count("TotalBytesSent", counters ? counters.txBytes : 0) ||
      count("TotalBytesReceived", counters ? counters.rxBytes : 0) ||
      count("TotalPacketsSent", counters ? counters.txFrames : 0) ||
      count("TotalPacketsReceived", counters ? counters.rxFrames : 0)
      ? DONE
      : INVALID_ACTION;
  }

  private connection(call: SoapCall, address: number): number {
    const action = call.action;
    if (action === "GetExternalIPAddress")
      this.put("ExternalIPAddress", this.outer === 0 ? "" : format4(this.outer));
    else if (action === "GetStatusInfo") {
      this.put("ConnectionStatus", this.outer === 0 ? "Disconnected" : "Connected");
      this.put("LastConnectionError", "ERROR_NONE");
      this.put("Uptime", this.uptime);
    } else if (action === "GetConnectionTypeInfo") {
      this.put("ConnectionType", "IP_Routed");
      this.put("PossibleConnectionTypes", "IP_Routed");
    } else if (action === "GetNATRSIPStatus") {
      this.put("RSIPAvailable", 0);
      this.put("NATEnabled", 1);
    } else if (action === "AddPortMapping") return this.add(call, address);
    else if (action === "DeletePortMapping") return this.remove(call, address);
    else if (action === "GetSpecificPortMappingEntry") return this.specific(call);
    else if (action === "GetGenericPortMappingEntry") return this.generic(call);
    else if (action === "RequestConnection") return this.outer === 0 ? NOT_AUTHORIZED : DONE;
    else if (action === "SetConnectionType" || action === "ForceTermination") return NOT_AUTHORIZED;
    else return INVALID_ACTION;
    return DONE;
  }

  private add(call: SoapCall, address: number): number {
    const remote = call.find("NewRemoteHost");
    const protocol = protocolOf(call);
    const outerPort = number(call, "NewExternalPort", 65535);
    const port = number(call, "NewInternalPort", 65535);
    const client = call.find("NewInternalClient");
    const enabled = call.find("NewEnabled");
    const description = call.find("NewPortMappingDescription");
    const asked = number(call, "NewLeaseDuration", 4294967295);
    if (remote === null || protocol === null || client === null || enabled === null || description === null)
      return INVALID_ARGS;
    if (outerPort === ABSENT || port === ABSENT || asked === ABSENT) return INVALID_ARGS;
    if (protocol === 0 || outerPort < 0 || port <= 0 || asked < 0 || !isTrue(enabled)) return ARGUMENT_VALUE;
    if (remote !== "" && remote !== "0.0.0.0") return ONLY_ANY_REMOTE;
    if (outerPort === 0) return NO_WILDCARD_PORT;
    // Each for itself.
    if (client !== format4(address)) return NOT_AUTHORIZED;
    const lease = asked === 0 || asked > this.lease ? this.lease : asked;
    const expires = (this.now + lease * 1000) | 0;
    return this.mappings.add(protocol, outerPort, address, port, printable(description), expires);
  }

  private remove(call: SoapCall, address: number): number {
    const protocol = protocolOf(call);
    const outerPort = number(call, "NewExternalPort", 65535);
    if (protocol === null || outerPort === ABSENT) return INVALID_ARGS;
    if (protocol === 0 || outerPort < 0) return ARGUMENT_VALUE;
    return this.mappings.end(protocol, outerPort, address);
  }

  private specific(call: SoapCall): number {
    const protocol = protocolOf(call);
    const outerPort = number(call, "NewExternalPort", 65535);
    if (protocol === null || outerPort === ABSENT) return INVALID_ARGS;
    const mapping = protocol === 0 || outerPort < 0 ? null : this.mappings.find(protocol, outerPort);
    if (!mapping) return NO_SUCH_ENTRY;
    this.tell(mapping);
    return DONE;
  }

  private generic(call: SoapCall): number {
    const index = number(call, "NewPortMappingIndex", 65535);
    if (index === ABSENT) return INVALID_ARGS;
    if (index < 0 || index >= this.mappings.list.length) return INVALID_INDEX;
    const mapping = this.mappings.list[index];
    this.put("RemoteHost", "");
    this.put("ExternalPort", mapping.outerPort);
    this.put("Protocol", mapping.protocol === PROTOCOL_TCP ? "TCP" : "UDP");
    this.tell(mapping);
    return DONE;
  }

  private tell(mapping: UpnpMapping): void {
    this.put("InternalPort", mapping.port);
    this.put("InternalClient", format4(mapping.address));
    this.put("Enabled", 1);
    this.put("PortMappingDescription", mapping.description);
    this.put("LeaseDuration", (((mapping.expires - this.now) | 0) / 1000) | 0);
  }
}

/** What `number` returns where there is none, or no number. */
const ABSENT = -2;
const NO_NUMBER = -1;

/** A number of decimal digits up to `most`. */
function number(call: SoapCall, name: string, most: number): number {
  const text = call.find(name);
  if (text === null) return ABSENT;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9 || i > 9) return NO_NUMBER;
    value = value * 10 + digit;
  }
  return text === "" || value > most ? NO_NUMBER : value;
}

/** 0: none that can be mapped; null: there is none. */
function protocolOf(call: SoapCall): number | null {
  const text = call.find("NewProtocol");
  return text === null ? null : text === "TCP" ? PROTOCOL_TCP : text === "UDP" ? PROTOCOL_UDP : 0;
}

function isTrue(text: string): boolean {
  return text === "1" || text === "true" || text === "yes";
}

/** The first characters of a text, those that XML has none of left out. */
function printable(text: string): string {
  let out = "";
  for (let i = 0; i < text.length && out.length < DESCRIPTION; i++)
    if (text.charCodeAt(i) >= 32) out += text.charAt(i);
  return out;
}

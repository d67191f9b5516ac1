/**
 * What an Internet gateway says of itself (UPnP IGD:1): the tree of its devices, and each service's actions. Nothing is evented, so
 * there is no address that anybody could subscribe to (CallStranger, CVE-2020-12695).
 */
import { escapeXml } from "./upnp-soap.js";

const SCHEMA = "urn:schemas-upnp-org:";
const HEAD = '<?xml version="1.0"?>\r\n';
const VERSION = "<specVersion><major>1</major><minor>0</minor></specVersion>";

export const DEVICES = ["InternetGatewayDevice", "WANDevice", "WANConnectionDevice"];

/** A service of the device of the same number. */
export interface Service {
  readonly type: string;
  readonly name: string;
  readonly id: string;
  /** `"Action"`, then `"<In"` and `">Out"`: the argument is `New` and that, the variable that, or what follows `=`. */
  readonly actions: readonly string[];
  /** `"Variable type allowed ..."` */
  readonly variables: readonly string[];
}

const MAPPING_KEY = " <RemoteHost <ExternalPort <Protocol=PortMappingProtocol";
const MAPPING_REST =
  " >InternalPort >InternalClient >Enabled=PortMappingEnabled >PortMappingDescription >LeaseDuration=PortMappingLeaseDuration";
/** The same, as what is given: a call at module level would be a side effect. */
const MAPPING_GIVEN =
  " <InternalPort <InternalClient <Enabled=PortMappingEnabled <PortMappingDescription <LeaseDuration=PortMappingLeaseDuration";

export const SERVICES: readonly Service[] = [
  {
    type: SCHEMA + "service:Layer3Forwarding:1",
    name: "Layer3Forwarding",
    id: "L3Forwarding1",
    actions: [
      "SetDefaultConnectionService <DefaultConnectionService",
      "GetDefaultConnectionService >DefaultConnectionService",
    ],
    variables: ["DefaultConnectionService string"],
  },
  {
    type: SCHEMA + "service:WANCommonInterfaceConfig:1",
    name: "WANCommonInterfaceConfig",
    id: "WANCommonIFC1",
    actions: [
      "GetCommonLinkProperties >WANAccessType >Layer1UpstreamMaxBitRate >Layer1DownstreamMaxBitRate >PhysicalLinkStatus",
      "GetTotalBytesSent >TotalBytesSent",
      "GetTotalBytesReceived >TotalBytesReceived",
      "GetTotalPacketsSent >TotalPacketsSent",
      "GetTotalPacketsReceived >TotalPacketsReceived",
    ],
    variables: [
      "WANAccessType string DSL POTS Cable Ethernet",
      "Layer1UpstreamMaxBitRate ui4",
      "Layer1DownstreamMaxBitRate ui4",
      "PhysicalLinkStatus string Up Down",
      "TotalBytesSent ui4",
      "TotalBytesReceived ui4",
      "TotalPacketsSent ui4",
      "TotalPacketsReceived ui4",
    ],
  },
  {
    type: SCHEMA + "service:WANIPConnection:1",
    name: "WANIPConnection",
    id: "WANIPConn1",
    actions: [
      "SetConnectionType <ConnectionType",
      "GetConnectionTypeInfo >ConnectionType >PossibleConnectionTypes",
      "RequestConnection",
      "ForceTermination",
      "GetStatusInfo >ConnectionStatus >LastConnectionError >Uptime",
      "GetNATRSIPStatus >RSIPAvailable >NATEnabled",
      "GetGenericPortMappingEntry <PortMappingIndex=PortMappingNumberOfEntries >RemoteHost >ExternalPort >Protocol=PortMappingProtocol" +
        MAPPING_REST,
      "GetSpecificPortMappingEntry" + MAPPING_KEY + MAPPING_REST,
      "AddPortMapping" + MAPPING_KEY + MAPPING_GIVEN,
      "DeletePortMapping" + MAPPING_KEY,
      "GetExternalIPAddress >ExternalIPAddress",
    ],
    variables: [
      "ConnectionType string",
      "PossibleConnectionTypes string Unconfigured IP_Routed IP_Bridged",
      "ConnectionStatus string Unconfigured Connecting Connected Disconnecting Disconnected",
      "LastConnectionError string ERROR_NONE",
      "Uptime ui4",
      "RSIPAvailable boolean",
      "NATEnabled boolean",
      "PortMappingNumberOfEntries ui2",
      "PortMappingEnabled boolean",
      "PortMappingLeaseDuration ui4",
      "RemoteHost string",
      "ExternalPort ui2",
      "InternalPort ui2",
      "PortMappingProtocol string TCP UDP",
      "InternalClient string",
      "PortMappingDescription string",
      "ExternalIPAddress string",
    ],
  },
];

export function deviceType(index: number): string {
  return SCHEMA + "device:" + DEVICES[index] + ":1";
}

/** What can be looked for (section 1.1): the root device, each device by name and type, each service. `udns` are the devices' names. */
export function target(index: number, udns: string[]): string {
  if (index === 0) return "upnp:rootdevice";
  if (index < 4) return udns[index - 1];
  return index < 7 ? deviceType(index - 4) : SERVICES[index - 7].type;
}
export const TARGETS = 10;

/** The unique name of a target: its device's, and what it is of that. */
export function uniqueName(index: number, udns: string[]): string {
  const udn = udns[index === 0 ? 0 : (index - 1) % 3];
  return index > 0 && index < 4 ? udn : udn + "::" + target(index, udns);
}

function element(name: string, value: string): string {
  return "<" + name + ">" + value + "</" + name + ">";
}

export interface Description {
  name: string;
  udns: string[];
  /** URL of a page for people, or `""`. */
  page: string;
}

export function rootDescription(about: Description): string {
  let inner = "";
  for (let i = DEVICES.length - 1; i >= 0; i--) {
    const service = SERVICES[i];
    const device =
      element("deviceType", deviceType(i)) +
      element("friendlyName", escapeXml(about.name)) +
      element("manufacturer", "anystack") +
      element("modelName", "anystack") +
      element("UDN", about.udns[i]) +
      element(
        "serviceList",
        element(
          "service",
          element("serviceType", service.type) +
            element("serviceId", "urn:upnp-org:serviceId:" + service.id) +
            element("SCPDURL", "/" + service.name + ".xml") +
            element("controlURL", "/" + service.name) +
            element("eventSubURL", ""),
        ),
      ) +
      (inner === "" ? "" : element("deviceList", inner)) +
      (i === 0 && about.page !== "" ? element("presentationURL", escapeXml(about.page)) : "");
    inner = element("device", device);
  }
  return HEAD + '<root xmlns="' + SCHEMA + 'device-1-0">' + VERSION + inner + "</root>";
}

export function serviceDescription(service: Service): string {
  let actions = "";
  for (let i = 0; i < service.actions.length; i++) {
    const words = service.actions[i].split(" ");
    let list = "";
    for (let j = 1; j < words.length; j++) {
      const parts = words[j].substring(1).split("=");
      list += element(
        "argument",
        element("name", "New" + parts[0]) +
          element("direction", words[j].charAt(0) === "<" ? "in" : "out") +
          element("relatedStateVariable", parts[parts.length - 1]),
      );
    }
    actions += element(
      "action",
      element("name", words[0]) + (list === "" ? "" : element("argumentList", list)),
    );
  }
  let variables = "";
  for (let i = 0; i < service.variables.length; i++) {
    const words = service.variables[i].split(" ");
    let allowed = "";
    for (let j = 2; j < words.length; j++) allowed += element("allowedValue", words[j]);
    variables +=
      '<stateVariable sendEvents="no">' +
      element("name", words[0]) +
      element("dataType", words[1]) +
      (allowed === "" ? "" : element("allowedValueList", allowed)) +
      "</stateVariable>";
  }
  return (
    HEAD +
    '<scpd xmlns="' +
    SCHEMA +
    'service-1-0">' +
    VERSION +
    element("actionList", actions) +
    element("serviceStateTable", variables) +
    "</scpd>"
  );
}

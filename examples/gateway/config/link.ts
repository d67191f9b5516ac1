/** `"link"`: what carries an interface's frames. */
import { Reader, address, list, name, port, text, whole, wrong, flag } from "./read.js";
import type { Node } from "../json.js";

/** Of a bridge, in the spanning tree. */
const PRIORITIES = Array.from({ length: 16 }, (_, i) => i * 4096);

/** A port of a bridge. */
export interface BridgePortConfig {
  link: LinkConfig;
  /** The VLAN of frames without a tag, or 0. */
  untagged: number;
  tagged: number[];
  /** Isolated ports do not reach each other. */
  isolated: boolean;
  /** Only hosts are behind it: it is open at once, and no bridge there becomes the root. */
  edge: boolean;
  /** Cost of the way, for the spanning tree. */
  cost: number;
}

export interface BridgeConfig {
  bridge: BridgePortConfig[];
  /** The rapid spanning tree (802.1D-2004). */
  rstp: boolean;
  /** Frames to groups go where somebody listens, by what IGMP and MLD say (RFC 4541). */
  snooping: boolean;
  /** The smallest in the network becomes the root, in steps of 4096. */
  priority: number;
}

export type LinkConfig =
  | BridgeConfig
  | { tap: string; netns?: string; offloads?: boolean }
  | {
      udp: {
        localPort: number;
        remotePort: number;
        address?: string;
        l2tpv3?: [receive: number, transmit: number];
      };
    }
  | { vlan: number; on: string }
  | { uplink: { loopback: boolean } };

export function link(node: Node, what: string): LinkConfig {
  const reader = new Reader(node, what);
  const result = carrier(reader, ["tap", "udp", "vlan", "uplink", "bridge"]);
  reader.done();
  return result;
}

function bridgePort(node: Node, what: string): BridgePortConfig {
  const reader = new Reader(node, what);
  const result = {
    link: carrier(reader, ["tap", "udp"]),
    untagged: reader.get("untagged", whole(0, 4094), 1),
    tagged: reader.get("tagged", list(whole(1, 4094)), []),
    isolated: reader.get("isolated", flag, false),
    edge: reader.get("edge", flag, false),
    cost: reader.get("cost", whole(1, 200_000_000), 20_000),
  };
  reader.done();
  return result;
}

const priority = (node: Node, what: string): number =>
  PRIORITIES.includes(node.value as number)
    ? (node.value as number)
    : wrong(node, what, "a multiple of 4096 from 0 to 61440");

/** One of `allowed`, whatever else the object has. */
function carrier(reader: Reader, allowed: string[]): LinkConfig {
  const { node, what } = reader;
  const kinds = allowed.filter((kind) => reader.members.has(kind));
  if (kinds.length !== 1)
    wrong(node, what, `one of ${allowed.map((kind) => `{ "${kind}": ... }`).join(", ")}`);
  let result: LinkConfig;
  if (kinds[0] === "tap") {
    const netns = reader.get("netns", text(/^[^\0]+$/, "a network namespace"), "");
    result = {
      tap: reader.get("tap", text(/^[^/\s]{1,15}$/, "an interface's name")),
      ...(netns && { netns }),
      // A bridge's ports have frames to pass on as they are.
      ...(allowed.includes("bridge") && reader.get("offloads", flag, false) && { offloads: true }),
    };
  } else if (kinds[0] === "vlan") {
    result = { vlan: reader.get("vlan", whole(1, 4094)), on: reader.get("on", name) };
  } else if (kinds[0] === "bridge") {
    result = {
      bridge: reader.get("bridge", list(bridgePort)),
      rstp: reader.get("rstp", flag, true),
      snooping: reader.get("snooping", flag, false),
      priority: reader.get("priority", priority, 32768),
    };
    if (result.bridge.length === 0 || result.bridge.length > 64)
      wrong(reader.members.get("bridge")!, `${what}.bridge`, "1 to 64 ports");
  } else if (kinds[0] === "uplink") {
    const uplink = reader.get("uplink", (inner, where) => new Reader(inner, where));
    result = { uplink: { loopback: uplink.get("loopback", flag, false) } };
    uplink.done();
  } else {
    const udp = reader.get("udp", (inner, where) => new Reader(inner, where));
    const sessions = udp.get("l2tpv3", list(whole(1, 0xffffffff)), []);
    if (sessions.length !== 0 && sessions.length !== 2)
      wrong(udp.members.get("l2tpv3")!, "l2tpv3", "two session numbers");
    const far = udp.get("address", address, "");
    result = {
      udp: {
        localPort: udp.get("localPort", port),
        remotePort: udp.get("remotePort", port),
        ...(far && { address: far }),
        ...(sessions.length === 2 && { l2tpv3: [sessions[0], sessions[1]] as [number, number] }),
      },
    };
    udp.done();
  }
  return result;
}

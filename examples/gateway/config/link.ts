/** `"link"`: what carries an interface's frames. */
import { Reader, address, list, name, port, text, whole, wrong, flag } from "./read.js";
import type { Node } from "../json.js";

export type LinkConfig =
  | { tap: string; netns?: string }
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
  const kinds = ["tap", "udp", "vlan", "uplink"].filter((kind) => reader.members.has(kind));
  if (kinds.length !== 1)
    wrong(node, what, 'one of { "tap": ... }, { "udp": ... }, { "vlan": ... }, { "uplink": ... }');
  let result: LinkConfig;
  if (kinds[0] === "tap") {
    const netns = reader.get("netns", text(/^[^\0]+$/, "a network namespace"), "");
    result = {
      tap: reader.get("tap", text(/^[^/\s]{1,15}$/, "an interface's name")),
      ...(netns && { netns }),
    };
  } else if (kinds[0] === "vlan") {
    result = { vlan: reader.get("vlan", whole(1, 4094)), on: reader.get("on", name) };
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
  reader.done();
  return result;
}

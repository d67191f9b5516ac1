/** `"tunnels"`: networks that lie behind another router, reached through packets of packets, or by a serial line. */
import { isIPv4, isIPv6 } from "node:net";
import type { Node } from "../json.js";
import {
  Reader,
  address,
  flag,
  list,
  name,
  anyPrefix,
  oneOf,
  orNone,
  own4,
  own6,
  text,
  whole,
  wrong,
} from "./read.js";

export interface TunnelConfig {
  name: string;
  /** IP in IP (6in4 and 4in6 too), GRE, or VXLAN; or a serial line. */
  kind: "ip" | "gre" | "vxlan" | "slip";
  /** The other end; of a serial line where it is to be had, a path or a port. */
  remote: string;
  /** Or `""`: what the route has. */
  local: string;
  /** Of GRE, or -1; of VXLAN its network identifier. */
  key: number;
  address: string;
  address6: string;
  mtu: number;
  /** What lies behind it, IPv4 and IPv6; `"::/0"` makes it the way out. */
  routes: string[];
  /** What comes out of it may reach our networks and this gateway. */
  trusted: boolean;
}

const line = text((value) => {
  const [, six, four, number] = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(value) ?? [];
  const far = Number(number);
  return number
    ? (six ? isIPv6(six) : isIPv4(four)) && far > 0 && far < 65536
    : /^\/[^\0]{1,100}$/.test(value);
}, 'a UNIX socket, "/run/line", or a port, "127.0.0.1:4001"');

export function tunnel(node: Node, what: string): TunnelConfig {
  const reader = new Reader(node, what);
  const kind = reader.get("kind", oneOf(["ip", "gre", "vxlan", "slip"] as const));
  const result: TunnelConfig = {
    name: reader.get("name", name),
    kind,
    remote: reader.get("remote", kind === "slip" ? line : address),
    local: reader.get("local", orNone(address), ""),
    key: reader.get("key", whole(0, kind === "vxlan" ? 0xffffff : 0xffffffff), -1),
    address: reader.get("address", orNone(own4), ""),
    address6: reader.get("address6", orNone(own6), ""),
    mtu: reader.get("mtu", whole(576, 65535), 0),
    routes: reader.get("routes", list(anyPrefix), []),
    trusted: reader.get("trusted", flag, false),
  };
  reader.done();
  if (kind === "vxlan" && result.key < 0) wrong(node, what, 'with its network identifier, "key"');
  if (kind === "vxlan" && result.routes.length > 0)
    wrong(
      reader.members.get("routes")!,
      `${what}.routes`,
      'left out: it is a link, "routes" of the file have a gateway on it',
    );
  if (kind === "slip" && (result.key >= 0 || result.local))
    wrong(node, what, 'without "key" and "local": it is a serial line');
  if (kind === "slip" && result.address6 && result.mtu < 1280)
    wrong(node, what, 'with an "mtu" of 1280 at least: IPv6 wants it');
  if (kind === "ip" && result.key >= 0)
    wrong(reader.members.get("key")!, `${what}.key`, "left out: IP in IP has none");
  return result;
}

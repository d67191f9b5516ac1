/** `"nptv6"`, `"clat"`: addresses of ours that are others outside. */
import { isIPv6 } from "node:net";
import { parsePrefix64 } from "../../../stack/core/prefix64.js";
import { networkOf6 } from "../parts/text.js";
import type { Node } from "../json.js";
import { Reader, oneOf, prefix6, text, whole, wrong } from "./read.js";

/** A prefix inside that is another outside (RFC 6296). */
export interface NptConfig {
  inside: string;
  /** Or `""`: the `subnet`th of its length in what is delegated. */
  outside: string;
  subnet: number;
  on: string;
}

/** IPv4 over an uplink of IPv6 alone, by the provider's NAT64 (RFC 6877). */
export interface ClatConfig {
  /** Or `"auto"`: what the provider's routers tell (PREF64, RFC 8781). */
  prefix: string;
  /** What stands for our IPv4; or `""`: one of the `subnet`th /64 of what is delegated. */
  address: string;
  /** Or -1: the last of the lower half. */
  subnet: number;
}

/** The well-known prefix stands for no private addresses: `"64:ff9b::/96"`, or one of the network's own. */
export const isPrefix64 = (value: string): boolean => {
  try {
    return parsePrefix64(value).length > 0;
  } catch {
    return false;
  }
};

export const npt =
  (interfaces: string[]) =>
  (node: Node, what: string): NptConfig => {
    const reader = new Reader(node, what);
    const result = {
      inside: networkOf6(reader.get("inside", prefix6)),
      outside: reader.get("outside", (one, where) => networkOf6(prefix6(one, where)), ""),
      subnet: reader.get("subnet", whole(0, 0xffff), -1),
      on: reader.get("on", oneOf(interfaces, "a WAN or a tunnel"), interfaces[0]),
    };
    reader.done();
    const [inner, outer] = [result.inside, result.outside].map((prefix) => Number(prefix.split("/")[1]));
    if ((result.outside !== "") === result.subnet >= 0)
      wrong(node, what, 'with "outside", or with "subnet" of what is delegated');
    if (result.outside && inner !== outer) wrong(node, what, "of two prefixes of one length");
    if (inner < 1 || inner > 64) wrong(reader.members.get("inside")!, `${what}.inside`, "1 to 64 bits long");
    return result;
  };

export function clat(node: Node, what: string): ClatConfig {
  const reader = new Reader(node, what);
  const prefix = text((value) => value === "auto" || isPrefix64(value), '"auto" or a prefix, "64:ff9b::/96"');
  const result = {
    prefix: reader.get("prefix", prefix, "auto"),
    address: reader.get("address", text(isIPv6, "an IPv6 address that is routed here"), ""),
    subnet: reader.get("subnet", whole(0, 0xffff), -1),
  };
  reader.done();
  if (result.address && result.subnet >= 0) wrong(node, what, 'with "address" or "subnet"');
  return result;
}

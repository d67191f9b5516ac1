/** Addresses and networks as texts. */
import { format4, parse4 } from "../../../stack/core/text4.js";
import { format6, parse6 } from "../../../stack/core/text6.js";

/** `"10.1.2.1/24"`: `"10.1.2.1"`. */
export const bare = (prefixed: string): string => prefixed.split("/")[0];

/** `"10.1.2.1/24"`: `"10.1.2.0/24"`. */
export function networkOf(prefixed: string): string {
  const length = Number(prefixed.split("/")[1]);
  const mask = length === 0 ? 0 : -1 << (32 - length);
  return `${format4(parse4(bare(prefixed))! & mask)}/${length}`;
}

/** `"fd00:7::1/64"`: `"fd00:7::/64"`. */
export function networkOf6(prefixed: string): string {
  const length = Number(prefixed.split("/")[1]);
  const bytes = parse6(bare(prefixed))!;
  for (let bit = length; bit < 128; bit++) bytes[bit >> 3] &= ~(0x80 >> (bit & 7));
  return `${format6(bytes, 0)}/${length}`;
}

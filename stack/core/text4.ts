/** IPv4 addresses as text: four decimal numbers with dots, no other form (RFC 6943 section 3.1.1). */

/** The address as an int32, or null when `text` is none. */
export function parse4(text: string): number | null {
  if (typeof text !== "string" || text.length > 15) return null;
  const parts = text.split(".");
  let value = 0;
  for (let i = 0; i < parts.length; i++) {
    const part = integer(parts[i]);
    if (part < 0 || part > 255) return null;
    value = (value << 8) | part;
  }
  return parts.length === 4 ? value : null;
}

/** The integer of which `text` is the one decimal form, or -1. Leading zeros are none: some read them as octal. */
function integer(text: string): number {
  const value = +text;
  return value >= 0 && value % 1 === 0 && "" + value === text ? value : -1;
}

export function format4(address: number): string {
  return (
    (address >>> 24) + "." + ((address >> 16) & 255) + "." + ((address >> 8) & 255) + "." + (address & 255)
  );
}

/** What stands before the slash of a prefix, and the number behind it. */
export interface PrefixText {
  address: string;
  length: number;
}

/** Splits `"10.0.0.0/8"` into text before the slash and the length behind it (`none` without one); null: no number. */
export function splitPrefix(text: string, none: number): PrefixText | null {
  const slash = typeof text === "string" ? text.indexOf("/") : -1;
  if (slash < 0) return { address: text, length: none };
  const length = integer(text.substring(slash + 1));
  return length < 0 ? null : { address: text.substring(0, slash), length };
}

/** IPv4 addresses as text: four decimal numbers with dots, no other form (RFC 6943 section 3.1.1). */

/** The address as an int32, or null when `text` is none. */
export function parse4(text: string): number | null {
  let value = 0;
  let part = -1;
  let parts = 0;
  if (typeof text !== "string" || text.length > 15) return null;
  for (let i = 0; i <= text.length; i++) {
    const digit = i < text.length ? text.charCodeAt(i) - 48 : -2;
    if (digit >= 0 && digit <= 9) {
      // No leading zeros: some read them as octal.
      if (part === 0) return null;
      part = part < 0 ? digit : part * 10 + digit;
      if (part > 255) return null;
    } else if (part >= 0 && digit === -2) {
      value = (value << 8) | part;
      part = -1;
      parts++;
    } else return null;
  }
  return parts === 4 ? value : null;
}

export function format4(address: number): string {
  return (
    (address >>> 24) + "." + ((address >> 16) & 255) + "." + ((address >> 8) & 255) + "." + (address & 255)
  );
}

/** Splits `"10.0.0.0/8"` into text before the slash and the length behind it (`none` without one); null: no number. */
export function splitPrefix(text: string, none: number): { address: string; length: number } | null {
  const slash = typeof text === "string" ? text.indexOf("/") : -1;
  if (slash < 0) return { address: text, length: none };
  let length = 0;
  if (slash + 1 >= text.length || text.length > slash + 4) return null;
  for (let i = slash + 1; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return null;
    length = length * 10 + digit;
  }
  return { address: text.substring(0, slash), length };
}

/** Text and bytes. Characters are bytes here (Latin-1): that is all that HTTP's headers need. */

export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export function textOf(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

/** Where in `bytes[0..end)` the empty line behind HTTP's headers ends; -1: it has not come yet. */
export function headersEnd(bytes: Uint8Array, end: number): number {
  for (let i = 3; i < end; i++) {
    if (bytes[i] === 10 && bytes[i - 1] === 13 && bytes[i - 2] === 10 && bytes[i - 3] === 13) return i + 1;
  }
  return -1;
}

/** `value` as JSON: plain objects, arrays, numbers, and strings that need no escape. */
export function json(value: unknown): string {
  if (value === null || typeof value === "number" || typeof value === "boolean") return "" + value;
  if (typeof value === "string") return '"' + value + '"';
  if (Array.isArray(value)) return "[" + value.map(json).join(",") + "]";
  const object = value as { [name: string]: unknown };
  return (
    "{" +
    Object.keys(object)
      .map((name) => '"' + name + '":' + json(object[name]))
      .join(",") +
    "}"
  );
}

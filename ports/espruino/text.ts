/** Bytes as Espruino has them: strings of characters 0 to 255. */

/** The bytes `data[start..end)` as a string. */
export type ToText = (data: Uint8Array, start: number, end: number) => string;

/** `ToText` for any engine. Espruino itself has a faster one: see `espruinoText` in host.ts. */
export function toText(data: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(data[i]);
  return text;
}

/** Writes `count` characters of `text`, from `from` on, at `target[at..]`; what is above 255 loses its upper bits. */
export function putText(text: string, from: number, count: number, target: Uint8Array, at: number): void {
  for (let i = 0; i < count; i++) target[at + i] = text.charCodeAt(from + i);
}

/** What a script may give to `write` as a string: strings stay, byte arrays and arrays of numbers are taken by their bytes. */
export function textOf(data: unknown): string {
  if (typeof data === "string") return data;
  if (data === undefined || data === null) return "";
  if (data instanceof ArrayBuffer) data = new Uint8Array(data, 0, data.byteLength);
  const list = data as number[];
  if (typeof data !== "object" || typeof list.length !== "number") return "" + data;
  let text = "";
  for (let i = 0; i < list.length; i++) text += String.fromCharCode(list[i] & 255);
  return text;
}

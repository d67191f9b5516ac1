/** Options of the headers of IPv4 and TCP (RFC 791 section 3.1, RFC 9293 section 3.1): one byte, or kind, length and data. */

export const OPTION_END = 0;
export const OPTION_NOP = 1;

/** Bytes of the option at `data[at]`, where `at` is below `end`; 0: the list ends here, -1: it is malformed. */
export function optionSize(data: Uint8Array, at: number, end: number): number {
  if (data[at] <= OPTION_NOP) return data[at];
  const size = at + 1 < end ? data[at + 1] : 0;
  return size < 2 || at + size > end ? -1 : size;
}

/** Offset of the first option in `data[at..end)` of a `kind` and `size` (0: any), or -1: what is malformed ends the walk. */
export function findOption(data: Uint8Array, at: number, end: number, kind: number, size: number): number {
  while (at < end) {
    const have = optionSize(data, at, end);
    if (have <= 0) return -1;
    if (data[at] === kind && (!size || have === size)) return at;
    at += have;
  }
  return -1;
}

/** The part of the conformance checks that needs no time: randomness and the accelerators. See conformance.ts. */
import type { Report } from "./conformance.js";
import { referenceSum } from "./conformance-frame.js";
import type { Hypercalls } from "./index.js";

/** Random bytes that are judged together, and the size of one call. */
const SAMPLE = 512;
const ROUND = 64;

export function checkRandom(host: Hypercalls, report: Report): void {
  const sample = new Uint8Array(SAMPLE);
  const touched = new Uint8Array(ROUND);
  let outside = false;
  for (let at = 0; at < SAMPLE; at += ROUND) {
    // A view in the middle, preset to zeros and ones by turns: a byte that never changes was not filled.
    const preset = (at / ROUND) & 1 ? 255 : 0;
    const around = new Uint8Array(ROUND + 16);
    for (let i = 0; i < around.length; i++) around[i] = preset;
    const target = around.subarray(8, 8 + ROUND);
    if (!fill(host, target, report)) return;
    for (let i = 0; i < ROUND; i++) {
      sample[at + i] = target[i];
      if (target[i] !== preset) touched[i] = 1;
    }
    for (let i = 0; i < 8; i++) {
      if (around[i] !== preset || around[8 + ROUND + i] !== preset) outside = true;
    }
  }
  if (outside)
    report("random-outside", "random wrote outside of the view that it was given: mind byteOffset");
  for (let i = 0; i < ROUND; i++) {
    if (!touched[i]) {
      report("random-short", "random left byte " + i + " of " + ROUND + " as it was: fill all of target");
      return;
    }
  }
  // Sizes that are no multiple of a word.
  for (let size = 1; size < 8; size++) {
    let last = 0;
    for (let round = 0; round < 64 && last === 0; round++) {
      const target = new Uint8Array(size);
      if (!fill(host, target, report)) return;
      last = target[size - 1];
    }
    if (last === 0) {
      report("random-short", "random leaves the last of " + size + " bytes as it was: fill all of target");
      return;
    }
  }
  judge(sample, report);
}

/** One call; false when it gave nothing to go on with. */
function fill(host: Hypercalls, target: Uint8Array, report: Report): boolean {
  let result: unknown;
  try {
    result = host.random(target);
  } catch (error) {
    report("random-throws", "random threw " + error + ": return false where there is no entropy yet");
    return false;
  }
  if (result === true) return true;
  if (result === false)
    report("random-none", "random has no entropy: TCP, DNS and others will refuse to start");
  else report("random-result", "random returned " + result + ": it must be true, or false for no entropy");
  return false;
}

function judge(sample: Uint8Array, report: Report): void {
  let ones = 0;
  let constant = true;
  for (let i = 0; i < sample.length; i++) {
    if (sample[i] !== sample[0]) constant = false;
    for (let bits = sample[i]; bits; bits >>= 1) ones += bits & 1;
  }
  if (constant) {
    report("random-constant", "all random bytes are " + sample[0]);
    return;
  }
  for (let i = 0; i < sample.length; i += 8) {
    for (let k = i + 8; k < sample.length; k += 8) {
      let same = 0;
      while (same < 8 && sample[i + same] === sample[k + same]) same++;
      if (same === 8) {
        report("random-repeats", "random bytes repeat after " + (k - i) + ": every call must bring new ones");
        return;
      }
    }
  }
  // 4096 bits: the standard deviation of the ones is 32.
  if (ones < 1792 || ones > 2304)
    report("random-biased", ones + " of 4096 random bits are ones: not a good source");
}

export function checkAccelerators(host: Hypercalls, report: Report): void {
  try {
    if (typeof host.allocate === "function") checkAllocate(host, report);
  } catch (error) {
    report("allocate-throws", "allocate threw " + error + ": small sizes must be had");
  }
  try {
    if (typeof host.checksum === "function") checkChecksum(host, report);
  } catch (error) {
    report("checksum-throws", "checksum threw " + error);
  }
  try {
    if (typeof host.copy === "function") checkCopy(host, report);
  } catch (error) {
    report("copy-throws", "copy threw " + error);
  }
  const crypto = host.crypto;
  if (crypto) {
    const names = crypto.algorithms;
    let good = names && names.length >= 0;
    for (let i = 0; good && i < names.length; i++) good = typeof names[i] === "string";
    if (!good) report("crypto", "crypto.algorithms is no list of names");
  }
}

function checkAllocate(host: Hypercalls, report: Report): void {
  const sizes = [1, 100, 2048];
  const blocks: Uint8Array[] = [];
  for (let i = 0; i < sizes.length; i++) {
    const block = (host.allocate as (size: number) => Uint8Array)(sizes[i]);
    if (!(block instanceof Uint8Array) || block.length !== sizes[i]) {
      report("allocate-length", "allocate(" + sizes[i] + ") gave no Uint8Array of that length");
      return;
    }
    for (let k = 0; k < block.length; k++) {
      if (block[k] !== 0) {
        report(
          "allocate-dirty",
          "allocated memory is not zeroed: byte " + k + " of " + sizes[i] + " is " + block[k],
        );
        return;
      }
    }
    for (let k = 0; k < block.length; k++) block[k] = i + 1;
    blocks.push(block);
  }
  for (let i = 0; i < blocks.length; i++) {
    for (let k = 0; k < blocks[i].length; k++) {
      if (blocks[i][k] !== i + 1) {
        report("allocate-shared", "two allocations share memory");
        return;
      }
    }
  }
}

function checkChecksum(host: Hypercalls, report: Report): void {
  const data = pattern(1600);
  const ones = new Uint8Array(1600);
  for (let i = 0; i < ones.length; i++) ones[i] = 255;
  const initials = [0, 1, 0x1234, 0xfffe, 0xffff];
  const sources = [data, ones, new Uint8Array(1600)];
  for (let s = 0; s < sources.length; s++) {
    for (let length = 0; length <= 1520; length += length < 80 ? 1 : 131) {
      for (let start = 0; start < 5; start++) {
        // Once for all initials: on a small engine the kit is slow enough.
        const plain = referenceSum(sources[s], start, start + length, 0);
        for (let i = 0; i < initials.length; i++) {
          const right = plain + initials[i] > 0xffff ? plain + initials[i] - 0xffff : plain + initials[i];
          if (!checkSum(host, sources[s], start, start + length, initials[i], right, report)) return;
        }
      }
    }
  }
  const fresh = pattern(1600);
  for (let i = 0; i < data.length; i++) {
    if (data[i] !== fresh[i]) {
      report("checksum-writes", "checksum changed the data");
      return;
    }
  }
}

function checkSum(
  host: Hypercalls,
  data: Uint8Array,
  start: number,
  end: number,
  initial: number,
  right: number,
  report: Report,
): boolean {
  const sum = (host.checksum as Checksum)(data, start, end, initial);
  // Who writes to the data is right about what it has made of them: that is found at the end.
  if (sum === right || sum === referenceSum(data, start, end, initial)) return true;
  if (!diagnose(host.checksum as Checksum, report)) {
    const where = " for " + (end - start) + " bytes at " + start + " with initial " + initial;
    report("checksum-wrong", "checksum is " + sum + " instead of " + right + where);
  }
  return false;
}

type Checksum = NonNullable<Hypercalls["checksum"]>;

/** Names a common mistake by sums that tell them apart; false: it is none of these. */
function diagnose(checksum: Checksum, report: Report): boolean {
  const data = new Uint8Array(3);
  data[0] = 0x12;
  data[1] = 0x34;
  data[2] = 0x56;
  const even = checksum(data, 0, 2, 0);
  const odd = checksum(data, 0, 3, 0);
  if (even === 0xedcb) report("checksum-complement", "checksum is complemented: the plain sum is asked for");
  else if (even === 0x3412) report("checksum-swapped", "checksum reads little-endian words");
  else if (even === 0x1234 && (odd === 0x1234 || odd === 0x128a)) {
    report("checksum-odd", "checksum loses an odd last byte: it is the high byte of a word");
  } else return false;
  return true;
}

function checkCopy(host: Hypercalls, report: Report): void {
  const source = pattern(1600);
  for (let length = 0; length <= 1520; length += length < 80 ? 1 : 131) {
    for (let from = 0; from < 4; from++) {
      for (let to = 0; to < 4; to++) {
        const target = new Uint8Array(to + length + 16);
        (host.copy as NonNullable<Hypercalls["copy"]>)(target, to, source, from, length);
        for (let i = 0; i < target.length; i++) {
          const inside = i >= to && i < to + length;
          if (target[i] === (inside ? source[i - to + from] : 0)) continue;
          const where = " (" + length + " bytes from " + from + " to " + to + ")";
          if (inside) report("copy-wrong", "copy is wrong at byte " + (i - to) + where);
          else report("copy-outside", "copy wrote beyond its range" + where);
          return;
        }
      }
    }
  }
}

function pattern(length: number): Uint8Array {
  const data = new Uint8Array(length);
  for (let i = 0; i < length; i++) data[i] = i * 7 + (i >> 8) + 1;
  return data;
}

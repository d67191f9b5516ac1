/** How random numbers look: estimates that a counter, a weak generator or a fixed offset between flows fails. */
import { deflateRawSync } from "node:zlib";

/** 99.9 % of what `chiSquare` gives for random bytes lies below. */
export const CHI_SQUARE = 330.5;

/** Chi-square of bytes in 256 classes. */
export function chiSquare(values: readonly number[]): number {
  const counts = count(values);
  const expected = values.length / 256;
  return counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
}

/** Bits of min-entropy of 32-bit words: the most common value of each byte at its upper bound (NIST SP 800-90B section 6.3.1). */
export function minEntropy(words: Int32Array): number {
  let bits = 0;
  for (const shift of [24, 16, 8, 0]) {
    const share = Math.max(...count(Array.from(words, (word) => (word >>> shift) & 255))) / words.length;
    bits -= Math.log2(share + 2.576 * Math.sqrt((share * (1 - share)) / (words.length - 1)));
  }
  return bits;
}

/** What deflate leaves of the words: 1 of random ones. */
export function compressed(words: Int32Array): number {
  return deflateRawSync(new Uint8Array(words.buffer), { level: 9 }).length / words.byteLength;
}

/** The differences of successive words. */
export function steps(words: Int32Array): Int32Array {
  return words.slice(1).map((word, i) => word - words[i]);
}

/** The largest line in the spectrum of the first 2^k words over the mean: of noise, about the logarithm of their number. */
export function spectralPeak(words: Int32Array): number {
  const size = 1 << Math.floor(Math.log2(words.length));
  const re = Float64Array.from(words.subarray(0, size), (word) => word / 2 ** 31);
  const im = new Float64Array(size);
  transform(re, im);
  let sum = 0;
  let most = 0;
  for (let i = 1; i < size / 2; i++) {
    const power = re[i] * re[i] + im[i] * im[i];
    sum += power;
    if (power > most) most = power;
  }
  return most / (sum / (size / 2 - 1));
}

function count(bytes: readonly number[]): number[] {
  const counts = new Array<number>(256).fill(0);
  for (const byte of bytes) counts[byte]++;
  return counts;
}

/** The fast Fourier transform (Cooley, Tukey 1965), in place. */
function transform(re: Float64Array, im: Float64Array): void {
  const size = re.length;
  for (let i = 0, j = 0; i < size; i++) {
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j |= bit;
  }
  for (let half = 1; half < size; half *= 2) {
    for (let k = 0; k < half; k++) {
      const wr = Math.cos((Math.PI * k) / half);
      const wi = -Math.sin((Math.PI * k) / half);
      for (let i = k; i < size; i += 2 * half) {
        const j = i + half;
        const r = re[j] * wr - im[j] * wi;
        const m = re[j] * wi + im[j] * wr;
        re[j] = re[i] - r;
        im[j] = im[i] - m;
        re[i] += r;
        im[i] += m;
      }
    }
  }
}

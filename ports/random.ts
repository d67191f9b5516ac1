/** Random bytes for hosts whose source costs the same whatever its size: small requests share one call of it. */

/** Bytes that are taken at a time. */
const BATCH = 4096;
/** A request for more than this goes to the source directly. */
const SMALL = 256;

/** A `random` hypercall over `fill`, which fills all of an array of any size. */
export function batchedRandom(fill: (target: Uint8Array) => void): (target: Uint8Array) => boolean {
  const pool = new Uint8Array(BATCH);
  let left = 0;
  return (target) => {
    const length = target.length;
    if (length > SMALL) {
      fill(target);
      return true;
    }
    if (left < length) {
      fill(pool);
      left = BATCH;
    }
    left -= length;
    target.set(pool.subarray(left, left + length));
    // What was handed out is a secret now.
    pool.fill(0, left, left + length);
    return true;
  };
}

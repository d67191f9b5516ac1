/** A digest, or an HMAC, of a hash of @noble/hashes. */
import { hmac } from "@noble/hashes/hmac.js";
import type { CHash } from "@noble/hashes/utils.js";
import type { Digest } from "../../hypercall/crypto.js";

export class NobleDigest implements Digest {
  readonly size: number;
  private readonly key: Uint8Array | null;
  private state: { update(data: Uint8Array): unknown; digest(): Uint8Array; destroy(): void } | null = null;
  private closed = false;

  constructor(
    private readonly hash: CHash,
    key: Uint8Array | null,
  ) {
    this.size = hash.outputLen;
    this.key = key && Uint8Array.from(key);
  }

  update(data: Uint8Array, start: number, end: number): void {
    this.current().update(data.subarray(start, end));
  }

  finish(target: Uint8Array, at: number): void {
    const state = this.current();
    target.set(state.digest(), at);
    state.destroy();
    this.state = null;
  }

  close(): void {
    this.closed = true;
    this.key?.fill(0);
    this.state?.destroy();
    this.state = null;
  }

  private current() {
    if (this.closed) throw new Error("closed");
    return (this.state ??= this.key ? hmac.create(this.hash, this.key) : this.hash.create());
  }
}

/** A digest of everything that a world's channels carried: equal runs have equal digests, down to byte and microsecond. */

export class Trace {
  /** Frames that went into the digest. */
  frames = 0;
  private a = 0x811c9dc5 | 0;
  private b = 0x2f0b4c47;

  /** 16 hexadecimal digits for everything so far. */
  digest(): string {
    return hex(this.a) + hex(this.b);
  }

  /** Adds a frame that was sent into channel `id`. */
  add(id: number, time: number, frame: Uint8Array, start: number, end: number): void {
    this.frames++;
    this.mark(id, time, end - start);
    let a = this.a;
    for (let i = start; i < end; i++) a = Math.imul(a ^ frame[i], 0x01000193);
    this.a = a;
  }

  /** Adds an event without bytes: a frame that arrived, with its length. */
  mark(id: number, time: number, length: number): void {
    const micros = Math.floor(time * 1000);
    this.word(id);
    this.word(micros | 0);
    this.word(Math.floor(micros / 0x100000000));
    this.word(length);
    this.b = Math.imul(this.b ^ this.a ^ (this.a >>> 15), 0x2c1b3c6d) + 0x297a2d39;
  }

  private word(value: number): void {
    let word = Math.imul(this.a ^ value, 0x01000193);
    word ^= word >>> 13;
    this.a = Math.imul(word, 0x5bd1e995);
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}

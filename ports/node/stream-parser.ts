/** The framing of QEMU's stream sockets: each frame behind its length in 4 bytes, big-endian. */

/** Bytes of the length before each frame. */
export const STREAM_FRAME_HEADER = 4;
/** The longest frame that is taken from a stream; QEMU's buffers have this size. */
export const STREAM_FRAME_MAXIMUM = 65536 + 4096;

/** Finds the frames in a byte stream that comes in chunks of any size. */
export class StreamFrameParser {
  /** Frames without a byte, which carry nothing. */
  empty = 0;
  /** Set by a length beyond the limit: where the next frame would start is unknown for ever. */
  broken = false;

  private readonly header = new Uint8Array(STREAM_FRAME_HEADER);
  private headerFill = 0;
  /** The frame that began in an earlier chunk; the buffer is made on first use. */
  private partial: Uint8Array | null = null;
  private fill = 0;
  private length = 0;

  constructor(
    private readonly deliver: (data: Uint8Array, start: number, end: number) => void,
    private readonly maximum: number = STREAM_FRAME_MAXIMUM,
  ) {}

  /** Takes the next bytes. False: the stream is broken, and these and all further bytes are ignored. */
  input(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length && !this.broken) {
      if (this.headerFill < STREAM_FRAME_HEADER) {
        this.header[this.headerFill++] = chunk[at++];
        if (this.headerFill === STREAM_FRAME_HEADER) this.beginFrame();
        continue;
      }
      const take = Math.min(this.length - this.fill, chunk.length - at);
      if (take === this.length) {
        this.headerFill = 0;
        this.deliver(chunk, at, at + take);
      } else {
        const partial = (this.partial ??= new Uint8Array(this.maximum));
        partial.set(chunk.subarray(at, at + take), this.fill);
        this.fill += take;
        if (this.fill === this.length) {
          this.headerFill = 0;
          this.deliver(partial, 0, this.length);
        }
      }
      at += take;
    }
    return !this.broken;
  }

  private beginFrame(): void {
    const h = this.header;
    this.length = ((h[0] << 24) | (h[1] << 16) | (h[2] << 8) | h[3]) >>> 0;
    this.fill = 0;
    if (this.length === 0) {
      this.empty++;
      this.headerFill = 0;
    } else if (this.length > this.maximum) this.broken = true;
  }
}

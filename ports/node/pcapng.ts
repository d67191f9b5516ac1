/** Captures into files: a pcapng writer that several links may share, and the link middleware that feeds it. */
import { closeSync, openSync, writeSync } from "node:fs";
import { performance } from "node:perf_hooks";
import type { Link } from "../../hypercall/link.js";
import { captureLink, createPcapng } from "../../stack/link/pcapng.js";
import type { CaptureLink, Pcapng } from "../../stack/link/pcapng.js";

export type { CaptureLink } from "../../stack/link/pcapng.js";

/**
 * A capture file. Each packet is in the file when `transmit` or `receive` returns: `tshark -r` may read it while it grows, and
 * a crash loses nothing. Writing never disturbs the packets: a failure (`ENOSPC`, ...) ends the capture and is kept in `error`.
 */
export class PcapngWriter {
  /** What ended the capture early, or null. */
  error: Error | null = null;
  /** Bytes written so far. */
  bytes = 0;
  /** @internal */
  readonly pcapng: Pcapng;
  private fd = -1;
  private closed = false;
  private readonly ownsFd: boolean;
  private readonly sink: ((bytes: Uint8Array) => void) | null;

  /**
   * @param target a path (the file is replaced), a descriptor open for writing (it is not closed), or a function that takes
   *   each block and copies what it keeps
   * @param options `snaplen`: bytes kept of each packet (default: all)
   */
  constructor(target: string | number | ((bytes: Uint8Array) => void), options: { snaplen?: number } = {}) {
    this.ownsFd = typeof target === "string";
    this.sink = typeof target === "function" ? target : null;
    if (typeof target === "string") this.fd = openSync(target, "w");
    else if (typeof target === "number") this.fd = target;
    this.pcapng = createPcapng((block) => this.append(block), options.snaplen);
  }

  /** Ends the capture; links that pass through it keep working. Legal twice. */
  close(): void {
    const fd = this.fd;
    this.fd = -1;
    this.closed = true;
    if (this.ownsFd && fd >= 0) closeSync(fd);
  }

  private append(block: Uint8Array): void {
    if (this.closed) return;
    try {
      if (this.sink) this.sink(block);
      else for (let done = 0; done < block.length;) done += writeSync(this.fd, block, done);
      this.bytes += block.length;
    } catch (error) {
      this.error = error as Error;
      this.close();
    }
  }
}

export interface CaptureOptions {
  /** What the capture calls the interface. Default: the link's own `name` if it has one, or `"link"`. */
  interfaceName?: string;
  /** Bytes kept of each packet, for a writer that is made here. Default: all. */
  snaplen?: number;
  /** The time of a packet in milliseconds since 1970. Default: the wall clock as it was at the start, going on steadily. */
  now?: () => number;
}

function wallClock(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * Puts a capture between a stack and `link`: give the result to the stack in its place.
 *
 * @param sink a writer that several links share, or what `PcapngWriter` takes
 */
export function capture(
  link: Link,
  sink: PcapngWriter | string | number | ((bytes: Uint8Array) => void),
  options: CaptureOptions = {},
): CaptureLink {
  const writer = sink instanceof PcapngWriter ? sink : new PcapngWriter(sink, { snaplen: options.snaplen });
  const name = options.interfaceName ?? (link as { name?: string }).name ?? "link";
  return captureLink(link, writer.pcapng, name, options.now ?? wallClock);
}

/**
 * One network interface of the host: the contract a driver implements (the rump kernel's virtif).
 *
 * The driver knows frames only: no time, no address, no protocol. Buffers are borrowed in both directions: the one who gets
 * a frame may use it until the call returns, and copies what it keeps.
 */

/** Checksum state of a received frame. */
/** The stack has to verify the transport checksum itself. */
export const CHECKSUM_NONE = 0;
/** The link has verified the transport checksum. */
export const CHECKSUM_VERIFIED = 1;
/** The frame never left the memory of this machine; its transport checksum covers the pseudo-header alone. */
export const CHECKSUM_PARTIAL = 2;

/** What the link is to cut a large segment into. */
export const SEGMENT_NONE = 0;
export const SEGMENT_TCP4 = 1;
export const SEGMENT_TCP6 = 2;

/** What a link can do for the stack. All default to "nothing". */
export interface LinkOffloads {
  /** The link completes transport checksums of frames that it is given with a `TransmitOffload`. */
  readonly transmitChecksum?: boolean;
  /** Largest TCP segment with its headers (bytes, <= 65535) that the link cuts into frames itself; 0 or absent: none. */
  readonly segmentation?: number;
  /** The link may deliver TCP segments larger than its MTU, merged from several: a router wants to be told their `segmentSize`. */
  readonly receiveCoalescing?: boolean;
}

/** What the link must still do to a frame. One object is reused for all frames: read it before `transmit` returns. */
export interface TransmitOffload {
  /** Offset in the frame at which the sum starts, or -1: the checksum is complete. */
  checksumStart: number;
  /** Offset of the 16-bit checksum field, counted from `checksumStart`. It holds the pseudo-header's sum. */
  checksumOffset: number;
  /** `SEGMENT_NONE`, or what to cut. */
  segment: number;
  /** Bytes of payload in each frame that the link cuts. */
  segmentSize: number;
  /** Bytes of all headers, from the start of the frame to the payload. */
  headerLength: number;
}

export interface LinkReceiver {
  /**
   * A frame has arrived in `frame[start..end)`. The stack may change the bytes until it returns and keeps none of them.
   * Never to be called from inside `transmit`. It never throws.
   *
   * @param checksum `CHECKSUM_NONE` (default), `CHECKSUM_VERIFIED` or `CHECKSUM_PARTIAL`
   * @param segmentSize payload bytes of each of the TCP segments that were merged into this one (the last may have less); default 0: none were
   */
  receive(frame: Uint8Array, start: number, end: number, checksum?: number, segmentSize?: number): void;
  /** The carrier has come or gone. A link that never calls this is up from `open` to `close`. */
  carrier(up: boolean): void;
  /** Frames that `transmit` refused for want of room may be sent again now. */
  writable(): void;
  /** The driver itself lost `count` frames on their way in. */
  lost(count: number): void;
}

export interface Link {
  /** `"ethernet"`: frames have Ethernet II headers, without FCS. `"ip"`: frames are bare IP packets (TUN). */
  readonly medium: "ethernet" | "ip";
  /** Largest network-layer packet in bytes, without the link's own header (1500 for Ethernet). May change while open. */
  readonly mtu: number;
  /** The hardware address, 6 bytes; required for `"ethernet"`. */
  readonly mac?: Uint8Array;
  readonly offloads?: LinkOffloads;
  /**
   * Bytes that `transmit` writes before the frame it is given (a tunnel's header, a tag), and that a frame it delivers has had there:
   * default 0. A router then knows whether a frame that came in may go out from where it lies.
   */
  readonly headroom?: number;

  /** Starts delivery to `receiver`. Throws when the device cannot be had. */
  open(receiver: LinkReceiver): void;

  /**
   * Sends the frame in `frame[start..end)`, complete before it returns or copied by then. It must not call the receiver.
   *
   * @param offload what is left to do, or null; only links whose `offloads` say so get other than null
   * @returns 0 when taken, or -1 when there is no room now (a later `writable()` says when there is)
   */
  transmit(frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null): number;

  /** Stops delivery and gives the device back. Legal twice. */
  close(): void;

  /**
   * Optional hint: the hardware groups (6-byte multicast addresses, `count` of them end to end in `groups`) that the stack
   * wants. A link without it delivers all multicast frames. With VRRP there are unicast addresses among them, beside its own.
   */
  multicast?(groups: Uint8Array, count: number): void;
}

/** The conformance checks of what a link offers to do for the stack: checksums and segmentation. See conformance-link.ts. */
import type { Report } from "./conformance.js";
import {
  emitEthernet,
  emitIpv4,
  linkHeader,
  pseudoSum,
  read16,
  referenceSum,
  write16,
} from "./conformance-frame.js";
import { CHECKSUM_NONE, CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, SEGMENT_NONE, SEGMENT_TCP4 } from "./link.js";
import type { Link, TransmitOffload } from "./link.js";

const UDP = 17;
const TCP = 6;
const IP_HEADER = 20;
const UDP_HEADER = 8;
const TCP_HEADER = 20;
/** The UDP ports that the check's datagrams come from: one whose checksum is right, one whose is wrong. */
const GOOD_PORT = 49001;
const BAD_PORT = 49002;
const UDP_PAYLOAD = 101;
/** A stream that is cut into three full segments and a short one. */
const SEGMENT = 500;
const STREAM = 3 * SEGMENT + 77;
/** Sequence number of its first byte: it wraps on the way. */
const SEQUENCE_HIGH = 0xffff;
const SEQUENCE_LOW = 0xfe00;
const ACK_PSH_FIN = 0x19;

type Transmit = (frame: Uint8Array, start: number, end: number, offload: TransmitOffload | null) => void;

export class OffloadCheck {
  /** By sender: what is expected, and what has come. */
  private readonly wantsUdp = [false, false];
  private readonly wantsTcp = [false, false];
  private readonly gotUdp = [false, false];
  private readonly streamed = [0, 0];

  constructor(
    private readonly links: Link[],
    private readonly report: Report,
  ) {}

  /** Sends from one end what its link offers to complete. */
  start(from: number, transmit: Transmit): void {
    const offloads = this.links[from].offloads || {};
    if (this.links[from].mtu < 576 || this.links[1 - from].mtu < 576) return;
    this.sendUdp(from, BAD_PORT, transmit, false);
    if (!offloads.transmitChecksum) return;
    this.wantsUdp[from] = true;
    this.sendUdp(from, GOOD_PORT, transmit, true);
    const whole = linkHeader(this.links[from]) + IP_HEADER + TCP_HEADER + STREAM;
    if ((offloads.segmentation || 0) < whole) return;
    this.wantsTcp[from] = true;
    this.sendTcp(from, transmit);
  }

  waiting(): boolean {
    for (let i = 0; i < 2; i++) {
      if (this.wantsUdp[i] !== this.gotUdp[i] || (this.wantsTcp[i] && this.streamed[i] < STREAM)) return true;
    }
    return false;
  }

  judge(): void {
    for (let i = 0; i < 2; i++) {
      if (this.wantsUdp[i] && !this.gotUdp[i]) {
        this.report(
          "link-offload-checksum",
          "a datagram whose checksum was left to the link does not arrive",
        );
      }
      if (this.wantsTcp[i] && this.streamed[i] < STREAM) {
        this.report(
          "link-offload-segment",
          "of a large segment " + this.streamed[i] + " of " + STREAM + " bytes arrive",
        );
      }
    }
  }

  /** Takes a frame if it is one of these. */
  receive(to: number, frame: Uint8Array, start: number, end: number, checksum: number): boolean {
    const at = start + linkHeader(this.links[to]);
    if (end - at < IP_HEADER + UDP_HEADER || frame[at] !== 0x45 || frame[at + 15] !== 1) return false;
    const length = read16(frame, at + 2);
    const protocol = frame[at + 9];
    if (length < IP_HEADER + UDP_HEADER || at + length > end) return false;
    if (protocol === UDP) this.receiveUdp(to, frame, at, at + length, checksum);
    else if (protocol === TCP) this.receiveTcp(to, frame, at, at + length, checksum);
    else return false;
    return true;
  }

  private sendUdp(from: number, port: number, transmit: Transmit, offload: boolean): void {
    const length = UDP_HEADER + UDP_PAYLOAD;
    const frame = this.build(from, UDP, length);
    const at = linkHeader(this.links[from]) + IP_HEADER;
    write16(frame, at, port);
    write16(frame, at + 2, 9);
    write16(frame, at + 4, length);
    for (let i = 0; i < UDP_PAYLOAD; i++) frame[at + UDP_HEADER + i] = i * 3;
    // The sum of the pseudo-header where the link completes it; else a wrong checksum.
    write16(frame, at + 6, offload ? pseudoSum(UDP, length) : 0x1234);
    transmit(
      frame,
      0,
      frame.length,
      offload
        ? {
            checksumStart: at,
            checksumOffset: 6,
            segment: SEGMENT_NONE,
            segmentSize: 0,
            headerLength: at + 8,
          }
        : null,
    );
  }

  private receiveUdp(to: number, frame: Uint8Array, at: number, end: number, checksum: number): void {
    const udp = at + IP_HEADER;
    const port = read16(frame, udp);
    const right = transportRight(frame, udp, end, UDP);
    if (port === BAD_PORT && checksum !== CHECKSUM_NONE && !right) {
      this.report(
        "link-verified",
        "a wrong checksum was delivered as verified or partial: verify, or say nothing",
      );
    }
    if (port !== GOOD_PORT) return;
    this.gotUdp[1 - to] = true;
    if (checksum === CHECKSUM_PARTIAL ? read16(frame, udp + 6) !== pseudoSum(UDP, end - udp) : !right) {
      this.report("link-offload-checksum", "the link does not complete checksums as its offloads promise");
    }
  }

  private sendTcp(from: number, transmit: Transmit): void {
    const frame = this.build(from, TCP, TCP_HEADER + STREAM);
    const at = linkHeader(this.links[from]) + IP_HEADER;
    write16(frame, at, GOOD_PORT);
    write16(frame, at + 2, 9);
    write16(frame, at + 4, SEQUENCE_HIGH);
    write16(frame, at + 6, SEQUENCE_LOW);
    frame[at + 12] = (TCP_HEADER / 4) << 4;
    frame[at + 13] = ACK_PSH_FIN;
    write16(frame, at + 14, 0xffff);
    write16(frame, at + 16, pseudoSum(TCP, TCP_HEADER + STREAM));
    for (let i = 0; i < STREAM; i++) frame[at + TCP_HEADER + i] = streamByte(i);
    transmit(frame, 0, frame.length, {
      checksumStart: at,
      checksumOffset: 16,
      segment: SEGMENT_TCP4,
      segmentSize: SEGMENT,
      headerLength: at + TCP_HEADER,
    });
  }

  private receiveTcp(to: number, frame: Uint8Array, at: number, end: number, checksum: number): void {
    const from = 1 - to;
    const tcp = at + IP_HEADER;
    const data = tcp + TCP_HEADER;
    const offset = (read16(frame, tcp + 4) - SEQUENCE_HIGH) * 65536 + read16(frame, tcp + 6) - SEQUENCE_LOW;
    const position = offset < 0 ? offset + 0x100000000 : offset;
    const length = end - data;
    let wrong = "";
    if (length > SEGMENT && !(this.links[to].offloads || {}).receiveCoalescing) wrong = "is too long";
    else if (position !== this.streamed[from]) wrong = "has a wrong sequence number";
    else if (((frame[tcp + 13] & 9) === 9) !== (position + length === STREAM))
      wrong = "has FIN or PSH too early";
    else if (referenceSum(frame, at, tcp, 0) !== 0xffff) wrong = "has a wrong IPv4 checksum";
    else if (checksum === CHECKSUM_NONE && !transportRight(frame, tcp, end, TCP))
      wrong = "has a wrong TCP checksum";
    else if (checksum === CHECKSUM_VERIFIED && !transportRight(frame, tcp, end, TCP))
      wrong = "is verified, but wrong";
    for (let i = 0; i < length && !wrong; i++) {
      if (frame[data + i] !== streamByte(position + i)) wrong = "has wrong bytes";
    }
    if (wrong) this.report("link-offload-segment", "a frame cut from a large segment " + wrong);
    this.streamed[from] += length;
  }

  /** A frame with everything up to its IPv4 header. */
  private build(from: number, protocol: number, length: number): Uint8Array {
    const own = this.links[from];
    const header = linkHeader(own);
    const frame = new Uint8Array(header + IP_HEADER + length);
    if (header) emitEthernet(own, this.links[1 - from], 0x0800, frame, 0);
    emitIpv4(frame, header, IP_HEADER + length, protocol);
    return frame;
  }
}

function transportRight(frame: Uint8Array, start: number, end: number, protocol: number): boolean {
  return referenceSum(frame, start, end, pseudoSum(protocol, end - start)) === 0xffff;
}

function streamByte(offset: number): number {
  return (offset * 5 + (offset >> 8)) & 255;
}

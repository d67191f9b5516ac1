/** The smallest host that ping believes: answers ARP requests and ICMP echo requests for one address, in place. */
import type { Link, LinkReceiver } from "../../../hypercall/link.js";

function swap(bytes: Uint8Array, a: number, b: number, length: number): void {
  for (let i = 0; i < length; i++) {
    const byte = bytes[a + i];
    bytes[a + i] = bytes[b + i];
    bytes[b + i] = byte;
  }
}

export class Responder implements LinkReceiver {
  frames = 0;
  echoes = 0;
  /** Checksum states of the frames that came. */
  readonly checksums: number[] = [0, 0, 0];
  readonly carriers: boolean[] = [];
  private changed: () => void = () => {};

  constructor(
    private readonly link: Link,
    private readonly address: readonly number[],
  ) {
    link.open(this);
  }

  receive(frame: Uint8Array, start: number, end: number, checksum = 0): void {
    this.frames++;
    this.checksums[checksum]++;
    const ethernet = this.link.medium === "ethernet";
    const at = start + (ethernet ? 14 : 0);
    const mac = this.link.mac;
    const is = (offset: number): boolean => this.address.every((byte, i) => frame[at + offset + i] === byte);
    if (ethernet && frame[start + 12] === 8 && frame[start + 13] === 6) {
      if (frame[at + 7] !== 1 || !is(24)) return;
      frame[at + 7] = 2;
      swap(frame, at + 8, at + 18, 10);
      frame.set(mac!, at + 8);
    } else {
      const icmp = at + (frame[at] & 15) * 4;
      if (frame[at] >> 4 !== 4 || !is(16) || frame[at + 9] !== 1 || frame[icmp] !== 8) return;
      swap(frame, at + 12, at + 16, 4);
      frame[icmp] = 0;
      // The type's byte went from 8 to 0: the checksum grows by 0x800 (RFC 1624).
      const sum = ((frame[icmp + 2] << 8) | frame[icmp + 3]) + 0x800;
      frame[icmp + 2] = sum >> 8;
      frame[icmp + 3] = sum + (sum >> 16);
      if (sum > 0xffff && (sum & 0xff) === 0xff) frame[icmp + 2]++;
      this.echoes++;
    }
    if (ethernet) {
      swap(frame, start, start + 6, 6);
      frame.set(mac!, start + 6);
    }
    this.link.transmit(frame, start, end, null);
  }

  carrier(up: boolean): void {
    this.carriers.push(up);
    this.changed();
  }

  writable(): void {}
  lost(): void {}

  /** Waits until the carrier has been reported this often. */
  async carrierReports(count: number): Promise<void> {
    while (this.carriers.length < count) await new Promise<void>((resolve) => (this.changed = resolve));
  }
}

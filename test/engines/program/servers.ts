/** A DHCP server and a name server, each just enough for one client. */
import { get16, put16, put32 } from "../../../stack/core/bytes.js";
import { sum } from "../../../stack/core/checksum.js";
import type { DatagramInfo } from "../../../stack/core/datagrams.js";
import type { Udp } from "../../../stack/udp/udp.js";
import type { End } from "./world.js";

/** Ethernet, IPv4 and UDP headers. */
const HEADERS = 42;

/**
 * Gives 10.0.0.2/24 to everybody who asks at `end`; router and name server are 10.0.0.1. It works on frames: a host's stack
 * does not take packets from 0.0.0.0.
 */
export function serveDhcp(end: End): void {
  end.tap = (frame) => {
    if (get16(frame, 12) !== 0x0800 || frame[23] !== 17 || get16(frame, 36) !== 67) return false;
    const answer = new Uint8Array(HEADERS + 300);
    answer.set(frame.subarray(6, 12));
    answer.set(end.mac, 6);
    put16(answer, 12, 0x0800);
    put32(answer, 14, 0x45000000 | (answer.length - 14));
    put32(answer, 22, 0x40110000);
    put32(answer, 26, 0x0a000001);
    put32(answer, 30, -1);
    put16(answer, 24, ~sum(answer, 14, 34, 0));
    put32(answer, 34, (67 << 16) | 68);
    put16(answer, 38, answer.length - 34);
    answer.set(frame.subarray(HEADERS, HEADERS + 240), HEADERS);
    answer[HEADERS] = 2;
    put32(answer, HEADERS + 16, 0x0a000002);
    // Discover is answered by an offer, request by an acknowledgement.
    const options = [53, 1, frame[HEADERS + 242] === 1 ? 2 : 5, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 14, 16];
    options.push(1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1, 6, 4, 10, 0, 0, 1, 255);
    for (let i = 0; i < options.length; i++) answer[HEADERS + 240 + i] = options[i];
    end.transmit(answer, 0, answer.length);
    return true;
  };
}

/** Every name has the address 10.0.0.1. */
export function serveDns(udp: Udp): void {
  const data = new Uint8Array(512);
  const info = {} as DatagramInfo;
  udp.open({
    family: 4,
    port: 53,
    onReadable() {
      const length = this.receive(data, info);
      if (length < 17) return;
      let end = 12;
      while (data[end] !== 0 && end < length) end += data[end] + 1;
      end += 5;
      const answer = new Uint8Array(end + 16);
      answer.set(data.subarray(0, end));
      put16(answer, 2, 0x8180);
      put16(answer, 6, 1);
      put16(answer, 10, 0);
      const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1];
      for (let i = 0; i < record.length; i++) answer[end + i] = record[i];
      this.sendTo(info.address, info.port, answer);
    },
  });
}

/** Frames as lines for people: what the page shows of the last packets. */
import { get16, get32 } from "../../stack/core/bytes.js";
import { format4 } from "../../stack/core/text4.js";
import { format6 } from "../../stack/core/text6.js";
import { ARP_OPERATION, ARP_REQUEST, ARP_SENDER_IP, ARP_TARGET_IP } from "../../stack/wire/arp.js";
import { ETHERNET_HEADER, ETHERNET_TYPE, TYPE_ARP, TYPE_IPV4, TYPE_IPV6 } from "../../stack/wire/ethernet.js";
import {
  FRAGMENT_OFFSET,
  IPV4_DESTINATION,
  IPV4_FRAGMENT,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TOTAL_LENGTH,
} from "../../stack/wire/ipv4.js";
import { IPV6_DESTINATION, IPV6_HEADER, IPV6_NEXT_HEADER, IPV6_SOURCE } from "../../stack/wire/ipv6.js";
import { ICMP_HEADER, ICMP_ID, ICMP_SEQUENCE } from "../../stack/wire/icmp.js";
import * as tcp from "../../stack/wire/tcp.js";

/** Names of the commonest types. */
const ICMP: Record<number, string> = {
  0: "echo reply",
  3: "unreachable",
  5: "redirect",
  8: "echo request",
  11: "time exceeded",
  12: "parameter problem",
};
const ICMPV6: Record<number, string> = {
  1: "unreachable",
  2: "packet too big",
  3: "time exceeded",
  128: "echo request",
  129: "echo reply",
  133: "router solicitation",
  134: "router advertisement",
  135: "neighbour solicitation",
  136: "neighbour advertisement",
};
const FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/** Describes the Ethernet frame in `data[start..end)`, whose headers are sound (the stack has sent or taken it). */
export function describe(data: Uint8Array, start: number, end: number): { kind: string; text: string } {
  const type = get16(data, start + ETHERNET_TYPE);
  const at = start + ETHERNET_HEADER;
  if (type === TYPE_ARP && end - at >= 28) {
    const sender = format4(get32(data, at + ARP_SENDER_IP));
    const target = format4(get32(data, at + ARP_TARGET_IP));
    const request = get16(data, at + ARP_OPERATION) === ARP_REQUEST;
    return { kind: "arp", text: request ? `who has ${target}? tell ${sender}` : `${sender} is here` };
  }
  if (type === TYPE_IPV4 && end - at >= 20) {
    const source = format4(get32(data, at + IPV4_SOURCE));
    const destination = format4(get32(data, at + IPV4_DESTINATION));
    const stop = Math.min(end, at + get16(data, at + IPV4_TOTAL_LENGTH));
    const offset = get16(data, at + IPV4_FRAGMENT) & FRAGMENT_OFFSET;
    if (offset > 0) return { kind: "frag", text: `${source} > ${destination} fragment at ${offset * 8}` };
    return transport(data, at + ((data[at] & 15) << 2), stop, data[at + IPV4_PROTOCOL], source, destination);
  }
  if (type === TYPE_IPV6 && end - at >= IPV6_HEADER) {
    const source = format6(data, at + IPV6_SOURCE);
    const destination = format6(data, at + IPV6_DESTINATION);
    return transport(data, at + IPV6_HEADER, end, data[at + IPV6_NEXT_HEADER], source, destination);
  }
  return { kind: "other", text: `ethertype 0x${type.toString(16)}` };
}

function transport(
  data: Uint8Array,
  at: number,
  end: number,
  protocol: number,
  source: string,
  destination: string,
): { kind: string; text: string } {
  if (protocol === 6 && end - at >= tcp.TCP_HEADER) {
    const header = (data[at + tcp.TCP_OFFSET] >> 4) << 2;
    const flags = FLAGS.filter((_, bit) => data[at + tcp.TCP_FLAGS] & (1 << bit)).join(",");
    const length = Math.max(0, end - at - header);
    const ports = `${source}:${get16(data, at)} > ${destination}:${get16(data, at + 2)}`;
    const acknowledges = data[at + tcp.TCP_FLAGS] & tcp.ACK;
    const ack = acknowledges ? ` ack ${get32(data, at + tcp.TCP_ACKNOWLEDGMENT) >>> 0}` : "";
    const seq = `seq ${get32(data, at + tcp.TCP_SEQUENCE) >>> 0}`;
    const numbers = `${seq}${ack} win ${get16(data, at + tcp.TCP_WINDOW)}`;
    return { kind: "tcp", text: `${ports} [${flags}] ${numbers}${length > 0 ? ` len ${length}` : ""}` };
  }
  if (protocol === 17 && end - at >= 8) {
    const ports = `${source}:${get16(data, at)} > ${destination}:${get16(data, at + 2)}`;
    return { kind: "udp", text: `${ports} len ${get16(data, at + 4) - 8}` };
  }
  if ((protocol === 1 || protocol === 58) && end - at >= ICMP_HEADER) {
    const names = protocol === 1 ? ICMP : ICMPV6;
    const type = data[at];
    const name = names[type] ?? `type ${type}`;
    const echo = name.startsWith("echo");
    const more = echo
      ? `id ${get16(data, at + ICMP_ID)} seq ${get16(data, at + ICMP_SEQUENCE)}`
      : `code ${data[at + 1]}`;
    return { kind: "icmp", text: `${source} > ${destination} ${name} ${more} len ${end - at}` };
  }
  return { kind: "ip", text: `${source} > ${destination} protocol ${protocol}` };
}

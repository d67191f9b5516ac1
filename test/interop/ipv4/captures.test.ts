/** Captures of IPv4, and damage to them. */
import { capturesSuite, flip } from "../support/captures-suite.js";
import { createHost, OURS } from "../support/host.js";

const udp = (ip: Buffer) => ip[9] === 17 && (ip.readUInt16BE(6) & 0x3fff) === 0;
const fragment = (ip: Buffer) => ip[9] === 17 && ip.readUInt16BE(6) === 0x2000;

capturesSuite({
  create: createHost,
  ours: OURS,
  isOurs: (ip) => ip[0] === 0x45 && ip.subarray(12, 16).join(".") === OURS,
  damages: [
    ["IPv4 checksum", udp, flip(10)],
    ["UDP checksum", udp, flip(26)],
    ["UDP payload", udp, flip(100)],
    ["payload of a fragment", fragment, flip(100)],
    ["ICMP payload", (ip) => ip[9] === 1, flip(100)],
    ["UDP length", udp, (ip) => ip.writeUInt16BE(2000, 24)],
    ["IPv4 length", udp, (ip) => ip.writeUInt16BE(1499, 2)],
    ["header length", udp, (ip) => ip.writeUInt8(0x44, 0)],
  ],
  offloads: [false, true],
  icmp: "icmp",
});

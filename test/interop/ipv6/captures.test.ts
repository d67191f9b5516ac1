/** Captures of IPv6, and damage to them. */
import { capturesSuite, flip } from "../support/captures-suite.js";
import { OURS6, createHostOnly6 } from "../support/only6.js";

const OURS = Buffer.from("fd770000000000000000000000000002", "hex");
const udp = (ip: Buffer) => ip[6] === 17;
const fragment = (ip: Buffer) => ip[6] === 44 && ip[40] === 17 && ip.readUInt16BE(42) === 1;

capturesSuite({
  create: createHostOnly6,
  ours: OURS6,
  isOurs: (ip) => ip[0]! >> 4 === 6 && ip.subarray(8, 24).equals(OURS),
  damages: [
    ["UDP checksum", udp, flip(46)],
    ["UDP payload", udp, flip(100)],
    ["a pseudo-header's address", udp, flip(20)],
    ["payload of a fragment", fragment, flip(100)],
    ["ICMPv6 payload", (ip) => ip[6] === 58 && ip[40] === 129, flip(100)],
    ["UDP length", udp, (ip) => ip.writeUInt16BE(2000, 44)],
    ["IPv6 length", udp, (ip) => ip.writeUInt16BE(1499, 4)],
  ],
  // Whose checksums the link completes: the harder ones.
  offloads: [true],
  icmp: "icmp6",
});

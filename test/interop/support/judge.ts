/** tshark's opinion of a capture: what it finds wrong with our frames, or the peer's. */
import { run } from "./process.js";

/** Directions as in `epb_flags`. */
const OURS = 2;

/** `_ws.expert.severity`, and which counts as what. */
const ERROR = 0x800000;
const WARNING = 0x600000;

/** Every checksum is verified; nothing is looked up; streams are followed. */
const PREFERENCES = ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"].flatMap((name) => [
  "-o",
  `${name}:TRUE`,
]);

export interface Finding {
  readonly frame: number;
  /** Sent by the stack under test. */
  readonly ours: boolean;
  readonly severity: "malformed" | "error" | "warning";
  readonly message: string;
}

export interface Verdict {
  /** Frames in the capture. */
  readonly frames: number;
  readonly findings: Finding[];
}

/** Warnings that say nothing against the sender: they state what the network or the application did. */
const HARMLESS = [
  // Applications that end a connection hard.
  /^Connection reset \(RST\)/,
  // The receiver's application does not read.
  /^TCP Zero Window segment/,
  /^TCP window specified by the receiver is now completely full/,
  // The peer was impatient: what came twice is reported (RFC 2883).
  /^D-SACK Sequence/,
  // What was lost is sent again.
  /^This frame is a \(suspected\) out-of-order segment/,
];

/** ICMP errors, and ICMPv6's. */
const QUOTING = [3, 4, 5, 11, 12];
const QUOTING6 = [1, 2, 3, 4];

/** Ports whose payload is dissected unless a test says otherwise: DNS, DHCP and DHCPv6. Elsewhere it is anybody's bytes. */
const PAYLOADS = [53, 67, 68, 546, 547];

/**
 * Reads the capture file with tshark and lists malformed frames, expert errors, and warnings about our frames that are
 * not harmless.
 *
 * @param payloads ports whose payload is dissected
 */
export async function examine(file: string, payloads: readonly number[] = PAYLOADS): Promise<Verdict> {
  const fields = [
    "frame.number",
    "frame.packet_flags_direction",
    "icmp.type",
    "ip.checksum.status",
    "icmp.checksum.status",
    "icmpv6.type",
    "icmpv6.checksum.status",
    "tcp.checksum",
    "_ws.malformed",
    "_ws.expert.severity",
    "_ws.expert.message",
  ];
  const parameters = [
    "-n",
    "-r",
    file,
    ...PREFERENCES,
    ...asData(payloads),
    "-Y",
    "_ws.expert || _ws.malformed",
  ];
  const format = ["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=\u0001"];
  const [listing, total] = await Promise.all([
    run("tshark", [...parameters, ...format, ...fields.flatMap((f) => ["-e", f])], { timeout: 240_000 }),
    run("capinfos", ["-M", "-T", "-r", "-c", file]),
  ]);
  const findings: Finding[] = [];
  for (const line of listing.stdout.split("\n")) {
    if (line === "") continue;
    const [frame, direction, icmp, ipSum, icmpSum, icmp6, icmp6Sum, tcpSum, malformed, severities, messages] =
      line.split("\t");
    const ours = Number(direction) === OURS;
    const found = (severity: Finding["severity"], message: string) =>
      findings.push({ frame: Number(frame), ours, severity, message });
    if (malformed) found("malformed", malformed);
    // tshark takes the quotation in an ICMP error for a whole packet, whose checksum then cannot be right.
    const quotes =
      (icmp !== "" && QUOTING.includes(Number(icmp)) && !/0/.test(ipSum! + icmpSum)) ||
      (icmp6 !== "" && QUOTING6.includes(Number(icmp6)) && !/0/.test(icmp6Sum!));
    const texts = messages!.split("\u0001");
    severities!.split("\u0001").forEach((text, i) => {
      const severity = Number(text);
      const message = texts[i] ?? "";
      // 0xffff is as right as the 0 that tshark wants (RFC 1071); the kernel sends it, one segment in 65,536.
      if (tcpSum === "0xffff" && message.startsWith("Bad checksum")) return;
      if (quotes && message.startsWith("Bad checksum")) return;
      if (severity >= ERROR) found("error", message);
      else if (ours && severity >= WARNING && !HARMLESS.some((pattern) => pattern.test(message)))
        found("warning", message);
    });
  }
  return { frames: Number(total.stdout.trim().split("\t").at(-1)), findings };
}

/** Options that keep tshark from guessing at the payload of all ports but `payloads`. */
function asData(payloads: readonly number[]): string[] {
  const ports = [-1, ...[...payloads].sort((a, b) => a - b), 65536];
  const options: string[] = [];
  for (let i = 1; i < ports.length; i++) {
    const range = `${ports[i - 1]! + 1}-${ports[i]! - 1}`;
    if (ports[i]! - ports[i - 1]! > 1)
      options.push("-d", `udp.port==${range},data`, "-d", `tcp.port==${range},data`);
  }
  return options;
}

/** One line a finding, the first few of them. */
export function describe(findings: readonly Finding[]): string {
  const lines = findings.map(
    ({ frame, ours, severity, message }) =>
      `frame ${frame} ${ours ? "of ours" : "of the peer"}: ${severity}: ${message}`,
  );
  return lines.slice(0, 20).join("\n") + (lines.length > 20 ? `\n... ${lines.length} in all` : "");
}

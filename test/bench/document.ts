/** The tables and plots of docs/performance.md and docs/memory.md. */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { ROOT } from "../support/files.js";
import type { Figures } from "./instructions/count.js";
import { plot } from "./plot.js";
import type { Row } from "./rows.js";

export interface Results {
  readonly speed: Row[];
  readonly kernel: Row[];
  readonly weight: Row[];
  readonly growth: Row[];
  readonly garbage: Row[];
}

/** What stands around the table of instructions, which is written alone as well. */
const [BEGIN, END] = ["<!-- instructions -->", "<!-- end of instructions -->"];

const path = (name: string) => join(ROOT, "docs", name);

function cell(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined) return "";
  return `${value.toLocaleString("en-US", { maximumSignificantDigits: 3 })} ${unit}`;
}

function lines(head: string[], align: string[], rows: string[][]): string {
  return [head, align, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** All rows, for a terminal. */
export function table(rows: Row[]): string {
  return lines(
    ["", "here", "lwIP native", "ratio", "kernel over veth", "here, per CPU second"],
    ["---", "---:", "---:", "---:", "---:", "---:"],
    rows.map((row) => [
      row.perCpu === undefined ? row.about : `${row.about} (TAP, ${row.note})`,
      cell(row.ours, row.unit),
      cell(row.lwip, row.unit),
      row.ratio === null ? "" : String(row.ratio),
      cell(row.kernel, row.unit),
      cell(row.perCpu, row.unit),
    ]),
  );
}

function speedTable(rows: Row[]): string {
  return lines(
    ["", "here", "lwIP native", "ratio"],
    ["---", "---:", "---:", "---:"],
    rows.map((row) => [
      row.about,
      cell(row.ours, row.unit),
      cell(row.lwip, row.unit),
      row.ratio === null ? "" : String(row.ratio),
    ]),
  );
}

function kernelTable(rows: Row[]): string {
  const [offloads, plain] = ["offloads", "plain"].map((way) => rows.filter(({ note }) => note === way));
  return lines(
    [
      "",
      "with offloads",
      "per CPU second",
      "without",
      "per CPU second",
      "kernel to kernel over veth, without",
    ],
    ["---", "---:", "---:", "---:", "---:", "---:"],
    offloads.map((row) => {
      const other = plain.find(({ about }) => about === row.about);
      return [
        row.about,
        cell(row.ours, row.unit),
        cell(row.perCpu, row.unit),
        cell(other?.ours, row.unit),
        cell(other?.perCpu, row.unit),
        cell(row.kernel ?? other?.kernel, row.unit),
      ];
    }),
  );
}

/** A stream between two kernels through us, beside the kernel in our place. */
function routerTable(rows: Row[]): string {
  return lines(
    ["", "through us", "per CPU second", "through the kernel, veth", "ratio"],
    ["---", "---:", "---:", "---:", "---:"],
    rows
      .filter(({ note }) => note === "router")
      .map((row) => [
        row.about,
        cell(row.ours, row.unit),
        cell(row.perCpu, row.unit),
        cell(row.kernel, row.unit),
        (row.ours / row.kernel!).toFixed(2),
      ]),
  );
}

function plainTable(rows: Row[]): string {
  return lines(
    ["", ""],
    ["---", "---:"],
    rows.map((row) => [row.about, cell(row.ours, row.unit)]),
  );
}

function weightTable(rows: Row[]): string {
  return lines(
    ["", "here", "anchor"],
    ["---", "---", "---"],
    rows.map(({ about, ours, unit, note }) => [about, `${ours} ${unit}`, note ?? ""]),
  );
}

export function instructionTable(figures: Figures): string {
  return lines(
    ["host instructions, both ends", "UDP echo, 64 bytes", "TCP segment, 1448 bytes"],
    ["---", "---:", "---:"],
    Object.entries(figures).map(([name, { "udp-echo": echo, "tcp-segment": segment }]) => [
      { duktape: "Duktape 2.7", quickjs: "QuickJS 2021-03-27" }[name] ?? name,
      echo.toLocaleString("en-US"),
      segment.toLocaleString("en-US"),
    ]),
  );
}

function framed(figures: Figures): string {
  return `${BEGIN}\n\n${instructionTable(figures)}\n\n${END}`;
}

/** Writes the table of instructions alone. */
export function writeInstructions(figures: Figures): void {
  const text = readFileSync(path("performance.md"), "utf8");
  const [start, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (start < 0 || end < 0) throw new Error("docs/performance.md has no place for the table of instructions");
  writeFileSync(
    path("performance.md"),
    text.slice(0, start) + framed(figures) + text.slice(end + END.length),
  );
}

export function write(results: Results, figures: Figures): void {
  const { speed, kernel, weight, growth, garbage } = results;
  const bulk = speed.find(({ work }) => work === "tcp-bulk")!;
  writeFileSync(path("performance.svg"), plot(speed, growth));
  writeFileSync(
    path("performance.md"),
    `# How fast

Made by \`npm run bench -- --write\` on Node ${process.versions.node}; a busy or virtual machine moves single figures by a third, the
ratios by less; what is per second of wall clock suffers most. Load of this machine at the end of the run: ${loadavg()[0].toFixed(1)}
on ${availableParallelism()} processors, of which the benchmark is one or two.

![Rates beside lwIP, and rates as numbers grow](performance.svg)

## Beside lwIP

Two ends in one process and one thread over an in-memory Ethernet: MTU 1500, software checksums both ways, frames copied at the
link, windows of 256 KiB. lwIP 2.1.3 is built from Debian's source with \`gcc -O2\` (raw API, two instances) and measured in the same
run, in turns; medians, per second of processor time.

${speedTable(speed)}

Without a name of its own a row is the stack as port \`node\` has it, with the accelerators in plain JS: checksum by words, packet memory
in arenas (ports/wasm/arena.ts), the express Ethernet (ports/express); rows of the stack's own checksum have its own Ethernet, too. What the sides do differently: lwIP hands its
application the received buffer, our \`read\` copies into the application's; both clocks are read once in 4096 frames; our timestamps (RFC 7323) and SACK are on, lwIP's are off, as each has them by default.

The aims are 1.0 for TCP in one stream (1.5 with WebAssembly) and 0.7 for the others: TCP in one stream is at ${bulk.ratio ?? "?"}.
Boot (at most 0.2 ms) and an idle connection (at most 1536 bytes) are in [memory.md](memory.md).

Where the time goes (\`perf\` with V8's map of its code, TCP in one stream, plain JS): a quarter to a third in the two checksums, which
V8 does at 6 GB/s where vectors do 24; a fifth in the four copies of each byte (application, send buffer, frame, link, application),
half of it memory; the rest is spread thinly over the path of the segment, no function above 6 %.

UDP echo of 64 bytes is that thin path alone: 10,500 instructions for an echo (two datagrams, each sent and taken), counted by single
steps of the warm process. They were 18,200 once. A quarter are copies, of which there are six (lwIP has four, as its server sends back the
buffer that came): byte by byte V8 needs 17 instructions each, in a DataView 7, in \`copyWithin\` 330 for the call, in words of aligned arrays
16 to 20 for a word, its checks of bounds among them. The express Ethernet (ports/express, which port \`node\` exports as \`ethernet\`)
writes and reads headers as words that lie as the copies between them do, since a word that crosses two which have just been written waits
for both; it knows the next frame of the last flow by a dozen words, and sums a datagram while it copies it.

What remains to lwIP, by samples of a UDP echo: copies 16 %, copy and sum of what is sent 7, its headers, identification and hand-over
to the link 12, the rest of the send 10; the link and the interface 9, the headers of the known flow 4, the sum of what comes 4, its
socket and queue 12, the socket's \`receive\` 9. A tenth of all samples are at the first instructions of functions: twenty calls a datagram that V8 does
not inline. It puts at most 920 bytes of its bytecode into one function; with \`node --max-inlined-bytecode-size-cumulative=1840\` the echo is x1.18, a
request of one byte x1.05 (with three times as much x1.11 and x1.02, with half x0.95 and x1.03). A request of one byte is 15,000
instructions for two segments in forty functions: copies 9 %, header prediction 7, headers in 6 and out 11, the making of the segment 5, no other above 5. A
connection opened and closed is about 45,000 in a hundred functions for five segments: SipHash (ports, initial sequence numbers,
tables) 4 %, the objects of both ends 5 %, no other function above 4 %.

What did not help: V8's limits of inlining raised tenfold (x0.8 to 0.9); copies by 64-bit BigInts (none is allocated between two
BigInt64Arrays, and there are a fifth less instructions, but it took as long: x0.99); words looked up for
each access by the array's identity (x0.6), the last two arrays remembered before a walk through all that are known (x0.94); pointers
written only where they change (x0.93); objects made old by force (it throws compiled code away); checksums of headers by words right after they
were written byte by byte (x0.9 for requests of one byte: up to 48 bytes they are summed byte by byte). A trial in which all headers
were words of a DataView in the layers themselves is what ports/express does now; the profile of the small engines has no DataView.

## The kernel as the peer

The kernel in a network namespace, over a TAP device to us (\`ports/node\`, with and without virtio-net headers), and over a veth pair
without offloads to itself. TCP with buffers of 1 MiB at our side, 64 datagrams on their way, curl fetching 256 MiB (32 without
offloads). Per second of wall clock with both processes on the machine, and per second of our process's processor time, in which
the kernel's work in our calls is included: its receive path runs in our \`write\`.

${kernelTable(kernel)}

A TCP stream between two kernels through our router on two TAPs, beside the kernel in its place between two veth pairs, in turns. Hosts
cut and sum themselves (offloads off at both ends and in the kernel's router), but in the last row.

${routerTable(kernel)}

With virtio headers a TAP takes segments of 64 KiB from us, whoever has cut them before: what is read one after the other is merged
(\`ports/node/merge.ts\`, which Linux calls GRO), looked at once by the router and written by one system call, and the receiver has one packet to
take and to acknowledge instead of 45. A host behind a plain TAP with \`coalesce: true\` sends us 1.4 times as much per second of our
process's time (2.5 Gbit/s for 1.8).

Without that a packet of the router is 9.4 us of our process's time: 0.4 the router itself, 0.2 what koffi adds to two system calls, and
most are not ours at all, as the TCP of both hosts runs in our \`write\`. A C program that only reads and writes the same TAPs needs 7.3 us, or
6.5 through io_uring (two calls for 100 packets), or 7.8 with packet sockets and their rings on veth pairs (9.7 with IFF_NAPI on the
TAPs). So none of these was built in, and half of the kernel's rate is not to be had by plain TAPs on this machine. Reads in batches of 256 in
place of 64 made no difference, nor did windows of 4 MiB for the streams to and from us.

The aims with offloads are 10 Gbit/s each way and 300,000 small datagrams echoed per second. An echo is 6.8 us of our process's time (\`perf\`,
without what the scheduler took): two thirds in the kernel, in the TAP's read and write, in which the client's own receive path and its
wake-up run; a fifth in the stack; the rest between the two, in Node's and koffi's calls. What the kernel takes, 4.4 us, is alone more than the 3.3 us
that the aim leaves to one thread. The client is not what bounds it: with one system call for 32 datagrams in place of one for each it was
echoed no faster. To us, TCP with offloads keeps our process busy for three quarters of the time; for the rest it waits for the sender.

## Garbage and pauses

Bytes that V8's collector is left with, for each MiB moved or each event, counted between collections. The aim is zero; what is left
are mostly views of typed arrays.

${plainTable(garbage)}

## Growth

Per second of processor time. An answer of a connection among many finds nothing of it in the processor's caches.

${plainTable(growth)}

## Small engines

Counted by valgrind's callgrind, the same in each run. A test compares them with \`test/bench/instructions/committed.json\`: neither
growth nor shrinkage above 2 % goes unnoticed. The stack's own checksum is in use, byte by byte, which is most of a segment.

${framed(figures)}
`,
  );
  writeFileSync(
    path("memory.md"),
    `# What a stack weighs

Ethernet, ARP, IPv4 with fragments, ICMP, UDP and TCP on Node ${process.versions.node}; heap and array buffers after a full
collection. Made by \`npm run bench -- --write\`.

${weightTable(weight)}

A stack takes packet memory from its host in slabs, as it needs them, and an idle connection holds none: its buffers are
made of chunks that exist while bytes are in them. What a connection costs beyond lwIP's 240 bytes is V8's: each of the
control block's fields is a word of 8 bytes, and each object has a header.
`,
  );
}

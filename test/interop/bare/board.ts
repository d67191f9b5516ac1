/** A board of QEMU's with our firmware at one end of a cable, a Linux kernel with dnsmasq in a namespace at the other. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Fetched } from "../../../examples/firmware-image/fetch.js";
import { describe, examine } from "../support/judge.js";
import { Namespace } from "../support/namespace.js";
import { start } from "../support/process.js";
import type { Daemon } from "../support/process.js";
import { layCable } from "./cable.js";
import type { Cable, Damage } from "./cable.js";

export const KERNEL = "10.77.0.1";
/** The name that dnsmasq has for the kernel's address. */
export const SERVER = "server.lan.test";

/** What the image says at /state.json. */
export interface State {
  uptime: number;
  /** Milliseconds in which the processor did not sleep. */
  busy: number;
  address: string;
  memory: { heap: number; heapPeak: number; ram: number; stack: number; packets: number };
  fetches: { succeeded: number; failed: number; milliseconds: number; busy: number; last: Fetched | null };
  counters: Record<string, Record<string, number>>;
}

export interface BoardOptions {
  /** Name of QEMU's machine. */
  machine: string;
  /** The image's path. */
  image: string;
  /** What the image is started with: `{ fetch: "http://..." }`. */
  options?: Record<string, string | number>;
  /** Arguments of dnsmasq's `--dhcp-range`; null: no dnsmasq. Default: leases of an hour. */
  range?: string | null;
  damage?: Damage;
  /** QEMU without a debugger's services: no options, no random bytes. */
  alone?: boolean;
  /** More of QEMU's parameters. */
  parameters?: string[];
}

/** What a board belongs to: a test (ava's `t`), or a program. */
export interface Scope {
  readonly passed: boolean;
  log(...texts: string[]): void;
  /** `end` is called at the end; those that were given last are called first. */
  teardown(end: () => unknown): void;
}

export interface TestBoard {
  readonly ns: Namespace;
  readonly cable: Cable;
  readonly qemu: Daemon;
  /** The capture, complete when the cable is closed. */
  readonly capture: string;
  /** A folder of the test's own. */
  readonly folder: string;
  /** The address that it has got; waits for it. */
  address(timeout?: number): Promise<string>;
  state(): Promise<State>;
  /** curl in the namespace: the body. */
  curl(path: string, ...parameters: string[]): Promise<string>;
}

/** QEMU's words for a board that runs `image` and writes its log to the standard output. */
export function machineArguments(machine: string, image: string): string[] {
  return ["-M", machine, "-kernel", image, "-nographic", "-monitor", "none", "-serial", "stdio"];
}

/** Puts up a board for the test `t`. It is taken down when the test ends, and tshark must find nothing wrong with its frames. */
export async function createBoard(t: Scope, options: BoardOptions): Promise<TestBoard> {
  const { machine, image, range = "10.77.0.100,10.77.0.150,1h", alone = false } = options;
  const folder = mkdtempSync(join(tmpdir(), "anystack-bare-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const ns = new Namespace();
  t.teardown(() => ns.close());
  const capture = join(folder, "capture.pcapng");
  const cable = await layCable(ns, "tap0", capture, 1);
  t.teardown(async () => {
    cable.close();
    const { findings } = await examine(capture);
    if (findings.length > 0) throw new Error(describe(findings));
  });
  cable.damage = options.damage ?? {};
  ns.ip("address", "add", `${KERNEL}/24`, "dev", "tap0");
  ns.ip("link", "set", "tap0", "up");
  if (range !== null) await serveDnsmasq(ns, folder, range);

  const words = Object.entries(options.options ?? {}).map(([name, value]) => `,arg=${name}=${value}`);
  const semihosting = `enable=on,target=native,arg=firmware${words.join("")}`;
  const qemu = start("qemu-system-arm", [
    ...machineArguments(machine, image),
    ...(alone ? [] : ["-semihosting-config", semihosting]),
    ...["-net", "nic,model=lan9118,netdev=n0,macaddr=02:00:0a:4d:00:02", "-netdev"],
    `dgram,id=n0,local.type=inet,local.host=127.0.0.1,local.port=${cable.boardPort},` +
      `remote.type=inet,remote.host=127.0.0.1,remote.port=${cable.cablePort}`,
    ...(options.parameters ?? []),
  ]);
  t.teardown(async () => {
    if (!t.passed) t.log(qemu.output);
    await qemu.stop();
  });

  const address = async (timeout = 30_000) => {
    await qemu.until(/^address \d.*\r$/m, timeout);
    return /^address ([\d.]+)\r$/m.exec(qemu.output)![1]!;
  };
  const curl = async (path: string, ...parameters: string[]) => {
    const url = `http://${await address()}${path}`;
    return (
      await ns.run(
        "curl",
        ["-sS", "--fail", "-m", "100", "--retry", "5", "--retry-all-errors", ...parameters, url],
        { timeout: 110_000 },
      )
    ).stdout;
  };
  const state = async () => JSON.parse(await curl("/state.json")) as State;
  return { ns, cable, qemu, capture, folder, address, curl, state };
}

/** DHCP and names: `SERVER` is the kernel. */
async function serveDnsmasq(ns: Namespace, folder: string, range: string): Promise<void> {
  const parameters = [
    "--no-daemon",
    "--conf-file=/dev/null",
    "--no-resolv",
    "--no-hosts",
    "--no-ping",
    "--log-dhcp",
  ];
  parameters.push(`--dhcp-range=${range}`, `--dhcp-leasefile=${join(folder, "leases")}`, "--user=root");
  parameters.push("--bind-interfaces", "--interface=tap0", "--except-interface=lo");
  parameters.push(`--dhcp-option=option:dns-server,${KERNEL}`, `--address=/${SERVER}/${KERNEL}`);
  await ns.serve("udp", 67, "dnsmasq", parameters);
}

/** python's web server on port 8000, with a file of `length` bytes called `page`; the file's CRC-32. */
export async function servePage(board: TestBoard, length: number): Promise<number> {
  const page = new Uint8Array(length);
  for (let i = 0; i < length; i++) page[i] = i * 31 + (i >> 7);
  writeFileSync(join(board.folder, "page"), page);
  await board.ns.serve("tcp", 8000, "python3", ["-m", "http.server", "8000", "-d", board.folder]);
  return crc32(page);
}

/** The CRC of IEEE 802.3. */
export function crc32(data: Uint8Array): number {
  let crc = ~0;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

/** What the image serves at /bytes/N: its pattern over and over. */
export function pattern(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i % 1021) * 7 + ((i % 1021) >> 3)));
}

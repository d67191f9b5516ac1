/** The command line of `npm start`. */
import { parseArgs } from "node:util";

export const USAGE = `Usage: npm start -- [options]

Boots a device with a network stack of its own and serves a page about it.

Without --tap: the device sits on a simulated Ethernet in this process, and a second stack carries
connections from this machine to it. No privileges are needed.
  --port N           where to listen on 127.0.0.1 (default 8080)
  --delay MS         one-way delay of the simulated cable (default 5)
  --rate MBIT        its bandwidth in Mbit/s (default 100)
  --loss PERCENT     frames that it loses (default 0.1)

With --tap: the device sits on a TAP interface of the kernel and serves its page on port 80 there.
  --tap NAME         the interface; a persistent one needs no privileges ("ip tuntap add")
  --address A/LEN    the device's address, for example 10.77.0.2/24
  --gateway A        its default router
  --dhcp             asks for an address instead

  --capture FILE     where the device's frames go as pcapng (default: anystack.pcapng here; it ends at 256 MiB)
  --no-capture       no capture
  --help             this text
`;

/** What the simulated cable may be like: from, to. */
export const LIMITS = { delay: [0, 10_000], rate: [0.01, 100_000], loss: [0, 100] } as const;

export interface DeviceOptions {
  port: number;
  delay: number;
  rate: number;
  loss: number;
  tap: string;
  address: string;
  gateway: string;
  dhcp: boolean;
  /** `""`: no capture. */
  capture: string;
}

/** A command line that makes no sense; `message` says why. */
export class UsageError extends Error {}

/** Reads the command line; null: it asks for help. Throws `UsageError`. */
export function readOptions(words: string[]): DeviceOptions | null {
  let values;
  try {
    values = parseArgs({
      args: words,
      options: {
        port: { type: "string", default: "8080" },
        delay: { type: "string", default: "5" },
        rate: { type: "string", default: "100" },
        loss: { type: "string", default: "0.1" },
        tap: { type: "string", default: "" },
        address: { type: "string", default: "" },
        gateway: { type: "string", default: "" },
        dhcp: { type: "boolean", default: false },
        capture: { type: "string", default: "anystack.pcapng" },
        "no-capture": { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return null;
  const { tap, address, gateway, dhcp } = values;
  if (tap) {
    if (!address && !dhcp) throw new UsageError("--tap needs --address or --dhcp");
    if (address && dhcp) throw new UsageError("--address and --dhcp exclude each other");
    if (address && !/^\d+\.\d+\.\d+\.\d+\/\d+$/.test(address)) {
      throw new UsageError(`--address ${address}: an address with its prefix length, like 10.77.0.2/24`);
    }
    if (gateway && !address) throw new UsageError("--gateway goes with --address");
  } else if (address || gateway || dhcp) {
    throw new UsageError("--address, --gateway and --dhcp go with --tap");
  }
  return {
    port: number("--port", values.port, 0, 65535, true),
    delay: number("--delay", values.delay, ...LIMITS.delay, false),
    rate: number("--rate", values.rate, ...LIMITS.rate, false),
    loss: number("--loss", values.loss, ...LIMITS.loss, false),
    tap,
    address,
    gateway,
    dhcp,
    capture: values["no-capture"] ? "" : values.capture,
  };
}

function number(name: string, text: string, low: number, high: number, whole: boolean): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    throw new UsageError(`${name} ${text}: a number from ${low} to ${high}`);
  }
  return value;
}

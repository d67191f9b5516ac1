/**
 * A TAP or TUN device that this process inherited: tap-launcher.pl opened it, with the privilege and the ioctl that Node lacks.
 * Works without any package. Node can wait for no character device, so the launcher leaves a process behind that waits.
 */
import { closeSync, readFileSync, readSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { systemError } from "./errors.js";
import { hardwareAddress } from "./mac.js";
import { TunLink } from "./tun-link.js";
import type { TunDevice } from "./tun-link.js";

export interface InheritedTapOptions {
  /** The device's descriptor; the next one is the socket to the waiting process. Default 3, as is the launcher's `--fd`. */
  fd?: number;
  /** As the launcher was told: `"tap"` (default), or `"tun"` for `--tun`. */
  mode?: "tap" | "tun";
  /** As the launcher was told: true for `--offloads`. */
  offloads?: boolean;
  /** The interface's MTU. Default: what /sys says, or 1500. */
  mtu?: number;
  /** The hardware address of our end: 6 bytes or `"02:..."`. Default: random, locally administered. */
  mac?: Uint8Array | string;
  /** As in `TapOptions`. */
  allocate?: (size: number) => Uint8Array;
}

class InheritedDevice implements TunDevice {
  private ready: (writable: boolean) => void = () => {};
  /** What the waiting process has been asked for and has not answered. */
  private asked = "";
  private closed = false;
  /** The waiting process is gone: nobody would tell us of frames. */
  private orphaned = false;
  private referenced = true;

  constructor(
    private readonly fd: number,
    private readonly name: string,
    private readonly waiter: Socket,
  ) {
    waiter.on("data", (answer: Buffer) => {
      const text = answer.toString("latin1");
      for (const letter of text) this.asked = this.asked.replace(letter, "");
      this.ready(text.includes("w"));
    });
    waiter.on("error", () => {});
    waiter.on("close", () => {
      this.orphaned = true;
      if (!this.closed) this.ready(false);
    });
    waiter.unref();
  }

  read(buffer: Uint8Array): number {
    try {
      return readSync(this.fd, buffer, 0, buffer.length, null);
    } catch (error) {
      return this.orphaned ? -constants.errno.EPIPE : errnoOf(error);
    }
  }

  write(bytes: Uint8Array, start: number, length: number): number {
    try {
      return writeSync(this.fd, bytes, start, length);
    } catch (error) {
      return errnoOf(error);
    }
  }

  isUp(): boolean {
    return (Number(readSys(this.name, "flags") ?? 1) & 1) !== 0;
  }

  start(ready: (writable: boolean) => void): void {
    this.ready = ready;
    if (this.referenced) this.waiter.ref();
  }

  watch(writable: boolean): void {
    let ask = this.asked.includes("r") ? "" : "r";
    if (writable && !this.asked.includes("w")) ask += "w";
    if (ask === "" || this.closed) return;
    this.asked += ask;
    this.waiter.write(ask);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.waiter.destroy();
    closeSync(this.fd);
  }

  ref(): void {
    this.referenced = true;
    this.waiter.ref();
  }

  unref(): void {
    this.referenced = false;
    this.waiter.unref();
  }
}

function errnoOf(error: unknown): number {
  return (error as NodeJS.ErrnoException).errno ?? -constants.errno.EIO;
}

function readSys(name: string, file: string): string | undefined {
  try {
    return readFileSync(`/sys/class/net/${name}/${file}`, "latin1").trim();
  } catch {
    return undefined;
  }
}

/** The path of tap-launcher.pl, which lies beside this file: `perl PATH NAME -- PROGRAM ...`; its first lines say more. */
export function tapLauncher(): string {
  return fileURLToPath(new URL("tap-launcher.pl", import.meta.url));
}

/** The interface behind a descriptor of /dev/net/tun. */
function interfaceOf(fd: number): string {
  let info = "";
  try {
    info = readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
  } catch {
    // Not open: the same answer.
  }
  const name = /^iff:\s*(\S+)/m.exec(info)?.[1];
  if (name) return name;
  throw systemError(
    "EBADF",
    `descriptor ${fd} is no TUN or TAP device; start with: perl ${tapLauncher()} NAME -- ${process.argv.join(" ")}`,
  );
}

/**
 * Takes over the device that tap-launcher.pl left in a descriptor. Throws `EBADF` when there is none.
 * The carrier is reported as by `openTap`.
 */
export function openInheritedTap(options: InheritedTapOptions = {}): TunLink {
  const { fd = 3, mode = "tap", offloads = false } = options;
  const name = interfaceOf(fd);
  const mtu = options.mtu ?? Number(readSys(name, "mtu") ?? 1500);
  const mac = mode === "tap" ? hardwareAddress(options.mac) : undefined;
  let waiter: Socket;
  try {
    waiter = new Socket({ fd: fd + 1, readable: true, writable: true });
  } catch (cause) {
    throw Object.assign(systemError("EBADF", `descriptor ${fd + 1} is not the launcher's socket`), { cause });
  }
  return new TunLink(new InheritedDevice(fd, name, waiter), {
    ...{ name, mode, offloads, mtu, mac, coalesce: false },
    allocate: options.allocate,
  });
}

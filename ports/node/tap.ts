/**
 * TAP and TUN devices of Linux over the npm package koffi, an optional peer: /dev/net/tun is opened without blocking, read
 * until it is empty, then waited for in the event loop (no thread sits in a call, so nothing keeps a process from its exit).
 */
import { closeSync, constants, openSync } from "node:fs";
import { systemError } from "./errors.js";
import { check, loadLibc } from "./libc.js";
import type { Libc } from "./libc.js";
import { formatMac, hardwareAddress } from "./mac.js";
import { TunLink } from "./tun-link.js";
import type { TunDevice } from "./tun-link.js";
import { VIRTIO_NET_HEADER } from "./virtio-net.js";

export interface TapOptions {
  /** Interface name, 1 to 15 bytes; `"tap%d"` takes the next free number. A persistent device of that name is attached to; otherwise one is made for as long as it is open. */
  name: string;
  /** `"tap"` (default) carries Ethernet frames, `"tun"` bare IP packets. */
  mode?: "tap" | "tun";
  /** The hardware address of our end (not the kernel's): 6 bytes or `"02:..."`. Default: random, locally administered. */
  mac?: Uint8Array | string;
  /** Virtio-net headers: checksums and TCP segmentation are left to the kernel, in both directions. Default false. */
  offloads?: boolean;
  /**
   * Merges TCP segments that come one after the other into one before the stack sees them (receive coalescing, GRO): for bulk
   * transfers from hosts that do not leave segmentation to the device. Default: as `offloads`.
   */
  coalesce?: boolean;
  /**
   * The same of what is sent: TCP segments that come one after the other are written as one, which the kernel takes as one packet. For a
   * gateway's side to which they come out of a tunnel. Wants `offloads`. Default false.
   */
  gather?: boolean;
  /** Sets the interface's MTU (that needs CAP_NET_ADMIN). Default: the one it has. */
  mtu?: number;
  /** A network namespace, by name (`ip netns add`) or path: the device is opened in it (that needs CAP_SYS_ADMIN). */
  netns?: string;
  /**
   * Gives the memory that frames are read into. With the host's own, `allocate: host.allocate`, checksums and copies of what
   * has come stay inside of the packet memory, where they are faster. Default: an array of its own.
   */
  allocate?: (size: number) => Uint8Array;
  /** Bytes of our frames that may wait in the kernel before `transmit` says -1. Default: the kernel's, which is no limit. */
  sendBuffer?: number;
}

// linux/if_tun.h and linux/sockios.h, as x86, ARM and RISC-V number them.
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETSNDBUF = 0x400454d4;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETVNETLE = 0x400454dc;
const SIOCGIFFLAGS = 0x8913;
const SIOCGIFMTU = 0x8921;
const SIOCSIFMTU = 0x8922;
const SIOCGIFHWADDR = 0x8927;
const IFF_UP = 1;
const IFF_TUN = 1;
const IFF_TAP = 2;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** TUN_F_CSUM | TSO4 | TSO6 | TSO_ECN */
const OFFLOADS = 1 | 2 | 4 | 8;
const EFAULT = 14;
const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 0x80002;
/** struct ifreq: a name of 16 bytes, then a union. */
const IFREQ_SIZE = 40;
const IFREQ_VALUE = 16;

type PollHandle = import("koffi").node.PollHandle;

class KoffiDevice implements TunDevice {
  private poll: PollHandle | null = null;
  private ready: (writable: boolean) => void = () => {};
  private watching = false;
  private referenced = true;
  private closed = false;
  /** The arrays read into and written from last, most often the link's and the stack's only ones, and where they lie: koffi takes a number in less time than a view (55 ns of 430). */
  private filled: Uint8Array | null = null;
  private filledAt = 0;
  private written: Uint8Array | null = null;
  private writtenAt = 0;
  /** Two times struct iovec, as pairs of 32-bit words: where scattered reads go to. */
  private readonly places = new Uint32Array(8);
  private placesAt = 0;
  private first: Uint8Array | null = null;
  private second: Uint8Array | null = null;
  private secondAt = 0;

  constructor(
    private readonly c: Libc,
    private readonly fd: number,
    /** A socket in the device's network namespace, for SIOCGIF*. */
    private readonly control: number,
    private readonly request: Uint8Array,
  ) {}

  read(buffer: Uint8Array): number {
    if (buffer !== this.filled) {
      this.filledAt = this.c.addressOf(buffer);
      this.filled = buffer;
    }
    const n = this.c.read(this.fd, this.filledAt, buffer.length);
    return n < 0 ? -this.c.koffi.errno() : n;
  }

  scatter(head: Uint8Array, length: number, rest: Uint8Array, at: number): number {
    const places = this.places;
    if (head !== this.first || rest !== this.second) {
      this.placesAt = this.c.addressOf(places);
      this.secondAt = this.c.addressOf(rest);
      put64(places, 0, this.c.addressOf(head));
      this.first = head;
      this.second = rest;
    }
    places[2] = length;
    put64(places, 4, this.secondAt + at);
    places[6] = rest.length - at;
    const n = this.c.readv(this.fd, this.placesAt, 2);
    return n < 0 ? -this.c.koffi.errno() : n;
  }

  write(bytes: Uint8Array, start: number, length: number): number {
    // An array that has been detached has no length.
    if (start + length > bytes.length) return -EFAULT;
    if (bytes !== this.written) {
      this.writtenAt = this.c.addressOf(bytes);
      this.written = bytes;
    }
    const n = this.c.write(this.fd, this.writtenAt + start, length);
    return n < 0 ? -this.c.koffi.errno() : n;
  }

  isUp(): boolean {
    return (
      this.c.ioctl(this.control, SIOCGIFFLAGS, this.request) < 0 || (this.request[IFREQ_VALUE] & IFF_UP) !== 0
    );
  }

  start(ready: (writable: boolean) => void): void {
    this.ready = ready;
    this.poll = this.c.koffi.node.poll(this.fd, { readable: true }, this.event);
    if (!this.referenced) this.poll.unref();
  }

  /** The event loop keeps watching for frames: only a change of what is watched for costs a call. */
  watch(writable: boolean): void {
    if (this.watching === writable || !this.poll) return;
    this.watching = writable;
    this.poll.start({ readable: true, writable }, this.event);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.poll?.close();
    this.poll = null;
    closeSync(this.fd);
    closeSync(this.control);
  }

  ref(): void {
    this.referenced = true;
    this.poll?.ref();
  }

  unref(): void {
    this.referenced = false;
    this.poll?.unref();
  }

  /** koffi's types know one argument, but a status comes before it: below zero when the device has failed. */
  private readonly event = (...events: unknown[]): void => {
    this.ready((events[events.length - 1] as { writable: boolean }).writable);
  };
}

/** A pointer into words of this machine, which all have little ends where there is koffi. */
function put64(words: Uint32Array, at: number, value: number): void {
  words[at] = value % 0x100000000;
  words[at + 1] = value / 0x100000000;
}

function ifreq(name: string): Uint8Array {
  const bytes = Buffer.from(name);
  if (bytes.length < 1 || bytes.length > 15 || /[/\s\0]/.test(name)) {
    throw systemError("EINVAL", `"${name}" is no name for an interface`);
  }
  const request = new Uint8Array(new ArrayBuffer(IFREQ_SIZE));
  request.set(bytes);
  return request;
}

function nameOf(request: Uint8Array): string {
  return Buffer.from(request.subarray(0, request.indexOf(0))).toString();
}

/** Calls `action` with this thread in the network namespace, and comes back. */
function inNamespace<T>(c: Libc, netns: string | undefined, action: () => T): T {
  if (netns === undefined) return action();
  const home = openSync("/proc/thread-self/ns/net", "r");
  try {
    const there = openSync(netns.includes("/") ? netns : `/run/netns/${netns}`, "r");
    try {
      check(c, c.setns(there, CLONE_NEWNET), `network namespace ${netns}`, {
        EPERM: "that needs CAP_SYS_ADMIN",
      });
    } finally {
      closeSync(there);
    }
    try {
      return action();
    } finally {
      check(c, c.setns(home, CLONE_NEWNET), "coming back from the network namespace");
    }
  } finally {
    closeSync(home);
  }
}

/**
 * Opens a TAP or TUN device. The interface must be brought up and given an address by other means (`ip link`, `ip address`);
 * until it is up, and whenever a frame is refused because it is not, the link says that the carrier is down.
 *
 * Throws `ENOENT` (no koffi, or no /dev/net/tun), `EPERM` (not root, nor the owner of a persistent device), `EBUSY` (another
 * process has it), `EINVAL` (bad name, or the device is of the other kind), `ENODEV` and `ENOSYS` (no such thing here).
 */
export function openTap(options: TapOptions): TunLink {
  const { mode = "tap", offloads = false, coalesce = offloads, gather = false, netns } = options;
  const request = ifreq(options.name);
  if (mode !== "tap" && mode !== "tun") throw systemError("EINVAL", `mode ${String(mode)}`);
  if (gather && !offloads) throw systemError("EINVAL", "gather wants offloads");
  const mac = mode === "tap" ? hardwareAddress(options.mac) : undefined;
  const c = loadLibc();
  return inNamespace(c, netns, () => {
    let fd = -1;
    let control = -1;
    try {
      fd = openSync("/dev/net/tun", constants.O_RDWR | constants.O_NONBLOCK);
      attach(c, fd, request, mode, offloads);
      const name = nameOf(request);
      if (options.sendBuffer !== undefined) {
        check(c, c.ioctl(fd, TUNSETSNDBUF, Int32Array.of(options.sendBuffer)), "TUNSETSNDBUF");
      }
      if (mac) requireOther(c, fd, mac, name);
      control = check(c, c.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0), "socket");
      const mtu = deviceMtu(c, control, request, options.mtu);
      return new TunLink(new KoffiDevice(c, fd, control, request), {
        ...{ name, mode, offloads, coalesce, gather, mtu, mac },
        allocate: options.allocate,
      });
    } catch (error) {
      if (fd >= 0) closeSync(fd);
      if (control >= 0) closeSync(control);
      throw error;
    }
  });
}

function attach(c: Libc, fd: number, request: Uint8Array, mode: "tap" | "tun", offloads: boolean): void {
  const flags = (mode === "tap" ? IFF_TAP : IFF_TUN) | IFF_NO_PI | (offloads ? IFF_VNET_HDR : 0);
  const name = nameOf(request);
  new DataView(request.buffer).setInt16(IFREQ_VALUE, flags, true);
  const owner = `root makes one for you with: ip tuntap add dev ${name} mode ${mode} user $USER`;
  check(c, c.ioctl(fd, TUNSETIFF, request), `${mode} device ${name}`, {
    EPERM: `not permitted; ${owner}`,
    EBUSY: "another process has it open",
    EINVAL: `there is an interface of this name that is no ${mode} device of this make`,
  });
  if (!offloads) return;
  check(c, c.ioctl(fd, TUNSETVNETHDRSZ, Int32Array.of(VIRTIO_NET_HEADER)), "TUNSETVNETHDRSZ");
  check(c, c.ioctl(fd, TUNSETVNETLE, Int32Array.of(1)), "TUNSETVNETLE");
  check(c, c.ioctlValue(fd, TUNSETOFFLOAD, OFFLOADS), "TUNSETOFFLOAD");
}

/** Two ends of one cable must not share an address. */
function requireOther(c: Libc, fd: number, mac: Uint8Array, name: string): void {
  const request = ifreq(name);
  check(c, c.ioctl(fd, SIOCGIFHWADDR, request), "SIOCGIFHWADDR");
  if (mac.every((byte, i) => byte === request[IFREQ_VALUE + 2 + i])) {
    throw systemError("EADDRINUSE", `${formatMac(mac)} is the kernel's end of ${name}; ours needs its own`);
  }
}

function deviceMtu(c: Libc, control: number, request: Uint8Array, wanted: number | undefined): number {
  const view = new DataView(request.buffer);
  check(c, c.ioctl(control, SIOCGIFMTU, request), "SIOCGIFMTU");
  const mtu = view.getInt32(IFREQ_VALUE, true);
  if (wanted === undefined || wanted === mtu) return mtu;
  view.setInt32(IFREQ_VALUE, wanted, true);
  check(c, c.ioctl(control, SIOCSIFMTU, request), `MTU ${wanted} of the device`, {
    EPERM: "not permitted; set it with ip link",
  });
  return wanted;
}

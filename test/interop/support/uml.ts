/**
 * A Linux kernel in user mode (user-mode-linux), for what the machine's own kernel has no modules of: tunnels, PPP. Its network card
 * is a datagram socket (an L2TPv3 cable over UDP on the loopback), whose other end is a link of ours. It needs no root.
 *
 * ```ts
 * const peer = await startUml(t, ["ipip", "sit"]);
 * stack.addInterface(peer.link);
 * await peer.sh("ip address add 10.0.0.2/24 dev vec0; ip link set vec0 up");
 * ```
 */
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import type { Duplex } from "node:stream";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { Link, LinkReceiver } from "../../../hypercall/index.js";
import { PATIENCE } from "../../support/until.js";

const MODULES = "/usr/lib/uml/modules";
/** L2TPv3 over UDP (RFC 3931 section 4.1.2): flags with the version, session. */
const HEADER = Uint8Array.of(0, 3, 0, 0, 0, 0, 0, 1);

/** Our end of the cable. */
class Cable implements Link {
  readonly medium = "ethernet";
  readonly mtu = 1500;
  readonly mac = Uint8Array.of(2, 0, 0, 0, 0x77, 1);
  private receiver: LinkReceiver | null = null;

  constructor(
    private readonly socket: Socket,
    private readonly port: number,
  ) {
    socket.on("message", (data) => {
      if (data.length > 8 && this.receiver) {
        // With room before the frame, as a driver has it.
        const frame = new Uint8Array(128 + data.length - 8);
        frame.set(data.subarray(8), 128);
        this.receiver.receive(frame, 128, frame.length);
      }
    });
  }

  open(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }

  transmit(frame: Uint8Array, start: number, end: number): number {
    this.socket.send([HEADER, Uint8Array.prototype.slice.call(frame, start, end)], this.port, "127.0.0.1");
    return 0;
  }

  close(): void {
    this.receiver = null;
  }
}

export interface Uml {
  readonly link: Link;
  /** The other end of its /dev/ttyS0. */
  readonly serial: Duplex;
  /** Runs a line of shell in it; what it printed. Rejects when its last command fails. */
  sh(line: string, timeout?: number): Promise<string>;
}

/** Boots one (1.5 s, and 0.3 s a module); it ends with the test. */
export async function startUml(t: ExecutionContext, modules: readonly string[]): Promise<Uml> {
  const folder = mkdtempSync(join(tmpdir(), "anystack-uml-"));
  // modprobe wants the tree at lib/modules.
  mkdirSync(join(folder, "lib"));
  symlinkSync(MODULES, join(folder, "lib/modules"));
  const socket = createSocket("udp4");
  const other = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  other.bind(0, "127.0.0.1");
  await Promise.all([once(socket, "listening"), once(other, "listening")]);
  // The kernel's own port is one that was free a moment ago.
  const port = other.address().port;
  other.close();
  const init = join(folder, "init");
  writeFileSync(init, initScript(folder, modules), { mode: 0o755 });
  const cable = `transport=l2tpv3,src=127.0.0.1,dst=127.0.0.1,udp=1,srcport=${port},dstport=${socket.address().port},rx_session=0x1,tx_session=0x1,mac=02:00:00:00:77:02`;
  const child = spawn(
    "linux",
    [
      ...[
        "mem=192M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "quiet",
        `umid=anystack${port}`,
      ],
      ...[`init=${init}`, "con=null", "con0=fd:0,fd:1", "ssl0=fd:3", `vec0:${cable}`],
    ],
    {
      stdio: ["pipe", "pipe", "ignore", "pipe"],
      env: { ...process.env, HOME: folder, TMPDIR: folder },
      detached: true,
    },
  );
  let text = "";
  let wake = () => {};
  child.stdout!.setEncoding("latin1");
  child.stdout!.on("data", (chunk: string) => {
    text += chunk;
    wake();
  });
  const serial = child.stdio[3] as Duplex;
  child.stdin!.on("error", () => {});
  serial.on("error", () => {});
  t.teardown(async () => {
    const gone = child.exitCode === null && child.signalCode === null ? once(child, "close") : null;
    try {
      process.kill(-child.pid!, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await gone;
    socket.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const until = async (mark: RegExp, timeout: number): Promise<RegExpExecArray> => {
    const end = Date.now() + timeout;
    for (;;) {
      const found = mark.exec(text);
      if (found) {
        text = text.slice(found.index + found[0].length);
        return found;
      }
      if (child.exitCode !== null || Date.now() > end)
        throw new Error(`user-mode-linux: no ${mark.source} in\n${text}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  await until(/=ready=\r?\n/, 60_000);
  let count = 0;
  return {
    link: new Cable(socket, port),
    serial,
    async sh(line, timeout = PATIENCE) {
      count++;
      child.stdin!.write(`${line.replaceAll("\n", " ")}; printf '=%s=${count}=\\n' $?\n`);
      const found = await until(new RegExp(`([^]*?)=(\\d+)=${count}=\\r?\\n`), timeout);
      const output = found[1]!.replaceAll("\r", "");
      if (found[2] !== "0") throw new Error(`in user-mode-linux: ${line}\n${output}`);
      return output;
    },
  };
}

/** The root is the machine's own, for reading; a shell takes its lines from the console, without echo. */
function initScript(tree: string, modules: readonly string[]): string {
  return `#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for module in ipv6 ${modules.join(" ")}; do modprobe -d ${tree} $module; done
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t devtmpfs devtmpfs /dev 2>/dev/null || mount -t tmpfs tmpfs /dev
[ -e /dev/null ] || mknod -m 666 /dev/null c 1 3
[ -e /dev/urandom ] || mknod -m 666 /dev/urandom c 1 9
[ -e /dev/ttyS0 ] || mknod /dev/ttyS0 c 4 64
[ -e /dev/ptmx ] || mknod -m 666 /dev/ptmx c 5 2
mkdir -p /dev/pts /dev/net
mount -t devpts devpts /dev/pts
stty -echo -onlcr
ip link set lo up
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
echo 1 >/proc/sys/net/ipv6/conf/vec0/disable_ipv6
echo 0 >/proc/sys/net/ipv6/conf/vec0/disable_ipv6
printf '=ready=\\n'
while read -r line; do eval "$line" 2>&1; done
`;
}

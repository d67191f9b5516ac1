/**
 * avahi-daemon on the kernel's side of the cable, with a message bus of its own, and its tools: nothing of it is seen outside of
 * the namespace, and nothing of the machine's own avahi inside.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { CabledHost } from "./host.js";
import type { Daemon, Result } from "./process.js";

export interface Avahi {
  /** Runs `avahi-browse`, `avahi-resolve`, ... to its end. */
  run(command: string, ...parameters: string[]): Promise<Result>;
  /** Starts one that runs until it is stopped: `avahi-publish`. */
  start(command: string, ...parameters: string[]): Daemon;
  /** What the daemon has logged. */
  log(): string;
  /** Waits for a line of its log. */
  until(what: RegExp): Promise<void>;
  stop(): Promise<void>;
}

export interface AvahiOptions {
  /** Its host name. */
  name: string;
  four?: boolean;
  six?: boolean;
}

/** Everybody may do everything: there is nobody else. */
const BUS = (
  socket: string,
) => `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=${socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
`;

/** Starts avahi on the kernel's interface of `host`, and waits until it has its name there. */
export async function startAvahi(
  t: ExecutionContext,
  host: Pick<CabledHost, "ns" | "device">,
  options: AvahiOptions,
): Promise<Avahi> {
  const folder = mkdtempSync(join(tmpdir(), "anystack-avahi-"));
  const socket = join(folder, "bus");
  mkdirSync(join(folder, "services"));
  writeFileSync(join(folder, "bus.conf"), BUS(socket));
  writeFileSync(
    join(folder, "avahi.conf"),
    `[server]
host-name=${options.name}
use-ipv4=${options.four ? "yes" : "no"}
use-ipv6=${options.six ? "yes" : "no"}
allow-interfaces=${host.device}
ratelimit-interval-usec=0
[publish]
publish-workstation=no
publish-hinfo=no
publish-aaaa-on-ipv4=no
publish-a-on-ipv6=no
`,
  );
  const env = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${socket}` };
  const bus = host.ns.start("dbus-daemon", [
    `--config-file=${join(folder, "bus.conf")}`,
    "--nofork",
    "--print-address",
  ]);
  await bus.until(/unix:path/);
  // Its process number and socket have their places in /run, whatever its options say.
  const script = `mount -t tmpfs tmpfs /run && mkdir /run/avahi-daemon && mount --bind ${folder}/services /etc/avahi/services &&
    exec avahi-daemon -f ${folder}/avahi.conf --no-drop-root --no-chroot --no-rlimits --debug`;
  const daemon = host.ns.start("unshare", ["-m", "sh", "-c", script], env);
  const stop = async () => {
    await daemon.stop();
    await bus.stop();
  };
  t.teardown(async () => {
    await stop();
    if (!t.passed) t.log(daemon.output);
    rmSync(folder, { recursive: true });
  });
  await daemon.until(/Server startup complete/);
  return {
    run: (command, ...parameters) => host.ns.run(command, parameters, { env, codes: null, timeout: 60_000 }),
    start: (command, ...parameters) => host.ns.start(command, parameters, env),
    log: () => daemon.output,
    until: (what) => daemon.until(what),
    stop,
  };
}

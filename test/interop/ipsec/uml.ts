/** The Linux kernel in user-mode-linux, without root: it boots in seconds, a cable of L2TPv3 over UDP on the loopback is its network. */
import { spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const MODULES = "/usr/lib/uml/modules";
const NEEDED =
  "af_key xfrm_user esp4 esp6 ah4 ah6 tunnel4 tunnel6 ipip ip6_tunnel ip_vti gcm ctr cbc seqiv echainiv authenc chacha20poly1305 crypto_null ghash-generic sha256_generic sha512_generic hmac aes_generic";

/** One kernel. Orders are done one after the other. */
export class Uml {
  private readonly waiting: ((answer: unknown) => void)[] = [];
  private text = "";

  private constructor(
    private readonly child: ChildProcessWithoutNullStreams,
    private readonly folder: string,
  ) {
    createInterface(child.stdout).on("line", (line) => {
      const at = line.indexOf("@@");
      if (at < 0) this.text = (this.text + line + "\n").slice(-4000);
      else this.waiting.shift()?.(JSON.parse(line.slice(at + 2)));
    });
    child.stderr.on("data", (data) => (this.text = (this.text + String(data)).slice(-4000)));
    child.on("exit", () => {
      for (const answer of this.waiting.splice(0)) answer("the kernel has halted: " + this.text);
    });
  }

  /** Boots; its end of the cable sends from `near` to `far`, both UDP ports of the loopback. `setup`: what its shell does first. */
  static async boot(near: number, far: number, setup: string): Promise<Uml> {
    const folder = mkdtempSync(join(tmpdir(), "uml-"));
    mkdirSync(join(folder, "lib"));
    symlinkSync(MODULES, join(folder, "lib/modules"));
    const guest = join(import.meta.dirname, "guest.py");
    const script = [
      "#!/bin/sh",
      "mount -t proc proc /proc; mount -t sysfs sys /sys; stty -echo -onlcr",
      // What the kernel loads by itself comes from there too.
      `echo ${folder}/modprobe > /proc/sys/kernel/modprobe`,
      `/sbin/modprobe -a -d ${folder} ${NEEDED}`,
      "ip link set lo up",
      setup,
      `exec python3 -u ${guest}`,
    ];
    writeFileSync(join(folder, "modprobe"), `#!/bin/sh\nexec /sbin/modprobe -d ${folder} "$@"\n`, {
      mode: 0o755,
    });
    writeFileSync(join(folder, "init"), script.join("\n"), { mode: 0o755 });
    const vector = `transport=l2tpv3,src=127.0.0.1,dst=127.0.0.1,udp=1,srcport=${near},dstport=${far},rx_session=0x2,tx_session=0x1,mac=02:00:0a:09:00:02`;
    const child = spawn(
      "linux",
      [
        ...["mem=192M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"],
        ...[`init=${join(folder, "init")}`, "con=null", "con0=fd:0,fd:1", `vec0:${vector}`],
        ...[`uml_dir=${folder}`, "umid=judge"],
      ],
      { stdio: "pipe", env: { ...process.env, TMPDIR: folder } },
    );
    const uml = new Uml(child, folder);
    const first = await uml.answer();
    if (first !== "ready") throw new Error(String(first));
    return uml;
  }

  private answer(): Promise<unknown> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  ask(...order: (string | number)[]): Promise<unknown> {
    const answer = this.answer();
    this.child.stdin.write(JSON.stringify(order) + "\n");
    return answer;
  }

  /** Lets `ip` do these commands in one go; throws with its output where one fails. */
  async ip(commands: readonly string[]): Promise<void> {
    const answer = await this.ask("batch", commands.join("\n") + "\n");
    if (!Array.isArray(answer) || answer[0] !== 0)
      throw new Error(`${String(answer)}: ${commands.join("\n")}`);
  }

  /** Halts it, with all processes that it is made of. */
  async halt(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.stdin.write(JSON.stringify(["run", "echo o > /proc/sysrq-trigger"]) + "\n");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 3000);
    await ended;
    clearTimeout(timer);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Are the kernel and its modules installed? */
export function modules(): string[] {
  return readdirSync(MODULES);
}

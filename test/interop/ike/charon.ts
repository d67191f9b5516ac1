/** strongSwan's charon in a namespace: configured as by swanctl.conf, with ESP of its own in user space (kernel-libipsec). */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { Namespace } from "../support/namespace.js";
import type { Daemon } from "../support/process.js";
import { PATIENCE } from "../../support/until.js";

const PLUGINS =
  "random nonce openssl hmac kdf sha1 sha2 gcm chapoly curve25519 pem pkcs1 pkcs8 x509 pubkey constraints revocation socket-default kernel-libipsec kernel-netlink vici updown attr";

export interface CharonOptions {
  /** More of `charon-systemd { ... }`. */
  settings?: string;
  /** Certificates and keys, by the name of swanctl's folder: `{ "x509/peer.pem": ... }`. */
  files?: Readonly<Record<string, string | Uint8Array>>;
}

export class Charon {
  private constructor(
    readonly ns: Namespace,
    readonly folder: string,
    readonly daemon: Daemon,
  ) {}

  /** Starts charon with `configuration`, the text of a swanctl.conf. It is stopped when the test ends. */
  static async start(
    t: ExecutionContext,
    ns: Namespace,
    configuration: string,
    options: CharonOptions = {},
  ): Promise<Charon> {
    const folder = mkdtempSync(join(tmpdir(), "anystack-charon-"));
    const swanctl = join(folder, "swanctl");
    for (const name of [
      "x509",
      "x509ca",
      "private",
      "pubkey",
      "pkcs8",
      "rsa",
      "ecdsa",
      "x509ocsp",
      "x509aa",
      "x509ac",
      "x509crl",
      "pkcs12",
      "bliss",
      "conf.d",
    ]) {
      mkdirSync(join(swanctl, name), { recursive: true });
    }
    for (const [name, data] of Object.entries(options.files ?? {})) writeFileSync(join(swanctl, name), data);
    writeFileSync(join(swanctl, "swanctl.conf"), configuration);
    writeFileSync(
      join(folder, "strongswan.conf"),
      `charon-systemd {
        load = ${PLUGINS}
        install_routes = yes
        retransmit_timeout = 1
        retransmit_tries = 4
        plugins { vici { socket = unix://${folder}/vici } }
        journal { default = -1 }
        filelog { stderr { default = 1 \n cfg = 1 \n ike = 2 } }
        ${options.settings ?? ""}
      }
      swanctl { load = pem pkcs1 x509 pubkey openssl pkcs8 random \n plugins { vici { socket = unix://${folder}/vici } } }
      `,
    );
    const daemon = ns.start("charon-systemd", [], {
      STRONGSWAN_CONF: join(folder, "strongswan.conf"),
      SWANCTL_DIR: swanctl,
    });
    const charon = new Charon(ns, folder, daemon);
    t.teardown(async () => {
      await daemon.stop();
      if (!t.passed) t.log(daemon.output.slice(-8000));
      rmSync(folder, { recursive: true, force: true });
    });
    await daemon.until(async () => (await charon.swanctl(["--stats"], true)).includes("uptime"));
    await charon.swanctl(["--load-all", "--noprompt"]);
    return charon;
  }

  /** Runs swanctl; what it printed. */
  async swanctl(parameters: string[], maybe = false): Promise<string> {
    const { stdout, stderr } = await this.ns.run(
      "swanctl",
      [...parameters, "--uri", `unix://${this.folder}/vici`],
      {
        env: {
          STRONGSWAN_CONF: join(this.folder, "strongswan.conf"),
          SWANCTL_DIR: join(this.folder, "swanctl"),
        },
        codes: maybe ? null : [0],
      },
    );
    return stdout + stderr;
  }

  /** Waits until `swanctl --list-sas` says what `condition` wants. */
  async sas(condition: RegExp, timeout = PATIENCE): Promise<string> {
    const start = performance.now();
    for (;;) {
      const text = await this.swanctl(["--list-sas"]);
      if (condition.test(text)) return text;
      if (performance.now() - start > timeout) throw new Error(`no ${condition} in:\n${text}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

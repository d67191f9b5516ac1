/** DHCPv6 clients behind a TAP, and the servers that they find there: dnsmasq, Kea, Dibbler. Our clock may run fast. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { dhcpv6 } from "../../../stack/service/dhcpv6.js";
import type { Dhcp6, Dhcp6Client, Dhcp6Configuration, Dhcp6Options } from "../../../stack/service/dhcpv6.js";
import type { HostOptions } from "./host.js";
import { createHostOnly6 } from "./only6.js";
import type { Host6 } from "./only6.js";
import type { Daemon } from "./process.js";
import { speedUp } from "./speed.js";
import { PATIENCE } from "../../support/until.js";

export interface Dhcp6Test extends Host6 {
  readonly service: Dhcp6;
  /** `"bound fd77::100,fd79:1::/56"`, `"lost -110"` */
  readonly events: string[];
  /** For files of servers. */
  readonly folder: string;
  /** What the server that runs has printed. */
  log(): string;
  open(options?: Dhcp6Options): Dhcp6Client;
  /** Waits until the client has seen `count` events in all. */
  until(count: number, timeout?: number): Promise<void>;
  /** Each of them ends the server that was there before. */
  dnsmasq(...parameters: string[]): Promise<Daemon>;
  kea(subnet: object, global?: object): Promise<Daemon>;
  dibbler(body: string): Promise<Daemon>;
  stopServer(): Promise<void>;
}

export interface Dhcp6TestOptions extends HostOptions {
  dhcp?: Dhcp6Configuration;
  /** Our seconds in one of the server's. Default 1. */
  speed?: number;
  /** Components that want the client's. */
  with?: (service: Dhcp6) => HostOptions["components"];
}

export async function dhcp6Test(t: ExecutionContext, options: Dhcp6TestOptions = {}): Promise<Dhcp6Test> {
  const folder = mkdtempSync(join(tmpdir(), "anystack-dhcpv6-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const service = dhcpv6(options.dhcp);
  const more = [...(options.components ?? []), service, ...(options.with?.(service) ?? [])];
  const host = await createHostOnly6(t, { address: null, ...options, components: more });
  if (options.speed) speedUp(host.stack, options.speed);
  const events: string[] = [];
  let server: Daemon | null = null;
  const serve = async (command: string, parameters: string[]) => {
    await test.stopServer();
    return (server = await host.ns.serve("udp", 547, command, parameters));
  };
  const test: Dhcp6Test = {
    ...host,
    service,
    events,
    folder,
    log: () => server!.output,
    async stopServer() {
      await server?.stop("SIGKILL");
    },
    open(own = {}) {
      return service.open(host.nif, {
        delay: 0,
        onBound: ({ addresses, prefixes }) =>
          events.push(
            "bound " +
              [...addresses.map((each) => each.address), ...prefixes.map((each) => each.prefix)].join(),
          ),
        onLost: (code) => events.push("lost " + code),
        ...own,
      });
    },
    async until(count, timeout = PATIENCE) {
      const start = performance.now();
      while (events.length < count) {
        if (performance.now() - start > timeout) {
          const counters = JSON.stringify(host.stack.counters.dhcpv6);
          throw new Error(`only ${events.join("; ")}\n${counters}\n${server?.output}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    dnsmasq: (...parameters) =>
      serve("dnsmasq", [
        ...[
          "--no-daemon",
          "--conf-file=/dev/null",
          "--port=0",
          "--log-dhcp",
          "--user=root",
          "--bind-interfaces",
        ],
        ...[`--dhcp-leasefile=${folder}/leases`, `--interface=${host.device}`, "--except-interface=lo"],
        ...parameters,
      ]),
    kea(subnet, global = {}) {
      const file = join(folder, "kea.json");
      const output = {
        name: "kea-dhcp6",
        severity: "DEBUG",
        debuglevel: 55,
        output_options: [{ output: "stdout" }],
      };
      const configuration = {
        "interfaces-config": { interfaces: [host.device] },
        "lease-database": {
          type: "memfile",
          persist: true,
          name: join(folder, "leases.csv"),
          "lfc-interval": 0,
        },
        "server-id": { type: "EN", "enterprise-id": 32473, identifier: "0102030405", persist: false },
        loggers: [output],
        subnet6: [{ subnet: "fd77::/64", interface: host.device, ...subnet }],
        ...global,
      };
      writeFileSync(file, JSON.stringify({ Dhcp6: configuration }));
      return serve("env", [
        `KEA_LOCKFILE_DIR=${folder}`,
        `KEA_PIDFILE_DIR=${folder}`,
        "kea-dhcp6",
        "-c",
        file,
      ]);
    },
    dibbler(body) {
      // Its folders are fixed: it gets them in a mount namespace of its own.
      const [state, settings] = [join(folder, "state"), join(folder, "etc")];
      for (const each of [state, settings]) mkdirSync(each, { recursive: true });
      writeFileSync(join(settings, "server.conf"), `log-level 8\nlog-mode short\n${body}\n`);
      const script = `mount --bind "$1" /var/lib/dibbler && mount --bind "$2" /etc/dibbler && exec dibbler-server run`;
      return serve("sh", ["-c", script, "dibbler", state, settings]);
    },
  };
  return test;
}

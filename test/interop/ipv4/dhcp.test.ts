/** The DHCP client against dnsmasq. Leases last two minutes, dnsmasq's least; our clock runs fast, so that they take seconds. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { acd } from "../../../stack/ipv4/acd.js";
import { classlessRoutes, dhcp, rawOption, searchList } from "../../../stack/service/dhcp.js";
import type { DhcpClient, DhcpConfiguration, DhcpLease, DhcpOptions } from "../../../stack/service/dhcp.js";
import { createHost, KERNEL } from "../support/host.js";
import type { HostOptions, TestHost } from "../support/host.js";
import type { Daemon } from "../support/process.js";
import { speedUp } from "../support/speed.js";
import { PATIENCE } from "../../support/until.js";
import { pingFrom } from "../support/ping.js";

/** Our seconds in one of the server's. */
const SPEED = 40;
const RANGE = "10.77.0.100,10.77.0.110,2m";

interface DhcpTest extends TestHost {
  client: DhcpClient;
  /** `"bound 10.77.0.100"`, `"lost -110"` */
  events: string[];
  /** Starts dnsmasq (anew). */
  serve(range?: string, ...more: string[]): Promise<Daemon>;
  /** What the running dnsmasq has logged. */
  log(): string;
  /** Waits until the client has seen `count` events in all. */
  until(count: number, timeout?: number): Promise<void>;
  stopServer(): Promise<void>;
  leaseFile: string;
  open(options?: DhcpOptions): DhcpClient;
}

async function dhcpTest(
  t: ExecutionContext,
  options: HostOptions = {},
  configuration: DhcpConfiguration = {},
  speed = SPEED,
): Promise<DhcpTest> {
  const folder = mkdtempSync(join(tmpdir(), "anystack-dhcp-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const leaseFile = join(folder, "leases");
  const service = dhcp(configuration);
  const host = await createHost(t, {
    address: null,
    ...options,
    components: [...(options.components ?? []), service],
  });
  speedUp(host.stack, speed);
  let server: Daemon | null = null;
  const events: string[] = [];
  const test: DhcpTest = {
    ...host,
    client: null as never,
    events,
    leaseFile,
    log: () => server!.output,
    async stopServer() {
      await server?.stop("SIGKILL");
    },
    async serve(range = RANGE, ...more) {
      await test.stopServer();
      const parameters = ["--no-daemon", "--conf-file=/dev/null", "--port=0", "--no-ping", "--log-dhcp"];
      parameters.push(`--dhcp-range=${range}`, `--dhcp-leasefile=${leaseFile}`, ...more);
      parameters.push(
        "--user=root",
        "--bind-interfaces",
        `--interface=${host.device}`,
        "--except-interface=lo",
      );
      return (server = await host.ns.serve("udp", 67, "dnsmasq", parameters));
    },
    async until(count, timeout = PATIENCE) {
      const start = performance.now();
      while (events.length < count) {
        if (performance.now() - start > timeout) throw new Error(`only ${events.join()}\n${server?.output}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    open(more = {}) {
      return (test.client = service.open(host.nif, {
        delay: 0,
        onBound: (lease) => events.push("bound " + lease.address),
        onLost: (code) => events.push("lost " + code),
        ...more,
      }));
    },
  };
  return test;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const count = (text: string, what: RegExp) => [...text.matchAll(new RegExp(what, "g"))].length;

test("acquires a lease with all that dnsmasq has to give; the kernel reaches the address", async (t) => {
  const c = await dhcpTest(t, {}, { options: [searchList, classlessRoutes, rawOption(43)] });
  await c.serve(
    RANGE,
    "--domain=example.org",
    "--dhcp-option=option:dns-server,10.77.0.1,10.77.0.9",
    "--dhcp-option=option:ntp-server,10.77.0.8",
    "--dhcp-option=option:mtu,1400",
    "--dhcp-option=option:domain-search,eng.example.org,example.org",
    "--dhcp-option=option:classless-static-route,0.0.0.0/0,10.77.0.1,172.16.0.0/12,10.77.0.7",
    "--dhcp-option-force=43,01:02:03",
  );
  c.open({ hostname: "lamp", vendorClass: "anystack-test" });
  await c.until(1);
  const lease = c.client.lease as DhcpLease;
  t.like(lease, {
    prefix: 24,
    server: KERNEL,
    routes: [
      { prefix: "0.0.0.0/0", gateway: "10.77.0.1" },
      { prefix: "172.16.0.0/12", gateway: "10.77.0.7" },
    ],
    nameServers: ["10.77.0.1", "10.77.0.9"],
    domain: "example.org",
    search: ["eng.example.org", "example.org"],
    ntpServers: ["10.77.0.8"],
    mtu: 1400,
    leaseTime: 120,
    renewTime: 60,
    rebindTime: 105,
    options: [{ code: 43, data: Uint8Array.of(1, 2, 3) }],
  });
  t.is(c.nif.mtu, 1400);
  t.regex(c.log(), /client provides name: lamp/);
  t.regex(c.log(), /vendor class: anystack-test/);
  t.regex(readFileSync(c.leaseFile, "utf8"), new RegExp(`${lease.address} lamp 01:`));
  await pingFrom(t, c.ns, lease.address, { count: 3 });
  c.client.close();
});

test("renews again and again, and the flows of the address go on", async (t) => {
  const c = await dhcpTest(t, {}, {}, 2 * SPEED);
  await c.serve();
  c.open();
  await c.until(1);
  const errors: number[] = [];
  const socket = c.udp.open({ address: c.client.lease!.address, onError: (code) => errors.push(code) });
  await c.until(4);
  t.deepEqual(new Set(c.events), new Set(["bound " + c.client.lease!.address]));
  t.true(count(c.log(), /DHCPREQUEST/) >= 4);
  t.notRegex(c.log(), /DHCPACK[^]*DHCPDISCOVER/);
  t.deepEqual(errors, []);
  socket.close();
  c.client.close();
});

test("rebinds with another server when the first is gone for good", async (t) => {
  const c = await dhcpTest(t);
  await c.serve();
  c.open();
  await c.until(1);
  await c.stopServer();
  c.ns.ip("address", "delete", `${KERNEL}/24`, "dev", c.device);
  c.ns.ip("address", "add", "10.77.0.3/24", "dev", c.device);
  await c.serve(RANGE, "--dhcp-authoritative");
  await c.until(2);
  t.is(c.events[1], c.events[0]);
  t.is(c.client.lease!.server, "10.77.0.3");
  t.notRegex(c.log(), /DHCPDISCOVER/);
  c.client.close();
});

test("an expired lease goes; when the server is back, a new one comes", async (t) => {
  const c = await dhcpTest(t, {}, {}, 2 * SPEED);
  await c.serve();
  c.open();
  await c.until(1);
  const address = c.client.lease!.address;
  await c.stopServer();
  await c.until(2);
  t.is(c.events[1], "lost -110");
  t.is(c.ip.addresses.length, 0);
  t.is(c.ip.fib.list().length, 0);
  await c.ns.run("ping", ["-c", "1", "-W", "1", address], { codes: [1] });
  await c.serve();
  await c.until(3);
  t.is(c.events[2], "bound " + address);
  t.regex(c.log(), new RegExp(`DHCPDISCOVER\\(tap0\\) ${address} `));
  c.client.close();
});

test("a server that restarts with its memory goes on, one without NAKs, and a new address comes", async (t) => {
  const c = await dhcpTest(t);
  await c.serve();
  c.open();
  await c.until(1);
  await c.serve();
  await c.until(2);
  t.is(c.events[1], c.events[0]);
  rmSync(c.leaseFile);
  await c.serve("10.77.0.200,10.77.0.209,2m", "--dhcp-authoritative");
  await c.until(4);
  t.is(c.events[2], "lost -111");
  t.regex(c.events[3], /^bound 10\.77\.0\.20\d$/);
  t.regex(c.log(), /DHCPNAK/);
  t.is(c.stack.counters.dhcp!.naks, 1);
  c.client.close();
});

test("a lease of before a restart is asked for first; what the server cannot confirm, it refuses", async (t) => {
  const c = await dhcpTest(t);
  await c.serve();
  const first = c.open();
  await c.until(1);
  const lease = JSON.parse(JSON.stringify(first.lease)) as DhcpLease;
  first.close();
  t.is(c.ip.addresses.length, 0);
  c.open({ lease });
  await c.until(2);
  t.is(c.events[1], c.events[0]);
  t.notRegex(c.log(), /DHCPACK[^]*DHCPDISCOVER/);
  c.client.close();
  c.open({ lease: { ...lease, address: "10.99.0.1" } });
  await c.until(3);
  t.regex(c.log(), /DHCPNAK\(tap0\) 10\.99\.0\.1/);
  t.is(c.events[2], c.events[0]);
  c.client.close();
});

test("a pulled cable: the lease is confirmed when it is back", async (t) => {
  const c = await dhcpTest(t);
  await c.serve("10.77.0.100,10.77.0.110,1h");
  c.open();
  await c.until(1);
  c.nif.carrier(false);
  await sleep(50);
  c.nif.carrier(true);
  await c.until(2);
  t.is(c.events[1], c.events[0]);
  t.true(count(c.log(), /DHCPREQUEST/) >= 2);
  t.notRegex(c.log(), /DHCPACK[^]*DHCPDISCOVER/);
  c.client.close();
});

test("release gives the lease back", async (t) => {
  const c = await dhcpTest(t);
  const server = await c.serve();
  c.open();
  await c.until(1);
  t.not(readFileSync(c.leaseFile, "utf8"), "");
  c.client.release();
  await server.until(/DHCPRELEASE/);
  await server.until(() => readFileSync(c.leaseFile, "utf8") === "");
  t.is(c.ip.addresses.length, 0);
});

test("inform: parameters for an address configured by hand", async (t) => {
  const c = await dhcpTest(t, { address: "10.77.0.2/24" });
  await c.serve(RANGE, "--dhcp-option=option:dns-server,10.77.0.5");
  c.open({ inform: "10.77.0.2" });
  await c.until(1);
  t.deepEqual(c.client.lease!.nameServers, ["10.77.0.5"]);
  t.regex(c.log(), /DHCPINFORM\(tap0\) 10\.77\.0\.2/);
  t.regex(c.log(), /DHCPACK\(tap0\) 10\.77\.0\.2/);
  c.client.close();
});

test("declines an address that another host has, and takes the next", async (t) => {
  const conflicts: string[] = [];
  const detection = acd({ onConflict: (_nif, address) => conflicts.push(address) });
  const c = await dhcpTest(t, { components: [detection] });
  c.ns.ip("address", "add", "10.77.0.100/32", "dev", c.device);
  const mac = Array.from(c.nif.link.mac!, (byte) => byte.toString(16).padStart(2, "0")).join(":");
  await c.serve(RANGE, `--dhcp-host=${mac},10.77.0.100`);
  c.open();
  await c.until(1);
  t.regex(c.events[0], /^bound 10\.77\.0\.1(0[1-9]|10)$/);
  t.regex(c.log(), /DHCPACK\(tap0\) 10\.77\.0\.100[^]*DHCPDECLINE\(tap0\) 10\.77\.0\.100[^]*DHCPDISCOVER/);
  t.deepEqual(conflicts, ["10.77.0.100"]);
  t.is(c.stack.counters.dhcp!.conflicts, 1);
  c.client.close();
});

test("options that do not fit come in the file and sname fields", async (t) => {
  const more = [200, 201, 202, 203, 204, 205, 206, 207];
  const c = await dhcpTest(t, {}, { options: more.map(rawOption) });
  const values = more.map((code, i) => String.fromCharCode(97 + i).repeat(code < 205 ? 50 : 200));
  await c.serve(
    RANGE,
    "--domain=example.org",
    "--dhcp-option=option:dns-server,10.77.0.9",
    ...more.map((code, i) => `--dhcp-option-force=${code},${values[i]}`),
  );
  c.open();
  await c.until(1);
  const { options, nameServers, domain } = c.client.lease!;
  t.deepEqual(
    options.map(({ data }) => Buffer.from(data).toString()),
    values,
  );
  t.deepEqual(nameServers, ["10.77.0.9"]);
  t.is(domain, "example.org");
  t.regex(c.log(), /option: 52 option-overload {2}03/);
  c.client.close();
});

/**
 * The firmware's application: an address by DHCP (or `address=10.0.0.2/24 dns=10.0.0.1`), a page about itself on port 80, and, when it is
 * asked to (`fetch=http://server.lan/ every=600`), a page of somebody else's every so many seconds. Bundled to one ES5 script.
 */
import { bareHost } from "../../ports/bare/index.js";
import type { BareCalls } from "../../ports/bare/index.js";
import { Timer } from "../../stack/core/timers.js";
import { createStack } from "../../stack/index.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { dhcp } from "../../stack/service/dhcp.js";
import { dns } from "../../stack/service/dns.js";
import { tcp } from "../../stack/tcp/tcp.js";
import { udp } from "../../stack/udp/udp.js";
import { fetch } from "./fetch.js";
import type { Fetched } from "./fetch.js";
import { failure, serve } from "./server.js";
import type { Reply } from "./server.js";
import { bytesOf, json } from "./text.js";

/** What main.c has for the application beside the network. */
export interface Device {
  option(name: string): string | undefined;
  /** Bytes: the engine's heap now and at most, RAM that malloc has taken, the C stack at most. */
  memory(): [held: number, peak: number, taken: number, stack: number];
  /** For how long the processor has not slept, ms; a fraction. */
  busy(): number;
  crc32(data: Uint8Array, end: number, crc: number): number;
  /** The number of this boot, kept over restarts and never told twice; undefined: the board cannot keep it. */
  boots(): number | undefined;
  exit(code: number): void;
}

/** All queues and tables of the stack together, and what the queues are made of, bytes. */
const MEMORY = { budget: 131072, chunkSize: 512, maximumPacket: 1500 };
/** Connections at most, those in TIME-WAIT apart. */
const CONNECTIONS = { limit: 8, timeWaitLimit: 8 };
/** Seconds until something is tried again that could not be done. */
const RETRY = 10;
/** The largest answer to /bytes/N. */
const MOST_BYTES = 100_000_000;

export function start(bare: BareCalls, device: Device): void {
  const host = bareHost(bare);
  const ip = ipv4();
  const sockets = tcp(CONNECTIONS);
  const leases = dhcp();
  const server = device.option("dns");
  const names = dns({ servers: server ? [server] : [], entries: 8, bytes: 2048, limit: 4, udpSize: 512 });
  const stack = host.drive(
    createStack(
      host,
      [ethernet(), arp({ limit: 16 }), ip, icmp(), udp({ limit: 6 }), sockets, leases, names],
      MEMORY,
    ),
  );
  const nif = stack.addInterface(host.link());
  const pattern = new Uint8Array(1021);
  for (let i = 0; i < pattern.length; i++) pattern[i] = i * 7 + (i >> 3);

  const started = stack.now();
  const url = device.option("fetch") || "";
  const every = parseInt(device.option("every") || "60", 10);
  const fetches = { succeeded: 0, failed: 0, milliseconds: 0, busy: 0, last: null as Fetched | null };
  let address = "";

  const state = () => {
    const memory = device.memory();
    return {
      uptime: (stack.now() - started) | 0,
      busy: device.busy(),
      address,
      memory: {
        heap: memory[0],
        heapPeak: memory[1],
        ram: memory[2],
        stack: memory[3],
        packets: stack.pool.used,
      },
      fetches,
      counters: stack.counters,
    };
  };

  const answer = (path: string): Reply => {
    if (path === "/") return { status: 200, type: "text/html", body: bytesOf(page(json(state()))) };
    if (path === "/state.json")
      return { status: 200, type: "application/json", body: bytesOf(json(state()) + "\n") };
    if (path.indexOf("/bytes/") !== 0) return failure(404);
    const length = parseInt(path.substring(7), 10);
    if (!(length >= 0 && length <= MOST_BYTES)) return failure(400);
    return { status: 200, type: "application/octet-stream", body: pattern, length };
  };

  /** Does `task` now and, as long as it says so, again in so many seconds; it says 0 when it is done. */
  const repeat = (task: () => number) => {
    const timer = new Timer(() => {
      const delay = task();
      if (delay > 0) stack.timers.set(timer, (stack.now() + delay * 1000) | 0);
    }, null);
    stack.timers.set(timer, stack.now());
  };

  const listen = () => {
    try {
      serve(sockets, answer);
      host.log("serving on port 80");
      return 0;
    } catch (error) {
      host.log("not serving: " + (error as Error).message);
      return RETRY;
    }
  };

  let underway = false;
  const get = () => {
    const begun = stack.now();
    const busy = device.busy();
    if (underway) return every;
    underway = true;
    fetch(sockets, names, url, device.crc32, (result) => {
      underway = false;
      if (result.code === 0) fetches.succeeded++;
      else fetches.failed++;
      fetches.milliseconds = (stack.now() - begun) | 0;
      fetches.busy = device.busy() - busy;
      fetches.last = result;
      host.log("fetched " + json(result));
    });
    return every;
  };

  let fetching = false;
  const configured = (text: string) => {
    if (text !== address) host.log("address " + text);
    address = text;
    if (url && !fetching) {
      fetching = true;
      repeat(get);
    }
  };

  repeat(listen);
  const fixed = device.option("address");
  if (fixed) {
    ip.addAddress(nif, fixed);
    configured(fixed.split("/")[0]);
  } else {
    leases.open(nif, {
      hostname: device.option("hostname") || "firmware",
      delay: 0,
      onBound: (lease) => configured(lease.address),
      onLost: (code) => {
        host.log("address lost: " + code);
        address = "";
      },
    });
  }
  host.log("started, busy " + device.busy() + ", memory " + device.memory().join(" "));
  host.run();
}

function page(text: string): string {
  return (
    "<!DOCTYPE html><meta charset=utf-8><title>anystack</title><h1>A TCP/IP stack on bare metal</h1>" +
    "<p>This page was served by JavaScript on a microcontroller. What it knows about itself:</p><pre>" +
    text.split(",").join(",\n").split("<").join("&lt;") +
    "</pre>\n"
  );
}

/** What the device serves: the page, its live state as JSON, as many bytes as one asks for, and the cable's controls. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Cable, CableOptions } from "./cable.js";
import type { Machine } from "./node.js";
import { LIMITS } from "./options.js";

/** How one gets here. */
export interface Place {
  /** Address of the device, without its prefix; `""` while it has none. */
  address: string;
  /** The gateway's end of the simulated cable, and its door on this machine; absent on a TAP. */
  gateway?: string;
  door?: string;
  cable?: Cable;
  /** The kernel's interface, on a TAP. */
  tap?: string;
  /** The capture file, or `""`. */
  capture: string;
}

/** Bytes of one download at most. */
const MOST = 1e9;
/** What downloads are made of. */
const BLOCK = Buffer.alloc(65536, "anystack ");
/** The longest that the cable is out, ms. */
const UNPLUGGED = 30_000;
/** The answer to "unplug it" has this much time to get through, ms. */
const FAREWELL = 250;

const FILES: Record<string, [file: string, type: string]> = {
  "/": ["page.html", "text/html"],
  "/page.css": ["page.css", "text/css"],
  "/page.js": ["page.js", "text/javascript"],
};

export type State = ReturnType<typeof stateOf>;

/** All that the page shows, as plain data; samples after `since` alone. */
function stateOf(device: Machine, place: Place, started: number, since: number) {
  const { address, gateway, door, tap, capture, cable } = place;
  return {
    /** Milliseconds since 1970, as `started` and those of the samples. */
    time: Date.now(),
    started,
    place: { address, gateway, door, tap, capture },
    cable: cable && { ...cable.options, up: cable.up },
    device: device.report(),
    samples: device.history.since(since),
  };
}

/** The device's web server; `listen` gives it connections. */
export function site(device: Machine, place: Place): Server {
  const started = Date.now();
  const files = new Map<string, { type: string; body: Buffer }>();
  for (const [path, [file, type]] of Object.entries(FILES)) {
    files.set(path, { type, body: readFileSync(new URL(file, import.meta.url)) });
  }
  return createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://device");
    const { method } = request;
    const query = url.searchParams;
    const file = files.get(url.pathname);
    const reads = method === "GET" || method === "HEAD";
    if (file && reads) {
      const type = `${file.type}; charset=utf-8`;
      response.writeHead(200, { "content-type": type, "content-length": file.body.length }).end(file.body);
    } else if (url.pathname === "/state.json" && reads) {
      json(response, stateOf(device, place, started, Number(query.get("since") ?? 0)));
    } else if (url.pathname === "/bytes" && reads) give(response, query.get("n") ?? "", method === "HEAD");
    else if (url.pathname === "/bytes" && (method === "PUT" || method === "POST")) take(request, response);
    else if (url.pathname === "/cable" && method === "POST" && place.cable) {
      adjust(response, query, place.cable);
    } else if (file || ["/state.json", "/bytes", "/cable"].includes(url.pathname)) {
      refuse(response, 405, `${method} is not for this`);
    } else refuse(response, 404, "There is no such page");
  });
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body) + "\n");
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(why + "\n");
}

/** Sends `text` bytes, as fast as they are taken. */
function give(response: ServerResponse, text: string, headOnly: boolean): void {
  let left = Number(text);
  if (text === "" || !(left >= 0 && left <= MOST) || !Number.isInteger(left)) {
    refuse(response, 400, `n: a number from 0 to ${MOST}`);
    return;
  }
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": left });
  if (headOnly) left = 0;
  const pump = () => {
    while (left > 0 && !response.destroyed) {
      const block = left < BLOCK.length ? BLOCK.subarray(0, left) : BLOCK;
      left -= block.length;
      if (!response.write(block)) {
        response.once("drain", pump);
        return;
      }
    }
    response.end();
  };
  pump();
}

/** Takes what is sent and says what it was. */
function take(request: IncomingMessage, response: ServerResponse): void {
  const hash = createHash("sha256");
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    hash.update(chunk);
  });
  request.on("end", () => json(response, { bytes, sha256: hash.digest("hex") }));
}

/** `?delay=MS&rate=MBIT&loss=PERCENT`, each if given; `?unplug=MS` pulls the cable out for so long. */
function adjust(response: ServerResponse, query: URLSearchParams, cable: Cable): void {
  const limits: Record<string, readonly [number, number]> = { ...LIMITS, unplug: [1, UNPLUGGED] };
  const wanted: Record<string, number> = {};
  for (const [name, text] of query) {
    const [low, high] = limits[name] ?? [0, -1];
    const value = Number(text);
    if (text.trim() === "" || !(value >= low && value <= high)) {
      const known = Object.entries(limits).map(([name, [low, high]]) => `${name} ${low} to ${high}`);
      refuse(response, 400, `${name}=${text}: ${known.join(", ")}`);
      return;
    }
    wanted[name] = value;
  }
  const { unplug, ...options } = wanted;
  Object.assign(cable.options, options satisfies Partial<CableOptions>);
  if (unplug) setTimeout(() => cable.unplug(unplug), FAREWELL);
  json(response, cable.options);
}

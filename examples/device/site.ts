/** What the device serves: the page, its live state as JSON, and as many bytes as one asks for. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Server, ServerResponse } from "node:http";
import type { Machine } from "./node.js";

/** Bytes of one download at most. */
const MOST = 1e9;
const BLOCK = Buffer.alloc(65536, "anystack ");

/** The device's web server; it is given to `listen`, which tells it the connections. `story` says where one is. */
export function site(device: Machine, story: string): Server {
  const page = readFileSync(new URL("page.html", import.meta.url));
  return createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://device");
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
    } else if (url.pathname === "/") {
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page);
    } else if (url.pathname === "/state.json") {
      response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
      response.end(JSON.stringify({ time: Date.now(), story, device: device.report() }));
    } else if (url.pathname === "/bytes") bytes(response, url.searchParams.get("n") ?? "");
    else response.writeHead(404, { "content-type": "text/plain" }).end("There is no such page.\n");
  });
}

/** Sends `text` bytes, as fast as they are taken. */
function bytes(response: ServerResponse, text: string): void {
  let left = Number(text);
  if (!(left >= 0 && left <= MOST) || !Number.isInteger(left)) {
    response.writeHead(400, { "content-type": "text/plain" }).end(`n: a number from 0 to ${MOST}\n`);
    return;
  }
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": left });
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

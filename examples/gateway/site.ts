/** The status page: what the gateway knows, as a page and as JSON. It is served to networks behind it. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import {
  inspectAddresses,
  inspectCounters,
  inspectInterfaces,
  inspectMemory,
  inspectNeighbours,
} from "../../stack/inspect.js";
import type { GatewayConfig } from "./config.js";
import type { Gateway } from "./gateway.js";
import { mapped, services } from "./parts/services.js";

const FILES: Record<string, [file: string, type: string]> = {
  "/": ["page.html", "text/html"],
  "/page.css": ["page.css", "text/css"],
  "/page.js": ["page.js", "text/javascript"],
};
/** Flows shown. */
const FLOWS = 40;

/** All that the page shows, as plain data. */
export function report(gateway: Gateway) {
  const { config, parts } = gateway;
  const { stack, four, six, wall, leases, leases6, clock } = parts;
  const addresses = [...inspectAddresses(four), ...inspectAddresses(six)];
  const flows = wall.list();
  return {
    time: Date.now(),
    started: gateway.started,
    domain: config.domain,
    interfaces: inspectInterfaces(stack)
      .filter(({ name }) => name !== "lo" && !name.startsWith("lo0"))
      .map((nif) => ({
        ...nif,
        role: roleOf(config, nif.name),
        addresses: addresses.filter((one) => one.interface === nif.name),
      })),
    uplink: gateway.uplink()?.uplink.sizes() ?? null,
    leases: leases.list(),
    leases6: leases6.list(),
    neighbours: [...inspectNeighbours(parts.neighbours), ...inspectNeighbours(parts.neighbours6)],
    flows: { count: flows.length, limit: config.flows, list: flows.slice(-FLOWS) },
    forwards: [...config.forward.map((one) => ({ ...one, by: "the file" })), ...mapped(gateway)],
    services: services(gateway),
    refused: parts.refused.slice(-12).reverse(),
    memory: inspectMemory(stack),
    clock: clock?.last() ?? null,
    counters: inspectCounters(stack),
  };
}

function roleOf(config: GatewayConfig, name: string): string {
  if (config.wan.some((one) => one.name === name)) return "wan";
  if (name === "clat") return "wan";
  return [...config.tunnels, ...config.wireguard].some((one) => one.name === name) ? "tunnel" : "lan";
}

export type Report = ReturnType<typeof report>;

/** The page's web server; `listen` gives it connections. */
export function site(gateway: Gateway): Server {
  const files = new Map<string, { type: string; body: Buffer }>();
  for (const [path, [file, type]] of Object.entries(FILES)) {
    files.set(path, { type, body: readFileSync(new URL(file, import.meta.url)) });
  }
  return createServer((request, response) => {
    const path = (request.url ?? "/").split("?")[0];
    const file = files.get(path);
    // Names that lead here from elsewhere (DNS rebinding) are no business of ours.
    const host = (request.headers.host ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
    const known =
      /^[\d.]+$/.test(host) ||
      host.includes(":") ||
      host === "gateway" ||
      host === `gateway.${gateway.config.domain}`;
    response.setHeader("x-content-type-options", "nosniff");
    response.setHeader("content-security-policy", "default-src 'self'");
    if (!known) response.writeHead(421).end("There is no such host here\n");
    else if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end("This is for reading alone\n");
    } else if (file) {
      response.writeHead(200, {
        "content-type": `${file.type}; charset=utf-8`,
        "content-length": file.body.length,
      });
      response.end(file.body);
    } else if (path === "/state.json") {
      response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
      response.end(JSON.stringify(report(gateway)) + "\n");
    } else if (path === "/favicon.ico") response.writeHead(204).end();
    else response.writeHead(404, { "content-type": "text/plain" }).end("There is no such page\n");
  });
}

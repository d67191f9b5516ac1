/** `npm run gateway -- FILE`: a router of a small network as one file describes it. SIGHUP, or a change of the file, reloads it. */
import { readFileSync, watch } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { listen } from "../../ports/node/index.js";
import { parseConfig } from "./config.js";
import type { GatewayConfig } from "./config.js";
import { startGateway } from "./gateway.js";
import type { Gateway } from "./gateway.js";
import { ConfigError } from "./json.js";
import { site } from "./site.js";

const USAGE = `Usage: npm run gateway -- [--check] FILE

Runs a gateway as FILE says; docs/gateway.md explains it, examples/gateway/gateway.json is one to start from.
  --check   reads FILE, says what is wrong with it, and ends
`;

const words = process.argv.slice(2);
const check = words[0] === "--check";
const file = words[check ? 1 : 0];
if (!file || file.startsWith("-")) {
  console.error(USAGE);
  process.exit(2);
}

const log = (line: string) => console.log(`${new Date().toISOString()} ${line}`);

/** The configuration, or the reason why there is none. */
function read(): GatewayConfig | string {
  try {
    return parseConfig(readFileSync(file, "utf8"));
  } catch (error) {
    if (error instanceof ConfigError) return `${file}:${error.line}: ${error.reason}`;
    return `${file}: ${(error as Error).message}`;
  }
}

const config = read();
if (typeof config === "string") {
  console.error(config);
  process.exit(2);
}
if (check) {
  console.log(`${file}: good`);
  process.exit(0);
}
config.state = resolve(dirname(file), config.state);

let gateway: Gateway;
try {
  gateway = await startGateway(config, log);
} catch (error) {
  console.error(process.env.NODE_DEBUG ? error : `gateway: ${(error as Error).message}`);
  process.exit(1);
}
if (config.statusPort !== 0) listen(gateway.parts.tcp, { port: config.statusPort }, site(gateway));

async function again(): Promise<void> {
  const next = read();
  if (typeof next === "string") {
    log(`not reloaded: ${next}`);
    return;
  }
  next.state = resolve(dirname(file), next.state);
  try {
    const shut = await gateway.reload(next);
    log(["reloaded", ...shut].join("; but not "));
  } catch (error) {
    log(`not reloaded: ${(error as Error).message}`);
  }
}

let reloading = Promise.resolve();
const reload = () => void (reloading = reloading.then(again));

// An editor writes a file in several steps, or puts another in its place: the folder is watched, and a moment waited.
let soon: NodeJS.Timeout | undefined;
const watcher = watch(dirname(resolve(file)), (_event, name) => {
  if (name !== basename(file)) return;
  clearTimeout(soon);
  soon = setTimeout(reload, 200);
});
process.on("SIGHUP", reload);

function stop(): void {
  watcher.close();
  gateway.close();
  setTimeout(() => process.exit(0), 500).unref();
}
process.once("SIGINT", stop);
process.once("SIGTERM", stop);
const where = config.lan.map((one) => `http://${one.address.split("/")[0]}:${config.statusPort}/`);
log(`ready; status at ${config.statusPort ? where.join(", ") : "no page"}`);

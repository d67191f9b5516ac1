/**
 * `npm start`: a device with a network stack of its own, which serves a page about it.
 *
 * Without a TAP the page comes through two stacks: a browser on this machine talks to the gateway's 127.0.0.1:8080, the gateway's
 * stack talks TCP over a simulated cable to the device's stack, and node:http on the device answers.
 */
import { resolve } from "node:path";
import type { Link } from "../../hypercall/index.js";
import { PcapngWriter, capture, listen, openTap } from "../../ports/node/index.js";
import { cable } from "./cable.js";
import { carry } from "./gateway.js";
import { machine } from "./node.js";
import type { Machine } from "./node.js";
import { USAGE, UsageError, readOptions } from "./options.js";
import type { DeviceOptions } from "./options.js";
import { site } from "./site.js";

const DEVICE = "10.77.0.2";

/** Ends the program with `message`. */
function quit(message: string, code: number): never {
  console.error("anystack: " + message);
  process.exit(code);
}

function read(): DeviceOptions {
  try {
    const options = readOptions(process.argv.slice(2));
    if (options) return options;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(USAGE);
    quit(error.message, 2);
  }
  console.log(USAGE);
  process.exit(0);
}

const options = read();
let writer: PcapngWriter | null = null;

/** Records what passes `link`, where a capture is wanted. */
function recorded(link: Link, name: string): Link {
  if (!options.capture) return link;
  try {
    writer ??= new PcapngWriter(options.capture);
  } catch (error) {
    quit(`--capture ${options.capture}: ${(error as Error).message}`, 1);
  }
  return capture(link, writer, { interfaceName: name });
}

const machines: Machine[] = [];

async function onCable(): Promise<void> {
  const [near, far] = cable(options);
  const gateway = machine("gateway", near, "10.77.0.1/24");
  const device = machine("device", recorded(far, "device"), DEVICE + "/24");
  machines.push(gateway, device);
  const story =
    `This page comes from a device with a TCP/IP stack of its own, ${DEVICE}, written in TypeScript and running in this ` +
    `process. Your connection ends at a gateway on 127.0.0.1, whose stack carries it on over a simulated Ethernet cable: ` +
    `${options.rate} Mbit/s, ${options.delay} ms each way, ${options.loss} % of frames lost.`;
  listen(device.tcp, { port: 80 }, site(device, story));
  let port = options.port;
  try {
    const server = await carry(gateway.tcp, DEVICE, options.port);
    port = (server.address() as { port: number }).port;
  } catch (error) {
    const busy = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    quit(busy ? `port ${options.port} is in use; choose another with --port` : (error as Error).message, 1);
  }
  console.log(`The device serves its page at http://127.0.0.1:${port}/`);
}

function onTap(): void {
  let tap;
  try {
    tap = openTap({ name: options.tap });
  } catch (error) {
    quit(`--tap ${options.tap}: ${(error as Error).message}`, 1);
  }
  const device = machine("device", recorded(tap, options.tap), "");
  machines.push(device);
  const serve = (address: string) => {
    console.log(`The device serves its page at http://${address}/ (interface ${options.tap})`);
  };
  const story = `This page comes from a device with a TCP/IP stack of its own, written in TypeScript, on the kernel's interface ${options.tap}.`;
  listen(device.tcp, { port: 80 }, site(device, story));
  if (options.dhcp) {
    console.log("Asking for an address");
    device.leases.open(device.nif, {
      hostname: "anystack",
      onBound: (lease) => serve(lease.address),
      onLost: () => console.log("The address is gone; asking for another"),
    });
    return;
  }
  try {
    device.ip.addAddress(device.nif, options.address);
    if (options.gateway) device.ip.addRoute("0.0.0.0/0", { gateway: options.gateway });
  } catch (error) {
    quit((error as Error).message, 2);
  }
  serve(options.address.split("/")[0]);
}

function stop(): void {
  for (const each of machines) each.stack.close();
  writer?.close();
  process.exit(0);
}

process.on("SIGINT", stop);
process.on("SIGTERM", stop);
if (options.tap) onTap();
else await onCable();
if (options.capture) console.log(`Frames go to ${resolve(options.capture)}`);
console.log("Ctrl-C ends it.");

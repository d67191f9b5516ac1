/**
 * `npm start`: a device with a network stack of its own, which serves a page about it.
 *
 * Without a TAP the page comes through two stacks: a browser on this machine talks to the gateway's 127.0.0.1:8080, the gateway's
 * stack talks TCP over a simulated cable to the device's stack, and node:http on the device answers.
 */
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import type { Link } from "../../hypercall/index.js";
import { PcapngWriter, capture as captureLink, listen, openTap } from "../../ports/node/index.js";
import { Cable } from "./cable.js";
import { carry } from "./gateway.js";
import { machine } from "./node.js";
import { USAGE, UsageError, readOptions } from "./options.js";
import type { DeviceOptions } from "./options.js";
import { site } from "./site.js";
import type { Place } from "./site.js";

const DEVICE = "10.77.0.2";
const GATEWAY = "10.77.0.1";
/** Bytes at which a capture ends: nobody who leaves this running wants a full disk. */
const CAPTURE_LIMIT = 256 << 20;
/** How long what is still open may take to close, ms. */
const PATIENCE = 1000;

/** What is to be closed at the end, the last first. */
const closers: (() => void)[] = [];

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
/** Where the device's frames go, or `""`. */
const capture = options.capture && resolve(options.capture);

/** Records what passes `link`, where a capture is wanted. */
function recorded(link: Link, name: string): Link {
  if (!capture) return link;
  let writer: PcapngWriter;
  try {
    writer = new PcapngWriter(capture);
  } catch (error) {
    quit(`--capture ${capture}: ${(error as Error).message}`, 1);
  }
  const watch = setInterval(() => {
    if (writer.bytes < CAPTURE_LIMIT && !writer.error) return;
    console.log(`The capture ends here: ${writer.error?.message ?? "it has grown large enough"}`);
    writer.close();
    clearInterval(watch);
  }, 1000);
  watch.unref();
  closers.push(() => {
    clearInterval(watch);
    writer.close();
  });
  return captureLink(link, writer, { interfaceName: name });
}

async function onCable(): Promise<void> {
  const cable = new Cable({ delay: options.delay, rate: options.rate, loss: options.loss });
  const gateway = machine("gateway", cable.ends[0], GATEWAY + "/24");
  closers.push(() => gateway.close());
  const device = machine("device", recorded(cable.ends[1], "device"), DEVICE + "/24");
  closers.push(() => device.close());
  device.history.watch(GATEWAY);
  const place: Place = { address: DEVICE, gateway: GATEWAY, cable, capture };
  const server = listen(device.tcp, { port: 80 }, site(device, place));
  closers.push(() => server.close());
  try {
    const door = await carry(gateway.tcp, DEVICE, options.port);
    closers.push(() => door.close());
    place.door = `127.0.0.1:${(door.server.address() as AddressInfo).port}`;
  } catch (error) {
    const busy = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    quit(busy ? `port ${options.port} is in use; choose another with --port` : (error as Error).message, 1);
  }
  console.log(`The device serves its page at http://${place.door}/`);
}

function onTap(): void {
  let tap;
  try {
    tap = openTap({ name: options.tap });
  } catch (error) {
    quit(`--tap ${options.tap}: ${(error as Error).message}`, 1);
  }
  const device = machine("device", recorded(tap, options.tap), "");
  closers.push(() => device.close());
  const place: Place = { address: "", tap: options.tap, capture };
  const server = listen(device.tcp, { port: 80 }, site(device, place));
  closers.push(() => server.close());
  const serve = (address: string) => {
    place.address = address;
    console.log(`The device serves its page at http://${address}/ (interface ${options.tap})`);
  };
  if (!device.nif.up()) {
    console.log(`The interface is down; as root: ip link set ${options.tap} up`);
  }
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

/** Closes everything; the program ends because nothing is left. A second signal ends it at once. */
function stop(): void {
  process.once("SIGINT", () => process.exit(1));
  process.once("SIGTERM", () => process.exit(1));
  for (const close of closers.reverse()) close();
  setTimeout(() => process.exit(0), PATIENCE).unref();
}

process.once("SIGINT", stop);
process.once("SIGTERM", stop);
if (options.tap) onTap();
else await onCable();
if (capture) console.log(`Frames go to ${capture}`);
console.log("Ctrl-C ends it.");

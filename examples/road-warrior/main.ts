/**
 * `node examples/launch.js examples/road-warrior/main.ts DEVICE ADDRESS ROUTER GATEWAY IDENTITY PSK NETWORK COLLECTOR`: the sensor over a
 * TAP device (needs root). A line `ADDRESS ROUTER` of standard input moves it.
 */
import { createInterface } from "node:readline";
import { openTap } from "../../ports/node/index.js";
import { createSensor } from "./node.js";

const [device, address, router, gateway, identity, psk, network, collector] = process.argv.slice(2);
if (!device || !address || !router || !gateway || !identity || !psk || !network || !collector) {
  console.error("usage: main.ts DEVICE ADDRESS ROUTER GATEWAY IDENTITY PSK NETWORK COLLECTOR");
  console.error(
    "  e.g. tap0 192.168.1.2/24 192.168.1.1 192.0.2.1 sensor.example secret 10.9.0.0/24 10.9.0.1",
  );
  process.exit(2);
}
const sensor = createSensor(openTap({ name: device }), {
  ...{ address, router, gateway, identity, psk, network, collector },
  port: 5000,
  every: 1000,
  log: (line) => console.log(line),
});
createInterface({ input: process.stdin }).on("line", (line) => {
  const [to, by] = line.trim().split(/\s+/);
  if (to && by) sensor.move(to, by);
});
process.once("SIGINT", () => {
  sensor.close();
  process.exit();
});

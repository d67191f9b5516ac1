/**
 * A sensor on bare metal that speaks with one peer, through ESP with static keys and in no other way (RFC 4303, transport mode):
 * `address=10.0.0.2/24 peer=10.0.0.1 key=<64 hex digits> boots=<where the boots are counted> suite=chacha20-poly1305 every=1000`.
 * It sends a reading to UDP port 5000 of the peer every so many milliseconds, and answers pings.
 */
import type { Device } from "../firmware-image/main.js";
import { bytesOf, json } from "../firmware-image/text.js";
import { bareHost } from "../../ports/bare/index.js";
import type { BareCalls } from "../../ports/bare/index.js";
import { fail } from "../../stack/core/errors.js";
import { Timer } from "../../stack/core/timers.js";
import { createStack } from "../../stack/index.js";
import { esp } from "../../stack/ipsec/esp.js";
import { ipsec } from "../../stack/ipsec/ipsec.js";
import { arp } from "../../stack/ipv4/arp.js";
import { icmp } from "../../stack/ipv4/icmp.js";
import { ipv4 } from "../../stack/ipv4/ipv4.js";
import { ethernet } from "../../stack/link/ethernet.js";
import { udp } from "../../stack/udp/udp.js";
import { bootKeys, keyOf } from "./boot-keys.js";

const PORT = 5000;
/** Bytes of the keys, salt included. */
const SIZES: { [suite: string]: number } = { "aes-gcm-16": 20, "chacha20-poly1305": 36 };

export function start(bare: BareCalls, device: Device): void {
  const host = bareHost(bare);
  const ip = ipv4();
  const sockets = udp();
  const security = ipsec();
  const needed = (name: string) => device.option(name) || fail("EINVAL", name);
  const stack = host.drive(
    createStack(host, [ethernet(), arp({ limit: 16 }), ip, icmp(), sockets, security, esp()], {
      packetMemory: 16384,
      chunkSize: 512,
      maximumPacket: 1500,
    }),
  );
  const nif = stack.addInterface(host.link());
  const address = needed("address");
  const peer = needed("peer");
  ip.addAddress(nif, address);

  const encryption = device.option("suite") || "aes-gcm-16";
  const master = keyOf(needed("key"));
  const keys = bootKeys(host.crypto, master, device.boots(), SIZES[encryption] || fail("EINVAL", "suite"));
  const policy = security.addPolicy({ action: "protect", remote: peer });
  const associate = (direction: "in" | "out", key: Uint8Array) =>
    security.addSa({
      direction,
      spi: keys.spi,
      mode: "transport",
      local: address.split("/")[0],
      remote: peer,
      encryption,
      key,
      policy,
    });
  associate("in", keys.inbound);
  associate("out", keys.outbound);
  keys.erase();

  const socket = sockets.open({ port: PORT });
  const every = parseInt(device.option("every") || "1000", 10);
  let count = 0;
  const timer = new Timer(() => {
    stack.timers.set(timer, (stack.now() + every) | 0);
    const { esp: packets, ipsec: policies } = stack.counters;
    const state = { busy: device.busy(), memory: device.memory(), esp: packets, ipsec: policies };
    const reading = bytesOf(json({ reading: ++count, spi: keys.spi, state }));
    const code = socket.sendTo(peer, PORT, reading);
    if (code < 0) host.log("reading " + count + ": " + code);
  }, null);
  stack.timers.set(timer, stack.now());
  host.log("started, spi " + keys.spi + ", memory " + device.memory().join(" "));
  host.run();
}

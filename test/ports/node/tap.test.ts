import { execFileSync, spawnSync } from "node:child_process";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import test from "ava";
import { CHECKSUM_PARTIAL, SEGMENT_NONE, SEGMENT_TCP4 } from "../../../hypercall/index.js";
import type { LinkReceiver, TransmitOffload } from "../../../hypercall/index.js";
import { openTap } from "../../../ports/node/index.js";
import type { TapOptions, TunLink } from "../../../ports/node/index.js";
import { need } from "../../support/need.js";
import { until } from "../../support/until.js";
import { namespace } from "./namespace.js";
import type { Namespace } from "./namespace.js";
import { Responder } from "./responder.js";

const silent: LinkReceiver = { receive() {}, carrier() {}, writable() {}, lost() {} };

/** Opens a device in `ns` that is closed with the test. */
function open(
  t: { teardown(f: () => void): void },
  ns: Namespace,
  options: Partial<TapOptions> = {},
): TunLink {
  const link = openTap({ name: "tap0", netns: ns.name, ...options });
  t.teardown(() => link.close());
  return link;
}

for (const mode of ["tap", "tun"] as const) {
  for (const offloads of [false, true]) {
    test.serial(
      `the kernel pings us over ${mode}${offloads ? " with virtio-net headers" : ""}`,
      async (t) => {
        const ns = namespace(t, ["ping"]);
        if (!ns) return;
        const link = open(t, ns, { mode, offloads });
        t.is(link.medium, mode === "tap" ? "ethernet" : "ip");
        t.is(link.mtu, 1500);
        const responder = new Responder(link, [10, 99, 0, 2]);
        t.deepEqual(responder.carriers, [false], "the interface is not up yet");
        ns.ip("address add 10.99.0.1/24 dev tap0");
        ns.ip("link set tap0 up");
        await responder.carrierReports(2);
        t.deepEqual(responder.carriers, [false, true]);
        t.regex(
          await ns.run("ping", "-q", "-n", "-f", "-c", "300", "-w", "60", "10.99.0.2"),
          / 300 received/,
        );
        t.regex(
          await ns.run("ping", "-q", "-n", "-c", "3", "-w", "60", "-i", "0.01", "-s", "1472", "10.99.0.2"),
          / 3 received/,
        );
        t.true(responder.echoes >= 303);
        t.is(link.transmitErrors, 0);
        if (mode === "tap") {
          const mac = Array.from(link.mac!, (byte) => byte.toString(16).padStart(2, "0")).join(":");
          t.true(ns.ip("neighbour show 10.99.0.2").includes(mac));
        } else t.is(link.mac, undefined);
      },
    );
  }
}

test.serial("the kernel leaves us the checksums of what it sends, if we take offloads", async (t) => {
  const ns = namespace(t, ["bash"]);
  if (!ns) return;
  for (const offloads of [false, true]) {
    const link = open(t, ns, { mode: "tun", offloads });
    const responder = new Responder(link, [10, 99, 0, 2]);
    ns.ip("address add 10.99.0.1/24 dev tap0");
    ns.ip("link set tap0 up");
    await responder.carrierReports(2);
    await ns.run("bash", "-c", "echo frame > /dev/udp/10.99.0.2/9");
    while (responder.frames === 0) await turn();
    t.is(responder.checksums[CHECKSUM_PARTIAL], offloads ? 1 : 0);
    link.close();
  }
});

/** An Ethernet frame of IPv4 and TCP whose checksum field holds the pseudo-header's sum. */
function tcpFrame(payload: number, flags: number): Buffer {
  const frame = Buffer.alloc(54 + payload, 0x5a);
  frame.write("0200000000bb0200000000aa0800", 0, "hex");
  frame.write("4500000001230000400600000101010102020202", 14, "hex");
  frame.write("0050c0000000100000000000500020000000" + "0000", 34, "hex");
  frame.writeUInt16BE(40 + payload, 16);
  frame[47] = flags;
  frame.writeUInt16BE(sum(frame, 14, 34) ^ 0xffff, 24);
  frame.writeUInt16BE(fold(sum(frame, 26, 34) + 6 + 20 + payload), 50);
  return frame;
}

function fold(value: number): number {
  while (value > 0xffff) value = (value & 0xffff) + (value >>> 16);
  return value;
}

function sum(bytes: Buffer, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) value += (at - start) % 2 ? bytes[at] : bytes[at] << 8;
  return fold(value);
}

/** The sum over pseudo-header and TCP segment: 0xffff when the checksum is right. */
function tcpSum(frame: Buffer): number {
  const length = frame.readUInt16BE(16) - 20;
  return fold(sum(frame, 26, 34) + 6 + length + sum(frame, 34, 34 + length));
}

test.serial(
  "what we leave to the kernel is done: checksums and segments, as the far end of a bridge sees",
  async (t) => {
    const ns = namespace(t);
    if (!ns) return;
    const near = open(t, ns, { name: "near", offloads: true });
    const far = open(t, ns, { name: "far" });
    ns.ip("link add bridge type bridge stp_state 0 mcast_snooping 0 forward_delay 0");
    for (const name of ["near", "far"]) ns.ip(`link set ${name} master bridge`);
    for (const name of ["near", "far", "bridge"]) ns.ip(`link set ${name} up`);
    near.open(silent);
    let arrived: Buffer[] = [];
    far.open({
      ...silent,
      receive: (frame, start, end) => arrived.push(Buffer.from(frame.subarray(start, end))),
    });
    const offload: TransmitOffload = {
      checksumStart: 34,
      checksumOffset: 16,
      segment: SEGMENT_NONE,
      segmentSize: 0,
      headerLength: 54,
    };
    const send = async (frame: Buffer, headroom: number, count: number): Promise<Buffer[]> => {
      arrived = [];
      const buffer = Buffer.concat([Buffer.alloc(headroom, 0xcc), frame, Buffer.alloc(3)]);
      const before = Buffer.from(buffer);
      t.is(near.transmit(buffer, headroom, headroom + frame.length, offload), 0);
      t.deepEqual(buffer, before, "borrowed bytes are as they were");
      while (arrived.length < count) await turn();
      return arrived;
    };
    const ACK_PSH_FIN_CWR = 0x99;
    for (const headroom of [0, 9, 10, 64]) {
      offload.segment = SEGMENT_NONE;
      const whole = tcpFrame(101, 0x10);
      const [frame] = await send(whole, headroom, 1);
      t.is(frame.length, whole.length);
      t.is(tcpSum(frame), 0xffff);

      offload.segment = SEGMENT_TCP4;
      offload.segmentSize = 1460;
      const segments = await send(tcpFrame(5000, ACK_PSH_FIN_CWR), headroom, 4);
      t.deepEqual(
        segments.map((segment) => segment.length - 54),
        [1460, 1460, 1460, 620],
      );
      t.deepEqual(
        segments.map((segment) => segment.readUInt32BE(38)),
        [0x1000, 0x1000 + 1460, 0x1000 + 2920, 0x1000 + 4380],
      );
      t.deepEqual(
        segments.map((segment) => segment[47]),
        [0x90, 0x10, 0x10, 0x19],
      );
      for (const segment of segments) {
        t.is(tcpSum(segment), 0xffff);
        t.is(sum(segment, 14, 34), 0xffff);
      }
    }
    const largest = tcpFrame(near.offloads!.segmentation! - 40, 0x10);
    t.is(
      (await send(largest, 10, 45)).reduce((bytes, segment) => bytes + segment.length - 54, 0),
      65495,
    );
    t.is(near.transmitErrors, 0);
  },
);

test.serial("an interface that goes down takes the carrier with it, and brings it back", async (t) => {
  const ns = namespace(t);
  if (!ns) return;
  const link = open(t, ns);
  ns.ip("link set tap0 up");
  const responder = new Responder(link, [10, 99, 0, 2]);
  t.deepEqual(responder.carriers, []);
  const frame = new Uint8Array(60);
  t.is(link.transmit(frame, 0, 60, null), 0);
  t.is(link.transmitErrors, 0);
  for (let round = 1; round <= 2; round++) {
    ns.ip("link set tap0 down");
    t.is(link.transmit(frame, 0, 60, null), 0, "lost, as on any cable that is pulled");
    t.is(link.transmitErrors, round);
    await responder.carrierReports(2 * round - 1);
    ns.ip("link set tap0 up");
    await responder.carrierReports(2 * round);
  }
  t.deepEqual(responder.carriers, [false, true, false, true]);
});

test.serial("a device that is deleted: the carrier is gone for good, and nothing throws", async (t) => {
  const ns = namespace(t);
  if (!ns) return;
  const link = open(t, ns);
  ns.ip("link set tap0 up");
  const responder = new Responder(link, [10, 99, 0, 2]);
  ns.ip("link delete tap0");
  await responder.carrierReports(1);
  t.deepEqual(responder.carriers, [false]);
  t.is(link.failure?.code, "EBADFD");
  t.is(link.transmit(new Uint8Array(60), 0, 60, null), 0);
  t.is(link.transmitErrors, 1);
  link.close();
  link.close();
});

test.serial("back-pressure: -1 while the kernel holds our frames, then writable()", async (t) => {
  const ns = namespace(t, ["tc"]);
  if (!ns) return;
  const link = open(t, ns, { sendBuffer: 20000 });
  // Our frames wait in the shaper of another interface and stay on our account.
  ns.ip("link add one type veth peer name two");
  ns.ip("link add bridge type bridge stp_state 0 mcast_snooping 0 forward_delay 0");
  for (const name of ["tap0", "one"]) ns.ip(`link set ${name} master bridge`);
  for (const name of ["tap0", "one", "two", "bridge"]) ns.ip(`link set ${name} up`);
  await ns.run("tc", ..."qdisc add dev one root tbf rate 4mbit burst 2000 limit 1000000".split(" "));
  // On a busy machine the bridge hears late that its ports have a carrier; until then it drops what comes.
  for (const name of ["tap0", "one"])
    await until("the port", () => ns.ip(`-d link show ${name}`).includes(" state forwarding "));
  let writables = 0;
  link.open({ ...silent, writable: () => writables++ });
  const frame = new Uint8Array(1514).fill(2);
  frame.set([4, 2, 2, 2, 2, 2, 0x88, 0xb5], 6);
  let sent = 0;
  while (link.transmit(frame, 0, 1514, null) === 0) if (++sent > 1000) return t.fail("no back-pressure");
  t.true(sent > 0);
  t.is(link.transmit(frame, 0, 1514, null), -1);
  t.is(writables, 0, "never from inside transmit");
  while (writables === 0) await turn();
  t.is(link.transmit(frame, 0, 1514, null), 0);
  t.is(writables, 1);
  t.is(link.transmitErrors, 0);
});

test.serial("a queue full of frames is taken in batches: the event loop turns between them", async (t) => {
  const ns = namespace(t, ["bash"]);
  if (!ns) return;
  const link = open(t, ns, { mode: "tun" });
  ns.ip("address add 10.99.0.1/24 dev tap0");
  ns.ip("link set tap0 up");
  await ns.run("bash", "-c", "for ((i = 0; i < 300; i++)); do echo $i > /dev/udp/10.99.0.2/9; done");
  let frames = 0;
  link.open({ ...silent, receive: () => frames++ });
  let before = 0;
  let most = 0;
  while (frames < 300) {
    await turn();
    most = Math.max(most, frames - before);
    before = frames;
  }
  t.is(most, 64);
});

test.serial("a link may be closed from inside receive", async (t) => {
  const ns = namespace(t, ["bash"]);
  if (!ns) return;
  const link = open(t, ns, { mode: "tun" });
  ns.ip("address add 10.99.0.1/24 dev tap0");
  ns.ip("link set tap0 up");
  await ns.run("bash", "-c", "for ((i = 0; i < 9; i++)); do echo $i > /dev/udp/10.99.0.2/9; done");
  let frames = 0;
  await new Promise<void>((resolve) =>
    link.open({
      ...silent,
      receive() {
        frames++;
        link.close();
        resolve();
      },
    }),
  );
  await turn();
  t.is(frames, 1);
  t.is(link.transmit(new Uint8Array(60), 0, 60, null), 0);
  t.throws(() => link.open(silent), { code: "EBADF" });
  t.throws(() => ns.ip("link show tap0"), undefined, "the device went with its descriptor");
});

test.serial("the MTU is the device's, or is set", (t) => {
  const ns = namespace(t);
  if (!ns) return;
  const link = open(t, ns, { mtu: 9000 });
  t.is(link.mtu, 9000);
  t.regex(ns.ip("link show tap0"), /mtu 9000/);
  const numbered = open(t, ns, { name: "any%d" });
  t.is(numbered.name, "any0");
});

test.serial("errors have codes", (t) => {
  const ns = namespace(t);
  if (!ns) return;
  const link = open(t, ns);
  t.throws(() => open(t, ns), { code: "EBUSY" });
  t.throws(() => open(t, ns, { mode: "tun" }), { code: "EINVAL" });
  link.open(silent);
  t.throws(() => link.open(silent), { code: "EALREADY" });
  const kernel = /link\/ether (\S+)/.exec(ns.ip("link show tap0"))![1];
  link.close();
  ns.ip(`tuntap add dev tap1 mode tap`);
  ns.ip(`link set tap1 address ${kernel}`);
  t.throws(() => open(t, ns, { name: "tap1", mac: kernel }), { code: "EADDRINUSE" });
  t.throws(() => openTap({ name: "tap0", netns: "anystack-no-such" }), { code: "ENOENT" });
  for (const name of ["", "a/b", "a b", "sixteen-letters-"])
    t.throws(() => openTap({ name }), { code: "EINVAL" });
  t.throws(() => openTap({ name: "tap0", mode: "top" as never }), { code: "EINVAL" });
});

const PORT = fileURLToPath(new URL("../../../ports/node/tap.ts", import.meta.url));

/** Runs a module in a process of its own. */
function runModule(source: string): { status: number | null; output: string } {
  const parameters = ["--import=tsx", "--input-type=module", "--eval", source];
  const { status, stdout, stderr } = spawnSync(process.execPath, parameters, {
    encoding: "utf8",
    timeout: 60000,
  });
  return { status, output: stdout + stderr };
}

test("without koffi there is an error that says what to do", (t) => {
  if (!need(t, { files: ["/proc/version"] })) return;
  const { output } = runModule(`
    import Module from "node:module";
    const load = Module._load;
    Module._load = (name, ...rest) => {
      if (name === "koffi") throw new Error("Cannot find module");
      return load(name, ...rest);
    };
    const { openTap } = await import(${JSON.stringify(PORT)});
    try { openTap({ name: "tap0" }); } catch (error) { console.log(error.code, error.message, error.cause.message); }
  `);
  t.regex(output, /^ENOENT .*npm install koffi.*tap-launcher\.pl.* Cannot find module$/m);
});

test.serial(
  "an open link keeps the process, an unreferenced one does not, and process.exit never hangs",
  (t) => {
    const ns = namespace(t);
    if (!ns) return;
    const module = (action: string): string => `
    import { openTap } from ${JSON.stringify(PORT)};
    const link = openTap({ name: "tap0", netns: ${JSON.stringify(ns.name)} });
    link.open({ receive() {}, carrier() {}, writable() {}, lost() {} });
    process.on("exit", (code) => console.log("exit", code));
    ${action}
  `;
    t.deepEqual(runModule(module("setTimeout(() => process.exit(7), 50)")), {
      status: 7,
      output: "exit 7\n",
    });
    t.deepEqual(runModule(module("link.unref()")), { status: 0, output: "exit 0\n" });
    t.deepEqual(runModule(module("setTimeout(() => { console.log('open'); link.close(); }, 50).unref()")), {
      status: 0,
      output: "open\nexit 0\n",
    });
  },
);

test.serial("a worker with an open link can be terminated", (t) => {
  const ns = namespace(t);
  if (!ns) return;
  const worker = `
    import { parentPort } from "node:worker_threads";
    import { register } from "tsx/esm/api";
    register();
    const { openTap } = await import(${JSON.stringify(PORT)});
    openTap({ name: "tap0", netns: ${JSON.stringify(ns.name)} }).open({ receive() {}, carrier() {}, writable() {}, lost() {} });
    parentPort.postMessage("open");
  `;
  const result = runModule(`
    import { Worker } from "node:worker_threads";
    const worker = new Worker(${JSON.stringify(worker)}, { eval: true });
    worker.on("error", (error) => console.log(error));
    worker.on("message", async () => { await worker.terminate(); console.log("terminated"); });
  `);
  t.deepEqual(result, { status: 0, output: "terminated\n" });
});

test.serial("the descriptor is not inherited by programs that we start", (t) => {
  const ns = namespace(t);
  if (!ns) return;
  const link = open(t, ns);
  link.open(silent);
  const held = execFileSync("sh", ["-c", "ls -l /proc/self/fd"], { encoding: "utf8" });
  t.notRegex(held, /net\/tun/);
});

/** The kernel's ping against our echo: every kind of size, and a flood. */
import { randomFillSync } from "node:crypto";
import test from "ava";
import { EHOSTUNREACH, errorName } from "../../../stack/index.js";
import { ping } from "../../../stack/raw/ping.js";
import type { EchoReply } from "../../../stack/raw/ping.js";
import { createHost, KERNEL, OURS } from "../support/host.js";
import type { HostOptions } from "../support/host.js";
import { floodFrom } from "../support/ping.js";

/** The largest payload of an echo request: 65535 less 20 of the IPv4 header and 8 of ICMP's. */
const LARGEST = 65507;

/** Sizes from `first` to `last`: the small ones, those around each fragment's boundary and each power of two, and a spread. */
function sizes(first: number, last: number): number[] {
  const chosen = new Set<number>();
  for (let size = 0; size <= 40; size++) chosen.add(size);
  for (let power = 6; power < 16; power++) for (const by of [-1, 0, 1]) chosen.add(2 ** power + by);
  for (let end = 1480; end <= 65535; end += 1480) for (let by = -10; by <= 2; by++) chosen.add(end + by);
  for (let size = 0; size <= LARGEST; size += 997) chosen.add(size);
  chosen.add(LARGEST - 1).add(LARGEST);
  return [...chosen].filter((size) => size >= first && size <= last).sort((a, b) => a - b);
}

/**
 * `$1`: the target, `$2`: more options, then the sizes. Prints what goes wrong. ping itself compares the bytes. One ping a run:
 * after an answer it would not wait for the next one longer than twice the first one's time.
 */
const PING_SIZES = `
target=$1 options=$2
shift 2
for size; do
  output=$(ping -q -n -c 1 -W 5 $options -s $size $target 2>&1)
  case $output in
    *wrong*) echo "$size: $output" ;;
    *" 1 received, 0% packet loss"*) ;;
    *) echo "$size: $output" ;;
  esac
done
`;

const VARIANTS: [string, HostOptions][] = [
  ["TAP", {}],
  ["TAP with offloads", { offloads: true }],
  ["TUN", { mode: "tun" }],
];

for (const [name, options] of VARIANTS) {
  test(`ping of sizes 0 to 65,507 over ${name}`, async (t) => {
    const { ns, stack } = await createHost(t, { ...options, captureLimit: 64 << 20 });
    const all = sizes(0, LARGEST);
    const { stdout } = await ns.run("sh", ["-c", PING_SIZES, "sh", OURS, "", ...all.map(String)], {
      timeout: 120_000,
    });
    t.is(stdout, "");
    t.is(stack.counters.icmp!.echoRequests, all.length);
  });
}

test("ping that may not be fragmented, up to the MTU", async (t) => {
  const { ns, stack } = await createHost(t);
  const all = sizes(0, 1472);
  const { stdout } = await ns.run("sh", ["-c", PING_SIZES, "sh", OURS, "-M do", ...all.map(String)]);
  t.is(stdout, "");
  t.is(stack.counters.icmp!.echoRequests, all.length);
});

test("ping over the smallest and the largest MTU", async (t) => {
  for (const [mtu, device] of [
    [68, "tap0"],
    [65521, "tap1"],
  ] as const) {
    const { ns } = await createHost(t, { mtu, device });
    const options = ["-q", "-c", "1", "-W", "5", "-S", "1000000"];
    for (const size of ["0", "40", "41", "1000", "1472", String(LARGEST)]) {
      // With an MTU of 68 the largest would be 1366 fragments, more than anyone puts together.
      if (mtu === 68 && Number(size) > 1000) continue;
      const { stdout } = await ns.run("ping", [...options, "-s", size, OURS], { codes: null });
      t.regex(stdout, / 1 received, 0% packet loss/, `${size} bytes, MTU ${mtu}`);
    }
  }
});

for (const size of [56, 8192, LARGEST]) {
  test(`flood of 10,000 pings of ${size} bytes`, async (t) => {
    const { ns, stack } = await createHost(t);
    await floodFrom(t, ns, OURS, { count: 10_000, size });
    t.true(stack.counters.icmp!.echoRequests! >= 10_000);
  });
}

test("we ping the kernel, of all kinds of sizes; and whom it cannot reach", async (t) => {
  const echoes = ping();
  await createHost(t, { components: [echoes], stack: { packetMemory: 4 << 20 }, captureLimit: 64 << 20 });
  const noise = randomFillSync(new Uint8Array(LARGEST));
  const all = sizes(0, LARGEST);
  for (const size of all) {
    const data = noise.subarray(0, size);
    const { address, data: back } = await new Promise<EchoReply>((resolve, reject) => {
      const onError = (code: number) => reject(new Error(errorName(code)));
      const socket = echoes.open({
        address: KERNEL,
        receiveBuffer: 1 << 20,
        onError,
        onReply(reply) {
          socket.close();
          resolve(reply);
        },
      });
      t.true(socket.send(data) >= 0);
    });
    t.true(address === KERNEL && Buffer.compare(back, data) === 0, `${size} bytes`);
  }
  const gone = await new Promise<number>((resolve) => {
    const socket = echoes.open({
      address: "10.77.0.99",
      onReply: () => t.fail(),
      onError(code) {
        socket.close();
        resolve(code);
      },
    });
    socket.send();
  });
  t.is(gone, EHOSTUNREACH);
});

/** What tshark says of our captures, and that it would say so if something were wrong. */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "ava";
import { udpClient, udpEcho } from "../support/apps.js";
import { createHost, OURS } from "../support/host.js";
import { examine } from "../support/judge.js";
import { run } from "../support/process.js";

for (const offloads of [false, true]) {
  test(`every kind of damage is found in a capture ${offloads ? "with" : "without"} offloads`, async (t) => {
    const { ns, udp, capture } = await createHost(t, { offloads });
    const socket = udpEcho(udp, 7);
    await udpClient(ns, "sweep", OURS, 7, 1, 100, 102, 2000, 2000);
    await ns.run("ping", ["-c", "1", "-s", "100", OURS]);
    socket.close();
    const sound = await examine(capture);
    t.deepEqual(sound.findings, []);
    t.true(sound.frames >= 14);

    const bytes = readFileSync(capture);
    const damaged = join(dirname(capture), "damaged.pcapng");
    /** Damages our first frame for which `pick` holds, and lists what tshark finds; `at` counts from the IP header. */
    const damage = async (pick: (ip: Buffer) => boolean, change: (ip: Buffer) => void) => {
      const copy = Buffer.from(bytes);
      for (let at = 0; at < copy.length; at += copy.readUInt32BE(at + 4)) {
        if (copy.readUInt32BE(at) !== 6) continue;
        const length = copy.readUInt32BE(at + 20);
        const ip = copy.subarray(at + 28 + 14, at + 28 + length);
        const ours = ip.subarray(12, 16).join(".") === OURS;
        if (!ours || ip[0] !== 0x45 || !pick(ip)) continue;
        change(ip);
        break;
      }
      t.notDeepEqual(copy, bytes);
      writeFileSync(damaged, copy);
      return (await examine(damaged)).findings;
    };
    const udpOnly = (ip: Buffer) => ip[9] === 17 && (ip.readUInt16BE(6) & 0x3fff) === 0;
    const fragment = (ip: Buffer) => ip[9] === 17 && ip.readUInt16BE(6) === 0x2000;
    const flip = (at: number) => (ip: Buffer) => void (ip[at]! ^= 1);

    for (const [what, findings] of [
      ["IPv4 checksum", await damage(udpOnly, flip(10))],
      ["UDP checksum", await damage(udpOnly, flip(26))],
      ["UDP payload", await damage(udpOnly, flip(100))],
      ["payload of a fragment", await damage(fragment, flip(100))],
      ["ICMP payload", await damage((ip) => ip[9] === 1, flip(100))],
      ["UDP length", await damage(udpOnly, (ip) => ip.writeUInt16BE(2000, 24))],
      ["IPv4 length", await damage(udpOnly, (ip) => ip.writeUInt16BE(1499, 2))],
      ["header length", await damage(udpOnly, (ip) => ip.writeUInt8(0x44, 0))],
    ] as const) {
      const seen = findings.some(({ ours }) => ours);
      t.true(seen, `${what}: ${JSON.stringify(findings)}`);
    }
  });
}

test("a capture is readable at any moment while it grows", async (t) => {
  const { ns, capture, stack } = await createHost(t);
  const ping = ns.start("ping", ["-q", "-i", "0.002", "-s", "1400", OURS]);
  let last = 0;
  for (let i = 0; i < 4; i++) {
    await ping.until(() => stack.counters.icmp!.echoRequests! * 2 > last);
    const { stdout, stderr } = await run("tshark", [
      "-n",
      "-r",
      capture,
      "-T",
      "fields",
      "-e",
      "frame.number",
    ]);
    const frames = stdout.trim().split("\n").length;
    t.true(frames > last, `${frames} frames after ${last}`);
    // A block that was cut would be told here.
    t.is(stderr.replace(/^Running as user "root".*\n/, ""), "");
    last = frames;
  }
  await ping.stop();
});

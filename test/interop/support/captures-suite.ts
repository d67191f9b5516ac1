/** What tshark says of our captures, and that it would say so if something were wrong: whichever family the host has. */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { udpClient, udpEcho } from "./apps.js";
import type { CabledHost, HostOptions } from "./host.js";
import { examine } from "./judge.js";
import { run } from "./process.js";

/** Which of our packets is damaged, and how; both see it from the IP header on. */
export type Damage = [what: string, pick: (ip: Buffer) => boolean, change: (ip: Buffer) => void];

export interface CapturesSuite<H extends CabledHost> {
  create(t: ExecutionContext, options: HostOptions): Promise<H>;
  ours: string;
  /** Is the packet ours, and of this family? */
  isOurs(ip: Buffer): boolean;
  damages: Damage[];
  /** Links whose captures are damaged: with offloads, or without. */
  offloads: boolean[];
  /** The counters of echo requests. */
  icmp: string;
}

/** Flips a bit of the byte at that offset. */
export const flip = (at: number) => (ip: Buffer) => void (ip[at]! ^= 1);

/** Declares the tests. */
export function capturesSuite<H extends CabledHost>(suite: CapturesSuite<H>): void {
  const { create, ours, isOurs, damages, icmp } = suite;

  for (const offloads of suite.offloads) {
    test(`every kind of damage is found in a capture ${offloads ? "with" : "without"} offloads`, async (t) => {
      const { ns, udp, capture } = await create(t, { offloads });
      const socket = udpEcho(udp, 7);
      await udpClient(ns, "sweep", ours, 7, 1, 100, 102, 2000, 2000);
      await ns.run("ping", ["-c", "1", "-s", "100", ours]);
      socket.close();
      const sound = await examine(capture);
      t.deepEqual(sound.findings, []);
      t.true(sound.frames >= 14);

      const bytes = readFileSync(capture);
      const damaged = join(dirname(capture), "damaged.pcapng");
      for (const [what, pick, change] of damages) {
        const copy = Buffer.from(bytes);
        for (let at = 0; at < copy.length; at += copy.readUInt32BE(at + 4)) {
          if (copy.readUInt32BE(at) !== 6) continue;
          const length = copy.readUInt32BE(at + 20);
          const ip = copy.subarray(at + 28 + 14, at + 28 + length);
          if (!isOurs(ip) || !pick(ip)) continue;
          change(ip);
          break;
        }
        t.notDeepEqual(copy, bytes, what);
        writeFileSync(damaged, copy);
        const { findings } = await examine(damaged);
        t.true(
          findings.some((finding) => finding.ours),
          `${what}: ${JSON.stringify(findings)}`,
        );
      }
    });
  }

  test("a capture is readable at any moment while it grows", async (t) => {
    const { ns, capture, stack } = await create(t, {});
    const ping = ns.start("ping", ["-q", "-i", "0.002", "-s", "1400", ours]);
    let last = 0;
    for (let i = 0; i < 4; i++) {
      await ping.until(() => stack.counters[icmp]!.echoRequests! * 2 > last);
      const fields = ["-T", "fields", "-e", "frame.number"];
      const { stdout, stderr } = await run("tshark", ["-n", "-r", capture, ...fields]);
      const frames = stdout.trim().split("\n").length;
      t.true(frames > last, `${frames} frames after ${last}`);
      // A block that was cut would be told here.
      t.is(stderr.replace(/^Running as user "root".*\n/, ""), "");
      last = frames;
    }
    await ping.stop();
  });
}

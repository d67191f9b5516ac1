import { spawnSync } from "node:child_process";
import test from "ava";
import { ROOT } from "../support/files.js";

test("the quick benchmark, made tiny, has a rate for each workload that lwIP is measured by", (t) => {
  t.timeout(300_000, "on a machine with much else to do");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      "examples/launch.js",
      "test/bench/run.ts",
      "--json",
      "--quick",
      "--rounds=1",
      "--milliseconds=20",
      "--seconds=250",
      "--without-lwip",
      "--without-kernel",
    ],
    { cwd: ROOT, encoding: "utf8" },
  );
  t.is(status, 0, stderr);
  const { rows } = JSON.parse(stdout) as {
    rows: { work: string; ours: number; lwip: number | null; note: string }[];
  };
  for (const work of ["tcp-bulk", "tcp-rr", "udp-echo-64", "udp-echo-1400", "tcp-connect"]) {
    const row = rows.find((each) => each.work === work);
    t.true(row !== undefined && row.ours > 0, work);
    t.is(row!.lwip, null, "lwIP has not been asked for");
    t.truthy(row!.note, "why there is no figure of lwIP");
    t.true(rows.find((each) => each.work === `garbage-${work}`)!.ours >= 0, `garbage of ${work}`);
  }
  for (const work of ["boot", "memory-stack", "memory-connection", "connections-100", "timers-100"]) {
    t.true(rows.find((each) => each.work === work)!.ours > 0, work);
  }
});

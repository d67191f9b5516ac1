/** A part of the campaign (see run.ts) runs with the tests; and its judge is judged. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import test from "ava";
import { createWorld } from "../../ports/sim/index.js";
import { ROOT } from "../support/files.js";
import { runPlan } from "./campaign.js";
import { makePlan } from "./plan.js";
import type { EndPlan } from "./plan.js";
import { StreamEnd } from "./stream.js";

for (let first = 1; first <= 31; first += 10) {
  test(`seeds ${first} to ${first + 9}`, (t) => {
    for (let seed = first; seed < first + 10; seed++) {
      t.deepEqual(runPlan(makePlan(seed)).failures, [], `npm run sim -- --seeds 1 --seed ${seed}`);
    }
  });
}

test("equal seeds give equal traces, byte for byte", (t) => {
  const digests = [4, 5, 6, 4, 5, 6].map((seed) => runPlan(makePlan(seed)).digest);
  t.deepEqual(digests.slice(3), digests.slice(0, 3));
  t.is(new Set(digests).size, 3);
});

test("plans differ, and follow from their seed alone", (t) => {
  t.deepEqual(makePlan(7), makePlan(7));
  const plans = Array.from({ length: 200 }, (_, i) => makePlan(i));
  t.is(new Set(plans.map((plan) => JSON.stringify(plan))).size, 200);
  t.deepEqual([...new Set(plans.map(({ topology }) => topology))].sort(), ["hub", "switch", "tree", "wire"]);
  t.is(new Set(plans.flatMap(({ faults }) => faults.map(({ kind }) => kind))).size, 16);
});

/** Two ends of a stream of which each has sent and received 10 bytes and come to a good end. */
function ends() {
  const plan: EndPlan = {
    total: 10,
    piece: 10,
    readSize: 10,
    readDelay: 0,
    breakAt: -1,
    breakBy: "abort",
    noDelay: false,
  };
  const world = createWorld();
  const near = new StreamEnd(world, "near", plan, 0, 100);
  const far = new StreamEnd(world, "far", plan, 100, 0);
  for (const end of [near, far]) {
    Object.assign(end, { sent: 10, received: 10, finished: true, ended: true, closed: 0 });
  }
  return { near, far, judge: (gentle = true) => [...near.judge(far, gentle), ...far.judge(near, gentle)] };
}

test("the judge passes what is right", (t) => {
  t.deepEqual(ends().judge(), []);
  const reset = ends();
  Object.assign(reset.near, { received: 3, closed: -104, ended: false });
  Object.assign(reset.far, { gone: "abort", closed: null });
  t.deepEqual(reset.judge(false), []);
});

test("the judge finds what is wrong", (t) => {
  const wrong: [object, object, boolean, RegExp][] = [
    [{ wrong: 4 }, {}, false, /near: byte 4 is not what was sent/],
    [{ received: 9 }, {}, false, /near: 9 of 10 bytes received before the end/],
    [{ received: 11 }, {}, false, /near: 11 bytes received, 10 sent/],
    [{}, { received: 9, ended: false, closed: -110 }, false, /near: ended well, but 9 of 10 bytes arrived/],
    [{}, { finished: false }, false, /near: saw an end that was not said/],
    [{ closed: null, ended: false }, {}, false, /near: stuck/],
    [{ closed: -104 }, {}, true, /near: ended with ECONNRESET/],
  ];
  for (const [near, far, gentle, expected] of wrong) {
    const both = ends();
    Object.assign(both.near, near);
    Object.assign(both.far, far);
    t.regex(both.judge(gentle).join("\n"), expected);
  }
  t.regex(ends().near.judge(null, false).join(), /talked to nobody/);
});

test("a run that throws is a failure, not the end of the campaign", (t) => {
  const plan = makePlan(3);
  plan.machines[0].packetMemory = 1;
  t.regex(runPlan(plan).failures.join(), /thrown at .*EINVAL: packetMemory/);
});

function run(...parameters: string[]) {
  const result = spawnSync(process.execPath, ["examples/launch.js", "test/sim/run.ts", ...parameters], {
    cwd: join(ROOT),
    encoding: "utf8",
  });
  return { status: result.status, output: result.stdout + result.stderr };
}

test("the command runs seeds and says what it wants", (t) => {
  const good = run("--seeds", "2", "--seed", "9");
  t.is(good.status, 0, good.output);
  t.regex(good.output, /2 seeds in .*1 seeds run twice\nsim: 2 passed, 0 failed\n$/);
  for (const bad of [["--seeds", "x"], ["--seeds", "0"], ["--seed", "-1"], ["--nonsense"], ["7"]]) {
    const { status, output } = run(...bad);
    t.is(status, 2, output);
    t.regex(output, /usage: npm run sim/);
  }
});

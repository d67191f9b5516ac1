/** The kernel's ping against our echo. */
import test from "ava";
import { createHost, OURS } from "../support/host.js";

test("ping", async (t) => {
  const { ns } = await createHost(t);
  const { stdout } = await ns.run("ping", ["-c", "3", "-i", "0.01", OURS]);
  t.log(stdout);
  t.regex(stdout, / 3 received, 0% packet loss/);
});
test("flood", async (t) => {
  const { ns } = await createHost(t);
  const { stdout } = await ns.run("ping", ["-q", "-f", "-c", "10000", OURS]);
  t.log(stdout);
  t.regex(stdout, / 10000 received, 0% packet loss/);
});

/** What goes wrong in the campaign, and how it comes right again. */
import type { World } from "../../ports/sim/index.js";
import type { Machine } from "./machine.js";
import type { FaultPlan } from "./plan.js";

/** Makes a planned fault happen in time. */
export function schedule(world: World, plan: FaultPlan, machines: Machine[]): void {
  world.at(plan.at, () => {
    const machine = machines[plan.machine];
    if (machine.on) begin(world, plan, machine);
  });
}

function begin(world: World, plan: FaultPlan, machine: Machine): void {
  const { host, link, stack, nif, life } = machine;
  const { faults } = host;
  const { amount } = plan;
  const start = world.time;
  const until = (action: () => void) => {
    world.at(amount, () => {
      if (machine.life === life && machine.on) action();
    });
  };
  switch (plan.kind) {
    case "cut":
    case "silent cut": {
      const silent = plan.kind === "silent cut";
      link.cut(silent);
      // Whatever becomes of the machine, somebody plugs the cable in again.
      world.at(amount, () => link.restore(silent));
      break;
    }
    case "clock jumps":
      shift(machine, amount);
      break;
    case "clock goes back":
      shift(machine, -Math.min(amount, start));
      break;
    case "clock freezes":
      faults.clock = () => start;
      until(() => (faults.clock = null));
      break;
    case "clock gives no number":
      faults.clock = () => NaN;
      until(() => (faults.clock = null));
      break;
    case "wakes late":
      faults.wakeLate = Math.min(amount, 5000);
      break;
    case "wakes early":
      faults.wake = "early";
      until(() => (faults.wake = ""));
      break;
    case "wakes twice":
      faults.wake = "twice";
      break;
    case "wakes never":
      faults.wake = "never";
      until(() => {
        faults.wake = "";
        stack.poll();
      });
      break;
    case "no entropy":
      faults.random = "throw";
      until(() => (faults.random = ""));
      break;
    case "driver throws":
    case "driver refuses":
      link.fault = plan.kind === "driver throws" ? "throw" : "refuse";
      world.at(amount, () => {
        link.fault = "";
        link.receiver?.writable();
      });
      break;
    case "interface down":
      stack.setInterface(nif, { enabled: false });
      until(() => stack.setInterface(nif, { enabled: true }));
      break;
    case "address gone":
      machine.removeAddresses();
      until(() => machine.addAddresses());
      break;
    case "reboot":
      machine.powerOff();
      world.at(amount, () => machine.start());
      break;
  }
}

function shift(machine: Machine, by: number): void {
  const { faults } = machine.host;
  const before = faults.clock;
  faults.clock = (time) => (before ? before(time) : time) + by;
}

/** Espruino as a host: the conformance checks over its globals and a vendor's frame functions. */
import test from "ava";
import { checkHost } from "../../../hypercall/conformance.js";
import {
  type EspruinoGlobals,
  espruinoHost,
  espruinoText,
  frameLink,
} from "../../../ports/espruino/index.js";
import { type World, createWorld } from "../../../ports/sim/index.js";

function board(world: World): EspruinoGlobals & { offset: number } {
  const globals = {
    offset: 1.7e9,
    getTime: () => globals.offset + world.time / 1000,
    setTime(seconds: number) {
      globals.offset = seconds - world.time / 1000;
    },
    setTimeout: (call: () => void, delay: number) => world.at(delay, call),
    clearTimeout: (event: never) => world.events.clear(event),
    E: { hwRand: () => (world.random() * 2 ** 32) | 0 },
  };
  return globals;
}

test("the hypercalls and the link conform", (t) => {
  const world = createWorld();
  const host = espruinoHost({ globals: board(world) });
  const rings: Uint8Array[][] = [[], []];
  const links = [0, 1].map((index) =>
    frameLink({
      mac: Uint8Array.of(2, 0, 0, 0, 0, index),
      send(frame) {
        if (rings[index]!.length > 3) return false;
        rings[index]!.push(frame.slice());
        world.at(0.1, () => links[1 - index]!.poll());
        return true;
      },
      receive(buffer) {
        const frame = rings[1 - index]!.shift();
        // The sender's ring has room again.
        world.at(0.1, () => links[1 - index]!.writable());
        if (frame) buffer.set(frame);
        return frame ? frame.length : 0;
      },
    }),
  );
  const found: string[] = [];
  const check = checkHost(host, (code, message) => found.push(`${code}: ${message}`), links);
  host.drive(check);
  world.run(10_000);
  check.finish();
  t.deepEqual(found, []);
});

test("setting the clock is no jump, a board without entropy has none, callbacks' errors come out uncaught", (t) => {
  const world = createWorld();
  const globals = board(world);
  const host = espruinoHost({ globals });
  world.run(500);
  const before = host.now();
  host.setTime(1e9);
  t.is(Math.round(globals.getTime()), 1e9);
  t.true(Math.abs(host.now() - before) < 0.01);
  world.run(1000);
  t.true(Math.abs(host.now() - before - 1000) < 0.01);
  t.true(host.random(new Uint8Array(16)));
  globals.E.hwRand = () => 7;
  t.false(host.random(new Uint8Array(16)));
  delete globals.E.hwRand;
  t.false(host.random(new Uint8Array(16)));
  t.true(espruinoHost({ globals, random: () => true }).random(new Uint8Array(16)));
  host.panic("callback threw", new Error("mine"));
  t.throws(() => world.run(10), { message: "mine" });
  const bytes = Uint8Array.of(65, 66, 67);
  globals.E.toString = (data) => String.fromCharCode(...data).toLowerCase();
  t.is(espruinoText(globals)(bytes, 1, 3), "bc");
  globals.E.toString = () => undefined;
  t.is(espruinoText(globals)(bytes, 1, 3), "BC");
  delete globals.E.toString;
  t.is(espruinoText(globals)(bytes, 1, 3), "BC");
});

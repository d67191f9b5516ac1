/** Hubs repeat, switches learn, trees of switches carry a thousand stations. */
import test from "ava";
import { createSwitch, createWorld, hub } from "../../../ports/sim/index.js";
import type { SimLink, Switch } from "../../../ports/sim/index.js";
import { Recorder } from "./recorder.js";

function station(link: SimLink) {
  const recorder = new Recorder(link.world);
  link.open(recorder);
  return recorder;
}

/** A frame from `from` to `to` (null: to all). */
function send(from: SimLink, to: SimLink | null): void {
  const frame = new Uint8Array(60);
  frame.set(to ? to.mac! : new Uint8Array(6).fill(255));
  frame.set(from.mac!, 6);
  from.transmit(frame, 0, 60, null);
  from.world.run(1);
}

test("a hub repeats to all but the sender", (t) => {
  const world = createWorld();
  const links = hub(world, 4);
  const heard = links.map(station);
  send(links[0], links[1]);
  send(links[1], links[0]);
  t.deepEqual(
    heard.map(({ frames }) => frames.length),
    [1, 1, 2, 2],
  );
});

test("a switch floods what it does not know and learns from every frame", (t) => {
  const world = createWorld();
  const middle = createSwitch(world, { addresses: 2 });
  const links = [1, 2, 3, 4].map(() => middle.link());
  const heard = links.map(station);
  const counts = () => heard.map(({ frames }) => frames.splice(0).length);
  send(links[0], links[1]);
  t.deepEqual(counts(), [0, 1, 1, 1]);
  send(links[1], links[0]);
  t.deepEqual(counts(), [1, 0, 0, 0]);
  send(links[0], links[1]);
  t.deepEqual(counts(), [0, 1, 0, 0]);
  send(links[0], null);
  t.deepEqual(counts(), [0, 1, 1, 1]);
  send(links[2], null);
  counts();
  send(links[3], links[0]);
  t.deepEqual(counts(), [1, 1, 1, 0], "the oldest of two addresses went");
});

test("stations move", (t) => {
  const world = createWorld();
  const middle = createSwitch(world);
  const links = [1, 2, 3].map(() => middle.link());
  const heard = links.map(station);
  send(links[1], null);
  (links[2] as { mac: Uint8Array }).mac = links[1].mac!;
  send(links[2], null);
  heard.forEach(({ frames }) => frames.splice(0));
  send(links[0], links[2]);
  t.deepEqual(
    heard.map(({ frames }) => frames.length),
    [0, 0, 1],
  );
});

test("a tree of switches reaches a thousand stations", (t) => {
  const world = createWorld();
  const root = createSwitch(world, { delay: 0.1 });
  const leaves: Switch[] = Array.from({ length: 20 }, () => createSwitch(world));
  leaves.forEach((leaf) => leaf.uplink(root));
  const links = leaves.flatMap((leaf) => Array.from({ length: 50 }, () => leaf.link()));
  const heard = links.map(station);
  send(links[999], null);
  t.is(heard.filter(({ frames }) => frames.length === 1).length, 999);
  send(links[0], links[999]);
  t.is(heard.filter(({ frames }) => frames.length === 1).length, 1000);
  t.is(heard[999].frames.length, 1);
});

/**
 * Hours in minutes: the board skips what it would sleep, once no frame has passed for a second of real time (option `skip`). Its
 * leases last an hour; it fetches a page every so many seconds, and pages of its own are fetched as fast as seconds pass here.
 * The cable is a bad one.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { buildImage } from "../../../examples/firmware-image/build.js";
import { createBoard, pattern, servePage, SERVER } from "./board.js";
import type { Scope, State, TestBoard } from "./board.js";

export const HOUR = 3_600_000;

/** Silence before time is skipped, ms: a Linux kernel sends three times in it what was lost. */
const SILENCE = 1000;
/** Between two requests of ours, ms: longer than the silence, or no time would ever be skipped. */
const PAUSE = 3000;
const PAGE = 5000;
/** Bytes of heap that come and go with what a stack remembers at the moment (who is in TIME-WAIT, neighbours, names). */
const LEAK = 4096;
const DAMAGE = { lose: 1, reorder: 1, corrupt: 1, duplicate: 1 };

export interface Life {
  /** What the board said of itself once all had happened once, and at the end. */
  readonly first: State;
  readonly last: State;
  /** Times that it was asked for pages. */
  readonly served: number;
  /** CRC-32 of the page that it fetches. */
  readonly crc: number;
  /** Seconds that it took here. */
  readonly seconds: number;
}

/**
 * A board's life of `hours`, with a fetch every `every` seconds. The 32 bits of its clock are full after a quarter of that.
 * `progress` hears what the board says of itself. Rejects when a page of the board's own is not served, or wrong.
 */
export async function live(
  t: Scope,
  machine: string,
  hours: number,
  every: number,
  progress?: (state: State) => void,
): Promise<Life> {
  const begun = performance.now();
  const board = await createBoard(t, {
    machine,
    image: await buildImage(machine),
    options: {
      fetch: `http://${SERVER}:8000/page`,
      every,
      skip: SILENCE,
      clock: 2 ** 32 - (hours * HOUR) / 4,
    },
  });
  await board.address(120_000);
  // The first fetch is too early.
  const crc = await servePage(board, PAGE);
  board.cable.damage = DAMAGE;
  const body = join(board.folder, "body");
  let first: State | undefined;
  let last: State;
  let served = 0;
  do {
    await sleep(PAUSE);
    await board.curl(`/bytes/${PAGE}`, "-o", body);
    if (!readFileSync(body).equals(pattern(PAGE))) throw new Error("a page came wrong");
    last = await board.state();
    served += 2;
    progress?.(last);
    if (last.fetches.succeeded > 1) first ??= await atRest(board, last);
  } while (last.uptime < hours * HOUR);
  // A connection whose last segment was lost holds some memory for a while.
  for (let i = 0; i < 4 && last.memory.heap > (first ?? last).memory.heap + LEAK; i++) {
    await sleep(PAUSE);
    last = await board.state();
  }
  return { first: first ?? last, last, served, crc, seconds: (performance.now() - begun) / 1000 };
}

/** What a board says of itself when nothing is going on: two readings in a row that are alike, or the last of a few. */
async function atRest(board: TestBoard, state: State): Promise<State> {
  for (let i = 0; i < 4; i++) {
    await sleep(PAUSE);
    const before = state.memory.heap;
    state = await board.state();
    if (Math.abs(state.memory.heap - before) <= LEAK) break;
  }
  return state;
}

/** What went wrong in a life that `live` has told of: nothing, as a rule. */
export function problems({ first, last, crc }: Life, hours: number, every: number): string[] {
  const { fetches, counters, memory } = last;
  const claims: [string, boolean][] = [
    [
      `fetches: ${JSON.stringify(fetches)}`,
      fetches.failed === first.fetches.failed && fetches.succeeded >= (hours * 3600) / every - 2,
    ],
    ["the page that was fetched", fetches.last?.crc === crc && fetches.last.bytes === PAGE],
    // A lease of an hour is renewed after half of it.
    [
      `leases: ${JSON.stringify(counters.dhcp)}`,
      counters.dhcp!.bound! >= 2 * hours && counters.dhcp!.expired === 0,
    ],
    [
      `the host: ${JSON.stringify(counters.host)}`,
      counters.host!.callback === 0 && counters.host!.clock === 0,
    ],
    [
      `heap: ${first.memory.heap} bytes, then ${memory.heap}`,
      Math.abs(memory.heap - first.memory.heap) <= LEAK,
    ],
  ];
  return claims.filter(([, holds]) => !holds).map(([claim]) => claim);
}

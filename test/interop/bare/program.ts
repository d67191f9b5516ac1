/** A program as what a board belongs to (see `Scope`): what it has put up is taken down when it ends. */
import type { Scope } from "./board.js";

/** Runs `body`, which says whether all went well; whatever it says or throws, what it gave to `teardown` is done. */
export async function within(body: (scope: Scope) => Promise<boolean>): Promise<boolean> {
  const ends: (() => unknown)[] = [];
  let passed = false;
  const scope: Scope = {
    get passed() {
      return passed;
    },
    log: (...texts) => console.log(...texts),
    teardown: (end) => void ends.unshift(end),
  };
  try {
    passed = await body(scope);
  } finally {
    for (const end of ends) await end();
  }
  return passed;
}

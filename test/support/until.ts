/** Waiting for real programs: for what is to happen, never for a time that it should take on some machine. */

/** How long anything may take, in ms, before it is held to have failed: far above what a busy machine needs. */
export const PATIENCE = 60_000;

/** Waits until `condition` holds. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  patience = PATIENCE,
): Promise<void> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > patience) throw new Error(`not within ${patience} ms: ${what}`);
    await pause(10);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

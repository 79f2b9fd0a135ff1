export interface WaitOptions {
  /** Default 10 s. */
  timeoutMs?: number;
  /** Between two looks. Default 20 ms. */
  intervalMs?: number;
}

/**
 * Waits until `look` gives something other than false, null or undefined, and returns that. A look that throws counts as
 * "not yet"; what it threw is in the error when the time is over, like the name of what was awaited.
 */
export async function waitFor<T>(
  awaited: string,
  look: () => T | Promise<T>,
  { timeoutMs = 10_000, intervalMs = 20 }: WaitOptions = {},
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== false && found !== null && found !== undefined) {
        return found as Exclude<T, false | null | undefined>;
      }
      last = found;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) {
      const was = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`waited ${timeoutMs} ms for ${awaited}; the last look gave: ${was}`, {
        cause: last,
      });
    }
    await sleep(intervalMs);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** Waits, or less when the signal says stop. Never throws: the caller looks at the signal. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done, { once: true });
  });
}

/** Waits for the promise, whatever becomes of it, but no longer than this. Leaves no timer behind. */
export function within(milliseconds: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    promise.then(done, done);
  });
}

/** Doubles from `firstMs` to `maxMs`. No randomness: there are few analyzers, and the lease orders them. */
export class Backoff {
  #nextMs: number;

  constructor(
    readonly firstMs = 100,
    readonly maxMs = 5_000,
  ) {
    this.#nextMs = firstMs;
  }

  next(): number {
    const now = this.#nextMs;
    this.#nextMs = Math.min(this.#nextMs * 2, this.maxMs);
    return now;
  }

  reset(): void {
    this.#nextMs = this.firstMs;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

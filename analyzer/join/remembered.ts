import { lastSeenUs, type Seen } from "./waiting.ts";

/**
 * Requests that are looked at for release with each one that comes: two keep the table from
 * growing.
 */
const RELEASES_A_STEP = 2;

/**
 * Requests whose outcome has been given out, kept so that what comes after is known as a repeat or
 * as late.
 *
 * What counts are the times in `Seen`, checked by the reader; dropping old ones here only frees
 * memory. About 200 bytes a request (measured, see joiner.ts).
 */
export class Remembered {
  readonly #keepUs: number;
  readonly #countMax: number;
  /** In order of the last `put`: the first is the one to drop first. */
  readonly #seen = new Map<string, Seen>();
  // One iterator for the life of the map: a new one would walk over the holes of all that was
  // deleted before.
  #order = this.#seen.keys();
  #first: string | null = null;
  #forgotten = 0;

  constructor({ keepUs, countMax }: { keepUs: number; countMax: number }) {
    this.#keepUs = keepUs;
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#seen.size;
  }

  /** Requests dropped before their time because `countMax` was reached. */
  get forgottenCount(): number {
    return this.#forgotten;
  }

  /**
   * Takes the request out; put it back after use. Undefined when nothing of it came within the time
   * to keep.
   */
  take(correlationId: string, atUs: number): Seen | undefined {
    const seen = this.#seen.get(correlationId);
    if (seen === undefined) return undefined;
    this.#delete(correlationId);
    return lastSeenUs(seen) > atUs - this.#keepUs ? seen : undefined;
  }

  /** The request must not be in the table. */
  put(correlationId: string, seen: Seen, atUs: number): void {
    this.#seen.set(correlationId, seen);
    for (let i = 0; i < RELEASES_A_STEP; i += 1) {
      const first = this.#peek();
      if (first === null) return;
      if (lastSeenUs(this.#seen.get(first) as Seen) <= atUs - this.#keepUs) {
        this.#delete(first);
      } else if (this.#seen.size > this.#countMax) {
        this.#delete(first);
        this.#forgotten += 1;
      } else {
        return;
      }
    }
  }

  #peek(): string | null {
    if (this.#first !== null) return this.#first;
    let next = this.#order.next();
    if (next.done === true) {
      this.#order = this.#seen.keys();
      next = this.#order.next();
    }
    this.#first = next.done === true ? null : next.value;
    return this.#first;
  }

  #delete(correlationId: string): void {
    this.#seen.delete(correlationId);
    if (this.#first === correlationId) this.#first = null;
  }
}

/** Marks kept for each window: the floor is at most an eighth of a window lower than it could be. */
const MARKS_PER_WINDOW = 8;
const WINDOWS = 3;

/**
 * Knows from which sequence on the stream must be read again so that the join at the present place comes out the same: the
 * last message whose stream time is three windows or more in the past (joiner.ts says why three).
 * Stream time here is the largest time of a message so far, so it never falls, whatever the server's clock does.
 */
export class Floor {
  readonly #windowUs: number;
  /** Rising in both; about 3 × 8 entries, more only while stream time jumps ahead. */
  readonly #sequences: number[] = [];
  readonly #times: number[] = [];
  #floor: number;

  /** `start`: the first sequence that is read. */
  constructor(windowUs: number, start: number) {
    this.#windowUs = windowUs;
    this.#floor = start;
  }

  /** Call it for each message, in order. */
  note(sequence: number, messageTimeUs: number): void {
    const last = this.#times.at(-1);
    if (last !== undefined && messageTimeUs - last < this.#windowUs / MARKS_PER_WINDOW) return;
    this.#sequences.push(sequence);
    this.#times.push(messageTimeUs);
    const oldestNeeded = messageTimeUs - WINDOWS * this.#windowUs;
    let drop = 0;
    while (drop < this.#times.length && (this.#times[drop] as number) <= oldestNeeded) drop += 1;
    if (drop === 0) return;
    this.#floor = this.#sequences[drop - 1] as number;
    this.#sequences.splice(0, drop);
    this.#times.splice(0, drop);
  }

  get sequence(): number {
    return this.#floor;
  }
}

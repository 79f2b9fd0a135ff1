/**
 * What a lane must remember for longer than the join's windows; it travels in the checkpoint, so it is exactly that of
 * `done` after a restart.
 */
export interface LaneMemory {
  /**
   * Every batch since the journal began was seen by this lane: then a worker whose first batch is number 4 lost three. After
   * messages were removed unread, or workers forgotten, a first number says nothing.
   */
  readonly complete: boolean;
  /** The newest batch number by worker and experiment: "worker:experiment" to partition to number. Least recent first. */
  readonly numbers: readonly (readonly [string, Readonly<Record<string, number>>])[];
  /** Limits of what is reported once a minute: what it is about, minute of stream time, how often since. */
  readonly reports: readonly (readonly [string, number, number])[];
}

export const EMPTY_MEMORY: LaneMemory = { complete: true, numbers: [], reports: [] };

/** Together below the 1 MiB that a NATS message may have: at most 85 bytes a worker, 14 bytes a number. */
const WORKERS_MAX = 2_048;
const NUMBERS_MAX = 32_768;

export interface Gap {
  readonly firstMissing: number;
  readonly lastMissing: number;
}

/**
 * Finds lost batches by the holes in the numbers of each filter worker, however long the worker was silent in between.
 * (The joiner looks for holes too, in its last windows only, to say of an orphan that its partner may have been lost.)
 */
export class BatchNumbers {
  readonly #workers = new Map<string, Map<string, number>>();
  #count = 0;
  #complete: boolean;
  /** Workers forgotten because a bound was reached, since this object was made. */
  forgotten = 0;

  constructor({ complete, numbers }: LaneMemory) {
    this.#complete = complete;
    for (const [key, partitions] of numbers) {
      const entries = Object.entries(partitions);
      this.#workers.set(key, new Map(entries));
      this.#count += entries.length;
    }
  }

  /** Messages were removed before this lane read them: holes in front of a worker's first number no longer count. */
  markIncomplete(): void {
    this.#complete = false;
  }

  /** Answers the hole in front of this batch, or that its number is not new: a piece built anew, or a very late repeat. */
  note(
    worker: string,
    experiment: string,
    partition: number,
    number: number,
  ): Gap | "repeat" | null {
    const key = `${worker}:${experiment}`;
    const place = String(partition);
    let numbers = this.#workers.get(key);
    if (numbers === undefined) numbers = new Map();
    else this.#workers.delete(key);
    this.#workers.set(key, numbers);
    const known = numbers.get(place);
    const last = known ?? (this.#complete ? 0 : number - 1);
    if (number <= last) return "repeat";
    if (known === undefined) this.#count += 1;
    numbers.set(place, number);
    this.#bound();
    return number === last + 1 ? null : { firstMissing: last + 1, lastMissing: number - 1 };
  }

  snapshot(): Pick<LaneMemory, "complete" | "numbers"> {
    return {
      complete: this.#complete,
      numbers: [...this.#workers].map(([key, numbers]) => [key, Object.fromEntries(numbers)]),
    };
  }

  #bound(): void {
    for (const [key, numbers] of this.#workers) {
      if (this.#workers.size <= WORKERS_MAX && this.#count <= NUMBERS_MAX) return;
      this.#workers.delete(key);
      this.#count -= numbers.size;
      this.forgotten += 1;
      // The forgotten worker may come back, and its number would look like a hole.
      this.#complete = false;
    }
  }
}

/** Things told apart; further ones are reported together. */
const REPORTS_MAX = 64;
const OTHERS = "others";
const MINUTE_US = 60_000_000;

/** Lets something through at most once in each minute of stream time, with the number that was held back since. */
export class MinuteReports {
  readonly #reports = new Map<string, { minute: number; held: number }>();

  constructor({ reports }: LaneMemory) {
    for (const [about, minute, held] of reports) this.#reports.set(about, { minute, held });
  }

  /** How many were held back since the last report, when this one is to be reported; else null. */
  note(about: string, atUs: number): number | null {
    const minute = Math.floor(atUs / MINUTE_US);
    if (!this.#reports.has(about)) this.#makeRoom(minute);
    const key = this.#reports.has(about) || this.#reports.size < REPORTS_MAX ? about : OTHERS;
    const last = this.#reports.get(key);
    if (last !== undefined && minute <= last.minute) {
      last.held += 1;
      return null;
    }
    this.#reports.set(key, { minute, held: 0 });
    return last?.held ?? 0;
  }

  #makeRoom(minute: number): void {
    if (this.#reports.size < REPORTS_MAX) return;
    for (const [about, report] of this.#reports) {
      if (report.minute < minute) this.#reports.delete(about);
    }
  }

  snapshot(): Pick<LaneMemory, "reports"> {
    return {
      reports: [...this.#reports].map(([about, { minute, held }]) => [about, minute, held]),
    };
  }
}

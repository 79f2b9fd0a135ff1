/** A worker's batches that never came: the numbers between two that did. */
export interface NumberGap {
  readonly experiment: string;
  readonly worker: string;
  readonly partition: number;
  readonly firstMissing: number;
  readonly lastMissing: number;
  readonly seenAtUs: number;
}

/**
 * Who numbered what: a worker counts its batches for each experiment and partition on their own.
 */
export interface NumberedBatch {
  readonly experiment: string;
  readonly worker: string;
  readonly partition: number;
  readonly number: number;
}

/**
 * Repeats kept behind the largest number; more cannot come from a worker that sends one batch at a
 * time.
 */
const REPEATS_MAX = 16;

interface Recent {
  /**
   * Falling numbers with rising times: the first is the largest of the horizon. Almost always one.
   */
  readonly numbers: number[];
  readonly times: number[];
}

/**
 * Finds lost batches by the holes in each worker's numbers.
 *
 * A number is held against the largest one of the last `horizonUs` of stream time, never against
 * older ones, so what is found depends on that stretch of the stream alone and a replay finds the
 * same. The price: when a worker was silent in a partition for longer than the horizon, a batch
 * lost meanwhile is not found here, only in the ledger's sums. The first number of a horizon is no
 * gap whatever it is, a number not above the largest is a repeat (a batch built anew in smaller
 * pieces, a sending repeated after a lost PONG).
 */
export class BatchNumbers {
  readonly #horizonUs: number;
  readonly #keysMax: number;
  /** By worker, experiment, partition; in order of last use. */
  readonly #recent = new Map<string, Recent>();
  #forgotten = 0;

  /**
   * `keysMax` bounds (worker, experiment, partition); at about 250 bytes each the default holds 16
   * MB.
   */
  constructor({ horizonUs, keysMax = 65_536 }: { horizonUs: number; keysMax?: number }) {
    this.#horizonUs = horizonUs;
    this.#keysMax = keysMax;
  }

  /** Workers forgotten because `keysMax` was reached. */
  get forgottenCount(): number {
    return this.#forgotten;
  }

  /** Call it in stream order, once for each batch. `atUs`: stream time, never falling. */
  note({ experiment, worker, partition, number }: NumberedBatch, atUs: number): NumberGap | null {
    const key = `${worker}:${experiment}:${partition}`;
    let recent = this.#recent.get(key);
    if (recent === undefined) {
      recent = { numbers: [], times: [] };
      if (this.#recent.size >= this.#keysMax) this.#forgetOldest();
    } else {
      this.#recent.delete(key);
    }
    this.#recent.set(key, recent);
    const { numbers, times } = recent;

    while (times.length > 0 && (times[0] as number) <= atUs - this.#horizonUs) {
      times.shift();
      numbers.shift();
    }
    const largest = numbers[0];
    const gap =
      largest !== undefined && number > largest + 1
        ? {
            experiment,
            worker,
            partition,
            firstMissing: largest + 1,
            lastMissing: number - 1,
            seenAtUs: atUs,
          }
        : null;

    while (numbers.length > 0 && (numbers[numbers.length - 1] as number) <= number) {
      numbers.pop();
      times.pop();
    }
    if (numbers.length < REPEATS_MAX) {
      numbers.push(number);
      times.push(atUs);
    }
    return gap;
  }

  #forgetOldest(): void {
    for (const key of this.#recent.keys()) {
      this.#recent.delete(key);
      this.#forgotten += 1;
      return;
    }
  }
}

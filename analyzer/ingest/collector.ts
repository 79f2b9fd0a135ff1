import type { BatchGap, JudgedPair, Outcomes } from "../divergence/outcomes.ts";
import type { Orphan, Pair } from "../join/pair.ts";
import type { DeadLetter } from "../observation/dead-letter.ts";
import type { Ledger } from "../observation/ledger.ts";
import type { Observation } from "../observation/observation.ts";

/** Of one write. More are counted, not stored: garbage must not be able to fill the store. */
const DEAD_LETTERS_MAX = 1_000;

type DuplicateCount = Outcomes["duplicates"][number];

/** What the lane has found since its last cut, and what one write will hold. */
export class Collector {
  readonly #judge: (pair: Pair) => JudgedPair;
  #pairs: JudgedPair[] = [];
  #orphans: Orphan[] = [];
  #ledgers = new Map<string, Ledger>();
  #gaps: BatchGap[] = [];
  #deadLetters: DeadLetter[] = [];
  #duplicates = new Map<string, DuplicateCount>();
  /** Dead letters that did not fit, since this collector was made. */
  deadLettersOverflow = 0;

  constructor(judge: (pair: Pair) => JudgedPair) {
    this.#judge = judge;
  }

  /** Rows that the write will have, as far as they count against flushRowsMax. */
  get rowCount(): number {
    return (
      this.#pairs.length +
      this.#orphans.length +
      this.#ledgers.size +
      this.#gaps.length +
      this.#deadLetters.length +
      this.#duplicates.size
    );
  }

  pair(pair: Pair): void {
    this.#pairs.push(this.#judge(pair));
  }

  orphan(orphan: Orphan): void {
    this.#orphans.push(orphan);
  }

  duplicate({ experiment, run, leg }: Observation, atUs: number): void {
    const key = `${experiment}/${run}/${leg}`;
    const count = (this.#duplicates.get(key)?.count ?? 0) + 1;
    this.#duplicates.set(key, { experiment, run, leg, count, atUs });
  }

  /** Ledgers are cumulative: the newest of a worker and run says what the earlier ones said. */
  ledger(ledger: Ledger): void {
    const key = `${ledger.experiment}/${ledger.run}/${ledger.worker}`;
    const held = this.#ledgers.get(key);
    if (held === undefined || held.number < ledger.number) this.#ledgers.set(key, ledger);
  }

  gap(gap: BatchGap): void {
    this.#gaps.push(gap);
  }

  deadLetter(deadLetter: DeadLetter): void {
    if (this.#deadLetters.length < DEAD_LETTERS_MAX) this.#deadLetters.push(deadLetter);
    else this.deadLettersOverflow += 1;
  }

  /** Everything since the last take. */
  take(token: string): Outcomes {
    const outcomes: Outcomes = {
      token,
      pairs: this.#pairs,
      orphans: this.#orphans,
      ledgers: [...this.#ledgers.values()],
      gaps: this.#gaps,
      deadLetters: this.#deadLetters,
      duplicates: [...this.#duplicates.values()],
    };
    this.#pairs = [];
    this.#orphans = [];
    this.#ledgers = new Map();
    this.#gaps = [];
    this.#deadLetters = [];
    this.#duplicates = new Map();
    return outcomes;
  }
}

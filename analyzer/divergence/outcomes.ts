import type { Orphan, Pair } from "../join/pair.ts";
import type { DeadLetter } from "../observation/dead-letter.ts";
import type { Ledger } from "../observation/ledger.ts";

export type RuleName =
  | "status"
  | "status-class"
  | "grpc-status"
  | "body-digest"
  | "content-type"
  | "body-size"
  | "ending"
  | "latency";

export type Grade = "high" | "medium" | "low";

/** One rule's finding in one pair. */
export interface Divergence {
  readonly rule: RuleName;
  readonly grade: Grade;
  /** What each side had, as text that is safe to show: a status, a size, a media type; never content. */
  readonly primary: string;
  readonly shadow: string;
  /** One plain sentence. */
  readonly sentence: string;
}

export interface JudgedPair {
  readonly pair: Pair;
  /** Shadow against primary; empty when nothing differs. */
  readonly divergences: readonly Divergence[];
  /** Control against primary, the noise floor; null without a control. */
  readonly noise: readonly Divergence[] | null;
}

/** A batch lost on the way: numbers of a worker that never came. */
export interface BatchGap {
  readonly experiment: string;
  readonly worker: string;
  readonly partition: number;
  readonly firstMissing: number;
  readonly lastMissing: number;
  readonly seenAtUs: number;
}

/** Everything that one stretch of the stream led to; written once, whatever happens, thanks to its token. */
export interface Outcomes {
  /** Same stretch, same token: storage keeps the first and drops the repeat. */
  readonly token: string;
  readonly pairs: readonly JudgedPair[];
  readonly orphans: readonly Orphan[];
  readonly ledgers: readonly Ledger[];
  readonly gaps: readonly BatchGap[];
  readonly deadLetters: readonly DeadLetter[];
  /** Same leg and attempt seen again, by experiment and run. */
  readonly duplicates: readonly {
    experiment: string;
    run: string;
    leg: string;
    count: number;
    atUs: number;
  }[];
}

import type { Observation } from "../observation/observation.ts";

/** One request seen on the primary and on one shadow; a triple when the control saw it too. */
export interface Pair {
  readonly experiment: string;
  readonly run: string;
  readonly correlationId: string;
  /** The last attempt of the primary. */
  readonly primary: Observation;
  readonly shadow: Observation;
  readonly control: Observation | null;
  /** Attempts the primary took, at least 1. */
  readonly primaryAttempts: number;
  /** Stream time of the message that completed the pair, µs since 1970. */
  readonly joinedAtUs: number;
}

/**
 * `shadow-missing`: the primary was seen, this shadow was not: refused by a breaker, never mirrored, or its record was dropped.
 * `primary-missing`: a mirrored leg was seen, the primary was not.
 * `late`: the partner came after the window had closed.
 * `evicted`: the table of waiting observations was full.
 */
export type OrphanReason = "shadow-missing" | "primary-missing" | "late" | "evicted";

/** A leg without its partner: one row for each (request, missing or late leg). */
export interface Orphan {
  readonly experiment: string;
  readonly run: string;
  readonly correlationId: string;
  /** The leg that has no partner; for `late`, the late one itself. */
  readonly observation: Observation;
  readonly missingLeg: string;
  readonly reason: OrphanReason;
  /** A batch of the same worker was lost while this one waited, so the partner may have been in it. */
  readonly batchLost: boolean;
  readonly closedAtUs: number;
}

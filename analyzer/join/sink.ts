import type { Observation } from "../observation/observation.ts";
import type { Orphan, Pair } from "./pair.ts";

/**
 * `experiment`: not in the configuration; `leg`: neither primary nor one of the experiment's
 * mirrored legs.
 */
export type UnexpectedReason = "experiment" | "leg";

/** Takes what the joiner finds, at once and in an order that a replay repeats. */
export interface JoinSink {
  pair(pair: Pair): void;
  orphan(orphan: Orphan): void;
  /** The same leg and attempt once more: nothing is done with it but counting. */
  duplicate(observation: Observation, atUs: number): void;
  /** The configuration knows nothing of it, so it can neither wait nor be missed. */
  unexpected(observation: Observation, reason: UnexpectedReason, atUs: number): void;
}

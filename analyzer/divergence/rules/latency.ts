import { type ComparedLegs, isComplete, nameOf } from "../legs.ts";
import type { Divergence } from "../outcomes.ts";
import { durationText, threeDigits } from "../text.ts";

export interface LatencySettings {
  /** A pair diverges when the shadow took more than so many times as long … Range: at least 1. */
  readonly ratioMax: number;
  /** … and more than so much longer. Keeps 0.3 ms against 0.1 ms out. */
  readonly differenceUsMin: number;
}

/**
 * The shadow took much longer, request headers to the end of the answer. Answers of any status,
 * seen to their end: a slow error is slow. A faster shadow is no finding.
 *
 * Always low: one slow answer is weather. Whether the shadow *is* slower is a question to all
 * pairs, and to a control that travels the mirror's path: two identical servers in parallel
 * differed by 18 %.
 */
export function compareLatency(legs: ComparedLegs, settings: LatencySettings): Divergence | null {
  const { primary, shadow } = legs;
  if (!isComplete(primary) || !isComplete(shadow)) return null;
  const differenceUs = shadow.totalUs - primary.totalUs;
  if (differenceUs <= settings.differenceUsMin) return null;
  if (shadow.totalUs <= primary.totalUs * settings.ratioMax) return null;
  const ratio =
    primary.totalUs === 0
      ? ""
      : ` (${threeDigits(shadow.totalUs / primary.totalUs)} times as long)`;
  return {
    rule: "latency",
    grade: "low",
    primary: durationText(primary.totalUs),
    shadow: durationText(shadow.totalUs),
    sentence: `the ${nameOf(shadow)} took ${durationText(shadow.totalUs)} where the primary took ${durationText(primary.totalUs)}${ratio}`,
  };
}

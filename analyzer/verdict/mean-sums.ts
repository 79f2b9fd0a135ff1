import { requireFinite } from "./require.ts";

/**
 * Sums of a paired difference (a log-ratio of latencies, a difference of scores) as whole millionths.
 *
 * Adding doubles in another order gives other bits, and a database adds in the order in which its parts lie. Whole
 * numbers do not: sums are equal after merges, restarts and late rows. A millionth of a log-ratio is 0.0001 % of
 * latency; rounding a pair moves a mean by at most half of that.
 */
export interface MeanSums {
  readonly pairCount: number;
  /** Sum of `microsOf(value)`. */
  readonly microSum: number;
}

export const NO_MEAN: MeanSums = { pairCount: 0, microSum: 0 };

/** The largest value that is taken as it is: e^64 is beyond any ratio of two times. */
const VALUE_MAX = 64;

/**
 * A value in whole millionths, cut at +-64. With that bound a sum stays exact up to 1.4e8 pairs of the extreme value, and
 * up to 9e10 pairs of values around 0.1; `addMeanSums` refuses what is beyond.
 */
export function microsOf(value: number): number {
  requireFinite("value", value);
  // + 0 turns -0 into 0.
  return Math.round(Math.max(-VALUE_MAX, Math.min(VALUE_MAX, value)) * 1e6) + 0;
}

/** @throws RangeError when the sum leaves the whole numbers that a double can hold */
export function addMeanSums(left: MeanSums, right: MeanSums): MeanSums {
  const microSum = left.microSum + right.microSum;
  const pairCount = left.pairCount + right.pairCount;
  if (!Number.isSafeInteger(microSum) || !Number.isSafeInteger(pairCount)) {
    throw new RangeError(
      `sums are ${microSum} millionths over ${pairCount} pairs, expected whole numbers within 2^53`,
    );
  }
  return { pairCount, microSum };
}

/** The mean in the value's own unit; null without pairs. */
export function meanOf({ pairCount, microSum }: MeanSums): number | null {
  return pairCount === 0 ? null : microSum / pairCount / 1e6;
}

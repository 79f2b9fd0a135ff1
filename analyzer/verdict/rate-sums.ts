import { requireCount } from "./require.ts";

/**
 * A paired comparison with three outcomes, summed: of `pairCount` pairs the shadow did worse in `worseCount` (a novel
 * failure, a divergence that the control does not have), better in `betterCount`, the same in the rest.
 *
 * Whole numbers, so any order and any grouping of additions gives the same bits.
 */
export interface RateSums {
  readonly pairCount: number;
  readonly worseCount: number;
  readonly betterCount: number;
}

export const NO_RATE: RateSums = { pairCount: 0, worseCount: 0, betterCount: 0 };

export function addRateSums(left: RateSums, right: RateSums): RateSums {
  return {
    pairCount: left.pairCount + right.pairCount,
    worseCount: left.worseCount + right.worseCount,
    betterCount: left.betterCount + right.betterCount,
  };
}

/** @throws RangeError when a count is not a whole number or the parts exceed the whole */
export function requireRateSums({ pairCount, worseCount, betterCount }: RateSums): void {
  requireCount("pairCount", pairCount);
  requireCount("worseCount", worseCount);
  requireCount("betterCount", betterCount);
  if (worseCount + betterCount > pairCount) {
    throw new RangeError(
      `${worseCount} worse and ${betterCount} better of ${pairCount} pairs, expected no more than there are pairs`,
    );
  }
}

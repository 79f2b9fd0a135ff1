import type { MeanSums } from "./mean-sums.ts";
import { type RateSums, requireRateSums } from "./rate-sums.ts";
import { requireBetween, requireFinite } from "./require.ts";

/** Blocks that the shadow lost, won, or neither. The first two are the counts for `sequentialMcnemar`. */
export interface BlockWinners {
  readonly worseCount: number;
  readonly betterCount: number;
  readonly tiedCount: number;
}

/**
 * In how many blocks was the shadow's excess above the margin? An outage of any size is one block, so bursts cannot pass
 * for a thousand independent failures. At least 7 losing blocks are needed at alpha 0.05.
 *
 * For harm only. As proof of safety winners fail: they test a median, and outages then let 14 % of the services at the
 * margin pass; there the upper limit of `meanSequenceLimits` over block excesses is asked.
 */
export function rateBlockWinners({
  blocks,
  margin,
}: {
  blocks: Iterable<RateSums>;
  /** Difference of rates, -1..1. */
  margin: number;
}): BlockWinners {
  requireBetween("margin", margin, -1, 1);
  const scores: number[] = [];
  for (const sums of blocks) {
    requireRateSums(sums);
    scores.push(sums.worseCount - sums.betterCount - margin * sums.pairCount);
  }
  return winners(scores);
}

/** In how many blocks was the mean above the margin (in the value's own unit, ln(1.05) for 5 % latency)? Empty blocks are ties. */
export function meanBlockWinners({
  blocks,
  margin,
}: {
  blocks: Iterable<MeanSums>;
  margin: number;
}): BlockWinners {
  requireFinite("margin", margin);
  const scores: number[] = [];
  for (const { pairCount, microSum } of blocks) scores.push(microSum - margin * 1e6 * pairCount);
  return winners(scores);
}

function winners(scores: readonly number[]): BlockWinners {
  let worseCount = 0;
  let betterCount = 0;
  for (const score of scores) {
    if (score > 0) worseCount++;
    else if (score < 0) betterCount++;
  }
  return { worseCount, betterCount, tiedCount: scores.length - worseCount - betterCount };
}

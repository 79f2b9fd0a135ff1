import { hodgesLehmann, type Shift } from "./hodges-lehmann.ts";
import { normalUpperTail } from "./normal-distribution.ts";
import { requireBetween, requireFinite } from "./require.ts";
import { signedRankDistribution } from "./signed-rank-distribution.ts";

export interface WilcoxonResult {
  /** Differences other than 0. */
  readonly count: number;
  readonly zeroCount: number;
  /** Sum of the ranks of the positive differences; ties share the mean of their ranks. */
  readonly positiveRankSum: number;
  readonly twoSided: number;
  /** Probability, under the null, of a rank sum at least as large. */
  readonly greater: number;
  readonly method: "exact" | "normal";
  /** The typical difference with its interval. */
  readonly shift: Shift;
}

/** Up to here the distribution is counted out, ties included; a million steps at most. */
const EXACT_MAX = 100;

/**
 * Wilcoxon's signed-rank test: are the paired differences (log-ratios of latency) centred on 0? With the Hodges-Lehmann
 * estimate of the shift and its interval at 1 - alpha: exp(shift) - 1 is the typical slowdown.
 *
 * Zeros are left out of the test (they stay in the estimate). Up to 100 differences the null distribution is exact, given the ties;
 * beyond, normal with tie and continuity correction. Assumes independent pairs, a number fixed beforehand, and differences that are
 * symmetric under the null. For snapshots; while traffic flows use `meanSequence`. Exact p-values are good to 1e-12 relative
 * (test/verdict/wilcoxon-signed-rank.test.ts: R's documented example, SciPy, enumeration of all signs).
 */
export function wilcoxonSignedRank({
  differences,
  alpha = 0.05,
}: {
  differences: readonly number[] | Float64Array;
  alpha?: number;
}): WilcoxonResult {
  requireBetween("alpha", alpha, 0, 1);
  for (const difference of differences) requireFinite("difference", difference);
  const nonZero = Float64Array.from(differences).filter((difference) => difference !== 0);
  const { doubledRanks, doubledPositiveSum, tieTerm } = rank(nonZero);
  const count = nonZero.length;
  const isExact = count <= EXACT_MAX;
  const { greater, less } = isExact
    ? exactTails(doubledRanks, doubledPositiveSum)
    : normalTails(count, doubledPositiveSum / 2, tieTerm);
  return {
    count,
    zeroCount: differences.length - count,
    positiveRankSum: doubledPositiveSum / 2,
    twoSided: Math.min(1, 2 * Math.min(greater, less)),
    greater,
    method: isExact ? "exact" : "normal",
    shift: hodgesLehmann({ differences, alpha }),
  };
}

/** Ranks of the absolute values, doubled so that shared ranks stay whole; and the sum of t^3 - t over ties of t. */
function rank(differences: Float64Array): {
  doubledRanks: number[];
  doubledPositiveSum: number;
  tieTerm: number;
} {
  const ordered = Float64Array.from(differences);
  ordered.sort((left, right) => Math.abs(left) - Math.abs(right));
  const doubledRanks: number[] = [];
  let doubledPositiveSum = 0;
  let tieTerm = 0;
  for (let start = 0; start < ordered.length; ) {
    let end = start;
    let positiveCount = 0;
    const size = Math.abs(ordered[start] ?? 0);
    while (end < ordered.length && Math.abs(ordered[end] ?? 0) === size) {
      if ((ordered[end] ?? 0) > 0) positiveCount++;
      end++;
    }
    // Ranks start + 1 to end share their mean (start + 1 + end) / 2.
    const doubledRank = start + 1 + end;
    for (let index = start; index < end; index++) doubledRanks.push(doubledRank);
    doubledPositiveSum += doubledRank * positiveCount;
    const ties = end - start;
    tieTerm += ties * ties * ties - ties;
    start = end;
  }
  return { doubledRanks, doubledPositiveSum, tieTerm };
}

function exactTails(
  doubledRanks: readonly number[],
  observed: number,
): { greater: number; less: number } {
  const mass = signedRankDistribution(doubledRanks);
  let greater = 0;
  let less = 0;
  // From the thin ends inwards: small terms first.
  for (let sum = mass.length - 1; sum >= observed; sum--) greater += mass[sum] ?? 0;
  for (let sum = 0; sum <= observed; sum++) less += mass[sum] ?? 0;
  return { greater: Math.min(1, greater), less: Math.min(1, less) };
}

function normalTails(
  count: number,
  positiveSum: number,
  tieTerm: number,
): { greater: number; less: number } {
  const mean = (count * (count + 1)) / 4;
  const deviation = Math.sqrt((count * (count + 1) * (2 * count + 1)) / 24 - tieTerm / 48);
  return {
    greater: normalUpperTail((positiveSum - mean - 0.5) / deviation),
    less: normalUpperTail((mean - positiveSum - 0.5) / deviation),
  };
}

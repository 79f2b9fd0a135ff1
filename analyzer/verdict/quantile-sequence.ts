import { logBeta, logBetaRelative } from "./log-beta.ts";
import { requireBetween, requireCount } from "./require.ts";

interface QuantileQuestion {
  /** 0.5 for the median, 0.99 for p99. */
  readonly level: number;
  readonly alpha: number;
  /** The number of pairs at which the interval shall be narrowest; chosen beforehand. At least about 8 at alpha 0.05. */
  readonly tunedCount: number;
}

/** Positions in the sorted values, counted from 1; null where that end is not bounded yet. */
export interface QuantileRanks {
  readonly lower: number | null;
  readonly upper: number | null;
}

/**
 * Between which two of the sorted values does the quantile lie, valid at every look?
 *
 * For each candidate x, the number k of values at or below it is binomial when x is the quantile. The evidence against that,
 * mixed over Beta(K level, K (1 - level)), K = tunedCount / (2 ln(1/alpha) + ln(1 + 2 ln(1/alpha))) - 1, reaches 1/alpha ever
 * with probability at most alpha. Ranks whose evidence stays below form one stretch kMin..kMax; the interval runs from
 * the kMin-th to the (kMax + 1)-th value. Assumes pairs that are independent or exchangeable; under slow interference it is a
 * description, and the verdict rests on blocks. With a sketch of relative accuracy r, widen the ends by (1 -+ r).
 *
 * Source: Howard and Ramdas, Bernoulli (2022), arXiv 1906.09712. Ranks are exact integers unless the evidence of a
 * rank is within 1e-9 of the threshold (test/verdict/quantile-sequence.test.ts: published ranks, 50 digits,
 * continuous looks).
 */
export function quantileRanks({
  count,
  ...question
}: QuantileQuestion & { readonly count: number }): QuantileRanks {
  requireCount("count", count);
  const { level, alpha } = question;
  const prior = priorOf(question);
  if (count === 0) return { lower: null, upper: null };
  const threshold = -Math.log(alpha);
  const isAccepted = (atOrBelow: number): boolean =>
    evidence({ atOrBelow, count, level, prior }) < threshold;
  const middle = Math.floor(count * level);
  const accepted = isAccepted(middle) ? middle : middle + 1;
  // Evidence is convex in the rank: one stretch, both of whose ends bisection finds.
  const lowest = bisect({ inside: accepted, outside: -1, isInside: isAccepted });
  const highest = bisect({ inside: accepted, outside: count + 1, isInside: isAccepted });
  return {
    lower: lowest === 0 ? null : lowest,
    upper: highest === count ? null : highest + 1,
  };
}

/** The interval itself, from values sorted in ascending order; -Infinity and Infinity where an end is not bounded yet. */
export function quantileSequence({
  sorted,
  ...question
}: QuantileQuestion & { readonly sorted: readonly number[] | Float64Array }): {
  readonly lower: number;
  readonly upper: number;
} {
  const ranks = quantileRanks({ ...question, count: sorted.length });
  return {
    lower: ranks.lower === null ? -Infinity : (sorted[ranks.lower - 1] ?? -Infinity),
    upper: ranks.upper === null ? Infinity : (sorted[ranks.upper - 1] ?? Infinity),
  };
}

/** ln E against "P(value <= x) = level" when `atOrBelow` of `count` values were. Two-sided; -1e-9..1e-9 exact to 1e9 values. */
export function quantileEvidence({
  atOrBelow,
  count,
  ...question
}: QuantileQuestion & { readonly atOrBelow: number; readonly count: number }): number {
  requireCount("count", count);
  requireCount("atOrBelow", atOrBelow);
  if (atOrBelow > count) {
    throw new RangeError(`${atOrBelow} of ${count} values, expected no more than there are`);
  }
  return evidence({ atOrBelow, count, level: question.level, prior: priorOf(question) });
}

function priorOf({ level, alpha, tunedCount }: QuantileQuestion): number {
  requireBetween("level", level, 0, 1);
  requireBetween("alpha", alpha, 0, 1);
  const doubled = -2 * Math.log(alpha);
  const prior = tunedCount / (doubled + Math.log1p(doubled)) - 1;
  if (!(prior > 0 && prior < Infinity)) {
    throw new RangeError(
      `tunedCount is ${tunedCount}, expected more than ${doubled + Math.log1p(doubled)} at alpha ${alpha}`,
    );
  }
  return prior;
}

function evidence({
  atOrBelow,
  count,
  level,
  prior,
}: {
  atOrBelow: number;
  count: number;
  level: number;
  prior: number;
}): number {
  const p = prior * level;
  const q = prior * (1 - level);
  return (
    logBetaRelative({ p: p + atOrBelow, q: q + count - atOrBelow, x: level }) +
    p * Math.log(level) +
    q * Math.log1p(-level) -
    logBeta({ p, q })
  );
}

/** The whole number next to `outside` that is still inside. */
function bisect({
  inside,
  outside,
  isInside,
}: {
  inside: number;
  outside: number;
  isInside: (value: number) => boolean;
}): number {
  let within = inside;
  let beyond = outside;
  while (Math.abs(beyond - within) > 1) {
    const middle = Math.floor((within + beyond) / 2);
    if (isInside(middle)) within = middle;
    else beyond = middle;
  }
  return within;
}

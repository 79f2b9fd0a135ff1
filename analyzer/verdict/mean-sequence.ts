import { type Moments, varianceOf } from "./moments.ts";
import { requireBetween, requireCount } from "./require.ts";

interface Sequence {
  /** Of block means, in the order of time. */
  readonly moments: Moments;
  /** The number of blocks at which the interval shall be narrowest; chosen beforehand. */
  readonly tunedCount?: number;
  /** Below this number of blocks nothing is said. */
  readonly countMin?: number;
  /**
   * A block mean's variance is taken to be at least this, for instance what independent pairs would have; 0 for none. Without
   * it a quiet start looks more certain than it is.
   */
  readonly varianceFloor?: number;
}

/** As many blocks as statistics of this kind need before their error is what they say. */
const COUNT_MIN = 30;
const TUNED_COUNT = 60;

/**
 * The mean of a stream of block means, with an interval that is valid at every look; null while there are fewer than
 * `countMin` blocks or they do not vary at all.
 *
 * Question: how large is the effect (mean log-ratio of latency, excess rate per block)? Asymptotic confidence sequence,
 * two-sided: at all looks together it misses the running mean with probability about alpha. Half-width
 * s sqrt(2 (k r + 1)/(k^2 r) ln(sqrt(k r + 1)/alpha)), with k blocks, s their standard deviation and
 * r = (-2 ln alpha + ln(1 - 2 ln alpha)) / tunedCount.
 *
 * Assumes blocks that are nearly uncorrelated (`chooseBlockLength`), finite variance, and no rare events: for rates near 0
 * use `bettingEvidence`, for which this is no substitute. Source: Waudby-Smith et al., arXiv 2103.06476, equation 9 (two-sided) and
 * 134 (one-sided). The arithmetic is good to 1e-13; the coverage is asymptotic and simulated
 * (test/verdict/mean-sequence.test.ts: a published value, SciPy's functions, continuous looks).
 * @throws RangeError when alpha is outside (0, 1), or 0.5 and above for one-sided limits
 */
export function meanSequence({ alpha, ...sequence }: Sequence & { readonly alpha: number }): {
  readonly mean: number;
  readonly lower: number;
  readonly upper: number;
} | null {
  requireBetween("alpha", alpha, 0, 1);
  const scale = scaleOf(sequence, alpha);
  if (scale === null) return null;
  const { mean } = sequence.moments;
  const halfWidth = scale.unit * Math.sqrt(0.5 * Math.log(scale.spread) - Math.log(alpha));
  return { mean, lower: mean - halfWidth, upper: mean + halfWidth };
}

/**
 * One-sided: `lower` alone, and `upper` alone, each missed with probability about alpha at all looks. Half-width
 * s sqrt(2 (k r + 1)/(k^2 r) ln(1 + sqrt(k r + 1)/(2 alpha))), r tuned with 2 alpha.
 */
export function meanSequenceLimits({ alpha, ...sequence }: Sequence & { readonly alpha: number }): {
  readonly mean: number;
  readonly lower: number;
  readonly upper: number;
} | null {
  requireBetween("alpha", alpha, 0, 0.5);
  const scale = scaleOf(sequence, 2 * alpha);
  if (scale === null) return null;
  const { mean } = sequence.moments;
  const halfWidth = scale.unit * Math.sqrt(Math.log1p(Math.sqrt(scale.spread) / (2 * alpha)));
  return { mean, lower: mean - halfWidth, upper: mean + halfWidth };
}

/**
 * The one-sided limits on the scale of evidence: ln E that the mean is above the margin (`harm`) or below it (`safe`). It
 * reaches ln(1/alpha) exactly when the limit for that alpha passes the margin; -Infinity when the mean is on the wrong
 * side. `alpha` only tunes where it is sharpest. For the page and for comparing; null as above.
 *
 * With L = k^2 r (mean - margin)^2 / (2 s^2 (k r + 1)): E = 2 (e^L - 1) / sqrt(k r + 1), which for normal block means of known
 * variance is at most the half-normal mixture of their likelihood ratios, so E is (asymptotically) an e-value.
 */
export function meanSequenceEvidence({
  claim,
  margin,
  alpha,
  ...sequence
}: Sequence & {
  readonly claim: "harm" | "safe";
  readonly margin: number;
  readonly alpha: number;
}): number | null {
  requireBetween("alpha", alpha, 0, 0.5);
  requireBetween("margin", margin, -Infinity, Infinity);
  const scale = scaleOf(sequence, 2 * alpha);
  if (scale === null) return null;
  const excess = (claim === "harm" ? 1 : -1) * (sequence.moments.mean - margin);
  if (excess <= 0) return -Infinity;
  const exponent = (excess / scale.unit) ** 2;
  // ln(e^L - 1) without e^L, which need not exist.
  const logExcess =
    exponent > 1 ? exponent + Math.log1p(-Math.exp(-exponent)) : Math.log(Math.expm1(exponent));
  return Math.LN2 + logExcess - 0.5 * Math.log(scale.spread);
}

/** unit = s sqrt(2 (k r + 1)/(k^2 r)), spread = k r + 1. */
function scaleOf(
  { moments, tunedCount = TUNED_COUNT, countMin = COUNT_MIN, varianceFloor = 0 }: Sequence,
  tunedAlpha: number,
): { unit: number; spread: number } | null {
  requireCount("moments.count", moments.count);
  requireCount("countMin", countMin);
  requireBetween("tunedCount", tunedCount, 0, Infinity);
  if (!(varianceFloor >= 0)) {
    throw new RangeError(`varianceFloor is ${varianceFloor}, expected at least 0`);
  }
  const count = moments.count;
  const variance = Math.max(varianceOf(moments), varianceFloor);
  if (count < Math.max(countMin, 2) || variance === 0) return null;
  const doubled = -2 * Math.log(tunedAlpha);
  const rhoSquared = (doubled + Math.log1p(doubled)) / tunedCount;
  const spread = count * rhoSquared + 1;
  return { unit: Math.sqrt((2 * variance * spread) / (count * count * rhoSquared)), spread };
}

import { clopperPearsonUpper } from "./clopper-pearson.ts";
import { logUpperBetaRelative } from "./regularized-incomplete-beta.ts";
import { requireBetween, requireCount } from "./require.ts";

interface Differing {
  readonly differingCount: number;
  readonly pairCount: number;
}

/**
 * Without a control: do shadow and primary differ more often than two equal builds did in an earlier A/A stage?
 *
 * Two steps share alpha. The A/A stage bounds the noise: `rateMax` is the exact upper limit (Clopper-Pearson) at
 * alpha/2. Then the pairs of this run are held against it by `oneSampleEvidence`; the claim stands when
 * `logEvidence` >= `logThreshold` = ln(2/alpha), at any look. Assumes that the A/A stage had its length fixed beforehand and
 * the same kind of traffic, and independent pairs. Calibrate with at least 10,000 pairs: with 100 the bound is 3.6 %.
 */
export function calibratedRate({
  calibration,
  observed,
  alpha,
}: {
  calibration: Differing;
  observed: Differing;
  alpha: number;
}): { readonly rateMax: number; readonly logEvidence: number; readonly logThreshold: number } {
  requireBetween("alpha", alpha, 0, 1);
  const rateMax = clopperPearsonUpper({
    eventCount: calibration.differingCount,
    pairCount: calibration.pairCount,
    alpha: alpha / 2,
  });
  // Every rate is possible under a bound of 1: nothing can be evidence against it.
  const logEvidence = rateMax >= 1 ? 0 : oneSampleEvidence({ ...observed, rate: rateMax });
  return { rateMax, logEvidence, logThreshold: Math.log(2) - Math.log(alpha) };
}

/**
 * Is a rate above `rate`? ln E, valid at every look: the uniform mixture over all higher rates of the likelihood against
 * `rate` itself. E ever reaches 1/alpha with probability at most alpha while the true rate, given the past, is at most `rate`.
 *
 * ln E = lnB(1+k, 1+n-k) + ln(1 - I_rate(1+k, 1+n-k)) - ln(1 - rate) - k ln rate - (n-k) ln(1 - rate).
 * Error as in `sequentialMcnemar` (test/verdict/calibrated-rate.test.ts: published values, 50 digits, its mean by enumeration).
 */
export function oneSampleEvidence({
  differingCount,
  pairCount,
  rate,
}: Differing & { rate: number }): number {
  requireCount("differingCount", differingCount);
  requireCount("pairCount", pairCount);
  requireBetween("rate", rate, 0, 1);
  if (differingCount > pairCount) {
    throw new RangeError(
      `${differingCount} differing of ${pairCount} pairs, expected no more than there are pairs`,
    );
  }
  if (pairCount === 0) return 0;
  // The prior's own term, lnUpper(1, 1) = -ln rate, joins on paper.
  return (
    logUpperBetaRelative({ p: 1 + differingCount, q: 1 + pairCount - differingCount, x: rate }) +
    Math.log(rate)
  );
}

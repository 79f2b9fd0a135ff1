import { requireBetween, requireCount } from "./require.ts";

/**
 * Which of many fields differ? Their indices, ascending, such that at most a share alpha of those named is expected to be named wrongly.
 *
 * e-BH: sort the evidence descending and take the largest k with k E_(k) / K >= 1/alpha; those k are named. Holds under
 * any dependence between the fields. `hypothesisCount` K is the number of fields that were looked at, at least as many
 * as evidences are given; those not given count as evidence 0. `logEvidences` are natural logarithms, -Infinity allowed.
 * Source: Wang and Ramdas (2022). Comparisons are made to a few 1e-16 of the logarithms (test/verdict/e-bh.test.ts,
 * against a slow restatement of the definition and simulation).
 */
export function eBenjaminiHochberg({
  logEvidences,
  alpha,
  hypothesisCount = logEvidences.length,
}: {
  logEvidences: readonly number[];
  alpha: number;
  hypothesisCount?: number;
}): number[] {
  requireBetween("alpha", alpha, 0, 1);
  requireCount("hypothesisCount", hypothesisCount);
  if (hypothesisCount < logEvidences.length) {
    throw new RangeError(
      `hypothesisCount is ${hypothesisCount}, expected at least the ${logEvidences.length} evidences given`,
    );
  }
  if (logEvidences.some(Number.isNaN))
    throw new RangeError("a logarithm is NaN, expected a number");
  const descending = logEvidences
    .map((logEvidence, index) => ({ logEvidence, index }))
    .sort((left, right) => right.logEvidence - left.logEvidence || left.index - right.index);
  const threshold = Math.log(hypothesisCount) - Math.log(alpha);
  let named = 0;
  descending.forEach(({ logEvidence }, position) => {
    if (logEvidence + Math.log(position + 1) >= threshold) named = position + 1;
  });
  return descending
    .slice(0, named)
    .map(({ index }) => index)
    .sort((left, right) => left - right);
}

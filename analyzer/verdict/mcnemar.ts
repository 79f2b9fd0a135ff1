import { logBetaRelative } from "./log-beta.ts";
import { normalUpperTail } from "./normal-distribution.ts";
import { logRegularizedIncompleteBeta } from "./regularized-incomplete-beta.ts";
import { requireCount } from "./require.ts";

export interface McnemarResult {
  /** Probability, under the null, of a split at least as uneven. */
  readonly exactTwoSided: number;
  /** Of at least as many worse ones. */
  readonly exactWorse: number;
  /** Two-sided, counting what was observed by half: the default for a snapshot. */
  readonly midP: number;
  readonly midPWorse: number;
  /** (worse - better) / sqrt(worse + better). */
  readonly z: number;
  readonly asymptoticTwoSided: number;
  /** With Edwards' correction, (|worse - better| - 1)^2 / (worse + better). */
  readonly correctedTwoSided: number;
}

/**
 * McNemar's test: of the pairs in which exactly one side failed, is it the shadow too often? For a snapshot whose size was
 * fixed beforehand, and as a check on the sequential test. Looked at repeatedly it rejects equal services half of the time; use
 * `sequentialMcnemar` while traffic flows.
 *
 * Exact from the binomial distribution with 1/2. Mid-p after Fagerland, Lydersen, Laake, BMC Medical Research Methodology
 * 13:91 (2013): close to the level in every scenario they tried, where the exact test is too cautious. Assumes independent
 * pairs. Relative error below 1e-12 up to 1e6 discordant pairs, below 1e-9 up to 1e9; probabilities below 1e-308 are 0
 * (test/verdict/mcnemar.test.ts: published tables, SciPy).
 */
export function mcnemar({
  worseCount,
  betterCount,
}: {
  worseCount: number;
  betterCount: number;
}): McnemarResult {
  requireCount("worseCount", worseCount);
  requireCount("betterCount", betterCount);
  const count = worseCount + betterCount;
  if (count === 0) {
    return {
      exactTwoSided: 1,
      exactWorse: 1,
      midP: 1,
      midPWorse: 0.5,
      z: 0,
      asymptoticTwoSided: 1,
      correctedTwoSided: 1,
    };
  }
  const atLeastWorse = binomialUpperTail(worseCount, count);
  const observed = binomialMass(worseCount, count);
  const unevenTail = binomialUpperTail(Math.max(worseCount, betterCount), count);
  const exactTwoSided = Math.min(1, 2 * unevenTail);
  const z = (worseCount - betterCount) / Math.sqrt(count);
  const corrected = Math.max(0, Math.abs(worseCount - betterCount) - 1) / Math.sqrt(count);
  return {
    exactTwoSided,
    exactWorse: atLeastWorse,
    // At an even split the two tails overlap in the observed one.
    midP: worseCount === betterCount ? 1 - 0.5 * observed : 2 * unevenTail - observed,
    midPWorse: atLeastWorse - 0.5 * observed,
    z,
    asymptoticTwoSided: Math.min(1, 2 * normalUpperTail(Math.abs(z))),
    correctedTwoSided: Math.min(1, 2 * normalUpperTail(corrected)),
  };
}

/** P(Bin(count, 1/2) >= atLeast). */
function binomialUpperTail(atLeast: number, count: number): number {
  if (atLeast === 0) return 1;
  return Math.exp(
    logRegularizedIncompleteBeta({ p: atLeast, q: count - atLeast + 1, x: 0.5 }).lower,
  );
}

/** P(Bin(count, 1/2) = successes): 1 / ((n + 1) B(k + 1, n - k + 1)) halved n times. */
function binomialMass(successes: number, count: number): number {
  const relative = logBetaRelative({ p: successes + 1, q: count - successes + 1, x: 0.5 });
  return (4 * Math.exp(-relative)) / (count + 1);
}

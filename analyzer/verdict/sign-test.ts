import { mcnemar } from "./mcnemar.ts";
import { requireFinite } from "./require.ts";

export interface SignTestResult {
  readonly positiveCount: number;
  readonly negativeCount: number;
  readonly zeroCount: number;
  readonly exactTwoSided: number;
  /** Of at least as many positive ones. */
  readonly exactGreater: number;
  readonly midP: number;
}

/**
 * Is the median of the paired differences other than 0? McNemar's test on their signs; zeros say nothing and are left
 * out. Assumes independent pairs and a number of them fixed beforehand; nothing about the shape, so it is the weakest and the most
 * robust of the latency tests. Exact (test/verdict/sign-test.test.ts, SciPy).
 */
export function signTest(differences: Iterable<number>): SignTestResult {
  let positiveCount = 0;
  let negativeCount = 0;
  let zeroCount = 0;
  for (const difference of differences) {
    requireFinite("difference", difference);
    if (difference > 0) positiveCount++;
    else if (difference < 0) negativeCount++;
    else zeroCount++;
  }
  const { exactTwoSided, exactWorse, midP } = mcnemar({
    worseCount: positiveCount,
    betterCount: negativeCount,
  });
  return {
    positiveCount,
    negativeCount,
    zeroCount,
    exactTwoSided,
    exactGreater: exactWorse,
    midP,
  };
}

import { logSumExp } from "./log-sum-exp.ts";

/**
 * Evidence that notices a late failure: a leak after two hours drowns in the good pairs before it, so the same evidence is
 * also started anew at later times (each hour, say) and all of them are combined.
 *
 * `logEvidences[i]` is ln E of the part from the i-th start on, in the order of the starts. Start i has weight
 * 1/((i+1)(i+2)); starts that have not come yet count as 1. The result is again evidence valid at every look, because starts and weights
 * are fixed beforehand.
 */
export function restartedEvidence(logEvidences: readonly number[]): number {
  const weighted = logEvidences.map(
    (logEvidence, index) => logEvidence - Math.log((index + 1) * (index + 2)),
  );
  // The weights of all later starts sum to 1/(number of starts + 1).
  return logSumExp([...weighted, -Math.log(logEvidences.length + 1)]);
}

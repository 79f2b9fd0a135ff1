import { logSumExp } from "./log-sum-exp.ts";

/**
 * Is anything different at all? The arithmetic mean of several evidences is itself evidence (that any of their claims holds),
 * however they depend on one another; their product is not. Takes and returns natural logarithms; nothing is ln 1 = 0.
 */
export function averageEvidence(logEvidences: readonly number[]): number {
  return logEvidences.length === 0 ? 0 : logSumExp(logEvidences) - Math.log(logEvidences.length);
}

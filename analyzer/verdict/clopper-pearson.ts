import { logRegularizedIncompleteBeta } from "./regularized-incomplete-beta.ts";
import { requireBetween, requireCount } from "./require.ts";

interface Observed {
  readonly eventCount: number;
  readonly pairCount: number;
}

/**
 * How high can the rate be, given `eventCount` of `pairCount`? The exact upper limit: with a higher rate so few events
 * would have probability below alpha. Without events it is 1 - alpha^(1/pairCount), the rule of three (3 / pairCount).
 *
 * Assumes independent pairs and a number of pairs fixed beforehand; for a figure watched while traffic flows use
 * `bettingLimit`. 1 when there are no pairs or nothing but events. Relative error below 1e-12 up to 1e6 pairs, below 1e-10
 * up to 1e9, rounded upwards (test/verdict/clopper-pearson.test.ts, SciPy).
 */
export function clopperPearsonUpper({
  eventCount,
  pairCount,
  alpha,
}: Observed & { alpha: number }): number {
  requireObserved({ eventCount, pairCount });
  requireBetween("alpha", alpha, 0, 1);
  if (eventCount === pairCount) return 1;
  const logAlpha = Math.log(alpha);
  if (eventCount === 0) return -Math.expm1(logAlpha / pairCount);
  const p = eventCount + 1;
  const q = pairCount - eventCount;
  // In ln x, so that a rate of 1e-9 keeps its digits.
  return Math.exp(
    bisectLog((x) => logRegularizedIncompleteBeta({ p, q, x }).upper > logAlpha).above,
  );
}

/** How low can the rate be? The exact lower limit, rounded downwards; 0 without events. */
export function clopperPearsonLower({
  eventCount,
  pairCount,
  alpha,
}: Observed & { alpha: number }): number {
  requireObserved({ eventCount, pairCount });
  requireBetween("alpha", alpha, 0, 1);
  if (eventCount === 0) return 0;
  const logAlpha = Math.log(alpha);
  if (eventCount === pairCount) return Math.exp(logAlpha / pairCount);
  const p = eventCount;
  const q = pairCount - eventCount + 1;
  return Math.exp(
    bisectLog((x) => logRegularizedIncompleteBeta({ p, q, x }).lower < logAlpha).below,
  );
}

/** The two neighbouring values of ln x between which `isBelow` turns from true to false. */
function bisectLog(isBelow: (x: number) => boolean): { below: number; above: number } {
  let below = -700;
  let above = -1e-16;
  for (let step = 0; step < 80 && above - below > 1e-14; step++) {
    const middle = (below + above) / 2;
    if (isBelow(Math.exp(middle))) below = middle;
    else above = middle;
  }
  return { below, above };
}

function requireObserved({ eventCount, pairCount }: Observed): void {
  requireCount("eventCount", eventCount);
  requireCount("pairCount", pairCount);
  if (eventCount > pairCount) {
    throw new RangeError(
      `${eventCount} events in ${pairCount} pairs, expected no more than there are pairs`,
    );
  }
}

import { normalUpperQuantile } from "./normal-distribution.ts";
import { requireBetween, requireCount } from "./require.ts";

/**
 * Plausible rates given `eventCount` of `pairCount`: a Wilson score interval, both ends in [0, 1].
 *
 * Assumes independent pairs and a number of pairs fixed beforehand. For a figure watched while traffic flows, use
 * `bettingInterval` or `bettingLimit`. Source: E. B. Wilson, JASA 22 (1927) 209-212. Agrees with SciPy to 1e-12 relative
 * (test/verdict/wilson.test.ts), without events, with nothing but events and with 1e9 pairs.
 * @throws RangeError when pairCount is 0 or eventCount > pairCount
 */
export function wilsonInterval({
  eventCount,
  pairCount,
  alpha,
}: {
  eventCount: number;
  pairCount: number;
  alpha: number;
}): { readonly lower: number; readonly upper: number } {
  requireCount("eventCount", eventCount);
  requireCount("pairCount", pairCount);
  requireBetween("alpha", alpha, 0, 1);
  if (pairCount === 0 || eventCount > pairCount) {
    throw new RangeError(
      `${eventCount} events in ${pairCount} pairs, expected at least one pair and no more events than pairs`,
    );
  }
  const z = normalUpperQuantile(alpha / 2);
  const square = z * z;
  const root = z * Math.sqrt((eventCount * (pairCount - eventCount)) / pairCount + square / 4);
  const larger = eventCount + square / 2 + root;
  return {
    // The textbook's (k + z^2/2 - root) / (n + z^2), multiplied out so that nothing cancels when events are rare.
    lower: (eventCount * eventCount) / pairCount / larger,
    upper: Math.min(1, larger / (pairCount + square)),
  };
}

import { logSumExp } from "./log-sum-exp.ts";
import { type RateSums, requireRateSums } from "./rate-sums.ts";
import { requireBetween } from "./require.ts";

/**
 * `harm`: the shadow's excess (rate of worse minus rate of better) is above the margin; the null is "at most the margin".
 * `safe`: it is below the margin; the null is "at least the margin".
 */
export type Claim = "harm" | "safe";

const STAKE_COUNT = 16;
const STAKE_MIN = 0.01;
/** Of the stake at which a single loss would cost everything; the rest keeps a bettor in the game. */
const STAKE_MAX_SHARE = 0.98;
/** The largest stake proves clean traffic safe soonest, so "safe" gives it more of the capital. */
const TOP_WEIGHT: Readonly<Record<Claim, number>> = { harm: 0.05, safe: 0.3 };

/** Gain in ln capital per pair that is worse, better or equal, for one of the 16 stakes. */
interface Bettor {
  readonly logWeight: number;
  readonly worse: number;
  readonly better: number;
  readonly equal: number;
  /** worse + better in one piece: their sum would cancel. */
  readonly both: number;
}

/**
 * Is the shadow worse by more than a margin (`harm`), or proven not to be (`safe`)? The natural logarithm of the evidence.
 *
 * Each pair is X = +1 (shadow worse), -1 (better) or 0. Sixteen bettors stake fixed shares of their capital on the claim in
 * a game that is fair or worse for them while the null holds; E is their mean capital. It ever reaches 1/alpha with
 * probability at most alpha when the claim is false, at any number of pairs, with rare events and without any. It depends
 * on the three counts only.
 *
 * `margin` is a difference of rates, strictly between -1 and 1: 0.001 is 0.1 percentage points.
 * Assumes that the mean of X given the past keeps to the null's side of the margin; bursts break that, so a verdict also asks blocks.
 * Source: betting for means of bounded variables, Waudby-Smith and Ramdas, arXiv 2010.09686, with a fixed grid of stakes.
 * Error of ln E below 1e-12 + 4e-16 (sum of the sizes of its terms): below 1e-6 for 1e9 pairs
 * (test/verdict/betting.test.ts: published values, 50 digits, the mean by enumeration).
 * @throws RangeError when counts are impossible or the margin is outside (-1, 1)
 */
export function bettingEvidence({
  claim,
  sums,
  margin,
}: {
  claim: Claim;
  sums: RateSums;
  margin: number;
}): number {
  return bettingAt({ claim, margin })(sums);
}

/** `bettingEvidence` for one margin and many sums (every block of a history): the stakes are worked out once. */
export function bettingAt({
  claim,
  margin,
}: {
  claim: Claim;
  margin: number;
}): (sums: RateSums) => number {
  requireBetween("margin", margin, -1, 1);
  const players = bettors(claim, margin);
  return (sums) => {
    requireRateSums(sums);
    return logCapital(players, sums);
  };
}

function bettors(claim: Claim, margin: number): readonly Bettor[] {
  const sign = claim === "harm" ? 1 : -1;
  const top = STAKE_MAX_SHARE / (1 + sign * margin);
  const topWeight = TOP_WEIGHT[claim];
  return Array.from({ length: STAKE_COUNT }, (_, index) => {
    const isTop = index === STAKE_COUNT - 1;
    const stake = isTop ? top : STAKE_MIN * (top / STAKE_MIN) ** (index / (STAKE_COUNT - 1));
    const signed = sign * stake;
    return {
      logWeight: Math.log(isTop ? topWeight : (1 - topWeight) / (STAKE_COUNT - 1)),
      worse: Math.log1p(signed * (1 - margin)),
      better: Math.log1p(-signed * (1 + margin)),
      equal: Math.log1p(-signed * margin),
      both: Math.log1p(-2 * signed * margin - stake * stake * (1 - margin * margin)),
    };
  });
}

/** Takes fractions of pairs too, for the forecast. */
function logCapital(
  players: readonly Bettor[],
  { pairCount, worseCount, betterCount }: RateSums,
): number {
  const bothCount = Math.min(worseCount, betterCount);
  const equalCount = pairCount - worseCount - betterCount;
  return logSumExp(
    players.map(
      ({ logWeight, worse, better, equal, both }) =>
        logWeight +
        bothCount * both +
        (worseCount - bothCount) * worse +
        (betterCount - bothCount) * better +
        equalCount * equal,
    ),
  );
}

/**
 * The excess of worse over better, valid at every look: all margins that neither claim has excluded.
 *
 * `lower` is proven to be exceeded and `upper` proven not to be, each with error at most alpha/2, so both together cover
 * the true excess at all looks with probability at least 1 - alpha. -1 and 1 when nothing is known. Both evidences are
 * monotone in the margin (each bettor's gain is, for every outcome), so bisection finds the ends; they are rounded outwards,
 * by less than 1e-15.
 */
export function bettingInterval({ sums, alpha }: { sums: RateSums; alpha: number }): {
  readonly lower: number;
  readonly upper: number;
} {
  requireBetween("alpha", alpha, 0, 1);
  return {
    lower: bettingLimit({ claim: "harm", sums, alpha: alpha / 2 }),
    upper: bettingLimit({ claim: "safe", sums, alpha: alpha / 2 }),
  };
}

/**
 * One end alone, with all of alpha: for `harm` the largest margin proven to be exceeded, for `safe` the smallest proven to be
 * kept. `safe` with no event at all is the always-valid rule of three: about 4.15 / pairCount.
 */
export function bettingLimit({
  claim,
  sums,
  alpha,
}: {
  claim: Claim;
  sums: RateSums;
  alpha: number;
}): number {
  requireRateSums(sums);
  requireBetween("alpha", alpha, 0, 1);
  const threshold = -Math.log(alpha);
  // `excluded` never holds at `open`, so the limit errs on the side of knowing less.
  let open = claim === "harm" ? -1 : 1;
  let kept = -open;
  let width = 2;
  while (width > 1e-15 * Math.max(Math.abs(open), 1e-3)) {
    const margin = open + (kept - open) / 2;
    if (margin === open || margin === kept) break;
    if (logCapital(bettors(claim, margin), sums) >= threshold) open = margin;
    else kept = margin;
    width = Math.abs(kept - open);
  }
  return open;
}

/**
 * How many more pairs until the claim is proven, if they look like those so far? null when they would never prove it.
 *
 * A forecast to be shown ("about 4,000 more pairs"), not a guarantee: it extends the observed rates (or `worseRate` and
 * `betterRate`) in a straight line, and with rare events still unseen it is optimistic. Without any pairs it assumes clean ones.
 * Never above 1e15. Along that line ln E is convex, so once it rises through the threshold it stays above.
 */
export function bettingPairsNeeded({
  claim,
  sums,
  margin,
  alpha,
  worseRate = sums.pairCount === 0 ? 0 : sums.worseCount / sums.pairCount,
  betterRate = sums.pairCount === 0 ? 0 : sums.betterCount / sums.pairCount,
}: {
  claim: Claim;
  sums: RateSums;
  margin: number;
  alpha: number;
  worseRate?: number;
  betterRate?: number;
}): number | null {
  requireRateSums(sums);
  requireBetween("margin", margin, -1, 1);
  requireBetween("alpha", alpha, 0, 1);
  if (!(worseRate >= 0 && betterRate >= 0 && worseRate + betterRate <= 1 + 1e-12)) {
    throw new RangeError(
      `rates are ${worseRate} worse and ${betterRate} better, expected at least 0 and together at most 1`,
    );
  }
  const players = bettors(claim, margin);
  const threshold = -Math.log(alpha);
  const isProvenAfter = (more: number): boolean =>
    logCapital(players, {
      pairCount: sums.pairCount + more,
      worseCount: sums.worseCount + more * worseRate,
      betterCount: sums.betterCount + more * betterRate,
    }) >= threshold;
  if (isProvenAfter(0)) return 0;
  let enough = 1;
  while (!isProvenAfter(enough)) {
    enough *= 2;
    if (enough > 1e15) return null;
  }
  let tooFew = Math.floor(enough / 2);
  while (enough - tooFew > 1) {
    const middle = Math.floor((tooFew + enough) / 2);
    if (isProvenAfter(middle)) enough = middle;
    else tooFew = middle;
  }
  return enough;
}

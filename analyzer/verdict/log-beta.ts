import { stirlingError } from "./log-gamma.ts";
import { requireBetween, requirePositive } from "./require.ts";

/**
 * ln B(p, q), the logarithm of the beta function, for p, q > 0.
 *
 * Not lnGamma(p) + lnGamma(q) - lnGamma(p + q), which at a thousand million pairs would subtract numbers of
 * 2e10 and keep six decimals. Error below 1e-14 + 4e-16 |ln B| (test/verdict/log-beta.test.ts, to 1e9).
 */
export function logBeta({ p, q }: { p: number; q: number }): number {
  requirePositive("p", p);
  requirePositive("q", q);
  const small = Math.min(p, q);
  const large = Math.max(p, q);
  const sum = p + q;
  return small * Math.log(small / sum) + large * Math.log1p(-small / sum) + remainder(p, q);
}

/**
 * ln B(p, q) - p ln x - q ln(1 - x): a beta integral measured against the likelihood at x, for 0 < x < 1.
 *
 * Every beta mixture in this folder is of this form. Taken apart, the three terms grow with the number of pairs
 * while their sum stays small; here the growing parts are joined first, as deviances:
 * p ln(p/(s x)) + q ln(q/(s (1 - x))), s = p + q, each at least 0 and computed without cancellation.
 * Error below 2e-14 + 1e-15 |result| (test/verdict/log-beta.test.ts, to 1e9).
 */
export function logBetaRelative({ p, q, x }: { p: number; q: number; x: number }): number {
  requirePositive("p", p);
  requirePositive("q", q);
  requireBetween("x", x, 0, 1);
  const sum = p + q;
  return deviance(p, sum * x) + deviance(q, sum * (1 - x)) + remainder(p, q);
}

/** What is left of ln B(p, q) beside p ln(p/s) + q ln(q/s). */
function remainder(p: number, q: number): number {
  const sum = p + q;
  // ln(2 pi s / (p q)) / 2 with the larger of the two divided by the sum: p q may not fit, and s / large is in 1..2.
  const small = Math.min(p, q);
  const large = Math.max(p, q);
  return (
    0.5 * Math.log(((2 * Math.PI) / small) * (sum / large)) +
    stirlingError(p) +
    stirlingError(q) -
    stirlingError(sum)
  );
}

/** value ln(value / expected) + expected - value, which is at least 0. */
function deviance(value: number, expected: number): number {
  const difference = value - expected;
  if (Math.abs(difference) >= 0.1 * (value + expected)) {
    return value * Math.log(value / expected) - difference;
  }
  // ln(value / expected) = 2 (v + v^3/3 + v^5/5 + ...), v = difference / (value + expected); the first term joins
  // with expected - value to difference * v exactly.
  const v = difference / (value + expected);
  const square = v * v;
  let sum = difference * v;
  let term = 2 * value * v * square;
  for (let odd = 3; odd < 60; odd += 2) {
    const next = sum + term / odd;
    if (next === sum) break;
    sum = next;
    term *= square;
  }
  return sum;
}
